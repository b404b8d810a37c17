"""Rules of a case that hold from version 2 of the rules on, each in a whole story in memory."""

from datetime import timedelta

import pytest

from audit.invariants import check
from events.errors import Code, RefusalError
from events.rules import as_of
from events.terms import Action, CaseId, Kind, Mode, Outcome, PotName, QuotaSubject, Reason, Reporter, Role, Status
from simulation.world import World
from tests.unit.facts import report
from tests.unit.journey import (
    ASSESSED,
    BLOCKED,
    FAILED,
    FOUND,
    OVERTAKEN,
    REINSTATE,
    REPLACED,
    RETURNED,
    after,
    assessed,
    decision,
    evidence,
)
from workflows.commands import Command, LoseReplacement, Report
from workflows.limits import Limits
from workflows.policy import Policy, Quota, Resurfaced, Rule

CRM = Reporter(role=Role.BACK_OFFICE, name="crm")
H1 = Reporter(role=Role.HOLDER, name="h-1")


def dongles(policy: Policy | None = None, spares: int = 1) -> World:
    """A vendor with a dongle that holds a licence, and spare ones of the same holder."""
    world = World(policy or Policy(supervisors=("ann",)))
    for number in range(1, spares + 2):
        world.register(f"D-{number}", Kind.DONGLE, "h-1")
    world.licence("L-1", "D-1")
    return world


@pytest.mark.parametrize("activity", ["issue", "block"])
def test_a_case_that_is_stuck_before_it_issued_is_cancelled_when_its_container_is_found(activity: str) -> None:
    world = dongles()
    world.break_activity(activity, None)
    case = world.report("R-1", "D-1", Kind.DONGLE, Reason.LOST, CRM)
    assert world.cases[case].status is Status.STUCK

    world.found("F-1", "D-1", H1)
    world.mend()
    with pytest.raises(RefusalError) as refused:
        world.decide(case, "resume", "ann", "d-1")

    assert refused.value.code is Code.NOTHING_TO_DECIDE
    assert world.cases[case].outcome is Outcome.CANCELLED
    assert world.effective() == {"L-1": [1]}


@pytest.mark.parametrize("verdict", [None, "damaged"])
def test_what_is_found_while_a_case_is_stuck_later_resurfaces_when_it_is_resumed(verdict: str | None) -> None:
    rule = Rule(resurfaced=Resurfaced.model_validate({"found": verdict}))
    world = dongles(Policy(supervisors=("ann",), rules=(rule,)))
    case = world.report("R-1", "D-1", Kind.DONGLE, Reason.DAMAGED, CRM)
    world.break_activity("issue", None)
    world.returned("B-1", "D-1", CRM)
    state = world.cases[case]
    assert (state.status, state.target) == (Status.STUCK, "D-2")

    world.found("F-1", "D-1", H1)
    world.mend()
    with pytest.raises(RefusalError) as refused:
        world.decide(case, "resume", "ann", "d-1", on=state.material)
    world.decide(case, "resume", "ann", "d-2")

    assert refused.value.code is Code.STALE
    after = world.cases[case]
    assert (after.status, after.outcome) == ((Status.CLOSED, Outcome.DAMAGED) if verdict else (Status.RESURFACED, None))
    assert after.sightings == state.sightings + 1
    assert world.effective() == {"L-1": [2]}


def test_a_case_that_was_overtaken_goes_to_a_person_before_its_full_replacement() -> None:
    world = dongles()
    mild = world.report("R-1", "D-1", Kind.DONGLE, Reason.DAMAGED, CRM)
    world.advance(timedelta(days=1))
    theft = world.report("R-2", "D-1", Kind.DONGLE, Reason.STOLEN, CRM)
    assert theft != mild

    world.returned("B-1", "D-1", CRM)

    assert world.cases[mild].status is Status.AWAITING_APPROVAL
    assert world.effective() == {"L-1": [2]}
    with pytest.raises(RefusalError) as refused:
        world.decide(mild, "cancel", "ann", "d-1")
    assert refused.value.code is Code.TOO_LATE
    world.decide(mild, "approve", "ann", "d-2")
    assert world.cases[mild].outcome is Outcome.RETURNED
    assert world.effective() == {"L-1": [3]}


