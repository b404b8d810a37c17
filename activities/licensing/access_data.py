"""Access data of cloud containers: links to set them, reset and rotation.

A password is kept as an argon2id hash. A link's token is derived from the vendor's key and is nowhere kept; it is good
once, because the access data of a generation are set once. A session is kept as its digest.
"""

import asyncio
import hmac
from base64 import urlsafe_b64encode
from datetime import datetime
from typing import Any, cast

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from psycopg import AsyncConnection

from activities.licensing.access_rules import (
    Access,
    former,
    handed_out,
    lapsing,
    link_name,
    must_be_another,
    must_be_cloud,
    owed,
    renewal,
    taken,
)
from activities.licensing.containers import Container, must_be_theirs
from activities.licensing.guesses import forget_guesses
from activities.licensing.leases import resume
from activities.licensing.messages import post_to_each
from activities.licensing.outbox import state
from activities.licensing.records import changed, every, lock_container
from activities.licensing.signing import SigningKeys
from events.backend_facts import (
    AccessLapsed,
    AccessOffered,
    AccessSet,
    SessionsEnded,
)
from events.ports.licensing_backend import AccessLink, CaseKey, Issued, IssueOrder, NoTargetFound
from events.ports.loss_cases import Offer
from events.principal import Principal
from events.terms import (
    Serial,
    Target,
    VendorId,
    next_generation,
)

HASHER = PasswordHasher()


ACCESS = """select generation, case_id, offered, until, password, set_at, (exists (select from backend.cases c
    where (c.vendor, c.case_id) = (a.vendor, a.case_id) and c.closed is not null)
    or exists (select from backend.claims k
    where (k.vendor, k.serial, k.case_id) = (a.vendor, a.serial, a.case_id) and k.freed)) as ended
from backend.access a"""
"""Access data; they have `ended` where their case is closed, or was taken over: then it has freed what it claimed."""


async def access_link(
    tx: AsyncConnection[Any], principal: Principal, serial: Serial, at: datetime, keys: SigningKeys
) -> AccessLink:
    """The link for the access data that are owed, for the holder or the back office: the first ones, or those of a
    reset or rotation. Raises `RefusalError` when none are."""
    vendor = principal.vendor
    container = must_be_cloud(must_be_theirs(await lock_container(tx, vendor, serial), principal))
    found, anew = handed_out(container, await known(tx, vendor, serial), at)
    if anew:
        await _offer(tx, vendor, serial, found, at)
    return AccessLink(token=_token(keys, vendor, serial, found), generation=found.generation, until=found.until)


async def former_passwords(
    tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, token: str, at: datetime, keys: SigningKeys
) -> list[str]:
    """The hashes of what a link must not set again; raises `RefusalError` for a link that sets nothing. They are the
    same until it has: the link of another generation is another."""
    container = await cloud_container(tx, vendor, serial)
    found, accesses = await _taken(tx, vendor, container, token, at, keys)
    return [one.password or "" for one in former(found, accesses)]


async def hashed(password: str, former: list[str]) -> str:
    """The hash to keep, or `RefusalError` for a password that has one of the `former` hashes. Takes tens of
    milliseconds for each of them, in a thread of its own."""

    def is_former() -> bool:
        return any(_verifies(one, password) for one in former)

    must_be_another(await asyncio.to_thread(is_former))
    return await asyncio.to_thread(HASHER.hash, password)


def _verifies(kept: str, password: str) -> bool:
    """Whether a password has this hash."""
    try:
        return HASHER.verify(kept, password)
    except VerificationError:
        return False


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
    found, _ = await _taken(tx, vendor, container, token, at, keys)
    await tx.execute(
        "update backend.access set password = %s, set_at = %s where vendor = %s and serial = %s and generation = %s",
        (password, at, vendor, serial, found.generation),
    )
    if found.generation > container.generation:
        await _raise_generation(tx, vendor, serial, found.generation)
    await forget_guesses(tx, vendor, serial)
    await state(tx, vendor, serial, at, [AccessSet(serial=serial, generation=found.generation)])
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
    renewed = renewal(order, claimed, lost, await known(tx, key.vendor, key.serial), at)
    if renewed.offer:
        await _offer(tx, key.vendor, key.serial, renewed.offer, at)
    if renewed.rotated:
        await _raise_generation(tx, key.vendor, key.serial, next_generation(claimed))
        await forget_guesses(tx, key.vendor, key.serial)
        await end_sessions(tx, key, at)  # a delayed blacklisting let more begin
    await tx.execute(
        "update backend.cases set awaits = %s where vendor = %s and case_id = %s",
        (None if renewed.answer.issued else Target.SAME_CONTAINER, key.vendor, key.case),
    )
    return renewed.answer


async def end_link(tx: AsyncConnection[Any], key: CaseKey, at: datetime) -> None:
    """End the link that a case which is over still owed; done again, it finds none."""
    ended = lapsing(await known(tx, key.vendor, key.serial), key.case, at)
    await tx.execute(
        "update backend.access set until = least(until, %s) where vendor = %s and serial = %s and generation = any(%s)",
        (at, key.vendor, key.serial, [one.generation for one in ended]),
    )
    facts = [AccessLapsed(serial=key.serial, generation=one.generation, case=key.case) for one in ended]
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
    return must_be_cloud(await lock_container(tx, vendor, serial))


async def known(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> list[Access]:
    """All generations of access data that a container has and had."""
    return await every(tx, Access, f"{ACCESS} where vendor = %s and serial = %s order by generation", vendor, serial)


async def _taken(
    tx: AsyncConnection[Any], vendor: VendorId, container: Container, token: str, at: datetime, keys: SigningKeys
) -> tuple[Access, list[Access]]:
    """The access data that a link sets, and all that the container has and had; raises `RefusalError`."""
    accesses = await known(tx, vendor, container.serial)
    found = owed(container, accesses)
    return taken(found, _token(keys, vendor, container.serial, found) if found else "", token, at), accesses


async def _offer(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, offered: Access, at: datetime) -> None:
    await tx.execute(
        "insert into backend.access (vendor, serial, generation, case_id, offered, until)"
        " values (%s, %s, %s, %s, %s, %s)"
        " on conflict (vendor, serial, generation) do update"
        " set until = excluded.until, case_id = excluded.case_id, offered = excluded.offered",
        (vendor, serial, offered.generation, offered.case_id, offered.offered, offered.until),
    )
    fact = AccessOffered(serial=serial, generation=offered.generation, case=offered.case_id, until=offered.until)
    await state(tx, vendor, serial, at, [fact])


async def _raise_generation(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, generation: int) -> None:
    await tx.execute(
        "update backend.containers set generation = %s where vendor = %s and serial = %s", (generation, vendor, serial)
    )
    await resume(tx, vendor, serial)


def _token(keys: SigningKeys, vendor: VendorId, serial: Serial, access: Access) -> str:
    return derived(keys, vendor, link_name(serial, access))


def derived(keys: SigningKeys, vendor: VendorId, name: str) -> str:
    """A secret of this name, from the vendor's key; it is nowhere kept."""
    digest = hmac.digest(keys.derived(vendor, b"lostfound access data"), name.encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
