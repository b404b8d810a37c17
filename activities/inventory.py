"""Inventory: what the vendor's own licensing says of containers and licences, in the caller's transaction."""

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from activities.issuing import status_indices
from activities.leases import first_notice
from activities.outbox import state
from activities.rows import LICENCE, LICENCE_COLUMNS, Licence, changed, lock_container, lock_holder, must_have_room, one
from events.backend_facts import ContainerRegistered
from events.errors import Code, NotYetKnownError, RefusalError
from events.inbox import ContainerStatement, LicenceStatement
from events.terms import VendorId


async def register_container(
    tx: AsyncConnection[Any], vendor: VendorId, stated: ContainerStatement, at: datetime
) -> None:
    """Take a container into the inventory; a second statement must agree with the first."""
    await lock_holder(tx, vendor, stated.holder)
    await _known_vendor(tx, vendor)
    fingerprint = Jsonb(stated.fingerprint) if stated.fingerprint else None
    added = await changed(
        tx,
        "insert into backend.containers (vendor, serial, kind, holder, fingerprint) values (%s, %s, %s, %s, %s)"
        " on conflict do nothing",
        *(vendor, stated.serial, stated.kind, stated.holder, fingerprint),
    )
    if not added:
        return await _must_agree(tx, vendor, stated)
    if fingerprint:
        await tx.execute(
            "insert into backend.activations values (%s, %s, 1, %s, null, %s)",
            (vendor, stated.serial, fingerprint, at),
        )
    fact = ContainerRegistered(
        serial=stated.serial, kind=stated.kind, holder=stated.holder, fingerprint=stated.fingerprint
    )
    return await state(tx, vendor, stated.serial, at, [fact])


async def _must_agree(tx: AsyncConnection[Any], vendor: VendorId, stated: ContainerStatement) -> None:
    known = await lock_container(tx, vendor, stated.serial)
    cursor = await tx.execute(
        "select fingerprint from backend.activations where vendor = %s and serial = %s and generation = 1",
        (vendor, stated.serial),
    )
    (fingerprint,) = await cursor.fetchone() or (None,)
    if (known.kind, known.holder, fingerprint) != (stated.kind, stated.holder, stated.fingerprint):
        raise RefusalError(
            Code.CONTRADICTS_INVENTORY,
            f"container {stated.serial} is registered already, as another kind, to another holder or machine",
        )


async def _known_vendor(tx: AsyncConnection[Any], vendor: VendorId) -> None:
    cursor = await tx.execute("select from backend.vendors where vendor = %s", (vendor,))
    if await cursor.fetchone() is None:
        raise NotYetKnownError(
            Code.UNKNOWN_VENDOR, f"vendor {vendor} is unknown; add it with `lostfound vendor add {vendor}`"
        )


async def register_licence(tx: AsyncConnection[Any], vendor: VendorId, stated: LicenceStatement, at: datetime) -> None:
    """Take a licence of the vendor's own issue into the inventory; said again it changes nothing."""
    container = await lock_container(tx, vendor, stated.serial)
    expires = stated.lease.expiry(stated.issued)
    added = await one(
        tx,
        Licence,
        "insert into backend.licences (vendor, licence, generation, serial, product, ticket, value_cents, lease,"
        " issued, first_issued, borrowed_until, expires, lease_next)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing"
        f" returning {LICENCE_COLUMNS}",
        *(vendor, stated.licence, stated.generation, stated.serial, stated.product, stated.ticket),
        *(stated.value_cents, Jsonb(stated.lease.model_dump(mode="json")), stated.issued, stated.issued),
        *(stated.borrowed_until, expires, first_notice(stated.lease, stated.issued, expires)),
    )
    if added is None:
        known = await one(tx, Licence, f"{LICENCE} where vendor = %s and licence = %s", vendor, stated.licence)
        if known is None or (known.product, known.ticket) != (stated.product, stated.ticket):
            raise RefusalError(
                Code.CONTRADICTS_INVENTORY,
                f"licence {stated.licence} is known already, with another product or ticket",
            )
        return
    must_have_room(container, 1)
    await tx.execute(
        "update backend.containers set licences = licences + 1 where vendor = %s and serial = %s",
        (vendor, stated.serial),
    )
    await state(tx, vendor, stated.serial, at, [added.issued_fact(container.holder)])
    if expires is not None:  # it will be renewed: its files point into the status list
        status = await status_indices(tx, vendor, 1)
        await tx.execute(
            "update backend.licences set status_index = %s where vendor = %s and licence = %s",
            (status.first, vendor, stated.licence),
        )
