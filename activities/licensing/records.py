"""Locks, and the columns and rows of the backend's tables, in the caller's transaction."""

from collections.abc import Sequence
from typing import Any, TypeVar

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import class_row

from activities.licensing.containers import Container, LostLicence, unknown_container
from events.ports.licensing_backend import CaseKey
from events.terms import Aim, HolderId, Serial, VendorId, is_name

Row = TypeVar("Row")

CONTAINER_COLUMNS = "serial, kind, holder, licences, last_contact, generation, fingerprint, returned"
CONTAINER = f"select {CONTAINER_COLUMNS} from backend.containers"
LICENCE_COLUMNS = (
    "licence, generation, serial, product, ticket, value_cents, lease, issued, expires, borrowed_until, ends,"
    " status_index, lease_stage, first_issued, ended"
)
LICENCE_SUBJECT = f"{Aim.LICENCE}/"
LICENCE = f"select {LICENCE_COLUMNS} from backend.licences"


async def lock_name(tx: AsyncConnection[Any], vendor: VendorId, name: str) -> None:
    """Take the lock of this name, until the transaction ends."""
    await tx.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{vendor}/{name}",))


async def lock_holder(tx: AsyncConnection[Any], vendor: VendorId, holder: HolderId) -> None:
    """Take the lock that orders registering an empty container of a holder and searching for one."""
    await lock_name(tx, vendor, f"holder/{holder}")


async def lock_container(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> Container:
    """The container, locked; `NotYetKnownError` where there is none, or what was typed cannot be a serial."""
    if not is_name(serial):
        raise unknown_container(serial)
    found = await one(tx, Container, f"{CONTAINER} where vendor = %s and serial = %s for update", vendor, serial)
    if found is None:
        raise unknown_container(serial)
    return found


async def lost_licences(tx: AsyncConnection[Any], key: CaseKey) -> list[LostLicence]:
    """The licences that a case claims, in the order of their names; none where it claims access data."""
    # A look-up for each claim, whatever PostgreSQL takes the tables' sizes for.
    found = await every(
        tx,
        LostLicence,
        "select l.licence, k.generation, l.ticket, l.ended is not null as ended from backend.claims k"
        " cross join lateral (select licence, ticket, ended from backend.licences"
        " where vendor = k.vendor and licence = substr(k.subject, %s) limit 1) l"
        " where k.vendor = %s and k.case_id = %s and starts_with(k.subject, %s)",
        *(len(LICENCE_SUBJECT) + 1, key.vendor, key.case, LICENCE_SUBJECT),
    )
    return sorted(found, key=lambda item: item.licence)


async def one(tx: AsyncConnection[Any], row: type[Row], query: str, *values: object) -> Row | None:
    """The one row of a query, or None."""
    cursor: AsyncCursor[Row] = tx.cursor(row_factory=class_row(row))
    await cursor.execute(query, values)
    return await cursor.fetchone()


async def every(tx: AsyncConnection[Any], row: type[Row], query: str, *values: object) -> list[Row]:
    """All rows of a query."""
    cursor: AsyncCursor[Row] = tx.cursor(row_factory=class_row(row))
    await cursor.execute(query, values)
    return await cursor.fetchall()


def columns(rows: Sequence[tuple[Any, ...]], count: int) -> list[list[Any]]:
    """Rows of so many values as one list a column, for `unnest`."""
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(count)]


async def changed(tx: AsyncConnection[Any], query: str, *values: object) -> int:
    """How many rows a statement inserted or updated; asked this way it is known within a pipeline too."""
    cursor = await tx.execute(f"{query} returning 1", values)
    return len(await cursor.fetchall())
