"""Drives the projector live with Faust.

Faust brings records; the positions in PostgreSQL decide. Before Faust seeks to the group's offsets, they are set to the
positions. Whatever Faust leaves out or brings twice, after a rebalance or a crash, the projector notices.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import faust
import structlog
from faust.types import TP

from events.codec import FactCodec
from events.log_records import LogRecord, Position
from events.ports.register import Register
from events.topics import LOG
from projections.drivers.common import (
    BATCH_RECORDS,
    GROUP,
    HEARTBEAT_SECONDS,
    REBALANCE_SECONDS,
    REQUEST_SECONDS,
    SESSION_SECONDS,
    batches_of,
    until_failure,
)
from projections.drivers.lag_monitor import STALL_SECONDS, Ends, Watch
from projections.drivers.resilient_projector import OUTAGE_SECONDS, SteadyProjector
from projections.view_schemas import prepare_views

log = structlog.get_logger()

GATHER_SECONDS = 0.05
STOP_SECONDS = 10.0
LOOK_SECONDS = 0.5


async def run_live(
    bootstrap: str,
    dsn: str,
    codec: FactCodec,
    ready: Callable[[], None],
    register: Register,
    data_dir: Path,
    *,
    group: str = GROUP,
    outage_seconds: float = OUTAGE_SECONDS,
    stall_seconds: float = STALL_SECONDS,
) -> None:
    """Fold the log into the views until cancelled; `ready` is called once, when what lay in the log at first is folded.

    Any number of processes may do so at once; they share the partitions. A partition that is damaged is stopped, and
    stands in the register. Raises, after a line in the log, `StalledError` or whatever failed for longer than
    `outage_seconds`; the process should then end.
    """
    await prepare_views(dsn)
    projector = SteadyProjector(bootstrap, dsn, codec, register, outage_seconds)
    async with Ends(bootstrap) as ends:
        driver = FaustDriver(bootstrap, group, data_dir, projector, ends)
        watch = Watch(ends, projector, lambda: driver.assigned, ready, stall_seconds)
        try:
            await until_failure(driver.run(), watch.run(), projector.run())
        finally:
            await driver.stop()
            await projector.close()


class FaustDriver:
    """The Faust application; `assigned` are the partitions that it reads, None while it does not know."""

    def __init__(self, bootstrap: str, group: str, data_dir: Path, projector: SteadyProjector, ends: Ends) -> None:
        self.assigned: set[int] | None = None
        self.app = _app(bootstrap, group, data_dir)
        self._projector = projector
        self._ends = ends
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        topic = self.app.topic(
            LOG, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", allow_empty=True
        )
        # One at a time: Faust acknowledges past gaps when there are more.
        self.app.agent(topic, name="fold", concurrency=1)(self._fold)
        self.app.on_partitions_revoked.connect(self._revoked)
        # Sent after the assignment and before Faust asks for the group's offsets, in this order; the handlers of
        # on_partitions_assigned run beside that question instead.
        self.app.on_rebalance_complete.connect(self._align)

    async def run(self) -> None:
        """Run Faust; returns never, raises what failed."""
        await self.app.start()
        while not self.app.crashed:
            await asyncio.wait([self._failure], timeout=LOOK_SECONDS)
            if self._failure.done():
                self._failure.result()
        raise RuntimeError(f"Faust crashed: {self.app.crash_reason!r}") from self.app.crash_reason

    async def stop(self) -> None:
        """Stop Faust, bounded: what it has not folded is folded by whoever comes next."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self.app.stop()

    async def _fold(self, stream: Any) -> None:
        async for events in stream.take_events(BATCH_RECORDS, within=GATHER_SECONDS):
            try:
                for batch in batches_of(_record(event.message) for event in events):
                    await self._projector.fold(batch)
            except Exception as error:  # one that left the agent would be acknowledged and forgotten
                self._fail(error)
                await asyncio.Event().wait()

    async def _revoked(self, *_: Any, **__: Any) -> None:
        self.assigned = None

    async def _align(self, *_: Any, **__: Any) -> None:
        """Set the group's offsets to the positions, for Faust to seek there."""
        try:
            partitions = {tp.partition for tp in self.app.consumer.assignment() if tp.topic == LOG}
            positions = await self._projector.positions()
            ends = await self._ends.of(partitions)
            await self._projector.stop_where_shorter(positions, ends)
            offsets = {TP(LOG, partition): min(positions.get(partition, 0), end) for partition, end in ends.items()}
            # Private, because Faust's commit() is for what it has acknowledged itself.
            await self.app.consumer._commit(offsets)
            # Nobody seeks to a committed offset of 0: neither Faust nor aiokafka tells it from none.
            await self.app.consumer.seek_wait({tp: offset for tp, offset in offsets.items() if offset == 0})
            self.assigned = partitions
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)


def _app(bootstrap: str, group: str, data_dir: Path) -> Any:
    folder = data_dir / "faust"
    folder.mkdir(parents=True, exist_ok=True)
    return faust.App(
        group,
        broker=[f"kafka://{server}" for server in bootstrap.split(",")],
        loop=asyncio.get_running_loop(),
        datadir=str(folder),
        store="memory://",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,  # else Faust's own assignor, which shares a group with no other consumer
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=SESSION_SECONDS,
        broker_heartbeat_interval=HEARTBEAT_SECONDS,
        broker_rebalance_timeout=REBALANCE_SECONDS,
        broker_request_timeout=REQUEST_SECONDS,
        stream_wait_empty=False,
    )


def _record(message: Any) -> LogRecord:
    return LogRecord(Position(message.partition, message.offset), message.key, message.value)
