"""Folds batches of the log into the views: rows and the partition's position in one transaction.

Whoever drives it, the position in PostgreSQL decides what is folded: each record once, in the order of its partition.
Two drivers of one partition wait for each other at its position.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from psycopg import AsyncConnection

from events.codec import FactCodec
from events.log_errors import PositionGapError
from events.log_records import Aside, LogRecord, Position
from projections import store
from projections.folds import fold_all, read_all
from projections.view_schemas import current, use


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition, in its order: all that there are from offset `start` to the last of them."""

    partition: int
    start: int
    records: Sequence[LogRecord]


async def fold_batch(
    connection: AsyncConnection[Any],
    codec: FactCodec,
    batch: Batch,
    schema: str | None = None,
    aside: Aside = MappingProxyType({}),
) -> int:
    """Fold what of the batch is not folded yet, all or nothing; returns the partition's position after it.

    `schema`: fold into these views, for which nobody else waits, instead of those in use. `aside`: leave out what is
    set aside and cannot be folded. Raises `PositionGapError`
    when the batch begins beyond the position, `LogStoppedError` when the log is damaged or needs a later release, and
    `psycopg.OperationalError` when PostgreSQL is away; nothing is written then.
    """
    async with connection.transaction():
        used = schema or await current(connection, "for share")
        assert used is not None, "prepare_views comes first"
        await use(connection, used)
        position = await _position(connection, batch.partition)
        if batch.start > position:
            raise PositionGapError(Position(batch.partition, position), batch.start)
        records = batch.records
        if batch.start < position:
            records = [record for record in records if record.position.offset >= position]
        if not records:
            return position
        if facts := read_all(codec, records, aside):
            rows = await store.load(connection, [fact for _, fact in facts])
            fold_all(rows, facts, aside)
            await store.write(connection, rows, copying=schema is not None)
        after = records[-1].position.offset + 1
        await connection.execute("update positions set next_offset = %s where partition = %s", (after, batch.partition))
        return after


async def _position(connection: AsyncConnection[Any], partition: int) -> int:
    """The partition's position, locked until the transaction ends."""
    query = "select next_offset from positions where partition = %s for update"
    row = await (await connection.execute(query, (partition,))).fetchone()
    if row is None:
        await connection.execute("insert into positions values (%s, 0) on conflict do nothing", (partition,))
        row = await (await connection.execute(query, (partition,))).fetchone()
    assert row is not None
    return int(row[0])
