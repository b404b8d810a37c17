"""What may be set aside: a record that cannot be read or does not fit its stream, and never a sound one."""

import pickle
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.audit import Reading, by_record
from audit.invariants import judge
from events.backend_facts import ContainerRegistered, RecordSetAside
from events.envelope import INSTALLATION, Head, Sealed, record_key
from events.errors import Code, RefusalError
from events.fact import RELEASE
from events.log_errors import Damage, LogDamagedError, NewerReleaseError
from events.log_records import Aside, LogRecord, Position
from events.terms import Kind, PersonId, VendorId
from projections.batch_rows import Rows
from projections.folds import fold_all, read_all
from projections.log_repair import damage_of, examine
from projections.look_ahead import SetAsideRecords
from projections.tables import FOLDED
from tests.later import LATER, CityFounded
from tests.unit.test_folds import logs, plain
from tests.view_oracle import Tables, expected
from tests.worlds import CODEC, NOW, World, as_log

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
    fact = CODEC.unseal(record.value)
    return CODEC.seal(fact.vendor, fact.stream, record.key, Head(fact.sequence + 70, "ab" * 32), NOW, fact.fact)


FOREIGN = (
    *(rubbish, without_value, under_no_key, of_a_time_that_no_calendar_has, numbered_in_words, said_otherwise),
    far_ahead,
)


def known(*records: LogRecord, code: str = Damage.UNREADABLE) -> Aside:
    """That these records are set aside, as those who fold know it."""
    return {record.id: code for record in records}


def folded(log: list[LogRecord], *aside: LogRecord) -> Tables:
    rows = Rows()
    fold_all(rows, read_all(CODEC, log, known(*aside)), known(*aside))
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

    damage = damage_of(CODEC, log, {})

    assert damage is not None
    assert damage.position == Position(0, at)
    assert damage_of(CODEC, log, known(log[at])) is None
    assert folded(log, log[at]) == expected(in_one_partition(records))


@settings(max_examples=30)
@given(drawn=logs())
def test_a_sound_record_is_folded_though_somebody_said_that_it_is_set_aside(drawn: tuple[World, list[Sealed]]) -> None:
    log = in_one_partition(drawn[1])

    assert damage_of(CODEC, log, {}) is None
    assert folded(log, *log) == expected(log)


def test_a_fact_that_fits_its_stream_and_cannot_be_folded_is_left_out_and_the_next_follows_it() -> None:
    world = World()
    world.lose(ACME, 1)
    case = next(records for (_, stream), records in world.streams.items() if stream.startswith("case/"))
    first, second = CODEC.unseal(case[0].value), CODEC.unseal(case[5].value)
    twice = [case[0], CODEC.seal(ACME, first.stream, case[0].key, case[0].head, NOW, second.fact)]
    head = twice[-1].head
    for record in case[1:]:
        fact = CODEC.unseal(record.value)
        twice.append(CODEC.seal(ACME, fact.stream, record.key, head, fact.recorded, fact.fact))
        head = twice[-1].head

    with pytest.raises(LogDamagedError) as caught:
        folded(in_one_partition(twice))

    assert (caught.value.code, caught.value.position) == (Damage.UNEXPECTED_FACT, Position(0, 1))
    assert damage_of(CODEC, in_one_partition(twice), known(in_one_partition(twice)[1])) is None


def at_place(partition: int, offset: int, value: bytes = b"rubbish") -> LogRecord:
    return LogRecord(Position(partition, offset), b"", value)


def aside(*records: LogRecord, code: str = Damage.UNREADABLE) -> list[Sealed]:
    """The installation's stream, with these records set aside."""
    sealed, head = [], Head()
    for record in records:
        (partition, offset), digest = record.id
        fact = RecordSetAside(
            partition=partition, offset=offset, digest=digest, code=code, why="a test", by=PersonId("ann")
        )
        sealed.append(CODEC.seal(INSTALLATION, "installation", record_key(INSTALLATION, None), head, NOW, fact))
        head = sealed[-1].head
    return sealed