def test_what_is_found_while_a_person_decides_on_the_full_replacement_resurfaces() -> None:
    world = dongles()
    mild = world.report("R-1", "D-1", Kind.DONGLE, Reason.DAMAGED, CRM)
    world.report("R-2", "D-1", Kind.DONGLE, Reason.STOLEN, CRM)
    world.returned("B-1", "D-1", CRM)

    world.found("F-1", "D-1", H1)

    assert world.cases[mild].status is Status.RESURFACED


def test_an_unloss_whose_replacement_is_lost_in_turn_is_not_resumed() -> None:
    world = dongles()
    case = world.report("R-1", "D-1", Kind.DONGLE, Reason.LOST, CRM)
    world.found("F-1", "D-1", CRM)
    world.break_activity("withdraw", None)
    world.decide(case, "rule", "ann", "d-1", verdict="found", reinstate=True)
    world.report("R-2", "D-2", Kind.DONGLE, Reason.LOST, CRM)
    state = world.cases[case]
    assert (state.status, bool(state.replacement_lost)) == (Status.STUCK, True)

    world.mend()
    with pytest.raises(RefusalError) as refused:
        world.decide(case, "resume", "ann", "d-2")
    world.decide(case, "rule", "ann", "d-3", verdict="found")

    assert refused.value.code is Code.REPLACEMENT_LOST
    assert world.cases[case].outcome is Outcome.FOUND


def under(version: int, *journey: Command, **more: str) -> tuple[Command, ...]:
    """A journey of a case that was opened under a version of the rules."""
    return Report(report=report(rules_version=version, **more)), *journey


def test_evidence_that_was_given_while_a_case_was_stuck_counts_when_policy_decides() -> None:
    policy = Policy(rules=(Rule(mode=Mode.HYBRID, limits=Limits(evidence=("photo",))),))
    proven = (FAILED, evidence("photo"), decision(Action.RESUME), assessed(policy))
    first, second = (after(*under(version, *proven))[0] for version in (1, 2))
    assert (first.status, second.status) == (Status.AWAITING_APPROVAL, Status.BLOCKING)


def test_a_case_under_the_first_rules_goes_on_as_before() -> None:
    stuck = under(1, ASSESSED, FAILED)
    resume = decision(Action.RESUME, "D-9")
    assert after(*stuck, FOUND)[0].material == after(*stuck)[0].material
    assert after(*stuck, FOUND, resume)[0].status is Status.BLOCKING

    unloss = (ASSESSED, BLOCKED, REPLACED, FOUND, REINSTATE, FAILED, LoseReplacement(to="other"), resume)
    first, second = (after(*under(version, *unloss))[0] for version in (1, 2))
    assert (first.status, second.status) == (Status.REINSTATING, Status.STUCK)

    bridged = (ASSESSED, BLOCKED, REPLACED, OVERTAKEN, RETURNED)
    first, second = (after(*under(version, *bridged, reason="damaged"))[0] for version in (1, 2))
    assert (first.status, second.status) == (Status.REPLACING, Status.AWAITING_APPROVAL)


def two_cases_undone(first_confirmed: bool) -> tuple[World, CaseId, CaseId]:
    """Two cases block a dongle; un-loss of the second lifted what it could, and waits for the first, which is stuck."""
    world = World(Policy(supervisors=("ann",)))
    world.register("D-1", Kind.DONGLE, "h-1")
    world.licence("L-1", "D-1")
    first = world.report("R-1", "D-1", Kind.DONGLE, Reason.LOST, CRM)
    world.licence("L-2", "D-1")
    second = world.report("R-2", "D-1", Kind.DONGLE, Reason.LOST, CRM)
    world.decide(first, "approve", "ann", "d-0")  # a wider loss sent it to a person
    if first_confirmed:
        world.contact("c-1", "D-1")
    world.found("F-1", "D-1", CRM)
    world.decide(first, "rule", "ann", "d-1", verdict="found")
    world.decide(second, "rule", "ann", "d-2", verdict="found")
    assert [world.cases[case].status for case in (first, second)] == [Status.STUCK, Status.REINSTATING]
    return world, first, second


