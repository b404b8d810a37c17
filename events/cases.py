"""A loss case: the way to it."""

from typing import Annotated, Protocol, Self

from pydantic import Field, model_validator

from events.case_facts import LossReported
from events.licensing import CaseKey
from events.terms import (
    Action,
    CaseId,
    Cause,
    DecisionId,
    EvidenceName,
    FreeText,
    Instant,
    PersonId,
    ReportId,
    Serial,
    Status,
    Value,
    Verdict,
)

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
    why: FreeText = ""
    on: Annotated[int, Field(ge=1)]
    verdict: Verdict | None = None
    reinstate: bool = False
    evidence: Annotated[tuple[EvidenceName, ...], Field(max_length=20)] = ()
    goodwill: bool = False
    condition: Annotated[FreeText, Field(min_length=1, max_length=500)] | None = None
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
