"""What an exception at a door means: wait for a service, try again a bounded number of times, or an error of ours."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import TypeVar

import structlog
from psycopg import Error, InterfaceError, OperationalError
from psycopg.errors import PipelineAborted

log = structlog.get_logger()

Answer = TypeVar("Answer")

FIRST_WAIT_SECONDS = 0.1
WAIT_SECONDS_LIMIT = 5.0
PASSING_TRIES = 8
"""Of a call that is made by itself: some 20 seconds."""

PASSING_STATES = frozenset({"40001", "40P01", "55P03", "57014", "25P03", "25P04", "53200"})
"""Serialization failure, deadlock, lock not available, statement, idle and transaction timeout, out of memory."""
AWAY_STATES = frozenset({"57P01", "57P02", "57P03", "57P05", "53100", "53300", "53400"})
"""Shutting down, crashed, starting, idle session ended, disk full, too many connections, a limit of its settings."""
CONNECTION_CLASS = "08"


class Failure(Enum):
    """What to do about it."""

    AWAY = auto()
    """A service itself is away: wait for it, without end."""
    PASSING = auto()
    """Somebody else was in the way: try again later, a bounded number of times."""
    UNFORESEEN = auto()
    """Nobody foresaw it: a few tries, and then it is an error."""


def failure_of(error: Exception) -> Failure:
    """What an exception means that is no refusal."""
    if isinstance(error, TimeoutError):
        return Failure.PASSING
    if isinstance(error, PipelineAborted) or not isinstance(error, Error):
        return Failure.UNFORESEEN
    state = error.sqlstate
    if state in PASSING_STATES:
        return Failure.PASSING
    if state in AWAY_STATES or (state or "").startswith(CONNECTION_CLASS):
        return Failure.AWAY
    if state is None and isinstance(error, OperationalError | InterfaceError):
        return Failure.AWAY
    return Failure.UNFORESEEN


async def steadily(call: Callable[[], Awaitable[Answer]], place: str) -> Answer:
    """What a call of PostgreSQL answers that may be repeated; while PostgreSQL is away it is waited for, without end.
    Raises what else the call raises, and what is passing after some tries."""
    wait, passing = FIRST_WAIT_SECONDS, 0
    while True:
        try:
            return await call()
        except Exception as error:
            failure = failure_of(error)
            passing += failure is Failure.PASSING
            if failure is Failure.UNFORESEEN or passing > PASSING_TRIES:
                raise
            log.warning("waiting for PostgreSQL", place=place, error=short(error))
        await asyncio.sleep(wait)
        wait = min(wait * 2, WAIT_SECONDS_LIMIT)


def short(error: Exception) -> str:
    """An exception in a line."""
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
