"""The facts that the licensing backend states, through its outbox: what it did."""

import json
from typing import Annotated, Self

from pydantic import Field, JsonValue, StringConstraints, model_validator

from events.fact import Fact, WiderFact
from events.fingerprint import Fingerprint
from events.lease import Lease
from events.measure_subject import Subject
from events.sizes import LIST_PART, AtMost, Jws, Label, Part
from events.terms import (
    NAME_PATTERN,
    RECOVERIES,
    CaseId,
    Contact,
    ContactId,
    Count,
    DelegationId,
    FreeText,
    Generation,
    HolderId,
    Instant,
    Kind,
    LicenceId,
    Measure,
    PersonId,
    PotName,
    ProductId,
    Role,
    Serial,
    Storable,
    Ticket,
    Verdict,
    Whole,
    storable,
)


class RecordSetAside(WiderFact):
    """An operator set a record of the log aside, which could not be folded: whoever folds the log goes on after it.

    It stands in the stream of the installation. `digest` is the SHA-256 (hex) of the record's value, `code` says what
    is wrong with it.
    """

    name = "record.set_aside"
    partition: Annotated[int, Field(ge=0, lt=2**31)]
    offset: Annotated[int, Field(ge=0, lt=2**63)]
    digest: Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
    code: Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
    why: FreeText
    by: PersonId


class VendorAdded(Fact):
    """A vendor joined the installation; `issuer` is the `iss` of the licence files that are signed for it."""

    name = "vendor.added"
    issuer: Label


class PolicyAdopted(Fact):
    """A vendor's policy took effect; `policy` is all of it in its canonical form. In older records it is a text that
    holds the JSON, and all defaults."""

    name = "policy.adopted"
    policy_version: Count
    policy: Annotated[JsonValue, Storable]

    @model_validator(mode="after")
    def _is_json(self) -> Self:
        try:
            storable(self.document)
        except RecursionError:
            raise ValueError("the policy is nested too deeply") from None
        return self

    @property
    def document(self) -> JsonValue:
        """The policy as JSON values, whatever the record's age. Raises `ValueError` where an older text is not JSON."""
        return json.loads(self.policy) if isinstance(self.policy, str) else self.policy


class DelegationGiven(Fact):
    """A person acts for these holders until `until`, unless the delegation is revoked.

    `by` gave it at a `door`, and `on_behalf_of` is who of the holders' organisation asked for it, if anybody did.
    """

    name = "delegation.given"
    since = "0.2.0"
    delegation: DelegationId
    delegate: PersonId
    holders: Annotated[tuple[HolderId, ...], AtMost(LIST_PART)]
    until: Instant
    by: PersonId
    on_behalf_of: PersonId | None
    door: Label
    received: Instant


class DelegationRevoked(Fact):
    """A delegation is over, or never began: it may be revoked before it is given."""

    name = "delegation.revoked"
    since = "0.2.0"
    delegation: DelegationId
    by: PersonId
    on_behalf_of: PersonId | None
    door: Label
    received: Instant


class ContainerRegistered(Fact):
    """The vendor's inventory knows this container."""

    name = "container.registered"
    serial: Serial
    kind: Kind
    holder: HolderId
    fingerprint: Fingerprint | None = None


class LicenceFact(Fact):
    """About a generation of a licence, in the container that holds it."""

    licence: LicenceId
    generation: Generation
    serial: Serial


class LicenceIssued(LicenceFact):
    """This generation of a licence is in this container and effective.

    `case` and `file` (a compact JWS) are there when it is a replacement; an inventory fact from the vendor has neither.
    A `stop_gap` is limited in time while something is still owed. A borrowed licence runs until `borrowed_until`.
    """

    name = "licence.issued"
    holder: HolderId
    product: ProductId
    ticket: Ticket
    value_cents: Whole
    lease: Lease
    issued: Instant
    expires: Instant | None
    case: CaseId | None = None
    file: Jws | None = None
    stop_gap: bool = False
    borrowed_until: Instant | None = None


class LicenceSuperseded(LicenceFact):
    """This generation is no longer effective: a later one was issued by `case` in the same transaction."""

    name = "licence.superseded"
    case: CaseId


class LicenceChanged(LicenceFact):
    """A licence has these terms from now on, as its vendor says in this revision; the file that is out runs on to its
    end."""

    name = "licence.changed"
    since = "0.2.0"
    revision: Count
    product: ProductId
    value_cents: Whole
    lease: Lease
    borrowed_until: Instant | None