@pytest.mark.parametrize("confirmed", [False, True])
@pytest.mark.parametrize("verdict", ["fraud", "clone", "used_after_loss", "damaged"])
def test_any_verdict_but_found_locks_what_an_unloss_had_unlocked(verdict: str, confirmed: bool) -> None:
    world, first, second = two_cases_undone(confirmed)

    world.decide(second, "rule", "ann", "d-3", verdict=verdict)
    world.decide(first, "resume", "ann", "d-4")

    assert world.cases[second].outcome == verdict
    assert (world.cases[first].status, world.effective()) == (Status.STUCK, {"L-1": [], "L-2": []})
    assert world.contact("c-9", "D-1").refused
    assert check(world.facts) == []


def test_both_originals_are_reinstated_once_both_cases_have_lifted_their_measures() -> None:
    world, first, second = two_cases_undone(False)

    world.decide(first, "resume", "ann", "d-4")

    assert [world.cases[case].outcome for case in (first, second)] == [Outcome.FOUND] * 2
    assert world.effective() == {"L-1": [1], "L-2": [1]}


def test_a_report_that_asks_for_more_measures_than_the_rule_ordered_before_blocks() -> None:
    rules = (Rule(reasons=(Reason.LOST,), measures=()), Rule())
    world = dongles(Policy(supervisors=("ann",), rules=rules), spares=0)
    lost = world.report("R-1", "D-1", Kind.DONGLE, Reason.LOST, CRM)
    assert world.cases[lost].status is Status.AWAITING_TARGET

    stolen = world.report("R-2", "D-1", Kind.DONGLE, Reason.STOLEN, CRM)

    assert stolen != lost
    assert (world.contact("c-1", "D-1").refused, world.effective()) == (True, {"L-1": []})
    assert world.cases[lost].status is Status.AWAITING_APPROVAL


@pytest.mark.parametrize("value", [0, 1_000_000])
def test_beyond_the_quota_only_goodwill_approves_whatever_else_sent_the_case_to_a_person(value: int) -> None:
    quota, limits = Quota(recoveries=1, goodwill=("boss",)), Limits(value_above_cents=1000)
    rule = Rule(mode=Mode.HYBRID, quota=quota, limits=limits)
    world = dongles(Policy(supervisors=("ann", "boss"), rules=(rule,)), spares=3)
    world.licence("L-2", "D-2", value_cents=value)
    world.report("R-1", "D-1", Kind.DONGLE, Reason.LOST, CRM)
    case = world.report("R-2", "D-2", Kind.DONGLE, Reason.LOST, CRM)
    state = world.cases[case]
    assert (state.status, state.beyond_quota) == (Status.AWAITING_APPROVAL, True)
    assert "1 of 1 recoveries in 365 days are used for this holder" in state.reasons

    refused = []
    for number, (by, more) in enumerate((("ann", {}), ("ann", {"goodwill": True}), ("boss", {}))):
        with pytest.raises(RefusalError) as refusal:
            world.decide(case, "approve", by, f"d-{number}", why="as I see it", **more)
        refused.append(refusal.value.code)
    world.decide(case, "approve", "boss", "d-9", why="as I see it", goodwill=True)

    assert set(refused) == {Code.NO_GOODWILL, Code.BEYOND_QUOTA}
    assert world.effective()["L-2"] == [2]
    assert check(world.facts) == []


def test_what_a_person_must_decide_counts_in_the_quota_and_is_freed_when_it_is_rejected() -> None:
    rule = Rule(mode=Mode.HYBRID, quota=Quota(recoveries=1), limits=Limits(value_above_cents=1000))
    world = dongles(Policy(supervisors=("ann",), rules=(rule,)), spares=3)
    world.licence("L-2", "D-2", value_cents=1_000_000)
    first = world.report("R-1", "D-2", Kind.DONGLE, Reason.LOST, CRM)
    assert (world.cases[first].ordinal, world.cases[first].limit) == (1, 1)

    second = world.report("R-2", "D-1", Kind.DONGLE, Reason.LOST, CRM)
    world.decide(first, "reject", "ann", "d-1")
    world.licence("L-3", "D-3")
    third = world.report("R-3", "D-3", Kind.DONGLE, Reason.LOST, CRM)

    assert [world.cases[case].decision for case in (second, third)] == ["needs_approval", "automatic"]


def cad_and_plm(cad: Quota, plm: Quota) -> World:
    """Dongles of one holder: the first holds cad and plm, which are under two rules, the others plm alone."""
    rules = tuple(
        Rule(products=(name,), mode=Mode.HYBRID, quota=quota, limits=Limits(contact_after_loss=False))
        for name, quota in (("cad", cad), ("plm", plm))
    )
    world = World(Policy(supervisors=("ann", "boss"), rules=rules))
    for number in range(1, 9):
        world.register(f"D-{number}", Kind.DONGLE, "h-1")
    world.licence("L-0", "D-1", product="cad")
    for number in range(1, 4):
        world.licence(f"L-{number}", f"D-{number}", product="plm")
    return world


