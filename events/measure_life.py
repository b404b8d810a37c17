"""The life of a blocking measure, as data that the backend, the views, the documentation and its diagram read."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from events.terms import MeasureState


class UnexpectedStepError(Exception):
    """A measure cannot become that now: a bug or a damaged log, never input."""


class Stage(NamedTuple):
    """A state of a measure: what may follow it, whether it still waits to be confirmed, and whether it blocks what it
    aims at once it is in effect. A state that is not open is an end."""

    follows: tuple[MeasureState, ...]
    is_open: bool
    blocks: bool
    meaning: str


FIRST = MeasureState.ORDERED
"""Every measure begins with its order."""

STAGES: dict[MeasureState, Stage] = {
    MeasureState.ORDERED: Stage(
        (MeasureState.DELIVERED, MeasureState.CONFIRMED, MeasureState.UNCONFIRMABLE, MeasureState.LIFTED),
        *(True, True),
        "the backend ordered it; the container has not reported in since",
    ),
    MeasureState.DELIVERED: Stage(
        (MeasureState.CONFIRMED, MeasureState.UNCONFIRMABLE, MeasureState.LIFTED),
        *(True, True),
        "the container was told at a contact",
    ),
    MeasureState.CONFIRMED: Stage(
        (), False, True, "the container, or a receipt, says that nothing runs on; only issuing anew undoes that"
    ),
    MeasureState.UNCONFIRMABLE: Stage((), False, True, "the case ended and the container never confirmed it"),
    MeasureState.LIFTED: Stage(
        (MeasureState.ORDERED,),
        *(False, False),
        "it was taken back, because the loss was none or the original is reinstated; it can be ordered again",
    ),
}
"""Each state of a measure. The fact that takes a measure there is named `measure.` and the state."""

OPEN = tuple(state for state, stage in STAGES.items() if stage.is_open)
"""The states of a measure that is still to be confirmed."""


def step(before: MeasureState | None, after: MeasureState) -> MeasureState:
    """The state after `before` (None: not ordered yet). Raises `UnexpectedStepError` where it cannot follow."""
    if after not in (STAGES[before].follows if before else (FIRST,)):
        raise UnexpectedStepError(f"a measure that is {before or 'not ordered'} cannot become {after}")
    return after


def blocks(state: MeasureState | str) -> bool:
    """Whether a measure in this state blocks what it aims at, once it is in effect."""
    return STAGES[MeasureState(state)].blocks


def sql_blocks(column: str = "state") -> str:
    """The same over a column."""
    return f"{column} not in ({_quoted(state for state, stage in STAGES.items() if not stage.blocks)})"


def sql_open(column: str = "state") -> str:
    """Whether a measure is still to be confirmed, over a column."""
    return f"{column} in ({_quoted(OPEN)})"


def in_effect(state: MeasureState | str, ordered: datetime, effective: datetime, at: datetime) -> bool:
    """Whether a measure is in effect at an instant: one without delay from its order on, whatever a clock says that
    was read earlier or on another machine; a delayed one from its time of effect; a lifted one not."""
    return blocks(state) and effective <= max(ordered, at)


def sql_in_effect(at: str) -> str:
    """The same over the columns `state`, `ordered` and `effective`; `at` is the parameter that holds the instant."""
    return f"{sql_blocks()} and effective <= greatest(ordered, {at})"


def _quoted(states: Iterable[MeasureState]) -> str:
    return ", ".join(f"'{state}'" for state in states)
