"""The driver of a case: what an answer of the backend, a failure and a message become."""

from datetime import timedelta
from inspect import isfunction
from typing import Any, get_args

import pytest

from events.case_facts import CaseStuck, ReleaseAwaited
from events.errors import Code
from events.ports.licensing_backend import (
    CASE_ORDERS,
    Assessment,
    BlockOrder,
    CaseKey,
    CaseOrder,
    Done,
    Issued,
    IssueOrder,
    LicensingBackend,
    NoTargetFound,
    ReinstateOrder,
    Reservation,
    Withdrawal,
)
from events.ports.loss_cases import (
    ConfirmedDecision,
    DecisionQuestion,
    Evidence,
    Joined,
    Message,
    Offer,
    Overtaken,
    ReplacementGone,
    Settled,
    Sighting,
)
from events.terms import Action, CaseId, Cause, Mode, Serial, Status, Verdict
from tests.unit.facts import NOW, facts, licence, report
from tests.unit.journey import (
    BLOCKED,
    FOUND,
    NO_TARGET,
    OFFERED,
    OVERTAKEN,
    POLICY,
    REINSTATE,
    REPLACED,
    REPORTED,
    WATCHED,
    after,
    assessed,
    decision,
)
from workflows import commands, driver
from workflows.commands import (
    Command,
    Decide,
    Failed,
    Held,
    LoseReplacement,
    NothingLeft,
    Reinstated,
    Report,
    Sighted,
    Withdrawn,
)
from workflows.decider import RELEASE
from workflows.limits import Limits
from workflows.pending import Pending
from workflows.policy import Policy, Quota, Rule, canonical
from workflows.steps import Assess, Block, Confirm, Issue, Keep, Reinstate, Request, Reserve, Rest, Withdraw

KEY = CaseKey(vendor="acme", case="c-1", serial="3-1")
BLOCK, ISSUE = Block(BlockOrder(key=KEY, measures=())), Issue(IssueOrder(key=KEY, measures=()))
WITHDRAW, KEEP = Withdraw(CaseOrder(key=KEY)), Keep(CaseOrder(key=KEY))
PUT_BACK = Reinstate(ReinstateOrder(key=KEY))
CONFIRM = Confirm(DecisionQuestion(key=KEY, number=2))
ISSUED = Issued(at=NOW, target=Serial("3-2"), licences=())
ORDER = decision(Action.RULE, verdict=Verdict.CLONE).order
UNREAL = NoTargetFound(at=NOW, tickets=(), overtaken=True)
BROUGHT = Evidence(statement="evidence/E-1", by="crm", evidence=("police_report",))


@pytest.mark.parametrize("request_", get_args(Request))
def test_every_request_is_an_activity_and_a_call_of_the_backend(request_: Any) -> None:
    assert request_.activity in CASE_ORDERS
    assert isfunction(getattr(LicensingBackend, request_.activity))


@pytest.mark.parametrize(
    ("request_", "answer", "command"),
    [
        (BLOCK, Done(at=NOW), BLOCKED),
        (ISSUE, ISSUED, REPLACED),
        (ISSUE, NoTargetFound(at=NOW, tickets=("T-1",)), NO_TARGET),
        (ISSUE, NoTargetFound(at=NOW, tickets=(), ended=True), NothingLeft()),
        (ISSUE, UNREAL, None),
        (WITHDRAW, Withdrawal(at=NOW, confirmed=True), Withdrawn()),
        (WITHDRAW, Withdrawal(at=NOW, confirmed=False), None),
        (PUT_BACK, ISSUED, Reinstated(serial="3-2")),
    ],
)
def test_an_answer_of_the_backend_becomes_a_command_or_the_case_waits(
    request_: Request, answer: object, command: Command | None
) -> None:
    assert driver.command_after(request_, answer, POLICY) == command


def test_an_answer_that_belongs_to_another_request_is_an_error() -> None:
    with pytest.raises(TypeError, match="block is never answered with Withdrawal"):
        driver.command_after(BLOCK, Withdrawal(at=NOW, confirmed=True), POLICY)


@pytest.mark.parametrize("request_", [Assess(KEY), BLOCK, ISSUE, WITHDRAW, KEEP, PUT_BACK])
def test_what_fails_for_good_makes_the_case_stuck(request_: Request) -> None:
    assert driver.command_after_failure(request_, "code", "why", NOW) == Failed(code="code", cause="why")


