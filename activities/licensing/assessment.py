"""Assessing: what policy decides on, answered once for a case; in the caller's transaction, under the lock."""

from datetime import datetime
from typing import Any, cast

from psycopg import AsyncConnection

from activities.licensing.answer_rules import ASSESS, with_policy
from activities.licensing.claim_changes import statement_of
from activities.licensing.claim_rules import products_blocked
from activities.licensing.claims import known_of
from activities.licensing.containers import Container, Licence
from activities.licensing.records import LICENCE, every
from activities.licensing.vendors import in_force, version
from events.case_facts import BackendFacts, LicenceInScope, LossReported
from events.errors import Code, RefusalError
from events.ports.licensing_backend import Assessment, CaseKey, ScopeOrder, ScopePage
from events.sizes import SCOPE_PAGE
from events.terms import Aim, Kind, Outcome, ProductId

KNOWN = """
select array(select received from backend.cases o where o.vendor = c.vendor and o.holder = %s and o.case_id <> c.case_id
        and exists (select from backend.claims k where (k.vendor, k.case_id) = (o.vendor, o.case_id))
        order by received desc limit %s),
    exists (select from backend.flags f where f.vendor = c.vendor and f.holder = %s),
    (select o.outcome from backend.messages m join backend.cases o
        on (o.vendor, o.case_id) = (m.vendor, m.content -> 'report' ->> 'former')
        where (m.vendor, m.case_id, m.number) = (c.vendor, c.case_id, 1)),
    (select m.content -> 'report' from backend.messages m
        where (m.vendor, m.case_id, m.number) = (c.vendor, c.case_id, 1))
from backend.cases c where vendor = %s and case_id = %s"""


async def assess(tx: AsyncConnection[Any], key: CaseKey, container: Container, at: datetime) -> Assessment:
    """The facts of a case as they are, and the version of the policy in force in place of the policy."""
    holder = container.holder
    cursor = await tx.execute(KNOWN, (holder, BackendFacts.LOSSES_KNOWN, holder, key.vendor, key.case))
    row = await cursor.fetchone()
    if row is None:
        raise RefusalError(Code.UNKNOWN_CASE, f"no case {key.case} is known here", case=key.case)
    losses, flagged, former, opening = row
    licences = tuple(licence.in_scope() for licence in await _claimed(tx, key, container))
    products: tuple[ProductId, ...] = ()
    if opening and not licences:
        known = await known_of(tx, key.vendor, container)
        stated = statement_of(LossReported.model_validate(opening))
        products = products_blocked(stated, known.products, known.policy)
    facts = BackendFacts(
        serial=container.serial,
        kind=container.kind,
        holder=holder,
        last_contact=container.last_contact,
        licences=licences,
        losses=tuple(losses),
        flagged=flagged,
        former_outcome=Outcome(former) if former else None,
        products=products,
    )
    number, _ = await in_force(tx, key.vendor)
    return Assessment(at=at, facts=facts, policy=number, licences=len(facts.licences))


async def as_case_learns(tx: AsyncConnection[Any], key: CaseKey, kept: Assessment) -> Assessment:
    """The assessment as its case gets it: with the policy itself in place of its version, and with as many of the
    licences as travel at once."""
    return with_policy(kept, await version(tx, key.vendor, cast(int, kept.policy)))


async def scope(tx: AsyncConnection[Any], order: ScopeOrder) -> ScopePage:
    """More of the licences that a case was assessed with, in the order of their names."""
    cursor = await tx.execute(
        "select item from backend.answers a,"
        " jsonb_array_elements(a.answer -> 'facts' -> 'licences') with ordinality as licences(item, place)"
        " where a.vendor = %s and a.case_id = %s and a.name = %s and place > %s order by place limit %s",
        (order.key.vendor, order.key.case, ASSESS.name, order.skip, SCOPE_PAGE),
    )
    return ScopePage(licences=tuple(LicenceInScope.model_validate(item) for (item,) in await cursor.fetchall()))


async def _claimed(tx: AsyncConnection[Any], key: CaseKey, container: Container) -> list[Licence]:
    """The licences that the case is about, as they are now: those that it claims, or all in a cloud container, whose
    access data it claims."""
    if container.kind is Kind.CLOUD:
        query = f"{LICENCE} where vendor = %s and serial = %s order by licence"
        return await every(tx, Licence, query, key.vendor, key.serial)
    # A look-up for each claim, whatever PostgreSQL takes the tables' sizes for.
    return await every(
        tx,
        Licence,
        "select found.* from backend.claims k cross join lateral ("
        f"{LICENCE} where vendor = k.vendor and licence = substr(k.subject, %s) and generation = k.generation limit 1"
        ") found where k.vendor = %s and k.case_id = %s and not k.freed order by found.licence",
        *(len(f"{Aim.LICENCE}/") + 1, key.vendor, key.case),
    )