def test_what_is_set_aside_is_found_ahead_whatever_stands_between() -> None:
    first, second = aside(at_place(0, 3), at_place(5, 9))
    forged = CODEC.seal(
        INSTALLATION, "installation", first.key, Head(7, "ab" * 32), NOW, CODEC.unseal(first.value).fact
    )
    between = [rubbish(first), first, forged, without_value(first), first, under_no_key(first), second]
    ahead = SetAsideRecords(CODEC)

    for record in in_one_partition(between):
        ahead.take([record])

    assert ahead.aside == known(at_place(0, 3), at_place(5, 9))


def test_a_vendor_sets_nothing_aside_and_the_installation_states_nothing_else() -> None:
    (record,) = aside(at_place(0, 3))
    fact = CODEC.unseal(record.value).fact
    by_a_vendor = CODEC.seal(ACME, "vendor", record_key(ACME, None), Head(), NOW, fact)
    registered = ContainerRegistered(serial="3-1", kind=Kind.DONGLE, holder="h-1")
    of_nobody = CODEC.seal(INSTALLATION, "container/3-1", b"/3-1", Head(), NOW, registered)

    for record in (by_a_vendor, of_nobody):
        damage = damage_of(CODEC, in_one_partition([record]), {})
        assert damage is not None
        assert damage.code is Damage.WRONG_KEY


def of_a_later_release(vendor: VendorId, head: Head) -> Sealed:
    """A fact that this release does not know, after the head of its stream."""
    if vendor == INSTALLATION:
        return LATER.seal(vendor, "installation", record_key(vendor, None), head, NOW, CityFounded())
    return LATER.seal(vendor, "vendor", record_key(vendor, None), head, NOW, CityFounded())


def test_a_fact_that_only_a_later_release_knows_stops_the_fold_and_is_no_damage() -> None:
    world = World()
    world.add_vendor(ACME)
    own = world.streams[ACME, "vendor"]
    log = in_one_partition([*own, of_a_later_release(ACME, own[-1].head), *own])

    stopped = damage_of(CODEC, log, {})

    assert isinstance(stopped, NewerReleaseError)
    assert (stopped.code, stopped.position, stopped.stream) == (Code.NEWER_RELEASE, Position(0, 2), "acme/vendor")
    assert (stopped.place, stopped.vendor) == ("lostfound.log/0/2", "acme")
    assert str(stopped) == (
        "The record at partition 0, offset 2, stream acme/vendor is of type lostfound.city.founded.v1, which release"
        f" {RELEASE} does not know. Nothing from there on is folded, and nothing is damaged: install release 0.4.0 or a"
        " later one."
    )
    assert str(pickle.loads(pickle.dumps(stopped))) == str(stopped)
    assert not isinstance(stopped, LogDamagedError)


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (Head(7, "ab" * 32), Damage.SEQUENCE_JUMPS),
        (Head(2, "ab" * 32), Damage.CHAIN_BROKEN),
        (Head(1, "ab" * 32), Damage.COPY_DIFFERS),
    ],
)
def test_a_record_that_only_looks_like_one_of_a_later_release_does_not_fit_and_is_damage(
    head: Head, code: Damage
) -> None:
    world = World()
    world.add_vendor(ACME)
    log = in_one_partition([*world.streams[ACME, "vendor"], of_a_later_release(ACME, head)])

    damage = damage_of(CODEC, log, {})

    assert damage is not None
    assert (damage.code, damage.position) == (code, Position(0, 2))
    assert damage_of(CODEC, log, known(log[damage.position.offset])) is None


def test_a_fact_of_a_later_release_under_anothers_key_is_damage() -> None:
    record = replace(of_a_later_release(ACME, Head()), key=b"zeta/")

    damage = damage_of(CODEC, in_one_partition([record]), {})

    assert damage is not None
    assert damage.code is Damage.WRONG_KEY


