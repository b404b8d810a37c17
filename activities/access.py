"""Access data of cloud containers: links to set them, reset and rotation.

A password is kept as an argon2id hash. A link's token is derived from the vendor's key and is nowhere kept; it is good
once, because the access data of a generation are set once. A session is kept as its digest.
"""

import asyncio
import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from argon2 import PasswordHasher
from psycopg import AsyncConnection

from activities.guesses import forget_guesses
from activities.messages import post_to_each
from activities.outbox import state
from activities.rows import Container, changed, lock_container, one
from activities.signing import SigningKeys
from events.backend_facts import (
    AccessLapsed,
    AccessOffered,
    AccessSet,
    SessionsEnded,
)
from events.cases import Offer
from events.errors import Code, RefusalError
from events.licensing import AccessLink, CaseKey, Issued, IssueOrder, NoTargetFound
from events.terms import (
    CaseId,
    Kind,
    Recovery,
    Serial,
    Target,
    VendorId,
    next_generation,
)

LINK_DAYS = 14
PASSWORD_LENGTH = range(12, 1025)

HASHER = PasswordHasher()


@dataclass(frozen=True, slots=True)
class Access:
    """A generation of access data; `password` is a hash, None until the holder has set one."""

    generation: int
    case_id: CaseId | None
    offered: datetime
    until: datetime
    password: str | None
    set_at: datetime | None


ACCESS = "select generation, case_id, offered, until, password, set_at from backend.access"


async def access_link(
    tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, at: datetime, keys: SigningKeys
) -> AccessLink:
    """The link for the access data that are owed: the first ones, or those of a reset or rotation. Raises
    `RefusalError` when none are."""
    container = await cloud_container(tx, vendor, serial)
    owed = await _owed(tx, container, vendor)
    if owed is None:
        if await _access(tx, vendor, serial, container.generation):
            raise RefusalError(
                Code.BAD_LINK,
                f"no access data of {serial} are owed: they are set, or the case that owed them is over;"
                " report them forgotten or stolen to have new ones",
            )
        owed = await _offer(tx, vendor, serial, container.generation, None, at)
    elif owed.until <= at:
        owed = await _offer(tx, vendor, serial, owed.generation, owed.case_id, at)
    return AccessLink(token=_token(keys, vendor, serial, owed), generation=owed.generation, until=owed.until)


def can_be(password: str) -> bool:
    """Whether this can be a password: neither too short nor too long, and without half of a surrogate pair."""
    return len(password) in PASSWORD_LENGTH and not any("\ud800" <= letter <= "\udfff" for letter in password)


async def hashed(password: str) -> str:
    """The hash to keep, or `RefusalError` for what cannot be a password."""
    if not can_be(password):
        first, last = PASSWORD_LENGTH[0], PASSWORD_LENGTH[-1]
        raise RefusalError(Code.INVALID_DATA, f"a password has {first} to {last} characters of Unicode; choose another")
    return await asyncio.to_thread(HASHER.hash, password)


async def set_access(
    tx: AsyncConnection[Any],
    vendor: VendorId,
    serial: Serial,
    token: str,
    password: str,
    at: datetime,
    keys: SigningKeys,
) -> None:
    """Set access data by a link, once, and say so to the cases that waited for it; `password` is the hash."""
    container = await cloud_container(tx, vendor, serial)
    owed = await _owed(tx, container, vendor)
    good = owed is not None and hmac.compare_digest(
        _token(keys, vendor, serial, owed).encode(), token.encode("utf-8", "surrogatepass")
    )
    if owed is None or not good or owed.until <= at:
        raise RefusalError(Code.BAD_LINK, "this link is wrong, used or too old; ask the vendor for a new one")
    await tx.execute(
        "update backend.access set password = %s, set_at = %s where vendor = %s and serial = %s and generation = %s",
        (password, at, vendor, serial, owed.generation),
    )
    if owed.generation > container.generation:
        await _raise_generation(tx, vendor, serial, owed.generation)
    await forget_guesses(tx, vendor, serial)
    await state(tx, vendor, serial, at, [AccessSet(serial=serial, generation=owed.generation)])
    waiting = await tx.execute(
        "select case_id from backend.cases where vendor = %s and serial = %s and awaits = %s",
        (vendor, serial, Target.SAME_CONTAINER),
    )
    keyed = [CaseKey(vendor=vendor, case=case, serial=serial) for (case,) in await waiting.fetchall()]
    await post_to_each(tx, keyed, Offer(serial=serial), at)


