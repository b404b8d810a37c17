"""Looks ahead in the log for records that an operator set aside: that is said of a record after it."""

from collections.abc import Iterable

from events.backend_facts import RecordSetAside
from events.codec import FactCodec
from events.envelope import INSTALLATION, NewerFactError, Recorded, UnknownRecord, UnreadableRecordError, record_key
from events.log import LogReader
from events.log_errors import LogDamagedError, NewerReleaseError
from events.log_records import Aside, LogRecord, Position, RecordId
from projections.chain import follow
from projections.tables import StreamRow

KEY = record_key(INSTALLATION, None)


class SetAsideRecords:
    """What the installation's stream says so far. Pure."""

    def __init__(self, codec: FactCodec) -> None:
        self._codec = codec
        self.facts: dict[RecordId, tuple[Recorded, RecordSetAside]] = {}
        """By record, what was said of it."""
        self.aside: dict[RecordId, str] = {}
        """By record, what is wrong with it."""
        self._stream: StreamRow | None = None

    def take(self, records: Iterable[LogRecord]) -> None:
        """Take records of any partitions, each partition's in its order. What does not follow the stream is passed
        over: it is itself damage, where it is folded. Raises `NewerReleaseError` where the stream goes on with a fact
        that only a later release knows: what is set aside after it cannot be told."""
        for record in records:
            if record.key != KEY:
                continue
            try:
                recorded = self._codec.unseal(record.value or b"")
                followed = follow(self._stream, record.position, recorded)
            except (UnreadableRecordError, LogDamagedError):
                continue
            except NewerFactError as error:
                if self._continues(record.position, error.record):
                    raise NewerReleaseError(record.position, error.record) from error
                continue
            if recorded.vendor != INSTALLATION or followed is None:
                continue
            self._stream = followed
            if isinstance(fact := recorded.fact, RecordSetAside):
                record_id = RecordId(Position(fact.partition, fact.offset), fact.digest)
                self.facts.setdefault(record_id, (recorded, fact))
                self.aside.setdefault(record_id, fact.code)

    def _continues(self, position: Position, record: UnknownRecord) -> bool:
        try:
            return record.vendor == INSTALLATION and follow(self._stream, position, record) is not None
        except LogDamagedError:
            return False


class LookAhead:
    """Reads the log, from where it has read to before, to its end."""

    def __init__(self, reader: LogReader, codec: FactCodec, known: Aside | None = None) -> None:
        """`known`: what somebody has read already."""
        self._reader = reader
        self._records = SetAsideRecords(codec)
        self._records.aside.update(known or {})
        self._read: dict[int, int] = {}
        self._newer: NewerReleaseError | None = None

    @property
    def aside(self) -> Aside:
        """What is known to be set aside."""
        return self._records.aside

    @property
    def records(self) -> SetAsideRecords:
        """What was read."""
        return self._records

    async def has(self, record: RecordId) -> bool:
        """Whether this record is set aside by now. Raises `KafkaError`, and `NewerReleaseError` where a later release
        is needed to tell."""
        if record not in self.aside:
            await self.read_on()
        return record in self.aside

    async def read_on(self) -> None:
        """Read what is new. Raises `KafkaError` and, from then on, `NewerReleaseError`."""
        if self._newer is not None:
            raise self._newer
        async for records in self._reader.batches(self._read):
            try:
                self._records.take(records)
            except NewerReleaseError as error:
                self._newer = error
                raise
            partition, offset = records[-1].position
            self._read[partition] = offset + 1
