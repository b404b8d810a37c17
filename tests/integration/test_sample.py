"""The sample vendor through the whole product, twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import own_settings

pytestmark = pytest.mark.integration


def test_the_sample_comes_out_as_it_must_and_typed_again_makes_no_new_case(tmp_path: Path) -> None:
    settings = own_settings(tmp_path / "data", hold_seconds=10)
    command = [sys.executable, "-m", "infra.main", "up", "--once", "--json"]

    def typed() -> dict[str, object]:
        env = os.environ | settings.environment()
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-4000:]
        document: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        return document

    first, again = typed(), typed()

    assert first["expected_met"] is again["expected_met"] is True
    assert first["reports"] == 120
    assert first["outcomes"] == again["outcomes"]
    assert isinstance(first["first_replacement_seconds"], float)
