"""What becomes of containers and licences, as the vendor's own licensing says; in the caller's transaction."""

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from activities.licensing.containers import Container, Licence
from activities.licensing.inventory_rules import changed, ended, is_news, unknown_licence, waits_in_vain
from activities.licensing.messages import post_to_each
from activities.licensing.outbox import position, state
from activities.licensing.records import LICENCE, lock_container, lost_licences, one
from events.ports.licensing_backend import CaseKey
from events.ports.loss_cases import Offer
from events.statements import InventoryChange, LicenceChangeStatement, LicenceEndStatement
from events.stream_position import StreamPosition
from events.terms import Aim, LicenceId, Serial, VendorId


class MovedMeanwhileError(Exception):
    """A licence left the container between the look at where it is and the lock on that: look again."""


async def change_licence(
    tx: AsyncConnection[Any], vendor: VendorId, statement: LicenceChangeStatement, at: datetime
) -> StreamPosition:
    """Take in the terms that a licence has from now on, and answer where that stands."""
    licence = (await _locked(tx, vendor, statement.licence))[1]
    if await _is_news(tx, vendor, statement):
        other, fact = changed(licence, statement)
        await tx.execute(
            "update backend.licences set product = %s, value_cents = %s, lease = %s, borrowed_until = %s"
            " where vendor = %s and licence = %s",
            (other.product, other.value_cents, Jsonb(other.lease), other.borrowed_until, vendor, other.licence),
        )
        await state(tx, vendor, licence.serial, at, [fact])
    return await position(tx, vendor, licence.serial)


async def end_licence(
    tx: AsyncConnection[Any], vendor: VendorId, statement: LicenceEndStatement, at: datetime, now: datetime
) -> StreamPosition:
    """Take in that the contract of a licence is over, and answer where that stands. Cases that wait to replace it, and
    nothing else, learn of it."""
    licence = (await _locked(tx, vendor, statement.licence))[1]
    if not await _is_news(tx, vendor, statement):
        return await position(tx, vendor, licence.serial)
    over, fact = ended(licence, statement, now)
    await tx.execute(
        "update backend.licences set ended = %s, lease_next = null where vendor = %s and licence = %s",
        (over.ended, vendor, licence.licence),
    )
    await state(tx, vendor, licence.serial, at, [fact])
    waiting = [key for key in await _waiting(tx, vendor, licence) if waits_in_vain(await lost_licences(tx, key))]
    await post_to_each(tx, waiting, Offer(serial=licence.serial), at)
    return await position(tx, vendor, licence.serial)


async def _locked(tx: AsyncConnection[Any], vendor: VendorId, name: LicenceId) -> tuple[Container, Licence]:
    """A licence, and the container that holds it, locked."""
    looked_up = await _licence(tx, vendor, name)
    container = await lock_container(tx, vendor, looked_up.serial)
    licence = await _licence(tx, vendor, name)
    if licence.serial != container.serial:
        raise MovedMeanwhileError
    return container, licence


async def _licence(tx: AsyncConnection[Any], vendor: VendorId, name: LicenceId) -> Licence:
    found = await one(tx, Licence, f"{LICENCE} where vendor = %s and licence = %s", vendor, name)
    if found is None:
        raise unknown_licence(name)
    return found


async def _is_news(tx: AsyncConnection[Any], vendor: VendorId, statement: InventoryChange) -> bool:
    """Whether a statement says something new; if so, it is the latest of its thing from now on."""
    about = (vendor, statement.thing, statement.name)
    cursor = await tx.execute(
        "select stated from backend.inventory_changes where (vendor, thing, name) = (%s, %s, %s)", about
    )
    row = await cursor.fetchone()
    if not is_news(type(statement).model_validate(row[0]) if row else None, statement):
        return False
    await tx.execute(
        "insert into backend.inventory_changes (vendor, thing, name, stated) values (%s, %s, %s, %s)"
        " on conflict (vendor, thing, name) do update set stated = excluded.stated",
        (*about, Jsonb(statement.model_dump(mode="json"))),
    )
    return True


async def _waiting(tx: AsyncConnection[Any], vendor: VendorId, licence: Licence) -> list[CaseKey]:
    """The open cases that wait for something to take this licence."""
    cursor = await tx.execute(
        "select c.case_id, c.serial from backend.claims k"
        " join backend.cases c on (c.vendor, c.case_id) = (k.vendor, k.case_id)"
        " where k.vendor = %s and k.subject = %s and k.generation = %s and not k.freed"
        " and c.awaits is not null and c.closed is null",
        (vendor, f"{Aim.LICENCE}/{licence.licence}", licence.generation),
    )
    return [CaseKey(vendor=vendor, case=case, serial=Serial(serial)) for case, serial in await cursor.fetchall()]
