"""What was set aside: a record, key or partition that cannot go on, while everything else does."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol

from events.terms import VendorId


class SetAside(NamedTuple):
    """An entry of the register.

    `vendor` is empty for what concerns the whole installation. `place` names what was set aside, once for all vendors,
    such as `lostfound.acme.inbox/0/17`, `outbox/acme/3-1` or `lostfound.log/3/991`. `code` is stable, `sentence` says
    what is wrong and what to do; `since` is when the place was first set aside.
    """

    vendor: str
    place: str
    code: str
    sentence: str
    since: datetime


class DeadLetterState(StrEnum):
    """Whether something is still to be done about a dead letter."""

    OPEN = "open"
    RETRIED = "retried"
    DISMISSED = "dismissed"


class SettledDeadLetter(NamedTuple):
    """A dead letter that was retried or dismissed `at` that time; `retried_as` is the place of the record that was sent
    again last. One that was written about the same place later is open."""

    vendor: VendorId
    place: str
    state: DeadLetterState
    at: datetime
    retried_as: str | None = None


class Register(Protocol):
    """The installation's register of what is set aside. Each call raises what its store raises when that is away."""

    async def add(self, entry: SetAside, most: int | None = None) -> None:
        """Enter a place; one that is there keeps its `since` and takes the newer code and sentence. Nothing is entered
        where its vendor has `most` entries already."""

    async def remove(self, *places: str) -> None:
        """Take places out again; one that is not there is nothing."""

    async def entries(self, limit: int = 100) -> Sequence[SetAside]:
        """At most so many entries, the oldest first. Where there are more, all that concern the log, and of each vendor
        the oldest: nobody's many entries hide what others must see."""

    async def settle(self, settled: SettledDeadLetter) -> None:
        """Note that a dead letter was retried or dismissed, and take its place out. Kept for as long as the dead letter
        is."""

    async def settled(self, vendor: VendorId) -> Mapping[str, SettledDeadLetter]:
        """What was noted so of a vendor's dead letters, by place."""
