"""The catalogue: every fact is in it, once, and no fold leaves one out unseen."""

import re
from pathlib import Path

import pytest

from events.catalogue import CATALOGUE, FACTS
from events.fact import Fact

ROOT = Path(__file__).parents[2]
ROOMS = ("events", "workflows", "activities", "projections", "portal", "simulation", "infra")
FOLDS = ("workflows/case.py", "projections/folds.py", "audit/log_index.py", "audit/case_story.py")


def named(fact: type[Fact]) -> set[type[Fact]]:
    """The facts below this class that have a name of their own, without those that tests define."""
    found = {one for child in fact.__subclasses__() for one in named(child)}
    own = {fact} if "name" in vars(fact) and fact.__module__.startswith("events.") else set()
    return own | found


def test_every_fact_that_is_defined_is_in_the_catalogue_once() -> None:
    assert sorted(FACTS, key=lambda fact: fact.name) == sorted(named(Fact), key=lambda fact: fact.name)
    assert len(CATALOGUE) == len(FACTS)


@pytest.mark.parametrize("path", FOLDS)
def test_every_fold_over_facts_is_closed_for_the_type_checker(path: str) -> None:
    matches = re.split(r"\n {4,}match (?:fact|fact\.fact):", (ROOT / path).read_text())[1:]

    assert matches
    for fold in matches:
        assert re.search(r"case _(?: as never)?:\n +assert_never\(", fold), f"a match in {path} is open"


WRITES = re.compile(r"vars\([^)]*\)(?:\.update|\[)|\.__dict__(?:\.update|\[| ?=)")


def test_nothing_writes_into_a_frozen_value() -> None:
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            found = WRITES.search(path.read_text())
            assert not found, f"{path} has {found[0]}"
