"""Issuing: the next generation of every licence of a scope, in the caller's transaction, under its locks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from activities.licensing.access_data import renew
from activities.licensing.claims import claimed_by, resets_before
from activities.licensing.containers import Container, Licence, LostLicence
from activities.licensing.judgement import bound_already
from activities.licensing.lease_rules import first_notice
from activities.licensing.leases import resume
from activities.licensing.messages import lock_waiting
from activities.licensing.outbox import state
from activities.licensing.records import CONTAINER, LICENCE, changed, columns, every, lock_container, lost_licences
from activities.licensing.replacement import (
    CONTAINERS,
    Succession,
    Wanted,
    all_ended,
    answer_for,
    end_of,
    left_of,
    may_issue,
    may_take,
    must_be_nobodys,
    must_take_the_full,
    no_target,
    preference,
    stated_of,
    successions,
)
from activities.licensing.signing import LicenceFile, SigningKeys
from activities.licensing.targets import is_blocked, is_lost, offer
from events.backend_facts import ContainerActivated
from events.measure_life import sql_blocks
from events.ports.licensing_backend import CaseKey, Issued, IssuedLicence, IssueOrder, NoTargetFound
from events.terms import HolderId, Measure, Serial, Target, VendorId, next_generation


@dataclass(frozen=True, slots=True)
class StatusRange:
    """Places in a vendor's status list, from `first` on, and the `iss` of its files."""

    issuer: str
    first: int


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs licence files and says where the vendors' status lists are."""

    keys: SigningKeys
    status_base: str

    def file(self, vendor: VendorId, issuer: str, licence: Licence, index: int) -> str:
        """The signed file of a licence as its row says."""
        file = LicenceFile(
            issuer=issuer,
            container=licence.serial,
            licence=licence.licence,
            generation=licence.generation,
            product=licence.product,
            ticket=licence.ticket,
            issued=licence.issued,
            expires=licence.expires,
            status_uri=f"{self.status_base}/{vendor}/1",
            status_index=index,
        )
        return self.keys.sign(vendor, file)


async def issue(
    tx: AsyncConnection[Any], order: IssueOrder, holder: HolderId, lost: Container, at: datetime, signer: Signer
) -> Issued | NoTargetFound:
    """The next generation of every licence in the order, where the order says, or none of them. The caller holds the
    locks on the holder and on what was lost."""
    key = order.key
    if done := await issued(tx, key, order.full):
        return done
    overtaken, standing = await _known(tx, key)
    resets = await resets_before(tx, key, lost) if order.target is Target.SAME_CONTAINER else ()
    refused = may_issue(order, overtaken, resets, standing, at)
    if refused is not None:
        return refused
    if order.target is Target.SAME_CONTAINER:
        return await renew(tx, order, lost, at)
    stop_gap = await issued(tx, key, False) if order.full else None
    licences = left_of(await lost_licences(tx, key))
    if not licences:
        return all_ended(at)
    if stop_gap:
        target: Container | None = await _same_target(tx, order, stop_gap)
    elif order.target is Target.ACTIVATION:
        target = await _activate(tx, order, lost, at)
    else:
        target = await _container(tx, order, lost, holder, len(licences))
    answer: Issued | NoTargetFound = no_target(licences, at)
    if target is not None:
        answer = await supersede(tx, order, licences, stop_gap, target, at, signer)
    empties = target is not None and order.target in CONTAINERS and not stop_gap
    if empties:
        await lock_waiting(tx, key, holder)
    await tx.execute(
        "update backend.cases set awaits = %s, awaits_match = %s, activation = %s where vendor = %s and case_id = %s",
        (None if target else order.target, order.match, order.activation, key.vendor, key.case),
    )
    if empties:
        await offer(tx, key.vendor, holder, [key.serial], at)
    return answer


async def _known(tx: AsyncConnection[Any], key: CaseKey) -> tuple[int | None, set[Measure]]:
    """The number of the message that a wider loss was reported, or a reset rejected, if one was, and the measures of
    the case that stand."""
    cursor = await tx.execute(
        "select c.overtaken, array(select distinct measure from backend.measures m"
        f" where (m.vendor, m.case_id) = (c.vendor, c.case_id) and {sql_blocks('m.state')})"
        " from backend.cases c where vendor = %s and case_id = %s",
        (key.vendor, key.case),
    )
    overtaken, measures = cast(tuple[int | None, list[str]], await cursor.fetchone())
    return overtaken, {Measure(measure) for measure in measures}


