"""Drives the projector live with nothing but a Kafka consumer: the same function, chosen by a setting."""

import asyncio
from collections.abc import Callable, Iterable

from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor

from events.codec import FactCodec
from events.kafka_clients import new_consumer
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

FETCH_MILLISECONDS = 500


async def run_plain(
    bootstrap: str,
    dsn: str,
    codec: FactCodec,
    ready: Callable[[], None],
    register: Register,
    *,
    group: str = GROUP,
    outage_seconds: float = OUTAGE_SECONDS,
    stall_seconds: float = STALL_SECONDS,
) -> None:
    """As `projections.drivers.faust.run_live`, and processes of either kind may share the partitions."""
    await prepare_views(dsn)
    projector = SteadyProjector(bootstrap, dsn, codec, register, outage_seconds)
    async with Ends(bootstrap) as ends:
        driver = PlainDriver(bootstrap, group, projector, ends)
        watch = Watch(ends, projector, lambda: driver.assigned, ready, stall_seconds)
        try:
            await until_failure(driver.run(), driver.failed(), watch.run(), projector.run())
        finally:
            await driver.stop()
            await projector.close()


class PlainDriver(ConsumerRebalanceListener):  # type: ignore[misc]
    """A consumer that seeks to the positions whenever it is assigned partitions; it commits nothing."""

    def __init__(self, bootstrap: str, group: str, projector: SteadyProjector, ends: Ends) -> None:
        self.assigned: set[int] | None = None
        self._projector = projector
        self._ends = ends
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._consumer = new_consumer(
            bootstrap,
            group_id=group,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            session_timeout_ms=int(SESSION_SECONDS * 1000),
            heartbeat_interval_ms=int(HEARTBEAT_SECONDS * 1000),
            rebalance_timeout_ms=int(REBALANCE_SECONDS * 1000),
            request_timeout_ms=int(REQUEST_SECONDS * 1000),
        )

    async def run(self) -> None:
        """Fold until cancelled."""
        self._consumer.subscribe([LOG], listener=self)
        await self._consumer.start()
        while True:
            fetched = await self._consumer.getmany(timeout_ms=FETCH_MILLISECONDS, max_records=BATCH_RECORDS)
            for records in fetched.values():
                for batch in batches_of(LogRecord(Position(r.partition, r.offset), r.key, r.value) for r in records):
                    await self._projector.fold(batch)

    async def failed(self) -> None:
        """Raises what failed on an assignment, where the consumer would swallow it."""
        await self._failure

    async def stop(self) -> None:
        """Leave the group."""
        await self._consumer.stop()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Called by the consumer."""
        self.assigned = None

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Called by the consumer before it fetches: seek to the positions."""
        try:
            partitions = {tp.partition for tp in assigned}
            positions = await self._projector.positions()
            ends = await self._ends.of(partitions)
            await self._projector.stop_where_shorter(positions, ends)
            for partition, end in ends.items():
                self._consumer.seek(TopicPartition(LOG, partition), min(positions.get(partition, 0), end))
            self.assigned = partitions
        except Exception as error:
            if not self._failure.done():
                self._failure.set_exception(error)
