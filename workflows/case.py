"""The state of a loss case: how it is decided on and how its facts fold. Pure; time comes in with the command."""

from collections.abc import Sequence
from typing import assert_never

from events.catalogue import (
    BackendFacts,
    CaseApproved,
    CaseClosed,
    CaseDecided,
    CaseFact,
    CaseGivenUp,
    CaseRejected,
    CaseResumed,
    CaseResurfaced,
    CaseReturned,
    CaseRuled,
    CaseSighted,
    CaseStuck,
    DecisionDenied,
    LicenceInScope,
    LossReported,
    ReplacingBegun,
    TargetAwaited,
    TargetOffered,
    WatchBegun,
)
from events.errors import Code
from events.ports import DecisionOrder, Reservation, Sighting
from events.terms import (
    Action,
    Cause,
    Decision,
    DecisionId,
    HolderId,
    Instant,
    Outcome,
    PersonId,
    ReportId,
    Serial,
    Status,
    Ticket,
    Value,
    Watch,
)
from workflows.policy import Policy, decide_report, loss_of

SEEN_LIMIT = 50


class UnexpectedFactError(Exception):
    """A fact that the transition table does not know in this state: a bug or a damaged log, never input."""


TRANSITIONS: dict[tuple[Status | None, str], Status] = {
    (None, "loss.reported"): Status.REPORTED,
    (Status.REPORTED, "case.decided:automatic"): Status.BLOCKING,
    (Status.REPORTED, "case.decided:refused"): Status.REPORTED,
    (Status.REPORTED, "case.decided:needs_approval"): Status.AWAITING_APPROVAL,
    (Status.REPORTED, "case.closed"): Status.CLOSED,
    (Status.AWAITING_APPROVAL, "case.approved"): Status.BLOCKING,
    (Status.AWAITING_APPROVAL, "case.rejected"): Status.AWAITING_APPROVAL,
    (Status.AWAITING_APPROVAL, "case.closed"): Status.CLOSED,
    (Status.BLOCKING, "replacing.begun"): Status.REPLACING,
    (Status.BLOCKING, "case.stuck"): Status.STUCK,
    (Status.REPLACING, "target.awaited"): Status.AWAITING_TARGET,
    (Status.REPLACING, "watch.begun"): Status.WATCHING,
    (Status.REPLACING, "case.closed"): Status.CLOSED,
    (Status.REPLACING, "case.stuck"): Status.STUCK,
    (Status.AWAITING_TARGET, "target.offered"): Status.REPLACING,
    (Status.AWAITING_TARGET, "case.closed"): Status.CLOSED,
    (Status.WATCHING, "case.resurfaced"): Status.RESURFACED,
    (Status.WATCHING, "case.returned"): Status.REPLACING,
    (Status.WATCHING, "case.closed"): Status.CLOSED,
    (Status.RESURFACED, "case.returned"): Status.REPLACING,
    (Status.RESURFACED, "case.ruled"): Status.RESURFACED,
    (Status.RESURFACED, "case.closed"): Status.CLOSED,
    (Status.STUCK, "case.resumed:blocking"): Status.BLOCKING,
    (Status.STUCK, "case.resumed:replacing"): Status.REPLACING,
    (Status.STUCK, "case.given_up"): Status.STUCK,
    (Status.STUCK, "case.closed"): Status.CLOSED,
}
"""Where each fact takes a case."""

STAYING = ("loss.reported", "decision.denied", "case.sighted")
"""Facts that leave every open case where it is."""

DENIED = "decision.denied"
"""The one fact that a closed case still takes: an attempt to decide it."""


class CaseState(Value):
    """All that is known of a case from its own facts."""

    status: Status
    report: LossReported
    reports: tuple[ReportId, ...]
    reporters: tuple[PersonId, ...]
    holder: HolderId | None = None
    licences: tuple[LicenceInScope, ...] = ()
    decision: Decision | None = None
    reasons: tuple[str, ...] = ()
    policy_version: int | None = None
    ordinal: int | None = None
    limit: int | None = None
    decided_by: PersonId | None = None
    decisions: tuple[tuple[DecisionId, str | None], ...] = ()
    """Every decision that was brought, by id: None where it was taken, else the code of its denial."""
    stuck: tuple[Status, str, str] | None = None
    """While it is stuck: where, the code and the cause of what failed."""
    target: Serial | None = None
    recovered: bool = False
    returned: str | None = None
    """What said that the vendor has the container back."""
    watch_until: Instant | None = None
    sightings: int = 0
    seen: tuple[str, ...] = ()
    """The last statements that the container turned up, to tell a repeated one."""
    outcome: Outcome | None = None

    def denial_of(self, decision: DecisionId) -> str | None:
        """The code that a decision was denied with, if it was brought and denied."""
        return dict(self.decisions).get(decision)


