"""Every fact that `lostfound.log` can hold.

A fact is frozen and its name is in the past tense. Its CloudEvents type is `lostfound.<name>.v<version>`. A fact of the
backend stands in the stream of its container (`container/SERIAL`) or vendor, a fact of a case in the stream of the case
(`case/CASE`).
"""

from typing import ClassVar

from events.terms import (
    Action,
    CaseId,
    Cause,
    Contact,
    ContactId,
    Decision,
    DecisionId,
    EvidenceName,
    Fingerprint,
    Generation,
    HolderId,
    Instant,
    Kind,
    Lease,
    LicenceId,
    Measure,
    Outcome,
    PersonId,
    ProductId,
    Reason,
    Reporter,
    ReportId,
    Scope,
    Serial,
    Status,
    Ticket,
    Undecided,
    Value,
    Verdict,
)

PREFIX = "lostfound."


class Fact(Value):
    """Something that has happened."""

    name: ClassVar[str]
    version: ClassVar[int] = 1

    @classmethod
    def type(cls) -> str:
        """The CloudEvents type."""
        return f"{PREFIX}{cls.name}.v{cls.version}"

    @property
    def trigger(self) -> str:
        """What the transition table knows this fact by."""
        return self.name


# The backend's facts: it states what it did, through its outbox.


class VendorAdded(Fact):
    """A vendor joined the installation; `issuer` is the `iss` of the licence files that are signed for it."""

    name = "vendor.added"
    issuer: str


class PolicyAdopted(Fact):
    """A vendor's policy took effect; `policy` is its whole text as JSON."""

    name = "policy.adopted"
    policy_version: int
    policy: str


class ContainerRegistered(Fact):
    """The vendor's inventory knows this container."""

    name = "container.registered"
    serial: Serial
    kind: Kind
    holder: HolderId
    fingerprint: Fingerprint | None = None


class LicenceIssued(Fact):
    """This generation of a licence is in this container and effective.

    `case` and `file` (a compact JWS) are there when it is a replacement; an inventory fact from the vendor has neither.
    A `stop_gap` is limited in time while something is still owed. A borrowed licence runs until `borrowed_until`.
    """

    name = "licence.issued"
    licence: LicenceId
    generation: Generation
    serial: Serial
    holder: HolderId
    product: ProductId
    ticket: Ticket
    value_cents: int
    lease: Lease
    issued: Instant
    expires: Instant | None
    case: CaseId | None = None
    file: str | None = None
    stop_gap: bool = False
    borrowed_until: Instant | None = None


class LicenceSuperseded(Fact):
    """This generation is no longer effective: a later one was issued by `case` in the same transaction."""

    name = "licence.superseded"
    licence: LicenceId
    generation: Generation
    serial: Serial
    case: CaseId


class LicenceRenewed(Fact):
    """A container checked in and got this generation's next file (a compact JWS), which runs to `expires`."""

    name = "licence.renewed"
    licence: LicenceId
    generation: Generation
    serial: Serial
    issued: Instant
    expires: Instant | None
    file: str


class LeaseFact(Fact):
    """How a lease runs out: it is `due` for a check-in, and runs, with its grace, to `expires`."""

    licence: LicenceId
    generation: Generation
    serial: Serial
    due: Instant
    expires: Instant


class LeaseDueSoon(LeaseFact):
    """A check-in will soon be due."""

    name = "lease.due_soon"


class LeaseOverdue(LeaseFact):
    """A check-in was due, and the grace has begun."""

    name = "lease.overdue"


class LeaseLapsed(LeaseFact):
    """The grace is over, and the file no longer runs."""

    name = "lease.lapsed"


class MeasureFact(Fact):
    """What became of a blocking measure of a case; `subject` is what it aims at, as `events.terms.subject` says."""

    case: CaseId
    measure: Measure
    subject: str
    serial: Serial


