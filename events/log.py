"""Writing and reading `lostfound.log`."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.structs import RecordMetadata

from events.envelope import CONTENT_TYPE, Sealed
from events.errors import Code, RefusalError
from events.kafka_clients import new_consumer, new_producer
from events.log_records import LogRecord, Position, before
from events.sizes import SEALED_BYTES
from events.topics import LOG, LOG_BATCH_BYTES

HEADERS = [("content-type", CONTENT_TYPE)]
PARTITIONER = DefaultPartitioner()


class LogWriter:
    """Appends to the log: acknowledged by all replicas, idempotent within a producer's life, no transactions.

    A send is never cancelled and sent again: that is how copies and disorder come about. Whoever is cancelled while it
    waits leaves the record to the producer. A producer that failed is replaced before the next append.

    A key's partition follows from the number of `partitions`; without one, from those that the topic has now. It should
    be named by whoever writes for long: partitions that are added to the topic then stay empty, and no stream moves.
    """

    def __init__(self, bootstrap: str, partitions: int | None = None) -> None:
        self._bootstrap = bootstrap
        self._partitions = partitions
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

    async def partition(self, key: bytes) -> int:
        """Where records of this key stand. Raises `aiokafka.errors.KafkaError`."""
        count = self._partitions or len(await (await self._started()).partitions_for(LOG))
        return partition_of(key, count)

    async def append(self, *records: Sealed) -> Position:
        """Append records of one partition in this order, wait until all replicas have them, and answer with the last
        one's position. One call at a time for a key. Records that fit into `LOG_BATCH_BYTES` are appended all or none.

        Raises `RefusalError` for a record that the log never takes; nothing is appended then. Raises
        `aiokafka.errors.KafkaError`; records may be in the log all the same.
        """
        for record in records:
            if len(record.value) > SEALED_BYTES:
                key = record.key.decode(errors="replace")
                sentence = f"a fact of {len(record.value)} bytes under the key {key!r} is longer than the"
                raise RefusalError(
                    Code.TOO_LARGE,
                    f"{sentence} {SEALED_BYTES} bytes that the log takes",
                    size=len(record.value),
                    key=key,
                    most=SEALED_BYTES,
                )
        producer = await self._started()
        try:
            partition = await self.partition(records[0].key)
            if len(records) == 1:
                (record,) = records
                sent = await producer.send(LOG, record.value, record.key, partition, headers=HEADERS)
                return Position(partition, (await asyncio.shield(sent)).offset)
            return await self._append_batches(producer, partition, list(records))
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            await self._discard(producer)
            raise RefusalError(
                Code.TOO_LARGE,
                f"the broker refuses a fact as too large; see that {LOG} takes {LOG_BATCH_BYTES} bytes",
                topic=LOG,
                most=LOG_BATCH_BYTES,
            ) from error
        except KafkaError:
            await self._discard(producer)
            raise

    async def _append_batches(self, producer: AIOKafkaProducer, partition: int, records: list[Sealed]) -> Position:
        # Each batch is one of Kafka's, which a broker takes whole or not at all.
        while True:
            batch, taken = producer.create_batch(), 0
            for record in records:
                if batch.append(timestamp=None, key=record.key, value=record.value, headers=HEADERS) is None:
                    break
                taken += 1
            batch.close()
            sent = await producer.send_batch(batch, LOG, partition=partition)
            first: RecordMetadata = await asyncio.shield(sent)
            del records[:taken]
            if not records:
                return Position(partition, first.offset + taken - 1)

    async def _started(self) -> AIOKafkaProducer:
        async with self._replacing:
            if self._producer is None:
                producer = new_producer(
                    self._bootstrap,
                    enable_idempotence=True,
                    request_timeout_ms=40_000,
                    retry_backoff_ms=200,
                    max_batch_size=LOG_BATCH_BYTES,
                    max_request_size=LOG_BATCH_BYTES,
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


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, as Kafka's clients choose it."""
    chosen: int = PARTITIONER(key, list(range(partitions)), [])
    return chosen


async def _stop(producer: AIOKafkaProducer) -> None:
    with contextlib.suppress(KafkaError):
        await producer.stop()


class LogReader:
    """Reads the log from given positions to where it ended when reading began; keeps no group and commits nothing."""

    def __init__(self, bootstrap: str, batch_records: int = 10000) -> None:
        self._bootstrap = bootstrap
        self._batch_records = batch_records

    async def ends(self) -> dict[int, int]:
        """For each partition the offset that the next record will have."""
        async with self._consumer() as consumer:
            partitions = _assigned(consumer)
            return {tp.partition: end for tp, end in (await consumer.end_offsets(partitions)).items()}

    async def offsets_at(self, instant: datetime) -> dict[int, int]:
        """For each partition the offset of its first record that was sent then or later; its end, where none was."""
        async with self._consumer() as consumer:
            partitions = _assigned(consumer)
            milliseconds = int(instant.timestamp() * 1000)
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, milliseconds))
            ends = await consumer.end_offsets(partitions)
            return {tp.partition: found[tp].offset if found.get(tp) else end for tp, end in ends.items()}

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

    @contextlib.asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        """A consumer that is closed whatever happens; its own `async with` leaves one open whose start is cancelled."""
        consumer = new_consumer(self._bootstrap, LOG, fetch_max_bytes=16_777_216, max_partition_fetch_bytes=4_194_304)
        try:
            await consumer.start()
            yield consumer
        finally:
            await consumer.stop()


def _assigned(consumer: AIOKafkaConsumer) -> list[TopicPartition]:
    """All partitions: a consumer without a group has them from its start."""
    return sorted(consumer.assignment(), key=lambda tp: tp.partition)
