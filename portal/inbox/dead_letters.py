"""The dead letters: what cannot be handled, as it came, with the reason and the place where it stood.

A vendor's dead letters stop nobody else. One that does not fit its topic is written without the bytes, with their
length and hash; a topic that is missing is made again; where nothing helps, the place goes into the register.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from types import TracebackType

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from events.errors import Code, RefusalError
from events.kafka_clients import new_producer
from events.ports.parking_place import Headers, InboxRecord
from events.ports.register import Register, SetAside
from events.terms import VendorId
from events.topics import dead_letters
from portal.failures import short, steadily
from portal.inbox.batches import Unreadable

log = structlog.get_logger()

DEAD_LETTER_BYTES_LIMIT = 1_000_000
"""Of key, value and headers together: below the 1,048,588 bytes that Kafka's topics take if nobody says otherwise."""
KEY_BYTES_LIMIT = 1_024
"""Of a key that is kept where the rest is not."""
HEADER_BYTES = 16
"""What a header may take beside its name and content."""
SEND_SECONDS = 10
SEND_TRIES = 5
RETRY_SECONDS = 1.0
REGISTERED_LIMIT = 100
"""Entries of one vendor in the register, beyond which none is added: whoever sends nothing but poison does not fill it.
"""
OURS = "lostfound-"
COMMANDS = "`lostfound inbox dead-letters show|retry|dismiss"
SET_ASIDE = frozenset({Code.INTERNAL_ERROR, Code.UNREADABLE, Code.INFLATES_TOO_FAR})
"""Such a dead letter is in the register until it is retried or dismissed; the others are the sender's to mend."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as it is sent; `place` says where the record stands, `first-last` where it is several."""

    vendor: VendorId
    place: str
    refusal: RefusalError
    key: bytes | None
    value: bytes | None
    headers: Headers
    details: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, record: InboxRecord, refusal: RefusalError) -> "DeadLetter":
        """The record with its bytes, where they fit."""
        details = {"digest": record.digest}
        whole = cls(record.vendor, record.place, refusal, record.key, record.value, record.headers, details)
        return whole if whole.size <= DEAD_LETTER_BYTES_LIMIT else whole.brief()

    @classmethod
    def of_unreadable(cls, record: InboxRecord, what: Unreadable) -> "DeadLetter":
        """The place of what cannot be read."""
        span = f"{what.first}-{what.last}" if what.first < what.last else f"{what.last}"
        details = {"length": str(what.length), "sha256": what.sha256}
        place = f"{record.topic}/{record.partition}/{span}"
        return cls(record.vendor, place, RefusalError(what.code, what.why, misfit=what.why), b"", None, (), details)

    @property
    def size(self) -> int:
        """About so many bytes, and no fewer."""
        named = sum(len(name.encode()) + len(content or b"") + HEADER_BYTES for name, content in self.all_headers)
        return len(self.key or b"") + len(self.value or b"") + named

    @property
    def all_headers(self) -> list[tuple[str, bytes | None]]:
        """Those that it came with, and then ours; nobody else's have our name."""
        headers = [(name, content) for name, content in self.headers if not name.startswith(OURS)]
        details = {"code": self.refusal.code, "sentence": self.refusal.sentence, "place": self.place, **self.details}
        return [*headers, *((f"{OURS}{name}", text.encode()) for name, text in details.items())]

    def brief(self) -> "DeadLetter":
        """Without its bytes, but with their length and hash."""
        value = self.value or b""
        details = self.details | {"length": str(len(value)), "sha256": sha256(value).hexdigest()}
        key = self.key if len(self.key or b"") <= KEY_BYTES_LIMIT else None
        return DeadLetter(self.vendor, self.place, self.refusal, key, None, (), details)


class DeadLetters:
    """Writes dead letters. Each may come twice: after a crash, or when the broker answered too late."""

    def __init__(self, bootstrap: str, make_topics: Callable[[VendorId], Awaitable[None]], register: Register) -> None:
        self._bootstrap = bootstrap
        self._make_topics = make_topics
        self._register = register

    async def __aenter__(self) -> "DeadLetters":
        # Without idempotence, because that would wait without end for a topic that is gone.
        self._producer = new_producer(
            self._bootstrap, request_timeout_ms=SEND_SECONDS * 1000, max_request_size=DEAD_LETTER_BYTES_LIMIT * 2
        )
        await self._producer.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType) -> None:
        await self._producer.stop()

    async def write(self, dead_letter: DeadLetter) -> None:
        """Write a dead letter; once this returns the record is done with. Waits, without end, only while Kafka or
        PostgreSQL are away themselves."""
        refusal = dead_letter.refusal
        sent = await self._sent(dead_letter)
        if sent:
            log.info("dead letter", place=dead_letter.place, code=refusal.code, sentence=refusal.sentence)
        else:
            log.error("a dead letter cannot be written", place=dead_letter.place, code=refusal.code)
        if not sent or refusal.code in SET_ASIDE:
            await self._set_aside(dead_letter, sent)

    async def _sent(self, dead_letter: DeadLetter) -> bool:
        """Whether it could be written, in full or at least its place."""
        tries, brief = 0, dead_letter.value is None
        while tries < SEND_TRIES:
            try:
                await self._send(dead_letter)
                return True
            except KafkaError as error:
                log.warning("a dead letter is not written yet", place=dead_letter.place, error=short(error))
                if isinstance(error, MessageSizeTooLargeError) and not brief:
                    dead_letter, brief = dead_letter.brief(), True
                    continue
                if await self._answers():
                    tries += 1
                    await self._make_again(dead_letter.vendor)
                await asyncio.sleep(RETRY_SECONDS)
            except Exception as error:  # what the client makes of headers that it cannot write
                log.warning("a dead letter is written without its bytes", place=dead_letter.place, error=short(error))
                if brief:
                    return False
                dead_letter, brief = dead_letter.brief(), True
        return False

    async def _send(self, dead_letter: DeadLetter) -> None:
        empty = dead_letter.key is None and dead_letter.value is None  # the client refuses to send neither
        key = b"" if empty else dead_letter.key
        topic = dead_letters(dead_letter.vendor)
        future = await self._producer.send(topic, key=key, value=dead_letter.value, headers=dead_letter.all_headers)
        await asyncio.shield(future)

    async def _answers(self) -> bool:
        """Whether any broker does."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                return bool(await self._producer.client.force_metadata_update())
        except (KafkaError, TimeoutError):
            return False

    async def _make_again(self, vendor: VendorId) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._make_topics(vendor)
        except Exception as error:  # its topics are its own trouble, whatever it is
            log.warning("a vendor's topics cannot be made again", vendor=vendor, error=short(error))

    async def _set_aside(self, dead_letter: DeadLetter, sent: bool) -> None:
        where = (
            f"{COMMANDS} {dead_letter.place} --vendor {dead_letter.vendor}`"
            if sent
            else "its dead letter cannot be written"
        )
        entry = SetAside(
            dead_letter.vendor,
            dead_letter.place,
            dead_letter.refusal.code,
            f"{dead_letter.refusal.sentence} ({where})",
            datetime.now(UTC),
        )
        await steadily(lambda: self._register.add(entry, REGISTERED_LIMIT), dead_letter.place)
