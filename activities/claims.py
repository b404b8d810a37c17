"""Claims: whose case a report is, in the caller's transaction, under the container's lock.

A claim is on the current generation of what is lost: `licence/LICENCE` for each licence in scope, or
`access_data/SERIAL` of a cloud container, whose licences stay.
"""

from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, cast
from uuid import uuid5

from psycopg import AsyncConnection

from activities.rows import LICENCE, Container, Licence, changed, every, lock_container, unknown_container
from events.envelope import NAMESPACE
from events.errors import Code, NotYetKnownError, RefusalError
from events.inbox import LicenceStatement, LossStatement
from events.licensing import CaseKey, Claim, Issued
from events.terms import Aim, CaseId, HolderId, Kind, Reporter, ReportId, Role, Scope, Serial, VendorId


def digest(stated: LossStatement) -> str:
    """Two statements with one number say the same when their digests are equal."""
    said = "/".join((stated.serial, stated.kind, stated.reason, stated.scope, *sorted(set(stated.licences))))
    return sha256(said.encode()).hexdigest()


async def claim(tx: AsyncConnection[Any], vendor: VendorId, stated: LossStatement, received: datetime) -> Claim:
    """One loss is one case: claim the report's id, and every generation in its scope."""
    container = await rightful(tx, vendor, stated.serial, stated.reporter)
    if container.kind != stated.kind:
        raise RefusalError(
            Code.KIND_MISMATCH, f"container {stated.serial} is of kind {container.kind}, not {stated.kind}"
        )
    if before := await _repeated(tx, vendor, stated):
        return before
    scope = await _in_scope(tx, vendor, stated, container)
    case = CaseId(str(uuid5(NAMESPACE, f"{vendor}/report/{stated.report}")))
    claimed = await _claimed_by(tx, vendor, stated, scope)
    if not scope and not claimed:
        raise holds_nothing(stated.serial)
    inserted = await changed(
        tx,
        "insert into backend.reports values (%s, %s, %s, %s, %s) on conflict do nothing",
        *(vendor, stated.report, digest(stated), claimed or case, received),
    )
    if not inserted:  # said of another container at the same instant
        return cast(Claim, await _repeated(tx, vendor, stated))
    key = CaseKey(vendor=vendor, case=claimed or case, serial=stated.serial)
    if claimed:
        tells, closed = await _tells(tx, key), await _is_closed(tx, key)
        return Claim(key=key, received=received, closed=closed, tells=tells, answer="joined")
    await tx.execute(
        "insert into backend.cases (vendor, case_id, serial, holder, scope, generation, received, reason)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s)",
        (vendor, case, stated.serial, container.holder, stated.scope, container.generation, received, stated.reason),
    )
    for name, generation in scope:
        await tx.execute(
            "insert into backend.claims (vendor, subject, generation, serial, case_id) values (%s, %s, %s, %s, %s)",
            (vendor, name, generation, stated.serial, case),
        )
    return Claim(key=key, received=received, tells=await _tells(tx, key), answer="opened")


def holds_nothing(serial: Serial) -> NotYetKnownError:
    """The answer for a loss of a container that holds no licence and never did, so that nothing can be recovered."""
    return NotYetKnownError(
        Code.NO_LICENCE, f"container {serial} holds no licence; state {LicenceStatement.type()} for it first"
    )


async def _in_scope(
    tx: AsyncConnection[Any], vendor: VendorId, stated: LossStatement, container: Container
) -> list[tuple[str, int]]:
    """The subjects in scope that are here now, at their current generations."""
    if container.kind is Kind.CLOUD:
        return [(f"{Aim.ACCESS_DATA}/{container.serial}", container.generation)]
    query = f"{LICENCE} where vendor = %s and serial = %s order by licence"
    here = {item.licence: item.generation for item in await every(tx, Licence, query, vendor, stated.serial)}
    if stated.scope is Scope.CONTAINER:
        return [(f"{Aim.LICENCE}/{name}", generation) for name, generation in here.items()]
    return [(f"{Aim.LICENCE}/{name}", here[name]) for name in sorted(set(stated.licences)) if name in here]


async def _claimed_by(
    tx: AsyncConnection[Any], vendor: VendorId, stated: LossStatement, scope: Sequence[tuple[str, int]]
) -> CaseId | None:
    """The case whose claim a report overlaps: on a generation that is here now, else on one that was recovered from
    here and that the report names, or could only mean because nothing else is here."""
    names, generations = [name for name, _ in scope], [generation for _, generation in scope]
    gone = {f"{Aim.LICENCE}/{name}" for name in stated.licences}.difference(names)
    recovered = await tx.execute(
        "select subject, case_id from backend.claims where vendor = %s and serial = %s and not freed"
        " and (subject = any(%s) or %s) order by generation desc, subject",
        (vendor, stated.serial, sorted(gone), not names and stated.scope is Scope.CONTAINER),
    )
    former = await recovered.fetchall()
    if missing := gone.difference(name for name, _ in former):
        raise NotYetKnownError(
            Code.UNKNOWN_LICENCE,
            f"container {stated.serial} holds no {', '.join(sorted(missing))};"
            f" state {LicenceStatement.type()} for it first",
        )
    cursor = await tx.execute(
        "select found.case_id from unnest(%s::text[], %s::integer[]) as scope (subject, generation) cross join lateral"
        " (select case_id, serial from backend.claims k where k.vendor = %s and k.subject = scope.subject"
        " and k.generation = scope.generation and not k.freed limit 1) found"
        " where found.serial = %s order by scope.generation desc, scope.subject limit 1",
        (names, generations, vendor, stated.serial),
    )
    if row := await cursor.fetchone():
        return CaseId(row[0])
    return CaseId(former[0][1]) if former else None


