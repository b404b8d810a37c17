"""What a command makes of a case: facts, or none where it changes nothing. Pure; time comes in with the command."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_never, cast

from events.case_facts import (
    ApprovalGiven,
    ApprovalOverdue,
    ApprovalReminded,
    BackendFacts,
    CaseApproved,
    CaseCancelled,
    CaseClosed,
    CaseDecided,
    CaseFact,
    CaseGivenUp,
    CaseReinstated,
    CaseRejected,
    CaseResumed,
    CaseResurfaced,
    CaseReturned,
    CaseRuled,
    CaseSettled,
    CaseSighted,
    CaseStuck,
    ConditionMet,
    DecisionDenied,
    EvidenceAsked,
    EvidenceGiven,
    LossReported,
    LossWidened,
    QuotasAsked,
    ReleaseAwaited,
    ReplacementLost,
    ReplacementWithdrawn,
    ReplacingBegun,
    ScopeKnown,
    TargetAwaited,
    TargetOffered,
    WaitingBegun,
    WatchBegun,
)
from events.errors import Code
from events.ports.licensing_backend import Reservation
from events.ports.loss_cases import DecisionOrder
from events.rules import as_of
from events.sizes import CAUSE_CHARACTERS, CODE_CHARACTERS, ESCALATED_TO, LIST_PART, SCOPE_PART, in_parts
from events.terms import (
    Action,
    CaseId,
    Cause,
    Decision,
    EvidenceName,
    Instant,
    Kind,
    Outcome,
    Recovery,
    Status,
    Undecided,
    Verdict,
    Watch,
)
from workflows.authority import may_grant_goodwill, why_not
from workflows.case import CaseState, fold, fold_all
from workflows.case_life import CANCELLABLE, DECIDABLE, RESTING, TOO_LATE, UNDECIDED
from workflows.commands import (
    Assessed,
    Blocked,
    Bring,
    Command,
    Decide,
    Elapsed,
    Failed,
    Held,
    LoseReplacement,
    NoTarget,
    NothingLeft,
    Offered,
    Overtaken,
    PolicyKnown,
    Reinstated,
    Rejected,
    Replaced,
    Report,
    Settled,
    Sighted,
    Withdrawn,
)
from workflows.policy import Policy, Rule, decide_report, loss_of, quotas_to_reserve

ENROLMENT = {1: timedelta(days=14)}
"""How long a holder has to set access data that were reset, by the version of the rules that brought it."""

WIDER = "a wider loss of this container was reported"

INLINE = 360
"""So many licences a decision of the first rules version lists itself where a person goes on being waited for; with
more it would not fit into a record."""

RELEASE = timedelta(days=7)
"""How long an un-loss waits for other cases to lift their measures on the original."""


def decide(state: CaseState | None, command: Command) -> list[CaseFact]:
    """The facts that a command makes of a case; none where it changes nothing."""
    if isinstance(command, Report):
        return [] if state and state.status is Status.CLOSED else [command.report]
    assert state is not None, "a case begins with a report"
    made = _made(state, command)
    return [*made, *_caught_up(state, made, command)] if made else []


def _made(state: CaseState, command: Command) -> list[CaseFact]:
    """The facts that a command makes by itself."""
    match command:
        case Assessed():
            return _assessed(state, command)
        case Decide():
            return _decided(state, command)
        case Sighted():
            return _sighted(state, command)
        case Bring():
            return _brought(state, command)
        case Elapsed():
            return _elapsed(state, command)
        case Blocked(at=at, policy=policy):
            if state.only_watches:
                watched = timedelta(days=rule_of(state, policy).watch_days_for(loss_of(state.report)))
                return [WatchBegun(target=None, until=at + watched)]
            wait = timedelta(hours=rule_of(state, policy).wait_hours)
            until = state.waits_until or at + wait
            begun: CaseFact = WaitingBegun(until=until) if wait and until > at else ReplacingBegun()
            return [begun, *_to_a_person(state, at, policy)] if state.overtaken else [begun]
        case NoTarget(at=at, tickets=tickets):
            resets = loss_of(state.report).recovery is Recovery.RESET
            ends = at + as_of(state.rules_version, ENROLMENT) if resets else None
            several = in_parts(tickets, LIST_PART)
            return [TargetAwaited(tickets=some, until=ends, part=part, parts=of) for part, of, some in several]
        case Offered(serial=serial):
            return [TargetOffered(serial=serial)] if _takes_offers(state) else []
        case NothingLeft():
            return [CaseClosed(outcome=Outcome.LAPSED)]
        case Replaced():
            return _replaced(state, command)
        case Settled():
            return _settled(state)
        case Overtaken():
            return _overtaken(state, command)
        case Rejected():
            return _rejected_before(state, command)
        case LoseReplacement(to=to):
            known = state.status is Status.CLOSED or state.replacement_lost is not None
            return [] if known else [ReplacementLost(case=to)]
        case Withdrawn():
            return [ReplacementWithdrawn()]
        case Reinstated(serial=serial):
            return [CaseReinstated(serial=serial), CaseClosed(outcome=Outcome.FOUND)]
        case Held(cause=cause, at=at, refused=refused):
            if state.release_until is None:
                return [ReleaseAwaited(until=(refused or at) + RELEASE, cause=cause[:CAUSE_CHARACTERS])]
            return _stuck(Code.BLOCKED, cause) if state.release_until <= at else []
        case Failed(code=code, cause=cause):
            return _stuck(code, cause)
        case PolicyKnown(at=at, policy=policy, reservation=reservation):
            return _catch_up(state, at, policy, reservation)
        case Report():
            raise AssertionError("a report is a fact by itself")
        case _:
            assert_never(command)


def _stuck(code: str, cause: str) -> list[CaseFact]:
    return [CaseStuck(code=code[:CODE_CHARACTERS], cause=cause[:CAUSE_CHARACTERS])]


def rule_of(state: CaseState, policy: Policy) -> Rule:
    """The rule that a case is under."""
    assert state.facts is not None, "a rule is asked for once the backend's facts are known"
    return policy.rule_for(loss_of(state.report), state.facts)


def evident(state: CaseState, more: tuple[str, ...] = ()) -> LossReported:
    """The report that opened the case, with all evidence that was brought for it."""
    evidence = dict.fromkeys((*state.report.evidence, *state.evidence, *more))
    return state.report.model_copy(update={"evidence": tuple(evidence)})


def _assessed(state: CaseState, command: Assessed) -> list[CaseFact]:
    report = evident(state) if state.rules_version >= 2 else state.report
    facts = _with_contacts(command.facts, state)
    decided = decide_report(report, facts, command.policy, command.reservation)
    watches = state.model_copy(update={"facts": facts}).only_watches
    if decided.decision is Decision.AUTOMATIC and state.widened_by and not watches:
        changed = {"decision": Decision.NEEDS_APPROVAL, "reasons": (_overtaken_by(state.widened_by),)}
        decided = decided.model_copy(update=changed)
    decided = _with_deadlines(decided, command.at, command.policy, state.report)
    closed = [CaseClosed(outcome=Outcome.REFUSED)] if decided.decision is Decision.REFUSED else []
    if command.inline:
        return [decided, *closed]
    asked = _asked(state, command.reservation)
    return [*_scope(facts), *asked, _without_licences(decided), *closed]


def _with_contacts(facts: BackendFacts, state: CaseState) -> BackendFacts:
    """The facts with the last contact that the case missed while it was stuck: the backend keeps what it answered."""
    seen = [one.occurred for one in state.missed if one.cause is Cause.SIGHTING]
    last = max((at for at in (facts.last_contact, *seen) if at is not None), default=None)
    return facts if last == facts.last_contact else facts.model_copy(update={"last_contact": last})


def _scope(facts: BackendFacts) -> list[ScopeKnown]:
    """The licences of a loss, in parts."""
    several = in_parts(facts.licences, SCOPE_PART) if facts.licences else ()
    return [ScopeKnown(part=part, parts=parts, licences=licences) for part, parts, licences in several]


def _asked(state: CaseState, reservation: Reservation | None) -> list[QuotasAsked]:
    """What several quotas answered, in parts; nothing where that is known, or one at most was asked."""
    if reservation is None or reservation.quotas in ((), state.quotas):
        return []
    several = in_parts(reservation.quotas, LIST_PART)
    return [QuotasAsked(part=part, parts=parts, quotas=quotas) for part, parts, quotas in several]


def _without_licences(decided: CaseDecided) -> CaseDecided:
    """A decision as it is stated: its licences stand before it."""
    return decided.model_copy(update={"facts": decided.facts.model_copy(update={"licences": ()})})


def _with_deadlines(decided: CaseDecided, at: Instant, policy: Policy, report: LossReported) -> CaseDecided:
    if decided.decision is not Decision.NEEDS_APPROVAL:
        return decided
    loss = loss_of(report)
    approval = policy.rule_for(loss, decided.facts).approval
    deadlines: dict[str, object] = {"four_eyes": policy.needs_four_eyes(loss, decided.facts)}
    if approval is not None:
        deadlines["due"] = at + timedelta(hours=approval.due_hours)
        deadlines["remind"] = at + timedelta(hours=approval.remind_hours) if approval.remind_hours else None
    return decided.model_copy(update=deadlines)


@dataclass(frozen=True, slots=True)
class _Heard:
    """Evidence that policy decides on again, and what the quota answered, if it was asked."""

    evidence: tuple[EvidenceName, ...] = ()
    reservation: Reservation | None = None


def _again(state: CaseState, facts: BackendFacts, at: Instant, policy: Policy, heard: _Heard | None) -> list[CaseFact]:
    """What policy says now that more is known; nothing where it says the same."""
    report = evident(state, heard.evidence if heard else ())
    kept = None
    if state.limit is not None:
        kept = Reservation(at=at, ordinal=state.ordinal, limit=state.limit, quotas=state.quotas)
    reservation = (heard.reservation if heard else None) or kept
    if reservation is None and quotas_to_reserve(report, facts, policy):
        return []  # a person decided before any quota was asked, and what has turned up gives no reason to doubt it
    decided = decide_report(report, facts, policy, reservation)
    if (decided.decision, decided.reasons) == (state.decision, state.reasons):
        return []
    if decided.decision is Decision.AUTOMATIC and (heard is None or state.decision is Decision.AUTOMATIC):
        return []
    if decided.decision is Decision.AUTOMATIC and state.widened_by is not None:
        return []
    if state.status in UNDECIDED and decided.decision is Decision.NEEDS_APPROVAL:
        as_they_were = {"due": state.due, "remind": state.remind, "four_eyes": state.four_eyes}
        again = decided.model_copy(update=as_they_were)
        inline = state.rules_version < 2 and len(facts.licences) <= INLINE
        return [*_asked(state, reservation), again if inline else _without_licences(again)]
    return [*_asked(state, reservation), _without_licences(_with_deadlines(decided, at, policy, report))]


def _brought(state: CaseState, command: Bring) -> list[CaseFact]:
    given = command.evidence
    if state.status is Status.CLOSED:
        return []
    brought = EvidenceGiven(
        statement=given.statement,
        by=given.by,
        evidence=given.evidence,
        files=given.files,
        on_behalf_of=given.on_behalf_of,
    )
    if state.status not in UNDECIDED or state.facts is None:
        return [brought]
    heard = _Heard(given.evidence, command.reservation)
    return [brought, *_again(state, state.facts, command.at, command.policy, heard)]


def _overtaken(state: CaseState, command: Overtaken) -> list[CaseFact]:
    """What was milder goes to a person before anything is issued for it; a reset of access data that were stolen is
    over."""
    if state.status is Status.CLOSED:
        return []
    widened = LossWidened(case=command.by)
    if loss_of(state.report).recovery is Recovery.RESET:
        cancelled = CaseCancelled(statement=f"case/{command.by}", why=WIDER)
        return [widened, cancelled, CaseClosed(outcome=Outcome.CANCELLED)]
    if state.status not in (Status.WAITING, Status.REPLACING, Status.AWAITING_TARGET) or _bridged_unasked(state):
        return [widened]
    widened_state = state.model_copy(update={"widened_by": command.by})
    return [widened, *_to_a_person(widened_state, command.at, command.policy)]


def _rejected_before(state: CaseState, command: Rejected) -> list[CaseFact]:
    """The report, stated again with the rejected case that it follows; policy decides on it anew before anything is
    issued."""
    if state.status is Status.CLOSED:
        return []
    named = state.report.model_copy(update={"former": command.case, "rejected": command.case})
    if state.status not in (*CANCELLABLE, Status.REPLACING, Status.AWAITING_TARGET):
        return [named]
    return [named, *_known_rejected(fold(state, named), command.at, command.policy)]


def _known_rejected(state: CaseState, at: Instant, policy: Policy) -> list[CaseFact]:
    """What policy says of a loss of which it has become known that it was rejected before."""
    assert state.facts is not None
    return _again(state, state.facts, at, policy, None)


def _overtaken_by(case: CaseId) -> str:
    return f"{WIDER}, in case {case}"


def _to_a_person(state: CaseState, at: Instant, policy: Policy) -> list[CaseDecided]:
    """A case that was overtaken is for a person to decide."""
    assert state.facts is not None
    assert state.widened_by is not None
    decided = CaseDecided(
        decision=Decision.NEEDS_APPROVAL,
        reasons=(_overtaken_by(state.widened_by),),
        policy_version=policy.policy_version,
        facts=state.facts,
        ordinal=state.ordinal,
        limit=state.limit,
    )
    return [_without_licences(_with_deadlines(decided, at, policy, state.report))]


def _sighted(state: CaseState, command: Sighted) -> list[CaseFact]:
    sighting = command.sighting
    if state.status is Status.CLOSED:
        return []
    fields = {"statement": sighting.statement, "occurred": sighting.occurred}
    seen = {**fields, "cause": sighting.cause}
    found = sighting.cause is Cause.FOUND
    match state.status:
        case _ if found and _ends_when_found(state):
            return [CaseCancelled(statement=sighting.statement), CaseClosed(outcome=Outcome.CANCELLED)]
        case _ if not found and state.status in (*CANCELLABLE, Status.AWAITING_TARGET):
            return [CaseSighted.model_validate(seen), *_suspected(state, command)]
        case Status.WATCHING | Status.RESURFACED if sighting.cause is Cause.RETURNED and state.owes_return:
            back = CaseReturned.model_validate(fields)
            stopped = state.overtaken and not _bridged_unasked(state)
            return [back, *_to_a_person(state, command.at, command.policy)] if stopped else [back]
        case Status.WATCHING | Status.AWAITING_TARGET | Status.AWAITING_APPROVAL | Status.ESCALATED | Status.WAITING:
            return [CaseResurfaced.model_validate(seen), *_ruled_by_policy(state, sighting.cause, command.policy)]
        case _:
            return [CaseSighted.model_validate(seen)]


def _ends_when_found(state: CaseState) -> bool:
    """Whether a case of which nothing was issued is cancelled when the container is found: it waits to be decided or
    for its time, or it cannot go on."""
    if state.rules_version < 2:
        return state.status in CANCELLABLE
    if state.target is not None:
        return False
    stands = state.stuck[0] if state.stuck else state.status
    stopped = state.stuck is not None and stands in (Status.REPORTED, Status.BLOCKING)
    return stopped or stands is Status.REPLACING or stands in CANCELLABLE


def _bridged_unasked(state: CaseState) -> bool:
    """Whether the full replacement follows the stop-gap though a wider loss was reported: under the first rules nobody
    was asked."""
    return state.rules_version < 2 and state.target is not None


def _suspected(state: CaseState, command: Sighted) -> list[CaseFact]:
    """A contact of what is lost, before it is replaced, has policy decide again; once one after the loss was known,
    further ones change nothing, so that they do not make a decision stale."""
    facts, occurred = state.facts, command.sighting.occurred
    if facts is None or command.sighting.cause is not Cause.SIGHTING:
        return []
    if facts.last_contact is not None and facts.last_contact > state.report.occurred:
        return []
    if facts.last_contact is None or occurred > facts.last_contact:
        facts = facts.model_copy(update={"last_contact": occurred})
    return _again(state, facts, command.at, command.policy, None)


def _ruled_by_policy(state: CaseState, cause: Cause, policy: Policy) -> list[CaseFact]:
    verdict = rule_of(state, policy).resurfaced.verdict_for(cause)
    if verdict is None or state.target is None:
        return []
    return [CaseRuled(verdict=verdict, why="policy rules so"), CaseClosed(outcome=Outcome(verdict))]


def _elapsed(state: CaseState, command: Elapsed) -> list[CaseFact]:
    at = command.at
    match state.status:
        case Status.AWAITING_APPROVAL if state.due is not None and state.due <= at:
            approval = rule_of(state, command.policy).approval
            undecided = approval.undecided if approval else Undecided.KEEP_WAITING
            people = approval.escalate_to[:ESCALATED_TO] if approval and undecided is Undecided.ESCALATE else ()
            rejected = [CaseClosed(outcome=Outcome.REJECTED)] if undecided is Undecided.REJECT else []
            return [ApprovalOverdue(undecided=undecided, escalated_to=people), *rejected]
        case Status.AWAITING_APPROVAL if state.remind is not None and state.remind <= at:
            return [ApprovalReminded()]
        case Status.WAITING if state.waits_until is not None and state.waits_until <= at:
            return [ReplacingBegun()]
        case Status.AWAITING_TARGET if state.lapses is not None and state.lapses <= at:
            return [CaseClosed(outcome=Outcome.LAPSED)]
        case Status.WATCHING if state.watch_until is not None and state.watch_until <= at:
            return [CaseClosed(outcome=Outcome.LAPSED if state.owes else Outcome.LOST_FOR_EVER)]
        case _:
            return []


def _replaced(state: CaseState, command: Replaced) -> list[CaseFact]:
    loss = loss_of(state.report)
    if loss.watch is Watch.NONE:
        return [CaseClosed(outcome=Outcome.RESTORED)]
    if state.target is not None and loss.watch is Watch.UNTIL_RETURNED:
        return [CaseClosed(outcome=Outcome.RETURNED)]
    stop_gap = state.condition_days if state.condition else None
    watched = stop_gap or rule_of(state, command.policy).watch_days_for(loss)
    begun = WatchBegun(target=command.target, until=command.at + timedelta(days=watched))
    if loss.watch is Watch.UNTIL_RETURNED and state.returned:
        return [begun, CaseReturned(statement=state.returned, occurred=command.at)]
    return [begun, CaseClosed(outcome=Outcome.RETIRED)] if state.settled and not state.owes else [begun]


def _settled(state: CaseState) -> list[CaseFact]:
    if state.settled or state.status in (Status.CLOSED, Status.REINSTATING):
        return []
    ends = state.status is Status.WATCHING and not state.owes
    return [CaseSettled(), CaseClosed(outcome=Outcome.RETIRED)] if ends else [CaseSettled()]


def _decided(state: CaseState, command: Decide) -> list[CaseFact]:
    order = command.order
    if denial := _denial(state, command):
        return [DecisionDenied(decision=order.decision, action=order.action, by=order.by, code=denial)]
    named = {"decision": order.decision, "by": order.by, "why": order.why}
    match order.action:
        case Action.APPROVE if state.four_eyes and _knowing(state, command).standing_approval is None:
            kept = state.rules_version >= 2
            return [ApprovalGiven.model_validate({**named, **(_condition(state, order) if kept else {})})]
        case Action.APPROVE:
            depends = _condition(state, order)
            return [CaseApproved.model_validate({**named, "goodwill": order.goodwill, **depends})]
        case Action.REJECT:
            return [CaseRejected.model_validate(named), CaseClosed(outcome=Outcome.REJECTED)]
        case Action.ASK:
            return [EvidenceAsked.model_validate({**named, "evidence": order.evidence})]
        case Action.MEET:
            return [ConditionMet.model_validate(named)]
        case Action.CANCEL:
            return [CaseCancelled.model_validate(named), CaseClosed(outcome=Outcome.CANCELLED)]
        case Action.RULE:
            assert order.verdict is not None
            unreplaced = order.verdict is Verdict.FOUND and state.target is None and state.report.kind is not Kind.CLOUD
            reinstate = order.reinstate or unreplaced
            ruled = CaseRuled.model_validate({**named, "verdict": order.verdict, "reinstate": reinstate})
            return [ruled] if reinstate else [ruled, CaseClosed(outcome=Outcome(order.verdict))]
        case Action.RESUME:
            assert state.stuck is not None
            return [CaseResumed.model_validate({**named, "into": _goes_on_in(state, state.stuck[0])})]
        case Action.GIVE_UP:
            return [CaseGivenUp.model_validate(named), CaseClosed(outcome=Outcome.GIVEN_UP)]
        case _:
            assert_never(order.action)


def _goes_on_in(state: CaseState, stuck: Status) -> Status:
    """Where a case goes on that is resumed. Where the container was found meanwhile, what was issued has resurfaced; a
    case that was overtaken goes to a person once its measures are ordered."""
    if stuck in (Status.BLOCKING, Status.REPLACING) and any(one.cause is Cause.FOUND for one in state.missed):
        return Status.WATCHING
    if stuck is Status.REPLACING and state.overtaken and not _bridged_unasked(state):
        return Status.BLOCKING
    return stuck


def _caught_up(state: CaseState, made: list[CaseFact], command: Command) -> list[CaseFact]:
    """What a case makes of what it missed while it was stuck, where these facts have it rest, or go on to issue."""
    if not state.missed and not state.doubted and state.status is not Status.STUCK:
        return []
    if not isinstance(command, Assessed | Blocked | Replaced | Decide) or state.rules_version < 2:
        return []
    if isinstance(command, Decide) and not (command.policy_known and isinstance(made[-1], CaseResumed)):
        return []
    return _catch_up(cast(CaseState, fold_all(made, state)), command.at, command.policy)


def _catch_up(state: CaseState, at: Instant, policy: Policy, reservation: Reservation | None = None) -> list[CaseFact]:
    """What a case makes of all that happened while it was stuck: as if it had happened now."""
    issues = state.status is Status.REPLACING and state.target is None
    if state.rules_version < 2 or not (issues or state.status in RESTING):
        return []
    made: list[CaseFact] = []

    def take(facts: Sequence[CaseFact]) -> None:
        nonlocal state
        made.extend(facts)
        state = cast(CaseState, fold_all(facts, state))

    for sighting in state.missed:
        command = Sighted(sighting=sighting, at=at, policy=policy)
        again = _suspected(state, command) if issues else _sighted(state, command)
        take([fact for fact in again if not isinstance(fact, CaseSighted)])  # which it is in the log as, already
    if state.unheard and state.status in UNDECIDED and state.facts is not None:
        take(_again(state, state.facts, at, policy, _Heard(reservation=reservation)))
    if state.doubted and (state.target is None and (state.status in CANCELLABLE or issues)):
        take(_known_rejected(state, at, policy))
    if state.overtaken and state.status in (Status.WAITING, Status.AWAITING_TARGET):
        take(_to_a_person(state, at, policy))
    if state.offered and state.status is Status.AWAITING_TARGET and not (state.lapses and state.lapses <= at):
        take([TargetOffered(serial=state.offered)])
    if state.settled and state.status is Status.WATCHING and not state.owes:
        take([CaseClosed(outcome=Outcome.RETIRED)])
    return made


def _takes_offers(state: CaseState) -> bool:
    """Whether a case waits for something that may take its replacement, be it stuck there, and has none."""
    if state.status is Status.STUCK:
        stuck = state.stuck is not None and state.stuck[0] is Status.AWAITING_TARGET
        return state.rules_version >= 2 and stuck and state.offered is None
    return state.status is Status.AWAITING_TARGET


def _condition(state: CaseState, order: DecisionOrder) -> dict[str, Any]:
    """The condition of an approval: the supervisor's own or, of two, that of the first."""
    if order.condition is None and state.standing_approval is not None:
        return {"condition": state.first_condition, "condition_days": state.first_condition_days}
    return {"condition": order.condition, "condition_days": order.condition_days}