def test_how_long_an_un_loss_waits_is_counted_from_the_backends_clock_as_far_as_the_refusal_says_it() -> None:
    refused = NOW - timedelta(hours=1)

    held = driver.command_after_failure(PUT_BACK, Code.RELEASE_AWAITED, "why", NOW, refused.isoformat())
    state, written = after(*WATCHED, FOUND, REINSTATE, held, Held(cause="why", at=refused + RELEASE))

    assert held == Held(cause="why", at=NOW, refused=refused)
    assert [one.until for one in written if isinstance(one, ReleaseAwaited)] == [refused + RELEASE]
    assert state.status is Status.STUCK


def test_an_un_loss_that_other_cases_are_in_the_way_of_is_held() -> None:
    held = driver.command_after_failure(PUT_BACK, Code.RELEASE_AWAITED, "why", NOW)

    assert held == Held(cause="why", at=NOW)
    assert isinstance(driver.command_after_failure(WITHDRAW, Code.RELEASE_AWAITED, "why", NOW), Failed)
    assert driver.must_wait(PUT_BACK, held, lambda: PUT_BACK)
    assert not driver.must_wait(PUT_BACK, held, Rest)


def test_a_case_waits_where_an_answer_says_that_a_message_will_bring_more() -> None:
    assert driver.must_wait(ISSUE, None, lambda: ISSUE)
    assert not driver.must_wait(BLOCK, BLOCKED, lambda: BLOCK)


def test_a_decision_that_nobody_can_confirm_is_denied_and_one_that_no_door_accepted_is_none() -> None:
    message = Message(number=2, content=ORDER)
    listed = ConfirmedDecision(order=ORDER, supervisors=("ann",), reporters=("bob",))
    forged = ConfirmedDecision(order=None, supervisors=("ann",))

    assert driver.question_before(message, after(REPORTED)[0], KEY, POLICY) == CONFIRM
    assert driver.command_after_failure(CONFIRM, "code", "why", NOW) is None
    assert driver.command_of(message, None, POLICY, NOW) == Decide(order=ORDER, supervisors=(), at=NOW, policy=POLICY)
    assert driver.command_of(message, listed, POLICY, NOW) == Decide(
        order=ORDER, supervisors=("ann",), reporters=("bob",), at=NOW, policy=POLICY
    )
    assert driver.command_of(message, forged, POLICY, NOW) is None


def test_a_quota_is_asked_before_evidence_is_taken_where_it_may_let_policy_decide() -> None:
    rule = Rule(mode=Mode.HYBRID, quota=Quota(recoveries=2), limits=Limits(evidence=("police_report",)))
    policy = Policy(rules=(rule,))
    message, state = Message(number=2, content=BROUGHT), after(REPORTED, assessed(policy))[0]
    reserve = driver.question_before(message, state, KEY, policy)
    kept = Reservation(at=NOW, ordinal=1, limit=2)

    assert isinstance(reserve, Reserve)
    assert (reserve.order.key, [one.limit for one in reserve.order.quotas]) == (KEY, [2])
    assert driver.command_after_failure(reserve, "code", "why", NOW) is None
    assert driver.question_before(message, after(REPORTED)[0], KEY, policy) is None, "it is assessed first"
    assert driver.question_before(message, after(*WATCHED)[0], KEY, policy) is None
    assert driver.command_of(message, kept, POLICY, NOW) == commands.Bring(
        evidence=BROUGHT, at=NOW, policy=POLICY, reservation=kept
    )
    assert driver.command_of(message, None, POLICY, NOW) == commands.Bring(evidence=BROUGHT, at=NOW, policy=POLICY)


def test_a_replacement_that_is_lost_is_withdrawn_no_longer() -> None:
    message = Message(number=2, content=ReplacementGone(to=CaseId("c-2")))
    state = after(*WATCHED, FOUND, REINSTATE)[0]

    assert driver.question_before(message, state, KEY, POLICY) == Keep(CaseOrder(key=KEY, number=state.sequence + 1))
    assert driver.question_before(message, after(*WATCHED)[0], KEY, POLICY) is None


SIGHTED = Sighting(statement="contact/1", cause=Cause.SIGHTING, occurred=NOW)


@pytest.mark.parametrize(
    ("content", "command"),
    [
        (Joined(report=report()), REPORTED),
        (SIGHTED, Sighted(sighting=SIGHTED, at=NOW, policy=POLICY)),
        (Offer(serial="3-2"), OFFERED),
        (Settled(), commands.Settled()),
        (Overtaken(by=CaseId("case-2")), OVERTAKEN.model_copy(update={"policy": POLICY})),
        (ReplacementGone(to=CaseId("c-2")), LoseReplacement(to="c-2")),
    ],
)
def test_a_message_becomes_the_command_of_its_content(content: Any, command: Command) -> None:
    message = Message(number=2, content=content)

    assert driver.question_before(message, after(REPORTED)[0], KEY, POLICY) is None
    assert driver.command_of(message, None, POLICY, NOW) == command


