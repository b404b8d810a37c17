"""The facts that a case states, by append: what was said and decided."""

from typing import Annotated, ClassVar

from pydantic import Field

from events.evidence import FILES, EvidenceFile
from events.fact import Fact, WiderFact
from events.sizes import (
    CAUSE_CHARACTERS,
    CODE_CHARACTERS,
    ESCALATED_TO,
    LIST_PART,
    PRODUCTS_KNOWN,
    REASON_CHARACTERS,
    REASONS,
    SCOPE_PART,
    AtMost,
    Label,
    Part,
)
from events.terms import (
    TEXT_CHARACTERS,
    Action,
    CaseId,
    Cause,
    Count,
    Decision,
    DecisionId,
    EvidenceName,
    Generation,
    HolderId,
    Instant,
    Kind,
    LicenceId,
    Outcome,
    PersonId,
    ProductId,
    Reason,
    Reporter,
    ReportId,
    Scope,
    Serial,
    Status,
    Storable,
    Ticket,
    Undecided,
    Value,
    Verdict,
    Whole,
)

LOSSES_KNOWN = 100
Why = Annotated[str, AtMost(TEXT_CHARACTERS), Storable]
Names = Annotated[tuple[EvidenceName, ...], AtMost(20)]


class CaseStreamFact(Fact):
    """A fact in the stream of a case."""


class DecisionFact(CaseStreamFact, WiderFact):
    """What a supervisor decided; the same number is the same decision."""

    decision: DecisionId
    by: PersonId
    why: Why


class TurnedUp(CaseStreamFact):
    """The lost container turned up; `statement` names what said so, `occurred` is what that claims. Facts from before
    cases had numbered messages carry an `ordinal`, by which refused contacts were counted."""

    statement: Label
    cause: Cause
    occurred: Instant
    ordinal: Count | None = None


class LossReported(CaseStreamFact, WiderFact):
    """A loss report opened or joined the case. `occurred` is the reporter's claim; `received` is the door's clock;
    `evidence` names what the reporter brought.

    Where it opened the case, `former` is the last case of the same loss, which recovered nothing, and `rejected` the
    last one that was rejected, unless a person has approved the loss since. `beside` is a case that holds a part of
    what was reported: one that it opened is about the rest, or only blocks and watches; one that it did not open only
    learns of the report, which is of the case beside it. `rules_version` is that of the product's rules which the case
    keeps to. `on_behalf_of` is the holder for whom a delegate reported.

    Where the report took over a reset that was rejected, the case learns of the rejection only once the reset is
    closed: it then states the report that opened it again, with the rejected case as `former` and `rejected`.
    """

    name = "loss.reported"
    report: ReportId
    serial: Serial
    kind: Kind
    reason: Reason
    scope: Scope
    licences: Annotated[tuple[LicenceId, ...], AtMost(LIST_PART)] = ()
    reporter: Reporter
    door: Label
    occurred: Instant
    received: Instant
    evidence: Names = ()
    former: CaseId | None = None
    beside: CaseId | None = None
    rules_version: Annotated[int, Field(ge=1, lt=2**31)] = 1
    rejected: CaseId | None = None
    on_behalf_of: HolderId | None = None


class LicenceInScope(Value):
    """A licence that the loss is about, at the generation that was claimed.

    `expires` is when its last file ends (None: it runs for ever), `borrowed_until` the end of a loan out of it,
    `first_issued` when its first generation that is known here was issued (None: not known).
    """

    licence: LicenceId
    generation: Generation
    product: ProductId
    ticket: Ticket
    value_cents: Whole
    expires: Instant | None = None
    borrowed_until: Instant | None = None
    first_issued: Instant | None = None


class BackendFacts(Value):
    """What the backend knew of a container when a report was decided.

    `losses` says when other losses of its holder were first reported, the latest first, at most `LOSSES_KNOWN` of them;
    those of which nothing could be claimed are not among them. `flagged`: a verdict spoke against the holder before.
    `former_outcome` is how the former case of the same loss ended, where there is one. Where other cases recover all
    licences that were lost, `products` are those of what the case blocks, one for each rule at least that they fall
    under, the strictest rule's first.
    """

    LOSSES_KNOWN: ClassVar[int] = LOSSES_KNOWN

    serial: Serial
    kind: Kind
    holder: HolderId
    last_contact: Instant | None
    licences: tuple[LicenceInScope, ...]
    losses: Annotated[tuple[Instant, ...], Field(max_length=LOSSES_KNOWN)] = ()
    flagged: bool = False
    former_outcome: Outcome | None = None
    products: Annotated[tuple[ProductId, ...], AtMost(PRODUCTS_KNOWN)] = ()


