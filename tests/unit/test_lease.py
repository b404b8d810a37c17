"""Intervals and leases follow the calendar."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.lease import Interval, Lease, Unit
from events.terms import LAST_INSTANT

START = datetime(2028, 1, 31, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("unit", "count", "end"),
    [
        (Unit.DAY, 1, datetime(2028, 2, 1, 9, tzinfo=UTC)),
        (Unit.WEEK, 2, datetime(2028, 2, 14, 9, tzinfo=UTC)),
        (Unit.MONTH, 1, datetime(2028, 2, 29, 9, tzinfo=UTC)),
        (Unit.YEAR, 1, datetime(2029, 1, 31, 9, tzinfo=UTC)),
    ],
)
def test_an_interval_follows_the_calendar(unit: Unit, count: int, end: datetime) -> None:
    assert Interval(unit=unit, count=count).after(START) == end


def test_a_lease_ends_after_the_next_check_in_and_the_grace() -> None:
    lease = Lease(check_in=Interval(unit=Unit.WEEK), grace_days=3)

    assert lease.expiry(START) == datetime(2028, 2, 10, 9, tzinfo=UTC)


def test_without_a_check_in_nothing_limits_a_file() -> None:
    assert Lease(grace_days=3).expiry(START) is None


@given(
    unit=st.sampled_from(Unit),
    count=st.integers(1, 1000),
    grace=st.integers(0, 3650),
    issued=st.datetimes(timezones=st.just(UTC)),
)
def test_no_lease_leaves_the_calendar(unit: Unit, count: int, grace: int, issued: datetime) -> None:
    end = Lease(check_in=Interval(unit=unit, count=count), grace_days=grace).expiry(issued)

    assert end is not None
    assert end <= LAST_INSTANT
