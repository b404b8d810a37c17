"""Leases: when a check-in is due, and what is stated of those that did not come.

A licence's row carries the next instant at which something is to be stated of its lease; a renewal sets it anew, and
a block puts it off until it is lifted.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from psycopg import AsyncConnection

from activities.licensing.measures import blocking
from activities.licensing.outbox import state
from activities.licensing.records import CONTAINER, LICENCE, Container, Licence, every, one
from events.backend_facts import LeaseDueSoon, LeaseFact, LeaseLapsed, LeaseOverdue
from events.terms import Aim, Lease, LicenceId, Serial, Subject, VendorId

MOST_NOTICE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a lease has come, and what is then stated."""

    name: str
    begins: datetime
    fact: type[LeaseFact]


def expiry(lease: Lease, issued: datetime, ends: datetime | None) -> datetime | None:
    """When a file issued at `issued` ends: with its lease, and no later than the stop-gap that it is."""
    return min((end for end in (lease.expiry(issued), ends) if end is not None), default=None)


def stages(lease: Lease, issued: datetime, expires: datetime | None) -> tuple[Stage, ...]:
    """What a file's lease comes to, in order; nothing where no check-in is asked for. Soon due is the last quarter of
    the interval, and at most 7 days; a file that ends before its check-in is due at its end."""
    if lease.check_in is None or expires is None:
        return ()
    due = min(lease.check_in.after(issued), expires)
    soon = due - min((due - issued) / 4, MOST_NOTICE)
    return (
        Stage("due_soon", soon, LeaseDueSoon),
        Stage("overdue", due, LeaseOverdue),
        Stage("lapsed", expires, LeaseLapsed),
    )


def first_notice(lease: Lease, issued: datetime, expires: datetime | None) -> datetime | None:
    """When something is first to be stated of a file's lease."""
    return next((stage.begins for stage in stages(lease, issued, expires)), None)


def to_come(licence: Licence, stage: str | None) -> tuple[Stage, ...]:
    """The stages of a licence's lease after this one."""
    every_stage = stages(licence.terms, licence.issued, licence.expires)
    names = [None, *(each.name for each in every_stage)]
    return every_stage[names.index(stage) :] if stage in names else ()


@dataclass(frozen=True, slots=True)
class Swept:
    """What a licence's lease has come to: what is stated of it, the last stage that was, and when it comes to more."""

    facts: tuple[LeaseFact, ...]
    stage: str | None
    following: datetime | None


def swept(licence: Licence, now: datetime, most: int) -> Swept:
    """What a licence's lease has come to by `now`, in at most so many facts."""
    coming = to_come(licence, licence.lease_stage)
    reached = [stage for stage in coming if stage.begins <= now][:most]
    left = coming[len(reached) :]
    steps = stages(licence.terms, licence.issued, licence.expires)
    facts = tuple(
        stage.fact(
            licence=licence.licence,
            generation=licence.generation,
            serial=licence.serial,
            due=steps[1].begins,
            expires=steps[2].begins,
        )
        for stage in reached
    )
    stage = reached[-1].name if reached else licence.lease_stage
    return Swept(facts, stage, left[0].begins if left else None)


def subjects_of(container: Container, licences: Iterable[Licence]) -> list[Subject]:
    """What a measure must aim at for leases in a container to be put off: what stands for all of it, and each of the
    licences."""
    names = (Subject(Aim.LICENCE, licence.licence, licence.generation) for licence in licences)
    return [Subject.way_in(container.kind, container.serial, container.generation), *names]


def put_off(container: Container, licences: Iterable[Licence], blocked: Collection[Subject]) -> set[LicenceId]:
    """The licences of which no lease is looked at: what is given back or blocked."""
    whole = Subject.way_in(container.kind, container.serial, container.generation)
    gone = container.returned >= container.generation or whole in blocked
    return {one.licence for one in licences if gone or Subject(Aim.LICENCE, one.licence, one.generation) in blocked}


async def sweep(tx: AsyncConnection[Any], now: datetime, limit: int, processed: datetime) -> int:
    """State what leases have come to by `now`, at most `limit` of them; how many it were. Containers that somebody
    else works on are left to the next sweep. What is blocked when it is `processed` is put off."""
    cursor = await tx.execute(
        "select vendor, serial from backend.containers where (vendor, serial) in"
        " (select vendor, serial from backend.licences where lease_next <= %s order by lease_next limit %s)"
        " for update skip locked",
        (now, limit),
    )
    left = limit
    for vendor, serial in await cursor.fetchall():
        left -= await _sweep_container(tx, vendor, serial, now, left, processed)
    return limit - left


async def _sweep_container(
    tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, now: datetime, most: int, processed: datetime
) -> int:
    container = cast(
        Container, await one(tx, Container, f"{CONTAINER} where vendor = %s and serial = %s", vendor, serial)
    )
    licences = await every(
        tx,
        Licence,
        f"{LICENCE} where vendor = %s and serial = %s and lease_next <= %s order by lease_next, licence",
        *(vendor, serial, now),
    )
    measures = await blocking(tx, vendor, subjects_of(container, licences), max(now, processed))
    off = put_off(container, licences, {measure.subject for measure in measures})
    await _put_off(tx, vendor, off)
    facts: list[LeaseFact] = []
    for licence in licences:
        if licence.licence not in off and len(facts) < most:
            facts += await _sweep_licence(tx, vendor, licence, now, most - len(facts))
    await state(tx, vendor, serial, now, facts)
    return len(facts)


async def _put_off(tx: AsyncConnection[Any], vendor: VendorId, licences: Collection[LicenceId]) -> None:
    if licences:
        await tx.execute(
            "update backend.licences set lease_next = null where vendor = %s and licence = any(%s)",
            (vendor, sorted(licences)),
        )


async def _sweep_licence(
    tx: AsyncConnection[Any], vendor: VendorId, licence: Licence, now: datetime, most: int
) -> tuple[LeaseFact, ...]:
    found = swept(licence, now, most)
    await tx.execute(
        "update backend.licences set lease_next = %s, lease_stage = %s where vendor = %s and licence = %s",
        (found.following, found.stage, vendor, licence.licence),
    )
    return found.facts


async def resume(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> None:
    """Look again at the leases in a container of which a measure was lifted, or that has a new generation."""
    await tx.execute(
        "update backend.licences set lease_next = issued where vendor = %s and serial = %s and lease_next is null"
        " and expires is not null and lease_stage is distinct from 'lapsed'",
        (vendor, serial),
    )
