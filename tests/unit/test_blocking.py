"""A replacement before the measures, and a measure that does not end, are named."""

from datetime import timedelta

import pytest

from events.backend_facts import AccessOffered, MeasureConfirmed, MeasureLifted
from events.case_facts import CaseClosed
from events.terms import CaseId, Decision, HolderId, Kind, Measure, Outcome, Reason
from tests.unit.lives import ACME, LOST, SPARE, breaches_of, decided, named, replaced, started, superseded
from tests.worlds import Life, World


def test_2_a_replacement_before_its_measures_are_ordered_is_named() -> None:
    life = started()
    life.assessed("L-1")
    life.blocked()
    life.replaces(SPARE, "L-1")
    life.orders(Measure.BLACKLISTING)

    (breach,) = breaches_of(life.world)

    assert (breach.invariant, breach.vendor, breach.about) == (2, ACME, "case c-1")
    assert (breach.stream, breach.sequence) == ("container/3-2", 2)
    assert breach.sentence == "licence L-1 generation 2 was issued before blacklisting of container/3-1 was ordered"


def test_2_access_data_that_are_offered_before_the_old_ones_are_blocked_are_named() -> None:
    world = World()
    world.add_vendor(ACME)
    life = Life(world, ACME, CaseId("c-1"), LOST, HolderId("h-1"), kind=Kind.CLOUD, reason=Reason.STOLEN)
    life.registers(LOST)
    life.reports("R-1")
    life.assessed()
    life.backend(LOST, AccessOffered(serial=LOST, generation=2, case=life.case, until=world.at))

    assert named(breaches_of(world)) == [(2, "case c-1")]


HALF_A_SECOND, HALF_A_MINUTE = timedelta(seconds=0.5), timedelta(seconds=30)


@pytest.mark.parametrize("step", ["ordering", "issuing"])
def test_2_workers_whose_clocks_differ_a_little_breach_nothing(step: str) -> None:
    life = started()
    life.assessed("L-1")
    life.world.at -= HALF_A_SECOND * (step == "ordering")
    life.orders(Measure.BLACKLISTING)
    life.blocked()
    life.world.at -= HALF_A_SECOND * (step == "issuing")
    life.replaces(SPARE, "L-1")

    assert breaches_of(life.world) == []


def test_5_a_case_that_goes_to_a_person_right_after_it_issued_breaches_nothing() -> None:
    life = started()
    life.assessed("L-1")
    life.orders(Measure.BLACKLISTING)
    life.blocked()
    life.backend(LOST, superseded(life, 1, LOST))
    life.backend(SPARE, life.licence("L-1", 2, SPARE, case=life.case))
    life.world.at -= HALF_A_SECOND
    assert life.state
    life.case_says([decided(decision=Decision.NEEDS_APPROVAL, facts=life.state.facts)])

    assert breaches_of(life.world) == []


def test_2_a_replacement_long_before_policy_decided_is_named() -> None:
    life = started()
    life.assessed("L-1")
    life.world.at -= HALF_A_MINUTE
    life.orders(Measure.BLACKLISTING)
    life.blocked()
    life.replaces(SPARE, "L-1")

    assert [one.sentence for one in breaches_of(life.world)] == [
        "licence L-1 generation 2 was issued before policy decided"
    ]


def test_2_in_the_stream_of_what_is_lost_the_numbers_say_what_was_first_whatever_the_clocks_do() -> None:
    life = started()
    life.assessed("L-1")
    life.world.at += HALF_A_MINUTE
    life.orders(Measure.BLACKLISTING)
    life.blocked()
    life.world.at -= HALF_A_MINUTE - HALF_A_SECOND
    life.replaces(SPARE, "L-1")
    lifted = started()
    lifted.assessed("L-1")
    lifted.orders(Measure.BLACKLISTING)
    lifted.backend(LOST, MeasureLifted.model_validate(lifted.measure(Measure.BLACKLISTING)))
    lifted.blocked()
    lifted.replaces(SPARE, "L-1")

    assert breaches_of(life.world) == []
    assert named(breaches_of(lifted.world)) == [(2, "case c-1")]


def test_7_a_measure_that_has_not_ended_when_its_case_is_closed_is_named() -> None:
    life = replaced()
    life.case_says([CaseClosed(outcome=Outcome.LOST_FOR_EVER)])

    (breach,) = breaches_of(life.world)

    assert (breach.invariant, breach.about, breach.stream) == (7, "case c-1", "container/3-1")
    assert breach.sentence == "blacklisting of container/3-1/1 has not ended, though the case is closed"


def test_7_a_measure_that_is_lifted_once_it_was_confirmed_or_was_never_ordered_is_named() -> None:
    life = replaced()
    black, off = life.measure(Measure.BLACKLISTING), life.measure(Measure.DEACTIVATION)
    life.backend(
        LOST,
        MeasureConfirmed.model_validate({**black, "by": "contact/1"}),
        MeasureLifted.model_validate(black),
        MeasureConfirmed.model_validate({**off, "by": "contact/1"}),
    )

    assert [one.sentence for one in breaches_of(life.world)] == [
        "blacklisting of container/3-1/1 was lifted once it was confirmed",
        "deactivation of container/3-1/1 was never ordered, but confirmed",
    ]
