"""The nine invariants: healthy logs breach none, at any instant and in any order; each planted breach is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.audit import Reading
from audit.invariants import check, judge
from audit.log_index import Ledger
from events.backend_facts import MeasureOrdered
from events.case_facts import CaseClosed, LicenceInScope
from events.log_records import LogRecord, Position
from events.measure_subject import Subject
from events.terms import Action, Aim, CaseId, HolderId, Measure, Outcome, Scope
from tests.breaches import PLANTED
from tests.stories import STORIES, whole
from tests.unit.facts import facts
from tests.unit.lives import ACME, LOST, SPARE, ZETA, breaches_of, named, replaced, started
from tests.unit.work import steps_of
from tests.worlds import CODEC, POLICY, STEPS, Life, World, as_log, interleaved
from workflows.commands import Assessed, Report


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World()
    for vendor in (ACME, ZETA):
        world.add_vendor(vendor)
        world.lose(vendor, 1, draw(st.integers(1, STEPS)), draw(st.booleans()), draw(st.booleans()))
        for tell in draw(st.sets(st.sampled_from(STORIES))):
            tell(world, vendor, 1, draw(st.integers(1, STEPS)))
    return world


@given(worlds(), st.data())
def test_a_healthy_log_breaches_nothing_at_any_instant_and_in_any_order(world: World, data: st.DataObject) -> None:
    streams = list(world.streams.values())
    count = sum(map(len, streams))
    records = interleaved(streams, data.draw(st.lists(st.integers(0, 20), min_size=count, max_size=count)))
    records += records[: data.draw(st.integers(0, count))]

    assert check(CODEC.unseal(record.value) for record in records) == []


def test_whole_stories_breach_nothing() -> None:
    assert breaches_of(whole(ACME)) == []


@pytest.mark.parametrize("invariant", PLANTED)
def test_a_planted_breach_is_named_with_its_number_vendor_and_fact(invariant: int) -> None:
    world = World()
    PLANTED[invariant](world, ACME)
    read = Reading(CODEC)
    read.take(as_log((record for stream in world.streams.values() for record in stream), 3))
    ledger = read.ledger

    found = [*read.found, *judge(ledger)]

    assert {(one.invariant, one.vendor) for one in found} == {(invariant, ACME)}
    assert all(
        (one.stream, one.sequence) in {(s, n) for (_, s), c in ledger.chains.items() for n in c} for one in found
    )


def test_a_record_that_cannot_be_read_is_named_with_its_place() -> None:
    read = Reading(CODEC)
    read.take([LogRecord(Position(2, 7), b"acme/3-1", b"rubbish")])
    (breach,) = read.found

    assert (breach.invariant, breach.vendor, breach.stream, breach.sequence) == (8, "acme", "partition 2", 7)


def test_what_may_still_be_under_way_elsewhere_is_not_judged_yet() -> None:
    life = replaced()
    closing = life.world.at
    life.case_says([CaseClosed(outcome=Outcome.LOST_FOR_EVER)])
    ledger = Ledger()
    for stream in life.world.streams.values():
        for record in stream:
            ledger.take(CODEC.unseal(record.value))

    assert judge(ledger, until=closing) == []
    assert named(judge(ledger, until=life.world.at)) == [(7, "case c-1")]


def replaced_with(count: int, scope: Scope) -> Ledger:
    """What is told of a case of so many licences, each of a product of its own, which are replaced."""
    life = started()
    names = [f"L-{number}" for number in range(2, count + 2)]
    life.backend(LOST, *(life.licence(name, 1, LOST) for name in names))
    assert life.state is not None
    fact = life.state.report.model_copy(update={"scope": scope, "report": "R-2"})
    case = Life(life.world, ACME, CaseId("c-2"), LOST, HolderId("h-1"))
    case.command(Report(report=fact))
    lost = tuple(
        LicenceInScope(licence=name, generation=1, product=f"p-{name}", ticket="T-1", value_cents=1) for name in names
    )
    case.command(Assessed(at=life.world.at, facts=facts(*lost), policy=POLICY, reservation=None))
    aims = (
        [Subject(Aim.LICENCE, name, 1) for name in names]
        if scope is Scope.LICENCES
        else [Subject(Aim.CONTAINER, LOST, 1)]
    )
    ordered = {"case": case.case, "measure": Measure.BLACKLISTING, "serial": LOST, "effective": life.world.at}
    case.backend(LOST, *(MeasureOrdered.model_validate({**ordered, "subject": aim}) for aim in aims))
    case.decides("D-1", Action.APPROVE)
    case.blocked()
    case.replaces(SPARE, *names)
    ledger = Ledger()
    for stream in life.world.streams.values():
        for record in stream:
            ledger.take(CODEC.unseal(record.value))
    return ledger


@pytest.mark.parametrize("scope", Scope)
def test_the_work_of_the_judgement_grows_as_the_licences_of_a_case_do(scope: Scope) -> None:
    few, many = replaced_with(30, scope), replaced_with(120, scope)

    one, four = (steps_of(lambda ledger=ledger: judge(ledger)) for ledger in (few, many))  # type: ignore[misc]

    assert four < 4.2 * one