# Commands: what can be asked of a case.


class Report(Value):
    """A loss report reached the case."""

    report: LossReported


class Assessed(Value):
    """The backend said what it knows, and which policy the vendor has."""

    facts: BackendFacts
    policy: Policy
    reservation: Reservation | None


class Blocked(Value):
    """The measures that the policy asks for are ordered."""


class NoTarget(Value):
    """The backend found no container that may take the replacement."""

    tickets: tuple[Ticket, ...]


class Offered(Value):
    """A container was registered for the holder."""

    serial: Serial


class Replaced(Value):
    """The backend issued the replacement into `target`."""

    target: Serial
    at: Instant
    watch_until: Instant


class Decide(Value):
    """A supervisor decides; `listed` says whether the vendor lists that person as one."""

    order: DecisionOrder
    listed: bool


class Sighted(Value):
    """The lost container turned up."""

    sighting: Sighting


class Failed(Value):
    """What the case had to do failed for good."""

    code: str
    cause: str


class WaitOver(Value):
    """Nobody set the access data in time."""


class WatchOver(Value):
    """The watch's time ran out."""


Command = Report | Decide | Sighted | Assessed | Blocked | NoTarget | Offered | Replaced | Failed | WaitOver | WatchOver


def decide(state: CaseState | None, command: Command) -> list[CaseFact]:
    """The facts that a command makes of a case; none where it changes nothing."""
    match command:
        case Report(report=report):
            known = state is not None and report.report in state.reports
            return [] if known or (state and state.status is Status.CLOSED) else [report]
        case Assessed():
            assert state is not None
            decided = decide_report(state.report, command.facts, command.policy, command.reservation)
            closed = [CaseClosed(outcome=Outcome.REFUSED)] if decided.decision is Decision.REFUSED else []
            return [decided, *closed]
        case Decide():
            assert state is not None
            return _decided(state, command)
        case Sighted(sighting=sighting):
            assert state is not None
            return _sighted(state, sighting)
        case Blocked():
            return [ReplacingBegun()]
        case NoTarget():
            return [TargetAwaited(tickets=command.tickets)]
        case Offered():
            waits = state is not None and state.status is Status.AWAITING_TARGET
            return [TargetOffered(serial=command.serial)] if waits else []
        case Replaced():
            assert state is not None
            return _replaced(state, command)
        case Failed():
            return [CaseStuck(code=command.code, cause=command.cause)]
        case WaitOver():
            return [CaseClosed(outcome=Outcome.LAPSED)]
        case WatchOver():
            assert state is not None
            owed = loss_of(state.report).watch is Watch.UNTIL_RETURNED
            return [CaseClosed(outcome=Outcome.LAPSED if owed else Outcome.LOST_FOR_EVER)]
        case _:
            assert_never(command)


def fold(state: CaseState | None, fact: CaseFact) -> CaseState:
    """The state after a fact. Raises `UnexpectedFactError`."""
    if state is not None:
        return state.model_copy(update=changes(state, fact))
    status = _after(None, fact)
    assert isinstance(fact, LossReported)
    return CaseState(status=status, report=fact, reports=(fact.report,), reporters=(fact.reporter.name,))


def changes(state: CaseState, fact: CaseFact) -> dict[str, object]:
    """The fields of a state that are others after a fact. Raises `UnexpectedFactError`."""
    stays = fact.trigger in STAYING if state.status is not Status.CLOSED else _late(fact)
    return {"status": state.status if stays else _after(state.status, fact), **_learnt(state, fact)}


def _after(status: Status | None, fact: CaseFact) -> Status:
    after = TRANSITIONS.get((status, fact.trigger))
    if after is None:
        raise UnexpectedFactError(f"{fact.trigger} in {status or 'a case that does not exist'}")
    return after


def fold_all(facts: Sequence[CaseFact], state: CaseState | None = None) -> CaseState | None:
    """The state after many facts."""
    for fact in facts:
        state = fold(state, fact)
    return state


def _late(fact: CaseFact) -> bool:
    return fact.trigger == DENIED


def _sighted(state: CaseState, sighting: Sighting) -> list[CaseFact]:
    if state.status is Status.CLOSED or sighting.statement in state.seen:
        return []
    told = {"statement": sighting.statement, "occurred": sighting.occurred}
    owed = loss_of(state.report).watch is Watch.UNTIL_RETURNED and sighting.cause is Cause.RETURNED
    if owed and state.status in (Status.WATCHING, Status.RESURFACED):
        return [CaseReturned.model_validate(told)]
    kind = CaseResurfaced if state.status is Status.WATCHING else CaseSighted
    return [kind.model_validate({**told, "cause": sighting.cause})]