class LicenceEnded(LicenceFact):
    """The contract of a licence is over since `ended`, as its vendor says in this revision: this generation is no
    longer effective, and none follows."""

    name = "licence.ended"
    since = "0.2.0"
    revision: Count
    ended: Instant


class LicenceRenewed(LicenceFact):
    """A container checked in and got this generation's next file (a compact JWS), which runs to `expires`."""

    name = "licence.renewed"
    issued: Instant
    expires: Instant | None
    file: Jws


class LeaseFact(LicenceFact):
    """How a lease runs out: it is `due` for a check-in, and runs, with its grace, to `expires`."""

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
    """What became of a blocking measure of a case; `subject` is what it aims at."""

    case: CaseId
    measure: Measure
    subject: Subject
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
    by: Label


class MeasureUnconfirmable(MeasureFact):
    """The case is over and the container never confirmed; the measure goes on standing."""

    name = "measure.unconfirmable"


class MeasureLifted(MeasureFact):
    """The measure no longer stands."""

    name = "measure.lifted"


class ContactFact(Fact):
    """A container reported in; `occurred` is what it claims, `how` says what it came for."""

    contact: ContactId
    serial: Serial
    occurred: Instant
    how: Contact = Contact.CHECK_IN


class ContainerContacted(ContactFact):
    """A container reported in and was served."""

    name = "container.contacted"


class ContactRefused(ContactFact):
    """A container reported in and was refused for `code`; `cases` are those that it is a sighting for, in part `part`
    of `parts`."""

    name = "contact.refused"
    cases: Annotated[tuple[CaseId, ...], AtMost(LIST_PART)]
    code: Label = "blocked"
    part: Part = 1
    parts: Part = 1


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
    receipt: Jws


class ContainerReinstated(Fact):
    """A lost container was found and is of a new generation, against which no measure stands."""

    name = "container.reinstated"
    serial: Serial
    generation: Generation
    case: CaseId


class CaseAddressed(WiderFact):
    """Something was said to a case that no longer answers itself: it is over, or `code` says why it was not taken.

    `statement` names what was said, such as `report/R-1` or `decision/D-1`, and `by` who said it.
    """

    name = "case.addressed"
    case: CaseId
    serial: Serial
    statement: Label
    by: PersonId
    role: Role | None
    door: Label
    received: Instant
    code: Label | None = None


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


class AccessLapsed(Fact):
    """The link for the access data of this generation is dead: nobody used it, and `case`, which owed them, is over."""

    name = "access.lapsed"
    serial: Serial
    generation: Generation
    case: CaseId


class SessionsEnded(Fact):
    """All sessions of a cloud container were ended for a case."""

    name = "sessions.ended"
    serial: Serial
    case: CaseId
    sessions: Count


class RecoveryReserved(Fact):
    """One recovery was set aside for a case: the `ordinal`-th of `limit` in a rolling term, for each subject in this
    pot, of which this is part `part` of `parts`. Facts older than pots name no term."""

    name = "recovery.reserved"
    case: CaseId
    serial: Serial
    subjects: Annotated[tuple[Label, ...], AtMost(LIST_PART)]
    ordinal: Count
    limit: Count
    pot: PotName = RECOVERIES
    term_days: Count | None = None
    part: Part = 1
    parts: Part = 1


class RecoveryFreed(Fact):
    """The case recovered nothing, and what the quota had set aside for it is free again."""

    name = "recovery.freed"
    case: CaseId
    serial: Serial


BackendFact = (
    RecordSetAside
    | VendorAdded
    | PolicyAdopted
    | DelegationGiven
    | DelegationRevoked
    | ContainerRegistered
    | LicenceIssued
    | LicenceSuperseded
    | LicenceChanged
    | LicenceEnded
    | LicenceRenewed
    | LeaseDueSoon
    | LeaseOverdue
    | LeaseLapsed
    | MeasureOrdered
    | MeasureDelivered
    | MeasureConfirmed
    | MeasureUnconfirmable
    | MeasureLifted
    | ContainerContacted
    | ContactRefused
    | ContainerActivated
    | ActivationReturned
    | ContainerReinstated
    | CaseAddressed
    | HolderFlagged
    | AccessOffered
    | AccessSet
    | AccessLapsed
    | SessionsEnded
    | RecoveryReserved
    | RecoveryFreed
)
"""Every fact of the backend."""
