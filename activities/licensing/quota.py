"""Recovery quotas: what policy may grant by itself, set aside under lock, in the caller's transaction."""

from datetime import datetime
from typing import Any, Final
from zlib import crc32

from psycopg import AsyncConnection

from activities.licensing.outbox import state
from activities.licensing.quota_rules import Recovery, allot, reserved
from activities.licensing.records import changed, lock_name
from events.backend_facts import RecoveryFreed
from events.ports.licensing_backend import CaseKey, Reservation, ReserveOrder

LOCKS: Final = 128
"""So many locks guard the subjects of a pot."""


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
    """Free what its quota had set aside for a case that recovers nothing."""
    freed = await changed(
        tx,
        "update backend.reservations set freed = true where vendor = %s and case_id = %s and not freed",
        *(key.vendor, key.case),
    )
    if freed:
        await state(tx, key.vendor, key.serial, at, [RecoveryFreed(case=key.case, serial=key.serial)])
