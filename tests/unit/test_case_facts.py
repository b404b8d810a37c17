"""What a case states: its facts carry all that the command brought, and the state keeps what they say."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from events.case_facts import QuotaAnswer, QuotasAsked
from events.errors import Code
from events.ports.licensing_backend import Reservation
from events.ports.loss_cases import Evidence
from events.terms import Action, Cause, Kind, Mode, Outcome, Reason, Status, Undecided, Verdict
from tests.unit.facts import NOW, facts, licence, report
from tests.unit.journey import (
    BLOCKED,
    CONDITIONAL,
    DAMAGED,
    DEAR,
    ELAPSED,
    ESCALATING,
    FAILED,
    FORGOTTEN,
    FOUND,
    HOUR,
    MANUAL,
    NEEDS_APPROVAL,
    NO_TARGET,
    OFFERED,
    PHOTO,
    POLICY,
    QUOTA,
    REINSTATE,
    REPLACED,
    REPORTED,
    RETURNED,
    SIGHTED,
    TWO,
    USED_UP,
    WAITS,
    WATCHED,
    after,
    assessed,
    decision,
    divided,
    elapsed,
    evidence,
    replaced,
    sighted,
    step,
    told,
)
from workflows.case import DECISIONS_KEPT, EVIDENCE_KEPT, UnexpectedFactError, fold
from workflows.commands import (
    Blocked,
    Bring,
    Command,
    Decide,
    Elapsed,
    LoseReplacement,
    NoTarget,
    Reinstated,
    Report,
    Settled,
    Withdrawn,
)
from workflows.decider import ENROLMENT, decide, rule_of
from workflows.limits import Limits
from workflows.policy import Approval, Policy, Quota, Resurfaced, Rule, decide_report, loss_of

WHOLE = {"part": 1, "parts": 1}
NAMED: dict[str, Any] = {"decision": "D-1", "by": "ann", "why": "as I see it"}
UNCONDITIONAL = {"condition": None, "condition_days": None}
BACK = Policy(rules=(Rule(resurfaced=Resurfaced(found=Verdict.FOUND)),))
SEEN = {"statement": "contact/1", "cause": "sighting", "occurred": NOW, "ordinal": None}


@pytest.mark.parametrize(
    ("journey", "stated"),
    [
        (
            (REPORTED, DEAR, decision(Action.APPROVE)),
            {"approval.given": {**NAMED, "condition": None, "condition_days": None}},
        ),
        (
            (REPORTED, DEAR, decision(Action.APPROVE, "D-0", by="bob"), decision(Action.APPROVE, goodwill=True)),
            {"case.approved": {**NAMED, "goodwill": True, "condition": None, "condition_days": None}},
        ),
        (
            (REPORTED, NEEDS_APPROVAL, CONDITIONAL),
            {"case.approved": {**NAMED, "goodwill": False, "condition": "the police report", "condition_days": 14}},
        ),
        (
            (REPORTED, NEEDS_APPROVAL, decision(Action.APPROVE, listed=False)),
            {"decision.denied": {"decision": "D-1", "action": "approve", "by": "ann", "code": "not_a_supervisor"}},
        ),
        (
            (REPORTED, NEEDS_APPROVAL, decision(Action.REJECT)),
            {"case.rejected": NAMED, "case.closed": {"outcome": "rejected"}},
        ),
        (
            (REPORTED, NEEDS_APPROVAL, decision(Action.ASK, evidence=("photo",))),
            {"evidence.asked": {**NAMED, "evidence": ("photo",)}},
        ),
        (
            (REPORTED, NEEDS_APPROVAL, decision(Action.CANCEL)),
            {"case.cancelled": {**NAMED, "statement": None}, "case.closed": {"outcome": "cancelled"}},
        ),
        (
            (REPORTED, NEEDS_APPROVAL, FOUND),
            {
                "case.cancelled": {"decision": None, "by": None, "statement": "found/1", "why": ""},
                "case.closed": {"outcome": "cancelled"},
            },
        ),
        (
            (REPORTED, NEEDS_APPROVAL, evidence("photo", policy=MANUAL)),
            {
                "evidence.given": {
                    "statement": "evidence/1",
                    "by": "ann",
                    "evidence": ("photo",),
                    "files": (PHOTO.model_dump(),),
                    "on_behalf_of": "h-1",
                }
            },
        ),
        ((REPORTED, assessed(WAITS), Blocked(at=NOW, policy=WAITS)), {"waiting.begun": {"until": NOW + 24 * HOUR}}),
        ((REPORTED, assessed(), BLOCKED), {"replacing.begun": {}}),
        ((REPORTED, assessed(), BLOCKED, NO_TARGET), {"target.awaited": {"tickets": ("T-1",), "until": None, **WHOLE}}),
        (
            (FORGOTTEN, assessed(), BLOCKED, NoTarget(at=NOW, tickets=())),
            {"target.awaited": {"tickets": (), "until": NOW + ENROLMENT[1], **WHOLE}},
        ),
        ((REPORTED, assessed(), BLOCKED, NO_TARGET, OFFERED), {"target.offered": {"serial": "3-2"}}),
        ((REPORTED, assessed(), FAILED), {"case.stuck": {"code": FAILED.code, "cause": FAILED.cause}}),
        (
            (REPORTED, assessed(), FAILED, decision(Action.RESUME)),
            {"case.resumed": {**NAMED, "into": "blocking"}},
        ),
        (
            (REPORTED, assessed(), FAILED, decision(Action.GIVE_UP)),
            {"case.given_up": NAMED, "case.closed": {"outcome": "given_up"}},
        ),
        (WATCHED, {"watch.begun": {"target": "3-2", "until": NOW + timedelta(days=30)}}),
        ((*WATCHED, SIGHTED, sighted("contact/2")), {"case.sighted": {**SEEN, "statement": "contact/2"}}),
        ((REPORTED, NEEDS_APPROVAL, SIGHTED), {"case.sighted": SEEN}),
        (
            (*WATCHED, sighted("found/1", Cause.FOUND, BACK)),
            {
                "case.resurfaced": {**SEEN, "statement": "found/1", "cause": "found"},
                "case.ruled": {
                    **{"decision": None, "by": None, "verdict": "found"},
                    **{"why": "policy rules so", "reinstate": False},
                },
                "case.closed": {"outcome": "found"},
            },
        ),
        (
            (*WATCHED, SIGHTED, decision(Action.RULE, verdict=Verdict.CLONE)),
            {
                "case.ruled": {**NAMED, "verdict": "clone", "reinstate": False},
                "case.closed": {"outcome": "clone"},
            },
        ),
        (
            (*WATCHED, FOUND, decision(Action.RULE, verdict=Verdict.FOUND, reinstate=True)),
            {"case.ruled": {**NAMED, "verdict": "found", "reinstate": True}},
        ),
        (
            (*WATCHED, FOUND, REINSTATE, Withdrawn(), Reinstated(serial="3-1")),
            {"case.reinstated": {"serial": "3-1"}, "case.closed": {"outcome": "found"}},
        ),
        ((*WATCHED, LoseReplacement(to="c-2")), {"replacement.lost": {"case": "c-2"}}),
        ((DAMAGED, *WATCHED[1:], RETURNED), {"case.returned": {"statement": "returned/1", "occurred": NOW}}),
        (
            (DAMAGED, NEEDS_APPROVAL, RETURNED, decision(Action.APPROVE), BLOCKED, REPLACED),
            {
                "watch.begun": {"target": "3-2", "until": NOW + timedelta(days=30)},
                "case.returned": {"statement": "returned/1", "occurred": NOW},
            },
        ),
        (
            (REPORTED, NEEDS_APPROVAL, CONDITIONAL, BLOCKED, REPLACED, decision(Action.MEET, "D-2")),
            {"condition.met": {**NAMED, "decision": "D-2"}},
        ),
        ((REPORTED, assessed(ESCALATING), elapsed(24, ESCALATING)), {"approval.reminded": {}}),
        (
            (REPORTED, assessed(ESCALATING), elapsed(48, ESCALATING)),
            {"approval.overdue": {"undecided": "escalate", "escalated_to": ("bob",)}},
        ),
        ((*WATCHED, ELAPSED), {"case.closed": {"outcome": "lost_for_ever"}}),
    ],
)
def test_a_fact_carries_all_that_the_command_brought(journey: tuple[Command, ...], stated: dict[str, Any]) -> None:
    before = after(*journey[:-1])[0]

    assert {fact.name: fact.model_dump() for fact in step(before, journey[-1])} == stated


def test_a_report_and_the_decision_on_it_are_known_in_full() -> None:
    reserved = Reservation(at=NOW, ordinal=1, limit=1)
    within, _ = after(REPORTED, assessed(QUOTA, reserved))
    beyond, _ = after(REPORTED, USED_UP)
    opened, _ = after(REPORTED, Report(report=report(report="R-2", reporter={"role": "holder", "name": "h-1"})))

    assert (opened.report, opened.reports, opened.reporters) == (report(), ("R-1", "R-2"), ("crm", "h-1"))
    assert (opened.sequence, opened.material) == (2, 2)
    assert (opened.holder, opened.licences, opened.owes, opened.beyond_quota) == (None, (), False, False)
    assert (within.policy_version, within.ordinal, within.limit, within.beyond_quota) == (1, 1, 1, False)
    assert (within.facts, within.holder, within.licences) == (facts(licence()), "h-1", (licence(),))
    assert (beyond.ordinal, beyond.limit, beyond.beyond_quota, beyond.decision) == (None, 1, True, "needs_approval")


def test_what_several_quotas_answered_is_stated_before_the_decision_and_again_only_when_it_is_another_answer() -> None:
    anew, same = Report(report=report(rules_version=2)), evidence("photo", policy=TWO)
    within, stated = after(anew, divided((False, False)))
    one, other = divided((True, False)), divided((False, True))
    again = same.model_copy(update={"reservation": other.reservation})
    kept, nothing = after(anew, one, same.model_copy(update={"reservation": one.reservation}))
    beyond, changed = after(anew, one, again)

    assert told(stated) == ["loss.reported", "scope.known", "quotas.asked", "case.decided"]
    assert [(one.ordinal, one.limit) for one in within.quotas] == [(1, 1), (1, 2)]
    assert (within.ordinal, within.limit, within.beyond_quota) == (1, 1, False)
    assert told(nothing)[-2:] == ["case.decided", "evidence.given"]
    assert [one.used_up for one in kept.quotas] == [True, False]
    assert told(changed)[-3:] == ["evidence.given", "quotas.asked", "case.decided"]
    assert [one.used_up for one in beyond.quotas] == [False, True]
    assert (beyond.limit, beyond.beyond_quota) == (2, True)


def test_the_answers_of_more_than_200_quotas_are_stated_in_parts() -> None:
    answers = tuple(QuotaAnswer(ordinal=1, limit=number) for number in range(1, 402))
    state, written = after(
        Report(report=report(rules_version=2)),
        assessed(QUOTA).model_copy(update={"reservation": Reservation.of(NOW, answers)}),
    )

    assert [len(fact.quotas) for fact in written if isinstance(fact, QuotasAsked)] == [200, 200, 1]
    assert state.quotas == answers


def test_what_is_due_is_forgotten_once_it_came_or_somebody_decided() -> None:
    waiting, _ = after(REPORTED, assessed(ESCALATING))
    reminded, _ = after(REPORTED, assessed(ESCALATING), elapsed(24, ESCALATING))
    overdue, _ = after(REPORTED, assessed(ESCALATING), elapsed(48, ESCALATING))
    approved, _ = after(REPORTED, assessed(ESCALATING), decision(Action.APPROVE))

    assert (waiting.remind, waiting.due) == (NOW + 24 * HOUR, NOW + 48 * HOUR)
    assert (reminded.remind, reminded.due) == (None, NOW + 48 * HOUR)
    assert (overdue.remind, overdue.due) == (approved.remind, approved.due) == (None, None)


@pytest.mark.parametrize("passes", [-1, 0])
def test_what_is_due_happens_at_its_instant_and_not_before(passes: int) -> None:
    early, moment = passes < 0, timedelta(seconds=passes)
    rejecting = Policy(rules=(Rule(mode=Mode.MANUAL, approval=Approval(due_hours=48, undecided=Undecided.REJECT)),))
    reminding = Policy(rules=(Rule(mode=Mode.MANUAL, approval=Approval(due_hours=48, remind_hours=24)),))
    waiting = (REPORTED, assessed(WAITS), Blocked(at=NOW, policy=WAITS))
    awaiting = (FORGOTTEN, assessed(), BLOCKED, NoTarget(at=NOW, tickets=()))
    for journey, policy, due in (
        ((REPORTED, assessed(rejecting)), rejecting, 48 * HOUR),
        ((REPORTED, assessed(reminding)), reminding, 24 * HOUR),
        (waiting, WAITS, 24 * HOUR),
        (awaiting, POLICY, ENROLMENT[1]),
        (WATCHED, POLICY, timedelta(days=30)),
    ):
        assert bool(decide(after(*journey)[0], Elapsed(at=NOW + due + moment, policy=policy))) is not early


def test_all_that_was_decided_and_tried_is_kept_with_who_decided_last() -> None:
    state, _ = after(
        REPORTED,
        DEAR,
        decision(Action.ASK, "D-1", evidence=("photo",)),
        decision(Action.ASK, "D-2", by="bob", evidence=("invoice", "photo")),
        decision(Action.APPROVE, "D-3", by="h-1"),
        decision(Action.APPROVE, "D-4"),
    )

    assert state.decisions == (("D-1", None), ("D-2", None), ("D-3", "own_case"), ("D-4", None))
    assert (state.decided_by, state.asked, state.first_approval) == ("ann", ("photo", "invoice"), "ann")


@pytest.mark.parametrize(
    "journey",
    [
        (REPORTED, NEEDS_APPROVAL, decision(Action.REJECT)),
        (REPORTED, assessed(), FAILED, decision(Action.GIVE_UP)),
    ],
)
def test_who_ended_a_case_is_kept(journey: tuple[Command, ...]) -> None:
    state, _ = after(*journey)

    assert (state.decided_by, state.decisions) == ("ann", (("D-1", None),))


def test_what_was_returned_is_kept_with_the_statement_that_said_so() -> None:
    state, _ = after(DAMAGED, *WATCHED[1:], RETURNED)

    assert state.returned == "returned/1"


def test_evidence_is_kept_once_in_the_order_in_which_it_came() -> None:
    more = evidence("invoice", "photo", statement="evidence/2", policy=MANUAL)
    state, _ = after(REPORTED, NEEDS_APPROVAL, evidence("photo", policy=MANUAL), more)

    assert state.evidence == ("photo", "invoice")


def test_what_a_case_keeps_of_evidence_and_of_its_decisions_is_bounded() -> None:
    many = [evidence(f"e-{number}", policy=MANUAL) for number in range(EVIDENCE_KEPT + 1)]
    tried = [decision(Action.APPROVE, f"D-{number}", listed=False) for number in range(DECISIONS_KEPT + 1)]
    shown, written = after(REPORTED, NEEDS_APPROVAL, *many)
    decided, _ = after(REPORTED, NEEDS_APPROVAL, *tried)

    assert shown.evidence == tuple(f"e-{number}" for number in range(EVIDENCE_KEPT))
    assert sum(fact.name == "evidence.given" for fact in written) == EVIDENCE_KEPT + 1
    assert [name for name, _ in decided.decisions] == [f"D-{number}" for number in range(1, DECISIONS_KEPT + 1)]


def test_what_turned_up_is_known_as_back_only_when_it_was_returned() -> None:
    returned, _ = after(*WATCHED, RETURNED)
    found, _ = after(*WATCHED, FOUND)

    assert (returned.returned, found.returned) == ("returned/1", None)


def test_a_case_of_which_nothing_was_issued_recovered_nothing() -> None:
    rejected, _ = after(REPORTED, NEEDS_APPROVAL, decision(Action.REJECT))
    watched, _ = after(*WATCHED)
    withdrawn, _ = after(*WATCHED, FOUND, REINSTATE, Withdrawn())

    assert (rejected.recovered, rejected.outcome, watched.recovered) == (False, Outcome.REJECTED, True)
    assert (watched.withdrawn, withdrawn.withdrawn) == (False, True)


def test_a_fact_that_cannot_follow_is_named_with_where_the_case_stands() -> None:
    closed, _ = after(REPORTED, NEEDS_APPROVAL, decision(Action.REJECT))

    with pytest.raises(UnexpectedFactError, match=r"^loss\.reported in closed$"):
        fold(closed, report(report="R-2"))
    with pytest.raises(UnexpectedFactError, match=r"^waiting\.begun in a case that does not exist$"):
        fold(None, step(after(REPORTED, assessed(WAITS))[0], Blocked(at=NOW, policy=WAITS))[0])


# Who may decide, and which denial is told.


def denied(journey: tuple[Command, ...], tried: Decide) -> str | None:
    state, _ = after(*journey, tried)
    return state.denial_of(tried.order.decision)


def test_the_first_reason_against_a_decision_is_the_one_that_is_told() -> None:
    asked = (REPORTED, assessed(ESCALATING), elapsed(48, ESCALATING))

    assert denied(WATCHED, decision(Action.CANCEL, by="h-1", listed=False)) == Code.NOT_A_SUPERVISOR
    assert denied(WATCHED, decision(Action.CANCEL, by="h-1")) == Code.OWN_CASE
    assert denied(WATCHED, decision(Action.CANCEL, on=1)) == Code.TOO_LATE
    assert denied(WATCHED, decision(Action.MEET, on=1)) == Code.NOTHING_TO_DECIDE
    assert denied(WATCHED, decision(Action.REJECT)) == Code.NOTHING_TO_DECIDE
    assert denied(asked, decision(Action.REJECT, on=1)) == Code.STALE
    assert denied(asked, decision(Action.REJECT)) == Code.NOT_ESCALATED_TO
    assert denied(asked, decision(Action.REJECT, by="bob")) is None


def test_an_original_is_reinstated_only_while_it_can_be() -> None:
    cloud = Report(report=report(kind=Kind.CLOUD, reason=Reason.STOLEN))
    back = (cloud, assessed(kind=Kind.CLOUD), BLOCKED, replaced(), FOUND)

    assert denied(back, REINSTATE) == Code.NOTHING_TO_DECIDE
    assert denied((*WATCHED, FOUND, REINSTATE), decision(Action.RULE, verdict=Verdict.FOUND, reinstate=True)) == (
        Code.NOTHING_TO_DECIDE
    )
    assert denied((*WATCHED, FOUND), REINSTATE) is None
    assert denied((*WATCHED, LoseReplacement(to="c-2"), FOUND), REINSTATE) == Code.REPLACEMENT_LOST


def test_goodwill_is_asked_for_beyond_the_quota_and_never_needed_within() -> None:
    within = (REPORTED, assessed(MANUAL))

    assert denied(within, decision(Action.APPROVE)) is denied(within, decision(Action.APPROVE, goodwill=True)) is None
    assert denied((REPORTED, USED_UP), decision(Action.APPROVE, by="bob", policy=QUOTA)) == Code.BEYOND_QUOTA


@pytest.mark.parametrize("kind", [Kind.ACT, Kind.DONGLE])
def test_a_condition_is_set_where_licences_are_issued_anew(kind: Kind) -> None:
    reason = Reason.SAME_HARDWARE if kind is Kind.ACT else Reason.LOST
    journey = (Report(report=report(kind=kind, reason=reason)), assessed(MANUAL))

    assert denied(journey, CONDITIONAL) is None
    assert denied((DAMAGED, NEEDS_APPROVAL), CONDITIONAL) == Code.NO_CONDITION


# What policy decides again.

PROOF = Rule(
    mode=Mode.HYBRID,
    limits=Limits(evidence=("photo", "police_report")),
    approval=Approval(due_hours=48, remind_hours=24),
    four_eyes_above_cents=0,
)


def test_a_case_that_still_needs_a_person_keeps_its_deadlines_and_its_four_eyes() -> None:
    policy = Policy(rules=(PROOF,))
    later = Bring(
        evidence=Evidence(statement="evidence/1", by="h-1", evidence=("photo",)), at=NOW + HOUR, policy=policy
    )
    state, written = after(REPORTED, assessed(policy), later)

    assert told(written)[-2:] == ["evidence.given", "case.decided"]
    assert state.reasons == ("evidence is missing: police_report",)
    assert (state.remind, state.due, state.four_eyes) == (NOW + 24 * HOUR, NOW + 48 * HOUR, True)


def test_a_first_approval_is_of_what_was_decided_then_and_not_of_what_is_decided_anew() -> None:
    policy = Policy(rules=(PROOF,))
    state, _ = after(REPORTED, assessed(policy), decision(Action.APPROVE), evidence("photo", policy=policy))

    assert (state.status, state.first_approval) == (Status.AWAITING_APPROVAL, None)


def test_evidence_that_changes_nothing_decides_nothing_again() -> None:
    policy = Policy(rules=(PROOF,))
    _, written = after(REPORTED, assessed(policy), evidence("invoice", policy=policy))
    _, late = after(*WATCHED, evidence("photo"))
    _, closed = after(REPORTED, NEEDS_APPROVAL, decision(Action.REJECT), evidence("photo"))

    assert told(written)[-1] == told(late)[-1] == "evidence.given"
    assert told(closed)[-1] == "case.closed"


def test_proven_at_last_the_case_takes_its_recovery_of_the_quota() -> None:
    quota = Quota(recoveries=3)
    policy = Policy(rules=(Rule(mode=Mode.HYBRID, quota=quota, limits=Limits(evidence=("photo",))),))
    given = evidence("photo", policy=policy).model_copy(update={"reservation": Reservation(at=NOW, ordinal=2, limit=3)})
    state, _ = after(REPORTED, assessed(policy), given)

    assert (state.status, state.ordinal, state.limit) == (Status.BLOCKING, 2, 3)


def test_a_contact_that_sends_a_case_to_a_person_keeps_its_reservation_and_says_when_it_was() -> None:
    rule = Rule(mode=Mode.HYBRID, quota=Quota(recoveries=3), wait_hours=24)
    policy = Policy(rules=(rule,))
    waiting = (REPORTED, assessed(policy, Reservation(at=NOW, ordinal=2, limit=3)), Blocked(at=NOW, policy=policy))
    state, _ = after(*waiting, sighted(policy=policy, occurred=NOW + HOUR))
    before, _ = after(*waiting, sighted(policy=policy, occurred=NOW - timedelta(days=2)))

    assert (state.status, state.ordinal, state.limit) == (Status.AWAITING_APPROVAL, 2, 3)
    assert state.facts
    assert state.facts.last_contact == NOW + HOUR
    assert (before.status, before.facts) == (Status.WAITING, facts(licence()))


def test_evidence_brought_beyond_the_quota_changes_nothing() -> None:
    state, written = after(REPORTED, USED_UP, evidence("photo", policy=QUOTA))

    assert told(written)[-1] == "evidence.given"
    assert (state.status, state.ordinal, state.limit) == (Status.AWAITING_APPROVAL, None, 1)


QUIET = Policy(rules=(Rule(mode=Mode.HYBRID, limits=Limits(), wait_hours=24),))


def waiting_since(last_contact: datetime | None) -> tuple[Command, ...]:
    return REPORTED, assessed(QUIET, last_contact=last_contact), Blocked(at=NOW, policy=QUIET)


def test_a_parcel_is_no_contact_and_policy_does_not_decide_again() -> None:
    state, _ = after(*waiting_since(None), sighted("returned/1", Cause.RETURNED, QUIET, occurred=NOW + HOUR))

    assert (state.status, state.returned) == (Status.WAITING, "returned/1")


def test_a_contact_at_the_very_time_of_the_loss_is_not_after_it_and_a_later_one_is() -> None:
    lost = REPORTED.report.occurred
    same, _ = after(*waiting_since(lost), sighted(policy=QUIET, occurred=lost))
    later, _ = after(*waiting_since(lost), sighted(policy=QUIET, occurred=lost + HOUR))

    assert (same.status, later.status) == (Status.WAITING, Status.AWAITING_APPROVAL)


def test_nobody_is_named_where_an_overdue_approval_is_not_escalated() -> None:
    approval = Approval(due_hours=48, undecided=Undecided.KEEP_WAITING, escalate_to=("bob",))
    policy = Policy(rules=(Rule(mode=Mode.MANUAL, approval=approval),))
    state, _ = after(REPORTED, assessed(policy), elapsed(48, policy))

    assert (state.status, state.escalated_to) == (Status.AWAITING_APPROVAL, ())


def test_the_last_confirmation_counts_once_and_only_where_something_can_still_come_of_it() -> None:
    settled, _ = after(REPORTED, assessed(), Settled())

    assert settled.settled
    assert decide(settled, Settled()) == []
    assert decide(after(*WATCHED, ELAPSED)[0], Settled()) == []
    assert decide(after(*WATCHED, FOUND, REINSTATE)[0], Settled()) == []


def test_what_is_stuck_at_going_back_may_be_resumed_though_the_replacement_is_lost_for_the_backend_judges_it() -> None:
    stuck = (*WATCHED, FOUND, REINSTATE, FAILED, LoseReplacement(to="c-2"))

    assert denied(stuck, decision(Action.RESUME, "D-9")) is None


def test_what_a_case_has_taken_it_does_not_take_again() -> None:
    lost = LoseReplacement(to="c-2")

    assert decide(after(*WATCHED, lost)[0], lost) == decide(after(*WATCHED, ELAPSED)[0], lost) == []


def test_a_wait_that_is_over_at_this_instant_is_over() -> None:
    late = sighted(policy=QUIET, occurred=NOW + HOUR)
    approved = (*waiting_since(None), late, decision(Action.APPROVE, policy=QUIET))

    assert after(*approved, Blocked(at=NOW + 24 * HOUR, policy=QUIET))[0].status is Status.REPLACING
    assert after(*approved, Blocked(at=NOW + 23 * HOUR, policy=QUIET))[0].status is Status.WAITING


# What must not happen.


def test_what_cannot_be_worked_out_is_an_assertion_that_says_why() -> None:
    senseless = report().model_copy(update={"reason": Reason.FORGOTTEN})
    reported, _ = after(REPORTED)

    with pytest.raises(AssertionError, match=r"^an accepted report is of a loss in the table$"):
        loss_of(senseless)
    with pytest.raises(AssertionError, match=r"^a case begins with a report$"):
        decide(None, ELAPSED)
    with pytest.raises(AssertionError, match=r"^a rule is asked for once the backend's facts are known$"):
        rule_of(reported, POLICY)
    with pytest.raises(AssertionError, match=r"^policy may not decide before the quota was asked$"):
        decide_report(report(), facts(licence()), QUOTA, None)
