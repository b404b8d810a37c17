"""Which recovery of a quota a case gets: a pure function of those that are set aside."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from events.backend_facts import RecoveryReserved
from events.ports.licensing_backend import Reservation, ReserveOrder
from events.sizes import LIST_PART, in_parts


@dataclass(frozen=True, slots=True)
class Recovery:
    """A recovery of a pot that was set aside for one subject and not freed."""

    subject: str
    ordinal: int
    received: datetime


def allot(order: ReserveOrder, known: Iterable[Recovery]) -> dict[str, int] | None:
    """The ordinal of the order's recovery for each of its subjects, or None where one of them has no recovery left.

    `known` are all recoveries of its pot for its subjects. One received at T counts against a report received at t when
    |t - T| < term, so no term of that length holds more than the limit, in whatever order reports arrive.
    """
    term = timedelta(days=order.term_days)
    counted: dict[str, list[int]] = {subject: [] for subject in order.subjects}
    for one in known:
        if one.subject in counted and abs(one.received - order.received) < term:
            counted[one.subject].append(one.ordinal)
    if any(len(ordinals) >= order.limit for ordinals in counted.values()):
        return None
    return {subject: _lowest_free(ordinals) for subject, ordinals in counted.items()}


def _lowest_free(ordinals: list[int]) -> int:
    """The lowest ordinal that none of them is; at most one more than there are."""
    return next(number for number in range(1, len(ordinals) + 2) if number not in ordinals)


def reserved(
    order: ReserveOrder, ordinals: Mapping[str, int], at: datetime
) -> tuple[list[RecoveryReserved], Reservation]:
    """What is stated and answered when these ordinals are set aside: of several the highest, which is the nearest to
    the limit."""
    ordinal = max(ordinals.values())
    facts = [
        RecoveryReserved(
            case=order.key.case,
            serial=order.key.serial,
            subjects=subjects,
            ordinal=ordinal,
            limit=order.limit,
            pot=order.pot,
            term_days=order.term_days,
            part=part,
            parts=parts,
        )
        for part, parts, subjects in in_parts(order.subjects, LIST_PART)
    ]
    return facts, Reservation(at=at, ordinal=ordinal, limit=order.limit)
