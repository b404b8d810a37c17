"""Reads the whole log and judges it; no view is asked."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from events.envelope import UnreadableRecordError, unseal
from events.log import LogReader, LogRecord
from events.terms import VendorId
from projections.folds import belongs
from projections.invariants import Breach, judge
from projections.ledger import Ledger

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Audit:
    """How many facts were judged, as of when, and the breaches that they show."""

    facts: int
    until: datetime | None
    breaches: list[Breach]


def examine(ledger: Ledger, records: Iterable[LogRecord]) -> list[Breach]:
    """Collect records; the breaches that a record shows by itself: it cannot be read, or its key is another's."""
    found = []
    for record in records:
        at = record.position
        try:
            fact = unseal(record.value)
        except UnreadableRecordError as error:
            sentence = f"the record cannot be read ({str(error)[:200]})"
            vendor = VendorId(record.key.partition(b"/")[0].decode(errors="replace"))
            found.append(Breach(8, vendor, "log", f"partition {at.partition}", at.offset, sentence))
            continue
        if not belongs(record.key, fact):
            sentence = f"it stands under the key {record.key.decode(errors='replace')!r}, which is not its own"
            found.append(Breach(9, fact.vendor, fact.stream, fact.stream, fact.sequence, sentence))
        ledger.take(fact)
    return found


async def audit(bootstrap: str, until: datetime | None, progress: Progress = lambda _done, _of: None) -> Audit:
    """Judge the log up to where it ends now; what only shows after `until` is left out. Raises `KafkaError`."""
    reader, ledger = LogReader(bootstrap), Ledger()
    total, done = sum((await reader.ends()).values()), 0
    found: list[Breach] = []
    async for batch in reader.batches():
        found += examine(ledger, batch)
        done += len(batch)
        progress(done, total)
    return Audit(ledger.facts, until, [*found, *judge(ledger, until)])
