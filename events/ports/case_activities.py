"""What a case does to the world, as Temporal activities; apart from the rest, so that others need not load Temporal."""

from abc import ABC, abstractmethod
from typing import Annotated

from pydantic import Field, JsonValue
from temporalio import activity

from events.digest import Digest
from events.ports.licensing_backend import CaseKey
from events.terms import Instant, Value


class SweepOrder(Value):
    """Look through at most `limit` leases whose next time has come."""

    limit: Annotated[int, Field(ge=1, le=10_000)]


class Swept(Value):
    """So many leases were looked through; as many as the limit means that there may be more."""

    leases: int


class AppendOrder(Value):
    """Append these facts to the stream of a case, after its head: for each its type, data and time of record."""

    key: CaseKey
    sequence: int
    hash: str
    facts: tuple[tuple[str, dict[str, JsonValue], Instant], ...]


class Appended(Value):
    """Where the stream stands after an append, the last fact's place in the log, and the digest of what was appended,
    which the case compares with what it believes. Older releases answered without a digest."""

    sequence: int
    hash: str
    partition: int
    offset: int
    digest: Digest | None = None


class CaseActivities(ABC):
    """What a workflow does to the world beside what it asks of the backend (`CaseOrders`, whose methods are activities
    too); each is safe to repeat."""

    @activity.defn(name="sweep_leases")
    @abstractmethod
    async def sweep_leases(self, order: SweepOrder) -> Swept:
        """State which leases came to be due soon, overdue or lapsed."""

    @activity.defn(name="append")
    @abstractmethod
    async def append(self, order: AppendOrder) -> Appended:
        """Append to the log."""
