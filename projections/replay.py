"""Reads the log plainly: to catch up, and to fold it all again beside the views in use."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import structlog
from psycopg import AsyncConnection

from events.log import LogReader, LogRecord
from projections.digests import TableDigest, digests
from projections.projector import Batch, fold_batch
from projections.schema import current, drop_unused, make_indexes, make_schema, prepare_views, use
from projections.tables import TABLES, VERSION

log = structlog.get_logger()

LOCK = 7_215_904
SWITCH_SECONDS = 60

Progress = Callable[[int, int], None]
"""Called with the number of records folded so far and of records to fold."""

Offsets = Mapping[int, int]


class RebuildRunningError(Exception):
    """Another rebuild of the same views is under way."""

    def __init__(self) -> None:
        super().__init__("Another rebuild is under way; wait for it, or end it, and start again.")


@dataclass(frozen=True, slots=True)
class TableReport:
    """What a rebuild found for one table; `live` is None where there were no views to compare with."""

    rebuilt: TableDigest
    live: TableDigest | None

    @property
    def equal(self) -> bool:
        """Whether the views in use held exactly what the log says."""
        return self.live is None or self.live == self.rebuilt


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """A finished rebuild: `schema` is in use now, `compared_at` are the positions at which the tables were compared."""

    schema: str
    records: int
    compared_at: dict[int, int]
    tables: dict[str, TableReport]

    @property
    def equal(self) -> bool:
        """Whether all tables were equal."""
        return all(table.equal for table in self.tables.values())


async def batches(reader: LogReader, starts: Offsets, ends: Offsets) -> AsyncIterator[Batch]:
    """All records from `starts` (default 0) up to, and without, `ends`, which must not lie beyond the log's own."""
    following = {partition: starts.get(partition, 0) for partition in ends}
    left = {partition for partition, end in ends.items() if following[partition] < end}
    if not left:
        return
    # A partition of which nothing is wanted is read from beyond its end: not at all.
    froms = {**dict.fromkeys(await reader.ends(), 2**62), **{partition: following[partition] for partition in left}}
    reading = cast(AsyncGenerator[Sequence[LogRecord], None], reader.batches(froms))
    async with aclosing(reading) as read:
        async for records in read:
            partition = records[0].position.partition
            if partition not in left:
                continue
            wanted = [record for record in records if record.position.offset < ends[partition]]
            if wanted:
                yield Batch(partition, following[partition], wanted)
                following[partition] = wanted[-1].position.offset + 1
            if records[-1].position.offset + 1 >= ends[partition]:
                left.discard(partition)
                if not left:
                    return


async def rebuild(bootstrap: str, dsn: str, progress: Progress = lambda done, of: None) -> RebuildReport:
    """Fold the log into fresh views, compare them with those in use, and switch to them in one transaction.

    The views in use serve, and a live projector goes on, all the while: both are compared at the positions of one
    snapshot of the live ones. Raises `LogDamagedError` or `RebuildRunningError`; the views in use are then as before.
    """
    await prepare_views(dsn)
    async with _alone(dsn) as connection:
        reader = LogReader(bootstrap)
        ends = await reader.ends()
        async with connection.transaction():
            await drop_unused(connection)
            live = await current(connection)
            assert live is not None
            schema = await make_schema(connection)
        start = await _positions(connection, live)
        folding = _Folding(connection, schema, reader, progress, sum(ends.values()))
        await folding.up_to({partition: min(start.get(partition, 0), end) for partition, end in ends.items()})
        compared_at, tables = await _compare(dsn, folding, live)
        await folding.up_to(ends)
        async with connection.transaction():
            await use(connection, schema)
            await make_indexes(connection)
        await folding.up_to(await _positions(connection, live))
        await _switch(dsn, folding, live)
        log.info("the views are rebuilt", schema=schema, records=folding.records)
        return RebuildReport(schema, folding.records, compared_at, tables)


class _Folding:
    """Folds the log into fresh views, step by step."""

    def __init__(
        self, connection: AsyncConnection[Any], schema: str, reader: LogReader, progress: Progress, total: int
    ) -> None:
        self.connection, self.schema, self.records = connection, schema, 0
        self._reader, self._progress, self._total = reader, progress, total
        self._done: dict[int, int] = {}

    async def up_to(self, ends: Offsets) -> None:
        """Fold on to these offsets; where the fold is further already, nothing is done."""
        async for batch in batches(self._reader, self._done, ends):
            self._done[batch.partition] = await fold_batch(self.connection, batch, self.schema)
            self.records += len(batch.records)
            self._progress(self.records, max(self._total, self.records))


async def _compare(dsn: str, folding: _Folding, live: str) -> tuple[dict[int, int], dict[str, TableReport]]:
    async with await AsyncConnection.connect(dsn) as snapshot:
        await snapshot.execute("set transaction isolation level repeatable read, read only")
        positions = await _positions(snapshot, live)
        await folding.up_to(positions)
        lives = await digests(snapshot, live)
    rebuilt = await digests(folding.connection, folding.schema)
    reports = {table.name: TableReport(rebuilt[table.name], lives[table.name]) for table in TABLES}
    for name, report in reports.items():
        if not report.equal:
            log.error("the views in use were not what the log says", table=name, live=report.live, log=report.rebuilt)
    return positions, reports


async def _switch(dsn: str, folding: _Folding, live: str) -> None:
    """Hold the live projectors off, fold what they were ahead, and let them go on in the fresh views."""
    async with await AsyncConnection.connect(dsn, options=f"-c lock_timeout={SWITCH_SECONDS}s") as switching:
        await current(switching, "for update")
        await folding.up_to(await _positions(switching, live))
        await switching.execute("update views.current set schema = %s where version = %s", (folding.schema, VERSION))


async def _positions(connection: AsyncConnection[Any], schema: str) -> dict[int, int]:
    async with connection.transaction():
        await use(connection, schema)
        cursor = await connection.execute("select partition, next_offset from positions")
        return dict(await cursor.fetchall())


@asynccontextmanager
async def _alone(dsn: str) -> AsyncIterator[AsyncConnection[Any]]:
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        cursor = await connection.execute("select pg_try_advisory_lock(%s)", (LOCK,))
        row = await cursor.fetchone()
        if row is None or not row[0]:
            raise RebuildRunningError
        # A crash leaves nothing that is used, so no commit but the switch need wait for the disk.
        await connection.execute("set synchronous_commit = off")
        yield connection
