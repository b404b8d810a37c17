"""Rows of the backend's tables, and the locks under which they are read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import class_row

from events.catalogue import LicenceInScope
from events.errors import Code, NotYetKnownError
from events.inbox import ContainerStatement
from events.terms import HolderId, Kind, LicenceId, ProductId, Serial, Ticket, VendorId

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the inventory has it; `licences` is how many it holds."""

    serial: Serial
    kind: Kind
    holder: HolderId
    licences: int
    last_contact: datetime | None


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence as the inventory has it: its current generation and where that is."""

    licence: LicenceId
    generation: int
    serial: Serial
    product: ProductId
    ticket: Ticket
    value_cents: int
    lease: dict[str, Any]

    def in_scope(self) -> LicenceInScope:
        """What a decision needs of it."""
        return LicenceInScope(
            licence=self.licence,
            generation=self.generation,
            product=self.product,
            ticket=self.ticket,
            value_cents=self.value_cents,
        )


CONTAINER = "select serial, kind, holder, licences, last_contact from backend.containers"
LICENCE = "select licence, generation, serial, product, ticket, value_cents, lease from backend.licences"


async def lock_name(tx: AsyncConnection[Any], vendor: VendorId, name: str) -> None:
    """Take the lock of this name, until the transaction ends."""
    await tx.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{vendor}/{name}",))


async def lock_holder(tx: AsyncConnection[Any], vendor: VendorId, holder: HolderId) -> None:
    """Take the lock that orders registering an empty container of a holder and searching for one."""
    await lock_name(tx, vendor, f"holder/{holder}")


async def lock_container(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> Container:
    """The container, locked; `NotYetKnownError` where there is none."""
    found = await one(tx, Container, f"{CONTAINER} where vendor = %s and serial = %s for update", vendor, serial)
    if found is None:
        raise unknown_container(serial)
    return found


def unknown_container(serial: Serial) -> NotYetKnownError:
    """The answer for a serial that is unknown and for one that the asker has no right to: they must not differ."""
    return NotYetKnownError(
        Code.UNKNOWN_CONTAINER,
        f"no container {serial} is known here; state {ContainerStatement.type()} for it first",
    )


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
