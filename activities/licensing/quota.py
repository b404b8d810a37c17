"""Recovery quotas: what policy may grant by itself, set aside under lock, in the caller's transaction."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final
from zlib import crc32

from psycopg import AsyncConnection

from activities.licensing.outbox import state
from activities.licensing.quota_rules import Recovery, allot, allotted_before
from activities.licensing.records import changed, lock_name
from events.backend_facts import RecoveryFreed
from events.ports.licensing_backend import CaseKey, QuotaOrder, Reservation, ReserveOrder
from events.terms import PotName

LOCKS: Final = 128
"""So many locks guard all that a vendor's quotas are counted for."""
RECOVERY: Final = "select case_id, pot, subject, term_days, ordinal, received"


async def reserve(tx: AsyncConnection[Any], order: ReserveOrder, at: datetime) -> Reservation:
    """One recovery for the case in each subject of each quota, or in none; what the case has already is answered again.

    The locks are taken in the order of their numbers, whatever the order of the quotas: no two cases wait for each
    other.
    """
    key = order.key
    for number in sorted({_lock_of(quota.pot, subject) for quota in order.quotas for subject in quota.subjects}):
        await lock_name(tx, key.vendor, f"quota/{number}")
    cursor = await tx.execute(
        f"{RECOVERY}, reserved from backend.reservations where vendor = %s and case_id = %s", (key.vendor, key.case)
    )
    rows = await cursor.fetchall()
    own = [Recovery(*row[:-1]) for row in rows]
    if rows and (answer := allotted_before(order, own, rows[0][-1])):
        return answer
    allotment = allot(order, await _known(tx, order), at)
    made = allotment.recoveries
    await tx.execute(
        "insert into backend.reservations"
        " (vendor, case_id, received, reserved, pot, subject, term_days, ordinal)"
        " select %s, %s, %s, %s, o.pot, o.subject, o.term_days, o.ordinal"
        " from unnest(%s::text[], %s::text[], %s::integer[], %s::integer[])"
        " as o(pot, subject, term_days, ordinal)",
        (
            *(key.vendor, key.case, order.received, at),
            *([one.pot for one in made], [one.subject for one in made]),
            *([one.term_days for one in made], [one.ordinal for one in made]),
        ),
    )
    await state(tx, key.vendor, key.serial, at, allotment.facts)
    return allotment.answer


async def _known(tx: AsyncConnection[Any], order: ReserveOrder) -> list[Recovery]:
    """What is set aside in the pots of an order for its subjects, and not freed."""
    found = []
    for pot, subjects in _by_pot(order.quotas).items():
        cursor = await tx.execute(
            f"{RECOVERY} from backend.reservations where vendor = %s and subject = any(%s) and pot = %s and not freed",
            (order.key.vendor, list(subjects), pot),
        )
        found += [Recovery(*row) for row in await cursor.fetchall()]
    return found


def _by_pot(quotas: Iterable[QuotaOrder]) -> dict[PotName, set[str]]:
    subjects: dict[PotName, set[str]] = {}
    for quota in quotas:
        subjects.setdefault(quota.pot, set()).update(quota.subjects)
    return subjects


def _lock_of(pot: PotName, subject: str) -> int:
    """Which of the locks guards a subject in a pot. A case may have thousands of them, and PostgreSQL has few locks for
    all transactions together."""
    return crc32(f"{pot}/{subject}".encode()) % LOCKS


async def free(tx: AsyncConnection[Any], key: CaseKey, at: datetime) -> None:
    """Free what its quota had set aside for a case that recovers nothing."""
    freed = await changed(
        tx,
        "update backend.reservations set freed = true where vendor = %s and case_id = %s and not freed",
        *(key.vendor, key.case),
    )
    if freed:
        await state(tx, key.vendor, key.serial, at, [RecoveryFreed(case=key.case, serial=key.serial)])
