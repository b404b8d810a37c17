"""Signing in to a cloud container: a contact as any other, once the password says which access data it is of."""

import asyncio
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from typing import Any

from argon2.exceptions import VerificationError
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from activities.licensing.access_data import HASHER, cloud_container, derived, known
from activities.licensing.access_rules import (
    Access,
    SignIn,
    SignInKnown,
    can_be,
    compared,
    contact_of,
    contacted,
    judge_sign_in,
    refused_sign_in,
    signed_in,
    superseded_by,
)
from activities.licensing.contacts import contact
from activities.licensing.containers import Container
from activities.licensing.guesses import guesses_of, keep_guesses, time_of
from activities.licensing.issuance import Signer
from activities.licensing.judgement import refusal_facts
from activities.licensing.measures import blocking
from activities.licensing.message_rules import sighting
from activities.licensing.messages import post_to_each
from activities.licensing.outbox import state
from activities.licensing.records import changed
from events.errors import Code
from events.measure_subject import Subject
from events.ports.licensing_backend import Clock, ContactAnswer, SignInAnswer
from events.terms import Aim, Role


async def candidates(tx: AsyncConnection[Any], attempt: SignIn, clock: Clock | None) -> list[Access] | None:
    """The access data to compare a password with, the current ones first; None where it may not be compared."""
    container = await cloud_container(tx, attempt.vendor, attempt.serial)
    guesses = await guesses_of(tx, attempt.vendor, attempt.serial)
    if not guesses.may_guess(attempt.origin, await time_of(tx, clock)):
        return None
    return compared(container, await known(tx, attempt.vendor, attempt.serial))


async def recognise(candidates: list[Access], password: str) -> int | None:
    """The generation that a password is of. Takes tens of milliseconds, in a thread of its own."""

    if not can_be(password):
        password = ""  # compared all the same, so that the time taken says nothing

    def look() -> int | None:
        found = None
        for access in candidates:  # all of them, so that the time taken says nothing
            with suppress(VerificationError):
                HASHER.verify(access.password or "", password)
                found = found or access.generation
        return found

    return await asyncio.to_thread(look)


async def sign_in(
    tx: AsyncConnection[Any], attempt: SignIn, processed: datetime, signer: Signer, clock: Clock | None
) -> SignInAnswer:
    """Sign in, in the caller's transaction; said again, the same answer. `clock` counts guesses; without one it is
    PostgreSQL's."""
    vendor, serial, at = attempt.vendor, attempt.serial, attempt.at
    container = await cloud_container(tx, vendor, serial)
    found = await _found(tx, attempt, container, processed, signer, clock)
    judgement = judge_sign_in(attempt, found)
    if judgement.refused:
        await _refuse(tx, attempt, judgement.refused)
    if judgement.replayed and await _first_replay(tx, attempt):
        cases = judgement.replayed.cases
        said = refusal_facts(contacted(attempt), [key.case for key in cases], judgement.replayed.code)
        await state(tx, vendor, serial, at, said)
        await post_to_each(tx, cases, sighting(attempt.contact, at), at)
    answer = judgement.answer
    if answer is None:
        judged = await contact(tx, vendor, contact_of(attempt), at, processed, signer, by_password=True)
        answer = signed_in(judged, found.session)
        if answer.session is None:
            return answer
        await tx.execute(
            "insert into backend.sessions (vendor, serial, session, generation, started) values (%s, %s, %s, %s, %s)",
            (vendor, serial, _digest(found.session), attempt.generation, at),
        )
    if judgement.guesses != found.guesses:
        await keep_guesses(tx, vendor, serial, judgement.guesses)
    return answer


async def _found(
    tx: AsyncConnection[Any],
    attempt: SignIn,
    container: Container,
    processed: datetime,
    signer: Signer,
    clock: Clock | None,
) -> SignInKnown:
    """What is known under the container's lock: others may have guessed since the password was compared."""
    vendor, serial = attempt.vendor, attempt.serial
    session = derived(signer.keys, vendor, f"session/{serial}/{attempt.contact}")
    before = await _before(tx, attempt)
    blockers, later = [], None
    if before is not None and attempt.generation:
        blockers = await blocking(tx, vendor, [Subject(Aim.ACCESS_DATA, serial, attempt.generation)], processed)
        later = superseded_by(attempt, container, await known(tx, vendor, serial))
    return SignInKnown(
        session=session,
        now=await time_of(tx, clock),
        guesses=await guesses_of(tx, vendor, serial),
        before=before,
        opened=await _opened_by(tx, attempt, session) if before is not None else None,
        blocked_by=tuple(dict.fromkeys(measure.key(vendor) for measure in blockers)),
        superseded_by=later,
    )


async def _first_replay(tx: AsyncConnection[Any], attempt: SignIn) -> bool:
    """Whether this is the first time that blocked or superseded access data came under a number that was served."""
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
    """What this number was answered."""
    cursor = await tx.execute(
        "select answer from backend.contacts where vendor = %s and serial = %s and contact = %s and by_password",
        (attempt.vendor, attempt.serial, attempt.contact),
    )
    row = await cursor.fetchone()
    return ContactAnswer.model_validate(row[0]) if row else None


async def _refuse(tx: AsyncConnection[Any], attempt: SignIn, code: Code) -> None:
    """Keep and state that a password was of no access data, or was not compared."""
    answer, refused = refused_sign_in(attempt, code)
    await tx.execute(
        "insert into backend.contacts (vendor, contact, serial, answer, by_password) values (%s, %s, %s, %s, true)",
        (attempt.vendor, attempt.contact, attempt.serial, Jsonb(answer.model_dump(mode="json"))),
    )
    await state(tx, attempt.vendor, attempt.serial, attempt.at, [refused])


def _digest(session: str) -> str:
    return sha256(session.encode()).hexdigest()
