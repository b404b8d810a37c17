"""When a measure is in effect."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.measure_life import in_effect
from events.measure_subject import Subject
from events.terms import MeasureState
from simulation.licensing.backend import VendorBackend

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
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
def test_the_backend_in_memory_goes_by_it(behind: timedelta) -> None:
    backend = VendorBackend("acme", lambda *_: None)
    aimed = Subject.parse("container/3-1/1")
    backend._order("case-1", ("3-1", 1), "blacklisting", aimed, NOW, NOW)

    assert [one.subject for one in backend._in_effect(NOW - behind)] == [aimed]
