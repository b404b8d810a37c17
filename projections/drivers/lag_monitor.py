"""Watches the lag of a live projector: says when it has caught up, and ends a process that no longer gets on."""

import asyncio
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from psycopg import OperationalError

from events.kafka_clients import new_consumer
from events.log_errors import StalledError
from events.topics import LOG
from projections.drivers.resilient_projector import SteadyProjector, shorter

log = structlog.get_logger()

STALL_SECONDS = 30.0
"""How long a partition with lag may stand still; longer than a lost request takes. Faust can stop fetching after a
rebalance; a new process fetches."""

CATCHING_UP_SECONDS = 0.1
WATCHING_SECONDS = 1.0

Assigned = Callable[[], set[int] | None]
"""The partitions that this process folds at present; None before it was told."""


class Ends:
    """The log's ends: the offset that the next record of each partition will have."""

    def __init__(self, bootstrap: str) -> None:
        self._consumer = new_consumer(bootstrap)

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._consumer.stop()

    async def of(self, partitions: set[int]) -> dict[int, int]:
        """The ends of these partitions. Raises `KafkaError`."""
        ends = await self._consumer.end_offsets([TopicPartition(LOG, partition) for partition in partitions])
        return {topic_partition.partition: end for topic_partition, end in ends.items()}


class Watch:
    """Looks at the lag of what is assigned here."""

    def __init__(
        self,
        ends: Ends,
        projector: SteadyProjector,
        assigned: Assigned,
        ready: Callable[[], None],
        stall_seconds: float = STALL_SECONDS,
    ) -> None:
        self._ends = ends
        self._projector = projector
        self._assigned = assigned
        self._ready = ready
        self._stall_seconds = stall_seconds
        self._unassigned_seconds = 2 * stall_seconds
        self._moved: dict[int, tuple[int, float]] = {}
        self._folded: dict[int, int] = {}
        self._reported = time.monotonic()

    async def run(self) -> None:
        """Watch until cancelled. Raises `StalledError`; has a partition stopped that lost what was folded of it."""
        await self._catch_up()
        self._ready()
        while True:
            await self._look(await self._assigned_ends())
            await asyncio.sleep(WATCHING_SECONDS)

    async def _catch_up(self) -> None:
        """Wait until what is assigned is folded up to where it ended when it was first seen."""
        goals: dict[int, int] = {}
        while True:
            ends = await self._assigned_ends()
            if ends is not None:
                goals = {partition: goals.get(partition, end) for partition, end in ends.items()}
                positions = await self._look(ends)
                if positions is not None and all(
                    positions.get(p, 0) >= goal for p, goal in goals.items() if p not in self._projector.stopped
                ):
                    return
            await asyncio.sleep(CATCHING_UP_SECONDS)

    async def _assigned_ends(self) -> dict[int, int] | None:
        assigned = self._assigned()
        try:
            ends = await self._ends.of({0} if assigned is None else assigned)
        except KafkaError as error:
            log.warning("the log's ends cannot be seen", error=str(error))
            self._reported = time.monotonic()
            return None
        if assigned is not None:
            self._reported = time.monotonic()
            return ends
        if time.monotonic() - self._reported > self._unassigned_seconds:
            raise StalledError(
                f"Kafka has assigned nothing for {self._unassigned_seconds:.0f} s, not even that there is nothing"
                " to do, so this process ends; its supervisor starts another"
            )
        return None

    async def _look(self, ends: Mapping[int, int] | None) -> dict[int, int] | None:
        if ends is None:
            self._moved.clear()  # without Kafka nobody gets on
            return None
        try:
            positions = await self._projector.positions()
        except OperationalError as error:
            log.warning("the positions cannot be seen", error=str(error).strip())
            self._moved.clear()
            return None
        now = time.monotonic()
        for partition, end in ends.items():
            # Folded when the end was read: a position that is merely seen late is not taken for a loss.
            if (folded := self._folded.get(partition, 0)) > end and positions.get(partition, 0) == folded:
                await self._projector.stop(shorter(partition, end, folded))
        self._folded = {partition: positions.get(partition, 0) for partition in ends}
        for partition, end in ends.items():
            if partition in self._projector.stopped:
                self._moved.pop(partition, None)
                continue
            self._judge(partition, positions.get(partition, 0), end, now)
        self._moved = {partition: moved for partition, moved in self._moved.items() if partition in ends}
        return positions

    def _judge(self, partition: int, position: int, end: int, now: float) -> None:
        seen, since = self._moved.get(partition, (-1, now))
        if seen != position or position >= end:
            self._moved[partition] = (position, now)
        elif now - since > self._stall_seconds:
            raise StalledError(
                f"partition {partition} stands at offset {position} of {end} for {now - since:.0f} s, so this process"
                " ends; its supervisor starts another"
            )
