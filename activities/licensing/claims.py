"""Claims: a report is looked up, claimed for and said to its case; in the caller's transaction, under the container's
lock. `activities.licensing.claim_rules` says whose case it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, cast
from uuid import uuid5

from psycopg import AsyncConnection

from activities.licensing.access_data import end_link
from activities.licensing.claim_rules import (
    Claimable,
    Claimed,
    Joins,
    Opens,
    Rest,
    may_turn_up,
    must_be_of_kind,
    must_be_rightful,
    orders_blacklisting,
    recovery_of,
    rejection,
    rest_of,
    said_otherwise,
    whose,
)
from activities.licensing.containers import Container
from activities.licensing.message_rules import Speaker, addressed, no_case_of, no_report, number_taken
from activities.licensing.messages import open_cases, post
from activities.licensing.outbox import state
from activities.licensing.records import changed, lock_container
from activities.licensing.vendors import in_force
from events.case_facts import LossReported
from events.envelope import NAMESPACE
from events.errors import Code, RefusalError
from events.ports.licensing_backend import CaseKey, Claim, Issued
from events.ports.loss_cases import REPORTS_LIMIT, Content, Evidence, Joined, Overtaken, ReplacementGone, Sighting
from events.statements import EvidenceStatement, FoundStatement, LossStatement, ReturnStatement
from events.terms import (
    Aim,
    CaseId,
    Cause,
    HolderId,
    LicenceId,
    Measure,
    Outcome,
    ProductId,
    Reporter,
    Serial,
    VendorId,
)


def digest(stated: LossStatement) -> str:
    """Two statements with one number say the same when their digests are equal."""
    said = "/".join((stated.serial, stated.kind, stated.reason, stated.scope, *sorted(set(stated.licences))))
    return sha256(said.encode()).hexdigest()


async def claim(
    tx: AsyncConnection[Any], vendor: VendorId, stated: LossStatement, door: str, received: datetime
) -> Claim:
    """One loss is one case: claim the report's id, and every generation in its scope. The case's message says so."""
    container = await rightful(tx, vendor, stated.serial, stated.reporter)
    must_be_of_kind(container, stated)
    return await _repeated(tx, vendor, stated) or await _claim(tx, container, vendor, stated, door, received)


async def claim_anew(tx: AsyncConnection[Any], over: CaseKey, report: LossReported) -> Claim | None:
    """Claim for a report that came when its case was decided and had not taken it; None where what it says is that
    case's all the same, which recovered it."""
    stated = statement_of(report)
    container = await lock_container(tx, over.vendor, stated.serial)
    found = await _whose(tx, container, over.vendor, stated)
    if found == Joins(over.case):
        return None
    await tx.execute(
        "delete from backend.reports where vendor = %s and report = %s and role = %s and said_by = %s",
        (over.vendor, stated.report, stated.reporter.role, stated.reporter.name),
    )
    return await _claim(tx, container, over.vendor, stated, report.door, report.received)


@dataclass(frozen=True, slots=True)
class Made:
    """A report that was made of a container: its `case` is `closed` by now, or was `opened` by it, or was not."""

    report: LossReported
    case: CaseId
    opened: bool
    closed: bool


async def made_since(tx: AsyncConnection[Any], over: CaseKey, decided: datetime) -> list[Made]:
    """The reports of a container that were received after a case of it was decided, and are other cases'."""
    cursor = await tx.execute(
        "select m.content -> 'report', c.case_id, m.number = 1, c.closed is not null from backend.cases c"
        " join backend.messages m on (m.vendor, m.case_id) = (c.vendor, c.case_id)"
        " join backend.reports r on (r.vendor, r.case_id) = (m.vendor, m.case_id)"
        " and r.report = m.content -> 'report' ->> 'report'"
        " and r.role = m.content -> 'report' -> 'reporter' ->> 'role'"
        " and r.said_by = m.content -> 'report' -> 'reporter' ->> 'name'"
        " where c.vendor = %s and c.serial = %s and c.case_id <> %s and m.content ->> 'type' = 'report'"
        " and m.accepted > %s order by m.accepted, m.case_id, m.number",
        (over.vendor, over.serial, over.case, decided),
    )
    return [
        Made(LossReported.model_validate(report), CaseId(case), opened, closed)
        for report, case, opened, closed in await cursor.fetchall()
    ]