@pytest.mark.parametrize(
    "command", [assessed(), BLOCKED, NO_TARGET, REPLACED], ids=lambda command: type(command).__name__
)
def test_what_is_answered_again_takes_effect_no_earlier_than_the_last_fact_of_the_case(command: Any) -> None:
    before, after_ = NOW - timedelta(hours=1), NOW + timedelta(hours=1)
    first, second = (after(Report(report=report(rules_version=version)))[0] for version in (1, 2))

    assert driver.not_before(after_, command, second) == command.model_copy(update={"at": after_})
    assert driver.not_before(before, command, second) == command
    assert driver.not_before(None, command, second) == command
    assert driver.not_before(after_, command, first) == command, "a case under the first rules goes on as before"


def test_what_has_no_time_is_as_it_was_answered() -> None:
    assert driver.not_before(NOW, Withdrawn(), after(REPORTED)[0]) == Withdrawn()
    assert driver.not_before(NOW, None, after(REPORTED)[0]) is None


@pytest.mark.parametrize("licences", [None, 1])
@pytest.mark.parametrize("reservation", [None, Reservation(at=REPORTED.report.received, ordinal=1, limit=2)])
def test_an_assessment_is_dated_by_what_was_answered_last(
    reservation: Reservation | None, licences: int | None
) -> None:
    known = facts(licence())
    assessment = Assessment(at=NOW, facts=known, policy=canonical(POLICY), licences=licences)

    command = driver.assessed(assessment, known, POLICY, reservation)

    assert command.at == (reservation.at if reservation else NOW)
    assert (command.facts, command.policy, command.reservation) == (known, POLICY, reservation)
    assert command.inline is (licences is None)


def test_what_a_message_makes_of_a_case_is_counted_from_when_it_was_accepted() -> None:
    accepted = NOW - timedelta(hours=1)
    contents = [BROUGHT, SIGHTED, Overtaken(by=CaseId("case-2"))]
    for content in contents:
        brought, before = (Message(number=2, content=content, accepted=at) for at in (accepted, None))

        assert [getattr(driver.command_of(one, None, POLICY, NOW), "at", None) for one in (brought, before)] == [
            accepted,
            NOW,
        ]


def performed(acts: driver.Acts[None], *answers: object) -> list[driver.Act]:
    """The acts that a driver yields, each Ask of them answered in turn; an error is what was asked fails with."""
    left, found, send, answer = list(answers), [], acts.send, None
    while True:
        try:
            act = send(answer)
        except StopIteration:
            return found
        found.append(act)
        send, answer = acts.send, None
        if isinstance(act, driver.Ask):
            answer = left.pop(0)
            send = acts.throw if isinstance(answer, driver.RequestFailedError) else acts.send


def driven(*journey: Command, known: bool = True, messages: tuple[Message, ...] = ()) -> driver.Driver:
    """The driver of a case after a journey."""
    state, _ = after(*journey)
    return driver.Driver(KEY, lambda: NOW, Pending(1, messages), state, POLICY if known else None, NOW)


def test_a_driver_asks_for_a_policy_that_it_does_not_know_and_is_stuck_where_that_cannot_be_read() -> None:
    case = driven(*WATCHED, known=False)

    step = case.next()
    acts = performed(case.do(step), driver.RequestFailedError("unreadable_policy", "why"))

    assert acts == [driver.Ask(step), driver.Append([CaseStuck(code="unreadable_policy", cause="why")])]


def test_a_driver_rests_where_what_it_asked_brings_a_message_and_takes_that_before_it_asks_again() -> None:
    found = Message(number=2, content=Sighting(statement="found/1", cause=Cause.FOUND, occurred=NOW), accepted=NOW)
    case = driven(Report(report=report(rules_version=2)), assessed(), BLOCKED, messages=(found,))

    acts = performed(case.do(case.next()), UNREAL)

    asks, waits, pauses, appends, *end = acts
    assert isinstance(asks, driver.Ask)
    assert (waits, pauses) == (driver.AwaitMessage(None), driver.Pause())
    assert isinstance(appends, driver.Append)
    assert [fact.name for fact in appends.facts] == ["case.cancelled", "case.closed"]
    assert (case.pending.taken, end[-1]) == (2, driver.Pause())
