"""The state of a loss case, where each fact takes it, and how facts fold. Pure."""

from collections.abc import Callable, Mapping, Sequence
from typing import assert_never

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
    CaseReturned,
    CaseRuled,
    CaseSettled,
    CaseStuck,
    ConditionMet,
    DecisionDenied,
    DecisionFact,
    EvidenceAsked,
    EvidenceGiven,
    LicenceInScope,
    LossReported,
    LossWidened,
    QuotaAnswer,
    QuotasAsked,
    ReleaseAwaited,
    ReplacementLost,
    ReplacementWithdrawn,
    ReplacingBegun,
    ScopeKnown,
    TargetAwaited,
    TargetOffered,
    TurnedUp,
    WaitingBegun,
    WatchBegun,
)
from events.ports.loss_cases import Sighting
from events.terms import (
    CaseId,
    Cause,
    Decision,
    DecisionId,
    EvidenceName,
    HolderId,
    Instant,
    Kind,
    Outcome,
    PersonId,
    ReportId,
    Serial,
    Status,
    Value,
    Verdict,
    Watch,
)
from workflows.case_life import DENIED, IMMATERIAL, RESTING, STAGES, STAYING, TRANSITIONS, UNDECIDED
from workflows.policy import loss_of

DECISIONS_KEPT = 100
"""Of so many decisions a case can say what became of them; the history has them all."""

EVIDENCE_KEPT = 500
"""So much evidence, by name, counts for a case."""


class UnexpectedFactError(Exception):
    """A fact that the transition table does not know in this state: a bug or a damaged log, never input."""


class CaseState(Value):
    """All that is known of a case from its own facts."""

    status: Status
    report: LossReported
    reports: tuple[ReportId, ...]
    reporters: tuple[PersonId, ...]
    sequence: int = 1
    """The number of its last fact, and of the last that is material."""
    material: int = 1
    scope: tuple[LicenceInScope, ...] = ()
    """The licences that are known and not decided on yet; from the decision on they are among the facts."""
    facts: BackendFacts | None = None
    decision: Decision | None = None
    reasons: tuple[str, ...] = ()
    rules_version: int = 1
    policy_version: int | None = None
    ordinal: int | None = None
    limit: int | None = None
    quotas: tuple[QuotaAnswer, ...] = ()
    """What each quota answered where several were asked, the strictest rule's first."""
    four_eyes: bool = False
    remind: Instant | None = None
    due: Instant | None = None
    escalated_to: tuple[PersonId, ...] = ()
    asked: tuple[EvidenceName, ...] = ()
    evidence: tuple[EvidenceName, ...] = ()
    first_approval: PersonId | None = None
    first_condition: str | None = None
    first_condition_days: int | None = None
    decided_by: PersonId | None = None
    approved: bool = False
    """Whether a person has approved it since policy last decided."""
    decisions: tuple[tuple[DecisionId, str | None], ...] = ()
    """The last decisions that were brought, by id: None where it was taken, else the code of its denial."""
    condition: str | None = None
    condition_days: int | None = None
    """What the approval still depends on, and how long the stop-gap until then is."""
    stuck: tuple[Status, str, str] | None = None
    """While it is stuck: where, the code and the cause of what failed."""
    waits_until: Instant | None = None
    lapses: Instant | None = None
    """When the wait for a target is over, if ever."""
    target: Serial | None = None
    recovered: bool = False
    returned: str | None = None
    """What said that the vendor has the container back."""
    watch_until: Instant | None = None
    settled: bool = False
    replacement_lost: CaseId | None = None
    widened_by: CaseId | None = None
    """The case of a wider loss, or of one that asks for more measures, that was reported since."""
    overtaken: bool = False
    """Whether such a loss was reported and the case has not gone to a person since."""
    withdrawn: bool = False
    release_until: Instant | None = None
    """How long it waits for other cases to lift their measures on the original."""
    verdict: Verdict | None = None
    sightings: int = 0
    missed: tuple[Sighting, ...] = ()
    """What turned up while it was stuck, the last of each cause: it takes effect once the case goes on."""
    found: tuple[str, Instant] | None = None
    """Snapshots from before `missed` have it."""
    offered: Serial | None = None
    """What was offered for the replacement while it was stuck, waiting for that."""
    unheard: bool = False
    """Whether evidence was given while it was stuck, waiting for an approval: policy decides on it once it goes on."""
    doubted: bool = False
    """Whether it became known while it was stuck that the loss was rejected before: policy decides on it once it goes
    on."""
    outcome: Outcome | None = None

    @property
    def holder(self) -> HolderId | None:
        """Whose container it is, once the backend has said so."""
        return self.facts.holder if self.facts else None

    @property
    def licences(self) -> tuple[LicenceInScope, ...]:
        """The licences that the loss is about, at the generations that were claimed."""
        return self.facts.licences if self.facts else ()

    @property
    def only_watches(self) -> bool:
        """Whether other cases replace what was lost, and this one is there to block and to watch."""
        return self.facts is not None and not self.licences and self.report.kind is not Kind.CLOUD

    @property
    def owes(self) -> bool:
        """Whether what was issued is a stop-gap, until the container is back or the condition is met."""
        return self.condition is not None or self._bridges

    @property
    def owes_return(self) -> bool:
        """Whether the full replacement follows once the container is back; another case replaces one that was lost."""
        return self._bridges and self.replacement_lost is None

    @property
    def _bridges(self) -> bool:
        return loss_of(self.report).watch is Watch.UNTIL_RETURNED and not self.only_watches

    @property
    def withdraws(self) -> bool:
        """Whether what was issued must be removed before the original is reinstated."""
        return self.target is not None and not self.withdrawn

    @property
    def alarm(self) -> Instant | None:
        """When it looks again though no message comes."""
        instants = (getattr(self, name) for name in STAGES[self.status].alarms)
        return min((at for at in instants if at is not None), default=None)

    @property
    def beyond_quota(self) -> bool:
        """Whether the quotas were asked and one of them had none left."""
        return self.limit is not None and self.ordinal is None

    @property
    def standing_approval(self) -> PersonId | None:
        """Who gave the first of two approvals; it is void once they have reported the loss."""
        void = self.rules_version >= 2 and self.first_approval in self.reporters
        return None if void else self.first_approval

    def denial_of(self, decision: DecisionId) -> str | None:
        """The code that a decision was denied with, if it was brought and denied."""
        return dict(self.decisions).get(decision)


