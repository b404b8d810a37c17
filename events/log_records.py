"""Records of `lostfound.log` and their places, as values."""

from collections.abc import Sequence
from typing import NamedTuple


class Position(NamedTuple):
    """A place in the log."""

    partition: int
    offset: int


class LogRecord(NamedTuple):
    """A record as the broker gave it."""

    position: Position
    key: bytes
    value: bytes


def before(end: int, records: Sequence[LogRecord]) -> Sequence[LogRecord]:
    """Those of a partition's records, in its order, that stand before the offset."""
    if records and records[-1].position.offset < end:
        return records
    return [record for record in records if record.position.offset < end]
