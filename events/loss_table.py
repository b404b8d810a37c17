"""The table of losses, which code, documentation and tests read."""

from collections.abc import Iterator
from dataclasses import dataclass

from events.terms import Aim, Kind, Measure, Reason, Recovery, Scope, Target, Watch


@dataclass(frozen=True)
class Loss:
    """One row of the table of losses: what can be lost how, and what the product does about it by default."""

    kind: Kind
    reason: Reason
    scopes: tuple[Scope, ...]
    recovery: Recovery
    measures: tuple[Measure, ...]
    watch: Watch
    meaning: str

    @classmethod
    def of(cls, kind: Kind, reason: Reason) -> "Loss | None":
        """The row for this pair, or None where the pair makes no sense."""
        return ROWS.get((kind, reason))

    @staticmethod
    def valid() -> Iterator[str]:
        """All that can be reported, as `kind/reason/scope`."""
        return (f"{row.kind}/{row.reason}/{scope}" for row in LOSSES for scope in row.scopes)

    def target(self, scope: Scope) -> Target:
        """Where the replacement goes."""
        match self.kind:
            case Kind.DONGLE:
                return Target.EMPTY_CONTAINER if scope is Scope.CONTAINER else Target.OTHER_CONTAINER
            case Kind.ACT:
                return Target.ACTIVATION
            case Kind.CLOUD:
                return Target.SAME_CONTAINER

    def aim(self, scope: Scope) -> Aim:
        """What the measures aim at."""
        if self.kind is Kind.CLOUD:
            return Aim.ACCESS_DATA
        return Aim.CONTAINER if scope is Scope.CONTAINER else Aim.LICENCE


_WHOLE = (Scope.CONTAINER,)
_ANY = (Scope.CONTAINER, Scope.LICENCES)
_DEACTIVATE_THEN_BLOCK = (Measure.DEACTIVATION, Measure.BLACKLISTING)
LOSSES: tuple[Loss, ...] = (
    Loss(
        *(Kind.DONGLE, Reason.LOST, _ANY, Recovery.NEXT_GENERATION, (Measure.BLACKLISTING,), Watch.LONG),
        meaning="the holder cannot find it",
    ),
    Loss(
        *(Kind.DONGLE, Reason.STOLEN, _WHOLE, Recovery.NEXT_GENERATION, (Measure.BLACKLISTING,), Watch.LONG),
        meaning="somebody took it",
    ),
    Loss(
        *(Kind.DONGLE, Reason.DAMAGED, _ANY, Recovery.STOP_GAP, (Measure.WITHDRAWAL,), Watch.UNTIL_RETURNED),
        meaning="it no longer works and will be sent back",
    ),
    Loss(
        *(Kind.ACT, Reason.SAME_HARDWARE, _ANY, Recovery.REISSUE, (Measure.DEACTIVATION,), Watch.SHORT),
        meaning="it was destroyed, and the machine is the same",
    ),
    Loss(
        *(Kind.ACT, Reason.HARDWARE_REPLACED, _ANY, Recovery.NEXT_GENERATION, _DEACTIVATE_THEN_BLOCK, Watch.LONG),
        meaning="the machine was replaced",
    ),
    Loss(
        *(Kind.ACT, Reason.COMPUTER_STOLEN, _ANY, Recovery.NEXT_GENERATION, _DEACTIVATE_THEN_BLOCK, Watch.LONG),
        meaning="somebody took the machine",
    ),
    Loss(
        *(Kind.CLOUD, Reason.FORGOTTEN, _WHOLE, Recovery.RESET, (), Watch.NONE),
        meaning="the holder forgot the access data",
    ),
    Loss(
        *(Kind.CLOUD, Reason.STOLEN, _WHOLE, Recovery.ROTATION, (Measure.BLACKLISTING,), Watch.LONG),
        meaning="somebody else has the access data",
    ),
)
ROWS = {(row.kind, row.reason): row for row in LOSSES}