class ScopeKnown(CaseStreamFact):
    """The licences that the loss is about, as the backend knew them: part `part` of `parts`. They come before the
    decision that rests on them, which does not list them again."""

    name = "scope.known"
    part: Part
    parts: Part
    licences: Annotated[tuple[LicenceInScope, ...], AtMost(SCOPE_PART)]


class QuotaAnswer(Value):
    """What the quota of one rule answered: the `ordinal`-th of `limit` recoveries was set aside, or none, because this
    quota is `used_up` or that of another rule for the same loss is."""

    ordinal: Count | None
    limit: Count
    used_up: bool = False


class QuotasAsked(CaseStreamFact):
    """What the quotas of several rules for one loss answered, the strictest rule's first, in part `part` of `parts`. It
    comes before the decision that rests on it; what a single quota answered stands in the decision alone."""

    name = "quotas.asked"
    part: Part
    parts: Part
    quotas: Annotated[tuple[QuotaAnswer, ...], AtMost(LIST_PART)]


class CaseDecided(CaseStreamFact, WiderFact):
    """Policy decided on the report, or anew; with the `scope.known` before it, it carries all that the decision rests
    on. Only in older records do the `facts` list the licences themselves.

    `ordinal` of `limit` is the recovery that a quota set aside, of several quotas the one that has least left; without
    a quota, or with none left, `ordinal` is None.
    Where a person must decide: when the supervisors are reminded, when the approval is `due`, and whether `four_eyes`
    must see it.
    """

    name = "case.decided"
    decision: Decision
    reasons: Annotated[tuple[Annotated[str, AtMost(REASON_CHARACTERS), Storable], ...], AtMost(REASONS)]
    policy_version: Count
    facts: BackendFacts
    ordinal: Count | None = None
    limit: Count | None = None
    remind: Instant | None = None
    due: Instant | None = None
    four_eyes: bool = False

    @property
    def trigger(self) -> str:
        return f"{self.name}:{self.decision}"


class ApprovalReminded(CaseStreamFact):
    """The supervisors were reminded that the case waits for them."""

    name = "approval.reminded"


class ApprovalOverdue(CaseStreamFact, WiderFact):
    """Nobody decided in time; what becomes of it is what policy says, and never an approval."""

    name = "approval.overdue"
    undecided: Undecided
    escalated_to: Annotated[tuple[PersonId, ...], AtMost(ESCALATED_TO)] = ()

    @property
    def trigger(self) -> str:
        return f"{self.name}:{self.undecided}"


class ApprovalGiven(DecisionFact):
    """The first of two supervisors approved, maybe on a `condition`; another one must as well."""

    name = "approval.given"
    condition: Annotated[str, AtMost(500), Storable] | None = None
    condition_days: Count | None = None


class EvidenceAsked(DecisionFact):
    """A supervisor asked for evidence before deciding."""

    name = "evidence.asked"
    evidence: Names


class EvidenceGiven(CaseStreamFact, WiderFact):
    """Evidence was brought to the case; `statement` names what said so, `files` are those that go with it, and
    `on_behalf_of` is the holder for whom a delegate brought it."""

    name = "evidence.given"
    statement: Label
    by: PersonId
    evidence: Names
    files: Annotated[tuple[EvidenceFile, ...], AtMost(FILES)] = ()
    on_behalf_of: HolderId | None = None


class CaseApproved(DecisionFact):
    """A supervisor approved the replacement; `goodwill`: beyond the quota.

    On a `condition`, what is issued is a stop-gap of `condition_days`, and the full replacement follows once it is met.
    """

    name = "case.approved"
    goodwill: bool = False
    condition: Annotated[str, AtMost(500), Storable] | None = None
    condition_days: Count | None = None


class ConditionMet(DecisionFact):
    """A supervisor said that the condition of the approval is met; the full replacement is owed."""

    name = "condition.met"


class CaseCancelled(CaseStreamFact, WiderFact):
    """The loss is none, before anything was replaced: a supervisor's `decision`, or what the `statement` says."""

    name = "case.cancelled"
    decision: DecisionId | None = None
    by: PersonId | None = None
    statement: Label | None = None
    why: Why = ""


class WaitingBegun(CaseStreamFact):
    """What is lost is blocked; the replacement waits until `until`, as policy asks."""

    name = "waiting.begun"
    until: Instant


class CaseRejected(DecisionFact):
    """A supervisor rejected the report."""

    name = "case.rejected"


class DecisionDenied(CaseStreamFact, WiderFact):
    """Somebody tried to decide and may not, or there was nothing to decide; `code` is the refusal's."""

    name = "decision.denied"
    decision: DecisionId
    action: Action
    by: PersonId
    code: Label


