"""The README's commands do what it says, on an installation that was started as it says."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.services import own_settings

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
TESTED = re.compile(r"<!-- tested(?:: (?P<file>\S+))? -->\n```\w+\n(?P<text>.*?)```", re.DOTALL)


def test_what_the_readme_says_to_type_works(tmp_path: Path) -> None:
    settings = own_settings(tmp_path / "data")
    env = os.environ | settings.environment()
    venv = Path(sys.executable).parent

    def run(line: str) -> str:
        typed = line.replace(".venv/bin", str(venv))
        done = subprocess.run(typed, shell=True, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout

    blocks = list(TESTED.finditer((ROOT / "README.md").read_text()))
    assert len(blocks) >= 4
    run(".venv/bin/lostfound up --detach")
    try:
        shown: dict[str, str] = {}
        for block in blocks:
            text = block["text"].replace("127.0.0.1:9092", settings.bootstrap)
            if block["file"]:
                (tmp_path / block["file"]).write_text(text)
                run(f".venv/bin/python {block['file']}")
                _wait_for_the_replacement(run)
            else:
                shown |= {line: run(line) for line in text.splitlines() if not line.endswith(" down")}
    finally:
        run(".venv/bin/lostfound down")

    assert "watching" in shown[".venv/bin/lostfound case list"]
    assert "3-1002" in shown[".venv/bin/lostfound licence show L-1"]
    assert "3-1001" in shown[".venv/bin/lostfound blacklist show"]
    assert "views are equal" in shown[".venv/bin/lostfound views rebuild"]


def _wait_for_the_replacement(run: Callable[[str], str]) -> None:
    deadline = time.monotonic() + 60
    while '"generation": 2' not in run(".venv/bin/lostfound licence show L-1 --json || true"):
        assert time.monotonic() < deadline, "no replacement came"
        time.sleep(1)