async def _tells(tx: AsyncConnection[Any], key: CaseKey) -> tuple[CaseKey, ...]:
    """The open cases whose replacement this case claims: it was lost in turn."""
    cursor = await tx.execute(
        "select distinct c.case_id, c.serial from backend.claims k"
        " join backend.issues i on (i.vendor, i.generation) = (k.vendor, k.generation)"
        " and i.licence = substr(k.subject, %s) and not i.reinstated"
        " join backend.cases c on (c.vendor, c.case_id) = (i.vendor, i.case_id) and c.closed is null"
        " where k.vendor = %s and k.case_id = %s and c.case_id <> k.case_id order by c.case_id",
        (len(f"{Aim.LICENCE}/") + 1, key.vendor, key.case),
    )
    return tuple(CaseKey(vendor=key.vendor, case=case, serial=serial) for case, serial in await cursor.fetchall())


async def rightful(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, reporter: Reporter) -> Container:
    """The container, locked, for its holder or a back-office system; to everybody else it is unknown."""
    container = await lock_container(tx, vendor, serial)
    if reporter.role is Role.HOLDER and str(reporter.name) != container.holder:
        raise unknown_container(serial)
    return container


async def open_cases(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, reporter: Reporter) -> list[CaseKey]:
    """The cases that claim a container."""
    await rightful(tx, vendor, serial, reporter)
    cursor = await tx.execute(
        "select distinct case_id from backend.claims where vendor = %s and serial = %s and not freed",
        (vendor, serial),
    )
    return [CaseKey(vendor=vendor, case=case, serial=serial) for (case,) in await cursor.fetchall()]


async def case_of_report(
    tx: AsyncConnection[Any], vendor: VendorId, report: ReportId, serial: Serial, reporter: Reporter
) -> CaseKey:
    """The case that a report about this container belongs to."""
    await rightful(tx, vendor, serial, reporter)
    cursor = await tx.execute(
        "select c.case_id from backend.reports r join backend.cases c on (c.vendor, c.case_id) = (r.vendor, r.case_id)"
        " where r.vendor = %s and r.report = %s and c.serial = %s",
        (vendor, report, serial),
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotYetKnownError(
            Code.NO_CASE, f"no report {report} of container {serial} is known; report its loss first"
        )
    return CaseKey(vendor=vendor, case=row[0], serial=serial)


async def _is_closed(tx: AsyncConnection[Any], key: CaseKey) -> bool:
    cursor = await tx.execute(
        "select closed is not null from backend.cases where vendor = %s and case_id = %s", (key.vendor, key.case)
    )
    (closed,) = cast(tuple[bool], await cursor.fetchone())
    return closed


async def _repeated(tx: AsyncConnection[Any], vendor: VendorId, stated: LossStatement) -> Claim | None:
    """The answer to a report whose number is taken: its case, or `RefusalError` when it said something else."""
    cursor = await tx.execute(
        "select r.digest, r.case_id, c.serial, r.received, c.closed is not null"
        " from backend.reports r join backend.cases c on (c.vendor, c.case_id) = (r.vendor, r.case_id)"
        " where r.vendor = %s and r.report = %s",
        (vendor, stated.report),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    known, case, serial, received, closed = row
    if known != digest(stated):
        raise RefusalError(
            Code.REPORT_ID_TAKEN,
            f"report {stated.report} was made before and said something else; give a new statement a new number",
        )
    key = CaseKey(vendor=vendor, case=case, serial=serial)
    tells = () if closed else await _tells(tx, key)
    return Claim(key=key, received=received, closed=closed, tells=tells, answer="repeated")


async def holder_of(tx: AsyncConnection[Any], key: CaseKey) -> HolderId:
    """The holder from whom the container of the case was lost."""
    cursor = await tx.execute(
        "select holder from backend.cases where vendor = %s and case_id = %s", (key.vendor, key.case)
    )
    row = await cursor.fetchone()
    if row is None:
        raise RefusalError(Code.UNKNOWN_CASE, f"no report has claimed anything for case {key.case}")
    return HolderId(row[0])


async def nobody_claims(tx: AsyncConnection[Any], key: CaseKey, last: Issued) -> None:
    """Refuse where the replacement is another case's loss by now."""
    cursor = await tx.execute(
        "select found.case_id from unnest(%s::text[], %s::integer[]) as last (subject, generation) cross join lateral"
        " (select case_id from backend.claims k where k.vendor = %s and k.subject = last.subject"
        " and k.generation = last.generation and not k.freed limit 1) found where found.case_id <> %s limit 1",
        (
            *([f"{Aim.LICENCE}/{item.licence}" for item in last.licences], [item.generation for item in last.licences]),
            *(key.vendor, key.case),
        ),
    )
    if row := await cursor.fetchone():
        raise RefusalError(Code.REPLACEMENT_LOST, f"the replacement was reported lost too, in case {row[0]}")
