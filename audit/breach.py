"""What breaks an invariant."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from audit.log_index import Place
from events.terms import VendorId

ALWAYS = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Breach:
    """A breach of an invariant (1 to 9), at the fact that shows it: `about` is `case NAME`, `licence NAME`, or so.

    `since` is from when on it can be told: what was recorded later may be under way elsewhere.
    """

    invariant: int
    vendor: VendorId
    about: str
    stream: str
    sequence: int
    sentence: str
    since: datetime = field(default=ALWAYS, compare=False)


def breach(invariant: int, place: Place, about: str, sentence: str, since: datetime | None = None) -> Breach:
    return Breach(invariant, place.vendor, about, place.stream, place.sequence, sentence, since or place.recorded)
