"""Records of `lostfound.log` and their places, as values."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple


class Position(NamedTuple):
    """A place in the log."""

    partition: int
    offset: int


class RecordId(NamedTuple):
    """Which record it is: its place, and the SHA-256 of its value in hex. Another record may stand at the
    place in a log that was made anew or restored."""

    position: Position
    digest: str


Aside = Mapping[RecordId, str]
"""The records that an operator set aside, each with the code of what was wrong with it."""


class LogRecord(NamedTuple):
    """A record as the broker gave it."""

    position: Position
    key: bytes
    value: bytes

    @property
    def id(self) -> RecordId:
        """Which record it is."""
        return RecordId(self.position, sha256(self.value or b"").hexdigest())


def before(end: int, records: Sequence[LogRecord]) -> Sequence[LogRecord]:
    """Those of a partition's records, in its order, that stand before the offset."""
    if records and records[-1].position.offset < end:
        return records
    return [record for record in records if record.position.offset < end]
