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
class Read:
    """A record and what it states, or why that is nothing."""

    record: ConsumerRecord
    stated: Statement | RefusalError

    @property
    def partition(self) -> TopicPartition:
        """Where it came from."""
        return TopicPartition(self.record.topic, self.record.partition)

    @property
    def ordered(self) -> tuple[object, ...]:
        """Records that share this are handled in their order. What states nothing needs none and holds up no other."""
        record = self.record
        if isinstance(self.stated, RefusalError):
            return (record.topic, record.partition, record.offset)
        return (record.topic, record.key)


@dataclass(frozen=True, slots=True)
class Held:
    """A record that came before the fact it needs."""

    read: Read
    deadline: float


class Inbox(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads all inboxes, those of vendors yet to come too. Several may run; they share the partitions."""

    def __init__(self, bootstrap: str, doors: Doors, hold_seconds: float) -> None:
        self._bootstrap = bootstrap
        self._doors = doors
        self._hold_seconds = hold_seconds
        self._progress: dict[TopicPartition, Progress] = {}
        self._held: list[Held] = []
        self._next_try = 0.0
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
        self._held = [held for held in self._held if held.read.partition not in gone]
        for partition in gone:
            self._progress.pop(partition, None)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing to prepare."""

    async def _handle(self, records: list[ConsumerRecord]) -> None:
        queues: dict[tuple[object, ...], list[Read]] = {}
        for record in records:
            read = _read(record)
            queues.setdefault(read.ordered, []).append(read)
            progress = self._progress.setdefault(read.partition, Progress(record.offset, record.offset))
            progress.pending.add(record.offset)
            progress.read = record.offset + 1
        await asyncio.gather(*(self._in_order(queue) for queue in queues.values()))

    async def _in_order(self, queue: list[Read]) -> None:
        async with self._at_once:
            for read in queue:
                deadline = time.monotonic() + self._hold_seconds
                if await self._one(read, deadline):
                    self._done(read)
                else:
                    self._held.append(Held(read, deadline))

    async def _try_held_again(self) -> None:
        now = time.monotonic()
        if not self._held or now < self._next_try:
            return
        self._next_try = now + RETRY_HELD_SECONDS
        held, self._held = self._held, []
        topics = Counter(one.read.record.topic for one in held)
        overdue = {topic: count - HELD_RECORDS_LIMIT for topic, count in topics.items()}
        for one in held:
            topic = one.read.record.topic
            overdue[topic] -= 1
            deadline = 0.0 if overdue[topic] >= 0 else one.deadline
            if await self._one(one.read, deadline):
                self._done(one.read)
            else:
                self._held.append(one)

    async def _one(self, read: Read, deadline: float) -> bool:
        """Handle a record for good, or say that it must be held. A service that is away is waited for."""
        wait = 0.1
        while True:
            try:
                return await self._attempt(read, deadline)
            except Exception as error:
                log.warning(
                    "the inbox waits for a service",
                    topic=read.record.topic,
                    partition=read.record.partition,
                    offset=read.record.offset,
                    error=f"{type(error).__name__}: {error}",
                )
                await asyncio.sleep(wait)
                wait = min(wait * 2, RETRY_SECONDS_LIMIT)

    async def _attempt(self, read: Read, deadline: float) -> bool:
        record, stated = read.record, read.stated
        if isinstance(stated, RefusalError):
            await self._dead_letter(record, stated)
            return True
        try:
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

    def _done(self, read: Read) -> None:
        progress = self._progress.get(read.partition)
        if progress is not None:
            progress.pending.discard(read.record.offset)

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


def _read(record: ConsumerRecord) -> Read:
    try:
        headers = {name: value or b"" for name, value in record.headers}
        return Read(record, read_statement(record.key, record.value, headers))
    except RefusalError as refusal:
        return Read(record, refusal)
