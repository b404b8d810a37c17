"""The register of what is set aside, in PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection

from events.set_aside import SetAside

SECONDS = 5
SENTENCE_CHARACTERS = 1_000
OPTIONS = f"-c statement_timeout={SECONDS}s -c lock_timeout={SECONDS}s"

ADD = """
insert into backend.set_aside (vendor, place, code, sentence, since) values (%s, %s, %s, %s, %s)
on conflict (place) do update set code = excluded.code, sentence = excluded.sentence"""


class PostgresRegister:
    """Implements `events.set_aside.Register`, with a connection for each call: it is called seldom, and by processes
    that may have lost theirs. Raises `psycopg.OperationalError` when PostgreSQL is away for longer than `SECONDS`."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def add(self, entry: SetAside) -> None:
        """Enter a place."""
        async with self._connected() as connection:
            await add(connection, entry)

    async def remove(self, *places: str) -> None:
        """Take places out again."""
        async with self._connected() as connection:
            await remove(connection, *places)

    async def entries(self, limit: int = 100) -> Sequence[SetAside]:
        """The oldest entries."""
        async with self._connected() as connection:
            return await entries(connection, limit)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection[Any]]:
        async with await AsyncConnection.connect(
            self._dsn, autocommit=True, connect_timeout=SECONDS, options=OPTIONS
        ) as connection:
            yield connection


async def add(connection: AsyncConnection[Any], entry: SetAside) -> None:
    """Enter a place, in the caller's transaction."""
    sentence = entry.sentence.replace("\0", "\N{REPLACEMENT CHARACTER}")[:SENTENCE_CHARACTERS]
    place = entry.place.replace("\0", "\N{REPLACEMENT CHARACTER}")
    await connection.execute(ADD, (entry.vendor, place, entry.code, sentence, entry.since))


async def remove(connection: AsyncConnection[Any], *places: str) -> None:
    """Take places out again, in the caller's transaction."""
    await connection.execute("delete from backend.set_aside where place = any(%s)", (list(places),))


async def entries(connection: AsyncConnection[Any], limit: int = 100) -> list[SetAside]:
    """The oldest entries."""
    cursor = await connection.execute(
        "select vendor, place, code, sentence, since from backend.set_aside order by since, place limit %s", (limit,)
    )
    return [SetAside(*row) for row in await cursor.fetchall()]
