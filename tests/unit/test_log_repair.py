"""What may be set aside: a record that cannot be read or does not fit its stream, and never a sound one."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.backend_facts import ContainerRegistered, RecordSetAside
from events.envelope import INSTALLATION, Head, Sealed, record_key, seal, unseal
from events.log import LogRecord, Position
from events.terms import Kind, PersonId, VendorId
from projections.audit import Reading
from projections.damage import Damage, LogDamagedError
from projections.folds import fold_all, read_all
from projections.invariants import judge
from projections.log_repair import damage_of
from projections.look_ahead import SetAsideRecords
from projections.rows import Rows
from projections.tables import FOLDED
from tests.oracle import Tables, expected
from tests.unit.test_folds import logs, plain
from tests.worlds import NOW, World, as_log

ACME = VendorId("acme")


def rubbish(record: Sealed) -> Sealed:
    return replace(record, value=b"rubbish")


def without_value(record: Sealed) -> Sealed:
    return replace(record, value=None)  # type: ignore[arg-type]


def under_no_key(record: Sealed) -> Sealed:
    return replace(record, key=None)  # type: ignore[arg-type]


def of_a_time_that_no_calendar_has(record: Sealed) -> Sealed:
    return replace(record, value=record.value.replace(b'"time":"2026', b'"time":"0001'))


def numbered_in_words(record: Sealed) -> Sealed:
    return replace(record, value=record.value.replace(b'"sequence":', b'"sequence":"1","n":'))


def said_otherwise(record: Sealed) -> Sealed:
    return replace(record, value=record.value.replace(b'"specversion":"1.0"', b'"specversion": "1.0"'))


def far_ahead(record: Sealed) -> Sealed:
    fact = unseal(record.value)
    return seal(fact.vendor, fact.stream, record.key, Head(fact.sequence + 70, "ab" * 32), NOW, fact.fact)


FOREIGN = (
    *(rubbish, without_value, under_no_key, of_a_time_that_no_calendar_has, numbered_in_words, said_otherwise),
    far_ahead,
)


def folded(log: list[LogRecord], *aside: Position) -> Tables:
    rows = Rows()
    fold_all(rows, read_all(log, set(aside)), set(aside))
    rows.finish()
    return plain({table: rows.fresh[table].values() for table in FOLDED})


def in_one_partition(records: list[Sealed]) -> list[LogRecord]:
    return [LogRecord(Position(0, offset), record.key, record.value) for offset, record in enumerate(records)]


@pytest.mark.parametrize("foreign", FOREIGN)
@settings(max_examples=15)
@given(drawn=logs(), data=st.data())
def test_a_record_that_is_not_ours_stops_the_fold_and_set_aside_changes_nothing(
    foreign: Callable[[Sealed], Sealed], drawn: tuple[World, list[Sealed]], data: st.DataObject
) -> None:
    records = drawn[1]
    at = data.draw(st.integers(1, len(records)))
    log = in_one_partition([*records[:at], foreign(records[at - 1]), *records[at:]])

    damage = damage_of(log, frozenset())

    assert damage is not None
    assert damage.position == Position(0, at)
    assert damage_of(log, {damage.position}) is None
    assert folded(log, damage.position) == expected(in_one_partition(records))


@settings(max_examples=30)
@given(drawn=logs())
def test_a_sound_record_is_folded_though_somebody_said_that_it_is_set_aside(drawn: tuple[World, list[Sealed]]) -> None:
    log = in_one_partition(drawn[1])

    assert damage_of(log, frozenset()) is None
    assert folded(log, *(record.position for record in log)) == expected(log)


def test_a_fact_that_fits_its_stream_and_cannot_be_folded_is_left_out_and_the_next_follows_it() -> None:
    world = World()
    world.lose(ACME, 1)
    case = next(records for (_, stream), records in world.streams.items() if stream.startswith("case/"))
    first, second = unseal(case[0].value), unseal(case[5].value)
    twice = [case[0], seal(ACME, first.stream, case[0].key, case[0].head, NOW, second.fact)]
    head = twice[-1].head
    for record in case[1:]:
        fact = unseal(record.value)
        twice.append(seal(ACME, fact.stream, record.key, head, fact.recorded, fact.fact))
        head = twice[-1].head

    with pytest.raises(LogDamagedError) as caught:
        folded(in_one_partition(twice))

    assert (caught.value.code, caught.value.position) == (Damage.UNEXPECTED_FACT, Position(0, 1))
    assert damage_of(in_one_partition(twice), {Position(0, 1)}) is None


def aside(*positions: Position) -> list[Sealed]:
    """The installation's stream, with these positions set aside."""
    told, head = [], Head()
    for partition, offset in positions:
        fact = RecordSetAside(
            partition=partition, offset=offset, digest="ab", code="log_unreadable", why="a test", by=PersonId("ann")
        )
        told.append(seal(INSTALLATION, "installation", record_key(INSTALLATION, None), head, NOW, fact))
        head = told[-1].head
    return told


