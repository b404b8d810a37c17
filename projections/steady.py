"""The projector's footing while it is live: a connection that comes back, and what to do about a gap."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import structlog
from psycopg import AsyncConnection, OperationalError

from events.log import LogReader
from projections.damage import PositionGapError
from projections.folding import batches
from projections.projector import Batch, fold_batch
from projections.schema import current, use

log = structlog.get_logger()

OUTAGE_SECONDS = 60.0
"""How long PostgreSQL may be away before the process gives up and leaves the restart to its supervisor."""

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0

# A frozen process must not hold its partition for longer: it is frozen between two statements, for none has parts.
OPTIONS = "-c statement_timeout=12s -c idle_in_transaction_session_timeout=12s"

Answer = TypeVar("Answer")


class SteadyProjector:
    """Folds batches into the views in use, one at a time, whoever brings them; used by one event loop."""

    def __init__(self, bootstrap: str, dsn: str, outage_seconds: float = OUTAGE_SECONDS) -> None:
        self._reader = LogReader(bootstrap)
        self._dsn = dsn
        self._outage_seconds = outage_seconds
        self._connection: AsyncConnection[Any] | None = None
        self._busy = asyncio.Lock()

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

    async def positions(self) -> dict[int, int]:
        """The offset of the next record to fold, by partition; none for a partition that was never folded."""
        return await self._outlasting_outages(_positions)

    async def fold(self, batch: Batch) -> int:
        """Fold a batch, and before it what lies between the position and the batch; returns the position after it.

        Waits for a PostgreSQL that is away, bounded, then raises `psycopg.OperationalError`. Raises `LogDamagedError`.
        """
        try:
            return await self._fold(batch)
        except PositionGapError as gap:
            log.error("facts were left out by whoever brings them; they are read again", gap=str(gap))
            return await self._after_gap(batch, gap)

    async def _after_gap(self, batch: Batch, gap: PositionGapError) -> int:
        partition, end = batch.partition, gap.offered
        async with aclosing(batches(self._reader, {partition: gap.position.offset}, {partition: end})) as read:
            async for missed in read:
                await self._fold(missed)
        # All that there is before `end` is folded now, so nothing is left out when the batch is said to begin earlier.
        return await self._fold(Batch(partition, gap.position.offset, batch.records))

    async def _fold(self, batch: Batch) -> int:
        return await self._outlasting_outages(lambda connection: fold_batch(connection, batch))

    async def _outlasting_outages(self, deed: Callable[[AsyncConnection[Any]], Awaitable[Answer]]) -> Answer:
        deadline = time.monotonic() + self._outage_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self._busy:
                    return await deed(await self._connected())
            except OperationalError as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("the projector waits for PostgreSQL", error=str(error).strip())
                await self.close()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = await AsyncConnection.connect(
                self._dsn, autocommit=True, connect_timeout=5, options=OPTIONS
            )
        return self._connection


async def _positions(connection: AsyncConnection[Any]) -> dict[int, int]:
    async with connection.transaction():
        schema = await current(connection)
        assert schema is not None, "prepare_views comes first"
        await use(connection, schema)
        cursor = await connection.execute("select partition, next_offset from positions")
        return dict(await cursor.fetchall())
