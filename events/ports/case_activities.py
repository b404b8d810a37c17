"""What a case does to the world, as Temporal activities; apart from the rest, so that others need not load Temporal."""

from abc import ABC, abstractmethod
from typing import Annotated

from pydantic import Field, JsonValue
from temporalio import activity

from events.digest import Digest
from events.ports.licensing_backend import (
    Assessment,
    BlockOrder,
    CaseKey,
    CaseOrder,
    CloseOrder,
    Done,
    IssueAnswer,
    Issued,
    IssueOrder,
    ReinstateOrder,
    Reservation,
    ReserveOrder,
    ScopeOrder,
    ScopePage,
    Withdrawal,
)
from events.ports.loss_cases import ConfirmedDecision, DecisionQuestion
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
    """What a case does to the world; each is safe to repeat. The workflow knows only these signatures."""

    @activity.defn(name="assess")
    @abstractmethod
    async def assess(self, key: CaseKey) -> Assessment:
        """Ask the backend for the facts and the policy."""

    @activity.defn(name="scope")
    @abstractmethod
    async def scope(self, order: ScopeOrder) -> ScopePage:
        """Ask for more of the licences that the case is about."""

    @activity.defn(name="reserve")
    @abstractmethod
    async def reserve(self, order: ReserveOrder) -> Reservation:
        """Have a recovery set aside."""

    @activity.defn(name="confirm_decision")
    @abstractmethod
    async def confirm_decision(self, question: DecisionQuestion) -> ConfirmedDecision:
        """Ask whether a door brought a decision, and who may decide."""

    @activity.defn(name="block")
    @abstractmethod
    async def block(self, order: BlockOrder) -> Done:
        """Have the measures ordered."""

    @activity.defn(name="issue")
    @abstractmethod
    async def issue(self, order: IssueOrder) -> IssueAnswer:
        """Have the replacement issued."""

    @activity.defn(name="withdraw")
    @abstractmethod
    async def withdraw(self, order: CaseOrder) -> Withdrawal:
        """Have the replacement withdrawn, or learn that it is."""

    @activity.defn(name="keep")
    @abstractmethod
    async def keep(self, order: CaseOrder) -> Done:
        """Have the replacement withdrawn no longer."""

    @activity.defn(name="reinstate")
    @abstractmethod
    async def reinstate(self, order: ReinstateOrder) -> Issued:
        """Have the original reinstated."""

    @activity.defn(name="close")
    @abstractmethod
    async def close(self, order: CloseOrder) -> Done:
        """Have the case known as closed."""

    @activity.defn(name="sweep_leases")
    @abstractmethod
    async def sweep_leases(self, order: SweepOrder) -> Swept:
        """State which leases came to be due soon, overdue or lapsed."""

    @activity.defn(name="append")
    @abstractmethod
    async def append(self, order: AppendOrder) -> Appended:
        """Append to the log."""
