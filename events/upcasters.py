"""How an older version of a fact is read: the JSON of one version becomes that of the next.

A record of the log is never rewritten. `docs/changing-a-fact.md` says step by step how a fact gets a new version.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

Data = dict[str, Any]
"""A fact as JSON values."""


class Upcaster(NamedTuple):
    """A step from one version to the next. `since` is the first release that knew the older one; `upcast` is pure, and
    leaves what it is given as it is."""

    since: str
    upcast: Callable[[Data], Data]


def _as_it_is(data: Data) -> Data:
    """Where the newer version takes all that the older one did."""
    return data


WIDER = (
    *("approval.given", "approval.overdue", "case.addressed", "case.approved", "case.cancelled", "case.decided"),
    *("case.given_up", "case.rejected", "case.resumed", "case.ruled", "condition.met", "decision.denied"),
    *("evidence.asked", "evidence.given", "loss.reported", "record.set_aside"),
)
"""The facts whose version 2 takes longer names of persons, with more characters to choose among, or has one more list,
which is empty in version 1."""

UPCASTERS: dict[str, Upcaster] = {f"lostfound.{name}.v1": Upcaster("0.1.0", _as_it_is) for name in WIDER}
"""The steps, each by the CloudEvents type of the older version."""
