"""Targets: which containers may take a replacement, and which waiting cases are told when one comes to; in the caller's
transaction, under the lock on its holder. `activities.licensing.replacement` says what a container must be for that.

A container comes to be a target when it is registered, when licences are moved out of it, when no measure blocks it any
more, and when no open case is about all of it any more.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from activities.licensing.containers import Container
from activities.licensing.messages import post
from activities.licensing.records import CONTAINER, one
from activities.licensing.replacement import CONTAINERS, Wanted, may_take
from events.measure_life import sql_blocks
from events.measure_subject import Subject
from events.ports.loss_cases import Offer
from events.terms import Aim, CaseKey, HolderId, Kind, Scope, Serial, Target, VendorId


async def is_blocked(tx: AsyncConnection[Any], vendor: VendorId, container: Container) -> bool:
    """Whether a measure aims at it, be it in effect yet or not."""
    cursor = await tx.execute(
        f"select from backend.measures where vendor = %s and subject = %s and {sql_blocks()} limit 1",
        (vendor, str(Subject(Aim.CONTAINER, container.serial, container.generation))),
    )
    return await cursor.fetchone() is not None


async def is_lost(tx: AsyncConnection[Any], vendor: VendorId, container: Container) -> bool:
    """Whether an open case is about all of it."""
    cursor = await tx.execute(
        "select from backend.cases where vendor = %s and serial = %s and scope = %s and closed is null limit 1",
        (vendor, container.serial, Scope.CONTAINER),
    )
    return await cursor.fetchone() is not None


async def offer(
    tx: AsyncConnection[Any], vendor: VendorId, holder: HolderId, serials: Sequence[Serial], at: datetime
) -> None:
    """Say to the waiting cases of this holder that these containers may take their replacements, as far as they may.
    The last thing that a transaction does."""
    cursor = await tx.execute(
        "select c.case_id, c.serial, c.awaits, k.kind from backend.cases c"
        " join backend.containers k on (k.vendor, k.serial) = (c.vendor, c.serial)"
        " where c.vendor = %s and c.holder = %s and c.awaits = any(%s) and c.closed is null order by c.case_id",
        (vendor, holder, list(CONTAINERS)),
    )
    waiting = await cursor.fetchall()
    if not waiting:
        return
    spares = []
    for serial in serials:
        container = await one(tx, Container, f"{CONTAINER} where vendor = %s and serial = %s", vendor, serial)
        assert container is not None
        states = {
            "blocked": await is_blocked(tx, vendor, container),
            "lost": await is_lost(tx, vendor, container),
        }
        spares.append((container, states))
    for case, lost_from, target, kind in waiting:
        wanted = Wanted(Target(target), holder, Kind(kind), lost_from)
        for container, states in spares:
            if may_take(container, wanted, **states):
                key = CaseKey(vendor=vendor, case=case, serial=lost_from)
                await post(tx, key, Offer(serial=container.serial), at)
