"""Opens every session with PostgreSQL: what it takes to reach it is said here only."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from psycopg import AsyncConnection, Connection
from psycopg_pool import AsyncConnectionPool

CONNECT_SECONDS = 5
"""How long an address is tried. Each of these functions raises `psycopg.OperationalError` where none answers."""

Session = TypeVar("Session", bound=AsyncConnection[Any])


async def open_session(dsn: str, options: str = "", autocommit: bool = True) -> AsyncConnection[Any]:
    """A session; `options` are the server's, such as `-c lock_timeout=1s`."""
    return await open_session_as(AsyncConnection[Any], dsn, options, autocommit)


async def open_session_as(of: type[Session], dsn: str, options: str = "", autocommit: bool = True) -> Session:
    """A session of this class."""
    return await of.connect(dsn, autocommit=autocommit, connect_timeout=CONNECT_SECONDS, options=options or None)


def open_blocking_session(dsn: str) -> Connection[Any]:
    """A session for what is asked once, outside any event loop."""
    return Connection.connect(dsn, connect_timeout=CONNECT_SECONDS)


def new_pool(
    dsn: str,
    connections: int,
    options: str,
    seconds: float,
    of: type[AsyncConnection[Any]] = AsyncConnection,
    configure: Callable[[AsyncConnection[Any]], Awaitable[None]] | None = None,
) -> AsyncConnectionPool[AsyncConnection[Any]]:
    """A pool of at most so many sessions in autocommit mode, not open yet; `seconds` is how long one is waited for.
    `configure` is called with each new session, which is of the class `of`."""
    return AsyncConnectionPool(
        dsn,
        connection_class=of,
        configure=configure,
        min_size=1,
        max_size=connections,
        open=False,
        kwargs={"autocommit": True, "prepare_threshold": 0, "options": options},
        timeout=seconds,
    )
