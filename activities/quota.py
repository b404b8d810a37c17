"""Recovery quotas: what policy may grant by itself, set aside under lock, in the caller's transaction."""

from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from activities.outbox import state
from activities.rows import changed, lock_name
from events.backend_facts import RecoveryFreed, RecoveryReserved
from events.licensing import CaseKey, Reservation, ReserveOrder


async def reserve(tx: AsyncConnection[Any], order: ReserveOrder, at: datetime) -> Reservation:
    """One recovery for the case in each subject, or in none."""
    key = order.key
    for subject in sorted(order.subjects):
        await lock_name(tx, key.vendor, f"quota/{subject}")
    cursor = await tx.execute(
        "select reserved, ordinal, per_term from backend.reservations"
        " where vendor = %s and case_id = %s order by subject limit 1",
        (key.vendor, key.case),
    )
    if row := await cursor.fetchone():
        return Reservation(at=row[0], ordinal=row[1], limit=row[2])
    ordinals = [await free_ordinal(tx, order, subject) for subject in order.subjects]
    taken = [ordinal for ordinal in ordinals if ordinal is not None]
    if len(taken) < len(ordinals):
        return Reservation(at=at, ordinal=None, limit=order.limit)
    for subject in order.subjects:
        await tx.execute(
            "insert into backend.reservations values (%s, %s, %s, %s, %s, %s, %s)",
            (key.vendor, subject, key.case, max(taken), order.limit, order.received, at),
        )
    fact = RecoveryReserved(
        case=key.case, serial=key.serial, subjects=order.subjects, ordinal=max(taken), limit=order.limit
    )
    await state(tx, key.vendor, key.serial, at, [fact])
    return Reservation(at=at, ordinal=max(taken), limit=order.limit)


async def free_ordinal(tx: AsyncConnection[Any], order: ReserveOrder, subject: str) -> int | None:
    """The lowest ordinal that no recovery of the rolling term holds, or None when all are held."""
    cursor = await tx.execute(
        "select ordinal from backend.reservations where vendor = %s and subject = %s and not freed"
        " and received > %s and received <= %s",
        (
            *(order.key.vendor, subject),
            *(order.received - timedelta(days=order.term_days), order.received + timedelta(days=order.term_days)),
        ),
    )
    held = {ordinal for (ordinal,) in await cursor.fetchall()}
    if len(held) >= order.limit:
        return None
    return next(ordinal for ordinal in range(1, order.limit + 1) if ordinal not in held)


async def free(tx: AsyncConnection[Any], key: CaseKey, at: datetime) -> None:
    """Free the claims of a case that recovers nothing, and what its quota had set aside."""
    case = (key.vendor, key.case)
    await tx.execute("update backend.claims set freed = true where vendor = %s and case_id = %s", case)
    freed = await changed(
        tx, "update backend.reservations set freed = true where vendor = %s and case_id = %s and not freed", *case
    )
    if freed:
        await state(tx, key.vendor, key.serial, at, [RecoveryFreed(case=key.case, serial=key.serial)])