def _approved(state: CaseState) -> bool:
    """A case that needs an approval goes on only once a person has approved it. For one that turned up that is not
    certain: then a person looks at the next report of the loss too."""
    stands = state.stuck[0] if state.stuck else state.status
    certain = stands not in (Status.REPORTED, *UNDECIDED, Status.RESURFACED, Status.REINSTATING, Status.CLOSED)
    return state.decision is Decision.NEEDS_APPROVAL and certain


def _found(state: CaseState) -> tuple[Sighting, ...]:
    """What was found while the case was stuck, where an older release kept nothing else that it missed."""
    return tuple(Sighting(statement=one, cause=Cause.FOUND, occurred=at) for one, at in filter(None, (state.found,)))


def _unheard(state: CaseState) -> bool:
    """Evidence may have been given while the case was stuck: policy decides on it, maybe once more than it must."""
    stood = state.stuck[0] if state.stuck and state.rules_version >= 2 else None
    return stood in UNDECIDED and bool(state.evidence)


LATER_FIELDS: Mapping[str, Callable[[CaseState], object]] = {
    "approved": _approved,
    "doubted": lambda _: False,
    "first_condition": lambda _: None,
    "first_condition_days": lambda _: None,
    "found": lambda _: None,
    "missed": _found,
    "offered": lambda _: None,
    "quotas": lambda _: (),
    "unheard": _unheard,
}
"""The fields that are missing in some state which an older release carried into a new history: what each is there, by
the others. Of a field that only comes by a fact which that release did not know the default is right."""


def with_later_fields(carried: CaseState) -> CaseState:
    """The state of a case that an older release carried into a new history, with what is kept of a case since."""
    later = {name: of(carried) for name, of in LATER_FIELDS.items() if name not in carried.model_fields_set}
    return carried.model_copy(update=later) if later else carried


