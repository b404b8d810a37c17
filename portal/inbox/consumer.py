"""The vendors' inbox topics: every record is taken, parked for a bounded time, or dead-lettered.

Each partition has a task of its own, so that one record's trouble delays no other partition and no other vendor. A
record that must wait is parked in PostgreSQL, and tried again by whichever inbox comes to it; nothing waits in a
partition but for PostgreSQL or Kafka themselves. The offset of a partition is committed once everything up to it is
taken, parked or dead-lettered: a crash repeats records and loses none, and whatever a record asks for may be asked
again.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from events.errors import Code, NotYetKnownError, RefusalError
from events.failures import Failure, failure_of, may_be_caused
from events.kafka_clients import new_consumer
from events.ports.parking_place import InboxRecord, Parked, Parking
from events.principal import Principal, PrincipalRole
from events.statements import Statement
from events.terms import PersonId, Serial, VendorId, is_name
from events.topics import INBOXES
from portal.application import Application
from portal.failures import short, steadily
from portal.inbox.batches import Unreadable, read_unstoppably
from portal.inbox.cloudevent_reader import read_statement
from portal.inbox.dead_letters import DeadLetter, DeadLetters
from portal.wording import INBOX

log = structlog.get_logger()

GROUP = "lostfound-inbox"
FETCH_RECORDS = 500
FETCH_SECONDS = 0.2
PARTITION_BYTES = 1_048_576
LANE_RECORDS_LIMIT = 2 * FETCH_RECORDS
"""Read of a partition and not done: beyond it no more are read of this one."""
AT_ONCE = 12
"""Records of one vendor in work at a time by one process; fewer than the backend has connections."""
UNREADABLE_PAUSE_SECONDS = 0.5
"""After what cannot be read its partition rests: inflating a bomb to the bound takes tens of milliseconds."""

PARKED_LIMIT = 2_000
"""Records of one vendor that wait; what would have to wait beyond it is dead-lettered."""
PARKED_AT_ONCE = 4
"""Parked records of one vendor in work at a time by one process."""
PARKED_FETCH = 128
PARKED_LOOK_SECONDS = 0.25
LEASE_SECONDS = 30.0
"""How long a process that is frozen keeps a parked record from the others."""

UNFORESEEN_TRIES = 3
UNFORESEEN_WAIT_SECONDS = 0.2
LOST_TRIES = 20
"""How often a record may lose its connection, or fail on a disk, while PostgreSQL answers others."""
LOST_WAIT_SECONDS_LIMIT = 5.0
LANE_RETRY_SECONDS = 1.0


@dataclass(slots=True)
class Lane:
    """A partition at work: what was read of it and waits, and how far it is done and committed."""

    partition: TopicPartition
    task: asyncio.Task[None] | None = None
    batches: asyncio.Queue[list[ConsumerRecord]] = field(default_factory=asyncio.Queue)
    unfinished: int = 0
    done: int = 0
    committed: int = 0
    rests_until: float = 0.0

    @property
    def has_room(self) -> bool:
        """Whether more may be read."""
        return self.unfinished < LANE_RECORDS_LIMIT and time.monotonic() >= self.rests_until


@dataclass(frozen=True, slots=True)
class Read:
    """A record and what it states, or why that is nothing."""

    record: InboxRecord
    statement: Statement | DeadLetter

    @property
    def serial(self) -> Serial | None:
        """The container that it is about, or the delegation; records of one are handled in their order."""
        return None if isinstance(self.statement, DeadLetter) else _container_of(self.record, self.statement)


class Inbox(ConsumerRebalanceListener):  # type: ignore[misc]
    """Reads all inboxes, those of vendors yet to come too. Several may run; they share the partitions and what is
    parked."""

    def __init__(
        self, bootstrap: str, application: Application, parking: Parking, dead_letters: DeadLetters, hold_seconds: float
    ) -> None:
        self._bootstrap = bootstrap
        self._application = application
        self._parking = parking
        self._dead_letters = dead_letters
        self._hold_seconds = hold_seconds
        self._lanes: dict[TopicPartition, Lane] = {}
        self._at_once: dict[VendorId, asyncio.Semaphore] = {}
        self._retrying: Counter[VendorId] = Counter()
        self._retried = asyncio.Event()

    async def run(self, ready: Callable[[], None]) -> None:
        """Handle records until cancelled. `ready` is called once the brokers have answered."""
        read_unstoppably()
        self._consumer = new_consumer(
            self._bootstrap,
            group_id=GROUP,
            isolation_level="read_committed",
            metadata_max_age_ms=2_000,
            session_timeout_ms=6_000,
            heartbeat_interval_ms=1_200,
            max_partition_fetch_bytes=PARTITION_BYTES,
        )
        self._consumer.subscribe(pattern=INBOXES, listener=self)
        async with self._consumer, self._dead_letters, asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self._retry_parked())
            ready()
            while True:
                await self._read()
                await self._commit()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Whoever gets a partition next begins at what was committed of it."""
        for partition in set(revoked):
            lane = self._lanes.pop(partition, None)
            if lane is not None and lane.task is not None:
                lane.task.cancel()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Nothing to prepare."""

    async def _read(self) -> None:
        """Read some records of the partitions that have room, and give them to the partitions' tasks."""
        lanes = self._lanes
        wanted = [one for one in self._consumer.assignment() if one not in lanes or lanes[one].has_room]
        if not wanted:
            await asyncio.sleep(FETCH_SECONDS)
            return
        try:
            fetched = await self._consumer.getmany(
                *wanted, timeout_ms=int(FETCH_SECONDS * 1000), max_records=FETCH_RECORDS
            )
        except (KafkaError, IllegalStateError) as error:
            log.warning("the inbox reads again", error=short(error))
            await asyncio.sleep(FETCH_SECONDS)
            return
        for partition, records in fetched.items():
            lane = self._lanes.get(partition)
            if lane is None:
                lane = self._lanes[partition] = Lane(partition)
                lane.task = self._tasks.create_task(self._work(lane))
            lane.unfinished += len(records)
            lane.batches.put_nowait(records)

    async def _commit(self) -> None:
        moved = {lane.partition: lane.done for lane in self._lanes.values() if lane.done > lane.committed}
        if not moved:
            return
        try:
            await self._consumer.commit(moved)
        except (KafkaError, IllegalStateError) as error:  # among them that another inbox took over
            log.warning("the inbox could not commit and may repeat records", error=short(error))
            return
        for partition, done in moved.items():
            if partition in self._lanes:
                self._lanes[partition].committed = done

    async def _work(self, lane: Lane) -> None:
        """A partition's task: handles its batches one after the other."""
        while True:
            records = await lane.batches.get()
            while True:
                try:
                    await self._batch(lane, records)
                    break
                except Exception as error:  # so that it is this partition's trouble and nobody else's
                    log.exception("the inbox repeats a batch", partition=lane.partition, error=short(error))
                    await asyncio.sleep(LANE_RETRY_SECONDS)
            lane.unfinished -= len(records)
            lane.done = records[-1].offset + 1

    async def _batch(self, lane: Lane, records: Sequence[ConsumerRecord]) -> None:
        received = datetime.now(UTC)
        several = [_read(record, received) for record in records]
        if any(isinstance(one.statement, DeadLetter) and one.statement.refusal.code in REST_AFTER for one in several):
            lane.rests_until = time.monotonic() + UNREADABLE_PAUSE_SECONDS
        queues: dict[object, list[Read]] = {}
        for one in several:
            queues.setdefault(one.serial or one.record.offset, []).append(one)
        vendor = several[0].record.vendor
        serials = {one.serial for one in several if one.serial is not None}
        waiting = dict(await steadily(lambda: self._parking.waiting(vendor, serials), several[0].record.place))
        at_once = self._at_once.setdefault(vendor, asyncio.Semaphore(AT_ONCE))
        ends = await asyncio.gather(
            *(self._in_order(queue, waiting, at_once) for queue in queues.values()), return_exceptions=True
        )
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def _in_order(self, queue: list[Read], waiting: dict[Serial, int], at_once: asyncio.Semaphore) -> None:
        for one in queue:
            async with at_once:
                if isinstance(one.statement, DeadLetter):
                    await self._dead_letters.write(one.statement)
                else:
                    await self._one(one.record, one.statement, waiting)

    async def _one(self, record: InboxRecord, statement: Statement, waiting: dict[Serial, int]) -> None:
        """Take a statement, or park it: because it must wait itself, or because something before it does."""
        serial = _container_of(record, statement)
        lowest = waiting.get(serial)
        if lowest is None or statement.rank < lowest:
            refusal = await self._attempt(record, statement)
            if refusal is None:
                if lowest is not None:
                    await steadily(lambda: self._parking.wake(record.vendor, serial), record.place)
                return
            if not isinstance(refusal, NotYetKnownError):
                await self._dead_letters.write(DeadLetter.of(record, refusal))
                return
        parked = await steadily(
            lambda: self._parking.park(serial, statement.rank, record, self._hold_seconds, PARKED_LIMIT), record.place
        )
        if parked:
            waiting[serial] = min(statement.rank, waiting.get(serial, statement.rank))
            return
        full = f"{PARKED_LIMIT} records of this vendor wait already; retry this one once they are gone"
        await self._dead_letters.write(
            DeadLetter.of(record, RefusalError(Code.TOO_MANY_WAITING, full, most=PARKED_LIMIT))
        )

    async def _attempt(self, record: InboxRecord, statement: Statement) -> RefusalError | None:
        """Why a statement cannot be taken, or None once it is. `NotYetKnownError`: it may be taken later."""
        unforeseen = waited = lost = 0
        while True:
            try:
                await self._application.take(_principal(record), statement, record.received)
                return None
            except RefusalError as refusal:
                return INBOX.worded(refusal)
            except Exception as error:
                failure, caught = failure_of(error), error
            brief = short(caught)
            log.warning("a record is tried again", place=record.place, error=brief)
            if failure is Failure.PASSING:
                return NotYetKnownError(
                    Code.BUSY, "others worked on the same container for as long as this record waited; retry it"
                )
            if failure is Failure.AWAY:
                waited += 1
                lost += may_be_caused(caught)
                await asyncio.sleep(min(UNFORESEEN_WAIT_SECONDS * waited, LOST_WAIT_SECONDS_LIMIT))
                await steadily(lambda: self._parking.waiting(record.vendor, [Serial("-")]), record.place)
            else:
                unforeseen += 1
                await asyncio.sleep(UNFORESEEN_WAIT_SECONDS * unforeseen)
            if unforeseen >= UNFORESEEN_TRIES or lost >= LOST_TRIES:
                log.error("a record cannot be handled", place=record.place, error=brief, exc_info=caught)
                sentence = f"this record met an error of lostfound itself ({brief}); retry it once that is mended"
                return RefusalError(Code.INTERNAL_ERROR, sentence, error=brief)

    async def _retry_parked(self) -> None:
        """Take up what waits and is due, whoever parked it."""
        while True:
            self._retried.clear()
            busy = [vendor for vendor, count in self._retrying.items() if count >= PARKED_AT_ONCE]
            try:
                found = await self._parking.due(busy, PARKED_AT_ONCE, PARKED_FETCH, LEASE_SECONDS)
            except Exception as error:  # what is parked waits; what is read goes on
                log.warning("the inbox cannot look at what is parked", error=short(error))
                found = []
            for parked in found:
                self._retrying[parked.record.vendor] += 1
                self._tasks.create_task(self._drain(parked))
            if not found:
                try:
                    async with asyncio.timeout(PARKED_LOOK_SECONDS):
                        await self._retried.wait()
                except TimeoutError:
                    pass

    async def _drain(self, first: Parked) -> None:
        """Try a parked record, and those behind it for as long as they are taken."""
        vendor, parked = first.record.vendor, first
        until = time.monotonic() + LEASE_SECONDS / 2
        try:
            while await self._again(parked) and time.monotonic() < until:
                following = await steadily(
                    lambda: self._parking.following(vendor, first.serial, LEASE_SECONDS), first.record.place
                )
                if following is None:
                    break
                parked = following
        except Exception as error:  # its lease ends by itself, and it is tried again
            log.exception("a parked record is left for later", place=parked.record.place, error=short(error))
        finally:
            self._retrying[vendor] -= 1
            self._retried.set()

    async def _again(self, parked: Parked) -> bool:
        """Whether a parked record is done with."""
        record = parked.record
        statement = _statement_of(record)
        if isinstance(statement, DeadLetter):
            await self._dead_letters.write(statement)
        else:
            refusal = await self._attempt(record, statement)
            if isinstance(refusal, NotYetKnownError) and not parked.overdue:
                await steadily(lambda: self._parking.postpone(parked.number), record.place)
                return False
            if refusal is not None:
                await self._dead_letters.write(DeadLetter.of(record, refusal))
        await steadily(lambda: self._parking.remove(parked.number), record.place)
        return True


