"""Folds the log again beside the views in use, compares the two, and switches."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog
from psycopg import AsyncConnection
from psycopg.errors import UniqueViolation

from events.codec import FactCodec
from events.log import LogReader
from events.log_errors import Damage, LogDamagedError
from events.log_records import Aside
from events.postgres_sessions import open_session
from projections.digests import digests
from projections.look_ahead import LookAhead
from projections.parallel_fold import SHARE_RECORDS, Folding, connect
from projections.rebuild_report import RebuildReport, TableReport
from projections.tables import TABLES, VERSION, Table
from projections.view_schemas import current, drop_unused, make_indexes, make_schema, prepare_views, use

log = structlog.get_logger()

LOCK = 7_215_904
SWITCH_SECONDS = 60

Progress = Callable[[int, int], None]
"""Called with the number of records folded so far and of records to fold."""


class RebuildRunningError(Exception):
    """Another rebuild of the same views is under way."""

    def __init__(self) -> None:
        super().__init__("Another rebuild is under way; wait for it, or end it, and start again.")


async def rebuild(
    bootstrap: str,
    dsn: str,
    codec: FactCodec,
    progress: Progress = lambda done, of: None,
    *,
    share_records: int = SHARE_RECORDS,
) -> RebuildReport:
    """Fold the log into fresh views, compare them with those in use, and switch to them in one transaction.

    The views in use serve, and a live projector goes on, all the while: both are compared at the positions of one
    snapshot of the live ones. For every further `share_records` to fold a process is started, up to one a core.
    Raises `LogStoppedError` or `RebuildRunningError`; the views in use are then as before.
    """
    await prepare_views(dsn)
    async with _alone(dsn) as connection:
        try:
            return await _rebuild(bootstrap, dsn, codec, connection, progress, share_records, {})
        except (LogDamagedError, UniqueViolation) as error:
            # A stream began in two partitions: two processes made its rows, or the wrong one was read first.
            if isinstance(error, LogDamagedError) and error.code is not Damage.STREAM_MOVED:
                raise
            ahead = LookAhead(LogReader(bootstrap), codec)
            await ahead.read_on()
            if Damage.STREAM_MOVED not in ahead.aside.values():
                raise
        return await _rebuild(bootstrap, dsn, codec, connection, progress, share_records, ahead.aside)


async def _rebuild(
    bootstrap: str,
    dsn: str,
    codec: FactCodec,
    connection: AsyncConnection[Any],
    progress: Progress,
    share_records: int,
    aside: Aside,
) -> RebuildReport:
    ends = await LogReader(bootstrap).ends()
    total = sum(ends.values())
    async with connection.transaction():
        await drop_unused(connection)
        live = await current(connection)
        assert live is not None
        schema = await make_schema(connection)
    start = await _positions(connection, live)
    folding = Folding(
        bootstrap, dsn, codec, schema, lambda records: progress(records, max(total, records)), share_records, aside
    )
    await folding.up_to({partition: min(start.get(partition, 0), end) for partition, end in ends.items()})
    compared_at, tables = await _compare(dsn, connection, folding, live)
    await folding.up_to(ends)
    await asyncio.gather(*(_index(dsn, schema, tables) for tables in (TABLES[::2], TABLES[1::2])))
    await folding.up_to(await _positions(connection, live))
    await _switch(dsn, folding, live)
    log.info("the views are rebuilt", schema=schema, records=folding.records)
    return RebuildReport(schema, folding.records, compared_at, tables)


async def _compare(
    dsn: str, connection: AsyncConnection[Any], folding: Folding, live: str
) -> tuple[dict[int, int], dict[str, TableReport]]:
    async with await open_session(dsn, autocommit=False) as snapshot:
        await snapshot.execute("set transaction isolation level repeatable read, read only")
        positions = await _positions(snapshot, live)
        await folding.up_to(positions)
        lives, rebuilt = await asyncio.gather(digests(snapshot, live), digests(connection, folding.schema))
    reports = {table.name: TableReport(rebuilt[table.name], lives[table.name]) for table in TABLES}
    for name, report in reports.items():
        if not report.equal:
            log.error("the views in use were not what the log says", table=name, live=report.live, log=report.rebuilt)
    return positions, reports


async def _switch(dsn: str, folding: Folding, live: str) -> None:
    """Hold the live projectors off, fold what they were ahead, and let them go on in the fresh views."""
    options = f"-c lock_timeout={SWITCH_SECONDS}s -c idle_in_transaction_session_timeout={SWITCH_SECONDS}s"
    async with await open_session(dsn, options, autocommit=False) as switching:
        await current(switching, "for update")
        await folding.up_to(await _positions(switching, live))
        await switching.execute("update views.current set schema = %s where version = %s", (folding.schema, VERSION))


async def _index(dsn: str, schema: str, tables: Sequence[Table[Any]]) -> None:
    async with await connect(dsn) as connection, connection.transaction():
        await use(connection, schema)
        await make_indexes(connection, tables)


async def _positions(connection: AsyncConnection[Any], schema: str) -> dict[int, int]:
    async with connection.transaction():
        await use(connection, schema)
        cursor = await connection.execute("select partition, next_offset from positions")
        return dict(await cursor.fetchall())


@asynccontextmanager
async def _alone(dsn: str) -> AsyncIterator[AsyncConnection[Any]]:
    async with await connect(dsn) as connection:
        cursor = await connection.execute("select pg_try_advisory_lock(%s)", (LOCK,))
        row = await cursor.fetchone()
        if row is None or not row[0]:
            raise RebuildRunningError
        yield connection