def test_what_is_set_aside_is_found_ahead_whatever_stands_between() -> None:
    first, second = aside(Position(0, 3), Position(5, 9))
    forged = seal(INSTALLATION, "installation", first.key, Head(7, "ab" * 32), NOW, unseal(first.value).fact)
    between = [rubbish(first), first, forged, without_value(first), first, under_no_key(first), second]
    ahead = SetAsideRecords()

    for record in in_one_partition(between):
        ahead.take([record])

    assert ahead.facts.keys() == {Position(0, 3), Position(5, 9)}


def test_a_vendor_sets_nothing_aside_and_the_installation_states_nothing_else() -> None:
    (record,) = aside(Position(0, 3))
    fact = unseal(record.value).fact
    by_a_vendor = seal(ACME, "vendor", record_key(ACME, None), Head(), NOW, fact)
    registered = ContainerRegistered(serial="3-1", kind=Kind.DONGLE, holder="h-1")
    of_nobody = seal(INSTALLATION, "container/3-1", b"/3-1", Head(), NOW, registered)

    for record in (by_a_vendor, of_nobody):
        damage = damage_of(in_one_partition([record]), frozenset())
        assert damage is not None
        assert damage.code is Damage.WRONG_KEY


def audited(log: list[LogRecord]) -> Reading:
    """As the audit reads: once for what was set aside, and again."""
    once = Reading()
    once.take(log)
    told = {Position(fact.partition, fact.offset): (place, fact) for place, fact in once.ledger.set_aside}
    read = Reading(told)
    read.take(log)
    read.finish()
    return read


@pytest.mark.parametrize("foreign", FOREIGN)
def test_the_audit_finds_nothing_in_what_was_set_aside_rightly(foreign: Callable[[Sealed], Sealed]) -> None:
    world = World()
    world.add_vendor(ACME)
    world.lose(ACME, 1)
    records = [record for stream in world.streams.values() for record in stream]
    log = in_one_partition([*records[:5], foreign(records[4]), *records[5:], *aside(Position(0, 5))])

    read = audited(log)

    assert [*read.found, *judge(read.ledger)] == []
    assert [fact.offset for _, fact in read.ledger.set_aside] == [5]


def test_the_audit_names_a_sound_fact_that_was_set_aside() -> None:
    world = World()
    world.add_vendor(ACME)
    world.lose(ACME, 1)
    records = [record for stream in world.streams.values() for record in stream]
    fact = unseal(records[6].value)

    read = audited(as_log([*records[:6], *records[6:], *aside(as_log(records, 3)[6].position)], 3))
    (breach,) = [*read.found, *judge(read.ledger)]

    assert (breach.invariant, breach.stream, breach.sequence) == (8, fact.stream, fact.sequence)
    assert "ann set it aside, although it can be read" in breach.sentence
