"""Access data of cloud containers: links to set them, sign-ins, reset and rotation.

A password is kept as an argon2id hash. A link's token is derived from the vendor's key and is nowhere kept; it is good
once, because the access data of a generation are set once. A session is kept as its digest.
"""

import asyncio
import hmac
from base64 import urlsafe_b64encode
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, cast

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from activities.judgement import refusal_facts
from activities.measures import Standing, blocking, confirm, count_refused
from activities.outbox import state
from activities.rows import Container, changed, every, lock_container, one
from activities.signing import SigningKeys
from events.backend_facts import (
    AccessLapsed,
    AccessOffered,
    AccessSet,
    ContainerContacted,
    MeasureDelivered,
    SessionsEnded,
)
from events.errors import Code, RefusalError
from events.fact import Fact
from events.licensing import AccessLink, CaseKey, Issued, IssueOrder, NoTargetFound, SignInAnswer
from events.terms import (
    Aim,
    CaseId,
    Contact,
    ContactId,
    Kind,
    MeasureState,
    Recovery,
    Serial,
    Target,
    VendorId,
    next_generation,
    subject,
)

LINK_DAYS = 14
PASSWORD_LENGTH = range(12, 1025)
TRIES = 5
LOCK_SECONDS = 60
LOCK_SECONDS_LIMIT = 3600
"""After so many wrong passwords in a row sign-ins are refused for a minute, then for twice as long each time."""

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
    wrong: int
    locked_until: datetime | None


ACCESS = "select generation, case_id, offered, until, password, set_at, wrong, locked_until from backend.access"


async def access_link(
    tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, at: datetime, keys: SigningKeys
) -> AccessLink:
    """The link for the access data that are owed: the first ones, or those of a reset or rotation. Raises
    `RefusalError` when none are."""
    container = await _cloud(tx, vendor, serial)
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


async def hashed(password: str) -> str:
    """The hash to keep, or `RefusalError` for a password that is too short or too long."""
    if len(password) not in PASSWORD_LENGTH:
        first, last = PASSWORD_LENGTH[0], PASSWORD_LENGTH[-1]
        raise RefusalError(Code.INVALID_DATA, f"a password has {first} to {last} characters; choose another")
    return await asyncio.to_thread(HASHER.hash, password)


async def set_access(
    tx: AsyncConnection[Any],
    vendor: VendorId,
    serial: Serial,
    token: str,
    password: str,
    at: datetime,
    keys: SigningKeys,
) -> list[CaseKey]:
    """Set access data by a link, once; `password` is the hash. The cases that waited for it."""
    container = await _cloud(tx, vendor, serial)
    owed = await _owed(tx, container, vendor)
    good = owed is not None and hmac.compare_digest(_token(keys, vendor, serial, owed).encode(), token.encode())
    if owed is None or not good or owed.until <= at:
        raise RefusalError(Code.BAD_LINK, "this link is wrong, used or too old; ask the vendor for a new one")
    await tx.execute(
        "update backend.access set password = %s, set_at = %s where vendor = %s and serial = %s and generation = %s",
        (password, at, vendor, serial, owed.generation),
    )
    if owed.generation > container.generation:
        await _raise_generation(tx, vendor, serial, owed.generation)
    await state(tx, vendor, serial, at, [AccessSet(serial=serial, generation=owed.generation)])
    waiting = await tx.execute(
        "select case_id from backend.cases where vendor = %s and serial = %s and awaits = %s",
        (vendor, serial, Target.SAME_CONTAINER),
    )
    return [CaseKey(vendor=vendor, case=case, serial=serial) for (case,) in await waiting.fetchall()]


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


async def candidates(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, at: datetime) -> list[Access]:
    """The access data to compare a password with, the current ones first; none while they are locked."""
    container = await _cloud(tx, vendor, serial)
    found = await every(
        tx,
        Access,
        f"{ACCESS} where vendor = %s and serial = %s and generation <= %s and password is not null"
        " order by generation desc limit 3",
        *(vendor, serial, container.generation),
    )
    return [] if await _is_locked(tx, vendor, serial, at) else found


async def recognise(known: list[Access], password: str) -> int | None:
    """The generation that a password is of. Takes tens of milliseconds, in a thread of its own."""

    def look() -> int | None:
        found = None
        for access in known:  # all of them, so that the time taken says nothing
            with suppress(VerificationError):
                HASHER.verify(access.password or "", password)
                found = found or access.generation
        return found

    return await asyncio.to_thread(look)


