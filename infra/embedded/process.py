"""Processes of ours: known by id and time of birth, never by name, so that no stranger is ever ended."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

LAUNCHER = Path(__file__).with_name("launch.py")
LOG_BYTES = 20_000_000
TAIL_BYTES = 20_000
BIRTH_TOLERANCE_SECONDS = 1.5  # the clock from which births are computed may be stepped between two readings


@dataclass(frozen=True)
class Identity:
    """A process: its id alone may belong to another one tomorrow."""

    pid: int
    create_time: float

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """The process that has this id now; one that is gone has the birth 0, which matches nothing."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return cls(pid, 0.0)

    def process(self) -> psutil.Process | None:
        """A handle, or None when it is gone or only waits to be reaped."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.create_time) < BIRTH_TOLERANCE_SECONDS
            return found if same and found.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process() is not None


@dataclass(frozen=True)
class Account:
    """The system user that a process runs as."""

    user: int
    group: int


@dataclass(frozen=True)
class Launch:
    """How a program is started."""

    argv: tuple[str, ...]
    folder: Path
    env: Mapping[str, str] = field(default_factory=dict)
    account: Account | None = None
    death_signal: signal.Signals = signal.SIGKILL


async def spawn(launch: Launch, log: Path) -> asyncio.subprocess.Process:
    """Start a program in a session of its own, its output appended to the log, its life bound to this process.

    Call it from the main thread: the kernel binds the child's life to the thread that started it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    account = launch.account or Account(-1, -1)
    words = (int(launch.death_signal), os.getpid(), account.user, account.group)
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-S",
            str(LAUNCHER),
            *(str(word) for word in words),
            *launch.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=launch.folder,
            env=dict(launch.env),
            start_new_session=True,
        )


async def run(launch: Launch, log: Path, seconds: float) -> int:
    """Run a program to its end and give its exit code; one that takes longer, or is not waited for, is killed."""
    child = await spawn(launch, log)
    try:
        async with asyncio.timeout(seconds):
            return await child.wait()
    finally:
        if child.returncode is None:
            kill(family(Identity.of(child.pid)))
            await child.wait()


def rotate(log: Path) -> None:
    """Keep a log bounded: a large one becomes the one before."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_name(log.name + ".1"))


def size(log: Path) -> int:
    """How many bytes a log has: what is written from now on stands behind them."""
    return log.stat().st_size if log.exists() else 0


def last_words(log: Path, begun: int = 0, bound: int = 400) -> str:
    """The log's last line behind so many bytes that says something, for a sentence about a failure: what stands before
    them an earlier start said."""
    try:
        with log.open("rb") as file:
            file.seek(max(begun, size(log) - TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[-bound:] for line in reversed(lines) if line.strip()), "")


def family(identity: Identity) -> list[psutil.Process]:
    """A process and all that descend from it, as far as they live."""
    parent = identity.process()
    if parent is None:
        return []
    try:
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill(processes: Iterable[psutil.Process]) -> None:
    """End processes at once, as the operating system would."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue


async def end(identity: Identity, number: signal.Signals, seconds: float) -> bool:
    """Ask a process that may not be our child to end; True when it did so in time, else it is killed."""
    members = family(identity)
    if not members:
        return True
    members[0].send_signal(number)
    gone = await _gone(members[:1], seconds)
    kill(member for member in members if member.is_running())
    await _gone(members, 5.0)
    return gone


async def _gone(processes: list[psutil.Process], seconds: float) -> bool:
    def alive() -> bool:
        return any(Identity(process.pid, process.create_time()).alive for process in processes if process.is_running())

    try:
        async with asyncio.timeout(seconds):
            while alive():  # noqa: ASYNC110 - the end of a process that is not our child is not announced
                await asyncio.sleep(0.05)
    except TimeoutError:
        return False
    return True
