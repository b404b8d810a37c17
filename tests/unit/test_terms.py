"""The words of the domain: intervals, leases, names and the table of losses."""

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from events.terms import LOSSES, Interval, Kind, Lease, Loss, Reason, Serial, Unit, VendorId
from events.topics import vendor_of

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


def test_a_loss_is_found_by_kind_and_reason() -> None:
    assert all(Loss.of(row.kind, row.reason) is row for row in LOSSES)
    assert Loss.of(Kind.CLOUD, Reason.LOST) is None


@pytest.mark.parametrize("bad", ["", " ", "a b", "é", "x" * 81, "-x", "a\n", "../x"])
def test_a_serial_is_a_plain_name(bad: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Serial).validate_python(bad)


@pytest.mark.parametrize("bad", ["", "A", "a", "1a", "a_b", "a.b", "a-", "x" * 33])
def test_a_vendor_is_a_name_that_a_topic_can_carry(bad: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(VendorId).validate_python(bad)


def test_the_vendor_comes_from_the_topic() -> None:
    assert vendor_of("lostfound.acme.inbox") == "acme"
    with pytest.raises(ValueError, match="nobody"):
        vendor_of("lostfound.A B.inbox")