def fold(state: CaseState | None, fact: CaseFact) -> CaseState:
    """The state after a fact. Raises `UnexpectedFactError`."""
    if state is not None:
        return state.model_copy(update=changes(state, fact))
    status = _after(None, fact)
    assert isinstance(fact, LossReported)
    return CaseState(
        status=status,
        report=fact,
        reports=(fact.report,),
        reporters=(fact.reporter.name,),
        rules_version=fact.rules_version,
    )


def changes(state: CaseState, fact: CaseFact) -> dict[str, object]:
    """The fields of a state that are others after a fact. Raises `UnexpectedFactError`."""
    found = _learnt(state, fact)
    found["status"] = _after(state.status, fact)
    found["sequence"] = sequence = state.sequence + 1
    if fact.name not in IMMATERIAL or (_is_missed(state, fact) and _is_told(fact)):
        found["material"] = sequence
    if state.status in RESTING and found["status"] != state.status and not isinstance(fact, CaseStuck):
        found.update({name: value for name, value in NOTHING_MISSED.items() if getattr(state, name) != value})
    return found


def fold_all(facts: Sequence[CaseFact], state: CaseState | None = None) -> CaseState | None:
    """The state after many facts."""
    for fact in facts:
        state = fold(state, fact)
    return state


def _after(status: Status | None, fact: CaseFact) -> Status:
    after = TRANSITIONS.get((status, fact.trigger))
    if after is None and status is not None:
        stays = fact.name in STAYING if status is not Status.CLOSED else fact.name == DENIED
        after = status if stays else None
    if after is None:
        raise UnexpectedFactError(f"{fact.trigger} in {status or 'a case that does not exist'}")
    if isinstance(fact, CaseClosed) and status is not None and fact.outcome not in STAGES[status].outcomes:
        raise UnexpectedFactError(f"{fact.trigger} as {fact.outcome} in {status}")
    return after


def _learnt(state: CaseState, fact: CaseFact) -> dict[str, object]:
    match fact:  # what most cases come by stands first: a long fold asks the question of each in turn
        case CaseDecided():
            kept = ("decision", "reasons", "policy_version", "ordinal", "limit", "four_eyes", "remind", "due")
            learnt = {name: getattr(fact, name) for name in kept}
            unheard = {"scope": (), "first_approval": None, "overtaken": False, "approved": False, "doubted": False}
            unconditional = {"first_condition": None, "first_condition_days": None}
            return {**learnt, "facts": _facts(state, fact), **unheard, **unconditional}
        case ScopeKnown():
            return {"scope": (*state.scope, *fact.licences)}
        case QuotasAsked():
            return {"quotas": fact.quotas if fact.part == 1 else (*state.quotas, *fact.quotas)}
        case WatchBegun():
            return {"target": fact.target, "watch_until": fact.until, "recovered": True}
        case TargetOffered():
            return {"offered": fact.serial} if state.status is Status.STUCK else {}
        case ReplacingBegun() | CaseReinstated():
            return {}
        case CaseCancelled():
            return _taken(state, fact) if fact.decision else {}
        case CaseClosed():
            restored = fact.outcome is Outcome.RESTORED
            return {"outcome": fact.outcome, "recovered": state.recovered or restored}
        case LossReported() if fact.rejected and _opened_by(state, fact):  # stated again, with what is known since
            return {"report": fact, **({"doubted": True} if state.status is Status.STUCK else {})}
        case LossReported():
            return {"reports": (*state.reports, fact.report), "reporters": (*state.reporters, fact.reporter.name)}
        case CaseApproved():
            condition = {"condition": fact.condition, "condition_days": fact.condition_days}
            settled = {"remind": None, "due": None, "overtaken": False, "approved": True}
            return {**_taken(state, fact), **condition, **settled}
        case TurnedUp():
            back: dict[str, object] = {"returned": fact.statement} if fact.cause is Cause.RETURNED else {}
            if _is_missed(state, fact):
                back["missed"] = _missed(state, fact)
            elif any(fact.statement == one.statement for one in state.missed):
                return back  # it was counted when it was said
            return {**back, "sightings": state.sightings + 1}
        case ApprovalReminded():
            return {"remind": None}
        case ApprovalOverdue():
            return {"remind": None, "due": None, "escalated_to": fact.escalated_to}
        case EvidenceAsked():
            return {**_taken(state, fact), "asked": tuple(dict.fromkeys((*state.asked, *fact.evidence)))}
        case EvidenceGiven():
            evidence: dict[str, object] = {
                "evidence": tuple(dict.fromkeys((*state.evidence, *fact.evidence)))[:EVIDENCE_KEPT]
            }
            stood = state.stuck[0] if state.stuck and state.rules_version >= 2 else None
            return {**evidence, "unheard": True} if stood in UNDECIDED else evidence
        case ApprovalGiven():
            asked = {"first_condition": fact.condition, "first_condition_days": fact.condition_days}
            return {**_taken(state, fact), "first_approval": fact.by, **asked}
        case ConditionMet():
            return {**_taken(state, fact), "condition": None}
        case CaseRejected() | CaseGivenUp():
            return _taken(state, fact)
        case CaseResumed():
            return {**_taken(state, fact), "stuck": None, "release_until": None}
        case CaseRuled():
            taken = _taken(state, fact) if fact.decision else {}
            return {**taken, "verdict": fact.verdict, "release_until": None}
        case DecisionDenied():
            return {"decisions": _decisions(state, fact.decision, fact.code)}
        case CaseStuck():
            return {"stuck": (state.status, fact.code, fact.cause)}
        case WaitingBegun():
            return {"waits_until": fact.until}
        case TargetAwaited():
            return {"lapses": fact.until}
        case CaseReturned():
            return {"returned": fact.statement}
        case LossWidened():
            return {"widened_by": fact.case, "overtaken": True}
        case ReplacementLost():
            return {"replacement_lost": fact.case}
        case ReplacementWithdrawn():
            return {"withdrawn": True}
        case ReleaseAwaited():
            return {"release_until": fact.until}
        case CaseSettled():
            return {"settled": True}
        case _:
            assert_never(fact)


