"""Claims: whose case a report is, each in the caller's transaction, under the container's lock."""

from datetime import datetime
from typing import Any, cast

from psycopg import AsyncConnection

from events.errors import Code, RefusalError
from events.inbox import LossStatement
from events.ports import CaseKey, Claim
from events.terms import CaseId, HolderId, Serial, VendorId


async def claimed_by(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> CaseId | None:
    """The case whose claim a report on this container overlaps: on a licence in it or, when it is empty now, on one
    that was recovered from it."""
    cursor = await tx.execute(
        "select c.case_id from backend.claims c"
        " left join backend.licences l on (l.vendor, l.licence, l.generation) = (c.vendor, c.licence, c.generation)"
        " and l.serial = c.serial"
        " where c.vendor = %(vendor)s and c.serial = %(serial)s and not c.freed and (l.licence is not null or not"
        " exists (select from backend.licences i where i.vendor = %(vendor)s and i.serial = %(serial)s))"
        " order by c.generation desc, c.licence limit 1",
        {"vendor": vendor, "serial": serial},
    )
    row = await cursor.fetchone()
    return CaseId(row[0]) if row else None


async def is_closed(tx: AsyncConnection[Any], key: CaseKey) -> bool:
    """Whether the case is over."""
    cursor = await tx.execute(
        "select closed is not null from backend.cases where vendor = %s and case_id = %s", (key.vendor, key.case)
    )
    (closed,) = cast(tuple[bool], await cursor.fetchone())
    return closed


async def repeated(tx: AsyncConnection[Any], vendor: VendorId, stated: LossStatement, digest: str) -> Claim:
    """The answer to a report whose number is taken: its case, or `RefusalError` when it said something else."""
    cursor = await tx.execute(
        "select r.digest, r.case_id, c.serial, r.received, c.closed is not null"
        " from backend.reports r join backend.cases c on (c.vendor, c.case_id) = (r.vendor, r.case_id)"
        " where r.vendor = %s and r.report = %s",
        (vendor, stated.report),
    )
    known, case, serial, received, closed = cast(tuple[str, CaseId, Serial, datetime, bool], await cursor.fetchone())
    if known != digest:
        raise RefusalError(
            Code.REPORT_ID_TAKEN,
            f"report {stated.report} was made before and said something else; give a new statement a new number",
        )
    key = CaseKey(vendor=vendor, case=case, serial=serial)
    return Claim(key=key, received=received, closed=closed, answer="repeated")


async def holder_of(tx: AsyncConnection[Any], key: CaseKey) -> HolderId:
    """The holder from whom the container of the case was lost."""
    cursor = await tx.execute(
        "select holder from backend.cases where vendor = %s and case_id = %s", (key.vendor, key.case)
    )
    row = await cursor.fetchone()
    if row is None:
        raise RefusalError(Code.UNKNOWN_CASE, f"no report has claimed anything for case {key.case}")
    return HolderId(row[0])