def _knowing(state: CaseState, command: Decide) -> CaseState:
    """The case, with those who have reported its loss by what the backend knows."""
    return state.model_copy(update={"reporters": (*state.reporters, *command.reporters)})


def _denial(state: CaseState, command: Decide) -> Code | None:
    """Why a decision may not be taken; None where it may."""
    order = command.order
    personal = why_not(_knowing(state, command), order.action, order.by, command.supervisors, command.policy)
    if personal in (Code.NOT_A_SUPERVISOR, Code.OWN_CASE):
        return personal
    if order.action is Action.CANCEL and (state.status in TOO_LATE or _is_bridged(state)):
        return Code.TOO_LATE
    if state.status not in DECIDABLE[order.action] or (order.action is Action.MEET and state.condition is None):
        return Code.NOTHING_TO_DECIDE
    if order.action is Action.RULE and state.status is not Status.RESURFACED and not _may_be_retired(state, order):
        return Code.NOTHING_TO_DECIDE
    if order.on != state.material:
        return Code.STALE
    if personal not in (None, Code.NO_GOODWILL):  # of goodwill more is asked below
        return personal
    match order.action:
        case Action.APPROVE:
            return _denied_approval(state, command)
        case Action.RULE:
            return _denied_verdict(state, order)
        case Action.MEET | Action.RESUME if state.replacement_lost is not None and _needs_the_replacement(state):
            return Code.REPLACEMENT_LOST
        case _:
            return None


