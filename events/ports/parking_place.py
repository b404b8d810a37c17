"""Inbox records that wait: for a fact that is under way, for a lock, or behind another that does."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple, Protocol

from events.terms import Serial, VendorId
from events.topics import vendor_of

Headers = tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class InboxRecord:
    """A record of an inbox as it came; `received` is the clock at this door when it did."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    received: datetime

    @property
    def vendor(self) -> VendorId:
        """Whose inbox it came into."""
        return vendor_of(self.topic)

    @property
    def place(self) -> str:
        """Where it stands. A topic that is made anew has another record there: see `digest`."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def digest(self) -> str:
        """With its place, which record it is."""
        return digest_of(self.key, self.value, self.headers)


def digest_of(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> str:
    """The SHA-256 of what a record is made of, in hexadecimal: of each part its length (-1: there is none), and it."""
    hashed = sha256()
    for part in (key, value, *(part for name, content in headers for part in (name.encode(), content))):
        hashed.update(b"-1:" if part is None else b"%d:" % len(part) + part)
    return hashed.hexdigest()


class Parked(NamedTuple):
    """A record that waits, leased to whoever took it up; `overdue`: this try is the last."""

    number: int
    serial: Serial
    rank: int
    record: InboxRecord
    overdue: bool


class Parking(Protocol):
    """Where records wait, one queue for each serial of a vendor, by rank and then in the order in which they came.

    Several processes may take them up. A lease ends by itself, so whoever is frozen holds nothing for longer; what is
    handled may therefore be handled again. Times are the store's own clock. Each call raises what the store raises.
    """

    async def waiting(self, vendor: VendorId, serials: Collection[Serial]) -> Mapping[Serial, int]:
        """The lowest rank that waits, for each of these serials for which anything does."""

    async def park(self, serial: Serial, rank: int, record: InboxRecord, hold_seconds: float, limit: int) -> bool:
        """Let a record wait, or False where its vendor has `limit` waiting. One that waits already stays as it is."""

    async def due(self, busy: Collection[VendorId], each: int, limit: int, lease_seconds: float) -> Sequence[Parked]:
        """Take up records that are first of their serial and to be tried now: at most `limit`, and at most `each` of a
        vendor, those that waited longest first; none of the `busy` vendors."""

    async def following(self, vendor: VendorId, serial: Serial, lease_seconds: float) -> Parked | None:
        """Take up the record that is first of this serial now; None where none is, or another process has it."""

    async def postpone(self, number: int) -> None:
        """Let a record wait on; each time for longer."""

    async def remove(self, number: int) -> None:
        """A record waits no more."""

    async def wake(self, vendor: VendorId, serial: Serial) -> None:
        """Have what waits for this serial tried now: a fact of it has arrived."""
