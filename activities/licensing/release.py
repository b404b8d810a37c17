"""Release: which cases stand in the way of an un-loss; a container is blocked while any case's measure stands, and an
activation stays on the machine to which another case's replacement was bound. Pure.

An un-loss asks first. While a case stands in its way of which nobody asked for un-loss, nothing is withdrawn or lifted.
Then each lifts its own measures, and the licences return once those of all others are lifted too: open cases
are waited for.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from events.errors import Code, RefusalError
from events.terms import CaseId, Serial


class Release(StrEnum):
    """How far the un-loss of a case has come: it is asked for, or has lifted what it can of the case's measures."""

    ASKED = "asked"
    LIFTED = "lifted"


@dataclass(frozen=True, slots=True)
class Other:
    """Another case of which a measure stands on the container, or a replacement is in it."""

    case: CaseId
    release: Release | None
    over: bool = False


def taken_along(
    claimed: int, replaced: Iterable[tuple[Other, int]], machines: Mapping[int, Mapping[str, str]]
) -> list[Other]:
    """The cases of which a replacement would go to another machine, were the container bound again to the one of the
    generation that was `claimed`. `replaced`: cases of which one is current in the container, and the generation of the
    container for which it was issued; `machines` are those it was bound to, by generation."""
    return [
        other
        for other, generation in replaced
        if generation > claimed and machines.get(generation, {}) != machines.get(claimed, {})
    ]


def must_be_free(serial: Serial, others: Iterable[Other], at: datetime, *, begun: bool) -> None:
    """Refuse to go on with an un-loss while others stand in the way, and say which: until it has begun to withdraw or
    lift anything those of which nobody asked for un-loss, and then all that have not lifted their measures. Its code is
    `release_awaited` where all of these may still do so; it says `at` what time, from which a case counts how long it
    waits."""
    passed = {Release.LIFTED} if begun else {Release.LIFTED, Release.ASKED}
    standing = [other for other in others if other.release not in passed]
    if standing:
        waits = begun and not any(other.over for other in standing)
        names = ", ".join(sorted(other.case for other in standing))
        raise RefusalError(
            Code.RELEASE_AWAITED if waits else Code.BLOCKED,
            f"container {serial} is blocked by case {names} too, or holds its replacement; reinstate or give up that"
            " one and resume this, or retire the original",
            serial=serial,
            cases=names,
            at=at.isoformat(),
        )
