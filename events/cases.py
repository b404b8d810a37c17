"""A loss case: what it has done, and the way to it."""

from abc import ABC, abstractmethod
from typing import Annotated, Protocol, Self

from pydantic import Field, JsonValue, model_validator
from temporalio import activity

from events.case_facts import LossReported
from events.licensing import (
    Assessment,
    BlockOrder,
    CaseKey,
    CloseOrder,
    Done,
    IssueAnswer,
    Issued,
    IssueOrder,
    ReinstateOrder,
    Reservation,
    ReserveOrder,
    Supervisors,
    Withdrawal,
)
from events.terms import (
    Action,
    CaseId,
    Cause,
    DecisionId,
    EvidenceName,
    Instant,
    PersonId,
    ReportId,
    Serial,
    Status,
    Value,
    Verdict,
)


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
    """Where the stream stands after an append, and the last fact's place in the log."""

    sequence: int
    hash: str
    partition: int
    offset: int


class Deeds(ABC):
    """What a case does to the world; each is safe to repeat. The workflow knows only these signatures."""

    @activity.defn(name="assess")
    @abstractmethod
    async def assess(self, key: CaseKey) -> Assessment:
        """Ask the backend for the facts and the policy."""

    @activity.defn(name="reserve")
    @abstractmethod
    async def reserve(self, order: ReserveOrder) -> Reservation:
        """Have a recovery set aside."""

    @activity.defn(name="supervisors")
    @abstractmethod
    async def supervisors(self, key: CaseKey) -> Supervisors:
        """Ask who may decide."""

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
    async def withdraw(self, key: CaseKey) -> Withdrawal:
        """Have the replacement withdrawn, or learn that it is."""

    @activity.defn(name="keep")
    @abstractmethod
    async def keep(self, key: CaseKey) -> Done:
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


WORKFLOW = "LossCase"
LEASE_SWEEP = "LeaseSweep"


class Acknowledged(Value):
    """A case took a report."""

    case: CaseId
    report: ReportId


class Sighting(Value):
    """The container of a case turned up; `statement` names what said so, and says it once. A contact that the backend
    refused is the `ordinal`-th that it refused for this case."""

    statement: str
    cause: Cause
    occurred: Instant
    ordinal: int | None = None


class Evidence(Value):
    """Evidence for a case; `statement` names what brought it, and brings it once."""

    statement: str
    by: PersonId
    evidence: tuple[EvidenceName, ...]


class DecisionOrder(Value):
    """What a supervisor decides. The same id is the same decision.

    `on` is the number of the last material fact of the case that it was made on: when there is a later one it is stale.
    A `verdict` goes with the action `rule`, and `reinstate` with the verdict `found`; `evidence` goes with `ask`;
    `goodwill` (beyond the quota, with a reason) and a `condition` with its days go with `approve`.
    """

    decision: DecisionId
    action: Action
    by: PersonId
    why: str = ""
    on: Annotated[int, Field(ge=1)]
    verdict: Verdict | None = None
    reinstate: bool = False
    evidence: Annotated[tuple[EvidenceName, ...], Field(max_length=20)] = ()
    goodwill: bool = False
    condition: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    condition_days: Annotated[int, Field(ge=1, le=366)] | None = None

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        approves = self.action is Action.APPROVE
        if (self.action is Action.RULE) != (self.verdict is not None):
            raise ValueError(f"a verdict goes with the action rule, and only with it; valid: {', '.join(Verdict)}")
        if self.reinstate and self.verdict is not Verdict.FOUND:
            raise ValueError("only what is found can be reinstated")
        if (self.action is Action.ASK) != bool(self.evidence):
            raise ValueError("evidence is named when it is asked for, and only then")
        if (self.condition is None) != (self.condition_days is None):
            raise ValueError("a condition goes with the days in which it must be met")
        if not approves and (self.goodwill or self.condition):
            raise ValueError("goodwill and a condition go with the action approve")
        if self.goodwill and not self.why.strip():
            raise ValueError("goodwill needs a reason")
        return self


class DecisionTaken(Value):
    """A decision was taken, and where the case stands for it."""

    case: CaseId
    decision: DecisionId
    status: Status


class Cases(Protocol):
    """The way to the running cases."""

    async def report(self, key: CaseKey, report: LossReported) -> None:
        """Bring a report to its case, starting the case where it does not run yet. Returns once it is durable."""

    async def offer(self, key: CaseKey, serial: Serial) -> None:
        """Tell a waiting case of a container that may take its replacement."""

    async def sight(self, key: CaseKey, sighting: Sighting) -> None:
        """Tell a case that its container turned up."""

    async def settle(self, key: CaseKey) -> None:
        """Tell a case that its last measure was confirmed."""

    async def lose_replacement(self, key: CaseKey, to: CaseId) -> None:
        """Tell a case that its replacement was reported lost in another one."""

    async def give_evidence(self, key: CaseKey, evidence: Evidence) -> None:
        """Bring evidence to a case."""

    async def decide(self, key: CaseKey, order: DecisionOrder) -> DecisionTaken:
        """Bring a decision to its case; raises `RefusalError` when it is denied."""
