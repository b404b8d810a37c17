"""What runs on a data folder: a lock that at most one supervisor holds, and its record of what it started."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from infra.embedded.process import Identity
from infra.problem import Problem

Phase = Literal["starting", "ready", "stopping"]
Condition = Literal["starting", "ready", "restarting", "stopped"]
FOLDERS = ("logs", "run", "kafka", "temporal", "sample", "evidence", "keys", "faust")
"""Folders in the data folder that nobody but its owner needs to enter."""


class Record(BaseModel):
    """A process: its id, and its birth so that nobody else's is meant."""

    pid: int
    create_time: float

    @property
    def identity(self) -> Identity:
        """What tells it from every other process."""
        return Identity(self.pid, self.create_time)


class ServiceRecord(Record):
    """A service or role. `since` is when it came into its state, in seconds since 1970."""

    state: Condition
    restarts: int
    since: float
    log: str


class RunState(BaseModel):
    """All that runs. `state` is ready when every service is."""

    supervisor: Record
    state: Phase
    services: dict[str, ServiceRecord]
    endpoints: dict[str, str]

    def write(self, data_dir: Path) -> None:
        """Replace the record at once, so that a reader never sees half of one."""
        path = state_file(data_dir)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.write_text(self.model_dump_json(indent=1))
        fresh.replace(path)


def state_file(data_dir: Path) -> Path:
    """Where the record is."""
    return data_dir / "run" / "state.json"


def read_state(data_dir: Path) -> RunState | None:
    """The record of the last start; None when there is none, or it cannot be read."""
    with suppress(OSError, ValidationError, json.JSONDecodeError):
        return RunState.model_validate_json(state_file(data_dir).read_bytes())
    return None


def forget(data_dir: Path) -> None:
    """Nothing runs any more."""
    state_file(data_dir).unlink(missing_ok=True)


def make_private(data_dir: Path) -> None:
    """Make the data folder, for its owner alone, as is all that this process and its children make from now on. What
    an earlier release left readable for others is closed; PostgreSQL's folder is its own to keep. A folder that was
    there before keeps its mode: it may have other uses. Raises `OSError`."""
    os.umask(0o077)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds keys
    for folder in (data_dir / name for name in FOLDERS):
        if folder.is_dir() and folder.stat().st_mode & 0o077:
            folder.chmod(0o700)


def unusable(data_dir: Path, error: OSError) -> Problem:
    """What is told of a data folder that cannot be made, read or written."""
    cause = error.strerror or type(error).__name__
    takes = "the path of a folder that you may read and write, or that can be made"
    return Problem("data-folder", f"{data_dir} cannot be used ({cause}): LOSTFOUND_DATA_DIR takes {takes}.")


@contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Hold the data folder; the system frees it however the process ends. Raises Problem when it is taken."""
    try:
        make_private(data_dir)
        lock = (data_dir / "lock").open("a")
    except OSError as error:
        raise unusable(data_dir, error) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            sentence = f"lostfound runs already on {data_dir}: see `lostfound status`, stop it with `lostfound down`."
            raise Problem("already-running", sentence) from error
        yield
