"""Blocking measures: ordered, delivered, confirmed, and how they end; in the caller's transaction, under its locks."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from psycopg import AsyncConnection

from activities.licensing.claim_rules import licences_blocked
from activities.licensing.measure_rules import Standing, is_settled
from activities.licensing.outbox import state
from activities.licensing.records import columns, every
from events.backend_facts import MeasureLifted, MeasureOrdered, MeasureUnconfirmable
from events.measure_life import sql_in_effect, sql_open, step
from events.measure_subject import Subject
from events.ports.licensing_backend import BlockOrder, CaseKey, CloseOrder, Done
from events.terms import Aim, Measure, MeasureState, Serial, VendorId


def texts(subjects: Iterable[Subject]) -> list[str]:
    """Subjects as the tables have them."""
    return [str(one) for one in subjects]


STANDING = "select case_id, measure, subject, serial, state, container_generation from backend.measures"


async def blocking(
    tx: AsyncConnection[Any], vendor: VendorId, subjects: Sequence[Subject], at: datetime
) -> list[Standing]:
    """The measures that block any of these at this time."""
    effect = sql_in_effect("%s")
    query = f"{STANDING} where vendor = %s and subject = any(%s) and {effect} order by ordered, case_id, measure"
    return await every(tx, Standing, query, vendor, texts(subjects), at)


async def order_measures(tx: AsyncConnection[Any], order: BlockOrder, at: datetime) -> Done:
    """Order the measures that are not ordered yet; those of a case that is over stay as they ended."""
    key = order.key
    asked = [
        (item.measure, aimed, at + timedelta(hours=item.delay_hours))
        for aimed in await _subjects(tx, order)
        for item in order.measures
    ]
    cursor = await tx.execute(
        "insert into backend.measures"
        " (vendor, case_id, measure, serial, ordered, subject, effective, container_generation)"
        " select c.vendor, c.case_id, a.measure, c.serial, %s, a.subject, a.effective, c.generation"
        " from backend.cases c, unnest(%s::text[], %s::text[], %s::timestamptz[]) as a(measure, subject, effective)"
        " where c.vendor = %s and c.case_id = %s and c.closed is null on conflict do nothing"
        " returning measure, subject",
        (at, *columns([(one, str(aimed), when) for one, aimed, when in asked], 3), key.vendor, key.case),
    )
    added = set(await cursor.fetchall())
    facts = [
        MeasureOrdered(case=key.case, measure=measure, subject=aimed, serial=key.serial, effective=effective)
        for measure, aimed, effective in asked
        if (measure, str(aimed)) in added
    ]
    await state(tx, key.vendor, key.serial, at, facts)
    cursor = await tx.execute(
        "select max(ordered) from backend.measures where vendor = %s and case_id = %s", (key.vendor, key.case)
    )
    (ordered,) = cast(tuple[datetime | None], await cursor.fetchone())
    return Done(at=ordered or at)


async def _subjects(tx: AsyncConnection[Any], order: BlockOrder) -> list[Subject]:
    """What the measures aim at, as it was claimed."""
    if order.aim is Aim.LICENCE:
        claims = await tx.execute(
            "select subject, generation from backend.claims where vendor = %s and case_id = %s",
            (order.key.vendor, order.key.case),
        )
        return [Subject(order.aim, *licence) for licence in licences_blocked(await claims.fetchall())]
    cursor = await tx.execute(
        "select generation from backend.cases where vendor = %s and case_id = %s", (order.key.vendor, order.key.case)
    )
    row = await cursor.fetchone()
    return [Subject(order.aim, order.key.serial, row[0])] if row else []


async def advance(tx: AsyncConnection[Any], vendor: VendorId, reached: Mapping[Standing, MeasureState]) -> None:
    """Keep how far measures have come."""
    several = [
        (item.case_id, item.measure, str(item.subject), step(item.state, after)) for item, after in reached.items()
    ]
    if not several:
        return
    await tx.execute(
        "update backend.measures m set state = a.state"
        " from unnest(%s::text[], %s::text[], %s::text[], %s::text[]) as a(case_id, measure, subject, state)"
        " where m.vendor = %s and m.case_id = any(%s)"
        " and (m.case_id, m.measure, m.subject) = (a.case_id, a.measure, a.subject)",
        (*columns(several, 4), vendor, list({item.case_id for item in reached})),
    )


async def settled_by(tx: AsyncConnection[Any], vendor: VendorId, confirmed: Sequence[Standing]) -> tuple[CaseKey, ...]:
    """The cases of which these confirmations say that all is removed, or given back."""
    settled: list[CaseKey] = []
    for case in sorted({item.case_id for item in confirmed if item.measure is not Measure.BLACKLISTING}):
        own = await every(tx, Standing, f"{STANDING} where vendor = %s and case_id = %s", vendor, case)
        cursor = await tx.execute(
            "select serial, array(select 'licence/' || licence || '/' || generation from backend.issues i"
            " where (i.vendor, i.case_id) = (c.vendor, c.case_id))"
            " from backend.cases c where vendor = %s and case_id = %s",
            (vendor, case),
        )
        serial, issued = cast(tuple[Serial, list[str]], await cursor.fetchone())
        if is_settled([item for item in confirmed if item.case_id == case], own, set(map(Subject.parse, issued))):
            settled.append(CaseKey(vendor=vendor, case=case, serial=serial))
    return tuple(settled)


async def settle(tx: AsyncConnection[Any], order: CloseOrder, at: datetime) -> None:
    """End the measures of a case that is over: unconfirmable, or lifted; what was confirmed stays so."""
    key = order.key
    end = MeasureState.LIFTED if order.lift else MeasureState.UNCONFIRMABLE
    ended = await every(
        tx,
        Standing,
        "update backend.measures set state = %s where vendor = %s and case_id = %s"
        f" and {sql_open()} returning case_id, measure, subject, serial, state",
        *(end, key.vendor, key.case),
    )
    fact = MeasureLifted if order.lift else MeasureUnconfirmable
    ended.sort(key=lambda item: (str(item.subject), item.measure))
    await state(tx, key.vendor, key.serial, at, [fact.model_validate(item.about()) for item in ended])
