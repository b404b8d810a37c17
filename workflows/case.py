"""The state of a loss case: how it is decided on and how its facts fold. Pure; time comes in with the command."""

from collections.abc import Sequence
from typing import assert_never

from events.catalogue import (
    BackendFacts,
    CaseClosed,
    CaseDecided,
    CaseFact,
    LicenceInScope,
    LossReported,
    ReplacingBegun,
    TargetAwaited,
    TargetOffered,
    WatchBegun,
)
from events.terms import (
    HolderId,
    Instant,
    Outcome,
    ReportId,
    Serial,
    Status,
    Ticket,
    Value,
    Verdict,
)
from workflows.policy import Policy, decide_report


class UnexpectedFactError(Exception):
    """A fact that the transition table does not know in this state: a bug or a damaged log, never input."""


TRANSITIONS: dict[tuple[Status | None, str], Status] = {
    (None, "loss.reported"): Status.REPORTED,
    (Status.REPORTED, "case.decided:automatic"): Status.BLOCKING,
    (Status.REPORTED, "case.decided:refused"): Status.REPORTED,
    (Status.REPORTED, "case.closed"): Status.CLOSED,
    (Status.BLOCKING, "replacing.begun"): Status.REPLACING,
    (Status.REPLACING, "target.awaited"): Status.AWAITING_TARGET,
    (Status.AWAITING_TARGET, "target.offered"): Status.REPLACING,
    (Status.REPLACING, "watch.begun"): Status.WATCHING,
    (Status.WATCHING, "case.closed"): Status.CLOSED,
}
"""Where each fact takes a case. A further report leaves every open case where it is."""

JOINABLE = tuple(status for status in Status if status is not Status.CLOSED)


class CaseState(Value):
    """All that is known of a case from its own facts."""

    status: Status
    report: LossReported
    reports: tuple[ReportId, ...]
    holder: HolderId | None = None
    licences: tuple[LicenceInScope, ...] = ()
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    policy_version: int | None = None
    target: Serial | None = None
    watch_until: Instant | None = None
    outcome: Outcome | None = None


# Commands: what can be asked of a case.


class Report(Value):
    """A loss report reached the case."""

    report: LossReported


class Assessed(Value):
    """The backend said what it knows, and which policy the vendor has."""

    facts: BackendFacts
    policy: Policy


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
    watch_until: Instant


class WatchOver(Value):
    """The watch's time ran out."""


Command = Report | Assessed | Blocked | NoTarget | Offered | Replaced | WatchOver


def decide(state: CaseState | None, command: Command) -> list[CaseFact]:
    """The facts that a command makes of a case; none where it changes nothing."""
    match command:
        case Report(report=report):
            known = state is not None and report.report in state.reports
            return [] if known or (state and state.status is Status.CLOSED) else [report]
        case Assessed():
            assert state is not None
            decided = decide_report(state.report, command.facts, command.policy)
            closed = [CaseClosed(outcome=Outcome.REFUSED)] if decided.verdict is Verdict.REFUSED else []
            return [decided, *closed]
        case Blocked():
            return [ReplacingBegun()]
        case NoTarget():
            return [TargetAwaited(tickets=command.tickets)]
        case Offered():
            waits = state is not None and state.status is Status.AWAITING_TARGET
            return [TargetOffered(serial=command.serial)] if waits else []
        case Replaced():
            return [WatchBegun(target=command.target, until=command.watch_until)]
        case WatchOver():
            return [CaseClosed(outcome=Outcome.LOST_FOR_EVER)]
        case _:
            assert_never(command)


def fold(state: CaseState | None, fact: CaseFact) -> CaseState:
    """The state after a fact."""
    if state is not None and isinstance(fact, LossReported) and state.status in JOINABLE:
        return state.model_copy(update={"reports": (*state.reports, fact.report)})
    status = TRANSITIONS.get((state.status if state else None, fact.trigger))
    if status is None:
        raise UnexpectedFactError(f"{fact.trigger} in {state.status if state else 'a case that does not exist'}")
    if state is None:
        assert isinstance(fact, LossReported)
        return CaseState(status=status, report=fact, reports=(fact.report,))
    return state.model_copy(update={"status": status, **_learnt(fact)})


def fold_all(facts: Sequence[CaseFact], state: CaseState | None = None) -> CaseState | None:
    """The state after many facts."""
    for fact in facts:
        state = fold(state, fact)
    return state


def _learnt(fact: CaseFact) -> dict[str, object]:
    match fact:
        case CaseDecided():
            return {
                "verdict": fact.verdict,
                "reasons": fact.reasons,
                "policy_version": fact.policy_version,
                "holder": fact.facts.holder,
                "licences": fact.facts.licences,
            }
        case WatchBegun():
            return {"target": fact.target, "watch_until": fact.until}
        case CaseClosed():
            return {"outcome": fact.outcome}
        case _:
            return {}