async def renew(tx: AsyncConnection[Any], order: IssueOrder, lost: Container, at: datetime) -> Issued | NoTargetFound:
    """Recover access data, under the container's lock: a reset waits for the holder, a rotation is done at once."""
    key = order.key
    cursor = await tx.execute(
        "select generation from backend.cases where vendor = %s and case_id = %s", (key.vendor, key.case)
    )
    (claimed,) = cast(tuple[int], await cursor.fetchone())
    generation = next_generation(claimed)
    found = await _access(tx, key.vendor, key.serial, generation)
    if found is None or (found.set_at is None and found.case_id != key.case):  # offered for a case that lapsed
        found = await _offer(tx, key.vendor, key.serial, generation, key.case, at)
    rotates = order.recovery is Recovery.ROTATION
    if rotates and lost.generation == claimed:
        await _raise_generation(tx, key.vendor, key.serial, generation)
        await forget_guesses(tx, key.vendor, key.serial)
        await end_sessions(tx, key, at)  # a delayed blacklisting let more begin
    done = found.offered if rotates else found.set_at
    await tx.execute(
        "update backend.cases set awaits = %s where vendor = %s and case_id = %s",
        (None if done else Target.SAME_CONTAINER, key.vendor, key.case),
    )
    if done is None:
        return NoTargetFound(at=found.offered, tickets=())
    return Issued(at=done, target=key.serial, licences=())


async def end_link(tx: AsyncConnection[Any], key: CaseKey, at: datetime) -> None:
    """End the link that a case which is over still owed; done again, it finds none."""
    cursor = await tx.execute(
        "update backend.access set until = %s where vendor = %s and case_id = %s and set_at is null and until > %s"
        " returning generation",
        (at, key.vendor, key.case, at),
    )
    facts = [
        AccessLapsed(serial=key.serial, generation=generation, case=key.case)
        for (generation,) in await cursor.fetchall()
    ]
    await state(tx, key.vendor, key.serial, at, facts)


async def end_sessions(tx: AsyncConnection[Any], key: CaseKey, at: datetime) -> None:
    """End all sessions of a container whose access data are blocked; done again, it finds none."""
    ended = await changed(
        tx,
        "update backend.sessions set ended = %s where vendor = %s and serial = %s and ended is null",
        *(at, key.vendor, key.serial),
    )
    if ended:
        fact = SessionsEnded(serial=key.serial, case=key.case, sessions=ended)
        await state(tx, key.vendor, key.serial, at, [fact])


async def cloud_container(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> Container:
    """The container, locked; raises `RefusalError` where it is none that has access data."""
    container = await lock_container(tx, vendor, serial)
    if container.kind is not Kind.CLOUD:
        raise RefusalError(
            Code.KIND_MISMATCH,
            f"container {serial} is of kind {container.kind}; only a cloud container has access data",
        )
    return container


async def _access(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, generation: int) -> Access | None:
    query = f"{ACCESS} where vendor = %s and serial = %s and generation = %s"
    return await one(tx, Access, query, vendor, serial, generation)


async def _owed(tx: AsyncConnection[Any], container: Container, vendor: VendorId) -> Access | None:
    """The newest access data that their holder has yet to set: first ones, or those of a case that is open and
    that no theft has overtaken."""
    query = (
        f"{ACCESS} a where vendor = %s and serial = %s and generation >= %s and set_at is null"
        " and (case_id is null or exists (select from backend.cases c"
        " where (c.vendor, c.case_id) = (a.vendor, a.case_id) and c.closed is null and c.overtaken is null))"
        " order by generation desc limit 1"
    )
    return await one(tx, Access, query, vendor, container.serial, container.generation)


async def _offer(
    tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, generation: int, case: CaseId | None, at: datetime
) -> Access:
    until = at + timedelta(days=LINK_DAYS)
    await tx.execute(
        "insert into backend.access (vendor, serial, generation, case_id, offered, until)"
        " values (%s, %s, %s, %s, %s, %s)"
        " on conflict (vendor, serial, generation) do update set until = excluded.until, case_id = excluded.case_id,"
        " offered = case when access.case_id is not distinct from excluded.case_id"
        " then access.offered else excluded.offered end",
        (vendor, serial, generation, case, at, until),
    )
    await state(tx, vendor, serial, at, [AccessOffered(serial=serial, generation=generation, case=case, until=until)])
    return cast(Access, await _access(tx, vendor, serial, generation))


async def _raise_generation(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, generation: int) -> None:
    await tx.execute(
        "update backend.containers set generation = %s where vendor = %s and serial = %s", (generation, vendor, serial)
    )


def _token(keys: SigningKeys, vendor: VendorId, serial: Serial, owed: Access) -> str:
    return derived(keys, vendor, f"link/{serial}/{owed.generation}/{owed.until.timestamp()}")


def derived(keys: SigningKeys, vendor: VendorId, name: str) -> str:
    """A secret of this name, from the vendor's key; it is nowhere kept."""
    digest = hmac.digest(keys.derived(vendor, b"lostfound access data"), name.encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