class MeasureOrdered(MeasureFact):
    """A blocking measure of a case was ordered and takes effect at `effective`."""

    name = "measure.ordered"
    effective: Instant


class MeasureDelivered(MeasureFact):
    """The container was told at a contact."""

    name = "measure.delivered"


class MeasureConfirmed(MeasureFact):
    """Nothing that the measure aims at runs any more; `by` names the contact or receipt that says so."""

    name = "measure.confirmed"
    by: str


class MeasureUnconfirmable(MeasureFact):
    """The case is over and the container never confirmed; the measure goes on standing."""

    name = "measure.unconfirmable"


class MeasureLifted(MeasureFact):
    """The measure no longer stands."""

    name = "measure.lifted"


class ContainerContacted(Fact):
    """A container reported in and was served; `occurred` is what it claims. `how` says what it came for."""

    name = "container.contacted"
    contact: ContactId
    serial: Serial
    occurred: Instant
    how: Contact = Contact.CHECK_IN


class ContactRefused(Fact):
    """A container reported in and was refused for `code`; `cases` are those that it is a sighting for."""

    name = "contact.refused"
    contact: ContactId
    serial: Serial
    occurred: Instant
    cases: tuple[CaseId, ...]
    how: Contact = Contact.CHECK_IN
    code: str = "blocked"


class ContainerActivated(Fact):
    """A container was bound to a machine and is of a new generation; older activations are superseded."""

    name = "container.activated"
    serial: Serial
    generation: Generation
    fingerprint: Fingerprint
    case: CaseId


class ActivationReturned(Fact):
    """The holder gave an activation back; `receipt` (a compact JWS) says so."""

    name = "activation.returned"
    contact: ContactId
    serial: Serial
    generation: Generation
    receipt: str


class ContainerReinstated(Fact):
    """A lost container was found and is of a new generation, against which no measure stands."""

    name = "container.reinstated"
    serial: Serial
    generation: Generation
    case: CaseId


class HolderFlagged(Fact):
    """The verdict on a case speaks against its holder, whose later reports go to a person where policy asks for it."""

    name = "holder.flagged"
    holder: HolderId
    serial: Serial
    case: CaseId
    verdict: Verdict


class AccessOffered(Fact):
    """A one-time link by which the holder sets the access data of this generation is good until `until`."""

    name = "access.offered"
    serial: Serial
    generation: Generation
    case: CaseId | None
    until: Instant


class AccessSet(Fact):
    """The holder set the access data of this generation; older ones are no longer good."""

    name = "access.set"
    serial: Serial
    generation: Generation


class SessionsEnded(Fact):
    """All sessions of a cloud container were ended for a case."""

    name = "sessions.ended"
    serial: Serial
    case: CaseId
    sessions: int


class RecoveryReserved(Fact):
    """One recovery of the quota was set aside for a case: the `ordinal`-th of `limit` in the rolling term."""

    name = "recovery.reserved"
    case: CaseId
    serial: Serial
    subjects: tuple[str, ...]
    ordinal: int
    limit: int


class RecoveryFreed(Fact):
    """The case recovered nothing, and what the quota had set aside for it is free again."""

    name = "recovery.freed"
    case: CaseId
    serial: Serial


# The case's facts: it states what was said and decided, by append.


class CaseFact(Fact):
    """A fact in the stream of a case."""


class LossReported(CaseFact):
    """A loss report opened or joined the case. `occurred` is the reporter's claim; `received` is the door's clock;
    `evidence` names what the reporter brought."""

    name = "loss.reported"
    report: ReportId
    serial: Serial
    kind: Kind
    reason: Reason
    scope: Scope
    licences: tuple[LicenceId, ...] = ()
    reporter: Reporter
    door: str
    occurred: Instant
    received: Instant
    evidence: tuple[EvidenceName, ...] = ()


