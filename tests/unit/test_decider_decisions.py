"""Who may decide on a case, on what, until when, and what policy decides again."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given

from events.errors import Code
from events.ports.licensing_backend import CaseKey, Reservation
from events.terms import Action, Cause, Decision, DecisionId, Mode, Outcome, Reporter, Role, Status, Undecided, Verdict
from tests.unit.facts import NOW, facts, instants, report
from tests.unit.journey import (
    BESIDE,
    BLOCKED,
    CONDITIONAL,
    DEAR,
    ELAPSED,
    ESCALATING,
    FORGOTTEN,
    MANUAL,
    NEEDS_APPROVAL,
    POLICY,
    PROVEN,
    QUOTA,
    REPLACED,
    REPORTED,
    SIGHTED,
    UNTIL,
    USED_UP,
    WATCHED,
    after,
    assessed,
    decision,
    elapsed,
    evidence,
    replaced,
    sighted,
    told,
)
from workflows.case import CaseState
from workflows.commands import Assessed, Blocked, Decide, LoseReplacement, Report
from workflows.decider import decide
from workflows.driver import reservation_for
from workflows.limits import Limits
from workflows.policy import Approval, Policy, Quota, Resurfaced, Rule


def test_a_manual_case_waits_for_a_supervisor_and_goes_on_when_approved() -> None:
    waiting, _ = after(REPORTED, NEEDS_APPROVAL)
    approved, _ = after(REPORTED, NEEDS_APPROVAL, decision(Action.APPROVE))

    assert waiting.status is Status.AWAITING_APPROVAL
    assert (approved.status, approved.decided_by) == (Status.BLOCKING, "ann")


def test_a_rejected_case_is_closed() -> None:
    state, _ = after(REPORTED, NEEDS_APPROVAL, decision(Action.REJECT))

    assert (state.status, state.outcome) == (Status.CLOSED, Outcome.REJECTED)


@pytest.mark.parametrize(
    ("attempt", "code"),
    [
        (decision(Action.APPROVE, listed=False), Code.NOT_A_SUPERVISOR),
        (decision(Action.APPROVE, by="crm"), Code.OWN_CASE),
        (decision(Action.APPROVE, by="h-1"), Code.OWN_CASE),
        (decision(Action.RULE, verdict=Verdict.FOUND), Code.NOTHING_TO_DECIDE),
    ],
)
def test_who_may_not_decide_is_denied_and_the_attempt_is_in_the_history(attempt: Decide, code: Code) -> None:
    state, written = after(REPORTED, NEEDS_APPROVAL, attempt)

    assert state.status is Status.AWAITING_APPROVAL
    assert state.denial_of(attempt.order.decision) == code
    assert written[-1].model_dump(include={"by", "code"}) == {"by": attempt.order.by, "code": code}


def test_nothing_is_decided_twice() -> None:
    state, _ = after(REPORTED, NEEDS_APPROVAL, decision(Action.APPROVE), decision(Action.REJECT, name="D-2"))

    assert state.status is Status.BLOCKING
    assert state.denial_of(DecisionId("D-2")) == Code.NOTHING_TO_DECIDE


def test_who_tries_to_decide_a_closed_case_is_denied_and_the_attempt_is_in_the_history() -> None:
    state, written = after(REPORTED, NEEDS_APPROVAL, decision(Action.REJECT), decision(Action.APPROVE, name="D-2"))

    assert state.status is Status.CLOSED
    assert written[-1].model_dump()["code"] == Code.NOTHING_TO_DECIDE


def test_a_decision_made_on_an_earlier_fact_is_stale_and_contacts_make_none() -> None:
    joined = Report(report=report(report="R-2"))
    stale, _ = after(REPORTED, NEEDS_APPROVAL, joined, decision(Action.APPROVE, on=3))
    fresh, _ = after(REPORTED, NEEDS_APPROVAL, SIGHTED, decision(Action.APPROVE, on=3))

    assert stale.denial_of(DecisionId("D-1")) == Code.STALE
    assert fresh.status is Status.BLOCKING


def test_above_a_value_two_different_supervisors_approve() -> None:
    first, _ = after(REPORTED, DEAR, decision(Action.APPROVE))
    same, _ = after(REPORTED, DEAR, decision(Action.APPROVE), decision(Action.APPROVE, name="D-2"))
    both, _ = after(REPORTED, DEAR, decision(Action.APPROVE), decision(Action.APPROVE, name="D-2", by="bob"))

    assert (first.status, first.first_approval) == (Status.AWAITING_APPROVAL, "ann")
    assert same.denial_of(DecisionId("D-2")) == Code.SAME_SUPERVISOR
    assert both.status is Status.BLOCKING


SECOND = Report(report=report(rules_version=2))


def test_the_first_of_two_approvals_is_void_once_that_person_has_reported_the_loss() -> None:
    first = (SECOND, DEAR, decision(Action.APPROVE))
    ann = Report(report=report(report="R-2", reporter=Reporter(role=Role.BACK_OFFICE, name="ann")))
    by_bob, by_cy = (decision(Action.APPROVE, name=f"D-{by}", by=by) for by in ("bob", "cy"))
    taken, _ = after(*first, ann, by_bob)
    on_its_way, _ = after(*first, by_bob.model_copy(update={"reporters": ("ann",)}))
    both, _ = after(*first, ann, by_bob, by_cy)

    waits = (Status.AWAITING_APPROVAL, "bob")
    assert [(one.status, one.standing_approval) for one in (taken, on_its_way)] == [waits, waits]
    assert both.status is Status.BLOCKING


def test_a_condition_of_the_first_of_two_approvals_holds_unless_the_second_names_another() -> None:
    conditional = decision(Action.APPROVE, condition="the police report", condition_days=10)
    plain, _ = after(SECOND, DEAR, conditional, decision(Action.APPROVE, name="D-2", by="bob"))
    other = decision(Action.APPROVE, name="D-2", by="bob", condition="the invoice", condition_days=3)
    another, _ = after(SECOND, DEAR, conditional, other)
    anew, _ = after(SECOND, DEAR, decision(Action.APPROVE), other)

    assert (plain.condition, plain.condition_days) == ("the police report", 10)
    assert [(one.condition, one.condition_days) for one in (another, anew)] == [("the invoice", 3)] * 2


def test_who_does_not_decide_in_time_is_reminded_and_then_the_case_is_escalated_to_those_named() -> None:
    asked = (REPORTED, assessed(ESCALATING), elapsed(24, ESCALATING), elapsed(48, ESCALATING))
    escalated, written = after(*asked)
    other, _ = after(*asked, decision(Action.APPROVE))
    named, _ = after(*asked, decision(Action.APPROVE, by="bob"))

    assert told(written)[-2:] == ["approval.reminded", "approval.overdue"]
    assert (escalated.status, escalated.escalated_to) == (Status.ESCALATED, ("bob",))
    assert other.denial_of(DecisionId("D-1")) == Code.NOT_ESCALATED_TO
    assert named.status is Status.BLOCKING


@pytest.mark.parametrize(
    ("undecided", "status"),
    [(Undecided.REJECT, Status.CLOSED), (Undecided.KEEP_WAITING, Status.AWAITING_APPROVAL)],
)
def test_nobody_deciding_is_never_an_approval(undecided: Undecided, status: Status) -> None:
    policy = Policy(rules=(Rule(mode=Mode.MANUAL, approval=Approval(due_hours=48, undecided=undecided)),))
    state, _ = after(REPORTED, assessed(policy), elapsed(48, policy))

    assert state.status is status
    assert state.outcome in (None, Outcome.REJECTED)
    assert decide(state, elapsed(96, policy)) == []


def test_beyond_the_quota_goodwill_is_granted_by_name_by_those_who_may() -> None:
    def state(**more: Any) -> CaseState:
        return after(REPORTED, USED_UP, decision(Action.APPROVE, policy=QUOTA, **more))[0]

    assert state().denial_of(DecisionId("D-1")) == Code.BEYOND_QUOTA
    assert state(goodwill=True).denial_of(DecisionId("D-1")) == Code.NO_GOODWILL
    granted, written = after(REPORTED, USED_UP, decision(Action.APPROVE, by="bob", policy=QUOTA, goodwill=True))
    assert granted.status is Status.BLOCKING
    assert written[-1].model_dump(include={"by", "goodwill"}) == {"by": "bob", "goodwill": True}


def test_evidence_that_was_missing_has_policy_decide_again() -> None:
    missing, _ = after(REPORTED, assessed(PROVEN))
    given, written = after(REPORTED, assessed(PROVEN), evidence("police_report"))
    other, _ = after(REPORTED, assessed(PROVEN), evidence("photo"))

    assert missing.status is other.status is Status.AWAITING_APPROVAL
    assert (given.status, given.evidence) == (Status.BLOCKING, ("police_report",))
    assert told(written).count("evidence.given") == 1


def test_a_supervisor_asks_for_evidence_and_the_case_goes_on_waiting() -> None:
    state, _ = after(
        REPORTED, NEEDS_APPROVAL, decision(Action.ASK, evidence=("photo",)), evidence("photo", policy=MANUAL)
    )

    assert (state.status, state.asked, state.evidence) == (Status.AWAITING_APPROVAL, ("photo",), ("photo",))


def test_an_approval_on_a_condition_is_a_stop_gap_until_it_is_met_and_lapses_by_itself() -> None:
    bridged, _ = after(REPORTED, NEEDS_APPROVAL, CONDITIONAL, BLOCKED, REPLACED)
    met, _ = after(REPORTED, NEEDS_APPROVAL, CONDITIONAL, BLOCKED, REPLACED, decision(Action.MEET, "D-2"))
    whole, _ = after(
        *(REPORTED, NEEDS_APPROVAL, CONDITIONAL, BLOCKED, REPLACED, decision(Action.MEET, "D-2")), replaced(POLICY)
    )
    lapsed, _ = after(REPORTED, NEEDS_APPROVAL, CONDITIONAL, BLOCKED, REPLACED, ELAPSED)

    assert (bridged.status, bridged.watch_until) == (Status.WATCHING, NOW + timedelta(days=14))
    assert met.status is Status.REPLACING
    assert (whole.status, whole.watch_until, whole.owes) == (Status.WATCHING, UNTIL, False)
    assert (lapsed.status, lapsed.outcome) == (Status.CLOSED, Outcome.LAPSED)


def test_where_no_licence_is_issued_no_condition_can_be_set() -> None:
    state, _ = after(FORGOTTEN, NEEDS_APPROVAL, CONDITIONAL)

    assert state.denial_of(DecisionId("D-1")) == Code.NO_CONDITION


def test_where_other_cases_replace_what_was_lost_no_condition_can_be_set() -> None:
    state, _ = after(BESIDE, Assessed(at=NOW, facts=facts(), policy=MANUAL, reservation=None), CONDITIONAL)

    assert state.denial_of(DecisionId("D-1")) == Code.NO_CONDITION


@pytest.mark.parametrize("cause", [Cause.FOUND, Cause.RETURNED])
def test_policy_rules_by_itself_on_what_came_back_but_never_on_a_sighting(cause: Cause) -> None:
    policy = Policy(rules=(Rule(resurfaced=Resurfaced(found=Verdict.FOUND, returned=Verdict.DAMAGED)),))
    back, _ = after(*WATCHED, sighted("back/1", cause, policy))
    seen, _ = after(*WATCHED, sighted(policy=policy))

    assert back.outcome is {Cause.FOUND: Outcome.FOUND, Cause.RETURNED: Outcome.DAMAGED}[cause]
    assert seen.status is Status.RESURFACED


def test_a_condition_cannot_be_met_any_more_once_the_replacement_is_lost() -> None:
    approved = decision(Action.APPROVE, condition="a police report", condition_days=10)
    lost = (BLOCKED, replaced(MANUAL), LoseReplacement(to="case-2"))
    state, _ = after(REPORTED, NEEDS_APPROVAL, approved, *lost, decision(Action.MEET, name="D-2"))

    assert state.denial_of("D-2") == Code.REPLACEMENT_LOST
    assert state.status is Status.WATCHING


@given(occurred=instants)
def test_deadlines_count_from_our_clock_whatever_time_a_contact_claims(occurred: datetime) -> None:
    approval = Approval(due_hours=48, remind_hours=24)
    policy = Policy(rules=(Rule(mode=Mode.HYBRID, limits=Limits(), wait_hours=24, approval=approval),))
    waiting = (REPORTED, assessed(policy), Blocked(at=NOW, policy=policy))
    state, _ = after(*waiting, sighted(occurred=occurred, policy=policy))

    if occurred > REPORTED.report.occurred:
        assert (state.status, state.due) == (Status.AWAITING_APPROVAL, NOW + timedelta(hours=48))
    else:
        assert state.status is Status.WAITING


def test_contacts_after_the_one_that_sent_a_case_to_a_person_make_no_decision_stale() -> None:
    policy = Policy(rules=(Rule(mode=Mode.HYBRID, limits=Limits(), wait_hours=24),))
    waiting = (REPORTED, assessed(policy), Blocked(at=NOW, policy=policy))
    first = sighted("contact/1", occurred=NOW + timedelta(hours=1), policy=policy)
    second = sighted("contact/2", occurred=NOW + timedelta(hours=2), policy=policy)
    suspected, _ = after(*waiting, first)
    state, _ = after(*waiting, first, second)

    assert suspected.status is Status.AWAITING_APPROVAL
    assert state.material == suspected.material


@given(occurred=instants)
def test_a_contact_never_has_policy_ask_a_quota_that_a_supervisor_did_without(occurred: datetime) -> None:
    limits = Limits(evidence=("police_report",), contact_after_loss=False)
    policy = Policy(rules=(Rule(mode=Mode.HYBRID, quota=Quota(recoveries=1), limits=limits, wait_hours=24),))
    approved = (REPORTED, assessed(policy), decision(Action.APPROVE, policy=policy), Blocked(at=NOW, policy=policy))
    proven = evidence("police_report", policy=policy)
    state, _ = after(*approved, proven, sighted(occurred=occurred, policy=policy))

    assert (state.status, state.decision) == (Status.WAITING, Decision.NEEDS_APPROVAL)


def test_who_reported_what_joined_a_case_does_not_decide_it_be_the_case_told_of_the_report_or_not() -> None:
    joined = Report(report=report(report="R-2", reporter=Reporter(role=Role.BACK_OFFICE, name="ann")))
    told_of, _ = after(REPORTED, NEEDS_APPROVAL, joined, decision(Action.APPROVE))
    untold = decision(Action.APPROVE).model_copy(update={"reporters": ("ann",)})
    beyond, _ = after(REPORTED, NEEDS_APPROVAL, untold)
    other, _ = after(REPORTED, NEEDS_APPROVAL, joined, decision(Action.APPROVE, by="bob"))

    for state in (told_of, beyond):
        assert (state.status, state.denial_of(DecisionId("D-1"))) == (Status.AWAITING_APPROVAL, Code.OWN_CASE)
    assert other.status is Status.BLOCKING


@pytest.mark.parametrize(
    ("version", "asked", "approved"),
    [(1, False, None), (2, True, Code.BEYOND_QUOTA)],
    ids=["as running cases go on", "as cases are opened now"],
)
def test_a_quota_is_asked_also_where_a_limit_is_exceeded_from_the_second_version_of_the_rules_on(
    version: int, asked: bool, approved: Code | None
) -> None:
    limits = Limits(evidence=("police_report",))
    policy = Policy(rules=(Rule(mode=Mode.HYBRID, quota=Quota(recoveries=1, goodwill=("bob",)), limits=limits),))
    opened = Report(report=report(rules_version=version))
    key = CaseKey(vendor="acme", case="c-1", serial="3-1")
    known = assessed(policy)

    question = reservation_for(after(opened)[0], key, known.facts, policy)
    used_up = known.model_copy(update={"reservation": Reservation(at=NOW, ordinal=None, limit=1) if question else None})
    state, _ = after(opened, used_up, decision(Action.APPROVE, policy=policy))

    assert (question is not None) is asked
    assert state.denial_of(DecisionId("D-1")) == approved
    assert (state.status is Status.BLOCKING) is (approved is None)
