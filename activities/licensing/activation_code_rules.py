"""Activation codes as rules: which is handed out, how one is printed and read, and how many wrong ones may be tried.

A code is good once, for one container and while its case is open and waits; after so many wrong ones another must be
fetched.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, replace

from activities.licensing.containers import Container
from events.errors import Code, RefusalError
from events.terms import CaseId, Kind, Serial

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
