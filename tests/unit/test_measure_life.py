"""The life of a measure: which state may follow which, and what a state means."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.measure_life import FIRST, OPEN, STAGES, UnexpectedStepError, blocks, in_effect, sql_blocks, sql_open, step
from events.measure_subject import Subject
from events.terms import MeasureState
from simulation.licensing.backend import VendorBackend

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


HOUR = timedelta(hours=1)
STATES = st.sampled_from([state for state in MeasureState if state is not MeasureState.LIFTED])
AGES = st.timedeltas(-timedelta(days=400), timedelta(days=400))


@given(state=STATES, ahead=AGES)
def test_a_measure_without_delay_is_in_effect_from_its_order_on_whatever_a_clock_says(
    state: MeasureState, ahead: timedelta
) -> None:
    assert in_effect(state, NOW + ahead, NOW + ahead, NOW)


@given(state=STATES, ordered=AGES, delay=st.timedeltas(timedelta(microseconds=1), timedelta(days=400)))
def test_a_delayed_measure_is_in_effect_from_its_time_of_effect(
    state: MeasureState, ordered: timedelta, delay: timedelta
) -> None:
    effective = NOW + ordered + delay

    assert in_effect(state, NOW + ordered, effective, NOW) is (effective <= NOW)


@given(ordered=AGES, delay=st.timedeltas(timedelta(), timedelta(days=400)))
def test_a_lifted_measure_is_never_in_effect(ordered: timedelta, delay: timedelta) -> None:
    assert not in_effect(MeasureState.LIFTED, NOW + ordered, NOW + ordered + delay, NOW)


@pytest.mark.parametrize("behind", [timedelta(), HOUR])
def test_the_backend_in_memory_asks_whether_a_measure_is_in_effect(behind: timedelta) -> None:
    backend = VendorBackend("acme", lambda *_: None)
    aimed = Subject.parse("container/3-1/1")
    backend._order("case-1", ("3-1", 1), "blacklisting", aimed, NOW, NOW)

    assert [one.subject for one in backend._in_effect(NOW - behind)] == [aimed]
