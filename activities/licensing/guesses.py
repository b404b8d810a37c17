"""Wrong passwords, counted for each container in the caller's transaction by `activities.licensing.guess_rules`.

Time here is PostgreSQL's clock in the transaction that counts a guess: one clock for all doors. A door's clock says
nothing, for two that differ would give guesses back at every change from one to the other.
"""

import hmac
from datetime import datetime
from typing import Any, cast

from psycopg import AsyncConnection

from activities.licensing.guess_rules import Guesses
from activities.licensing.signing import SigningKeys
from events.errors import Code, RefusalError
from events.ports.licensing_backend import Clock
from events.terms import Serial, VendorId

ORIGIN_LENGTH_LIMIT = 200


def named(keys: SigningKeys, vendor: VendorId, origin: str | None) -> str | None:
    """An origin as it is kept: what a door says of it is nobody else's business."""
    if origin is None:
        return None
    if not 0 < len(origin) <= ORIGIN_LENGTH_LIMIT:
        raise RefusalError(
            Code.INVALID_DATA,
            f"an origin has 1 to {ORIGIN_LENGTH_LIMIT} characters; this one has {len(origin)}",
            most=ORIGIN_LENGTH_LIMIT,
            length=len(origin),
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
