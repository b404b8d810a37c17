"""Delegations: who acts for which holders, in the caller's transaction. The vendor's row is locked, as for every fact
about the vendor itself."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from activities.licensing.delegation_rules import Delegation, give, is_delegated, revoke
from activities.licensing.inventory_rules import unknown_vendor
from activities.licensing.outbox import position, state
from events.fact import Fact
from events.principal import Principal
from events.statements import DelegationStatement, RevocationStatement
from events.stream_position import StreamPosition
from events.terms import DelegationId, HolderId, PersonId, Reporter, Role, VendorId

COLUMNS = "delegation, delegate, holders, until, given, revoked"


async def take_delegation(
    tx: AsyncConnection[Any],
    principal: Principal,
    statement: DelegationStatement | RevocationStatement,
    received: datetime,
) -> StreamPosition:
    """Give or revoke a delegation, once; where the fact of it stands at the latest."""
    vendor = principal.vendor
    cursor = await tx.execute("select from backend.vendors where vendor = %s for update", (vendor,))
    if await cursor.fetchone() is None:
        raise unknown_vendor(vendor)
    cursor = await tx.execute(
        f"select {COLUMNS} from backend.delegations where vendor = %s and delegation = %s",
        (vendor, statement.delegation),
    )
    row = await cursor.fetchone()
    known = _delegation(*row) if row else Delegation(statement.delegation)
    facts: Sequence[Fact]
    if isinstance(statement, DelegationStatement):
        after, facts = give(known, statement, principal, received)
    else:
        after, facts = revoke(known, statement, principal, received)
    if not facts:
        return await position(tx, vendor, None)
    await tx.execute(
        f"insert into backend.delegations (vendor, {COLUMNS}) values (%s, %s, %s, %s, %s, %s, %s)"
        " on conflict (vendor, delegation) do update set delegate = excluded.delegate, holders = excluded.holders,"
        " until = excluded.until, given = excluded.given, revoked = excluded.revoked",
        (vendor, after.delegation, after.delegate, list(after.holders), after.until, after.given, after.revoked),
    )
    stands = await state(tx, vendor, None, received, facts)
    assert stands is not None
    return stands


async def delegated(
    tx: AsyncConnection[Any], vendor: VendorId, reporter: Reporter, holder: HolderId, at: datetime
) -> bool:
    """Whether a reporter is a delegate who acts for a holder in what is received at this instant."""
    return reporter.role is Role.DELEGATE and await acts_for(tx, vendor, reporter.name, holder, at)


async def acts_for(
    tx: AsyncConnection[Any], vendor: VendorId, person: PersonId, holder: HolderId, at: datetime
) -> bool:
    """Whether a person's delegation stands for a holder in what is received at this instant."""
    cursor = await tx.execute(
        f"select {COLUMNS} from backend.delegations where vendor = %s and delegate = %s and %s = any(holders)",
        (vendor, person, holder),
    )
    return is_delegated([_delegation(*row) for row in await cursor.fetchall()], holder, at)


def _delegation(
    delegation: str,
    delegate: str | None,
    holders: list[str],
    until: datetime | None,
    given: datetime | None,
    revoked: datetime | None,
) -> Delegation:
    named = PersonId(delegate) if delegate is not None else None
    return Delegation(DelegationId(delegation), named, tuple(map(HolderId, holders)), until, given, revoked)