def _container_of(record: InboxRecord, statement: Statement) -> Serial:
    """The container that a statement is about. One of a licence or a delegation names none: the record's key may."""
    named = getattr(statement, "serial", None)
    if named is None:
        key = (record.key or b"").decode(errors="replace")
        named = key if is_name(key) else statement.subject
    return Serial(named)


REST_AFTER = frozenset({Code.UNREADABLE, Code.INFLATES_TOO_FAR})


def _read(record: ConsumerRecord, received: datetime) -> Read:
    came = InboxRecord(
        record.topic, record.partition, record.offset, record.key, record.value, record.headers, received
    )
    if record.headers and isinstance(record.headers[0], Unreadable):
        return Read(came, DeadLetter.of_unreadable(came, record.headers[0]))
    return Read(came, _statement_of(came))


def _principal(record: InboxRecord) -> Principal:
    """Whoever may write to a vendor's inbox is a back-office system of it: the topic is the authenticated door."""
    return Principal(
        vendor=record.vendor, subject=PersonId(record.topic), roles=(PrincipalRole.BACK_OFFICE,), door=record.topic
    )


def _statement_of(record: InboxRecord) -> Statement | DeadLetter:
    try:
        return read_statement(record.key, record.value, {name: content or b"" for name, content in record.headers})
    except RefusalError as refusal:
        return DeadLetter.of(record, refusal)
    except Exception as error:  # whatever bytes make of a parser
        log.exception("a record cannot be parsed", place=record.place)
        return DeadLetter.of(
            record,
            RefusalError(Code.INTERNAL_ERROR, f"this record cannot be parsed ({short(error)})", error=short(error)),
        )
