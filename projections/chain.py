"""Tells a new fact from a copy, and a whole stream from a damaged one."""

from events.envelope import Recorded, UnknownRecord
from events.log_errors import Damage, LogDamagedError
from events.log_records import Position
from projections.tables import StreamRow

REMEMBERED = 32
"""How many facts back a copy is still compared; an older one is taken for a copy unseen."""

HASH_BYTES = 32


def follow(stream: StreamRow | None, position: Position, fact: Recorded | UnknownRecord) -> StreamRow | None:
    """Where the stream stands after this fact, or None where the fact is a copy.

    Raises `LogDamagedError` where it is neither.
    """

    if stream is None:
        stream = StreamRow(fact.vendor, fact.stream, position.partition, 0, b"")
    elif stream.partition != position.partition:
        where = f"the stream stood in partition {stream.partition} so far; were partitions added to the topic"
        raise _damaged(Damage.STREAM_MOVED, position, fact, where)
    if fact.sequence <= stream.sequence:
        known = _remembered(stream, fact.sequence)
        if known is not None and known != fact.hash:
            sentence = f"fact {fact.sequence} was folded before with other bytes"
            raise _damaged(Damage.COPY_DIFFERS, position, fact, sentence)
        return None
    if fact.sequence != stream.sequence + 1:
        sentence = f"fact {fact.sequence} follows fact {stream.sequence}"
        raise _damaged(Damage.SEQUENCE_JUMPS, position, fact, sentence)
    if fact.previous_hash != stream.hashes[-HASH_BYTES:]:
        sentence = f"fact {fact.sequence} does not carry the hash of the fact before it"
        raise _damaged(Damage.CHAIN_BROKEN, position, fact, sentence)
    hashes = (stream.hashes + fact.hash)[-REMEMBERED * HASH_BYTES :]
    return StreamRow(fact.vendor, fact.stream, position.partition, fact.sequence, hashes)


def _damaged(code: Damage, position: Position, fact: Recorded | UnknownRecord, sentence: str) -> LogDamagedError:
    return LogDamagedError(code, position, f"{fact.vendor}/{fact.stream}", sentence, fact.hash.hex())


def _remembered(stream: StreamRow, sequence: int) -> bytes | None:
    start = len(stream.hashes) - (stream.sequence - sequence + 1) * HASH_BYTES
    return stream.hashes[start : start + HASH_BYTES] if start >= 0 else None
