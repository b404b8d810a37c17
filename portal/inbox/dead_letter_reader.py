"""A vendor's dead letters, read back: to be looked at, put through the inbox again, or dismissed."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from events.errors import Code, RefusalError
from events.kafka_clients import new_admin, new_consumer, new_producer
from events.ports.parking_place import Headers, InboxRecord, digest_of
from events.ports.register import DeadLetterState, Register, SettledDeadLetter
from events.terms import VendorId
from events.topics import dead_letters, inbox
from portal.inbox.batches import Unreadable, read_unstoppably
from portal.inbox.dead_letters import OURS

SEARCHED_LIMIT = 100_000
"""So many of the newest dead letters are looked through for a place."""
READ_SECONDS = 60
RETRY_HEADER = f"{OURS}retry-of"


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter as it stands in its topic; `at` is when it was written. Its bytes are in `key`, `value` and
    `headers`; where they did not fit or cannot be read there are `length` and `sha256` of the value instead. `digest`
    is that of the record (None in one of before there were any, or of what cannot be read). `retried_as` is where the
    record stands that was put into the inbox again."""

    place: str
    code: str
    sentence: str
    at: datetime
    key: bytes | None
    value: bytes | None
    headers: Headers
    length: int
    sha256: str | None
    digest: str | None
    state: DeadLetterState = DeadLetterState.OPEN
    retried_as: str | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it has the bytes of the record."""
        return self.sha256 is None

    @property
    def record(self) -> str:
        """Which record it is about, of those that stood at its place."""
        return self.digest or self.sha256 or digest_of(self.key, self.value, self.headers)

    def is_of(self, record: InboxRecord) -> bool:
        """Whether it is about this record, as far as it says."""
        value = record.value or b""
        same = (len(value), sha256(value).hexdigest()) == (self.length, self.sha256)
        return same and self.digest in (None, record.digest)

    @classmethod
    def of(cls, record: ConsumerRecord) -> "StoredDeadLetter":
        """A record of the topic, whoever wrote it."""
        headers: Headers = record.headers
        if record.headers and isinstance(unreadable := record.headers[0], Unreadable):
            headers = ((f"{OURS}code", unreadable.code.encode()), (f"{OURS}sentence", unreadable.why.encode()))
        contents = {name: content or b"" for name, content in headers}

        def ours(name: str, otherwise: str = "") -> str:
            return contents.get(f"{OURS}{name}", otherwise.encode()).decode(errors="replace")

        length = ours("length")
        return cls(
            place=ours("place", f"{record.topic}/{record.partition}/{record.offset}"),
            code=ours("code", "unknown"),
            sentence=ours("sentence"),
            at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
            key=record.key,
            value=record.value,
            headers=tuple(header for header in headers if not header[0].startswith(OURS)),
            length=int(length) if length.isdecimal() else len(record.value or b""),
            sha256=ours("sha256") or None,
            digest=ours("digest") or None,
        )


class DeadLetterReader:
    """The dead letters of one vendor. Raises `KafkaError` while the brokers are away."""

    def __init__(self, consumer: AIOKafkaConsumer, bootstrap: str, vendor: VendorId, register: Register) -> None:
        self._consumer = consumer
        self._bootstrap = bootstrap
        self._vendor = vendor
        self._register = register

    async def newest(self, limit: int, code: str | None = None, settled: bool = False) -> Sequence[StoredDeadLetter]:
        """The newest that are open, the latest first; of one code where it is named, with those that were retried or
        dismissed where `settled`."""
        noted = await self._register.settled(self._vendor)
        searched = limit if code is None and (settled or not noted) else SEARCHED_LIMIT
        found = [_with_state(one, noted) async for one in self._stored(searched) if code in (None, one.code)]
        shown = [one for one in found if settled or one.state is DeadLetterState.OPEN]
        return sorted(shown, key=lambda one: one.at, reverse=True)[:limit]

    async def find(self, place: str) -> Sequence[StoredDeadLetter]:
        """Those about what stood at a place, the latest last: one, or one for each record where the inbox was made anew
        and has had several there."""
        noted = await self._register.settled(self._vendor)
        found: dict[str, StoredDeadLetter] = {}
        async for one in self._stored(SEARCHED_LIMIT):
            if one.place == place:
                known = found.pop(one.record, one)
                found[one.record] = _with_state(known if known.is_whole and not one.is_whole else one, noted)
        if not found:
            raise RefusalError(
                Code.UNKNOWN_DEAD_LETTER,
                f"vendor {self._vendor} has no dead letter about {place};"
                " `lostfound inbox dead-letters list` names them",
                vendor=self._vendor,
                place=place,
            )
        return list(found.values())

    async def retry(self, place: str) -> Sequence[str]:
        """Put what stood at a place into the inbox again, and answer where it stands now. May be repeated. Where one of
        several records cannot be had any more the others are put in all the same, and the place stays set aside."""
        found = await self.find(place)
        topic, partition, offset = _place(place)
        if topic != inbox(self._vendor):
            raise RefusalError(
                Code.UNKNOWN_DEAD_LETTER,
                f"{place} is no place in the inbox of vendor {self._vendor}",
                place=place,
                vendor=self._vendor,
            )
        records: list[tuple[bytes | None, bytes | None, Headers]] = []
        refused: RefusalError | None = None
        for one in found:
            if one.is_whole:
                records.append((one.key, one.value, one.headers))
                continue
            try:
                original = await self._original(TopicPartition(topic, partition), offset, one)
                records.append((original.key, original.value, original.headers))
            except RefusalError as refusal:
                refused = refusal
        sent = [await self._send(topic, partition, place, *record) for record in records]
        if refused is not None:
            raise refused
        await self._settle(place, DeadLetterState.RETRIED, ", ".join(sent))
        return sent

    async def _send(
        self, topic: str, partition: int, place: str, key: bytes | None, value: bytes | None, headers: Headers
    ) -> str:
        kept = [(name, content) for name, content in headers if name != RETRY_HEADER]
        async with new_producer(self._bootstrap, max_request_size=2**22, request_timeout_ms=10_000) as producer:
            sent = await producer.send_and_wait(
                topic,
                key=b"" if key is None and value is None else key,
                value=value,
                headers=[*kept, (RETRY_HEADER, place.encode())],
                partition=partition,
            )
        return f"{topic}/{sent.partition}/{sent.offset}"

    async def dismiss(self, place: str) -> None:
        """Note that nothing more is done about a place. The dead letter stays."""
        await self.find(place)
        await self._settle(place, DeadLetterState.DISMISSED)

    async def _settle(self, place: str, state: DeadLetterState, retried_as: str | None = None) -> None:
        await self._register.settle(SettledDeadLetter(self._vendor, place, state, datetime.now(UTC), retried_as))

    async def _stored(self, limit: int) -> AsyncIterator[StoredDeadLetter]:
        """At most so many of the newest of each partition, in their order."""
        for partition in await self._partitions():
            begin = (await self._consumer.beginning_offsets([partition]))[partition]
            end = (await self._consumer.end_offsets([partition]))[partition]
            async for record in self._records(partition, max(begin, end - limit), end):
                yield StoredDeadLetter.of(record)

    async def _partitions(self) -> list[TopicPartition]:
        topic = dead_letters(self._vendor)
        admin = new_admin(self._bootstrap)
        await admin.start()
        try:
            (found,) = await admin.describe_topics([topic])
        finally:
            await admin.close()
        if found["error_code"]:
            raise RefusalError(
                Code.UNKNOWN_VENDOR,
                f"there are no dead letters of a vendor {self._vendor}; `lostfound vendor list` names the vendors",
                vendor=self._vendor,
            )
        return [TopicPartition(topic, one["partition"]) for one in found["partitions"]]

    async def _records(self, partition: TopicPartition, start: int, end: int) -> AsyncIterator[ConsumerRecord]:
        self._consumer.assign([partition])
        self._consumer.seek(partition, start)
        async with asyncio.timeout(READ_SECONDS):
            while await self._consumer.position(partition) < end:
                for records in (await self._consumer.getmany(partition, timeout_ms=500)).values():
                    for record in records:
                        if record.offset < end:
                            yield record

    async def _original(self, partition: TopicPartition, offset: int | None, one: StoredDeadLetter) -> InboxRecord:
        """The record of a dead letter as it still stands in the inbox."""
        place = one.place
        if offset is not None and await self._keeps(partition, offset):
            async for record in self._records(partition, offset, offset + 1):
                if record.offset == offset and not (record.headers and isinstance(record.headers[0], Unreadable)):
                    return _same(one, record)
            raise RefusalError(
                Code.UNREADABLE, f"{place} cannot be read; have its sender send it anew, and dismiss it", place=place
            )
        raise RefusalError(
            Code.UNKNOWN_DEAD_LETTER,
            f"neither the dead letter nor the inbox has the bytes of {place};"
            " have its sender send it anew, and dismiss it",
            place=place,
        )

    async def _keeps(self, partition: TopicPartition, offset: int) -> bool:
        first = (await self._consumer.beginning_offsets([partition]))[partition]
        end = (await self._consumer.end_offsets([partition]))[partition]
        return bool(first <= offset < end)


@asynccontextmanager
async def open_dead_letters(bootstrap: str, vendor: VendorId, register: Register) -> AsyncIterator[DeadLetterReader]:
    """The dead letters of a vendor."""
    read_unstoppably()
    async with new_consumer(bootstrap) as consumer:
        yield DeadLetterReader(consumer, bootstrap, vendor, register)


def _with_state(one: StoredDeadLetter, noted: Mapping[str, SettledDeadLetter]) -> StoredDeadLetter:
    settled = noted.get(one.place)
    if settled is None or settled.at < one.at:
        return one
    return replace(one, state=settled.state, retried_as=settled.retried_as)


def _same(one: StoredDeadLetter, found: ConsumerRecord) -> InboxRecord:
    """What stands at the place of a dead letter, if it is the record that this is about."""
    record = InboxRecord(
        found.topic, found.partition, found.offset, found.key, found.value, found.headers, datetime.now(UTC)
    )
    if not one.is_of(record):
        raise RefusalError(
            Code.ANOTHER_RECORD,
            f"another record stands at {one.place} than that of the dead letter, for the inbox was made anew or the"
            " record could not be read; have its sender send it anew, and dismiss it",
            place=one.place,
        )
    return record


def _place(place: str) -> tuple[str, int, int | None]:
    """Topic, partition and offset; no offset where the place is of several records."""
    topic, _, rest = place.partition("/")
    partition, _, offset = rest.partition("/")
    if not partition.isdecimal():
        raise RefusalError(
            Code.UNKNOWN_DEAD_LETTER, f"{place} is no place; it reads TOPIC/PARTITION/OFFSET", place=place
        )
    return topic, int(partition), int(offset) if offset.isdecimal() else None
