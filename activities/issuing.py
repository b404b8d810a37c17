"""Issuing: the next generation of every licence of a scope, in the caller's transaction, under its locks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from psycopg import AsyncConnection
from psycopg.rows import class_row

from activities.outbox import state
from activities.rows import Container, Licence
from activities.signing import LicenceFile, SigningKeys
from events.catalogue import LicenceInScope, LicenceIssued, LicenceSuperseded
from events.errors import Code, RefusalError
from events.ports import CaseKey, Issued, IssuedLicence, IssueOrder
from events.terms import Lease, Serial, VendorId


@dataclass(frozen=True, slots=True)
class _StatusRange:
    issuer: str
    first: int


async def must_be_blocked(tx: AsyncConnection[Any], order: IssueOrder) -> None:
    """Refuse to go on before the measures of the order stand."""
    cursor = await tx.execute(
        "select measure from backend.measures where vendor = %s and case_id = %s",
        (order.key.vendor, order.key.case),
    )
    missing = set(order.measures) - {measure for (measure,) in await cursor.fetchall()}
    if missing:
        raise RefusalError(
            Code.NOT_BLOCKED, f"case {order.key.case} may not be replaced before {', '.join(missing)} is ordered"
        )


async def issued(tx: AsyncConnection[Any], key: CaseKey) -> Issued | None:
    """What was issued for the case, or None."""
    cursor = await tx.execute(
        "select licence, generation, serial, issued from backend.issues where vendor = %s and case_id = %s"
        " order by licence",
        (key.vendor, key.case),
    )
    rows = await cursor.fetchall()
    if not rows:
        return None
    licences = tuple(IssuedLicence(licence=row[0], generation=row[1]) for row in rows)
    return Issued(at=rows[0][3], target=rows[0][2], licences=licences)


async def supersede(
    tx: AsyncConnection[Any], order: IssueOrder, target: Container, at: datetime, keys: SigningKeys, status_base: str
) -> None:
    """Issue the next generations into the target and state both sides."""
    key = order.key
    superseded: list[LicenceSuperseded] = []
    issued: list[LicenceIssued] = []
    status = await status_indices(tx, key.vendor, len(order.licences))
    for item in order.licences:
        licence = await next_generation(tx, key, item, target.serial, at)
        lease = Lease.model_validate(licence.lease)
        file = LicenceFile(
            issuer=status.issuer,
            container=target.serial,
            licence=licence.licence,
            generation=licence.generation,
            product=licence.product,
            ticket=licence.ticket,
            issued=at,
            expires=lease.expiry(at),
            status_uri=f"{status_base}/{key.vendor}/1",
            status_index=status.first + len(issued),
        )
        issued.append(
            LicenceIssued(
                licence=licence.licence,
                generation=licence.generation,
                serial=target.serial,
                holder=target.holder,
                product=licence.product,
                ticket=licence.ticket,
                value_cents=licence.value_cents,
                lease=lease,
                issued=at,
                expires=file.expires,
                case=key.case,
                file=keys.sign(key.vendor, file),
            )
        )
        superseded.append(
            LicenceSuperseded(licence=item.licence, generation=item.generation, serial=key.serial, case=key.case)
        )
    for serial, change in ((key.serial, -len(issued)), (target.serial, len(issued))):
        await tx.execute(
            "update backend.containers set licences = licences + %s where vendor = %s and serial = %s",
            (change, key.vendor, serial),
        )
    await state(tx, key.vendor, key.serial, at, superseded)
    await state(tx, key.vendor, target.serial, at, issued)


async def next_generation(
    tx: AsyncConnection[Any], key: CaseKey, item: LicenceInScope, target: Serial, at: datetime
) -> Licence:
    """Compare-and-set on the generation: a generation is superseded once, by one case."""
    cursor = tx.cursor(row_factory=class_row(Licence))
    await cursor.execute(
        "update backend.licences set generation = generation + 1, serial = %s, issued = %s"
        " where vendor = %s and licence = %s and generation = %s and serial = %s"
        " returning licence, generation, serial, product, ticket, value_cents, lease",
        (target, at, key.vendor, item.licence, item.generation, key.serial),
    )
    licence = await cursor.fetchone()
    if licence is None:
        raise RefusalError(
            Code.GENERATION_CONFLICT,
            f"licence {item.licence} is no longer at generation {item.generation} in {key.serial}",
        )
    await tx.execute(
        "insert into backend.issues values (%s, %s, %s, %s, %s, %s, %s)",
        (key.vendor, key.case, item.licence, item.generation, licence.generation, target, at),
    )
    return licence


async def status_indices(tx: AsyncConnection[Any], vendor: VendorId, count: int) -> _StatusRange:
    """Places in the status list of the vendor, so many."""
    cursor = tx.cursor(row_factory=class_row(_StatusRange))
    await cursor.execute(
        "update backend.vendors set next_status_index = next_status_index + %s where vendor = %s"
        " returning issuer, next_status_index - %s as first",
        (count, vendor, count),
    )
    return cast(_StatusRange, await cursor.fetchone())
