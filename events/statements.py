"""What back-office systems may state in a vendor's inbox, as CloudEvents of type `lostfound.inbox.<name>.v<version>`.

Inventory facts may come in any order and any number of times. The vendor is never in the payload: the topic says it.
"""

from datetime import datetime
from typing import Annotated, ClassVar, Self

from pydantic import Field, JsonValue, SecretStr, model_validator

from events import rules
from events.case_facts import LossReported
from events.evidence import FILES, Sha256
from events.fingerprint import BoundedFingerprint
from events.lease import Lease
from events.loss_table import Loss
from events.sizes import LIST_PART
from events.terms import (
    END_OF_INSTANTS,
    BoundedGeneration,
    BoundedInstant,
    Contact,
    ContactId,
    DelegationId,
    EvidenceName,
    HolderId,
    Kind,
    LicenceId,
    PersonId,
    ProductId,
    Reason,
    Reporter,
    ReportId,
    Revision,
    Role,
    Scope,
    Serial,
    Ticket,
    Value,
)

PREFIX = "lostfound.inbox."
_CRM: dict[str, JsonValue] = {"role": "back_office", "name": "crm"}


class Statement(Value):
    """Something that a back-office system says."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    rank: ClassVar[int] = 2
    """What a statement may need is of a lower rank: a container, a licence in it, what happens to them, and last what
    is said to a case. Of one container, a statement waits behind those that wait and are of its rank or a lower one."""
    example: ClassVar[dict[str, JsonValue]]
    """Valid data of this type, as JSON."""

    @property
    def subject(self) -> str:
        """What the statement is about, such as a container's serial: those of one subject keep their order."""
        return str(
            next(getattr(self, name) for name in ("serial", "licence", "delegation") if name in type(self).model_fields)
        )

    @classmethod
    def type(cls) -> str:
        """The CloudEvents type."""
        return f"{PREFIX}{cls.name}.v{cls.version}"


class ContainerStatement(Statement):
    """A container was handed to a holder; an activation goes with the fingerprint of its machine."""

    name = "container.registered"
    rank = 0
    example: ClassVar[dict[str, JsonValue]] = {"serial": "3-1001", "kind": "dongle", "holder": "H-7"}
    serial: Serial
    kind: Kind
    holder: HolderId
    fingerprint: BoundedFingerprint | None = None

    @model_validator(mode="after")
    def _bound_to_a_machine(self) -> Self:
        if (self.kind is Kind.ACT) != (self.fingerprint is not None):
            raise ValueError("a container of kind act needs the fingerprint of its machine, and no other has one")
        return self


class LicenceStatement(Statement):
    """A licence was put into a container by the vendor's own licensing."""

    name = "licence.issued"
    rank = 1
    example: ClassVar[dict[str, JsonValue]] = {
        "licence": "L-1",
        "serial": "3-1001",
        "product": "cad",
        "ticket": "T-1",
        "value_cents": 250_000,
        "lease": {"check_in": {"unit": "month", "count": 1}, "grace_days": 7},
        "issued": "2026-01-10T09:00:00Z",
    }
    licence: LicenceId
    serial: Serial
    product: ProductId
    ticket: Ticket
    generation: BoundedGeneration = 1
    value_cents: Annotated[int, Field(ge=0, le=10**12)] = 0
    lease: Lease = Lease()
    issued: BoundedInstant
    borrowed_until: BoundedInstant | None = None

    @model_validator(mode="after")
    def _ends_in_the_calendar(self) -> Self:
        expires = self.lease.expiry(self.issued)
        if expires is not None and expires >= END_OF_INSTANTS:
            raise ValueError("the check-in interval and the grace lead beyond the year 9000; state a shorter lease")
        return self


