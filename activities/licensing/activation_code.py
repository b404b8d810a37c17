"""Activation codes: what a machine must bring to be bound to a container for a case whose policy asks for it.

A code is derived from the vendor's key and kept nowhere. What is kept is the number of the code, and how many wrong
ones were tried; see `activities.licensing.activation_code_rules`.
"""

import hmac
from typing import Any

from psycopg import AsyncConnection

from activities.licensing.activation_code_rules import (
    TRIES,
    Fetched,
    fetch,
    must_be_activated_by_code,
    none_awaits,
    written,
)
from activities.licensing.containers import must_be_theirs
from activities.licensing.records import lock_container, one
from activities.licensing.signing import SigningKeys
from events.ports.licensing_backend import ActivationCode, CaseKey
from events.principal import Principal
from events.terms import ActivationBy, CaseId, Serial, Target, VendorId


def code_of(keys: SigningKeys, vendor: VendorId, serial: Serial, fetched: Fetched) -> str:
    """The code that has this number for this container and case."""
    name = f"{serial}/{fetched.number}/{fetched.case_id}"
    return written(hmac.digest(keys.derived(vendor, b"lostfound activation code"), name.encode(), "sha256"))


async def activation_code(
    tx: AsyncConnection[Any], principal: Principal, serial: Serial, keys: SigningKeys
) -> ActivationCode:
    """The code for the cases that wait for a machine, for the holder or the back office. Raises `RefusalError` where
    none waits for one with a code."""
    vendor = principal.vendor
    must_be_activated_by_code(must_be_theirs(await lock_container(tx, vendor, serial), principal))
    cursor = await tx.execute(
        "select case_id from backend.cases where vendor = %s and serial = %s and awaits = %s and activation = %s"
        " order by received, case_id",
        (vendor, serial, Target.ACTIVATION, ActivationBy.CODE),
    )
    waiting = [CaseId(case) for (case,) in await cursor.fetchall()]
    if not waiting:
        raise none_awaits(serial)
    last = await one(
        tx,
        Fetched,
        "select number, case_id, wrong from backend.activation_codes where vendor = %s and serial = %s",
        *(vendor, serial),
    )
    fetched = fetch(last, waiting)
    await tx.execute(
        "insert into backend.activation_codes (vendor, serial, number, case_id, wrong) values (%s, %s, %s, %s, %s)"
        " on conflict (vendor, serial) do update set number = excluded.number, case_id = excluded.case_id,"
        " wrong = excluded.wrong",
        (vendor, serial, fetched.number, fetched.case_id, fetched.wrong),
    )
    return ActivationCode(
        code=code_of(keys, vendor, serial, fetched), cases=tuple(waiting), tries_left=TRIES - fetched.wrong
    )


async def end_code(tx: AsyncConnection[Any], key: CaseKey) -> None:
    """End the code that was fetched for a case which is over."""
    await tx.execute(
        "update backend.activation_codes set case_id = null where vendor = %s and serial = %s and case_id = %s",
        (key.vendor, key.serial, key.case),
    )