async def sign_in(
    tx: AsyncConnection[Any],
    vendor: VendorId,
    contact: ContactId,
    serial: Serial,
    generation: int | None,
    at: datetime,
    keys: SigningKeys,
) -> SignInAnswer:
    """Sign in with access data of this generation (None: of none). Old ones that a case blocked are a sighting."""
    container = await _cloud(tx, vendor, serial)
    told = {"contact": contact, "serial": serial, "occurred": at, "how": Contact.SIGN_IN}
    before = await _before(tx, vendor, contact, serial)
    blocked = await _blocked(tx, vendor, serial, generation, at) if generation else []
    session = _session(keys, vendor, serial, contact)
    if before is not None and before.get("refused"):
        return SignInAnswer(
            session=None, code=before["code"], cases=before["cases"], ordinals=before.get("ordinals", ())
        )
    if before is not None and generation and await _opened_by(tx, vendor, serial, session) == generation:
        return SignInAnswer(session=session)
    if await _is_locked(tx, vendor, serial, at):  # again, under the lock: others may have guessed meanwhile
        if before is None:
            await _keep(tx, vendor, contact, serial, Code.LOCKED_OUT, [])
            await state(tx, vendor, serial, at, refusal_facts(told, [], Code.LOCKED_OUT))
        return SignInAnswer(session=None, code=Code.LOCKED_OUT)
    if before is not None:  # a number that served other access data proves nothing
        if not blocked:
            await _wrong(tx, vendor, serial, at)
        again = tuple(CaseKey(vendor=vendor, case=case, serial=serial) for case in {m.case_id: None for m in blocked})
        return SignInAnswer(session=None, code=Code.BLOCKED if blocked else Code.BAD_ACCESS_DATA, cases=again)
    if generation == container.generation and not blocked:
        await tx.execute(
            "insert into backend.sessions values (%s, %s, %s, %s, %s)",
            (vendor, serial, sha256(session.encode()).hexdigest(), generation, at),
        )
        await _count_wrong(tx, vendor, serial, 0, None)
        await _keep(tx, vendor, contact, serial, None, [])
        await state(tx, vendor, serial, at, [ContainerContacted.model_validate(told)])
        return SignInAnswer(session=session)
    code = Code.BLOCKED if blocked else Code.BAD_ACCESS_DATA
    if not blocked:
        await _wrong(tx, vendor, serial, at)
    cases = [CaseKey(vendor=vendor, case=case, serial=serial) for case in dict.fromkeys(m.case_id for m in blocked)]
    delivered = [item for item in blocked if item.state is MeasureState.ORDERED]
    refused = refusal_facts(told, [key.case for key in cases], code)
    facts: list[Fact] = [*refused, *(MeasureDelivered.model_validate(item.about()) for item in delivered)]
    open_ = [item for item in blocked if item.state in (MeasureState.ORDERED, MeasureState.DELIVERED)]
    facts += await confirm(tx, vendor, open_, f"contact/{contact}")
    ordinals = await count_refused(tx, vendor, cases)
    await _keep(tx, vendor, contact, serial, code, cases, ordinals)
    await state(tx, vendor, serial, at, facts)
    return SignInAnswer(session=None, code=code, cases=tuple(cases), ordinals=ordinals)


async def _cloud(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> Container:
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
    """The newest access data that their holder has yet to set: first ones, or those of a case that is open."""
    query = (
        f"{ACCESS} a where vendor = %s and serial = %s and generation >= %s and set_at is null"
        " and (case_id is null or exists (select from backend.cases c"
        " where (c.vendor, c.case_id) = (a.vendor, a.case_id) and c.closed is null))"
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


async def _blocked(
    tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, generation: int, at: datetime
) -> list[Standing]:
    return await blocking(tx, vendor, [subject(Aim.ACCESS_DATA, serial, generation)], at)


async def _opened_by(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, session: str) -> int | None:
    """The generation of access data that opened a session, or None where it was not opened or has ended."""
    cursor = await tx.execute(
        "select generation from backend.sessions where vendor = %s and serial = %s and session = %s and ended is null",
        (vendor, serial, sha256(session.encode()).hexdigest()),
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def _is_locked(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, at: datetime) -> bool:
    cursor = await tx.execute(
        "select max(locked_until) from backend.access where vendor = %s and serial = %s", (vendor, serial)
    )
    (locked,) = cast(tuple[datetime | None], await cursor.fetchone())
    return bool(locked and locked > at)


async def _wrong(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, at: datetime) -> None:
    cursor = await tx.execute(
        "select max(wrong) from backend.access where vendor = %s and serial = %s", (vendor, serial)
    )
    (wrong,) = cast(tuple[int | None], await cursor.fetchone())
    count = (wrong or 0) + 1
    seconds = min(LOCK_SECONDS * 2 ** min(count - TRIES, 10), LOCK_SECONDS_LIMIT) if count >= TRIES else 0
    await _count_wrong(tx, vendor, serial, count, at + timedelta(seconds=seconds) if seconds else None)


async def _count_wrong(
    tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, count: int, locked: datetime | None
) -> None:
    await tx.execute(
        "update backend.access set wrong = %s, locked_until = %s where vendor = %s and serial = %s",
        (count, locked, vendor, serial),
    )


async def _before(
    tx: AsyncConnection[Any], vendor: VendorId, contact: ContactId, serial: Serial
) -> dict[str, Any] | None:
    cursor = await tx.execute(
        "select serial, answer from backend.contacts where vendor = %s and contact = %s", (vendor, contact)
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    if row[0] != serial:
        raise RefusalError(
            Code.CONTRADICTS_INVENTORY,
            f"contact {contact} was one of container {row[0]}; give a new contact a new number",
        )
    return {"code": None, "cases": (), **row[1]}


async def _keep(
    tx: AsyncConnection[Any],
    vendor: VendorId,
    contact: ContactId,
    serial: Serial,
    code: Code | None,
    cases: list[CaseKey],
    ordinals: tuple[int, ...] = (),
) -> None:
    named = [key.model_dump(mode="json") for key in cases]
    answer = {"refused": code is not None, "code": code, "cases": named, "ordinals": ordinals}
    await tx.execute(
        "insert into backend.contacts (vendor, contact, serial, answer) values (%s, %s, %s, %s)",
        (vendor, contact, serial, Jsonb(answer)),
    )


def _token(keys: SigningKeys, vendor: VendorId, serial: Serial, owed: Access) -> str:
    return _derived(keys, vendor, f"link/{serial}/{owed.generation}/{owed.until.timestamp()}")


def _session(keys: SigningKeys, vendor: VendorId, serial: Serial, contact: ContactId) -> str:
    return _derived(keys, vendor, f"session/{serial}/{contact}")


def _derived(keys: SigningKeys, vendor: VendorId, name: str) -> str:
    digest = hmac.digest(keys.derived(vendor, b"lostfound access data"), name.encode(), "sha256")
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
