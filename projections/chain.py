"""Tells a new fact from a copy, and a whole stream from a damaged one."""

from events.envelope import Recorded
from events.log import Position
from projections.damage import Damage, LogDamagedError
from projections.tables import StreamRow

REMEMBERED = 32
"""How many facts back a copy is still compared; an older one is taken for a copy unseen."""

HASH_BYTES = 32


def follow(stream: StreamRow | None, position: Position, fact: Recorded) -> StreamRow | None:
    """Where the stream stands after this fact, or None where the fact is a copy.

    Raises `LogDamagedError` where it is neither.
    """

    def damaged(code: Damage, sentence: str) -> LogDamagedError:
        return LogDamagedError(code, position, f"{fact.vendor}/{fact.stream}", sentence)

    hash_ = bytes.fromhex(fact.hash)
    if stream is None:
        stream = StreamRow(fact.vendor, fact.stream, position.partition, 0, b"")
    elif stream.partition != position.partition:
        raise damaged(
            Damage.STREAM_MOVED,
            f"the stream stood in partition {stream.partition} so far; were partitions added to the topic",
        )
    if fact.sequence <= stream.sequence:
        known = _remembered(stream, fact.sequence)
        if known is not None and known != hash_:
            raise damaged(Damage.COPY_DIFFERS, f"fact {fact.sequence} was folded before with other bytes")
        return None
    if fact.sequence != stream.sequence + 1:
        raise damaged(Damage.SEQUENCE_JUMPS, f"fact {fact.sequence} follows fact {stream.sequence}")
    if bytes.fromhex(fact.previous_hash) != stream.hashes[-HASH_BYTES:]:
        raise damaged(Damage.CHAIN_BROKEN, f"fact {fact.sequence} does not carry the hash of the fact before it")
    hashes = (stream.hashes + hash_)[-REMEMBERED * HASH_BYTES :]
    return StreamRow(stream.vendor, stream.stream, stream.partition, fact.sequence, hashes)


def _remembered(stream: StreamRow, sequence: int) -> bytes | None:
    start = len(stream.hashes) - (stream.sequence - sequence + 1) * HASH_BYTES
    return stream.hashes[start : start + HASH_BYTES] if sequence > 0 and start >= 0 else None
