"""Inventory: what the vendor's own licensing says of containers and licences, in the caller's transaction."""

from datetime import datetime
from typing import Any, cast

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from activities.licensing.containers import Licence, must_have_room
from activities.licensing.inventory_rules import fields_of, must_agree, must_be_pseudonym, unknown_vendor
from activities.licensing.issuance import status_indices
from activities.licensing.lease_rules import first_notice
from activities.licensing.outbox import position, state
from activities.licensing.records import LICENCE_COLUMNS, changed, lock_container, lock_holder, one
from activities.licensing.targets import offer
from events.backend_facts import ContainerRegistered
from events.statements import ContainerStatement, LicenceStatement
from events.stream_position import StreamPosition
from events.terms import Kind, LicenceId, Serial, VendorId


async def register_container(
    tx: AsyncConnection[Any], vendor: VendorId, statement: ContainerStatement, at: datetime
) -> StreamPosition:
    """Take a container into the inventory; a second statement must agree with the first."""
    await lock_holder(tx, vendor, statement.holder)
    await _known_vendor(tx, vendor)
    fingerprint = Jsonb(statement.fingerprint) if statement.fingerprint else None
    added = await changed(
        tx,
        "insert into backend.containers (vendor, serial, kind, holder, fingerprint, stated)"
        " values (%s, %s, %s, %s, %s, %s) on conflict do nothing",
        *(vendor, statement.serial, statement.kind, statement.holder, fingerprint),
        Jsonb(statement.model_dump(mode="json")),
    )
    if not added:
        must_agree(await _first_of_container(tx, vendor, statement.serial), statement)
        return await position(tx, vendor, statement.serial)
    must_be_pseudonym(statement)
    if fingerprint:
        await tx.execute(
            "insert into backend.activations values (%s, %s, 1, %s, null, %s)",
            (vendor, statement.serial, fingerprint, at),
        )
    fact = ContainerRegistered(
        serial=statement.serial, kind=statement.kind, holder=statement.holder, fingerprint=statement.fingerprint
    )
    stands = await state(tx, vendor, statement.serial, at, [fact])
    await offer(tx, vendor, statement.holder, [statement.serial], at)
    return cast(StreamPosition, stands)


async def _first_of_container(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> dict[str, object]:
    """What was first stated of a container; it was not kept for those that were stated long ago."""
    cursor = await tx.execute(
        "select stated, kind, holder, (select fingerprint from backend.activations a"
        " where (a.vendor, a.serial, a.generation) = (c.vendor, c.serial, 1))"
        " from backend.containers c where vendor = %s and serial = %s",
        (vendor, serial),
    )
    statement, kind, holder, fingerprint = cast(tuple[Any, str, str, Any], await cursor.fetchone())
    if statement is not None:
        return fields_of(ContainerStatement.model_validate(statement))
    return {"kind": Kind(kind), "holder": holder, "fingerprint": fingerprint}


async def _first_of_licence(tx: AsyncConnection[Any], vendor: VendorId, licence: LicenceId) -> dict[str, object]:
    """What was first stated of a licence; of those that were stated long ago only this was kept."""
    cursor = await tx.execute(
        "select stated, product, ticket, value_cents from backend.licences where vendor = %s and licence = %s",
        (vendor, licence),
    )
    statement, product, ticket, value_cents = cast(tuple[Any, str, str, int], await cursor.fetchone())
    if statement is not None:
        return fields_of(LicenceStatement.model_validate(statement))
    return {"product": product, "ticket": ticket, "value_cents": value_cents}


async def _known_vendor(tx: AsyncConnection[Any], vendor: VendorId) -> None:
    cursor = await tx.execute("select from backend.vendors where vendor = %s", (vendor,))
    if await cursor.fetchone() is None:
        raise unknown_vendor(vendor)


async def register_licence(
    tx: AsyncConnection[Any], vendor: VendorId, statement: LicenceStatement, at: datetime
) -> StreamPosition:
    """Take a licence of the vendor's own issue into the inventory; a second statement must agree with the first."""
    container = await lock_container(tx, vendor, statement.serial)
    expires = statement.lease.expiry(statement.issued)
    added = await one(
        tx,
        Licence,
        "insert into backend.licences (vendor, licence, generation, serial, product, ticket, value_cents, lease,"
        " issued, first_issued, borrowed_until, expires, lease_next, stated)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing"
        f" returning {LICENCE_COLUMNS}",
        *(vendor, statement.licence, statement.generation, statement.serial, statement.product, statement.ticket),
        *(statement.value_cents, Jsonb(statement.lease.model_dump(mode="json")), statement.issued, statement.issued),
        *(statement.borrowed_until, expires, first_notice(statement.lease, statement.issued, expires)),
        Jsonb(statement.model_dump(mode="json")),
    )
    if added is None:
        must_agree(await _first_of_licence(tx, vendor, statement.licence), statement)
        return await position(tx, vendor, statement.serial)
    must_have_room(container, 1)
    await tx.execute(
        "update backend.containers set licences = licences + 1 where vendor = %s and serial = %s",
        (vendor, statement.serial),
    )
    stands = await state(tx, vendor, statement.serial, at, [added.issued_fact(container.holder)])
    if expires is not None:  # it will be renewed: its files point into the status list
        status = await status_indices(tx, vendor, 1)
        await tx.execute(
            "update backend.licences set status_index = %s where vendor = %s and licence = %s",
            (status.first, vendor, statement.licence),
        )
    return cast(StreamPosition, stands)
