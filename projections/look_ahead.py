"""Looks ahead in the log for records that an operator set aside: that is said of a record after it."""

from collections.abc import Iterable, Set

from events.backend_facts import RecordSetAside
from events.envelope import INSTALLATION, Recorded, UnreadableRecordError, record_key, unseal
from events.log import LogReader, LogRecord, Position
from projections.chain import follow
from projections.damage import LogDamagedError
from projections.tables import StreamRow

KEY = record_key(INSTALLATION, None)


class SetAsideRecords:
    """What the installation's stream says so far. Pure."""

    def __init__(self) -> None:
        self.facts: dict[Position, tuple[Recorded, RecordSetAside]] = {}
        self._stream: StreamRow | None = None

    def take(self, records: Iterable[LogRecord]) -> None:
        """Take records of any partitions, each partition's in its order. What does not follow the stream is passed
        over: it is itself damage, where it is folded."""
        for record in records:
            if record.key != KEY:
                continue
            try:
                recorded = unseal(record.value or b"")
                followed = follow(self._stream, record.position, recorded)
            except (UnreadableRecordError, LogDamagedError):
                continue
            if recorded.vendor != INSTALLATION or followed is None:
                continue
            self._stream = followed
            if isinstance(fact := recorded.fact, RecordSetAside):
                self.facts.setdefault(Position(fact.partition, fact.offset), (recorded, fact))


class LookAhead:
    """Reads the log, from where it has read to before, to its end."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self._records = SetAsideRecords()
        self._read: dict[int, int] = {}

    @property
    def positions(self) -> Set[Position]:
        """What is known to be set aside."""
        return self._records.facts.keys()

    @property
    def records(self) -> SetAsideRecords:
        """What was read."""
        return self._records

    async def has(self, position: Position) -> bool:
        """Whether this position is set aside by now. Raises `KafkaError`."""
        if position not in self.positions:
            await self.read_on()
        return position in self.positions

    async def read_on(self) -> None:
        """Read what is new. Raises `KafkaError`."""
        async for records in self._reader.batches(self._read):
            self._records.take(records)
            partition, offset = records[-1].position
            self._read[partition] = offset + 1
