"""The protocols at which the rooms meet: the licensing backend, the deeds of a case, and the way to a case."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, Protocol

from pydantic import Field, JsonValue
from temporalio import activity

from events.catalogue import BackendFacts, LicenceInScope, LossReported
from events.inbox import ContainerStatement, LicenceStatement, LossStatement
from events.terms import (
    CaseId,
    Generation,
    HolderId,
    Instant,
    LicenceId,
    Measure,
    ReportId,
    Serial,
    Ticket,
    Value,
    VendorId,
)


class CaseKey(Value):
    """Names a case."""

    vendor: VendorId
    case: CaseId
    serial: Serial


class Claim(Value):
    """The backend's answer to a report: the case that it opened, joined or, said again, has belonged to since.

    `received` is when the report was first received.
    """

    key: CaseKey
    received: Instant
    answer: Literal["opened", "joined", "repeated"]


class Assessment(Value):
    """What the backend knows of a case's container, and the vendor's policy as it is now. `policy` is JSON."""

    at: Instant
    facts: BackendFacts
    policy: JsonValue


class BlockOrder(Value):
    """Order these measures for a case."""

    key: CaseKey
    measures: tuple[Measure, ...]


class IssueOrder(Value):
    """Issue the next generation of these licences, once these measures stand."""

    key: CaseKey
    licences: tuple[LicenceInScope, ...]
    measures: tuple[Measure, ...]


class Done(Value):
    """A deed was done at this instant; done again, it answers the same."""

    at: Instant


class IssuedLicence(Value):
    """One licence of a replacement."""

    licence: LicenceId
    generation: Generation


class Issued(Value):
    """The replacement was issued into `target`; asked again, the answer is the same."""

    issued: Literal[True] = True
    at: Instant
    target: Serial
    licences: tuple[IssuedLicence, ...]


class NoTargetFound(Value):
    """No empty container of the holder could take the replacement; the backend tells when one is registered."""

    issued: Literal[False] = False
    at: Instant
    tickets: tuple[Ticket, ...]


IssueAnswer = Annotated[Issued | NoTargetFound, Field(discriminator="issued")]


class LicensingBackend(Protocol):
    """The authority over inventory, generations, claims and measures. Whatever it grants, it grants under a lock on the
    container, and it states what it did through its outbox, in the same transaction. Every call may be repeated.

    Each raises `RefusalError` for what is final and `NotYetKnownError` for what a later fact may mend; anything else
    is a failure to be retried.
    """

    async def register_container(self, vendor: VendorId, stated: ContainerStatement, at: datetime) -> None:
        """Take a container into the inventory."""

    async def register_licence(self, vendor: VendorId, stated: LicenceStatement, at: datetime) -> None:
        """Take a licence of the vendor's own issue into the inventory."""

    async def claim(self, vendor: VendorId, stated: LossStatement, door: str, received: datetime) -> Claim:
        """Claim a report's id and every licence generation in its scope, in one transaction."""

    async def waiting_for_target(self, vendor: VendorId, holder: HolderId) -> Sequence[CaseKey]:
        """The cases that wait for an empty container of this holder."""

    async def assess(self, key: CaseKey) -> Assessment:
        """The facts that policy decides on."""

    async def block(self, order: BlockOrder) -> Done:
        """Order measures against the container of a case."""

    async def issue(self, order: IssueOrder) -> Issued | NoTargetFound:
        """Issue the replacement: all licences of the scope in one transaction, by compare-and-set on the generation."""

    async def release(self, key: CaseKey) -> Done:
        """Free the claims of a case that recovers nothing."""


class AppendOrder(Value):
    """Append these facts to the stream of a case, after its head. `facts` are (type, data) pairs."""

    key: CaseKey
    sequence: int
    hash: str
    recorded: Instant
    facts: tuple[tuple[str, dict[str, JsonValue]], ...]


class Appended(Value):
    """Where the stream stands after an append, and the last fact's place in the log."""

    sequence: int
    hash: str
    partition: int
    offset: int


class Deeds:
    """What a case does to the world; each is safe to repeat. The workflow knows only these signatures."""

    @activity.defn(name="assess")
    async def assess(self, key: CaseKey) -> Assessment:
        """Ask the backend for the facts and the policy."""
        raise NotImplementedError

    @activity.defn(name="block")
    async def block(self, order: BlockOrder) -> Done:
        """Have the measures ordered."""
        raise NotImplementedError

    @activity.defn(name="issue")
    async def issue(self, order: IssueOrder) -> IssueAnswer:
        """Have the replacement issued."""
        raise NotImplementedError

    @activity.defn(name="release")
    async def release(self, key: CaseKey) -> Done:
        """Have the claims freed."""
        raise NotImplementedError

    @activity.defn(name="append")
    async def append(self, order: AppendOrder) -> Appended:
        """Append to the log."""
        raise NotImplementedError


WORKFLOW = "LossCase"


class Acknowledged(Value):
    """A case took a report."""

    case: CaseId
    report: ReportId


class Cases(Protocol):
    """The way to the running cases."""

    async def report(self, key: CaseKey, report: LossReported) -> None:
        """Bring a report to its case, starting the case where it does not run yet. Returns once it is durable."""

    async def offer(self, key: CaseKey, serial: Serial) -> None:
        """Tell a waiting case of a container that may take its replacement."""
