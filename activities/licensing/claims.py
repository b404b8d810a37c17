"""Claims: what is known of a container is loaded, and what a report changes is written; in the caller's transaction,
under the container's lock. `activities.licensing.claim_changes` says what that is."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, assert_never, cast

from psycopg import AsyncConnection

from activities.licensing import claim_changes
from activities.licensing.access_data import end_link
from activities.licensing.claim_changes import (
    STOPPING,
    CaseOpened,
    Change,
    ClaimsMade,
    Known,
    Made,
    Reported,
    ReportMoved,
    ReportName,
    ResetEnded,
    Said,
    Stated,
    digest,
    frees,
    repeated,
)
from activities.licensing.claim_rules import (
    Claimable,
    Claimed,
    may_turn_up,
    must_be_of_kind,
    must_be_rightful,
    recovered_from,
    recovery_of,
    resets_taken_over,
)
from activities.licensing.containers import Container
from activities.licensing.delegations import delegated
from activities.licensing.message_rules import (
    Speaker,
    addressed,
    evidence,
    evidence_said,
    no_case_of,
    no_report,
    number_taken,
)
from activities.licensing.messages import kept_speaker, open_cases, post
from activities.licensing.outbox import state
from activities.licensing.records import changed, columns, lock_container
from activities.licensing.vendors import in_force
from events.case_facts import LossReported
from events.errors import Code, RefusalError
from events.evidence import EvidenceFile
from events.ports.licensing_backend import CaseKey, Claim, CloseOrder, Issued
from events.ports.loss_cases import Sighting
from events.principal import Principal
from events.statements import EvidenceStatement, FoundStatement, LossStatement, ReturnStatement
from events.terms import Aim, CaseId, Cause, HolderId, Kind, LicenceId, Outcome, ProductId, Reporter, Serial, VendorId


async def claim(tx: AsyncConnection[Any], principal: Principal, statement: LossStatement, received: datetime) -> Claim:
    """One loss is one case: claim the report's id, and every generation in its scope. The case's message says so."""
    vendor, speaker = principal.vendor, Speaker.of(principal, statement.reporter)
    container = await lock_container(tx, vendor, statement.serial)
    acts_for = await delegated(tx, vendor, statement.reporter, container.holder, received)
    must_be_of_kind(must_be_rightful(container, statement.reporter, acts_for), statement)
    if before := await _reported(tx, vendor, statement):
        return repeated(statement, before)
    report = statement.reported(speaker.door, received, container.holder)
    answer, changes = claim_changes.claim(await known_of(tx, vendor, container), report, speaker)
    inserted = await changed(
        tx,
        "insert into backend.reports (vendor, report, role, said_by, digest, case_id, received)"
        " values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
        *(vendor, statement.report, statement.reporter.role, statement.reporter.name, digest(statement)),
        *(answer.key.case, received),
    )
    if not inserted:  # said of another container at the same instant
        return repeated(statement, cast(Reported, await _reported(tx, vendor, statement)))
    await write(tx, changes)
    return answer


async def known_of(tx: AsyncConnection[Any], vendor: VendorId, container: Container) -> Known:
    """What is known of a container that is locked."""
    here = await (
        await tx.execute(
            "select licence, generation, product, ended is not null from backend.licences"
            " where vendor = %s and serial = %s order by licence",
            (vendor, container.serial),
        )
    ).fetchall()
    stays = container.kind is Kind.CLOUD  # policy then asks of all that is in it
    _, policy = await in_force(tx, vendor)
    claimed = await _claimed(tx, vendor, container)
    products = {name: product for name, _, product, over in here if not over or stays}
    if not products and (gone := recovered_from(claimed)):
        cursor = await tx.execute(
            "select licence, product from backend.licences where vendor = %s and licence = any(%s)", (vendor, gone)
        )
        products = dict(await cursor.fetchall())
    open_ = list({one.case for one in claimed if not one.closed})
    return Known(
        vendor,
        container,
        licences={LicenceId(name): generation for name, generation, _, over in here if not over},
        products={LicenceId(name): ProductId(product) for name, product in products.items()},
        policy=policy,
        claimed=tuple(claimed),
        reports=await _reports(tx, vendor, open_) if open_ else {},
        issued_by=await _issued_by(tx, vendor, container.serial),
        ended={LicenceId(name): generation for name, generation, _, over in here if over},
    )


async def _claimed(tx: AsyncConnection[Any], vendor: VendorId, container: Container) -> list[Claimed]:
    """All that cases of a container claim or claimed."""
    cursor = await tx.execute(
        "select k.subject, k.generation, k.case_id, c.received, c.reason, k.freed, c.closed is not null, c.outcome,"
        " c.approved"
        " from backend.claims k join backend.cases c on (c.vendor, c.case_id) = (k.vendor, k.case_id)"
        " where k.vendor = %s and k.serial = %s",
        (vendor, container.serial),
    )
    return [
        Claimed(
            *(subject, generation, CaseId(case), received, recovery_of(container.kind, reason), freed, closed),
            Outcome(outcome) if outcome else None,
            approved,
        )
        for subject, generation, case, received, reason, freed, closed, outcome, approved in await cursor.fetchall()
    ]


async def resets_before(tx: AsyncConnection[Any], key: CaseKey, container: Container) -> set[CaseId]:
    """The resets that a case has taken over and that are not closed yet; the caller holds the container's lock."""
    return resets_taken_over(key.case, await _claimed(tx, key.vendor, container))


