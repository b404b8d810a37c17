"""Leases that nobody renewed: what `activities.licensing.lease_rules` says of them is stated, container by container.

A licence's row carries the next instant at which something is to be stated of its lease; a renewal sets it anew, and
a block puts it off until it is lifted.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any, cast

from psycopg import AsyncConnection

from activities.licensing.containers import Container, Licence
from activities.licensing.lease_rules import put_off, subjects_of, swept
from activities.licensing.measures import blocking
from activities.licensing.outbox import state
from activities.licensing.records import CONTAINER, LICENCE, every, one
from events.backend_facts import LeaseFact
from events.terms import LicenceId, Serial, VendorId


async def sweep(tx: AsyncConnection[Any], now: datetime, limit: int, processed: datetime) -> int:
    """State what leases have come to by `now`, at most `limit` of them; how many it were. Containers that somebody
    else works on are left to the next sweep. What is blocked when it is `processed` is put off."""
    cursor = await tx.execute(
        "select vendor, serial from backend.containers where (vendor, serial) in"
        " (select vendor, serial from backend.licences where lease_next <= %s order by lease_next limit %s)"
        " for update skip locked",
        (now, limit),
    )
    left = limit
    for vendor, serial in await cursor.fetchall():
        left -= await _sweep_container(tx, vendor, serial, now, left, processed)
    return limit - left


async def _sweep_container(
    tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, now: datetime, most: int, processed: datetime
) -> int:
    container = cast(
        Container, await one(tx, Container, f"{CONTAINER} where vendor = %s and serial = %s", vendor, serial)
    )
    licences = await every(
        tx,
        Licence,
        f"{LICENCE} where vendor = %s and serial = %s and lease_next <= %s order by lease_next, licence",
        *(vendor, serial, now),
    )
    measures = await blocking(tx, vendor, subjects_of(container, licences), max(now, processed))
    off = put_off(container, licences, {measure.subject for measure in measures})
    await _put_off(tx, vendor, off)
    facts: list[LeaseFact] = []
    for licence in licences:
        if licence.licence not in off and len(facts) < most:
            facts += await _sweep_licence(tx, vendor, licence, now, most - len(facts))
    await state(tx, vendor, serial, now, facts)
    return len(facts)


async def _put_off(tx: AsyncConnection[Any], vendor: VendorId, licences: Collection[LicenceId]) -> None:
    if licences:
        await tx.execute(
            "update backend.licences set lease_next = null where vendor = %s and licence = any(%s)",
            (vendor, sorted(licences)),
        )


async def _sweep_licence(
    tx: AsyncConnection[Any], vendor: VendorId, licence: Licence, now: datetime, most: int
) -> tuple[LeaseFact, ...]:
    found = swept(licence, now, most)
    await tx.execute(
        "update backend.licences set lease_next = %s, lease_stage = %s where vendor = %s and licence = %s",
        (found.following, found.stage, vendor, licence.licence),
    )
    return found.facts


async def resume(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> None:
    """Look again at the leases in a container of which a measure was lifted, or that has a new generation."""
    await tx.execute(
        "update backend.licences set lease_next = issued where vendor = %s and serial = %s and lease_next is null"
        " and expires is not null and lease_stage is distinct from 'lapsed'",
        (vendor, serial),
    )
