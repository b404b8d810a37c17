"""Mutants are made in files that are there, and looked for by tests that are."""

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutmut"]


@pytest.mark.parametrize("name", [*SETTINGS["only_mutate"], *SETTINGS["pytest_add_cli_args_test_selection"]])
def test_every_file_of_mutation_testing_is_there(name: str) -> None:
    assert (ROOT / name).exists()


def test_mutants_are_made_in_every_rule_module_of_the_licensing_backend() -> None:
    rules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "activities" / "licensing").glob("*_rules.py")}

    assert rules
    assert rules <= set(SETTINGS["only_mutate"])
