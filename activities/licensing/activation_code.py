"""Activation codes: what a machine must bring to be bound to a container for a case whose policy asks for it.

A code is derived from the vendor's key and kept nowhere. It is good once, for one container and while its case is open
and waits; after so many wrong ones another must be fetched. What is kept is the number of the code, and how many wrong
ones were tried.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import AsyncConnection

from activities.licensing.records import Container, lock_container, one
from activities.licensing.signing import SigningKeys
from events.errors import Code, RefusalError
from events.ports.licensing_backend import ActivationCode, CaseKey
from events.terms import ActivationBy, CaseId, Kind, Serial, Target, VendorId

TRIES = 5
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's: no letter in it is taken for a digit or another letter."""
LENGTH = 10
READ_AS = str.maketrans("OIL", "011", " -")


@dataclass(frozen=True, slots=True)
class Fetched:
    """The last code that was fetched for a container: its number, the case that it is for, and how many wrong ones were
    tried since. `case_id` is None once it was used, or its case is over."""

    number: int
    case_id: CaseId | None
    wrong: int

    @property
    def is_good(self) -> bool:
        """Whether a machine may still be bound with it."""
        return self.case_id is not None and self.wrong < TRIES


def fetch(last: Fetched | None, waiting: Sequence[CaseId]) -> Fetched:
    """The code to hand out while these cases wait for a machine: the last one for as long as it is good, else another.
    One activation serves them all."""
    if last is not None and last.is_good and last.case_id in waiting:
        return last
    return Fetched(number=last.number + 1 if last else 1, case_id=waiting[0], wrong=0)


def tried(fetched: Fetched | None) -> Fetched | None:
    """What is known of a code after a wrong one."""
    return replace(fetched, wrong=fetched.wrong + 1) if fetched and fetched.is_good else fetched


def spent(fetched: Fetched | None) -> Fetched | None:
    """What is known of a code after it was used, or its case is over."""
    return replace(fetched, case_id=None) if fetched else None


def written(digest: bytes) -> str:
    """A code as it is printed, such as `7K3QF-M02ZT`, from at least seven random bytes."""
    number = int.from_bytes(digest[:7])
    letters = "".join(ALPHABET[number >> 5 * place & 31] for place in range(LENGTH))
    return f"{letters[: LENGTH // 2]}-{letters[LENGTH // 2 :]}"


def is_same(code: str, typed: str) -> bool:
    """Whether somebody typed a code; case, blanks and dashes do not matter, nor O for 0 and I or L for 1. Takes as long
    for any wrong one."""
    return hmac.compare_digest(_plain(code), _plain(typed))


def _plain(code: str) -> bytes:
    return code.upper().translate(READ_AS).encode("utf-8", "surrogatepass")


def code_of(keys: SigningKeys, vendor: VendorId, serial: Serial, fetched: Fetched) -> str:
    """The code that has this number for this container and case."""
    name = f"{serial}/{fetched.number}/{fetched.case_id}"
    return written(hmac.digest(keys.derived(vendor, b"lostfound activation code"), name.encode(), "sha256"))


def none_awaits(serial: Serial) -> RefusalError:
    """Why there is no code to be had."""
    return RefusalError(
        Code.NO_CASE,
        f"no open case of container {serial} waits for an activation by code; report its loss first",
        serial=serial,
    )


def must_be_activated_by_code(container: Container) -> None:
    """Refuse a container that is bound to no machine."""
    if container.kind is not Kind.ACT:
        raise RefusalError(
            Code.KIND_MISMATCH,
            f"container {container.serial} is of kind {container.kind}; only one of kind act is activated by code",
            serial=container.serial,
            kind=container.kind,
        )


async def activation_code(
    tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, keys: SigningKeys
) -> ActivationCode:
    """The code for the cases that wait for a machine. Raises `RefusalError` where none waits for one with a code."""
    must_be_activated_by_code(await lock_container(tx, vendor, serial))
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
