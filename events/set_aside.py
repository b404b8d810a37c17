"""What was set aside: a record, key or partition that cannot go on, while everything else does."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol


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
