"""Claims: whose case a report is, in the caller's transaction, under the container's lock.

A claim is on the current generation of what is lost: `licence/LICENCE` for each licence in scope, or
`access_data/SERIAL` of a cloud container, whose licences stay.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, cast
from uuid import uuid5

from psycopg import AsyncConnection

from activities.messages import Speaker, addressed, open_cases, post, post_to_each
from activities.outbox import state
from activities.rows import LICENCE, Container, Licence, changed, every, lock_container, unknown_container
from events.cases import REPORTS_LIMIT, Evidence, Joined, ReplacementGone, Sighting
from events.envelope import NAMESPACE
from events.errors import Code, NotYetKnownError, RefusalError
from events.inbox import EvidenceStatement, FoundStatement, LicenceStatement, LossStatement, ReturnStatement
from events.licensing import CaseKey, Claim, Issued
from events.terms import Aim, CaseId, Cause, HolderId, Kind, Reporter, Role, Scope, Serial, VendorId


def digest(stated: LossStatement) -> str:
    """Two statements with one number say the same when their digests are equal."""
    said = "/".join((stated.serial, stated.kind, stated.reason, stated.scope, *sorted(set(stated.licences))))
    return sha256(said.encode()).hexdigest()


async def claim(
    tx: AsyncConnection[Any], vendor: VendorId, stated: LossStatement, door: str, received: datetime
) -> Claim:
    """One loss is one case: claim the report's id, and every generation in its scope. The case's message says so."""
    container = await rightful(tx, vendor, stated.serial, stated.reporter)
    if container.kind != stated.kind:
        raise RefusalError(
            Code.KIND_MISMATCH, f"container {stated.serial} is of kind {container.kind}, not {stated.kind}"
        )
    return await _repeated(tx, vendor, stated) or await _claim(tx, container, vendor, stated, door, received)


async def claim_anew(
    tx: AsyncConnection[Any], vendor: VendorId, stated: LossStatement, door: str, received: datetime
) -> Claim:
    """Claim for a report whose case ended, before it took the report, without recovering anything."""
    container = await lock_container(tx, vendor, stated.serial)
    await tx.execute(
        "delete from backend.reports where vendor = %s and report = %s and role = %s and said_by = %s",
        (vendor, stated.report, stated.reporter.role, stated.reporter.name),
    )
    return await _claim(tx, container, vendor, stated, door, received)


async def _claim(
    tx: AsyncConnection[Any],
    container: Container,
    vendor: VendorId,
    stated: LossStatement,
    door: str,
    received: datetime,
) -> Claim:
    scope = await _in_scope(tx, vendor, stated, container)
    reporter = stated.reporter
    case = CaseId(str(uuid5(NAMESPACE, f"{vendor}/report/{reporter.role}/{reporter.name}/{stated.report}")))
    claimed = await _claimed_by(tx, vendor, stated, scope)
    if not scope and not claimed:
        raise holds_nothing(stated.serial)
    inserted = await changed(
        tx,
        "insert into backend.reports (vendor, report, role, said_by, digest, case_id, received)"
        " values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
        *(vendor, stated.report, reporter.role, reporter.name, digest(stated), claimed or case, received),
    )
    if not inserted:  # said of another container at the same instant
        return cast(Claim, await _repeated(tx, vendor, stated))
    key = CaseKey(vendor=vendor, case=claimed or case, serial=stated.serial)
    report = Joined(report=stated.reported(door, received))
    speaker = Speaker(reporter.name, reporter.role, door)
    if claimed:
        closed = not await _join(tx, key, report, received, speaker)
        return Claim(key=key, received=received, closed=closed, answer="joined")
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
    await post(tx, key, report, received, speaker)
    await post_to_each(tx, await _replaced_by(tx, key), ReplacementGone(to=case), received)
    return Claim(key=key, received=received, answer="opened")


async def _join(tx: AsyncConnection[Any], key: CaseKey, report: Joined, at: datetime, speaker: Speaker) -> bool:
    """Whether the case is open and learns of the report; of one that is over the backend states that it was made."""
    cursor = await tx.execute(
        "select closed is null, (select count(*) from backend.reports r"
        " where (r.vendor, r.case_id) = (c.vendor, c.case_id)) from backend.cases c"
        " where vendor = %s and case_id = %s",
        (key.vendor, key.case),
    )
    is_open, reports = cast(tuple[bool, int], await cursor.fetchone())
    if is_open and reports <= REPORTS_LIMIT and await post(tx, key, report, at, speaker):
        return True
    await state(tx, key.vendor, key.serial, at, [addressed(key, report, speaker, at)])
    return is_open


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
            f"container {stated.serial} does not hold {_licences_named(missing)};"
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


def _licences_named(subjects: Iterable[str]) -> str:
    names = sorted(subject.removeprefix(f"{Aim.LICENCE}/") for subject in subjects)
    return f"the licence{'s' if len(names) > 1 else ''} {', '.join(names)}"


async def _replaced_by(tx: AsyncConnection[Any], key: CaseKey) -> list[CaseKey]:
    """The open cases whose replacement this case claims: it was lost in turn."""
    cursor = await tx.execute(
        "select distinct c.case_id, c.serial from backend.claims k"
        " join backend.issues i on (i.vendor, i.generation) = (k.vendor, k.generation)"
        " and i.licence = substr(k.subject, %s) and not i.reinstated"
        " join backend.cases c on (c.vendor, c.case_id) = (i.vendor, i.case_id) and c.closed is null"
        " where k.vendor = %s and k.case_id = %s and c.case_id <> k.case_id order by c.case_id",
        (len(f"{Aim.LICENCE}/") + 1, key.vendor, key.case),
    )
    return [CaseKey(vendor=key.vendor, case=case, serial=serial) for case, serial in await cursor.fetchall()]


async def rightful(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, reporter: Reporter) -> Container:
    """The container, locked, for its holder or a back-office system; to everybody else it is unknown."""
    container = await lock_container(tx, vendor, serial)
    if reporter.role is Role.HOLDER and str(reporter.name) != container.holder:
        raise unknown_container(serial)
    return container


async def turn_up(
    tx: AsyncConnection[Any],
    vendor: VendorId,
    stated: FoundStatement | ReturnStatement,
    door: str,
    received: datetime,
) -> list[CaseKey]:
    """Say to every open case of a container that it turned up, the first time that this number says so."""
    cause = Cause.FOUND if isinstance(stated, FoundStatement) else Cause.RETURNED
    await rightful(tx, vendor, stated.serial, stated.reporter)
    content = Sighting(statement=f"{cause}/{stated.report}", cause=cause, occurred=stated.occurred)
    if not await _first_said(tx, vendor, stated.reporter, content.statement, stated.serial, received):
        return []
    speaker = Speaker(stated.reporter.name, stated.reporter.role, door)
    if keys := await open_cases(tx, vendor, stated.serial):
        for key in sorted(keys, key=lambda key: key.case):
            await post(tx, key, content, received, speaker)
        return keys
    cursor = await tx.execute(
        "select case_id from backend.cases where vendor = %s and serial = %s order by closed desc limit 1",
        (vendor, stated.serial),
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotYetKnownError(Code.NO_CASE, f"no case looks for container {stated.serial}; report its loss first")
    last = CaseKey(vendor=vendor, case=row[0], serial=stated.serial)
    await state(tx, vendor, stated.serial, received, [addressed(last, content, speaker, received)])
    return []


async def give_evidence(
    tx: AsyncConnection[Any], vendor: VendorId, stated: EvidenceStatement, door: str, received: datetime
) -> CaseKey:
    """Bring evidence to the case of a report, the first time that this number brings it."""
    reporter = stated.reporter
    key = await _case_of_report(tx, vendor, stated)
    content = Evidence(statement=f"evidence/{stated.statement}", by=reporter.name, evidence=stated.evidence)
    said = f"{key.case}/{'/'.join(sorted(stated.evidence))}"
    if await _first_said(tx, vendor, reporter, content.statement, said, received):
        speaker = Speaker(reporter.name, reporter.role, door)
        if await post(tx, key, content, received, speaker) is None:
            await state(tx, vendor, key.serial, received, [addressed(key, content, speaker, received)])
    return key


async def _first_said(
    tx: AsyncConnection[Any], vendor: VendorId, reporter: Reporter, statement: str, said: str, received: datetime
) -> bool:
    """Whether this number of this reporter is new; `RefusalError` where it said something else before."""
    kept = sha256(said.encode()).hexdigest()
    added = await changed(
        tx,
        "insert into backend.statements values (%s, %s, %s, %s, %s, %s) on conflict do nothing",
        *(vendor, reporter.role, reporter.name, statement, kept, received),
    )
    if added:
        return True
    cursor = await tx.execute(
        "select digest from backend.statements where vendor = %s and role = %s and said_by = %s and statement = %s",
        (vendor, reporter.role, reporter.name, statement),
    )
    row = await cursor.fetchone()
    if row is not None and row[0] != kept:
        number = statement.partition("/")[2]
        raise RefusalError(
            Code.REPORT_ID_TAKEN, f"number {number} said something else before; give a new statement a new number"
        )
    return False


async def _case_of_report(tx: AsyncConnection[Any], vendor: VendorId, stated: EvidenceStatement) -> CaseKey:
    """The case that a report about this container belongs to: the reporter's own report of this number, or else
    somebody's."""
    await rightful(tx, vendor, stated.serial, stated.reporter)
    cursor = await tx.execute(
        "select c.case_id from backend.reports r join backend.cases c on (c.vendor, c.case_id) = (r.vendor, r.case_id)"
        " where r.vendor = %s and r.report = %s and c.serial = %s"
        " order by (r.role, r.said_by) = (%s, %s) desc, r.received desc limit 1",
        (vendor, stated.report, stated.serial, stated.reporter.role, stated.reporter.name),
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotYetKnownError(
            Code.NO_CASE, f"no report {stated.report} of container {stated.serial} is known; report its loss first"
        )
    return CaseKey(vendor=vendor, case=row[0], serial=stated.serial)


async def _repeated(tx: AsyncConnection[Any], vendor: VendorId, stated: LossStatement) -> Claim | None:
    """The answer to a report whose number its reporter has used: its case, or `RefusalError` when it said something
    else. A number from before reporters were kept is everybody's."""
    cursor = await tx.execute(
        "select r.digest, r.case_id, c.serial, r.received, c.closed is not null"
        " from backend.reports r join backend.cases c on (c.vendor, c.case_id) = (r.vendor, r.case_id)"
        " where r.vendor = %s and r.report = %s and (r.role, r.said_by) in ((%s, %s), ('', ''))"
        " order by r.role desc limit 1",
        (vendor, stated.report, stated.reporter.role, stated.reporter.name),
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
    return Claim(key=key, received=received, closed=closed, answer="repeated")


async def holder_of(tx: AsyncConnection[Any], key: CaseKey) -> HolderId:
    """The holder from whom the container of the case was lost."""
    cursor = await tx.execute(
        "select holder from backend.cases where vendor = %s and case_id = %s", (key.vendor, key.case)
    )
    row = await cursor.fetchone()
    if row is None:
        raise RefusalError(Code.UNKNOWN_CASE, f"no case {key.case} is known here")
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
