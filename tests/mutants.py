"""Mutation testing: runs mutmut on the rules, and says what the tests let live. See `docs/mutation.md`."""

import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import pytest
from pydantic import BaseModel

from events import digest
from portal.policy_file.reader import schema

ROOT = Path(__file__).parents[1]
KILLED = ("killed", "timeout")
LEAST_KILLED_PERCENT = 90


def pytest_itemcollected(item: pytest.Item) -> None:
    """mutmut 3.7 asks a test for its name as pytest before 9.2 had it."""
    item._nodeid = item.nodeid  # type: ignore[attr-defined]


def pytest_runtest_setup() -> None:
    """A mutant begins with all that was imported and remembered before it; what depends on it, it must work out."""
    schema.cache_clear()
    digest._defaults.cache_clear()
    for of in [of for of in digest.WRITERS if issubclass(of, StrEnum | BaseModel)]:
        del digest.WRITERS[of]


def main(files: Sequence[str]) -> int:
    """Try the mutants of what has changed, and all again that were alive; or else all of these files. 1 where too few
    are killed."""
    modules = [file.removesuffix(".py").replace("/", ".") for file in files]
    alive = [name for name, became in results() if became not in (*KILLED, "not checked")]
    (ROOT / "mutants/mutmut-stats.json").unlink(missing_ok=True)  # tests may reach other mutants by now
    mutmut("run", "--max-children", "1", *(f"{module}.*" for module in modules))
    if not modules and (alive := [name for name, became in results() if name in alive and became not in KILLED]):
        mutmut("run", "--max-children", "1", *alive)
    return report([(name, became) for name, became in results() if not modules or name.rpartition(".")[0] in modules])


def mutmut(*words: str) -> None:
    """Run the tool; end where it fails."""
    if failed := subprocess.run(["mutmut", *words], cwd=ROOT).returncode:
        raise SystemExit(failed)


def results() -> list[tuple[str, str]]:
    """Every mutant by name, and what became of it."""
    listed = subprocess.run(
        ["mutmut", "results", "--all", "true"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return re.findall(r"^ +(\S+): (.+)$", listed.stdout, re.MULTILINE)


def report(found: list[tuple[str, str]]) -> int:
    """Print the table by file and those alive by function."""
    files: dict[str, Counter[bool]] = defaultdict(Counter)
    alive: Counter[str] = Counter()
    for name, became in found:
        module, _, mutant = name.rpartition(".")
        function = mutant.partition("__mutmut_")[0].removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
        killed = became in KILLED
        files[module][killed] += 1
        if not killed:
            alive[f"{module}.{function}"] += 1
    for name, count in sorted(alive.items()):
        print(f"{count:5} alive in {name}")
    print(f"\n{'file':36}{'mutants':>8}{'killed':>8}{'share':>8}")
    files["together"] = sum(files.values(), Counter())
    for module, of in files.items():
        print(f"{module:36}{of.total():8}{of[True]:8}{100 * of[True] / of.total():7.1f}%")
    share = 100 * files["together"][True] / files["together"].total()
    if share < LEAST_KILLED_PERCENT:
        print(f"Fewer than {LEAST_KILLED_PERCENT}% are killed: look at one with `mutmut show NAME`, and add a test.")
    return int(share < LEAST_KILLED_PERCENT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
