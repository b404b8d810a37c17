"""The projector's footing while it is live: a connection that comes back, and what to do about a gap or damage."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Set
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog
from aiokafka.errors import KafkaError
from psycopg import AsyncConnection, Error

from events.codec import FactCodec
from events.failures import is_unforeseen
from events.log import LogReader
from events.log_errors import Damage, LogDamagedError, LogStoppedError, NewerReleaseError, PositionGapError
from events.log_records import Position, RecordId, before
from events.ports.register import Register, SetAside
from events.postgres_sessions import open_session
from events.topics import LOG
from projections.look_ahead import LookAhead
from projections.parallel_fold import batches
from projections.projector import Batch, fold_batch
from projections.view_schemas import current, use

log = structlog.get_logger()

OUTAGE_SECONDS = 60.0
"""How long PostgreSQL may be away before the process gives up and leaves the restart to its supervisor."""

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 2.0
LOOK_SECONDS = 1.0
TRY_AGAIN_SECONDS = 60.0
ENTRIES = 10_000

# A frozen process must not hold its partition for longer: it is frozen between two statements, for none has parts.
OPTIONS = "-c statement_timeout=12s -c idle_in_transaction_session_timeout=12s"

Answer = TypeVar("Answer")


class SteadyProjector:
    """Folds batches into the views in use, one at a time, whoever brings them; used by one event loop.

    A partition that is damaged is stopped and stands in the register; the others go on. It goes on once the record is
    set aside, or, where the log has lost its end, once the views are rebuilt. One that goes on with a fact which only a
    later release knows is stopped likewise, until a projector of that release folds it.
    """

    def __init__(
        self, bootstrap: str, dsn: str, codec: FactCodec, register: Register, outage_seconds: float = OUTAGE_SECONDS
    ) -> None:
        self._reader = LogReader(bootstrap)
        self._dsn = dsn
        self._codec = codec
        self._register = register
        self._outage_seconds = outage_seconds
        self._ahead = LookAhead(self._reader, codec)
        self._stopped: dict[int, LogStoppedError] = {}
        self._entered: set[int] = set()
        self._tried: dict[int, float] = {}
        self._newer: NewerReleaseError | None = None
        self._leftover = True
        self._looked_ahead = False
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

        Waits for a PostgreSQL that is away, bounded, then raises what it raised. Of a partition that is
        stopped nothing is folded; it is read again when it goes on.
        """
        if (damage := self._stopped.get(batch.partition)) is not None:
            return damage.position.offset
        if batch.start == 0 and not self._looked_ahead:  # new views: what strays must not be folded first
            self._looked_ahead = True
            await self._look_ahead()
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
                if partition in self._stopped:
                    return gap.position.offset
        # All that there is before `end` is folded now, so nothing is left out when the batch is said to begin earlier.
        return await self._fold(Batch(partition, gap.position.offset, batch.records))

    async def run(self) -> None:
        """Look, until cancelled, whether partitions that are stopped may go on."""
        while True:
            if self._leftover:
                await self._outlasting_outages(self._forget_what_is_past)
            await asyncio.sleep(LOOK_SECONDS)
            for partition, damage in list(self._stopped.items()):
                try:
                    await self._look(partition, damage)
                except Exception as error:
                    if is_unforeseen(error):
                        raise
                    log.warning(
                        "a stopped partition cannot be looked at", partition=partition, error=str(error).strip()
                    )

    @property
    def stopped(self) -> Set[int]:
        """The partitions that are stopped."""
        return self._stopped.keys()

    async def stop(self, damage: LogStoppedError) -> None:
        """Stop a partition, and enter it in the register."""
        partition = damage.position.partition
        if partition in self._stopped:
            return
        log.critical(str(damage), code=damage.code)
        self._stopped[partition] = damage
        self._entered.discard(partition)
        with suppress(Error):  # then it is entered at the next look
            await self._enter(damage)

    async def stop_where_shorter(self, positions: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Stop those partitions that lost what was folded of them, now or before. `ends` are read after `positions`."""
        known = await self._outlasting_outages(lambda _: self._places(Damage.SHORTER))
        for partition, end in ends.items():
            if positions.get(partition, 0) > end or f"{LOG}/{partition}" in known:
                await self.stop(shorter(partition, end, positions.get(partition, 0)))

    async def _places(self, code: Damage | None = None) -> list[str]:
        entries = [one for one in await self._register.entries(ENTRIES) if one.place.startswith(f"{LOG}/")]
        return [one.place for one in entries if code is None or one.code == code]

    async def _enter(self, damage: LogStoppedError) -> None:
        now = datetime.now(UTC)
        await self._register.add(SetAside(damage.vendor, damage.place, damage.code, str(damage), now))
        self._entered.add(damage.position.partition)

    async def _look(self, partition: int, damage: LogStoppedError) -> None:
        if partition not in self._entered:
            await self._enter(damage)
        position = (await self.positions()).get(partition, 0)
        match damage.code:
            case Damage.SHORTER:
                goes_on = damage.place not in await self._places()
            case Damage.CANNOT_FOLD:
                goes_on = time.monotonic() - self._tried.setdefault(partition, time.monotonic()) > TRY_AGAIN_SECONDS
            case _:
                goes_on = position > damage.position.offset or await self._is_set_aside(damage.record_id)
        if not goes_on:
            return
        await self._register.remove(damage.place)
        del self._stopped[partition]
        self._tried.pop(partition, None)
        end = (await self._reader.ends()).get(partition, 0)
        if damage.code is Damage.SHORTER:
            await self.stop_where_shorter({partition: position}, {partition: end})
        async with aclosing(batches(self._reader, {partition: position}, {partition: end})) as read:
            async for batch in read:
                await self.fold(batch)
        if partition not in self._stopped:
            log.warning("a partition that was stopped goes on", partition=partition, position=position)

    async def _forget_what_is_past(self, connection: AsyncConnection[Any]) -> None:
        """Take out of the register what lies before the positions: another process, maybe of an earlier release,
        stopped there, and others have folded or passed it since."""
        positions = await _positions(connection)
        left, past = set(await self._places()) - {damage.place for damage in self._stopped.values()}, set()
        for place in left:
            partition, _, offset = place.removeprefix(f"{LOG}/").partition("/")
            if offset and int(offset) < positions.get(int(partition), 0):
                past.add(place)
        if past:
            await self._register.remove(*past)
        self._leftover = left != past

    async def _fold(self, batch: Batch) -> int:
        try:
            return await self._outlasting_outages(
                lambda connection: fold_batch(connection, self._codec, batch, aside=self._ahead.aside)
            )
        except LogStoppedError as damage:
            if await self._is_set_aside(damage.record_id):
                after = await self._fold(batch)
                with suppress(Error):
                    await self._register.remove(damage.place)
                return after
            if sound := before(damage.position.offset, batch.records):
                await self._fold(Batch(batch.partition, batch.start, sound))
            await self.stop(damage)
            return damage.position.offset
        except PositionGapError:
            raise
        except Exception as error:
            if not is_unforeseen(error):
                raise
            return await self._one_by_one(batch, error)

    async def _one_by_one(self, batch: Batch, error: Exception) -> int:
        """Stop at the record that fails for a reason that nobody foresaw."""
        if len(batch.records) == 1:
            position, digest = batch.records[0].id
            log.error("a record cannot be folded", position=position, exc_info=error)
            sentence = f"it cannot be folded ({type(error).__name__}: {error})"
            await self.stop(LogDamagedError(Damage.CANNOT_FOLD, position, "", sentence, digest))
            return position.offset
        after = batch.start
        for record in batch.records:
            after = await self._fold(Batch(batch.partition, after, [record]))
            if batch.partition in self._stopped:
                break
        return after

    async def _is_set_aside(self, record: RecordId) -> bool:
        if record not in self._ahead.aside:
            await self._look_ahead()
        return record in self._ahead.aside

    async def _look_ahead(self) -> None:
        try:
            await self._ahead.read_on()
        except KafkaError as error:
            log.warning("the log cannot be looked through for what is set aside", error=str(error))
        except NewerReleaseError as newer:
            if newer is not self._newer:
                log.critical(f"What is set aside cannot be told. {newer}", code=newer.code)
                self._newer = newer

    async def _outlasting_outages(self, operation: Callable[[AsyncConnection[Any]], Awaitable[Answer]]) -> Answer:
        deadline = time.monotonic() + self._outage_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self._busy:
                    return await operation(await self._connected())
            except Exception as error:
                if is_unforeseen(error) or time.monotonic() > deadline:
                    raise
                log.warning("the projector waits for PostgreSQL", error=str(error).strip())
                await self.close()
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _connected(self) -> AsyncConnection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = await open_session(self._dsn, OPTIONS)
        return self._connection


async def _positions(connection: AsyncConnection[Any]) -> dict[int, int]:
    async with connection.transaction():
        schema = await current(connection)
        assert schema is not None, "prepare_views comes first"
        await use(connection, schema)
        cursor = await connection.execute("select partition, next_offset from positions")
        return dict(await cursor.fetchall())


def shorter(partition: int, end: int, position: int) -> LogDamagedError:
    """The log ends before what was folded of it."""
    return LogDamagedError(
        Damage.SHORTER,
        Position(partition, end),
        "",
        f"it ended before offset {position}, up to which it was folded; is this another Kafka, or a restored one",
    )
