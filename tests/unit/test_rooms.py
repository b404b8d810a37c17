"""The contracts between the rooms: what the linter reads is complete."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_module_of_rules_is_held_to_open_nothing() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (pure,) = (one for one in contracts if one["name"] == "pure rules open nothing")
    rules = {f"activities.licensing.{path.stem}" for path in (ROOT / "activities/licensing").glob("*_rules.py")}

    assert rules
    assert rules <= set(pure["source_modules"])


def test_no_contract_lets_a_room_load_by_another_what_it_may_not_import() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

    assert not [one["name"] for one in contracts if one.get("allow_indirect_imports")]
