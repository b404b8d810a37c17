"""The nine invariants: healthy logs breach none, at any instant and in any order; each planted breach is named."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.audit import Reading
from audit.breach import Breach
from audit.invariants import check, judge
from audit.log_index import Ledger
from events.backend_facts import (
    AccessOffered,
    ContactRefused,
    ContainerRegistered,
    LicenceSuperseded,
    MeasureConfirmed,
    MeasureLifted,
    MeasureOrdered,
    PolicyAdopted,
    RecoveryReserved,
)
from events.case_facts import CaseApproved, CaseClosed, CaseDecided, LicenceInScope
from events.envelope import Head, case_stream, container_stream, record_key
from events.log_records import LogRecord, Position
from events.measure_subject import Subject
from events.ports.licensing_backend import Reservation
from events.terms import (
    Action,
    Aim,
    CaseId,
    Decision,
    HolderId,
    Kind,
    Measure,
    Mode,
    Outcome,
    ProductId,
    Reason,
    Reporter,
    Role,
    Scope,
    Serial,
    Status,
    VendorId,
    Verdict,
)
from tests.breaches import PLANTED, reported_after_a_rejection
from tests.stories import STORIES, whole
from tests.unit.facts import facts, report
from tests.unit.work import steps_of
from tests.worlds import CODEC, EYES, MANUAL, PLAIN, POLICY, QUOTA, STEPS, Life, World, as_log, interleaved
from workflows.commands import Assessed, Elapsed, Report
from workflows.policy import Policy, Quota, Rule

ACME, ZETA = VendorId("acme"), VendorId("zeta")
LOST, SPARE, OTHER = Serial("3-1"), Serial("3-2"), Serial("3-3")
DAY = timedelta(days=1)


def told(world: World) -> list[Breach]:
    return check(CODEC.unseal(record.value) for stream in world.streams.values() for record in stream)


def named(breaches: list[Breach]) -> list[tuple[int, str]]:
    return [(one.invariant, one.about) for one in breaches]


def started(product: ProductId = PLAIN) -> Life:
    """A vendor, a holder with a licence in a container, an empty one beside it, and a loss that policy decided on."""
    world = World()
    world.add_vendor(ACME)
    life = Life(world, ACME, CaseId("c-1"), LOST, HolderId("h-1"), product)
    life.registers(LOST, SPARE)
    life.backend(LOST, life.licence("L-1", 1, LOST))
    life.reports("R-1")
    return life


def replaced(product: ProductId = PLAIN) -> Life:
    """The same, replaced and watched for."""
    life = started(product)
    life.assessed("L-1")
    if product == MANUAL:
        life.decides("D-1", Action.APPROVE)
    life.orders(Measure.BLACKLISTING)
    life.blocked()
    life.replaces(SPARE, "L-1")
    return life


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
    assert told(whole(ACME)) == []


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


def test_3_a_new_case_after_one_that_was_rejected_names_it_as_the_former() -> None:
    world, named_world = World(), World()
    reported_after_a_rejection(world, ACME, None)
    reported_after_a_rejection(named_world, ACME, CaseId("acme-1"))
    records = [CODEC.unseal(record.value) for stream in world.streams.values() for record in stream]
    older = [one._replace(data={name: said for name, said in one.data.items() if name != "former"}) for one in records]

    assert named(check(records)) == [(3, "case acme-2")]
    assert told(named_world) == []
    assert check(older) == []  # the field was not there yet


def test_a_record_that_cannot_be_read_is_named_with_its_place() -> None:
    read = Reading(CODEC)
    read.take([LogRecord(Position(2, 7), b"acme/3-1", b"rubbish")])
    (breach,) = read.found

    assert (breach.invariant, breach.vendor, breach.stream, breach.sequence) == (8, "acme", "partition 2", 7)


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


def superseded(life: Life, generation: int, serial: Serial, case: CaseId | None = None) -> Any:
    return LicenceSuperseded(licence="L-1", generation=generation, serial=serial, case=case or life.case)


@pytest.mark.parametrize("plant", [issues_twice, skips_a_generation, leaves_the_old_one_effective, supersedes_too_late])
def test_1_a_second_effective_generation_is_named(plant: Callable[[Life], None]) -> None:
    life = replaced()

    plant(life)

    assert {(1, "licence L-1")} <= set(named(told(life.world)))


def test_1_a_generation_that_is_superseded_twice_is_named_with_both_cases() -> None:
    life = replaced()
    other = Life(life.world, ACME, CaseId("c-2"), LOST, life.holder)
    other.reports("R-2")
    life.backend(LOST, superseded(life, 1, LOST, other.case))

    assert named(told(life.world)) == [(1, "licence L-1"), (3, "licence L-1")]


def test_2_a_replacement_before_its_measures_are_ordered_is_named() -> None:
    life = started()
    life.assessed("L-1")
    life.blocked()
    life.replaces(SPARE, "L-1")
    life.orders(Measure.BLACKLISTING)

    (breach,) = told(life.world)

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

    assert named(told(world)) == [(2, "case c-1")]


def test_3_a_report_in_two_cases_is_named() -> None:
    life = replaced()
    other = Life(life.world, ACME, CaseId("c-2"), LOST, life.holder)
    other.reports("R-1")

    assert named(told(life.world)) == [(3, "case c-2")]


def test_3_two_open_cases_on_one_generation_that_do_not_know_each_other_are_named() -> None:
    life = started(MANUAL)
    life.assessed("L-1")
    other = Life(life.world, ACME, CaseId("c-2"), LOST, life.holder, MANUAL)
    other.reports("R-2")
    other.assessed("L-1")

    assert named(told(life.world)) == [(3, "case c-2")]


def test_4_a_replacement_to_somebody_else_is_named() -> None:
    life = started()
    life.backend(OTHER, ContainerRegistered(serial=OTHER, kind=Kind.DONGLE, holder="h-9"))
    life.assessed("L-1")
    life.orders(Measure.BLACKLISTING)
    life.blocked()
    life.replaces(OTHER, "L-1")

    assert named(told(life.world)) == [(4, "case c-1")]


def test_4_a_report_by_a_holder_of_another_container_is_named() -> None:
    life = replaced()
    by = Reporter(role=Role.HOLDER, name="h-9")
    life.case_says([report(report="R-2", serial=LOST, reporter=by)])

    assert named(told(life.world)) == [(4, "case c-1")]


def approves(life: Life, by: str, name: str = "D-1", **more: Any) -> None:
    """State an approval that the case itself would not have taken."""
    life.case_says([CaseApproved(decision=name, by=by, why="as I see it", **more)])


@pytest.mark.parametrize("by", ["mallory", "h-1", "crm"])
def test_5_an_approval_by_whom_policy_does_not_list_or_by_whom_it_profits_is_named(by: str) -> None:
    life = started(MANUAL)
    policy = POLICY.model_copy(update={"supervisors": ("ann", "h-1", "crm")})
    life.world.say(ACME, "vendor", None, PolicyAdopted(policy_version=2, policy=policy.model_dump_json()))
    life.assessed("L-1")
    approves(life, by)

    assert named(told(life.world)) == [(5, "case c-1")]


def test_5_who_is_no_longer_listed_is_named_but_not_at_the_instant_of_the_change() -> None:
    life = started(MANUAL)
    life.assessed("L-1")
    policy = POLICY.model_copy(update={"supervisors": ("bob",)})
    life.world.say(ACME, "vendor", None, PolicyAdopted(policy_version=2, policy=policy.model_dump_json()))
    at_once = life.world.at
    approves(life, "ann")
    assert told(life.world) == []
    life.orders(Measure.BLACKLISTING)
    life.blocked()
    life.replaces(SPARE, "L-1")
    life.sighted("contact/1")
    life.world.at = at_once + DAY
    life.decides("D-2", Action.RULE, verdict=Verdict.FOUND, reinstate=True)

    assert named(told(life.world)) == [(5, "case c-1")]


@pytest.mark.parametrize("first", [None, "bob"])
def test_5_one_supervisor_where_two_must_is_named(first: str | None) -> None:
    life = started(EYES)
    life.assessed("L-1")
    if first:
        life.decides("D-1", Action.APPROVE, by=first)
    approves(life, "bob", "D-2")

    assert named(told(life.world)) == [(5, "case c-1")]


def test_5_who_decides_a_case_that_was_escalated_to_others_is_named() -> None:
    life = started(EYES)
    life.assessed("L-1")
    life.command(*(Elapsed(at=life.world.at + hours * DAY, policy=POLICY) for hours in (1.5, 2.5)))
    life.decides("D-1", Action.APPROVE, by="bob")
    approves(life, "ann", "D-2")

    assert named(told(life.world)) == [(5, "case c-1")]


def test_5_a_replacement_that_nobody_approved_is_named() -> None:
    life = started(MANUAL)
    life.assessed("L-1")
    life.orders(Measure.BLACKLISTING)
    life.backend(LOST, superseded(life, 1, LOST))
    life.backend(SPARE, life.licence("L-1", 2, SPARE, case=life.case))

    assert named(told(life.world)) == [(5, "case c-1")]


def test_5_a_decision_of_policy_that_needed_a_person_is_named() -> None:
    life = started(MANUAL)
    other = started(PLAIN)
    other.assessed("L-1")
    assert other.state is not None
    assert other.state.facts is not None
    facts = other.state.facts
    manual = tuple(item.model_copy(update={"product": MANUAL}) for item in facts.licences)
    life.case_says([decided(facts=facts.model_copy(update={"licences": manual}))])

    assert named(told(life.world)) == [(5, "case c-1")]


def decided(**more: Any) -> CaseDecided:
    return CaseDecided.model_validate(
        {"decision": Decision.AUTOMATIC, "reasons": ("so it is",), "policy_version": 1} | more
    )


def reserves(life: Life, ordinal: int = 1, limit: int = 1, **more: Any) -> None:
    told = {"case": life.case, "serial": life.serial, "subjects": (f"holder/{life.holder}",)}
    life.backend(life.serial, RecoveryReserved.model_validate({**told, "ordinal": ordinal, "limit": limit} | more))


def test_6_more_recoveries_in_a_term_than_the_quota_has_are_named() -> None:
    life = started(QUOTA)
    reserves(life)
    life.assessed("L-1", reservation=Reservation(at=life.world.at, ordinal=1, limit=1))
    life.backend(SPARE, life.licence("L-2", 1, SPARE))
    other = Life(life.world, ACME, CaseId("c-2"), SPARE, life.holder, QUOTA)
    other.reports("R-2")
    reserves(other)
    other.assessed("L-2", reservation=Reservation(at=life.world.at, ordinal=1, limit=1))

    assert named(told(life.world)) == [(6, "case c-2")]


@pytest.mark.parametrize(("of_another", "breaches"), [({}, [(6, "case c-2")]), ({"pot": "same_hardware"}, [])])
def test_6_recoveries_are_counted_in_their_pots(of_another: dict[str, str], breaches: list[tuple[int, str]]) -> None:
    life = started(QUOTA)
    reserves(life, term_days=30)
    life.assessed("L-1", reservation=Reservation(at=life.world.at, ordinal=1, limit=1))
    life.backend(SPARE, life.licence("L-2", 1, SPARE))
    other = Life(life.world, ACME, CaseId("c-2"), SPARE, life.holder, QUOTA)
    other.reports("R-2")
    reserves(other, term_days=30, **of_another)
    other.assessed("L-2", reservation=Reservation(at=life.world.at, ordinal=1, limit=1))

    assert named(told(life.world)) == breaches


def test_6_a_case_that_only_blocks_and_watches_uses_no_recovery() -> None:
    counted = Rule(mode=Mode.HYBRID, quota=Quota(recoveries=1))
    policy = Policy(policy_version=2, supervisors=POLICY.supervisors, rules=(counted,))
    life = started()
    adopted = PolicyAdopted(policy_version=2, policy=policy.model_dump_json())
    life.world.say(ACME, "vendor", None, adopted)
    watches = Life(life.world, ACME, CaseId("c-2"), LOST, life.holder)
    watches.command(Report(report=report(report="R-2", serial=LOST, beside=life.case)))

    watches.assessed(policy=policy)

    assert watches.state is not None
    assert watches.state.status is Status.BLOCKING
    assert told(life.world) == []


def test_6_an_ordinal_beyond_the_limit_or_that_was_never_set_aside_is_named() -> None:
    life = started(QUOTA)
    life.assessed("L-1", reservation=Reservation(at=life.world.at, ordinal=2, limit=1))

    assert named(told(life.world)) == [(6, "case c-1"), (6, "case c-1")]


def test_6_approving_beyond_the_quota_without_goodwill_is_named_and_goodwill_by_whom_may_not_is_5() -> None:
    life = started(QUOTA)
    life.assessed("L-1", reservation=Reservation(at=life.world.at, ordinal=None, limit=1))
    assert told(life.world) == []
    approves(life, "bob")
    other = started(QUOTA)
    other.assessed("L-1", reservation=Reservation(at=life.world.at, ordinal=None, limit=1))
    approves(other, "ann", goodwill=True)

    assert named(told(life.world)) == [(6, "case c-1")]
    assert named(told(other.world)) == [(5, "case c-1")]


def test_7_a_measure_that_has_not_ended_when_its_case_is_closed_is_named() -> None:
    life = replaced()
    life.case_says([CaseClosed(outcome=Outcome.LOST_FOR_EVER)])

    (breach,) = told(life.world)

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

    assert [one.sentence for one in told(life.world)] == [
        "blacklisting of container/3-1/1 was lifted once it was confirmed",
        "deactivation of container/3-1/1 was never ordered, but confirmed",
    ]


def test_8_a_missing_fact_a_broken_chain_and_a_copy_with_other_bytes_are_named() -> None:
    world = replaced().world
    facts = [CODEC.unseal(record.value) for stream in world.streams.values() for record in stream]
    third = next(fact for fact in facts if fact.stream == "case/c-1" and fact.sequence == 3)
    without = [fact for fact in facts if fact is not third]
    broken = [fact._replace(previous_hash=bytes(32)) if fact is third else fact for fact in facts]
    differing = [*facts, third._replace(hash=bytes(32))]

    for log, sentence in (
        (without, "fact 3 before it is missing"),
        (broken, "fact 3 does not carry the hash of the one before it"),
        (differing, "fact 3 stands there twice, with other bytes"),
    ):
        breaches = [one for one in check(log) if one.about == "case/c-1"]
        assert [(one.invariant, one.sentence) for one in breaches] == [(8, sentence)]


def test_8_a_policy_version_that_is_missing_or_cannot_be_read_is_named() -> None:
    life = started()
    life.world.say(ACME, "vendor", None, PolicyAdopted(policy_version=3, policy=Policy().model_dump_json()))
    life.world.say(ACME, "vendor", None, PolicyAdopted(policy_version=4, policy="[17]"))
    facts = replaced().state
    assert facts is not None
    life.case_says([decided(facts=facts.facts, policy_version=2)])

    assert [(one.invariant, one.sentence) for one in told(life.world)] == [
        (8, "it was decided under policy version 2, which is missing"),
        (8, "policy version 2 is missing"),
        (8, "policy version 4 cannot be read"),
    ]


def test_8_a_fact_that_cannot_follow_is_named() -> None:
    life = started()
    stream = life.world.streams[ACME, "case/c-1"]
    late = CaseClosed(outcome=Outcome.REFUSED)
    for fact in (late, late):
        head = stream[-1].head
        stream.append(CODEC.seal(ACME, case_stream(life.case), record_key(ACME, LOST), head, life.world.at, fact))

    assert named(told(life.world)) == [(8, "case c-1")]


def test_9_what_is_another_vendors_or_nobodys_is_named() -> None:
    life = replaced()
    life.world.add_vendor(ZETA)
    contact = ContactRefused(contact="C-1", serial=LOST, occurred=life.world.at, cases=(life.case,))
    foreign = CODEC.seal(ZETA, container_stream(LOST), record_key(ZETA, LOST), Head(), life.world.at, contact)
    life.world.streams[ZETA, container_stream(LOST)].append(foreign)
    life.world.streams[VendorId("nobody"), "case/c-9"].append(
        CODEC.seal(VendorId("nobody"), "case/c-9", b"nobody/3-1", Head(), life.world.at, report())
    )

    assert [(one.invariant, one.vendor, one.sentence) for one in told(life.world)] == [
        (9, "nobody", "nobody has added vendor nobody"),
        (9, "nobody", "vendor nobody has no container 3-1"),
        (9, "zeta", "vendor zeta has no case c-1"),
    ]


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
    stated = life.state.report.model_copy(update={"scope": scope, "report": "R-2"})
    case = Life(life.world, ACME, CaseId("c-2"), LOST, HolderId("h-1"))
    case.command(Report(report=stated))
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
