"""What the projector says when it must not go on."""

from enum import StrEnum

from events.log import Position


class Damage(StrEnum):
    """The stable codes of what can be wrong with the log."""

    UNREADABLE = "log_unreadable"
    WRONG_KEY = "log_wrong_key"
    COPY_DIFFERS = "log_copy_differs"
    SEQUENCE_JUMPS = "log_sequence_jumps"
    CHAIN_BROKEN = "log_chain_broken"
    STREAM_MOVED = "log_stream_moved"
    UNEXPECTED_FACT = "log_unexpected_fact"
    SHORTER = "log_shorter"


class LogDamagedError(Exception):
    """The log cannot be folded on from `position`; `stream` is `VENDOR/STREAM`, or empty where it cannot be told.

    `str()` is the sentence: what is wrong, where, and what to do.
    """

    def __init__(self, code: Damage, position: Position, stream: str, sentence: str) -> None:
        super().__init__(code, position, stream, sentence)  # all of them, for it may come from another process
        self.code = code
        self.position = position
        self.stream = stream
        self._sentence = sentence

    def __str__(self) -> str:
        partition, offset = self.position
        where = f"partition {partition}, offset {offset}" + (f", stream {self.stream}" if self.stream else "")
        return (
            f"The log is damaged at {where}: {self._sentence}. Nothing from there on is folded; compare the log"
            " with a backup before you start the projector again."
        )


class PositionGapError(Exception):
    """Records were offered that lie beyond the partition's position: read again from `position`."""

    def __init__(self, position: Position, offered: int) -> None:
        super().__init__(position, offered)
        self.position = position
        self.offered = offered

    def __str__(self) -> str:
        partition, offset = self.position
        return f"partition {partition} is folded up to offset {offset}, but was offered {self.offered}"


class StalledError(Exception):
    """Facts wait in the log, but none is folded any more; a new process may do better."""