class ReplacingBegun(CaseStreamFact):
    """From here on the replacement is being issued and a cancel comes too late."""

    name = "replacing.begun"


class TargetAwaited(CaseStreamFact):
    """The replacement has nowhere to go yet: no container of the holder, no activation, no access data that the holder
    has set. The tickets are released, in part `part` of `parts`, and the case waits, for access data until `until`."""

    name = "target.awaited"
    tickets: Annotated[tuple[Ticket, ...], AtMost(LIST_PART)]
    until: Instant | None = None
    part: Part = 1
    parts: Part = 1


class TargetOffered(CaseStreamFact):
    """A container that may take the replacement was registered, activated, or its access data were set."""

    name = "target.offered"
    serial: Serial


class CaseReturned(CaseStreamFact):
    """The vendor has the damaged container back, and owes the full replacement; `statement` names what said so."""

    name = "case.returned"
    statement: Label
    occurred: Instant


class CaseStuck(CaseStreamFact):
    """What the case had to do failed for good with this code; a supervisor resumes it or gives it up."""

    name = "case.stuck"
    code: Annotated[str, AtMost(CODE_CHARACTERS), Storable]
    cause: Annotated[str, AtMost(CAUSE_CHARACTERS), Storable]


class CaseResumed(DecisionFact):
    """A supervisor has the case try again what failed; it goes on `into` that status."""

    name = "case.resumed"
    into: Status

    @property
    def trigger(self) -> str:
        return f"{self.name}:{self.into}"


class CaseGivenUp(DecisionFact):
    """A supervisor gave the case up; its measures are lifted."""

    name = "case.given_up"


class WatchBegun(CaseStreamFact):
    """The replacement is in `target`; until `until` the case watches for the original, or for its return. Without a
    target nothing was replaced: another case does that."""

    name = "watch.begun"
    target: Serial | None
    until: Instant


class CaseSighted(TurnedUp):
    """The lost container turned up where that decides nothing yet, or no longer."""

    name = "case.sighted"


class CaseResurfaced(TurnedUp):
    """The lost container turned up where a verdict is needed."""

    name = "case.resurfaced"


class CaseRuled(CaseStreamFact, WiderFact):
    """The verdict on the container that resurfaced: a supervisor's, or policy's own, which has no name and number.

    `reinstate`: the original is made good again once its replacement is withdrawn; else it is retired.
    """

    name = "case.ruled"
    decision: DecisionId | None = None
    by: PersonId | None = None
    verdict: Verdict
    why: Why
    reinstate: bool = False

    @property
    def trigger(self) -> str:
        return f"{self.name}:reinstate" if self.reinstate else self.name


class LossWidened(CaseStreamFact):
    """A wider loss of the container, or one that asks for more measures, was reported: `case` is about it."""

    name = "loss.widened"
    case: CaseId


class ReplacementLost(CaseStreamFact):
    """The replacement was reported lost in turn, in another case; from here on the original can only be retired."""

    name = "replacement.lost"
    case: CaseId


class ReplacementWithdrawn(CaseStreamFact):
    """The container that holds the replacement confirmed that it is removed."""

    name = "replacement.withdrawn"


class ReleaseAwaited(CaseStreamFact):
    """The case has lifted its measures on the original, and waits until `until` for those of other cases, which `cause`
    names."""

    name = "release.awaited"
    until: Instant
    cause: Annotated[str, AtMost(CAUSE_CHARACTERS), Storable]


class CaseReinstated(CaseStreamFact):
    """The original holds the licences again, at the generation after the replacement's."""

    name = "case.reinstated"
    serial: Serial


class CaseSettled(CaseStreamFact):
    """What was lost is confirmed to be removed, or was given back: nothing of it can run any more."""

    name = "case.settled"


class CaseClosed(CaseStreamFact):
    """The case ended."""

    name = "case.closed"
    outcome: Outcome


CaseFact = (
    LossReported
    | ScopeKnown
    | QuotasAsked
    | CaseDecided
    | ApprovalReminded
    | ApprovalOverdue
    | ApprovalGiven
    | EvidenceAsked
    | EvidenceGiven
    | CaseApproved
    | ConditionMet
    | CaseCancelled
    | WaitingBegun
    | CaseRejected
    | DecisionDenied
    | ReplacingBegun
    | TargetAwaited
    | TargetOffered
    | CaseReturned
    | CaseStuck
    | CaseResumed
    | CaseGivenUp
    | WatchBegun
    | CaseSighted
    | CaseResurfaced
    | CaseRuled
    | LossWidened
    | ReplacementLost
    | ReplacementWithdrawn
    | ReleaseAwaited
    | CaseReinstated
    | CaseSettled
    | CaseClosed
)
"""Every fact in the stream of a case."""
