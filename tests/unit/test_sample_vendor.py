"""The sample vendor is the same every time, and of the size that it says."""

import json
import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def made(folder: Path) -> dict[str, str]:
    subprocess.run([sys.executable, EXAMPLES / "sample_vendor.py", folder], check=True)
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_it_is_the_same_every_time(tmp_path: Path) -> None:
    assert made(tmp_path / "one") == made(tmp_path / "two")


def test_it_has_a_thousand_containers_1600_licences_and_120_reports(tmp_path: Path) -> None:
    statements = [json.loads(line) for line in made(tmp_path)["statements.jsonl"].splitlines()]

    def count(name: str) -> int:
        return sum(row["event"]["type"] == f"lostfound.inbox.{name}.v1" for row in statements)

    assert (count("container.registered"), count("licence.issued"), count("loss.reported")) == (1000, 1600, 120)


def test_it_imports_nothing_of_the_product() -> None:
    rooms = ("events", "workflows", "activities", "projections", "portal", "infra")
    lines = [line for path in EXAMPLES.glob("*.py") for line in path.read_text().splitlines()]
    assert not [line for line in lines if line.startswith(tuple(f"from {r}" for r in rooms))]
    assert not [line for line in lines if line.startswith(tuple(f"import {r}" for r in rooms))]
