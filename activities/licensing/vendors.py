"""Vendors and the versions of their policies, in the caller's transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from pydantic import JsonValue

from activities.licensing.outbox import position, state
from activities.licensing.records import changed
from activities.licensing.vendor_rules import adopted, issuer_of, must_fit, says_the_same
from events.backend_facts import VendorAdded
from events.errors import Code, RefusalError
from events.ports.licensing_backend import Adopted
from events.postgres_sessions import open_blocking_session
from events.stream_position import StreamPosition
from events.terms import VendorId

KEY = "select key_id from backend.vendors where vendor = %s"


async def add(tx: AsyncConnection[Any], vendor: VendorId, policy: Mapping[str, JsonValue], at: datetime) -> bool:
    """Take in a vendor with its first policy; False when it was there already. Raises `RefusalError`."""
    must_fit(policy)
    issuer = issuer_of(vendor)
    added = await changed(
        tx, "insert into backend.vendors (vendor, issuer) values (%s, %s) on conflict do nothing", vendor, issuer
    )
    if not added:
        return False
    numbered = {**policy, "policy_version": 1}
    await _put(tx, vendor, 1, numbered)
    await state(tx, vendor, None, at, [VendorAdded(issuer=issuer), adopted(1, numbered)])
    return True


async def adopt(tx: AsyncConnection[Any], vendor: VendorId, policy: dict[str, JsonValue], at: datetime) -> Adopted:
    """Put a policy in force and answer with its version, which it then carries; one that is in force stays so.

    Raises `RefusalError`.
    """
    must_fit(policy)
    await tx.execute("select from backend.vendors where vendor = %s for update", (vendor,))
    cursor = await tx.execute(
        "select policy_version, policy from backend.policies where vendor = %s order by policy_version desc limit 1",
        (vendor,),
    )
    row = await cursor.fetchone()
    if row is None:
        raise RefusalError(Code.UNKNOWN_VENDOR, f"vendor {vendor} is unknown here", vendor=vendor)
    version, known = row
    if says_the_same(known, policy):
        return Adopted(cast(int, version), await position(tx, vendor, None))
    numbered: dict[str, JsonValue] = {**policy, "policy_version": version + 1}
    await _put(tx, vendor, version + 1, numbered)
    stands = await state(tx, vendor, None, at, [adopted(version + 1, numbered)])
    return Adopted(cast(int, version) + 1, cast(StreamPosition, stands))


async def in_force(tx: AsyncConnection[Any], vendor: VendorId) -> tuple[int, JsonValue]:
    """The policy that decides now, and its version."""
    cursor = await tx.execute(
        "select policy_version, policy from backend.policies where vendor = %s order by policy_version desc limit 1",
        (vendor,),
    )
    return cast(tuple[int, JsonValue], await cursor.fetchone())


async def version(tx: AsyncConnection[Any], vendor: VendorId, number: int) -> JsonValue:
    """A version of the policy."""
    cursor = await tx.execute(
        "select policy from backend.policies where vendor = %s and policy_version = %s", (vendor, number)
    )
    (policy,) = cast(tuple[JsonValue], await cursor.fetchone())
    return policy


async def _put(tx: AsyncConnection[Any], vendor: VendorId, version: int, policy: JsonValue) -> None:
    await tx.execute("insert into backend.policies values (%s, %s, %s)", (vendor, version, Jsonb(policy)))


async def known_key(connection: AsyncConnection[Any], vendor: VendorId) -> str | None:
    """The id of the vendor's signing key, once it is known."""
    cursor = await connection.execute(KEY, (vendor,))
    row = await cursor.fetchone()
    return row[0] if row else None


def known_key_now(dsn: str, vendor: VendorId) -> str | None:
    """As `known_key`, over a connection of its own, at once: it is asked once per vendor and process."""
    with open_blocking_session(dsn) as connection:
        row = connection.execute(KEY, (vendor,)).fetchone()
        return row[0] if row else None


async def note_key(connection: AsyncConnection[Any], vendor: VendorId, key: str) -> None:
    """Keep the id of the vendor's signing key, unless one is known."""
    await connection.execute(
        "update backend.vendors set key_id = %s where vendor = %s and key_id is null", (key, vendor)
    )