async def claim_rest(tx: AsyncConnection[Any], over: CaseKey, made: Made) -> tuple[CaseKey | None, Rest]:
    """Claim for a report that is another case's what a case that is over has freed of it, in a further case; that case,
    and what it is about. Where there is only something to block, the case that the report opened has it."""
    stated = statement_of(made.report)
    container = await lock_container(tx, over.vendor, stated.serial)
    here, products = await _licences(tx, over.vendor, stated.serial)
    claimed = await _claimed(tx, over.vendor, stated.serial)
    _, policy = await in_force(tx, over.vendor)
    blacklists = orders_blacklisting(stated, products, policy)
    rest = rest_of(stated, container, here, claimed, made.case, over.case, blacklists=blacklists)
    if not rest.claims:
        return None, rest
    if made.opened and not made.closed and not rest.recovers:
        await _insert_claims(tx, over.model_copy(update={"case": made.case}), rest.claims)
        return None, rest
    key = over.model_copy(update={"case": further_case(over, made.report)})
    found = Opens(rest.claims, former=over.case, beside=(made.case,), rejected=rejection(rest.claims, claimed))
    await _open(tx, container, key, made.report, found)
    return key, rest


def further_case(over: CaseKey, report: LossReported) -> CaseId:
    """The case that is opened for what a case that is over had of a report which is another case's."""
    reporter = report.reporter
    name = f"{over.vendor}/case/{over.case}/report/{reporter.role}/{reporter.name}/{report.report}"
    return CaseId(str(uuid5(NAMESPACE, name)))


def statement_of(report: LossReported) -> LossStatement:
    """What was stated by a report."""
    return LossStatement.model_validate(report.model_dump(include=set(LossStatement.model_fields)))


async def _whose(
    tx: AsyncConnection[Any], container: Container, vendor: VendorId, stated: LossStatement
) -> Joins | Opens:
    here, products = await _licences(tx, vendor, stated.serial)
    _, policy = await in_force(tx, vendor)
    blacklists = orders_blacklisting(stated, products, policy)
    return whose(stated, container, here, await _claimed(tx, vendor, stated.serial), blacklists=blacklists)


async def _claim(
    tx: AsyncConnection[Any],
    container: Container,
    vendor: VendorId,
    stated: LossStatement,
    door: str,
    received: datetime,
) -> Claim:
    reporter = stated.reporter
    case = CaseId(str(uuid5(NAMESPACE, f"{vendor}/report/{reporter.role}/{reporter.name}/{stated.report}")))
    found = await _whose(tx, container, vendor, stated)
    inserted = await changed(
        tx,
        "insert into backend.reports (vendor, report, role, said_by, digest, case_id, received)"
        " values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
        *(vendor, stated.report, reporter.role, reporter.name, digest(stated)),
        *(found.case if isinstance(found, Joins) else case, received),
    )
    if not inserted:  # said of another container at the same instant
        return cast(Claim, await _repeated(tx, vendor, stated))
    report = stated.reported(door, received)
    if isinstance(found, Joins):
        key = CaseKey(vendor=vendor, case=found.case, serial=stated.serial)
        speaker = Speaker(reporter.name, reporter.role, door)
        closed = not await _join(tx, key, Joined(report=report), received, speaker)
        return Claim(key=key, received=received, closed=closed, answer="joined")
    key = CaseKey(vendor=vendor, case=case, serial=stated.serial)
    await _open(tx, container, key, report, found)
    gone = await _replaced_by(tx, key)
    met = [key.model_copy(update={"case": other}) for other in found.beside]
    contents: list[tuple[CaseKey, Content]] = [(other, ReplacementGone(to=case)) for other in gone]
    contents += [(other, Overtaken(by=case)) for other in met]
    for other, content in sorted(contents, key=lambda one: (one[0].case, one[1].type)):
        if isinstance(content, Overtaken):
            await overtake(tx, other, content, received)
        else:
            await post(tx, other, content, received)
    return Claim(key=key, received=received, answer="opened")


async def overtake(tx: AsyncConnection[Any], key: CaseKey, content: Overtaken, at: datetime) -> None:
    """Say to a case, if it is open, that a wider loss was reported; it issues nothing before it has taken that."""
    number = await post(tx, key, content, at)
    if number is not None:
        await tx.execute(
            "update backend.cases set overtaken = %s where vendor = %s and case_id = %s", (number, key.vendor, key.case)
        )