def test_what_is_set_aside_after_a_fact_of_a_later_release_cannot_be_told() -> None:
    (first,) = aside(at_place(0, 3))
    ahead = SetAsideRecords(CODEC)

    ahead.take(in_one_partition([first, of_a_later_release(INSTALLATION, Head(7, "ab" * 32))]))
    with pytest.raises(NewerReleaseError):
        ahead.take(in_one_partition([of_a_later_release(INSTALLATION, first.head)]))

    assert ahead.aside == known(at_place(0, 3))


def test_the_audit_stops_at_a_fact_of_a_later_release() -> None:
    with pytest.raises(NewerReleaseError, match=r"install release 0\.4\.0 or a later one"):
        audited(in_one_partition([of_a_later_release(ACME, Head())]))


def audited(log: list[LogRecord]) -> Reading:
    """As the audit reads: once for what was set aside, and again."""
    once = Reading(CODEC)
    once.take(log)
    read = Reading(CODEC, by_record(once.ledger.set_aside))
    read.take(log)
    read.finish()
    return read


@pytest.mark.parametrize("foreign", FOREIGN)
def test_the_audit_finds_nothing_in_what_was_set_aside_rightly(foreign: Callable[[Sealed], Sealed]) -> None:
    world = World()
    world.add_vendor(ACME)
    world.lose(ACME, 1)
    records = [record for stream in world.streams.values() for record in stream]
    own = [*records[:5], foreign(records[4]), *records[5:]]
    log = in_one_partition([*own, *aside(in_one_partition(own)[5])])

    read = audited(log)

    assert [*read.found, *judge(read.ledger)] == []
    assert [fact.offset for _, fact in read.ledger.set_aside] == [5]


def test_the_audit_names_a_sound_fact_that_was_set_aside() -> None:
    world = World()
    world.add_vendor(ACME)
    world.lose(ACME, 1)
    records = [record for stream in world.streams.values() for record in stream]
    fact = CODEC.unseal(records[6].value)

    read = audited(as_log([*records[:6], *records[6:], *aside(as_log(records, 3)[6])], 3))
    (breach,) = [*read.found, *judge(read.ledger)]

    assert (breach.invariant, breach.stream, breach.sequence) == (8, fact.stream, fact.sequence)
    assert "ann set it aside, although it can be read" in breach.sentence


def test_the_audit_reads_on_after_a_record_that_only_looked_like_a_later_releases_was_set_aside() -> None:
    world = World()
    world.add_vendor(ACME)
    forged = of_a_later_release(ACME, Head(7, "ab" * 32))
    own = [*world.streams[ACME, "vendor"], forged]
    log = in_one_partition([*own, *aside(in_one_partition(own)[2])])
    damage = damage_of(CODEC, log[:3], {})
    assert isinstance(damage, LogDamagedError)
    assert damage_of(CODEC, log, known(log[2])) is None

    read = audited(log)

    assert [*read.found, *judge(read.ledger)] == []
    assert len(read.ledger.set_aside) == 1


def another_at_the_place_of_one_set_aside() -> list[LogRecord]:
    """A log that was made anew: at the place of a record that an operator set aside stands another one."""
    world = World()
    world.add_vendor(ACME)
    own = world.streams[ACME, "vendor"]
    (told,) = aside(at_place(0, len(own), b"what the operator looked at"))
    return in_one_partition([*own, rubbish(own[0]), told])


def test_only_the_record_that_was_looked_at_is_passed_over() -> None:
    log = another_at_the_place_of_one_set_aside()
    ahead = SetAsideRecords(CODEC)
    ahead.take(log)

    damage = damage_of(CODEC, log, ahead.aside)

    assert isinstance(damage, LogDamagedError)
    assert (damage.code, damage.record_id) == (Damage.UNREADABLE, log[-2].id)
    assert damage_of(CODEC, log, {**ahead.aside, **known(log[-2])}) is None


def test_the_audit_judges_another_record_at_the_place_of_one_that_was_set_aside() -> None:
    log = another_at_the_place_of_one_set_aside()

    (breach,) = audited(log).found

    assert (breach.invariant, breach.sequence) == (8, log[-2].position.offset)
    assert "the record cannot be read" in breach.sentence