NOTHING_MISSED: dict[str, object] = {"missed": (), "offered": None, "unheard": False}
"""Where a case goes on from a rest, what it missed has had its effect."""


def _opened_by(state: CaseState, fact: LossReported) -> bool:
    """Whether it is the report that opened the case."""
    return (fact.report, fact.reporter) == (state.report.report, state.report.reporter)


def _is_missed(state: CaseState, fact: CaseFact) -> bool:
    """Whether the fact says that what was lost turned up while the case was stuck."""
    return isinstance(fact, TurnedUp) and state.status is Status.STUCK and state.rules_version >= 2


def _is_told(fact: CaseFact) -> bool:
    """Whether somebody said that it turned up: whoever resumes the case must know. Contacts are not material."""
    return isinstance(fact, TurnedUp) and fact.cause is not Cause.SIGHTING


def _missed(state: CaseState, fact: TurnedUp) -> tuple[Sighting, ...]:
    """What a case has missed, once this too has turned up: the last of each cause, of contacts the latest."""
    kept = {one.cause: one for one in state.missed}
    known = kept.get(fact.cause)
    if known is None or fact.cause is not Cause.SIGHTING or fact.occurred > known.occurred:
        kept[fact.cause] = Sighting(statement=fact.statement, cause=fact.cause, occurred=fact.occurred)
    return tuple(kept.values())


def _facts(state: CaseState, decided: CaseDecided) -> BackendFacts:
    """The facts of a decision with their licences, which stand before it; an older record lists them itself."""
    if decided.facts.licences:
        return decided.facts
    known = state.scope or (state.facts.licences if state.facts else ())
    return decided.facts.model_copy(update={"licences": known})


def _taken(state: CaseState, fact: DecisionFact | CaseRuled | CaseCancelled) -> dict[str, object]:
    assert fact.decision is not None
    return {"decisions": _decisions(state, fact.decision, None), "decided_by": fact.by}


def _decisions(state: CaseState, decision: DecisionId, denial: str | None) -> tuple[tuple[DecisionId, str | None], ...]:
    return (*state.decisions, (decision, denial))[-DECISIONS_KEPT:]
