"""Judges whether a record of the log may be set aside: only one that cannot be read, or does not fit its stream."""

from collections.abc import Iterable

from events.codec import FactCodec
from events.envelope import Recorded
from events.errors import Code, RefusalError
from events.log import LogReader
from events.log_errors import Damage, LogDamagedError, LogStoppedError, NewerReleaseError
from events.log_records import Aside, LogRecord, Position
from projections.batch_rows import Rows
from projections.chain import follow
from projections.folds import fold_all, read, read_all
from projections.look_ahead import LookAhead
from projections.parallel_fold import batches
from projections.tables import STREAMS

BY_ITSELF = {Damage.UNREADABLE, Damage.WRONG_KEY}


def damage_of(codec: FactCodec, records: Iterable[LogRecord], aside: Aside) -> LogStoppedError | None:
    """What the fold of these records stops at first, all there are of some streams from their beginning on; what is set
    aside is left out. A fact that only a later release knows is damage where it does not fit its stream. Pure."""
    rows = Rows()
    try:
        for record in records:
            fold_all(rows, read_all(codec, [record], aside), aside)
    except NewerReleaseError as newer:
        try:
            follow(rows.get(STREAMS, (newer.record.vendor, newer.record.stream)), newer.position, newer.record)
        except LogDamagedError as damage:
            return damage
        return newer
    except LogDamagedError as damage:
        return damage
    return None


async def examine(reader: LogReader, codec: FactCodec, position: Position) -> tuple[LogRecord, LogDamagedError]:
    """The record at a position, and what is wrong with it.

    Reads the partition up to there, unless the record is wrong by itself, and the others, where its stream may stand
    too. Raises `RefusalError` where there is no record, where it is sound or set aside already, where only a later
    release knows it, and where other damage must be seen to first; and `KafkaError`.
    """
    record = await _record_at(reader, position)
    try:
        damage = await _examine(reader, codec, record)
    except NewerReleaseError as newer:
        raise RefusalError(Code.NEWER_RELEASE, str(newer), **newer.parameters) from newer
    if damage.position != position:
        where = f"partition {position.partition}, offset {position.offset}"
        raise RefusalError(
            Code.LOG_DAMAGED,
            f"before {where} another record must be seen to. {damage}",
            partition=position.partition,
            offset=position.offset,
            misfit=str(damage),
        )
    return record, damage


async def _examine(reader: LogReader, codec: FactCodec, record: LogRecord) -> LogDamagedError:
    position = record.position
    where = f"partition {position.partition}, offset {position.offset}"
    ahead = LookAhead(reader, codec)
    if await ahead.has(record.id):
        recorded, fact = ahead.records.facts[record.id]
        raise RefusalError(
            Code.NOT_DAMAGED,
            f"{where} was set aside by {fact.by} on {recorded.recorded:%Y-%m-%d %H:%M} UTC already",
            partition=position.partition,
            offset=position.offset,
            by=fact.by,
            recorded=recorded.recorded.isoformat(),
        )
    damage = damage_of(codec, [record], {})
    if damage is None or damage.code not in BY_ITSELF:
        damage = damage_of(codec, await _related(reader, codec, record), ahead.aside)
        damage = damage or await _strayed(reader, codec, record, ahead.aside)
    if isinstance(damage, LogDamagedError):
        return damage
    if damage is not None:
        raise damage
    sentence = f"the record at {where} is sound: it can be read and fits its stream, and was not set aside"
    raise RefusalError(Code.NOT_DAMAGED, sentence, partition=position.partition, offset=position.offset)


async def _record_at(reader: LogReader, position: Position) -> LogRecord:
    partition, offset = position
    ends = await reader.ends()
    if offset < ends.get(partition, 0):
        async for batch in batches(reader, {partition: offset}, {partition: offset + 1}):
            for record in batch.records:
                if record.position == position:
                    return record
    known = ", ".join(f"{number} up to {end - 1}" for number, end in sorted(ends.items()) if end) or "none"
    sentence = f"no record stands at partition {partition}, offset {offset}; the offsets by partition: {known}"
    raise RefusalError(Code.UNKNOWN_POSITION, sentence, partition=partition, offset=offset, known=known)


async def _related(reader: LogReader, codec: FactCodec, record: LogRecord) -> list[LogRecord]:
    """The records up to this one that may be of its stream."""
    subject = b'"subject":"%s"' % _stream(codec, record).encode()
    partition, offset = record.position
    found: list[LogRecord] = []
    async for batch in batches(reader, {}, {partition: offset + 1}):
        found += [one for one in batch.records if one.key == record.key or subject in (one.value or b"")]
    return found


async def _strayed(reader: LogReader, codec: FactCodec, record: LogRecord, aside: Aside) -> LogDamagedError | None:
    """Where the stream of this record began in several partitions: the first record in the wrong one. The right one is
    where most of its facts stand; where that is not told, the record strays, and not the other."""
    fact, own = read(codec, record), record.position.partition
    found: dict[int, dict[int, LogRecord]] = {}
    async for batch in reader.batches():
        for one in batch:
            if one.key == record.key and (same := _in_stream(codec, one, fact, aside)):
                found.setdefault(one.position.partition, {}).setdefault(same.sequence, one)
    begun = {partition: facts for partition, facts in found.items() if 1 in facts}
    if len(begun) < 2 or own not in begun:
        return None
    right = max(begun, key=lambda partition: (len(begun[partition]), partition != own))
    wrong = own if own != right else min(partition for partition in begun if partition != right)
    (position, digest), where = begun[wrong][1].id, f"{fact.vendor}/{fact.stream}"
    return LogDamagedError(
        Damage.STREAM_MOVED, position, where, f"the stream stands in partition {right}, where it began too", digest
    )


def _in_stream(codec: FactCodec, record: LogRecord, like: Recorded, aside: Aside) -> Recorded | None:
    """The fact in a record, where it is of the same stream and not set aside."""
    try:
        fact = read(codec, record)
    except LogStoppedError:
        return None
    same = (fact.vendor, fact.stream) == (like.vendor, like.stream)
    return fact if same and record.id not in aside else None


def _stream(codec: FactCodec, record: LogRecord) -> str:
    try:
        return read(codec, record).stream
    except NewerReleaseError as newer:
        return newer.record.stream