def _replaced(state: CaseState, command: Replaced) -> list[CaseFact]:
    watch = loss_of(state.report).watch
    if watch is Watch.NONE:
        return [CaseClosed(outcome=Outcome.RESTORED)]
    if state.target is not None:
        return [CaseClosed(outcome=Outcome.RETURNED)]
    begun = WatchBegun(target=command.target, until=command.watch_until)
    if watch is Watch.UNTIL_RETURNED and state.returned:
        return [begun, CaseReturned(statement=state.returned, occurred=command.at)]
    return [begun]


def _decided(state: CaseState, command: Decide) -> list[CaseFact]:
    order = command.order
    if any(order.decision == known for known, _ in state.decisions):
        return []
    if denial := _denial(state, command):
        return [DecisionDenied(decision=order.decision, action=order.action, by=order.by, code=denial)]
    match order.action:
        case Action.APPROVE:
            return [CaseApproved(decision=order.decision, by=order.by, why=order.why)]
        case Action.REJECT:
            rejected = CaseRejected(decision=order.decision, by=order.by, why=order.why)
            return [rejected, CaseClosed(outcome=Outcome.REJECTED)]
        case Action.RULE:
            assert order.verdict is not None
            ruled = CaseRuled(decision=order.decision, by=order.by, verdict=order.verdict, why=order.why)
            return [ruled, CaseClosed(outcome=Outcome(order.verdict))]
        case Action.RESUME:
            assert state.stuck is not None
            return [CaseResumed(decision=order.decision, by=order.by, why=order.why, into=state.stuck[0])]
        case Action.GIVE_UP:
            given_up = CaseGivenUp(decision=order.decision, by=order.by, why=order.why)
            return [given_up, CaseClosed(outcome=Outcome.GIVEN_UP)]
        case _:
            assert_never(order.action)


DECIDABLE = {
    Action.APPROVE: Status.AWAITING_APPROVAL,
    Action.REJECT: Status.AWAITING_APPROVAL,
    Action.RULE: Status.RESURFACED,
    Action.RESUME: Status.STUCK,
    Action.GIVE_UP: Status.STUCK,
}
"""Where a case must stand for each action."""


def _denial(state: CaseState, command: Decide) -> Code | None:
    if not command.listed:
        return Code.NOT_A_SUPERVISOR
    if command.order.by in (state.holder, *state.reporters):
        return Code.OWN_CASE
    if state.status is not DECIDABLE[command.order.action]:
        return Code.NOTHING_TO_DECIDE
    return None


def _learnt(state: CaseState, fact: CaseFact) -> dict[str, object]:
    match fact:
        case LossReported():
            return {"reports": (*state.reports, fact.report), "reporters": (*state.reporters, fact.reporter.name)}
        case CaseApproved() | CaseRejected() | CaseRuled() | CaseGivenUp() | CaseResumed():
            taken: dict[str, object] = {"decisions": (*state.decisions, (fact.decision, None)), "decided_by": fact.by}
            return {**taken, "stuck": None} if isinstance(fact, CaseResumed) else taken
        case DecisionDenied():
            return {"decisions": (*state.decisions, (fact.decision, fact.code))}
        case CaseSighted() | CaseResurfaced():
            seen: dict[str, object] = {"seen": (*state.seen, fact.statement)[-SEEN_LIMIT:]}
            back = {"returned": fact.statement} if fact.cause is Cause.RETURNED else {}
            return {**seen, **back, "sightings": state.sightings + 1}
        case CaseReturned():
            return {"seen": (*state.seen, fact.statement)[-SEEN_LIMIT:], "returned": fact.statement}
        case CaseStuck():
            return {"stuck": (state.status, fact.code, fact.cause)}
        case CaseDecided():
            return {
                "decision": fact.decision,
                "ordinal": fact.ordinal,
                "limit": fact.limit,
                "reasons": fact.reasons,
                "policy_version": fact.policy_version,
                "holder": fact.facts.holder,
                "licences": fact.facts.licences,
            }
        case WatchBegun():
            return {"target": fact.target, "watch_until": fact.until, "recovered": True}
        case CaseClosed():
            restored = fact.outcome is Outcome.RESTORED
            return {"outcome": fact.outcome, "recovered": state.recovered or restored}
        case _:
            return {}
