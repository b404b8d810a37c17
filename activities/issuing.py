"""Issuing: the next generation of every licence of a scope, in the caller's transaction, under its locks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from activities.access import renew
from activities.claims import nobody_claims
from activities.judgement import bound_already
from activities.leases import expiry, first_notice
from activities.messages import lock_waiting
from activities.outbox import state
from activities.rows import (
    CONTAINER,
    LICENCE_COLUMNS,
    Container,
    Licence,
    LostLicence,
    columns,
    every,
    lock_container,
    lost_licences,
)
from activities.signing import LicenceFile, SigningKeys
from activities.targets import CONTAINERS, Wanted, is_blocked, is_lost, may_take, offer
from events.backend_facts import ContainerActivated, LicenceSuperseded
from events.errors import Code, RefusalError
from events.fact import Fact
from events.licensing import CaseKey, Issued, IssuedLicence, IssueOrder, NoTargetFound
from events.measure_life import sql_blocks
from events.terms import HolderId, LicenceId, Serial, Target, VendorId, next_generation


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
    if await _is_overtaken(tx, order):
        return NoTargetFound(at=at, tickets=(), overtaken=True)
    await _must_be_blocked(tx, order)
    if order.target is Target.SAME_CONTAINER:
        return await renew(tx, order, lost, at)
    stop_gap = await issued(tx, key, False) if order.full else None
    licences = await lost_licences(tx, key)
    if stop_gap:
        target: Container | None = await _same_target(tx, order, stop_gap)
    elif order.target is Target.ACTIVATION:
        target = lost if await _activate(tx, order, lost, at) else None
    else:
        target = await _container(tx, order, lost, holder, len(licences))
    if target is not None:
        await supersede(tx, order, licences, stop_gap, target, at, signer)
    empties = target is not None and order.target in CONTAINERS and not stop_gap
    if empties:
        await lock_waiting(tx, key, holder)
    await tx.execute(
        "update backend.cases set awaits = %s, awaits_match = %s, activation = %s where vendor = %s and case_id = %s",
        (None if target else order.target, order.match, order.activation, key.vendor, key.case),
    )
    if target is None:
        return NoTargetFound(at=at, tickets=tuple(dict.fromkeys(item.ticket for item in licences)))
    if empties:
        await offer(tx, key.vendor, holder, [key.serial], at)
    return await issued(tx, key, order.full) or Issued(at=at, target=target.serial, licences=())


async def _is_overtaken(tx: AsyncConnection[Any], order: IssueOrder) -> bool:
    """Whether a wider loss was reported, and the case has not taken the message that says so."""
    cursor = await tx.execute(
        "select overtaken from backend.cases where vendor = %s and case_id = %s", (order.key.vendor, order.key.case)
    )
    (overtaken,) = cast(tuple[int | None], await cursor.fetchone())
    return overtaken is not None and order.taken < overtaken


async def _must_be_blocked(tx: AsyncConnection[Any], order: IssueOrder) -> None:
    """Refuse to go on before the measures of the order stand."""
    cursor = await tx.execute(
        f"select distinct measure from backend.measures where vendor = %s and case_id = %s and {sql_blocks()}",
        (order.key.vendor, order.key.case),
    )
    missing = set(order.measures) - {measure for (measure,) in await cursor.fetchall()}
    if missing:
        raise RefusalError(
            Code.NOT_BLOCKED, f"nothing may be issued for case {order.key.case} before {', '.join(missing)} is ordered"
        )


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
    if await is_blocked(tx, order.key.vendor, target):
        raise RefusalError(Code.BLOCKED, f"container {target.serial}, which holds the stop-gap, is blocked itself")
    await nobody_claims(tx, order.key, stop_gap)
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
        f"{CONTAINER} where vendor = %s and holder = %s and kind = %s and serial <> %s and (licences = 0 or not %s)"
        " order by licences = 0, serial",
        *(vendor, holder, lost.kind, lost.serial, order.target is Target.EMPTY_CONTAINER),
    )
    for candidate in candidates:
        if await takes(candidate) and await takes(target := await lock_container(tx, vendor, candidate.serial)):
            return target
    return None


async def _activate(tx: AsyncConnection[Any], order: IssueOrder, lost: Container, at: datetime) -> bool:
    """Bind the container to the machine that asked for it, if it is not bound to that for another case already; False
    when none has asked."""
    key = order.key
    cursor = await tx.execute(
        "delete from backend.pending_activations where vendor = %s and serial = %s and case_id = %s"
        " returning fingerprint",
        (key.vendor, key.serial, key.case),
    )
    row = await cursor.fetchone()
    if row is None:
        return False
    (fingerprint,) = row
    if bound_already(lost, await _claimed(tx, key), fingerprint):
        return True
    generation = next_generation(lost.generation)
    await tx.execute(
        "update backend.containers set generation = %s, fingerprint = %s where vendor = %s and serial = %s",
        (generation, Jsonb(fingerprint), key.vendor, key.serial),
    )
    await tx.execute(
        "insert into backend.activations values (%s, %s, %s, %s, %s, %s)",
        (key.vendor, key.serial, generation, Jsonb(fingerprint), key.case, at),
    )
    activated = ContainerActivated(serial=key.serial, generation=generation, fingerprint=fingerprint, case=key.case)
    await state(tx, key.vendor, key.serial, at, [activated])
    return True


async def _claimed(tx: AsyncConnection[Any], key: CaseKey) -> int:
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
) -> None:
    """Issue the next generations into the target and state both sides: the old ones end before the new ones begin.

    They follow what was issued for the case before, a stop-gap or what is put back; else what was claimed.
    """
    key = order.key
    source = stop_gap.target if stop_gap else key.serial
    current = {item.licence: item.generation for item in stop_gap.licences} if stop_gap else {}
    status = await status_indices(tx, key.vendor, len(licences))
    steps = [
        _Step(item.licence, generation, next_generation(generation), status.first + number)
        for number, item in enumerate(licences)
        for generation in (current.get(item.licence, item.generation),)
    ]
    issued = await _next_generations(tx, order, steps, source, target.serial, at, reinstated)
    superseded: list[Fact] = []
    granted: list[Fact] = []
    for step in steps:
        licence = issued[step.licence]
        file = signer.file(key.vendor, status.issuer, licence, step.status_index)
        granted.append(licence.issued_fact(target.holder, key.case, file))
        old = LicenceSuperseded(licence=step.licence, generation=step.generation, serial=source, case=key.case)
        superseded.append(old)
    for serial, change in ((source, -len(granted)), (target.serial, len(granted))):
        await tx.execute(
            "update backend.containers set licences = licences + %s where vendor = %s and serial = %s",
            (change, key.vendor, serial),
        )
    await state(tx, key.vendor, source, at, superseded)
    await state(tx, key.vendor, target.serial, at, granted)


class _Step(NamedTuple):
    """A licence goes from one generation to the next, which has this place in the status list."""

    licence: LicenceId
    generation: int
    following: int
    status_index: int


async def _next_generations(
    tx: AsyncConnection[Any],
    order: IssueOrder,
    steps: Sequence[_Step],
    source: Serial,
    target: Serial,
    at: datetime,
    reinstated: bool,
) -> dict[LicenceId, Licence]:
    """Compare-and-set on each generation: a generation is superseded once, by one case. The licences as they then are.

    There may be thousands: each statement is for all. It names them twice, because nobody can foresee how many rows a
    set of arrays has, and all of the vendor's licences would be looked at.
    """
    key = order.key
    ends = at + timedelta(days=order.stop_gap_days) if order.stop_gap_days and not order.full else None
    names = [step.licence for step in steps]
    cursor = tx.cursor(row_factory=class_row(Licence))
    await cursor.execute(
        "update backend.licences set generation = s.following, serial = %s, issued = %s, ends = %s,"
        " borrowed_until = null, lease_stage = null, status_index = s.place"
        " from unnest(%s::text[], %s::integer[], %s::integer[], %s::bigint[]) as s(name, current, following, place)"
        " where vendor = %s and licence = any(%s) and licence = s.name and generation = s.current and serial = %s"
        f" returning {LICENCE_COLUMNS}",
        (target, at, ends, *columns(steps, 4), key.vendor, names, source),
    )
    found = {licence.licence: licence for licence in await cursor.fetchall()}
    for step in steps:
        if step.licence not in found:
            raise RefusalError(
                Code.GENERATION_CONFLICT,
                f"licence {step.licence} is no longer at generation {step.generation} in {source}",
            )
    await tx.execute(
        "insert into backend.issues"
        " select %s, %s, s.name, s.current, s.following, %s, %s, %s, %s"
        " from unnest(%s::text[], %s::integer[], %s::integer[]) as s(name, current, following)",
        (key.vendor, key.case, target, at, order.full, reinstated, *columns([step[:3] for step in steps], 3)),
    )
    leases = {name: expiry(licence.terms, at, ends) for name, licence in found.items()}
    notices = [first_notice(found[name].terms, at, leases[name]) for name in names]
    await tx.execute(
        "update backend.licences set expires = s.expires, lease_next = s.next"
        " from unnest(%s::text[], %s::timestamptz[], %s::timestamptz[]) as s(name, expires, next)"
        " where vendor = %s and licence = any(%s) and licence = s.name",
        (names, [leases[name] for name in names], notices, key.vendor, names),
    )
    return {name: replace(licence, expires=leases[name]) for name, licence in found.items()}


async def status_indices(tx: AsyncConnection[Any], vendor: VendorId, count: int) -> StatusRange:
    """Places in the status list of the vendor, so many."""
    cursor = tx.cursor(row_factory=class_row(StatusRange))
    await cursor.execute(
        "update backend.vendors set next_status_index = next_status_index + %s where vendor = %s"
        " returning issuer, next_status_index - %s as first",
        (count, vendor, count),
    )
    return cast(StatusRange, await cursor.fetchone())
