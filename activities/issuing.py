"""Issuing: the next generation of every licence of a scope, in the caller's transaction, under its locks."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from activities.access import renew
from activities.claims import nobody_claims
from activities.judgement import bound_already
from activities.leases import expiry, first_notice
from activities.outbox import state
from activities.rows import CONTAINER, LICENCE_COLUMNS, Container, Licence, every, lock_container, one
from activities.signing import LicenceFile, SigningKeys
from events.backend_facts import ContainerActivated, LicenceSuperseded
from events.case_facts import LicenceInScope
from events.errors import Code, RefusalError
from events.fact import Fact
from events.licensing import CaseKey, Issued, IssuedLicence, IssueOrder, NoTargetFound
from events.terms import Aim, HolderId, Scope, Serial, Target, VendorId, next_generation, subject


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
    await _must_be_blocked(tx, order)
    if order.target is Target.SAME_CONTAINER:
        return await renew(tx, order, lost, at)
    stop_gap = await issued(tx, key, False) if order.full else None
    if stop_gap:
        target: Container | None = await _same_target(tx, order, stop_gap)
    elif order.target is Target.ACTIVATION:
        target = lost if await _activate(tx, order, lost, at) else None
    else:
        target = await _container(tx, order, lost, holder)
    await tx.execute(
        "update backend.cases set awaits = %s, awaits_match = %s, activation = %s where vendor = %s and case_id = %s",
        (None if target else order.target, order.match, order.activation, key.vendor, key.case),
    )
    if target is None:
        return NoTargetFound(at=at, tickets=tuple(dict.fromkeys(item.ticket for item in order.licences)))
    await supersede(tx, order, stop_gap, target, at, signer)
    return await issued(tx, key, order.full) or Issued(at=at, target=target.serial, licences=())


async def _must_be_blocked(tx: AsyncConnection[Any], order: IssueOrder) -> None:
    """Refuse to go on before the measures of the order stand."""
    cursor = await tx.execute(
        "select distinct measure from backend.measures where vendor = %s and case_id = %s and state <> 'lifted'",
        (order.key.vendor, order.key.case),
    )
    missing = set(order.measures) - {measure for (measure,) in await cursor.fetchall()}
    if missing:
        raise RefusalError(
            Code.NOT_BLOCKED, f"case {order.key.case} may not be replaced before {', '.join(missing)} is ordered"
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
    if await _is_blocked(tx, order.key.vendor, target):
        raise RefusalError(Code.BLOCKED, f"container {target.serial}, which holds the stop-gap, is blocked itself")
    await nobody_claims(tx, order.key, stop_gap)
    return target


async def _container(
    tx: AsyncConnection[Any], order: IssueOrder, lost: Container, holder: HolderId
) -> Container | None:
    """A container of the holder that may take the replacement, locked: an empty one, or any other, then rather one
    that is in use. One that is lost itself takes none; that is looked at once its lock is held."""
    empty = order.target is Target.EMPTY_CONTAINER
    vendor = order.key.vendor
    candidates = await every(
        tx,
        Container,
        f"{CONTAINER} where vendor = %s and holder = %s and kind = %s and serial <> %s and (licences = 0 or not %s)"
        " order by licences = 0, serial",
        *(vendor, holder, lost.kind, lost.serial, empty),
    )
    for candidate in candidates:
        if await _is_blocked(tx, vendor, candidate) or await _is_lost(tx, vendor, candidate):
            continue
        target = await lock_container(tx, vendor, candidate.serial)
        if empty and target.licences:
            continue
        if not await _is_blocked(tx, vendor, target) and not await _is_lost(tx, vendor, target):
            return target
    return None


async def _is_blocked(tx: AsyncConnection[Any], vendor: VendorId, container: Container) -> bool:
    """Whether a measure aims at it, be it in effect yet or not."""
    cursor = await tx.execute(
        "select from backend.measures where vendor = %s and subject = %s and state <> 'lifted' limit 1",
        (vendor, subject(Aim.CONTAINER, container.serial, container.generation)),
    )
    return await cursor.fetchone() is not None


async def _is_lost(tx: AsyncConnection[Any], vendor: VendorId, container: Container) -> bool:
    """Whether an open case is about all of it."""
    cursor = await tx.execute(
        "select from backend.cases where vendor = %s and serial = %s and scope = %s and closed is null limit 1",
        (vendor, container.serial, Scope.CONTAINER),
    )
    return await cursor.fetchone() is not None


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
    superseded: list[Fact] = []
    granted: list[Fact] = []
    status = await status_indices(tx, key.vendor, len(order.licences))
    for item in sorted(order.licences, key=lambda item: item.licence):
        generation = current.get(item.licence, item.generation)
        index = status.first + len(granted)
        licence = await _next_generation(tx, order, item, generation, source, target.serial, at, index, reinstated)
        file = signer.file(key.vendor, status.issuer, licence, index)
        granted.append(licence.issued_fact(target.holder, key.case, file))
        superseded.append(LicenceSuperseded(licence=item.licence, generation=generation, serial=source, case=key.case))
    for serial, change in ((source, -len(granted)), (target.serial, len(granted))):
        await tx.execute(
            "update backend.containers set licences = licences + %s where vendor = %s and serial = %s",
            (change, key.vendor, serial),
        )
    await state(tx, key.vendor, source, at, superseded)
    await state(tx, key.vendor, target.serial, at, granted)


async def _next_generation(
    tx: AsyncConnection[Any],
    order: IssueOrder,
    item: LicenceInScope,
    generation: int,
    source: Serial,
    target: Serial,
    at: datetime,
    status_index: int,
    reinstated: bool,
) -> Licence:
    """Compare-and-set on the generation: a generation is superseded once, by one case."""
    key = order.key
    ends = at + timedelta(days=order.stop_gap_days) if order.stop_gap_days and not order.full else None
    cursor = tx.cursor(row_factory=class_row(Licence))
    await cursor.execute(
        "update backend.licences set generation = %s, serial = %s, issued = %s, ends = %s,"
        " borrowed_until = null, lease_stage = null, status_index = %s"
        " where vendor = %s and licence = %s and generation = %s and serial = %s"
        f" returning {LICENCE_COLUMNS}",
        (next_generation(generation), target, at, ends, status_index, key.vendor, item.licence, generation, source),
    )
    licence = await cursor.fetchone()
    if licence is None:
        raise RefusalError(
            Code.GENERATION_CONFLICT, f"licence {item.licence} is no longer at generation {generation} in {source}"
        )
    expires = expiry(licence.terms, at, ends)
    await tx.execute(
        "insert into backend.issues values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (key.vendor, key.case, item.licence, generation, licence.generation, target, at, order.full, reinstated),
    )
    renewed = await one(
        tx,
        Licence,
        "update backend.licences set expires = %s, lease_next = %s where vendor = %s and licence = %s"
        f" returning {LICENCE_COLUMNS}",
        *(expires, first_notice(licence.terms, at, expires), key.vendor, item.licence),
    )
    return cast(Licence, renewed)


async def status_indices(tx: AsyncConnection[Any], vendor: VendorId, count: int) -> StatusRange:
    """Places in the status list of the vendor, so many."""
    cursor = tx.cursor(row_factory=class_row(StatusRange))
    await cursor.execute(
        "update backend.vendors set next_status_index = next_status_index + %s where vendor = %s"
        " returning issuer, next_status_index - %s as first",
        (count, vendor, count),
    )
    return cast(StatusRange, await cursor.fetchone())
