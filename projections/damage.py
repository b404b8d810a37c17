"""What the projector says when it must not go on."""

from enum import StrEnum

from events.log import Position
from events.topics import LOG


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
    CANNOT_FOLD = "log_cannot_fold"


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
        return f"The log is damaged at {where}: {self._sentence}. Nothing from there on is folded. {self._remedy}"

    @property
    def place(self) -> str:
        """Where it stands in the register of what is set aside: the record, or for a lost end the partition."""
        partition, offset = self.position
        return f"{LOG}/{partition}" if self.code is Damage.SHORTER else f"{LOG}/{partition}/{offset}"

    @property
    def vendor(self) -> str:
        """Whose stream it is; empty where that cannot be told."""
        return self.stream.partition("/")[0]

    @property
    def _remedy(self) -> str:
        match self.code:
            case Damage.SHORTER:
                return "Bring it back from a backup, or have the views as the log is now by `lostfound views rebuild`."
            case Damage.CANNOT_FOLD:
                return "It is tried again; see the log of the projector."
            case _:
                return (
                    "See where it comes from; when it is none of ours, type `lostfound log set-aside"
                    f" {self.position.partition} {self.position.offset} --why TEXT --by NAME`."
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
