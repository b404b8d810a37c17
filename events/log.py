"""Writing and reading `lostfound.log`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata

from events.envelope import CONTENT_TYPE, Sealed
from events.topics import LOG

HEADERS = [("content-type", CONTENT_TYPE)]


class Position(NamedTuple):
    """A place in the log."""

    partition: int
    offset: int


class LogRecord(NamedTuple):
    """A record as the broker gave it."""

    position: Position
    key: bytes
    value: bytes


class LogWriter:
    """Appends to the log: acknowledged by all replicas, idempotent within a producer's life, no transactions.

    A send is never cancelled and sent again: that is how copies and disorder come about. Whoever is cancelled while it
    waits leaves the record to the producer. A producer that failed is replaced before the next append.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._producer: AIOKafkaProducer | None = None
        self._replacing = asyncio.Lock()
        self._stopping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._started()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._producer is not None:
            await self._producer.stop()
        if self._stopping is not None:
            await self._stopping

    async def append(self, record: Sealed) -> Position:
        """Append one record and wait until all replicas have it. One call at a time for a key.

        Raises `aiokafka.errors.KafkaError`; the record may be in the log all the same.
        """
        producer = await self._started()
        try:
            sent = await producer.send(LOG, key=record.key, value=record.value, headers=HEADERS)
            metadata: RecordMetadata = await asyncio.shield(sent)
        except KafkaError:
            await self._discard(producer)
            raise
        return Position(metadata.partition, metadata.offset)

    async def _started(self) -> AIOKafkaProducer:
        async with self._replacing:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._bootstrap,
                    acks="all",
                    enable_idempotence=True,
                    request_timeout_ms=40_000,
                    retry_backoff_ms=200,
                    max_request_size=4_194_304,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def _discard(self, broken: AIOKafkaProducer) -> None:
        async with self._replacing:
            if self._producer is broken:
                self._producer = None
                self._stopping = asyncio.create_task(_stop(broken))


async def _stop(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(KafkaError):
        await producer.stop()


class LogReader:
    """Reads the log from given positions to where it ended when reading began; keeps no group and commits nothing."""

    def __init__(self, bootstrap: str, batch_records: int = 5000) -> None:
        self._bootstrap = bootstrap
        self._batch_records = batch_records

    async def ends(self) -> dict[int, int]:
        """For each partition the offset that the next record will have."""
        async with self._consumer() as consumer:
            partitions = _assigned(consumer)
            return {tp.partition: end for tp, end in (await consumer.end_offsets(partitions)).items()}

    async def batches(self, starts: Mapping[int, int] | None = None) -> AsyncIterator[Sequence[LogRecord]]:
        """Batches of one partition each, in its order; `starts` gives first offsets (default: the beginning)."""
        starts = starts or {}
        async with self._consumer() as consumer:
            partitions = _assigned(consumer)
            ends = await consumer.end_offsets(partitions)
            firsts = await consumer.beginning_offsets(partitions)
            left: set[TopicPartition] = set()
            for tp in partitions:
                start = max(starts.get(tp.partition, 0), firsts[tp])
                consumer.seek(tp, start)
                if start < ends[tp]:
                    left.add(tp)
                else:
                    consumer.pause(tp)
            while left:
                fetched = await consumer.getmany(timeout_ms=1000, max_records=self._batch_records)
                for tp, records in fetched.items():
                    wanted = before(
                        ends[tp], [LogRecord(Position(tp.partition, r.offset), r.key, r.value) for r in records]
                    )
                    if wanted:
                        yield wanted
                    if tp in left and await consumer.position(tp) >= ends[tp]:
                        left.discard(tp)
                        consumer.pause(tp)

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            LOG,
            bootstrap_servers=self._bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_bytes=16_777_216,
            max_partition_fetch_bytes=4_194_304,
        )


def before(end: int, records: Sequence[LogRecord]) -> Sequence[LogRecord]:
    """Those of a partition's records, in its order, that stand before the offset."""
    if records and records[-1].position.offset < end:
        return records
    return [record for record in records if record.position.offset < end]


def _assigned(consumer: AIOKafkaConsumer) -> list[TopicPartition]:
    """All partitions: a consumer without a group has them from its start."""
    return sorted(consumer.assignment(), key=lambda tp: tp.partition)
