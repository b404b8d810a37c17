"""How a door asks PostgreSQL: one that is away is waited for without end, whoever is in the way a bounded time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from events.failures import Failure, failure_of

log = structlog.get_logger()

Answer = TypeVar("Answer")

FIRST_WAIT_SECONDS = 0.1
WAIT_SECONDS_LIMIT = 5.0
PASSING_TRIES = 8
"""Of a call that is made by itself: some 20 seconds."""


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
