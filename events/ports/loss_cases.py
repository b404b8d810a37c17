"""A loss case: the way to it."""

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol, Self

from pydantic import Field, model_validator

from events.case_facts import LossReported
from events.errors import Code
from events.evidence import EvidenceFile
from events.principal import Principal
from events.stream_position import StreamPosition
from events.terms import (
    Action,
    CaseId,
    CaseKey,
    Cause,
    DecisionId,
    EvidenceName,
    FreeText,
    HolderId,
    Instant,
    PersonId,
    Serial,
    Status,
    Value,
    Verdict,
)

WORKFLOW = "LossCase"


REPORTS_LIMIT = 1_000
"""So many reports may join one case; further ones are answered with the case, and add nothing to it."""


class Joined(Value):
    """A further report of a loss that the case is about."""

    type: Literal["report"] = "report"
    report: LossReported


class Sighting(Value):
    """The container of a case turned up; `statement` names what said so."""

    type: Literal["sighting"] = "sighting"
    statement: str
    cause: Cause
    occurred: Instant


class Evidence(Value):
    """Evidence for a case; `statement` names what brought it, `on_behalf_of` the holder for whom a delegate did."""

    type: Literal["evidence"] = "evidence"
    statement: str
    by: PersonId
    evidence: tuple[EvidenceName, ...]
    files: tuple[EvidenceFile, ...] = ()
    on_behalf_of: HolderId | None = None


class Offer(Value):
    """A container may take what a case is to issue into it: registered, activated, its access data were set, or a case
    that stood in the way of that, or of its un-loss, no longer does. Or, of the lost container itself: nothing is left
    to issue, so that the case need not wait."""

    type: Literal["offer"] = "offer"
    serial: Serial


class Settled(Value):
    """The last measure of a case was confirmed."""

    type: Literal["settled"] = "settled"


class Overtaken(Value):
    """A wider loss of the container, or one that asks for more measures, was reported: another case is about it."""

    type: Literal["overtaken"] = "overtaken"
    by: CaseId


class Rejected(Value):
    """A reset of access data, `case`, that the case has taken over had been rejected: the loss was reported before, and
    not believed. The backend learns that only when the reset is closed."""

    type: Literal["rejected"] = "rejected"
    case: CaseId


class ReplacementGone(Value):
    """The replacement was reported lost, in another case."""

    type: Literal["replacement_gone"] = "replacement_gone"
    to: CaseId


class DecisionContent(Value):
    """What somebody decides, whoever it is. The same id is the same decision.

    `on` is the number of the last material fact of the case that it was made on: when there is a later one it is stale.
    A `verdict` goes with the action `rule`, and `reinstate` with the verdict `found`; `evidence` goes with `ask`;
    `goodwill` (beyond the quota, with a reason) and a `condition` with its days go with `approve`.
    """

    type: Literal["decision"] = "decision"
    decision: DecisionId
    action: Action
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
            raise ValueError(f"the action rule needs a verdict, and no other takes one; valid: {', '.join(Verdict)}")
        if self.reinstate and self.verdict is not Verdict.FOUND:
            raise ValueError("only a container with the verdict found can be reinstated")
        if (self.action is Action.ASK) != bool(self.evidence):
            raise ValueError("who asks for evidence must name it, and nobody else may")
        if (self.condition is None) != (self.condition_days is None):
            raise ValueError("a condition and the days to meet it go together: give both, or neither")
        if not approves and (self.goodwill or self.condition):
            raise ValueError("goodwill and a condition can be given with an approval only")
        if self.goodwill and not self.why.strip():
            raise ValueError("an approval beyond the quota needs a reason: say why")
        return self


class DecisionOrder(DecisionContent):
    """What a supervisor decides; `by` is the principal at the door."""

    by: PersonId

    @classmethod
    def of(cls, principal: Principal, content: DecisionContent) -> Self:
        """What a principal decides, whatever was sent."""
        return cls.model_validate({**dict(content), "by": principal.subject})


Content = Annotated[
    Joined | Sighting | Evidence | Offer | Settled | Overtaken | Rejected | ReplacementGone | DecisionOrder,
    Field(discriminator="type"),
]
"""What can be said to a case."""


class Message(Value):
    """Something said to a case: the backend accepted it as the `number`-th, in the transaction that made it true.

    The report that opened the case is its number 1. Messages may reach a case twice and out of order: it takes each
    number once, in order. `accepted` is the backend's time of that; what an older release brought has none.
    """

    number: Annotated[int, Field(ge=1)]
    content: Content
    accepted: Instant | None = None


class DecisionTaken(Value):
    """A decision was taken: where the case stands for it, and the material fact that it was made on. `sequence` is how
    far the case's facts have come (0: an older worker answered)."""

    case: CaseId
    decision: DecisionId
    status: Status
    on: int
    sequence: int = 0

    @property
    def position(self) -> StreamPosition:
        """Where what the decision made of the case stands."""
        return StreamPosition(f"case/{self.case}", self.sequence)


class DecisionDenied(Value):
    """A decision was not taken, for this reason; the attempt is in the history."""

    code: Code


class AcceptedDecision(Value):
    """A door brought this decision to the backend, which gave it a `number` among the messages to its case.

    `on` is what it was made on when it was first brought. `refused` is there instead of a number where the case may no
    longer take it.
    """

    key: CaseKey
    number: int | None
    on: int
    refused: Code | None = None


class DecisionQuestion(Value):
    """A decision reached a case under this number: did a door bring it, and who may decide?"""

    key: CaseKey
    number: int


class ConfirmedDecision(Value):
    """What a door brought under that number (None: nothing), who may decide on the vendor's cases now, and who of them
    reported this loss."""

    order: DecisionOrder | None
    supervisors: tuple[PersonId, ...]
    reporters: tuple[PersonId, ...] = ()


class CaseOverError(Exception):
    """Temporal runs no workflow of the case, which takes no message: the case is over, or its workflow was ended there
    or lost. The backend knows which."""


class Cases(Protocol):
    """The way to the running cases. Each call may be repeated; a message then changes nothing the second time."""

    async def start(self, key: CaseKey, report: LossReported) -> None:
        """Begin a case with the report that opened it, unless it was begun."""

    async def send(self, key: CaseKey, messages: Sequence[Message]) -> None:
        """Bring messages to their case. Raises `CaseOverError`."""

    async def is_running(self, key: CaseKey) -> bool:
        """Whether a workflow of the case runs."""

    async def answer(self, accepted: AcceptedDecision, order: DecisionOrder) -> DecisionTaken | DecisionDenied:
        """Wait, bounded, for what a case makes of an accepted decision."""