class LicenceInScope(Value):
    """A licence that the loss is about, at the generation that was claimed.

    `expires` is when its last file ends (None: it runs for ever), `borrowed_until` the end of a loan out of it,
    `first_issued` when its first generation that is known here was issued (None: not known).
    """

    licence: LicenceId
    generation: Generation
    product: ProductId
    ticket: Ticket
    value_cents: int
    expires: Instant | None = None
    borrowed_until: Instant | None = None
    first_issued: Instant | None = None


class BackendFacts(Value):
    """What the backend knew of a container when a report was decided.

    `losses` says when other losses of its holder were first reported, the latest first, at most `LOSSES_KNOWN` of them;
    those of which nothing could be claimed are not among them. `flagged`: a verdict spoke against the holder before.
    """

    LOSSES_KNOWN: ClassVar[int] = 100

    serial: Serial
    kind: Kind
    holder: HolderId
    last_contact: Instant | None
    licences: tuple[LicenceInScope, ...]
    losses: tuple[Instant, ...] = ()
    flagged: bool = False


class CaseDecided(CaseFact):
    """Policy decided on the report, or anew; it carries all that the decision rests on.

    `ordinal` of `limit` is the recovery that a quota set aside; without a quota, or with none left, `ordinal` is None.
    Where a person must decide: when the supervisors are reminded, when the approval is `due`, and whether `four_eyes`
    must see it.
    """

    name = "case.decided"
    decision: Decision
    reasons: tuple[str, ...]
    policy_version: int
    facts: BackendFacts
    ordinal: int | None = None
    limit: int | None = None
    remind: Instant | None = None
    due: Instant | None = None
    four_eyes: bool = False

    @property
    def trigger(self) -> str:
        return f"{self.name}:{self.decision}"


class ApprovalReminded(CaseFact):
    """The supervisors were reminded that the case waits for them."""

    name = "approval.reminded"


class ApprovalOverdue(CaseFact):
    """Nobody decided in time; what becomes of it is what policy says, and never an approval."""

    name = "approval.overdue"
    undecided: Undecided
    escalated_to: tuple[PersonId, ...] = ()

    @property
    def trigger(self) -> str:
        return f"{self.name}:{self.undecided}"


class ApprovalGiven(CaseFact):
    """The first of two supervisors approved; another one must as well."""

    name = "approval.given"
    decision: DecisionId
    by: PersonId
    why: str


class EvidenceAsked(CaseFact):
    """A supervisor asked for evidence before deciding."""

    name = "evidence.asked"
    decision: DecisionId
    by: PersonId
    why: str
    evidence: tuple[EvidenceName, ...]


class EvidenceGiven(CaseFact):
    """Evidence was brought to the case; `statement` names what said so."""

    name = "evidence.given"
    statement: str
    by: PersonId
    evidence: tuple[EvidenceName, ...]


class CaseApproved(CaseFact):
    """A supervisor approved the replacement; `goodwill`: beyond the quota.

    On a `condition`, what is issued is a stop-gap of `condition_days`, and the full replacement follows once it is met.
    """

    name = "case.approved"
    decision: DecisionId
    by: PersonId
    why: str
    goodwill: bool = False
    condition: str | None = None
    condition_days: int | None = None


class ConditionMet(CaseFact):
    """A supervisor said that the condition of the approval is met; the full replacement is owed."""

    name = "condition.met"
    decision: DecisionId
    by: PersonId
    why: str


class CaseCancelled(CaseFact):
    """The loss is none, before anything was replaced: a supervisor's `decision`, or what the `statement` says."""

    name = "case.cancelled"
    decision: DecisionId | None = None
    by: PersonId | None = None
    statement: str | None = None
    why: str = ""


class WaitingBegun(CaseFact):
    """What is lost is blocked; the replacement waits until `until`, as policy asks."""

    name = "waiting.begun"
    until: Instant


class CaseRejected(CaseFact):
    """A supervisor rejected the report."""

    name = "case.rejected"
    decision: DecisionId
    by: PersonId
    why: str