async def _open(
    tx: AsyncConnection[Any], container: Container, key: CaseKey, report: LossReported, found: Opens
) -> None:
    """Open a case with the report that is its first message."""
    await tx.execute(
        "insert into backend.cases (vendor, case_id, serial, holder, scope, generation, received, reason)"
        " values (%s, %s, %s, %s, %s, %s, %s, %s)",
        (
            *(key.vendor, key.case, key.serial, container.holder, report.scope, container.generation),
            *(report.received, report.reason),
        ),
    )
    for ended in found.ends:
        await _end_reset(tx, key.model_copy(update={"case": ended}), report.received)
    await _insert_claims(tx, key, found.claims)
    told = {"former": found.former, "beside": found.beside[0] if found.beside else None, "rejected": found.rejected}
    speaker = Speaker(report.reporter.name, report.reporter.role, report.door)
    await post(tx, key, Joined(report=report.model_copy(update=told)), report.received, speaker)


async def _insert_claims(tx: AsyncConnection[Any], key: CaseKey, claims: Sequence[Claimable]) -> None:
    await tx.execute(
        "insert into backend.claims (vendor, subject, generation, serial, case_id)"
        " select %s, subject, generation, %s, %s from unnest(%s::text[], %s::integer[]) as c (subject, generation)",
        (key.vendor, key.serial, key.case, [name for name, _ in claims], [number for _, number in claims]),
    )


async def _licences(
    tx: AsyncConnection[Any], vendor: VendorId, serial: Serial
) -> tuple[dict[LicenceId, int], dict[LicenceId, ProductId]]:
    """The licences in a container, by name: their generations, and their products."""
    cursor = await tx.execute(
        "select licence, generation, product from backend.licences where vendor = %s and serial = %s order by licence",
        (vendor, serial),
    )
    found = await cursor.fetchall()
    return {LicenceId(row[0]): row[1] for row in found}, {LicenceId(row[0]): ProductId(row[2]) for row in found}