def _may_be_retired(state: CaseState, order: DecisionOrder) -> bool:
    """Whether a verdict ends an un-loss, under way or stuck: found again means nothing while nothing was issued."""
    unloss = state.stuck[0] if state.stuck else state.status
    return unloss is Status.REINSTATING and not (order.verdict is Verdict.FOUND and state.target is None)


def _is_bridged(state: CaseState) -> bool:
    """Whether a person decides on the full replacement while a stop-gap runs: it is too late to cancel."""
    return state.target is not None and state.status in CANCELLABLE


def _needs_the_replacement(state: CaseState) -> bool:
    """Whether it would replace what it has replaced before, or withdraw it, or is stuck at that."""
    stuck = (Status.REPLACING, Status.REINSTATING) if state.rules_version >= 2 else (Status.REPLACING,)
    return state.target is not None and (state.stuck is None or state.stuck[0] in stuck)


def _denied_approval(state: CaseState, command: Decide) -> Code | None:
    order = command.order
    if state.beyond_quota and not order.goodwill:
        return Code.BEYOND_QUOTA
    if order.goodwill and not may_grant_goodwill(state, order.by, command.policy):
        return Code.NO_GOODWILL
    issues = loss_of(state.report).recovery in (Recovery.NEXT_GENERATION, Recovery.REISSUE) and not state.only_watches
    return Code.NO_CONDITION if order.condition and not issues else None


def _denied_verdict(state: CaseState, order: DecisionOrder) -> Code | None:
    if not order.reinstate:
        return None
    if state.replacement_lost is not None:
        return Code.REPLACEMENT_LOST
    return None if _is_licensed(state) and state.status is Status.RESURFACED else Code.NOTHING_TO_DECIDE


def _is_licensed(state: CaseState) -> bool:
    """Whether licences were lost that can be reinstated; those of a cloud container stay where they are."""
    return bool(state.licences) and state.report.kind is not Kind.CLOUD


HOLDER_BLAMED = (Verdict.CLONE, Verdict.FRAUD)
"""The verdicts that speak against the holder."""