class DecisionDenied(CaseFact):
    """Somebody tried to decide and may not, or there was nothing to decide; `code` is the refusal's."""

    name = "decision.denied"
    decision: DecisionId
    action: Action
    by: PersonId
    code: str


class ReplacingBegun(CaseFact):
    """From here on the replacement is being issued and a cancel comes too late."""

    name = "replacing.begun"


class TargetAwaited(CaseFact):
    """The replacement has nowhere to go yet: no container of the holder, no activation, no access data that the holder
    has set. The tickets are released and the case waits, for access data until `until`."""

    name = "target.awaited"
    tickets: tuple[Ticket, ...]
    until: Instant | None = None


class TargetOffered(CaseFact):
    """A container that may take the replacement was registered, activated, or its access data were set."""

    name = "target.offered"
    serial: Serial


class CaseReturned(CaseFact):
    """The vendor has the damaged container back, and owes the full replacement; `statement` names what said so."""

    name = "case.returned"
    statement: str
    occurred: Instant


class CaseStuck(CaseFact):
    """What the case had to do failed for good with this code; a supervisor resumes it or gives it up."""

    name = "case.stuck"
    code: str
    cause: str


class CaseResumed(CaseFact):
    """A supervisor has the case try again what failed; it goes on `into` that status."""

    name = "case.resumed"
    decision: DecisionId
    by: PersonId
    why: str
    into: Status

    @property
    def trigger(self) -> str:
        return f"{self.name}:{self.into}"


class CaseGivenUp(CaseFact):
    """A supervisor gave the case up; its measures are lifted."""

    name = "case.given_up"
    decision: DecisionId
    by: PersonId
    why: str


class WatchBegun(CaseFact):
    """The replacement is in `target`; until `until` the case watches for the original, or for its return."""

    name = "watch.begun"
    target: Serial
    until: Instant


class CaseSighted(CaseFact):
    """The lost container turned up where that decides nothing yet, or no longer; `statement` names what said so.

    A contact that the backend refused is the `ordinal`-th that it refused for this case.
    """

    name = "case.sighted"
    statement: str
    cause: Cause
    occurred: Instant
    ordinal: int | None = None


class CaseResurfaced(CaseFact):
    """The lost container turned up where a verdict is needed; `ordinal` as in `case.sighted`."""

    name = "case.resurfaced"
    statement: str
    cause: Cause
    occurred: Instant
    ordinal: int | None = None


class CaseRuled(CaseFact):
    """The verdict on the container that resurfaced: a supervisor's, or policy's own, which has no name and number.

    `reinstate`: the original is made good again once its replacement is withdrawn; else it is retired.
    """

    name = "case.ruled"
    decision: DecisionId | None = None
    by: PersonId | None = None
    verdict: Verdict
    why: str
    reinstate: bool = False

    @property
    def trigger(self) -> str:
        return f"{self.name}:reinstate" if self.reinstate else self.name


class ReplacementLost(CaseFact):
    """The replacement was reported lost in turn, in another case; from here on the original can only be retired."""

    name = "replacement.lost"
    case: CaseId


class ReplacementWithdrawn(CaseFact):
    """The container that holds the replacement confirmed that it is removed."""

    name = "replacement.withdrawn"


class CaseReinstated(CaseFact):
    """The original holds the licences again, at the generation after the replacement's."""

    name = "case.reinstated"
    serial: Serial


class CaseSettled(CaseFact):
    """What was lost is confirmed to be removed, or was given back: nothing of it can run any more."""

    name = "case.settled"


class CaseClosed(CaseFact):
    """The case ended."""

    name = "case.closed"
    outcome: Outcome


def _leaves(fact: type[Fact]) -> list[type[Fact]]:
    return [leaf for child in fact.__subclasses__() for leaf in ([child] if "name" in vars(child) else _leaves(child))]


CATALOGUE: dict[str, type[Fact]] = {fact.type(): fact for fact in _leaves(Fact)}
