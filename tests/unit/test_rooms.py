"""The rooms: what the linter reads is complete, clients are made in one place each, and tests mirror modules."""

import re
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


ROOMS = ("activities", "audit", "events", "infra", "portal", "projections", "simulation", "workflows")
OF_THE_WHOLE_TREE = {"docs", "golden", "mutation", "refusals", "rooms"}
"""The unit tests that are of no one module."""
MADE = re.compile(r"AIOKafka\w+\(|Connection\.connect\(|ConnectionPool\(")
FACTORIES = {"events/kafka_clients.py", "events/postgres_sessions.py"}


def test_every_client_of_kafka_and_postgresql_comes_from_its_factory() -> None:
    files = [file for room in ROOMS for file in (ROOT / room).rglob("*.py")]

    assert {str(file.relative_to(ROOT)) for file in files if MADE.search(file.read_text())} == FACTORIES


def test_every_unit_test_mirrors_a_module_or_is_of_the_whole_tree() -> None:
    files = [file for room in (*ROOMS, "examples") for file in (ROOT / room).rglob("*.py")]
    modules = {file.stem for file in files} | {file.parent.name for file in files}
    tests = {file.stem.removeprefix("test_") for file in (ROOT / "tests/unit").glob("test_*.py")} - OF_THE_WHOLE_TREE

    assert not {name for name in tests if not any(name == one or name.startswith(f"{one}_") for one in modules)}
