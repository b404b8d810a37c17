"""Recovery quotas: what policy may grant by itself, set aside under lock, in the caller's transaction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from zlib import crc32

from psycopg import AsyncConnection

from activities.outbox import state
from activities.rows import changed, lock_name
from events.backend_facts import RecoveryFreed, RecoveryReserved
from events.licensing import CaseKey, Reservation, ReserveOrder
from events.sizes import LIST_PART, in_parts

LOCKS: Final = 128
"""So many locks guard the subjects of a pot."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """A recovery of a pot that was set aside for one subject and not freed."""

    subject: str
    ordinal: int
    received: datetime


def allot(order: ReserveOrder, known: Iterable[Recovery]) -> dict[str, int] | None:
    """The ordinal of the order's recovery for each of its subjects, or None where one of them has no recovery left.

    `known` are all recoveries of its pot for its subjects. One received at T counts against a report received at t when
    |t - T| < term, so no term of that length holds more than the limit, in whatever order reports arrive.
    """
    term = timedelta(days=order.term_days)
    counted: dict[str, list[int]] = {subject: [] for subject in order.subjects}
    for one in known:
        if one.subject in counted and abs(one.received - order.received) < term:
            counted[one.subject].append(one.ordinal)
    if any(len(ordinals) >= order.limit for ordinals in counted.values()):
        return None
    return {subject: _lowest_free(ordinals) for subject, ordinals in counted.items()}


def _lowest_free(ordinals: list[int]) -> int:
    """The lowest ordinal that none of them is; at most one more than there are."""
    return next(number for number in range(1, len(ordinals) + 2) if number not in ordinals)


def reserved(
    order: ReserveOrder, ordinals: Mapping[str, int], at: datetime
) -> tuple[list[RecoveryReserved], Reservation]:
    """What is stated and answered when these ordinals are set aside: of several the highest, which is the nearest to
    the limit."""
    ordinal = max(ordinals.values())
    facts = [
        RecoveryReserved(
            case=order.key.case,
            serial=order.key.serial,
            subjects=subjects,
            ordinal=ordinal,
            limit=order.limit,
            pot=order.pot,
            term_days=order.term_days,
            part=part,
            parts=parts,
        )
        for part, parts, subjects in in_parts(order.subjects, LIST_PART)
    ]
    return facts, Reservation(at=at, ordinal=ordinal, limit=order.limit)


async def reserve(tx: AsyncConnection[Any], order: ReserveOrder, at: datetime) -> Reservation:
    """One recovery for the case in each subject, or in none; what the case has already is answered again."""
    key = order.key
    for number in sorted({_lock_of(subject) for subject in order.subjects}):
        await lock_name(tx, key.vendor, f"quota/{order.pot}/{number}")
    cursor = await tx.execute(
        "select reserved, max(ordinal), per_term from backend.reservations where vendor = %s and case_id = %s"
        " group by reserved, per_term",
        (key.vendor, key.case),
    )
    if row := await cursor.fetchone():
        return Reservation(at=row[0], ordinal=row[1], limit=row[2])
    cursor = await tx.execute(
        "select subject, ordinal, received from backend.reservations"
        " where vendor = %s and subject = any(%s) and pot = %s and not freed",
        (key.vendor, list(order.subjects), order.pot),
    )
    ordinals = allot(order, [Recovery(*row) for row in await cursor.fetchall()])
    if ordinals is None:
        return Reservation(at=at, ordinal=None, limit=order.limit)
    await tx.execute(
        "insert into backend.reservations"
        " (vendor, pot, subject, case_id, ordinal, per_term, received, reserved)"
        " select %s, %s, o.name, %s, o.ordinal, %s, %s, %s from unnest(%s::text[], %s::integer[]) as o(name, ordinal)",
        (
            *(key.vendor, order.pot, key.case, order.limit, order.received, at),
            *(list(ordinals), list(ordinals.values())),
        ),
    )
    facts, answer = reserved(order, ordinals, at)
    await state(tx, key.vendor, key.serial, at, facts)
    return answer


def _lock_of(subject: str) -> int:
    """Which of the locks of a pot guards a subject. A case may have thousands of subjects, and PostgreSQL has few locks
    for all transactions together."""
    return crc32(subject.encode()) % LOCKS


async def free(tx: AsyncConnection[Any], key: CaseKey, at: datetime) -> None:
    """Free the claims of a case that recovers nothing, and what its quota had set aside."""
    case = (key.vendor, key.case)
    await tx.execute("update backend.claims set freed = true where vendor = %s and case_id = %s", case)
    freed = await changed(
        tx, "update backend.reservations set freed = true where vendor = %s and case_id = %s and not freed", *case
    )
    if freed:
        await state(tx, key.vendor, key.serial, at, [RecoveryFreed(case=key.case, serial=key.serial)])
