"""A second effective generation of a licence is named."""

from collections.abc import Callable

import pytest

from events.terms import CaseId
from tests.unit.lives import ACME, DAY, LOST, OTHER, SPARE, breaches_of, named, replaced, superseded
from tests.worlds import Life


def issues_twice(life: Life) -> None:
    life.registers(OTHER)
    life.backend(OTHER, life.licence("L-1", 2, OTHER, case=life.case))


def skips_a_generation(life: Life) -> None:
    life.backend(SPARE, superseded(life, 2, SPARE), life.licence("L-1", 4, SPARE, case=life.case))


def leaves_the_old_one_effective(life: Life) -> None:
    life.backend(SPARE, life.licence("L-1", 3, SPARE, case=life.case))


def supersedes_too_late(life: Life) -> None:
    life.backend(LOST, life.licence("L-1", 3, LOST, case=life.case))
    life.world.at += DAY
    life.backend(SPARE, superseded(life, 2, SPARE))


@pytest.mark.parametrize("plant", [issues_twice, skips_a_generation, leaves_the_old_one_effective, supersedes_too_late])
def test_1_a_second_effective_generation_is_named(plant: Callable[[Life], None]) -> None:
    life = replaced()

    plant(life)

    assert {(1, "licence L-1")} <= set(named(breaches_of(life.world)))


def test_1_a_generation_that_is_superseded_twice_is_named_with_both_cases() -> None:
    life = replaced()
    other = Life(life.world, ACME, CaseId("c-2"), LOST, life.holder)
    other.reports("R-2")
    life.backend(LOST, superseded(life, 1, LOST, other.case))

    assert named(breaches_of(life.world)) == [(1, "licence L-1"), (3, "licence L-1")]
