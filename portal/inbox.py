"""The vendors' inbox topics: every record is handled, set aside for a bounded time, or dead-lettered.

The offset of a partition is committed only up to its oldest record that is not done, so a crash repeats records and
loses none; whatever a record asks for may be asked again.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from events.errors import NotYetKnownError, RefusalError
from events.inbox import Statement
from events.topics import INBOXES, dead_letters, vendor_of
from portal.commands import Doors
from portal.statements import read_statement

log = structlog.get_logger()

GROUP = "lostfound-inbox"
BATCH_RECORDS = 500
AT_ONCE = 64
HELD_RECORDS_LIMIT = 2_000
"""Of one vendor; the oldest beyond it are not held any longer."""
RETRY_HELD_SECONDS = 0.5
RETRY_SECONDS_LIMIT = 5.0


@dataclass
class Progress:
    """How far a partition is done: `pending` are the offsets that were read and are not."""

    read: int
    committed: int
    pending: set[int] = field(default_factory=set)

    @property
    def done(self) -> int:
        """The first offset that a crash must repeat."""
        return min(self.pending, default=self.read)


@dataclass(frozen=True, slots=True)
class Held:
    """A record that came before the fact it needs."""

    record: ConsumerRecord
    deadline: float


class Inbox(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads all inboxes, those of vendors yet to come too. Several may run; they share the partitions."""

    def __init__(self, bootstrap: str, doors: Doors, hold_seconds: float) -> None:
        self._bootstrap = bootstrap
        self._doors = doors
        self._hold_seconds = hold_seconds
        self._progress: dict[TopicPartition, Progress] = {}
        self._held: list[Held] = []
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def run(self, ready: Callable[[], None]) -> None:
        """Handle records until cancelled. `ready` is called once the brokers have answered."""
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            group_id=GROUP,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            metadata_max_age_ms=2_000,
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_200,
            max_partition_fetch_bytes=2_097_152,
        )
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, acks="all", enable_idempotence=True, max_request_size=4_194_304
        )
        self._consumer.subscribe(pattern=INBOXES, listener=self)
        async with self._consumer, self._producer:
            ready()
            while True:
                fetched = await self._consumer.getmany(timeout_ms=200, max_records=BATCH_RECORDS)
                await self._handle([record for records in fetched.values() for record in records])
                await self._try_held_again()
                await self._commit()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Whoever gets a partition next begins at what was committed of it."""
        gone = set(revoked)
        self._held = [held for held in self._held if _partition(held.record) not in gone]
        for partition in gone:
            self._progress.pop(partition, None)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing to prepare."""

    async def _handle(self, records: list[ConsumerRecord]) -> None:
        queues: dict[tuple[object, ...], list[ConsumerRecord]] = {}
        for record in records:
            ordered = (
                (record.topic, record.key) if _readable(record) else (record.topic, record.partition, record.offset)
            )
            queues.setdefault(ordered, []).append(record)
            progress = self._progress.setdefault(_partition(record), Progress(record.offset, record.offset))
            progress.pending.add(record.offset)
            progress.read = record.offset + 1
        await asyncio.gather(*(self._in_order(queue) for queue in queues.values()))

    async def _in_order(self, records: list[ConsumerRecord]) -> None:
        async with self._at_once:
            for record in records:
                deadline = time.monotonic() + self._hold_seconds
                if await self._one(record, deadline):
                    self._done(record)
                else:
                    self._held.append(Held(record, deadline))

    async def _try_held_again(self) -> None:
        now = time.monotonic()
        if not self._held or now < getattr(self, "_next_try", 0.0):
            return
        self._next_try = now + RETRY_HELD_SECONDS
        held, self._held = self._held, []
        overdue = {topic: count - HELD_RECORDS_LIMIT for topic, count in Counter(h.record.topic for h in held).items()}
        for one in held:
            overdue[one.record.topic] -= 1
            deadline = 0.0 if overdue[one.record.topic] >= 0 else one.deadline
            if await self._one(one.record, deadline):
                self._done(one.record)
            else:
                self._held.append(one)

    async def _one(self, record: ConsumerRecord, deadline: float) -> bool:
        """Handle a record for good, or say that it must be held. A service that is away is waited for."""
        wait = 0.1
        while True:
            try:
                return await self._attempt(record, deadline)
            except Exception as error:
                log.warning(
                    "the inbox waits for a service",
                    topic=record.topic,
                    partition=record.partition,
                    offset=record.offset,
                    error=f"{type(error).__name__}: {error}",
                )
                await asyncio.sleep(wait)
                wait = min(wait * 2, RETRY_SECONDS_LIMIT)

    async def _attempt(self, record: ConsumerRecord, deadline: float) -> bool:
        try:
            stated = _read(record)
            await self._doors.take(vendor_of(record.topic), stated, record.topic, datetime.now(UTC))
        except NotYetKnownError as refusal:
            if time.monotonic() < deadline:
                return False
            await self._dead_letter(record, refusal)
        except RefusalError as refusal:
            await self._dead_letter(record, refusal)
        return True

    async def _dead_letter(self, record: ConsumerRecord, refusal: RefusalError) -> None:
        """The original bytes, headers and key, with the code and the sentence, and where it stood."""
        place = f"{record.topic}/{record.partition}/{record.offset}"
        told = {"lostfound-code": refusal.code, "lostfound-sentence": refusal.sentence, "lostfound-place": place}
        headers = [*record.headers, *((name, text.encode()) for name, text in told.items())]
        topic = dead_letters(vendor_of(record.topic))
        key = b"" if record.key is None and record.value is None else record.key  # the client refuses to send neither
        sent = await self._producer.send(topic, key=key, value=record.value, headers=headers)
        await asyncio.shield(sent)
        log.info("a record went to the dead letters", place=place, code=refusal.code, sentence=refusal.sentence)

    def _done(self, record: ConsumerRecord) -> None:
        progress = self._progress.get(_partition(record))
        if progress is not None:
            progress.pending.discard(record.offset)

    async def _commit(self) -> None:
        moved = {partition: p.done for partition, p in self._progress.items() if p.done > p.committed}
        if not moved:
            return
        try:
            await self._consumer.commit(moved)
        except (CommitFailedError, IllegalStateError) as error:
            log.warning("another inbox took over a partition", error=str(error))
        except KafkaError as error:
            log.warning("the inbox could not commit and will repeat records", error=str(error))
        else:
            for partition, done in moved.items():
                if partition in self._progress:
                    self._progress[partition].committed = done


def _read(record: ConsumerRecord) -> Statement:
    return read_statement(record.key, record.value, {name: value or b"" for name, value in record.headers})


def _readable(record: ConsumerRecord) -> bool:
    """Whether it states something; what does not needs no order and holds up no other."""
    try:
        _read(record)
    except RefusalError:
        return False
    return True


def _partition(record: ConsumerRecord) -> TopicPartition:
    return TopicPartition(record.topic, record.partition)
