"""Rows of the backend's tables, and the locks under which they are read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import class_row

from events.backend_facts import LicenceIssued
from events.case_facts import LicenceInScope
from events.errors import Code, NotYetKnownError, RefusalError
from events.ports.licensing_backend import CaseKey
from events.sizes import CONTAINER_LICENCES
from events.terms import Aim, CaseId, HolderId, Kind, Lease, LicenceId, ProductId, Serial, Ticket, VendorId, is_name

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the inventory has it; `licences` is how many it holds, `generation` that of its activation or
    access data, `fingerprint` that of the machine it is bound to. Activations up to `returned` were given back."""

    serial: Serial
    kind: Kind
    holder: HolderId
    licences: int
    last_contact: datetime | None
    generation: int
    fingerprint: dict[str, str] | None
    returned: int

    def __post_init__(self) -> None:  # the driver gives the bare word
        object.__setattr__(self, "kind", Kind(self.kind))


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence as the inventory has it: its current generation, where that is, and until when its file runs.

    `first_issued` is when its first generation that is known here was issued, `issued` the current one. `ends` is the
    end of a stop-gap, which no renewal goes beyond. `status_index` is this generation's place in the
    vendor's status list, once it has one.
    """

    licence: LicenceId
    generation: int
    serial: Serial
    product: ProductId
    ticket: Ticket
    value_cents: int
    lease: dict[str, Any]
    issued: datetime
    expires: datetime | None
    borrowed_until: datetime | None
    ends: datetime | None
    status_index: int | None
    lease_stage: str | None
    first_issued: datetime

    @property
    def terms(self) -> Lease:
        """Its lease."""
        return Lease.model_validate(self.lease)

    def in_scope(self) -> LicenceInScope:
        """What a decision needs of it."""
        return LicenceInScope(
            licence=self.licence,
            generation=self.generation,
            product=self.product,
            ticket=self.ticket,
            value_cents=self.value_cents,
            expires=self.expires,
            borrowed_until=self.borrowed_until,
            first_issued=self.first_issued,
        )

    def issued_fact(self, holder: HolderId, case: CaseId | None = None, file: str | None = None) -> LicenceIssued:
        """That its generation was issued, to whom, and for which case with which file."""
        return LicenceIssued(
            licence=self.licence,
            generation=self.generation,
            serial=self.serial,
            holder=holder,
            product=self.product,
            ticket=self.ticket,
            value_cents=self.value_cents,
            lease=self.terms,
            issued=self.issued,
            expires=self.expires,
            case=case,
            file=file,
            stop_gap=self.ends is not None,
            borrowed_until=self.borrowed_until,
        )


@dataclass(frozen=True, slots=True)
class LostLicence:
    """A licence that a case claims, at the generation that it claims."""

    licence: LicenceId
    generation: int
    ticket: Ticket


CONTAINER_COLUMNS = "serial, kind, holder, licences, last_contact, generation, fingerprint, returned"
CONTAINER = f"select {CONTAINER_COLUMNS} from backend.containers"
LICENCE_COLUMNS = (
    "licence, generation, serial, product, ticket, value_cents, lease, issued, expires, borrowed_until, ends,"
    " status_index, lease_stage, first_issued"
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
        "select l.licence, k.generation, l.ticket from backend.claims k cross join lateral ("
        "select licence, ticket from backend.licences where vendor = k.vendor and licence = substr(k.subject, %s)"
        " limit 1) l where k.vendor = %s and k.case_id = %s and starts_with(k.subject, %s)",
        *(len(LICENCE_SUBJECT) + 1, key.vendor, key.case, LICENCE_SUBJECT),
    )
    return sorted(found, key=lambda item: item.licence)


def has_room(container: Container, licences: int) -> bool:
    """Whether so many more licences go into a container."""
    return container.licences + licences <= CONTAINER_LICENCES


def must_have_room(container: Container, licences: int) -> None:
    """Refuse to put so many more licences into a container that has no room for them."""
    if not has_room(container, licences):
        raise RefusalError(
            Code.CONTAINER_FULL,
            f"container {container.serial} holds {container.licences} licences and takes at most {CONTAINER_LICENCES};"
            f" put {'this one' if licences == 1 else f'these {licences}'} into another container",
            serial=container.serial,
            most=CONTAINER_LICENCES,
        )


def unknown_container(serial: Serial) -> NotYetKnownError:
    """The answer for a serial that is unknown and for one that the asker has no right to: they must not differ."""
    serial = serial if is_name(serial) else Serial(ascii(serial))
    return NotYetKnownError(Code.UNKNOWN_CONTAINER, f"no container {serial} is known here", serial=serial)


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
