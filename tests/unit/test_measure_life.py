"""The life of a measure: which state may follow which, and what a state means."""

from datetime import UTC, datetime

import pytest

from events.measure_life import FIRST, OPEN, STAGES, UnexpectedStepError, blocks, in_effect, sql_blocks, sql_open, step
from events.terms import MeasureState

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ORDERED, DELIVERED, CONFIRMED, UNCONFIRMABLE, LIFTED = MeasureState
LIFE = {
    (None, ORDERED),
    (ORDERED, DELIVERED),
    *((before, after) for before in (ORDERED, DELIVERED) for after in (CONFIRMED, UNCONFIRMABLE, LIFTED)),
    (LIFTED, ORDERED),
}


@pytest.mark.parametrize("after", MeasureState)
@pytest.mark.parametrize("before", [None, *MeasureState])
def test_a_measure_is_ordered_then_delivered_and_ends_confirmed_unconfirmable_or_lifted(
    before: MeasureState | None, after: MeasureState
) -> None:
    if (before, after) in LIFE:
        assert step(before, after) is after
    else:
        with pytest.raises(UnexpectedStepError, match=f"{before or 'not ordered'} cannot become {after}"):
            step(before, after)


def test_what_is_confirmed_is_never_lifted() -> None:
    assert LIFTED not in STAGES[CONFIRMED].follows


def test_a_measure_is_open_until_it_ends() -> None:
    assert OPEN == (ORDERED, DELIVERED)
    assert sql_open("m.state") == "m.state in ('ordered', 'delivered')"
    assert sql_open() == "state in ('ordered', 'delivered')"


def test_all_but_a_lifted_measure_block_once_they_are_in_effect() -> None:
    assert [state for state in MeasureState if not blocks(state)] == [LIFTED]
    assert [state for state in MeasureState if not in_effect(state, NOW, NOW, NOW)] == [LIFTED]
    assert sql_blocks() == "state not in ('lifted')"


def test_every_state_can_be_reached_and_has_a_meaning() -> None:
    reached, new = set[MeasureState](), {FIRST}
    while new:
        reached |= new
        new = {after for state in new for after in STAGES[state].follows} - reached
    assert reached == set(MeasureState) == set(STAGES)
    assert all(stage.meaning for stage in STAGES.values())
