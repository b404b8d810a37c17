"""How many wrong passwords a cloud container takes, and from whom.

Strangers together have a few guesses, and then one a minute. An origin (whatever a door says of where a sign-in comes
from, such as an address or a client's id) that signed in before has as many of its own, so that nobody who guesses
keeps the holder out. Time gives guesses back, and new access data all of them; what is refused meanwhile costs none.

Time here is PostgreSQL's clock in the transaction that counts a guess: one clock for all doors. A door's clock says
nothing, for two that differ would give guesses back at every change from one to the other.
"""

import hmac
from datetime import datetime, timedelta
from typing import Any, cast

from psycopg import AsyncConnection

from activities.licensing.signing import SigningKeys
from events.errors import Code, RefusalError
from events.ports.licensing_backend import Clock
from events.terms import Instant, Serial, Value, VendorId

TRIES = 5
INTERVAL = timedelta(minutes=1)
"""How long it takes until one more guess is there."""
ORIGINS_LIMIT = 20
"""So many origins of a container are known, those that signed in last."""
ORIGIN_LENGTH_LIMIT = 200


class Origin(Value):
    """Somewhere that somebody signed in from. `clear` is when all of its wrong guesses are forgotten."""

    name: str
    clear: Instant | None = None


class Guesses(Value):
    """What is known of those who sign in to a container: until when the guesses of strangers count, and the origins,
    the one that signed in last at the end."""

    clear: Instant | None = None
    origins: tuple[Origin, ...] = ()

    def bounded(self, at: datetime) -> "Guesses":
        """What is known at this instant: no guess counts for longer than one can that is made now. A longer one was
        counted by a clock that was ahead; it counts as the last of all guesses, and is to be kept so, or it would lock
        for ever. It gives no guess back, or whoever turns a clock to and fro could guess for ever."""
        longest = at + TRIES * INTERVAL

        def bound(clear: datetime | None) -> datetime | None:
            return clear and min(clear, longest)

        origins = tuple(Origin(name=one.name, clear=bound(one.clear)) for one in self.origins)
        return Guesses(clear=bound(self.clear), origins=origins)

    def may_guess(self, origin: str | None, at: datetime) -> bool:
        """Whether a password from there may be compared now."""
        return (self._clear_of(origin) or at) - at <= (TRIES - 1) * INTERVAL

    def after_wrong(self, origin: str | None, at: datetime) -> "Guesses":
        """What is known after a wrong guess that might be made."""
        clear = max(self._clear_of(origin) or at, at) + INTERVAL
        if not self._knows(origin):
            return self.model_copy(update={"clear": clear})
        origins = (Origin(name=one.name, clear=clear) if one.name == origin else one for one in self.origins)
        return self.model_copy(update={"origins": tuple(origins)})

    def after_right(self, origin: str | None) -> "Guesses":
        """What is known after somebody signed in. What strangers guessed counts on."""
        if origin is None:
            return self
        others = tuple(one for one in self.origins if one.name != origin)
        return self.model_copy(update={"origins": (*others, Origin(name=origin))[-ORIGINS_LIMIT:]})

    def after_new_access(self) -> "Guesses":
        """What is known once there are new access data: nothing was guessed of them."""
        return Guesses(origins=tuple(Origin(name=one.name) for one in self.origins))

    def _knows(self, origin: str | None) -> bool:
        return any(one.name == origin for one in self.origins)

    def _clear_of(self, origin: str | None) -> datetime | None:
        return next((one.clear for one in self.origins if one.name == origin), self.clear)


def named(keys: SigningKeys, vendor: VendorId, origin: str | None) -> str | None:
    """An origin as it is kept: what a door says of it is nobody else's business."""
    if origin is None:
        return None
    if not 0 < len(origin) <= ORIGIN_LENGTH_LIMIT:
        raise RefusalError(
            Code.INVALID_DATA, f"an origin has 1 to {ORIGIN_LENGTH_LIMIT} characters; this one has {len(origin)}"
        )
    secret = keys.derived(vendor, b"lostfound origins")
    return hmac.digest(secret, origin.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]


async def time_of(tx: AsyncConnection[Any], clock: Clock | None) -> datetime:
    """The instant by which guesses count: PostgreSQL's clock, if no other is given. Asked for under the container's
    lock, it is never earlier than that of the guess before."""
    if clock is not None:
        return clock()
    cursor = await tx.execute("select clock_timestamp()")
    (now,) = cast(tuple[datetime], await cursor.fetchone())
    return now


async def guesses_of(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> Guesses:
    """What is known of those who sign in to a container; the caller holds its lock."""
    cursor = await tx.execute(
        "select guesses::text from backend.guesses where vendor = %s and serial = %s", (vendor, serial)
    )
    row = await cursor.fetchone()
    return Guesses.model_validate_json(row[0]) if row else Guesses()


async def keep_guesses(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, guesses: Guesses) -> None:
    """Keep it."""
    await tx.execute(
        "insert into backend.guesses (vendor, serial, guesses) values (%s, %s, %s)"
        " on conflict (vendor, serial) do update set guesses = excluded.guesses",
        (vendor, serial, guesses.model_dump_json()),
    )


async def forget_guesses(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> None:
    """There are new access data, of which nothing was guessed."""
    before = await guesses_of(tx, vendor, serial)
    if (after := before.after_new_access()) != before:
        await keep_guesses(tx, vendor, serial, after)
