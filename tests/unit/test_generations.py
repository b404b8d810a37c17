"""A second effective generation of a licence is named."""

from collections.abc import Callable

import pytest

from events.backend_facts import LicenceEnded, LicenceRenewed
from events.terms import CaseId, Serial
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


def end(life: Life, generation: int, serial: Serial) -> LicenceEnded:
    return LicenceEnded(licence="L-1", generation=generation, serial=serial, revision=1, ended=life.world.at)


def renewal(life: Life, generation: int, serial: Serial) -> LicenceRenewed:
    at = life.world.at
    return LicenceRenewed(licence="L-1", generation=generation, serial=serial, issued=at, expires=None, file="a file")


def issues_again(life: Life) -> None:
    life.backend(SPARE, superseded(life, 2, SPARE), life.licence("L-1", 3, SPARE, case=life.case))


def renews(life: Life) -> None:
    life.backend(SPARE, renewal(life, 2, SPARE))


@pytest.mark.parametrize("plant", [issues_again, renews])
def test_1_what_is_issued_or_renewed_after_the_end_of_a_contract_is_named(plant: Callable[[Life], None]) -> None:
    life = replaced()
    life.backend(SPARE, renewal(life, 2, SPARE), end(life, 2, SPARE), end(life, 2, SPARE))
    before = breaches_of(life.world)

    plant(life)

    assert before == []
    assert set(named(breaches_of(life.world))) == {(1, "licence L-1")}
