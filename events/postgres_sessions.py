"""Opens every session with PostgreSQL: what it takes to reach it is said here only."""

from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg_pool import AsyncConnectionPool

CONNECT_SECONDS = 5
"""How long an address is tried. Each of these functions raises `psycopg.OperationalError` where none answers."""


async def open_session(dsn: str, options: str = "", autocommit: bool = True) -> AsyncConnection[Any]:
    """A session; `options` are the server's, such as `-c lock_timeout=1s`."""
    return await AsyncConnection.connect(
        dsn, autocommit=autocommit, connect_timeout=CONNECT_SECONDS, options=options or None
    )


def open_blocking_session(dsn: str) -> Connection[Any]:
    """A session for what is asked once, outside any event loop."""
    return Connection.connect(dsn, connect_timeout=CONNECT_SECONDS)


def new_pool(dsn: str, connections: int, options: str, seconds: float) -> AsyncConnectionPool[AsyncConnection[Any]]:
    """A pool of at most so many sessions in autocommit mode, not open yet; `seconds` is how long one is waited for."""
    return AsyncConnectionPool(
        dsn,
        min_size=1,
        max_size=connections,
        open=False,
        kwargs={"autocommit": True, "prepare_threshold": 0, "options": options},
        timeout=seconds,
    )
