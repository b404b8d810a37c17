"""Signing in to a cloud container: a contact as any other, once the password says which access data it is of."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from argon2.exceptions import VerificationError
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from activities.access import ACCESS, HASHER, Access, can_be, cloud_container, derived
from activities.contacts import contact
from activities.guesses import Clock, guesses_of, keep_guesses, time_of
from activities.issuing import Signer
from activities.measures import blocking
from activities.messages import post_to_each, sighting
from activities.outbox import state
from activities.rows import changed, every
from events.backend_facts import ContactRefused
from events.errors import Code, RefusalError
from events.inbox import ContactStatement
from events.licensing import ContactAnswer, SignInAnswer
from events.terms import Aim, Contact, ContactId, Generation, Role, Serial, Subject, VendorId, is_name

RECOGNISED = 3
"""So many of the latest generations of access data are compared with a password."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """Somebody signs in: under the number of this contact, from an origin as `guesses.named` says (None: not told),
    `at` by the clock of the door. Guesses are counted by `clock`, or by PostgreSQL's where there is none. `compared`:
    the password was, and is of this `generation` of access data (None: of none)."""

    vendor: VendorId
    contact: ContactId
    serial: Serial
    origin: str | None
    at: datetime
    clock: Clock | None = None
    compared: bool = False
    generation: Generation | None = None

    def __post_init__(self) -> None:
        if not is_name(self.contact):
            raise RefusalError(
                Code.INVALID_DATA,
                f"a contact's number has up to 80 letters, digits and ._:@+-, not {self.contact[:100]!a};"
                " give this contact another",
            )


async def candidates(tx: AsyncConnection[Any], attempt: SignIn) -> list[Access] | None:
    """The access data to compare a password with, the current ones first; None where it may not be compared."""
    container = await cloud_container(tx, attempt.vendor, attempt.serial)
    guesses = await guesses_of(tx, attempt.vendor, attempt.serial)
    if not guesses.may_guess(attempt.origin, await time_of(tx, attempt.clock)):
        return None
    return await every(
        tx,
        Access,
        f"{ACCESS} where vendor = %s and serial = %s and generation <= %s and password is not null"
        " order by generation desc limit %s",
        *(attempt.vendor, attempt.serial, container.generation, RECOGNISED),
    )


async def recognise(known: list[Access], password: str) -> int | None:
    """The generation that a password is of. Takes tens of milliseconds, in a thread of its own."""

    if not can_be(password):
        password = ""  # compared all the same, so that the time taken says nothing

    def look() -> int | None:
        found = None
        for access in known:  # all of them, so that the time taken says nothing
            with suppress(VerificationError):
                HASHER.verify(access.password or "", password)
                found = found or access.generation
        return found

    return await asyncio.to_thread(look)


async def sign_in(tx: AsyncConnection[Any], attempt: SignIn, processed: datetime, signer: Signer) -> SignInAnswer:
    """Sign in, in the caller's transaction; said again, the same answer."""
    vendor, serial, at = attempt.vendor, attempt.serial, attempt.at
    await cloud_container(tx, vendor, serial)
    session = derived(signer.keys, vendor, f"session/{serial}/{attempt.contact}")
    before = await _before(tx, attempt)
    if before is not None and before.refused:
        return SignInAnswer(session=None, code=before.code, cases=before.cases)
    if before is not None and attempt.generation and await _opened_by(tx, attempt, session) == attempt.generation:
        return SignInAnswer(session=session, files=before.files)
    now = await time_of(tx, attempt.clock)
    known = await guesses_of(tx, vendor, serial)
    guesses = known.bounded(now)
    if not attempt.compared or not guesses.may_guess(attempt.origin, now):  # again: others may have guessed meanwhile
        if guesses != known:
            await keep_guesses(tx, vendor, serial, guesses)
        if before is None:
            await _refuse(tx, attempt, Code.LOCKED_OUT)
        return SignInAnswer(session=None, code=Code.LOCKED_OUT)
    if before is not None and attempt.generation:  # a number that served other access data proves nothing
        name = Subject(Aim.ACCESS_DATA, serial, attempt.generation)
        if blockers := await blocking(tx, vendor, [name], processed):
            cases = tuple(dict.fromkeys(measure.key(vendor) for measure in blockers))
            if await _first_replay(tx, attempt):
                await post_to_each(tx, cases, sighting(attempt.contact, at), at)
            return SignInAnswer(session=None, code=Code.BLOCKED, cases=cases)
    if before is not None or attempt.generation is None:
        await keep_guesses(tx, vendor, serial, guesses.after_wrong(attempt.origin, now))
        if before is None:
            await _refuse(tx, attempt, Code.BAD_ACCESS_DATA)
        return SignInAnswer(session=None, code=Code.BAD_ACCESS_DATA)
    stated = ContactStatement(
        contact=attempt.contact, serial=serial, occurred=at, how=Contact.SIGN_IN, generation=attempt.generation
    )
    answer = await contact(tx, vendor, stated, at, processed, signer)
    if answer.refused:
        return SignInAnswer(session=None, code=answer.code, cases=answer.cases)
    await tx.execute(
        "insert into backend.sessions (vendor, serial, session, generation, started) values (%s, %s, %s, %s, %s)",
        (vendor, serial, _digest(session), attempt.generation, at),
    )
    await keep_guesses(tx, vendor, serial, guesses.after_right(attempt.origin))
    return SignInAnswer(session=session, files=answer.files)


async def _first_replay(tx: AsyncConnection[Any], attempt: SignIn) -> bool:
    """Whether this is the first time that blocked access data came under a number that served other ones."""
    said = (attempt.vendor, Role.HOLDER, attempt.serial, f"contact/{attempt.contact}", "", attempt.at)
    added = await changed(
        tx, "insert into backend.statements values (%s, %s, %s, %s, %s, %s) on conflict do nothing", *said
    )
    return added > 0


async def _opened_by(tx: AsyncConnection[Any], attempt: SignIn, session: str) -> int | None:
    """The generation of access data that opened a session, or None where it was not opened or has ended."""
    cursor = await tx.execute(
        "select generation from backend.sessions where vendor = %s and serial = %s and session = %s and ended is null",
        (attempt.vendor, attempt.serial, _digest(session)),
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def _before(tx: AsyncConnection[Any], attempt: SignIn) -> ContactAnswer | None:
    """What this contact was answered, or `RefusalError` where it was another container's."""
    cursor = await tx.execute(
        "select serial, answer from backend.contacts where vendor = %s and contact = %s",
        (attempt.vendor, attempt.contact),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    serial, answer = row
    if serial != attempt.serial:
        raise RefusalError(
            Code.CONTRADICTS_INVENTORY,
            f"contact number {attempt.contact} was used before, by container {serial}; give a new contact a new number",
        )
    return ContactAnswer.model_validate(answer)


async def _refuse(tx: AsyncConnection[Any], attempt: SignIn, code: Code) -> None:
    """Keep and state that a password was of no access data, or was not compared."""
    answer = ContactAnswer(refused=True, code=code)
    await tx.execute(
        "insert into backend.contacts (vendor, contact, serial, answer) values (%s, %s, %s, %s)",
        (attempt.vendor, attempt.contact, attempt.serial, Jsonb(answer.model_dump(mode="json"))),
    )
    refused = ContactRefused(
        contact=attempt.contact,
        serial=attempt.serial,
        occurred=attempt.at,
        how=Contact.SIGN_IN,
        cases=(),
        code=code,
    )
    await state(tx, attempt.vendor, attempt.serial, attempt.at, [refused])


def _digest(session: str) -> str:
    return sha256(session.encode()).hexdigest()
