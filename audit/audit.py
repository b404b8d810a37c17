"""Reads the whole log and judges it; no view is asked."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from audit.breach import Breach
from audit.invariants import judge
from audit.log_index import Ledger, Place
from events.backend_facts import RecordSetAside
from events.codec import FactCodec, belongs
from events.envelope import NewerFactError, Recorded, UnreadableRecordError
from events.log import LogReader
from events.log_errors import NewerReleaseError
from events.log_records import LogRecord, Position, RecordId
from events.terms import VendorId

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class SetAside:
    """A record that an operator set aside: where it stands, what was wrong, who said so, why and when."""

    partition: int
    offset: int
    code: str
    by: str
    why: str
    recorded: datetime


@dataclass(frozen=True, slots=True)
class Audit:
    """How many facts were judged, as of when, the breaches that they show, and the records that were set aside."""

    facts: int
    until: datetime | None
    breaches: list[Breach]
    set_aside: list[SetAside] = field(default_factory=list)


@dataclass
class Reading:
    """The log as far as it was read: the facts, what records show by themselves, and readable ones that were `apart`,
    which an operator set aside. `newer`: only a later release knows some of it."""

    codec: FactCodec
    aside: Mapping[RecordId, tuple[Place, RecordSetAside]] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    found: list[Breach] = field(default_factory=list)
    apart: list[tuple[RecordId, Recorded]] = field(default_factory=list)
    newer: NewerReleaseError | None = None

    def take(self, records: Iterable[LogRecord]) -> None:
        """Collect records; one that cannot be read, or whose key is another's, is a breach unless it was set aside."""
        for record in records:
            at, key = record.position, record.key or b""
            set_aside = bool(self.aside) and record.id in self.aside
            try:
                fact = self.codec.unseal(record.value or b"")
            except UnreadableRecordError as error:
                if not set_aside:
                    sentence = f"the record cannot be read ({str(error)[:200]})"
                    vendor = VendorId(key.partition(b"/")[0].decode(errors="replace"))
                    self.found.append(Breach(8, vendor, "log", f"partition {at.partition}", at.offset, sentence))
                continue
            except NewerFactError as error:
                if not set_aside:
                    self.newer = self.newer or NewerReleaseError(at, error.record)
                continue
            if set_aside:
                if belongs(key, fact):
                    self.apart.append((record.id, fact))
                continue
            if not belongs(key, fact):
                sentence = f"it stands under the key {key.decode(errors='replace')!r}, which is not its own"
                self.found.append(Breach(9, fact.vendor, fact.stream, fact.stream, fact.sequence, sentence))
            self.ledger.take(fact)

    def finish(self) -> None:
        """Judge what was set aside: a fact that fits its stream is part of the history all the same. Raises
        `NewerReleaseError` where a later release is needed to judge."""
        if self.newer is not None:
            raise self.newer
        for record, fact in sorted(self.apart, key=lambda one: (one[1].vendor, one[1].stream, one[1].sequence)):
            chain = self.ledger.chains.get((fact.vendor, fact.stream), {})
            before = chain.get(fact.sequence - 1)
            follows = before.hash == fact.previous_hash if before else fact.sequence == 1 and not fact.previous_hash
            if fact.sequence in chain or not follows:
                continue
            self.ledger.take(fact)
            sentence = f"{self.aside[record][1].by} set it aside, although it can be read and fits its stream"
            self.found.append(Breach(8, fact.vendor, fact.stream, fact.stream, fact.sequence, sentence))


async def audit(
    bootstrap: str, codec: FactCodec, until: datetime | None, progress: Progress = lambda _done, _of: None
) -> Audit:
    """Judge the log up to where it ends now; what only shows after `until` is left out. Raises `KafkaError`, and
    `NewerReleaseError` where only a later release can judge it.

    Where records were set aside the log is read a second time, for each stands before what is said of it.
    """
    reader = LogReader(bootstrap)
    read = await _read(reader, Reading(codec), progress)
    if read.ledger.set_aside:
        read = await _read(reader, Reading(codec, by_record(read.ledger.set_aside)), progress)
    read.finish()
    listed = [
        SetAside(fact.partition, fact.offset, fact.code, fact.by, fact.why, place.recorded)
        for place, fact in read.ledger.set_aside
    ]
    return Audit(read.ledger.facts, until, [*read.found, *judge(read.ledger, until)], listed)


def by_record(set_aside: Iterable[tuple[Place, RecordSetAside]]) -> dict[RecordId, tuple[Place, RecordSetAside]]:
    """What was set aside, by the record that was looked at. Another one that stands at the place by now is judged."""
    return {RecordId(Position(fact.partition, fact.offset), fact.digest): (place, fact) for place, fact in set_aside}


async def _read(reader: LogReader, reading: Reading, progress: Progress) -> Reading:
    total, done = sum((await reader.ends()).values()), 0
    async for batch in reader.batches():
        reading.take(batch)
        done += len(batch)
        progress(done, total)
    return reading