def test_a_loss_under_two_rules_counts_in_the_quota_of_each() -> None:
    world = cad_and_plm(Quota(per=QuotaSubject.PRODUCT, recoveries=1), Quota(recoveries=2, goodwill=("boss",)))
    cases = [world.report(f"R-{n}", f"D-{n}", Kind.DONGLE, Reason.LOST, CRM) for n in (1, 2, 3)]

    with pytest.raises(RefusalError) as refused:
        world.decide(cases[2], "approve", "boss", "d-1")

    assert [world.cases[case].decision for case in cases] == ["automatic", "automatic", "needs_approval"]
    assert (world.cases[cases[0]].ordinal, world.cases[cases[0]].limit) == (1, 1)
    assert [(one.ordinal, one.limit) for one in world.cases[cases[0]].quotas] == [(1, 1), (1, 2)]
    assert refused.value.code is Code.BEYOND_QUOTA
    assert check(world.facts) == []


def test_beyond_the_quota_of_one_rule_of_two_whom_that_rule_names_grants_goodwill() -> None:
    world = cad_and_plm(
        Quota(per=QuotaSubject.PRODUCT, recoveries=1, goodwill=("ann",)),
        Quota(recoveries=1, pot=PotName("plm"), goodwill=("boss",)),
    )
    world.report("R-2", "D-2", Kind.DONGLE, Reason.LOST, CRM)
    case = world.report("R-1", "D-1", Kind.DONGLE, Reason.LOST, CRM)
    state = world.cases[case]

    with pytest.raises(RefusalError) as refused:
        world.decide(case, "approve", "ann", "d-1", why="as I see it", goodwill=True)
    world.decide(case, "approve", "boss", "d-2", why="as I see it", goodwill=True)

    assert state.reasons == ("1 of 1 recoveries in 365 days are used for this holder, by the rule for plm",)
    assert [one.used_up for one in state.quotas] == [False, True]
    assert refused.value.code is Code.NO_GOODWILL
    assert world.effective()["L-0"] == [2]
    assert check(world.facts) == []


def test_a_case_under_two_rules_that_recovers_nothing_frees_what_both_had_set_aside() -> None:
    world = cad_and_plm(Quota(per=QuotaSubject.PRODUCT, recoveries=1), Quota(recoveries=1, pot=PotName("plm")))
    world.break_activity("issue", None)
    first = world.report("R-1", "D-1", Kind.DONGLE, Reason.LOST, CRM)
    world.mend()
    world.decide(first, "give_up", "ann", "d-1")

    again = world.report("R-2", "D-1", Kind.DONGLE, Reason.LOST, CRM)

    assert world.cases[again].decision == "automatic"
    assert check(world.facts) == []


def test_a_report_joins_the_open_case_and_not_a_closed_one_and_its_reporter_does_not_approve_that() -> None:
    rule = Rule(mode=Mode.HYBRID, limits=Limits(value_above_cents=1000))
    world = dongles(Policy(supervisors=("ann",), rules=(rule,)), spares=2)
    old = world.report("R-1", "D-1", Kind.DONGLE, Reason.LOST, CRM)
    world.advance(timedelta(days=400))
    assert world.cases[old].status is Status.CLOSED
    world.licence("L-2", "D-1", value_cents=100_000)
    case = world.report("R-2", "D-1", Kind.DONGLE, Reason.LOST, CRM)

    joined = world.report("R-3", "D-1", Kind.DONGLE, Reason.LOST, Reporter(role=Role.BACK_OFFICE, name="ann"))
    with pytest.raises(RefusalError) as refused:
        world.decide(case, "approve", "ann", "d-1")

    assert (joined, refused.value.code) == (case, Code.OWN_CASE)


def test_a_rule_says_what_the_last_change_up_to_the_cases_version_says() -> None:
    changes = {5: "newest", 1: "first", 3: "third"}

    assert [as_of(version, changes) for version in range(1, 7)] == [
        *("first", "first", "third", "third", "newest", "newest"),
    ]