@pytest.mark.parametrize("foreign", FOREIGN)
def test_damage_names_the_very_record_by_its_digest(foreign: Callable[[Sealed], Sealed]) -> None:
    world = World()
    world.lose(ACME, 1)
    own = [record for stream in world.streams.values() for record in stream]
    log = in_one_partition([*own, foreign(own[4])])

    damage = damage_of(CODEC, log, {})

    assert damage is not None
    assert damage.record_id == log[-1].id
    assert pickle.loads(pickle.dumps(damage)).record_id == log[-1].id


class Log:
    """The log, as `LogReader` reads it."""

    def __init__(self, *partitions: list[LogRecord]) -> None:
        self.partitions = partitions

    async def ends(self) -> dict[int, int]:
        return {number: len(records) for number, records in enumerate(self.partitions)}

    async def batches(self, starts: Mapping[int, int] | None = None) -> AsyncIterator[Sequence[LogRecord]]:
        for number, records in enumerate(self.partitions):
            if found := records[(starts or {}).get(number, 0) :]:
                yield found


def strayed(count: int = 1) -> tuple[list[LogRecord], list[LogRecord]]:
    """A case in partition 0, and its first facts in partition 1 too, as a worker with other settings wrote them."""
    world = World()
    world.add_vendor(ACME)
    world.lose(ACME, 1)
    case = next(records for (_, stream), records in world.streams.items() if stream.startswith("case/"))
    there = [LogRecord(Position(1, offset), one.key, one.value) for offset, one in enumerate(case[:count])]
    return in_one_partition(case), there


async def examined(position: Position, *partitions: list[LogRecord]) -> LogDamagedError:
    reader: Any = Log(*partitions)
    _, damage = await examine(reader, CODEC, position)
    return damage


async def test_a_record_of_a_stream_that_moved_may_be_set_aside_as_its_damage_says() -> None:
    here, there = strayed()
    rows = Rows()
    fold_all(rows, read_all(CODEC, here, {}), {})
    with pytest.raises(LogDamagedError, match="lostfound log set-aside 1 0") as stopped:
        fold_all(rows, read_all(CODEC, there, {}), {})

    damage = await examined(Position(1, 0), here, there)

    assert stopped.value.code is damage.code is Damage.STREAM_MOVED
    assert damage.record_id == stopped.value.record_id == there[0].id


async def test_the_record_that_strayed_must_be_set_aside_and_not_the_one_in_the_right_place() -> None:
    here, there = strayed(count=3)

    for position in (Position(0, 0), Position(0, 2), Position(1, 1)):
        with pytest.raises(RefusalError, match="lostfound log set-aside 1 0") as refused:
            await examined(position, here, there)
        assert refused.value.code is Code.LOG_DAMAGED


async def test_a_stream_that_is_set_aside_elsewhere_is_sound_where_it_stands() -> None:
    here, there = strayed()
    told = in_one_partition([*aside(there[0], code=Damage.STREAM_MOVED)])
    there += [LogRecord(Position(1, 1), told[0].key, told[0].value)]

    for position in (Position(0, 0), Position(1, 0)):
        with pytest.raises(RefusalError) as refused:
            await examined(position, here, there)
        assert refused.value.code is Code.NOT_DAMAGED


@pytest.mark.parametrize("count", [1, 3])
def test_with_what_strayed_set_aside_every_order_of_the_partitions_gives_the_same_rows(count: int) -> None:
    here, there = strayed(count)
    known_aside = {there[0].id: Damage.STREAM_MOVED, **known(*there[1:], code=Damage.SEQUENCE_JUMPS)}
    for order in permutations((here, there)):
        rows = Rows()
        for partition in order:
            fold_all(rows, read_all(CODEC, partition, known_aside), known_aside)
        rows.finish()

        assert plain({table: rows.fresh[table].values() for table in FOLDED}) == expected(here)