class LossStatement(Statement):
    """A container is gone, or these `licences` in it, at most 200; more are reported in several. `report` is the
    reporter's own number for this statement; `occurred` is a claim, `evidence` names what the vendor was shown for it.
    """

    name = "loss.reported"
    example: ClassVar[dict[str, JsonValue]] = {
        "report": "R-1",
        "serial": "3-1001",
        "kind": "dongle",
        "reason": "lost",
        "reporter": _CRM,
        "occurred": "2026-11-20T18:00:00Z",
    }
    report: ReportId
    serial: Serial
    kind: Kind
    reason: Reason
    scope: Scope = Scope.CONTAINER
    licences: Annotated[tuple[LicenceId, ...], Field(max_length=LIST_PART)] = ()
    reporter: Reporter
    occurred: BoundedInstant
    evidence: Annotated[tuple[EvidenceName, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _is_a_loss(self) -> Self:
        row = Loss.of(self.kind, self.reason)
        if row is None or self.scope not in row.scopes:
            raise ValueError(f"{self.kind}/{self.reason}/{self.scope} is no loss; valid: {', '.join(Loss.valid())}")
        if (self.scope is Scope.LICENCES) != bool(self.licences):
            raise ValueError("with the scope licences name those that are gone, with the scope container none")
        return self

    def reported(self, door: str, received: datetime, holder: HolderId) -> LossReported:
        """The fact that it is, once a case takes it. `door` is where it came in, `received` the clock there, `holder`
        whose container it is. What it opens keeps to the rules of this release."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        here: dict[str, object] = {"door": door, "received": received, "rules_version": rules.RULES_VERSION}
        if self.reporter.role is Role.DELEGATE:
            here["on_behalf_of"] = holder
        return LossReported.model_validate({**fields, **here})


class Presented(Value):
    """A licence's generation that a container shows at a contact."""

    licence: LicenceId
    generation: BoundedGeneration


class ContactStatement(Statement):
    """A container reported in at the vendor's own licensing. `contact` is that system's number for it.

    `generation` is that of the container's activation or of the access data used, `licences` what it presents;
    `confirms` says that what was withdrawn is removed. An activation shows its machine's `fingerprint`, and the
    `activation_code` where a case waits for a machine with one. Above its first generation an act names its
    `generation` or shows its `fingerprint`, and a cloud container names its `generation`.
    """

    name = "container.contacted"
    example: ClassVar[dict[str, JsonValue]] = {"contact": "C-1", "serial": "3-1001", "occurred": "2026-11-21T07:30:00Z"}
    contact: ContactId
    serial: Serial
    occurred: BoundedInstant
    how: Contact = Contact.CHECK_IN
    generation: BoundedGeneration | None = None
    licences: Annotated[tuple[Presented, ...], Field(max_length=1000)] = ()
    fingerprint: BoundedFingerprint | None = None
    activation_code: Annotated[SecretStr, Field(min_length=1, max_length=64)] | None = None
    confirms: bool = False

    @model_validator(mode="after")
    def _activates_a_machine(self) -> Self:
        if self.how is Contact.ACTIVATION and self.fingerprint is None:
            raise ValueError("an activation needs the fingerprint of its machine")
        return self


class DeactivationStatement(Statement):
    """The holder gave an activation back at the vendor's own licensing, and gets a signed receipt."""

    name = "activation.returned"
    example: ClassVar[dict[str, JsonValue]] = {
        "contact": "C-2",
        "serial": "A-1001",
        "generation": 1,
        "occurred": "2026-11-21T07:30:00Z",
    }
    contact: ContactId
    serial: Serial
    generation: BoundedGeneration
    occurred: BoundedInstant


class FoundStatement(Statement):
    """Somebody has a lost container in hand. `report` is the reporter's own number for this statement."""

    name = "container.found"
    rank = 3
    example: ClassVar[dict[str, JsonValue]] = {
        "report": "F-1",
        "serial": "3-1001",
        "reporter": _CRM,
        "occurred": "2026-11-22T12:00:00Z",
    }
    report: ReportId
    serial: Serial
    reporter: Reporter
    occurred: BoundedInstant


class ReturnStatement(Statement):
    """The vendor has a container back in its hands, broken or not. `report` is the reporter's own number for this."""

    name = "container.returned"
    rank = 3
    example: ClassVar[dict[str, JsonValue]] = {
        "report": "B-1",
        "serial": "3-1001",
        "reporter": _CRM,
        "occurred": "2026-11-23T10:00:00Z",
    }
    report: ReportId
    serial: Serial
    reporter: Reporter
    occurred: BoundedInstant


class EvidenceStatement(Statement):
    """Evidence for a loss that was reported in `report`. `statement` is the reporter's own number for this.

    `files` are the hashes of files that were sent before; `report_by` is who reported the loss, where that is somebody
    else and several have a report of that number.
    """

    name = "evidence.given"
    rank = 3
    example: ClassVar[dict[str, JsonValue]] = {
        "statement": "E-1",
        "report": "R-1",
        "serial": "3-1001",
        "reporter": _CRM,
        "evidence": ["police_report"],
        "occurred": "2026-11-21T10:00:00Z",
    }
    statement: ReportId
    report: ReportId
    serial: Serial
    reporter: Reporter
    evidence: Annotated[tuple[EvidenceName, ...], Field(min_length=1, max_length=20)]
    occurred: BoundedInstant
    files: Annotated[tuple[Sha256, ...], Field(max_length=FILES)] = ()
    report_by: Reporter | None = None


class InventoryChange(Statement):
    """What became of a container or a licence. The vendor counts the `revision`s of each, upwards for each type: an
    older one than is known changes nothing, so that they may come in any order and any number of times."""

    revision: Revision

    @property
    def thing(self) -> str:
        """What it is about, such as `licence/L-1`."""
        raise NotImplementedError


class LicenceChangeStatement(InventoryChange):
    """A licence has these terms from now on, all of them as they then are: its next file has them, and so has what
    replaces it."""

    name = "licence.changed"
    example: ClassVar[dict[str, JsonValue]] = {
        "licence": "L-1",
        "revision": 1,
        "product": "cad",
        "value_cents": 300_000,
        "lease": {"check_in": {"unit": "week", "count": 1}, "grace_days": 3},
    }
    licence: LicenceId
    product: ProductId
    value_cents: Annotated[int, Field(ge=0, le=10**12)] = 0
    lease: Lease = Lease()
    borrowed_until: BoundedInstant | None = None

    @property
    def thing(self) -> str:
        return f"licence/{self.licence}"


class LicenceEndStatement(InventoryChange):
    """The contract of a licence is over since `ended`: it is neither renewed nor replaced any more."""

    name = "licence.ended"
    example: ClassVar[dict[str, JsonValue]] = {"licence": "L-1", "revision": 1, "ended": "2026-12-31T23:00:00Z"}
    licence: LicenceId
    ended: BoundedInstant

    @property
    def thing(self) -> str:
        return f"licence/{self.licence}"


class DelegationStatement(Statement):
    """A person acts for these holders until `until`: reports their losses, gives evidence and says what is found.
    `on_behalf_of` is who of the holders' organisation asked for it, where that was not the back office itself."""

    name = "delegation.given"
    rank = 0
    example: ClassVar[dict[str, JsonValue]] = {
        "delegation": "G-1",
        "delegate": "reseller-7",
        "holders": ["H-7"],
        "until": "2027-11-20T00:00:00Z",
    }
    delegation: DelegationId
    delegate: PersonId
    holders: Annotated[tuple[HolderId, ...], Field(min_length=1, max_length=LIST_PART)]
    until: BoundedInstant
    on_behalf_of: PersonId | None = None


class RevocationStatement(Statement):
    """A delegation is over. It may come before the delegation itself, which then never holds."""

    name = "delegation.revoked"
    rank = 0
    example: ClassVar[dict[str, JsonValue]] = {"delegation": "G-1"}
    delegation: DelegationId
    on_behalf_of: PersonId | None = None


STATEMENTS: dict[str, type[Statement]] = {
    s.type(): s
    for s in (
        ContainerStatement,
        LicenceStatement,
        LossStatement,
        ContactStatement,
        DeactivationStatement,
        FoundStatement,
        ReturnStatement,
        EvidenceStatement,
        LicenceChangeStatement,
        LicenceEndStatement,
        DelegationStatement,
        RevocationStatement,
    )
}
