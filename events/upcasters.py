"""How an older version of a fact is read: the JSON of one version becomes that of the next.

A record of the log is never rewritten. `docs/facts.md` says step by step how a fact gets a new version.
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


UPCASTERS: dict[str, Upcaster] = {}
"""The steps, each by the CloudEvents type of the older version."""
