"""What the projector says when it must not go on."""

from collections.abc import Mapping
from enum import StrEnum

from events.envelope import UnknownRecord
from events.errors import Code
from events.fact import RELEASE
from events.log_records import Position, RecordId
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


class LogStoppedError(Exception):
    """The log is not folded on from `position`; `stream` is `VENDOR/STREAM`, or empty where it cannot be told.

    `str()` is the sentence: what is wrong, where, and what to do.
    """

    code: str
    position: Position
    stream: str
    digest: str
    """The SHA-256 of the record's value in hex; empty where there is no record."""

    @property
    def record_id(self) -> RecordId:
        """Which record it is."""
        return RecordId(self.position, self.digest)

    @property
    def place(self) -> str:
        """Where it stands in the register of what is set aside."""
        partition, offset = self.position
        return f"{LOG}/{partition}/{offset}"

    @property
    def vendor(self) -> str:
        """Whose stream it is; empty where that cannot be told."""
        return self.stream.partition("/")[0]

    @property
    def parameters(self) -> Mapping[str, str | int]:
        """The values that the sentence is about, for a refusal that says it."""
        partition, offset = self.position
        return {"partition": partition, "offset": offset, "stream": self.stream, "log_code": self.code}

    @property
    def _where(self) -> str:
        partition, offset = self.position
        return f"partition {partition}, offset {offset}" + (f", stream {self.stream}" if self.stream else "")


class LogDamagedError(LogStoppedError):
    """The log is damaged."""

    def __init__(self, code: Damage, position: Position, stream: str, sentence: str, digest: str = "") -> None:
        super().__init__(code, position, stream, sentence, digest)  # all of them: it may come from another process
        self.code: Damage = code
        self.position = position
        self.stream = stream
        self.digest = digest
        self._sentence = sentence

    def __str__(self) -> str:
        return f"The log is damaged at {self._where}: {self._sentence}. Nothing from there on is folded. {self._remedy}"

    @property
    def parameters(self) -> Mapping[str, str | int]:
        """And what is wrong with the record."""
        return {**super().parameters, "misfit": self._sentence}

    @property
    def place(self) -> str:
        """The record; for a lost end the partition."""
        return f"{LOG}/{self.position.partition}" if self.code is Damage.SHORTER else super().place

    @property
    def _remedy(self) -> str:
        match self.code:
            case Damage.SHORTER:
                return "Bring it back from a backup, or have the views as the log is now by `lostfound views rebuild`."
            case Damage.CANNOT_FOLD:
                return "It is tried again; see the log of the projector."
            case Damage.STREAM_MOVED:
                return (
                    "See that all who write have the same LOSTFOUND_LOG_PARTITIONS; type `lostfound log set-aside"
                    f" {self.position.partition} {self.position.offset} --why TEXT --by NAME`; where that names another"
                    " record, set that one aside, and have the views made anew by `lostfound views rebuild`."
                )
            case _:
                return (
                    "See where it comes from; when it is none of ours, type `lostfound log set-aside"
                    f" {self.position.partition} {self.position.offset} --why TEXT --by NAME`."
                )


class NewerReleaseError(LogStoppedError):
    """The log goes on with a fact that only a later release knows. Nothing is damaged, and nothing may be set aside."""

    def __init__(self, position: Position, record: UnknownRecord) -> None:
        super().__init__(position, record)
        self.code: Code = Code.NEWER_RELEASE
        self.position = position
        self.record = record
        self.digest = record.hash.hex()
        self.stream = f"{record.vendor}/{record.stream}"

    @property
    def parameters(self) -> Mapping[str, str | int]:
        """And which fact it is, and the release that knows it."""
        known = {"release": self.record.release} if self.record.release else {}
        return {**super().parameters, "type": self.record.type, **known}

    def __str__(self) -> str:
        what = f"The record at {self._where} is of type {self.record.type}, which release {RELEASE} does not know"
        wanted = f"release {self.record.release} or a later one" if self.record.release else "a release that knows it"
        return f"{what}. Nothing from there on is folded, and nothing is damaged: install {wanted}."


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
