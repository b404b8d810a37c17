"""What a case does next, worked out from its state alone, so that it can be gone on with from anywhere. Pure.

An order is numbered by the last material fact of its case, for with every such fact the case may order something else.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, TypeVar, assert_never

from events.case_facts import BackendFacts
from events.ports.licensing_backend import (
    BlockOrder,
    CaseKey,
    CaseOrder,
    CloseOrder,
    IssueOrder,
    QuotaOrder,
    ReinstateOrder,
    ReserveOrder,
    ScopeOrder,
)
from events.ports.loss_cases import DecisionQuestion
from events.terms import EvidenceName, Outcome, Recovery, Status, Value
from workflows.case import CaseState
from workflows.case_life import UNDECIDED
from workflows.decider import HOLDER_BLAMED, evident, rule_of
from workflows.policy import Policy, loss_of, quotas_to_reserve

Order = TypeVar("Order", bound=Value)

LIFTING = (Outcome.REFUSED, Outcome.REJECTED, Outcome.CANCELLED, Outcome.GIVEN_UP)
"""The ends after which no measure of the case goes on standing."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Wait for what arrives; look again at `alarm`, if ever."""

    alarm: datetime | None = None


@dataclass(frozen=True, slots=True)
class Asked(Generic[Order]):
    """What the backend is asked: `activity` is its method, and the name of the Temporal activity that asks it."""

    activity: ClassVar[str]
    order: Order


class Assess(Asked[CaseKey]):
    """Ask the backend what it knows, and have policy decide."""

    activity = "assess"


class Reserve(Asked[ReserveOrder]):
    """Have one recovery set aside in each quota, or in none."""

    activity = "reserve"


class Confirm(Asked[DecisionQuestion]):
    """Ask whether a door accepted a decision, and who may decide."""

    activity = "confirm_decision"


class AskPolicy(Asked[CaseKey]):
    """Ask the backend for the policy that the case was decided under."""

    activity = "assess"


class AskScope(Asked[ScopeOrder]):
    """Ask for more of the licences that a case was assessed with."""

    activity = "scope"


class Block(Asked[BlockOrder]):
    """Have the measures ordered."""

    activity = "block"


class Issue(Asked[IssueOrder]):
    """Have the replacement issued."""

    activity = "issue"


class Withdraw(Asked[CaseOrder]):
    """Have the replacement withdrawn, and wait until it is."""

    activity = "withdraw"


class Keep(Asked[CaseOrder]):
    """Have the replacement withdrawn no longer."""

    activity = "keep"


class Reinstate(Asked[ReinstateOrder]):
    """Have the original reinstated."""

    activity = "reinstate"


class End(Asked[CloseOrder]):
    """Have the case known as closed."""

    activity = "close"


Step = Assess | AskPolicy | Rest | Block | Issue | Withdraw | Reinstate | End
"""What a case does next."""
Question = Reserve | Confirm | Keep
"""What must be asked, or done, before a report is decided on or a message taken."""
Request = Assess | AskPolicy | AskScope | Block | Issue | Withdraw | Reinstate | End | Question
"""All that the backend may be asked."""


def next_step(state: CaseState, key: CaseKey, policy: Policy, taken: int = 1, at: datetime | None = None) -> Step:
    """What is to be done now that policy has decided on the report; `taken` is the number of the last message that the
    case took, `at` the time of its last fact."""
    match state.status:
        case Status.BLOCKING:
            return Block(block_order(state, key, policy))
        case Status.REPLACING:
            return Issue(issue_order(state, key, policy, taken))
        case Status.REINSTATING if state.withdraws:
            return Withdraw(CaseOrder(key=key, number=state.material))
        case Status.REINSTATING:
            return Reinstate(ReinstateOrder(key=key, number=state.material))
        case Status.AWAITING_APPROVAL | Status.ESCALATED | Status.WAITING | Status.AWAITING_TARGET | Status.WATCHING:
            return Rest(state.alarm)
        case Status.RESURFACED | Status.STUCK:
            return Rest(state.alarm)
        case Status.CLOSED:
            return End(close_order(state, key, taken, at))
        case Status.REPORTED:
            return Assess(key)
        case _:
            assert_never(state.status)


def policy_needed(state: CaseState) -> bool:
    """Whether a case that does not know its policy must ask for it: one that was decided, and is neither stuck nor
    over."""
    return state.facts is not None and state.status not in (Status.STUCK, Status.CLOSED)


def reserve_order(
    state: CaseState, key: CaseKey, policy: Policy, facts: BackendFacts, evidence: tuple[EvidenceName, ...] = ()
) -> ReserveOrder | None:
    """The recoveries that quotas must set aside before policy may decide by itself, with this evidence too; None where
    none is asked."""
    report = evident(state, evidence)
    asked = quotas_to_reserve(report, facts, policy)
    if not asked or state.status not in (Status.REPORTED, *UNDECIDED):
        return None
    quotas = tuple(
        QuotaOrder(
            pot=one.quota.pot_for(report.reason),
            subjects=one.subjects,
            limit=one.quota.recoveries,
            term_days=one.quota.term_days,
        )
        for one in asked
    )
    return ReserveOrder(key=key, quotas=quotas, received=report.received, number=state.sequence)


def block_order(state: CaseState, key: CaseKey, policy: Policy) -> BlockOrder:
    """The measures that the case's rule asks for, aimed at what is lost."""
    loss = loss_of(state.report)
    measures = rule_of(state, policy).measures_for(loss)
    return BlockOrder(key=key, measures=measures, aim=loss.aim(state.report.scope), number=state.material)


def issue_order(state: CaseState, key: CaseKey, policy: Policy, taken: int) -> IssueOrder:
    """The replacement; a stop-gap at first where something is owed, then the full one."""
    loss, rule = loss_of(state.report), rule_of(state, policy)
    stop_gap = rule.stop_gap_days if loss.recovery is Recovery.STOP_GAP else None
    return IssueOrder(
        key=key,
        measures=tuple(ordered.measure for ordered in rule.measures_for(loss)),
        recovery=loss.recovery,
        target=loss.target(state.report.scope),
        match=rule.match if loss.recovery is Recovery.REISSUE else None,
        activation=rule.activation_for(loss),
        stop_gap_days=state.condition_days if state.condition_days else stop_gap,
        full=state.target is not None,
        number=state.material,
        taken=taken,
    )


def close_order(state: CaseState, key: CaseKey, taken: int, at: datetime | None) -> CloseOrder:
    """What the backend must know of a case that is over."""
    return CloseOrder(
        key=key,
        recovered=state.recovered,
        lift=state.outcome in LIFTING,
        flag=state.verdict if state.verdict in HOLDER_BLAMED else None,
        number=state.material,
        taken=taken,
        decided=at,
        outcome=state.outcome,
        approved=state.approved,
    )


def keep_order(state: CaseState, key: CaseKey) -> CaseOrder:
    """The order that the replacement is not to be withdrawn any more; it goes with the next fact of the case."""
    return CaseOrder(key=key, number=state.sequence + 1)
