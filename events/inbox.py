"""What back-office systems may state in a vendor's inbox, as CloudEvents of type `lostfound.inbox.<name>.v<version>`.

Inventory facts may come in any order and any number of times. The vendor is never in the payload: the topic says it.
"""

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from events.terms import (
    ContactId,
    Generation,
    HolderId,
    Instant,
    Kind,
    Lease,
    LicenceId,
    Loss,
    ProductId,
    Reason,
    Reporter,
    ReportId,
    Scope,
    Serial,
    Ticket,
    Value,
)

PREFIX = "lostfound.inbox."


class Statement(Value):
    """Something that a back-office system says."""

    name: ClassVar[str]
    version: ClassVar[int] = 1

    @classmethod
    def type(cls) -> str:
        """The CloudEvents type."""
        return f"{PREFIX}{cls.name}.v{cls.version}"


class ContainerStatement(Statement):
    """A container was handed to a holder."""

    name = "container.registered"
    serial: Serial
    kind: Kind
    holder: HolderId


class LicenceStatement(Statement):
    """A licence was put into a container by the vendor's own licensing."""

    name = "licence.issued"
    licence: LicenceId
    serial: Serial
    product: ProductId
    ticket: Ticket
    generation: Generation = 1
    value_cents: Annotated[int, Field(ge=0, le=10**12)] = 0
    lease: Lease = Lease()
    issued: Instant


class LossStatement(Statement):
    """A container is gone. `report` is the reporter's own number for this statement; `occurred` is a claim."""

    name = "loss.reported"
    report: ReportId
    serial: Serial
    kind: Kind
    reason: Reason
    scope: Scope = Scope.CONTAINER
    reporter: Reporter
    occurred: Instant

    @model_validator(mode="after")
    def _is_a_loss(self) -> Self:
        row = Loss.of(self.kind, self.reason)
        if row is None or self.scope not in row.scopes:
            raise ValueError(f"{self.kind}/{self.reason}/{self.scope} is no loss; valid: {', '.join(Loss.valid())}")
        return self


class ContactStatement(Statement):
    """A container reported in at the vendor's own licensing. `contact` is that system's number for it."""

    name = "container.contacted"
    contact: ContactId
    serial: Serial
    occurred: Instant


class FoundStatement(Statement):
    """Somebody has a lost container in hand. `report` is the reporter's own number for this statement."""

    name = "container.found"
    report: ReportId
    serial: Serial
    reporter: Reporter
    occurred: Instant


STATEMENTS: dict[str, type[Statement]] = {
    s.type(): s for s in (ContainerStatement, LicenceStatement, LossStatement, ContactStatement, FoundStatement)
}