async def issued(tx: AsyncConnection[Any], key: CaseKey, full: bool, reinstated: bool = False) -> Issued | None:
    """What was issued for the case, first or in full after a stop-gap, or back into the original; or None."""
    cursor = await tx.execute(
        "select licence, generation, serial, issued from backend.issues"
        ' where vendor = %s and case_id = %s and "full" = %s and reinstated = %s order by licence',
        (key.vendor, key.case, full, reinstated),
    )
    rows = await cursor.fetchall()
    if not rows:
        return None
    licences = tuple(IssuedLicence(licence=row[0], generation=row[1]) for row in rows)
    return Issued(at=rows[0][3], target=rows[0][2], licences=licences)


async def _same_target(tx: AsyncConnection[Any], order: IssueOrder, stop_gap: Issued) -> Container:
    """Where the stop-gap is, unless that is blocked or lost meanwhile."""
    target = await lock_container(tx, order.key.vendor, stop_gap.target)
    must_take_the_full(target, await is_blocked(tx, order.key.vendor, target))
    must_be_nobodys(await claimed_by(tx, order.key, stop_gap))
    return target


async def _container(
    tx: AsyncConnection[Any], order: IssueOrder, lost: Container, holder: HolderId, licences: int
) -> Container | None:
    """A container of the holder that may take the replacement of so many licences, locked: an empty one, or any other
    that has room, then rather one that is in use. One that is lost itself takes none; that is looked at once its lock
    is held."""
    vendor = order.key.vendor
    wanted = Wanted(order.target, holder, lost.kind, lost.serial, licences)

    async def takes(container: Container) -> bool:
        blocked, away = await is_blocked(tx, vendor, container), await is_lost(tx, vendor, container)
        return may_take(container, wanted, blocked=blocked, lost=away)

    candidates = await every(
        tx,
        Container,
        f"{CONTAINER} where vendor = %s and holder = %s and kind = %s and serial <> %s and (licences = 0 or not %s)",
        *(vendor, holder, lost.kind, lost.serial, order.target is Target.EMPTY_CONTAINER),
    )
    for candidate in sorted(candidates, key=preference):
        if await takes(candidate) and await takes(target := await lock_container(tx, vendor, candidate.serial)):
            return target
    return None


