"""A vendor's dead letters, read back: to be looked at, put through the inbox again, or dismissed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from events.errors import Code, RefusalError
from events.parking import Headers
from events.set_aside import Register
from events.terms import VendorId
from events.topics import dead_letters, inbox
from portal.batches import Unreadable, read_unstoppably
from portal.dead_letters import OURS

SEARCHED_LIMIT = 100_000
"""So many of the newest letters are looked through for a place."""
READ_SECONDS = 60
RETRY_HEADER = f"{OURS}retry-of"


@dataclass(frozen=True, slots=True)
class KeptLetter:
    """A dead letter as it stands in its topic; `at` is when it was written. Its bytes are in `key`, `value` and
    `headers`; where they did not fit or cannot be read there are `length` and `sha256` instead."""

    place: str
    code: str
    sentence: str
    at: datetime
    key: bytes | None
    value: bytes | None
    headers: Headers
    length: int
    sha256: str | None

    @property
    def is_whole(self) -> bool:
        """Whether it has the bytes of the record."""
        return self.sha256 is None

    @classmethod
    def of(cls, record: ConsumerRecord) -> "KeptLetter":
        """A record of the topic, whoever wrote it."""
        told = {name: content or b"" for name, content in record.headers if isinstance(name, str)}

        def ours(name: str, otherwise: str = "") -> str:
            return told.get(f"{OURS}{name}", otherwise.encode()).decode(errors="replace")

        length = ours("length")
        return cls(
            place=ours("place", f"{record.topic}/{record.partition}/{record.offset}"),
            code=ours("code", "unknown"),
            sentence=ours("sentence"),
            at=datetime.fromtimestamp(record.timestamp / 1000, UTC),
            key=record.key,
            value=record.value,
            headers=tuple(header for header in record.headers if not header[0].startswith(OURS)),
            length=int(length) if length.isdecimal() else len(record.value or b""),
            sha256=ours("sha256") or None,
        )


class LetterBox:
    """The dead letters of one vendor. Raises `KafkaError` while the brokers are away."""

    def __init__(self, consumer: AIOKafkaConsumer, bootstrap: str, vendor: VendorId, register: Register) -> None:
        self._consumer = consumer
        self._bootstrap = bootstrap
        self._vendor = vendor
        self._register = register

    async def newest(self, limit: int, code: str | None = None) -> Sequence[KeptLetter]:
        """The newest letters, the latest first; of one code where it is named."""
        searched = limit if code is None else SEARCHED_LIMIT
        found = [letter async for letter in self._letters(searched) if code in (None, letter.code)]
        return sorted(found, key=lambda letter: letter.at, reverse=True)[:limit]

    async def find(self, place: str) -> KeptLetter:
        """The letter about a record, the latest where there are several."""
        found = [letter async for letter in self._letters(SEARCHED_LIMIT) if letter.place == place]
        if not found:
            raise RefusalError(
                Code.UNKNOWN_LETTER,
                f"vendor {self._vendor} has no dead letter about {place};"
                " `lostfound inbox dead-letters list` names them",
            )
        return found[-1]

    async def retry(self, place: str) -> str:
        """Put the record of a letter into the inbox again, and answer where it stands now. May be repeated."""
        letter = await self.find(place)
        topic, partition, offset = _place(place)
        if topic != inbox(self._vendor):
            raise RefusalError(Code.UNKNOWN_LETTER, f"{place} is no place in the inbox of vendor {self._vendor}")
        if letter.is_whole:
            key, value, headers = letter.key, letter.value, letter.headers
        else:
            original = await self._original(TopicPartition(topic, partition), offset, place)
            key, value, headers = original.key, original.value, original.headers
        kept = [(name, content) for name, content in headers if name != RETRY_HEADER]
        async with AIOKafkaProducer(
            bootstrap_servers=self._bootstrap, acks="all", max_request_size=2**22, request_timeout_ms=10_000
        ) as producer:
            sent = await producer.send_and_wait(
                topic,
                key=b"" if key is None and value is None else key,
                value=value,
                headers=[*kept, (RETRY_HEADER, place.encode())],
                partition=partition,
            )
        await self._register.remove(place)
        return f"{topic}/{sent.partition}/{sent.offset}"

    async def dismiss(self, place: str) -> None:
        """Take a place out of the register: it is known, and nothing more is done. The letter stays."""
        await self.find(place)
        await self._register.remove(place)

    async def _letters(self, limit: int) -> AsyncIterator[KeptLetter]:
        """At most so many of the newest of each partition, in their order."""
        for partition in await self._partitions():
            begin = (await self._consumer.beginning_offsets([partition]))[partition]
            end = (await self._consumer.end_offsets([partition]))[partition]
            async for record in self._records(partition, max(begin, end - limit), end):
                yield KeptLetter.of(record)

    async def _partitions(self) -> list[TopicPartition]:
        topic = dead_letters(self._vendor)
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        await admin.start()
        try:
            (found,) = await admin.describe_topics([topic])
        finally:
            await admin.close()
        if found["error_code"]:
            raise RefusalError(
                Code.UNKNOWN_VENDOR,
                f"there are no dead letters of a vendor {self._vendor}; `lostfound vendor list` names the vendors",
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

    async def _original(self, partition: TopicPartition, offset: int | None, place: str) -> ConsumerRecord:
        """The record as it still stands in the inbox."""
        if offset is not None and await self._keeps(partition, offset):
            async for record in self._records(partition, offset, offset + 1):
                if record.offset == offset and not (record.headers and isinstance(record.headers[0], Unreadable)):
                    return record
            raise RefusalError(Code.UNREADABLE, f"{place} cannot be read; have its sender send it anew, and dismiss it")
        raise RefusalError(
            Code.UNKNOWN_LETTER,
            f"neither the dead letter nor the inbox has the bytes of {place};"
            " have its sender send it anew, and dismiss it",
        )

    async def _keeps(self, partition: TopicPartition, offset: int) -> bool:
        first = (await self._consumer.beginning_offsets([partition]))[partition]
        end = (await self._consumer.end_offsets([partition]))[partition]
        return bool(first <= offset < end)


@asynccontextmanager
async def open_letter_box(bootstrap: str, vendor: VendorId, register: Register) -> AsyncIterator[LetterBox]:
    """The dead letters of a vendor."""
    read_unstoppably()
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
        yield LetterBox(consumer, bootstrap, vendor, register)


def _place(place: str) -> tuple[str, int, int | None]:
    """Topic, partition and offset; no offset where the place is of several records."""
    topic, _, rest = place.partition("/")
    partition, _, offset = rest.partition("/")
    if not partition.isdecimal():
        raise RefusalError(Code.UNKNOWN_LETTER, f"{place} is no place; it reads TOPIC/PARTITION/OFFSET")
    return topic, int(partition), int(offset) if offset.isdecimal() else None
