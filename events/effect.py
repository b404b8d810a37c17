"""When a blocking measure is in effect: one rule, as a predicate and as SQL."""

from datetime import datetime

from events.measure_life import blocks, sql_blocks
from events.terms import MeasureState


def in_effect(state: MeasureState | str, ordered: datetime, effective: datetime, at: datetime) -> bool:
    """Whether a measure is in effect at an instant: one without delay from its order on, whatever a clock says that
    was read earlier or on another machine; a delayed one from its time of effect; a lifted one not."""
    return blocks(state) and effective <= max(ordered, at)


def sql_in_effect(at: str) -> str:
    """The same over the columns `state`, `ordered` and `effective`; `at` is the parameter that holds the instant."""
    return f"{sql_blocks()} and effective <= greatest(ordered, {at})"
