"""The words of the domain: intervals, leases, names and the table of losses."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from events.errors import Code, RefusalError
from events.terms import (
    GENERATION_LIMIT,
    LAST_INSTANT,
    LOSSES,
    NAME_PATTERN,
    TEXT_CHARACTERS,
    Aim,
    BoundedInstant,
    FreeText,
    Interval,
    Kind,
    Lease,
    Loss,
    Reason,
    Serial,
    Subject,
    Unit,
    VendorId,
    next_generation,
)
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


@pytest.mark.parametrize(
    "edge",
    [
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+14:00",
        "9001-01-01T00:00:00Z",
        "9000-12-31T23:59:59-12:00",
        "9999-12-31T23:59:59-12:00",
        "2026-01-01T00:00:00",
    ],
)
def test_an_instant_that_comes_in_is_of_the_years_1970_to_9000_in_utc(edge: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(BoundedInstant).validate_json(f'"{edge}"')


def test_an_instant_that_comes_in_is_kept_in_utc() -> None:
    taken = TypeAdapter(BoundedInstant).validate_json('"2026-11-20T18:00:00+02:00"')

    assert taken.isoformat() == "2026-11-20T16:00:00+00:00"


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


def test_no_generation_follows_the_last() -> None:
    assert next_generation(GENERATION_LIMIT - 1) == GENERATION_LIMIT
    with pytest.raises(RefusalError) as refusal:
        next_generation(GENERATION_LIMIT)
    assert refusal.value.code is Code.GENERATION_EXHAUSTED
    assert "1000000000" in refusal.value.sentence


@pytest.mark.parametrize("control", ["\x00", "\x1b", "\x7f", "\x9b"])
def test_what_a_person_writes_has_several_lines_and_no_control_characters(control: str) -> None:
    text = TypeAdapter(FreeText)

    assert text.validate_python("first\r\n\tsecond, é, 東京 🙂") == "first\r\n\tsecond, é, 東京 🙂"
    with pytest.raises(ValidationError):
        text.validate_python(f"a{control}b")


def test_what_a_person_writes_is_bounded() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(FreeText).validate_python("x" * (TEXT_CHARACTERS + 1))


SUBJECTS = st.builds(
    Subject, st.sampled_from(Aim), st.from_regex(NAME_PATTERN, fullmatch=True), st.integers(0, 2**63 - 1)
)


@given(SUBJECTS)
def test_a_subject_is_written_as_one_word_and_read_again(subject: Subject) -> None:
    wire = TypeAdapter(Subject)

    assert Subject.parse(str(subject)) == subject
    assert wire.dump_json(subject) == f'"{subject}"'.encode()
    assert wire.validate_json(wire.dump_json(subject)) == wire.validate_python(subject) == subject


@pytest.mark.parametrize(
    "text", ["", "licence/L-1", "licence//1", "licence/L-1/", "licence/L-1/x", "ticket/L-1/1", "licence/L-1/1/2", "L/1"]
)
def test_what_names_no_subject_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="is no subject of a measure, such as licence/L-1/2"):
        TypeAdapter(Subject).validate_python(text)