async def _reports(tx: AsyncConnection[Any], vendor: VendorId, cases: list[CaseId]) -> dict[CaseId, list[ReportName]]:
    """The reports that were posted to each of these cases."""
    cursor = await tx.execute(
        "select case_id, content -> 'report' ->> 'report', role, said_by from backend.messages"
        " where vendor = %s and case_id = any(%s) and content ->> 'type' = 'report'",
        (vendor, cases),
    )
    found: dict[CaseId, list[ReportName]] = {case: [] for case in cases}
    for case, report, role, name in await cursor.fetchall():
        found[case].append((report, Reporter(role=role, name=name)))
    return found


async def _issued_by(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> dict[Claimable, CaseKey]:
    """The open cases that replaced what is in a container by what is there now."""
    cursor = await tx.execute(
        "select i.licence, i.generation, c.case_id, c.serial from backend.licences l"
        " join backend.issues i on (i.vendor, i.licence, i.generation) = (l.vendor, l.licence, l.generation)"
        " and not i.reinstated"
        " join backend.cases c on (c.vendor, c.case_id) = (i.vendor, i.case_id) and c.closed is null"
        " where l.vendor = %s and l.serial = %s",
        (vendor, serial),
    )
    return {
        (f"{Aim.LICENCE}/{licence}", generation): CaseKey(vendor=vendor, case=case, serial=at)
        for licence, generation, case, at in await cursor.fetchall()
    }


async def write(tx: AsyncConnection[Any], changes: Iterable[Change]) -> None:
    """Write what a report changes, or the end of a case."""
    for change in changes:
        key = change.key
        match change:
            case CaseOpened(_, container, report):
                await tx.execute(
                    "insert into backend.cases (vendor, case_id, serial, holder, scope, generation, received, reason)"
                    " values (%s, %s, %s, %s, %s, %s, %s, %s)",
                    (
                        *(key.vendor, key.case, key.serial, container.holder, report.scope, container.generation),
                        *(report.received, report.reason),
                    ),
                )
            case ClaimsMade(claims=claims):
                await tx.execute(
                    "insert into backend.claims (vendor, subject, generation, serial, case_id)"
                    " select %s, c.*, %s, %s from unnest(%s::text[], %s::integer[]) as c (subject, generation)",
                    (key.vendor, key.serial, key.case, *columns(claims, 2)),
                )
            case ResetEnded(at=at):
                await end_link(tx, key, at)
                await tx.execute(
                    "update backend.claims set freed = true where vendor = %s and case_id = %s", (key.vendor, key.case)
                )
            case ReportMoved(report=report):
                await tx.execute(
                    "update backend.reports set case_id = %s"
                    " where vendor = %s and report = %s and role = %s and said_by = %s",
                    (key.case, key.vendor, report.report, report.reporter.role, report.reporter.name),
                )
            case Said(_, content, at, speaker):
                number = await post(tx, key, content, at, speaker)
                if number is not None and isinstance(content, STOPPING):
                    await tx.execute(
                        "update backend.cases set overtaken = %s where vendor = %s and case_id = %s",
                        (number, key.vendor, key.case),
                    )
            case Stated(_, fact, at):
                await state(tx, key.vendor, key.serial, at, [fact])
            case _:
                assert_never(change)


async def made_since(tx: AsyncConnection[Any], over: CaseKey, decided: datetime) -> list[Made]:
    """The reports of a container that were received after a case of it was decided, and are other cases'."""
    cursor = await tx.execute(
        "select m.content -> 'report', c.case_id, m.number = 1, c.closed is not null,"
        " m.said_by, m.role, m.door, m.subject, m.acted_as from backend.cases c"
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
        Made(LossReported.model_validate(report), CaseId(case), opened, closed, kept_speaker(*who))
        for report, case, opened, closed, *who in await cursor.fetchall()
    ]


async def free_claims(tx: AsyncConnection[Any], order: CloseOrder) -> None:
    """Free what a case that is over gives up of what it claims."""
    case = (order.key.vendor, order.key.case)
    cursor = await tx.execute("select subject from backend.claims where vendor = %s and case_id = %s", case)
    freed = [subject for (subject,) in await cursor.fetchall() if frees(order, subject)]
    await tx.execute(
        "update backend.claims set freed = true where vendor = %s and case_id = %s and subject = any(%s)",
        (*case, freed),
    )


async def turn_up(
    tx: AsyncConnection[Any],
    principal: Principal,
    statement: FoundStatement | ReturnStatement,
    received: datetime,
) -> list[CaseKey]:
    """Say to every open case of a container that it turned up, the first time that this number says so."""
    vendor, speaker = principal.vendor, Speaker.of(principal, statement.reporter)
    cause = Cause.FOUND if isinstance(statement, FoundStatement) else Cause.RETURNED
    container = await lock_container(tx, vendor, statement.serial)
    may_turn_up(container, statement, await delegated(tx, vendor, statement.reporter, container.holder, received))
    content = Sighting(statement=f"{cause}/{statement.report}", cause=cause, occurred=statement.occurred)
    if not await _first_said(tx, vendor, statement.reporter, content.statement, statement.serial, received):
        return []
    if keys := await open_cases(tx, vendor, statement.serial):
        for key in sorted(keys, key=lambda key: key.case):
            await post(tx, key, content, received, speaker)
        return keys
    cursor = await tx.execute(
        "select case_id from backend.cases where vendor = %s and serial = %s"
        " order by closed desc, case_id desc limit 1",
        (vendor, statement.serial),
    )
    row = await cursor.fetchone()
    if row is None:
        raise no_case_of(statement.serial)
    last = CaseKey(vendor=vendor, case=row[0], serial=statement.serial)
    await state(tx, vendor, statement.serial, received, [addressed(last, content, speaker, received)])
    return []


async def give_evidence(
    tx: AsyncConnection[Any],
    principal: Principal,
    statement: EvidenceStatement,
    received: datetime,
    files: Sequence[EvidenceFile],
) -> CaseKey:
    """Bring evidence to the case of a report, the first time that this number brings it."""
    vendor, reporter = principal.vendor, statement.reporter
    container = await lock_container(tx, vendor, statement.serial)
    must_be_rightful(container, reporter, await delegated(tx, vendor, reporter, container.holder, received))
    key, further = await _cases_of_report(tx, vendor, statement)
    content = evidence(statement, files, container.holder)
    if await _first_said(tx, vendor, reporter, content.statement, evidence_said(statement), received):
        speaker = Speaker.of(principal, reporter)
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
    tx: AsyncConnection[Any], vendor: VendorId, statement: EvidenceStatement
) -> tuple[CaseKey, list[CaseKey]]:
    """The case that a report about this container belongs to: the report of this number by whom the statement names, or
    else the reporter's own, or else somebody's; and the further cases that this report opened."""
    author = statement.report_by or statement.reporter
    cursor = await tx.execute(
        "select c.case_id, array(select m.case_id from backend.cases f join backend.messages m"
        " on (m.vendor, m.case_id, m.number) = (f.vendor, f.case_id, 1)"
        " where f.vendor = c.vendor and f.serial = c.serial and f.case_id <> c.case_id"
        " and m.content -> 'report' ->> 'report' = r.report and m.role = r.role and m.said_by = r.said_by)"
        " from backend.reports r join backend.cases c on (c.vendor, c.case_id) = (r.vendor, r.case_id)"
        " where r.vendor = %s and r.report = %s and c.serial = %s and (not %s or (r.role, r.said_by) = (%s, %s))"
        " order by (r.role, r.said_by) = (%s, %s) desc, r.received desc, c.case_id desc limit 1",
        (
            *(vendor, statement.report, statement.serial, statement.report_by is not None, author.role, author.name),
            *(author.role, author.name),
        ),
    )
    row = await cursor.fetchone()
    if row is None:
        raise no_report(statement)
    case, further = row
    key = CaseKey(vendor=vendor, case=case, serial=statement.serial)
    return key, [key.model_copy(update={"case": one}) for one in further]


async def _reported(tx: AsyncConnection[Any], vendor: VendorId, statement: LossStatement) -> Reported | None:
    """The report whose number its reporter has used. A number from before reporters were kept is everybody's."""
    cursor = await tx.execute(
        "select r.digest, r.case_id, c.serial, r.received, c.closed is not null"
        " from backend.reports r join backend.cases c on (c.vendor, c.case_id) = (r.vendor, r.case_id)"
        " where r.vendor = %s and r.report = %s and (r.role, r.said_by) in ((%s, %s), ('', ''))"
        " order by r.role desc limit 1",
        (vendor, statement.report, statement.reporter.role, statement.reporter.name),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    known, case, serial, received, closed = row
    return Reported(known, CaseKey(vendor=vendor, case=case, serial=serial), received, closed)


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
