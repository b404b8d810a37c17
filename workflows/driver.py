"""The driver of a case: what an answer of the backend and a message become, and whether the case goes on. Pure.

`workflows.steps` says what to do next. The durable case and the simulation do what these two say, each in its own way.
"""

from collections.abc import Callable
from datetime import datetime
from typing import assert_never

from events.case_facts import BackendFacts
from events.errors import Code
from events.ports.licensing_backend import Assessment, CaseKey, Done, Issued, NoTargetFound, Reservation, Withdrawal
from events.ports.loss_cases import (
    ConfirmedDecision,
    DecisionOrder,
    DecisionQuestion,
    Evidence,
    Joined,
    Message,
    Offer,
    Overtaken,
    Rejected,
    ReplacementGone,
    Settled,
    Sighting,
)
from events.terms import Instant, Status
from workflows import commands
from workflows.case import CaseState
from workflows.commands import Command, Failed, Held
from workflows.policy import Policy
from workflows.steps import (
    Block,
    Confirm,
    Issue,
    Keep,
    Question,
    Reinstate,
    Request,
    Reserve,
    Step,
    Withdraw,
    keep_order,
    reserve_order,
)


def reservation_for(
    state: CaseState, key: CaseKey, facts: BackendFacts | None, policy: Policy, evidence: Evidence | None = None
) -> Reserve | None:
    """What a quota must set aside before policy may decide on these facts, with this evidence too; None where it is not
    asked."""
    more = evidence.evidence if evidence else ()
    order = reserve_order(state, key, policy, facts, more) if facts else None
    return Reserve(order) if order else None


def assessed(
    assessment: Assessment, facts: BackendFacts, policy: Policy, reservation: Reservation | None
) -> commands.Assessed:
    """What an assessment becomes; `facts` are its own with all licences, `policy` is the one that it names."""
    at = reservation.at if reservation else assessment.at
    inline = assessment.licences is None
    return commands.Assessed(at=at, facts=facts, policy=policy, reservation=reservation, inline=inline)


def question_on_policy(state: CaseState, key: CaseKey, policy: Policy) -> Reserve | None:
    """What must be asked once a case knows its policy again: the quota, where it has still to hear evidence."""
    return reservation_for(state, key, state.facts, policy) if state.unheard else None


def command_after(request: Request, answer: object, policy: Policy) -> Command | None:
    """What an answer of the backend becomes; None where the case waits for the message that will bring more."""
    match request, answer:
        case Block(), Done(at=at):
            return commands.Blocked(at=at, policy=policy)
        case Issue(), Issued(target=target, at=at):
            return commands.Replaced(target=target, at=at, policy=policy)
        case Issue(), NoTargetFound(overtaken=True):
            return None  # the message that says so is on its way
        case Issue(), NoTargetFound(ended=True):
            return commands.NothingLeft()
        case Issue(), NoTargetFound(at=at, tickets=tickets):
            return commands.NoTarget(at=at, tickets=tickets)
        case Withdraw(), Withdrawal(confirmed=confirmed):
            return commands.Withdrawn() if confirmed else None
        case Reinstate(), Issued(target=target):
            return commands.Reinstated(serial=target)
        case _:
            raise TypeError(f"{request.activity} is never answered with {type(answer).__name__}")


def command_after_failure(
    request: Request, code: str, cause: str, at: Instant, stated: object = None
) -> Command | None:
    """What it becomes that the backend refused something, or failed at it, for good. None where the case goes on
    without an answer: then nobody is known to have accepted a decision, or the person who is waited for decides.
    `at` is now; `stated` is the time that the refusal says, by the backend's clock, if it does."""
    match request:
        case Reserve() | Confirm():
            return None
        case Reinstate() if code == Code.RELEASE_AWAITED:
            refused = datetime.fromisoformat(stated) if isinstance(stated, str) else None
            return Held(cause=cause, at=at, refused=refused)
        case _:
            return Failed(code=code, cause=cause)


def must_wait(step: Step, command: Command | None, following: Callable[[], Step]) -> bool:
    """Whether a case waits for a message after a step that became this command, before it does the `following` one."""
    return command is None or (isinstance(command, Held) and following() == step)


def question_before(message: Message, state: CaseState, key: CaseKey, policy: Policy) -> Question | None:
    """What must be asked, or done, before a message is taken; None where nothing must."""
    match message.content:
        case DecisionOrder():
            return Confirm(DecisionQuestion(key=key, number=message.number))
        case Evidence() as evidence:
            return reservation_for(state, key, state.facts, policy, evidence)
        case ReplacementGone() if state.status is Status.REINSTATING:
            return Keep(keep_order(state, key))
        case _:
            return None


def accepted_at(message: Message, now: Instant) -> Instant:
    """When a message was accepted, by the backend's clock. What a case states is counted from that: `now`, Temporal's,
    may be another time when a workflow task is worked out anew. It stands in where an older release brought it."""
    return message.accepted or now


def command_of(message: Message, answer: object, policy: Policy | None, now: Instant) -> Command | None:
    """What a message becomes, once its question has this answer (None: there is no question, or no answer); `policy` is
    None where it is to be asked for. None where no door has accepted what it says."""
    at = accepted_at(message, now)
    known = policy is not None
    policy = policy or Policy()
    match message.content:
        case DecisionOrder() as order:
            if answer is None:  # nobody can say who may decide: the attempt is denied, and recorded
                return commands.Decide(order=order, supervisors=(), at=at, policy=policy, policy_known=known)
            assert isinstance(answer, ConfirmedDecision)
            if answer.order is None:
                return None
            people = {"supervisors": answer.supervisors, "reporters": answer.reporters}
            return commands.Decide(order=answer.order, at=at, policy=policy, policy_known=known, **people)
        case Evidence() as evidence:
            assert answer is None or isinstance(answer, Reservation)
            return commands.Bring(evidence=evidence, at=at, policy=policy, reservation=answer)
        case Sighting() as sighting:
            return commands.Sighted(sighting=sighting, at=at, policy=policy)
        case ReplacementGone(to=to):
            return commands.LoseReplacement(to=to)
        case Joined(report=report):
            return commands.Report(report=report)
        case Overtaken(by=by):
            return commands.Overtaken(by=by, at=at, policy=policy)
        case Rejected(case=case):
            return commands.Rejected(case=case, at=at, policy=policy)
        case Offer(serial=serial):
            return commands.Offered(serial=serial)
        case Settled():
            return commands.Settled()
        case _:
            assert_never(message.content)