async def _claimed(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> list[Claimed]:
    """All that cases of a container claim or claimed."""
    cursor = await tx.execute(
        "select k.subject, k.generation, k.case_id, c.received, c.reason, k.freed, c.closed is not null, c.outcome,"
        " c.approved, o.kind"
        " from backend.claims k join backend.cases c on (c.vendor, c.case_id) = (k.vendor, k.case_id)"
        " join backend.containers o on (o.vendor, o.serial) = (k.vendor, k.serial)"
        " where k.vendor = %s and k.serial = %s order by k.generation desc, k.subject",
        (vendor, serial),
    )
    return [
        Claimed(
            *(subject, generation, CaseId(case), received, recovery_of(kind, reason), freed, closed),
            Outcome(outcome) if outcome else None,
            approved,
        )
        for subject, generation, case, received, reason, freed, closed, outcome, approved, kind in (
            await cursor.fetchall()
        )
    ]


async def _end_reset(tx: AsyncConnection[Any], key: CaseKey, at: datetime) -> None:
    """A reset of access data that turn out to be stolen is over: its link sets nothing, what it claims is another's."""
    await tx.execute(
        "update backend.claims set freed = true where vendor = %s and case_id = %s", (key.vendor, key.case)
    )
    await end_link(tx, key, at)


async def free_container(tx: AsyncConnection[Any], key: CaseKey) -> None:
    """Free what a case claims of a container that was found: it may be lost again."""
    await tx.execute(
        "update backend.claims set freed = true where vendor = %s and case_id = %s and subject not like %s",
        (key.vendor, key.case, f"{Aim.LICENCE}/%"),
    )


async def free_blocking(tx: AsyncConnection[Any], key: CaseKey) -> None:
    """Free the blocking that a case claims and that was lifted: whoever loses the same again has it blocked anew."""
    await tx.execute(
        "update backend.claims set freed = true where vendor = %s and case_id = %s and starts_with(subject, %s)",
        (key.vendor, key.case, f"{Measure.BLACKLISTING}/"),
    )


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
    return must_be_rightful(await lock_container(tx, vendor, serial), reporter)


async def turn_up(
    tx: AsyncConnection[Any],
    vendor: VendorId,
    stated: FoundStatement | ReturnStatement,
    door: str,
    received: datetime,
) -> list[CaseKey]:
    """Say to every open case of a container that it turned up, the first time that this number says so."""
    cause = Cause.FOUND if isinstance(stated, FoundStatement) else Cause.RETURNED
    may_turn_up(await lock_container(tx, vendor, stated.serial), stated)
    content = Sighting(statement=f"{cause}/{stated.report}", cause=cause, occurred=stated.occurred)
    if not await _first_said(tx, vendor, stated.reporter, content.statement, stated.serial, received):
        return []
    speaker = Speaker(stated.reporter.name, stated.reporter.role, door)
    if keys := await open_cases(tx, vendor, stated.serial):
        for key in sorted(keys, key=lambda key: key.case):
            await post(tx, key, content, received, speaker)
        return keys
    cursor = await tx.execute(
        "select case_id from backend.cases where vendor = %s and serial = %s"
        " order by closed desc, case_id desc limit 1",
        (vendor, stated.serial),
    )
    row = await cursor.fetchone()
    if row is None:
        raise no_case_of(stated.serial)
    last = CaseKey(vendor=vendor, case=row[0], serial=stated.serial)
    await state(tx, vendor, stated.serial, received, [addressed(last, content, speaker, received)])
    return []


async def give_evidence(
    tx: AsyncConnection[Any], vendor: VendorId, stated: EvidenceStatement, door: str, received: datetime
) -> CaseKey:
    """Bring evidence to the case of a report, the first time that this number brings it."""
    reporter = stated.reporter
    key, further = await _cases_of_report(tx, vendor, stated)
    content = Evidence(statement=f"evidence/{stated.statement}", by=reporter.name, evidence=stated.evidence)
    said = f"{stated.report}/{stated.serial}/{'/'.join(sorted(stated.evidence))}"
    if await _first_said(tx, vendor, reporter, content.statement, said, received):
        speaker = Speaker(reporter.name, reporter.role, door)
        for one in sorted([key, *further], key=lambda key: key.case):
            if await post(tx, one, content, received, speaker) is None:
                await state(tx, vendor, key.serial, received, [addressed(one, content, speaker, received)])
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
        raise number_taken(statement)
    return False


async def _cases_of_report(
    tx: AsyncConnection[Any], vendor: VendorId, stated: EvidenceStatement
) -> tuple[CaseKey, list[CaseKey]]:
    """The case that a report about this container belongs to: the reporter's own report of this number, or else
    somebody's; and the further cases that this report opened."""
    await rightful(tx, vendor, stated.serial, stated.reporter)
    cursor = await tx.execute(
        "select c.case_id, array(select m.case_id from backend.cases f join backend.messages m"
        " on (m.vendor, m.case_id, m.number) = (f.vendor, f.case_id, 1)"
        " where f.vendor = c.vendor and f.serial = c.serial and f.case_id <> c.case_id"
        " and m.content -> 'report' ->> 'report' = r.report and m.role = r.role and m.said_by = r.said_by)"
        " from backend.reports r join backend.cases c on (c.vendor, c.case_id) = (r.vendor, r.case_id)"
        " where r.vendor = %s and r.report = %s and c.serial = %s"
        " order by (r.role, r.said_by) = (%s, %s) desc, r.received desc, c.case_id desc limit 1",
        (vendor, stated.report, stated.serial, stated.reporter.role, stated.reporter.name),
    )
    row = await cursor.fetchone()
    if row is None:
        raise no_report(stated)
    case, further = row
    key = CaseKey(vendor=vendor, case=case, serial=stated.serial)
    return key, [key.model_copy(update={"case": one}) for one in further]


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
        raise said_otherwise(stated.report)
    key = CaseKey(vendor=vendor, case=case, serial=serial)
    return Claim(key=key, received=received, closed=closed, answer="repeated")


async def holder_of(tx: AsyncConnection[Any], key: CaseKey) -> HolderId:
    """The holder from whom the container of the case was lost."""
    cursor = await tx.execute(
        "select holder from backend.cases where vendor = %s and case_id = %s", (key.vendor, key.case)
    )
    row = await cursor.fetchone()
    if row is None:
        raise RefusalError(Code.UNKNOWN_CASE, f"no case {key.case} is known here", case=key.case)
    return HolderId(row[0])


async def claimed_by(tx: AsyncConnection[Any], key: CaseKey, last: Issued) -> CaseId | None:
    """The other case of which the replacement is the loss by now, if it is."""
    cursor = await tx.execute(
        "select found.case_id from unnest(%s::text[], %s::integer[]) as last (subject, generation) cross join lateral"
        " (select case_id from backend.claims k where k.vendor = %s and k.subject = last.subject"
        " and k.generation = last.generation and not k.freed limit 1) found where found.case_id <> %s"
        " order by found.case_id limit 1",
        (
            *([f"{Aim.LICENCE}/{item.licence}" for item in last.licences], [item.generation for item in last.licences]),
            *(key.vendor, key.case),
        ),
    )
    row = await cursor.fetchone()
    return CaseId(row[0]) if row else None