async def _activate(tx: AsyncConnection[Any], order: IssueOrder, lost: Container, at: datetime) -> Container | None:
    """The container, bound to the machine that asked for it, be it for another case already; None when none has
    asked."""
    key = order.key
    cursor = await tx.execute(
        "delete from backend.pending_activations where vendor = %s and serial = %s and case_id = %s"
        " returning fingerprint",
        (key.vendor, key.serial, key.case),
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    (fingerprint,) = row
    if bound_already(lost, await claimed_generation(tx, key), fingerprint):
        return lost
    generation = next_generation(lost.generation)
    await tx.execute(
        "update backend.containers set generation = %s, fingerprint = %s where vendor = %s and serial = %s",
        (generation, Jsonb(fingerprint), key.vendor, key.serial),
    )
    await tx.execute(
        "insert into backend.activations values (%s, %s, %s, %s, %s, %s)",
        (key.vendor, key.serial, generation, Jsonb(fingerprint), key.case, at),
    )
    await resume(tx, key.vendor, key.serial)
    activated = ContainerActivated(serial=key.serial, generation=generation, fingerprint=fingerprint, case=key.case)
    await state(tx, key.vendor, key.serial, at, [activated])
    return replace(lost, generation=generation, fingerprint=fingerprint)


async def claimed_generation(tx: AsyncConnection[Any], key: CaseKey) -> int:
    """The generation of the container that the case is about."""
    cursor = await tx.execute(
        "select generation from backend.cases where vendor = %s and case_id = %s", (key.vendor, key.case)
    )
    (generation,) = cast(tuple[int], await cursor.fetchone())
    return generation


async def supersede(
    tx: AsyncConnection[Any],
    order: IssueOrder,
    licences: Sequence[LostLicence],
    stop_gap: Issued | None,
    target: Container,
    at: datetime,
    signer: Signer,
    reinstated: bool = False,
) -> Issued:
    """Issue the next generations into the target and state both sides: the old ones end before the new ones begin.

    They follow what was issued for the case before, a stop-gap or what is put back; else what was claimed.
    """
    key = order.key
    source = stop_gap.target if stop_gap else key.serial
    names = [item.licence for item in licences]
    found = await every(
        tx, Licence, f"{LICENCE} where vendor = %s and licence = any(%s) order by licence", key.vendor, names
    )
    held = {licence.licence: licence for licence in found}
    several = successions(licences, stop_gap, held, source, target.serial, at, end_of(order, at))
    status = await status_indices(tx, key.vendor, len(several))
    several = [
        replace(one, licence=replace(one.licence, status_index=status.first + number))
        for number, one in enumerate(several)
    ]
    await _keep_successions(tx, order, several, source, target, reinstated)
    files = {
        one.licence.licence: signer.file(key.vendor, status.issuer, one.licence, one.licence.status_index or 0)
        for one in several
    }
    for serial, change in ((source, -len(several)), (target.serial, len(several))):
        await tx.execute(
            "update backend.containers set licences = licences + %s where vendor = %s and serial = %s",
            (change, key.vendor, serial),
        )
    superseded, granted = stated_of(several, source, target, key.case, files)
    await state(tx, key.vendor, source, at, superseded)
    await state(tx, key.vendor, target.serial, at, granted)
    return answer_for(several, target.serial, at)


async def _keep_successions(
    tx: AsyncConnection[Any],
    order: IssueOrder,
    several: Sequence[Succession],
    source: Serial,
    target: Container,
    reinstated: bool,
) -> None:
    """Compare-and-set on each generation: a generation is superseded once, by one case.

    There may be thousands: each statement is for all. It names them twice, because nobody can foresee how many rows a
    set of arrays has, and all of the vendor's licences would be looked at.
    """
    key = order.key
    if not several:
        return
    first = several[0].licence
    rows = [
        (
            *(one.licence.licence, one.superseded, one.licence.generation, one.licence.status_index),
            *(one.licence.expires, first_notice(one.licence.terms, one.licence.issued, one.licence.expires)),
        )
        for one in several
    ]
    set_ = await changed(
        tx,
        "update backend.licences set generation = s.following, serial = %s, issued = %s, ends = %s,"
        " borrowed_until = null, lease_stage = null, status_index = s.place, expires = s.expires, lease_next = s.next"
        " from unnest(%s::text[], %s::integer[], %s::integer[], %s::bigint[], %s::timestamptz[], %s::timestamptz[])"
        " as s(name, current, following, place, expires, next)"
        " where vendor = %s and licence = any(%s) and licence = s.name and generation = s.current and serial = %s",
        *(first.serial, first.issued, first.ends, *columns(rows, 6)),
        *(key.vendor, [one.licence.licence for one in several], source),
    )
    assert set_ == len(several), "the licences of a container change under its lock only"
    await tx.execute(
        "insert into backend.issues"
        " select %s, %s, s.name, s.current, s.following, %s, %s, %s, %s, %s"
        " from unnest(%s::text[], %s::integer[], %s::integer[]) as s(name, current, following)",
        (
            *(key.vendor, key.case, first.serial, first.issued, order.full, reinstated, target.generation),
            *columns([row[:3] for row in rows], 3),
        ),
    )


async def status_indices(tx: AsyncConnection[Any], vendor: VendorId, count: int) -> StatusRange:
    """Places in the status list of the vendor, so many."""
    cursor = tx.cursor(row_factory=class_row(StatusRange))
    await cursor.execute(
        "update backend.vendors set next_status_index = next_status_index + %s where vendor = %s"
        " returning issuer, next_status_index - %s as first",
        (count, vendor, count),
    )
    return cast(StatusRange, await cursor.fetchone())
