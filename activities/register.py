"""The register of what is set aside, in PostgreSQL."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from events.ports.register import DeadLetterState, SetAside, SettledDeadLetter
from events.postgres_sessions import open_session
from events.terms import VendorId
from events.topics import DEAD_LETTER_DAYS, LOG

SECONDS = 5
SENTENCE_CHARACTERS = 1_000
OPTIONS = f"-c statement_timeout={SECONDS}s -c lock_timeout={SECONDS}s"

ADD = """
insert into backend.set_aside (vendor, place, code, sentence, since)
select %(vendor)s, %(place)s, %(code)s, %(sentence)s, %(since)s
where %(most)s::int is null or (select count(*) from backend.set_aside where vendor = %(vendor)s) < %(most)s
on conflict (place) do update set code = excluded.code, sentence = excluded.sentence"""

ENTRIES = """
select vendor, place, code, sentence, since from (
    select *, row_number() over (partition by vendor order by since, place) as nth from backend.set_aside
    order by not starts_with(place, %s), nth, since, place limit %s
) found order by since, place"""

SETTLE = """
insert into backend.settled_dead_letters (vendor, place, state, at, retried_as)
values (%(vendor)s, %(place)s, %(state)s, %(at)s, %(retried_as)s)
on conflict (place) do update set state = excluded.state, at = excluded.at,
    retried_as = coalesce(excluded.retried_as, backend.settled_dead_letters.retried_as)"""


class PostgresRegister:
    """Implements `Register`, with a connection for each call: it is called seldom, and by processes
    that may have lost theirs. Raises `psycopg.OperationalError` when PostgreSQL is away for longer than `SECONDS`."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def add(self, entry: SetAside, most: int | None = None) -> None:
        """Enter a place, unless its vendor has `most` in the register already."""
        async with self._connected() as connection:
            await add(connection, entry, most)

    async def remove(self, *places: str) -> None:
        """Take places out again."""
        async with self._connected() as connection:
            await remove(connection, *places)

    async def entries(self, limit: int = 100) -> Sequence[SetAside]:
        """The entries, the oldest first; see `events.ports.register.Register` for which these are."""
        async with self._connected() as connection:
            return await entries(connection, limit)

    async def settle(self, settled: SettledDeadLetter) -> None:
        """Note that a dead letter was retried or dismissed, and forget those whose dead letters are gone."""
        async with self._connected() as connection, connection.transaction():
            await connection.execute(SETTLE, settled._asdict())
            await remove(connection, settled.place)
            gone = settled.at - timedelta(days=DEAD_LETTER_DAYS)
            await connection.execute(
                "delete from backend.settled_dead_letters where vendor = %s and at < %s", (settled.vendor, gone)
            )

    async def settled(self, vendor: VendorId) -> Mapping[str, SettledDeadLetter]:
        """What was noted so of a vendor's dead letters, by place."""
        async with self._connected() as connection:
            cursor = await connection.execute(
                "select vendor, place, state, at, retried_as from backend.settled_dead_letters where vendor = %s",
                (vendor,),
            )
            found = [SettledDeadLetter(*row) for row in await cursor.fetchall()]
        return {one.place: one._replace(state=DeadLetterState(one.state)) for one in found}

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection[Any]]:
        async with await open_session(self._dsn, OPTIONS) as connection:
            yield connection


async def add(connection: AsyncConnection[Any], entry: SetAside, most: int | None = None) -> None:
    """Enter a place, unless its vendor has `most` already, in the caller's transaction."""
    sentence = entry.sentence.replace("\0", "\N{REPLACEMENT CHARACTER}")[:SENTENCE_CHARACTERS]
    place = entry.place.replace("\0", "\N{REPLACEMENT CHARACTER}")
    values = {**entry._asdict(), "place": place, "sentence": sentence, "most": most}
    await connection.execute(ADD, values)


async def remove(connection: AsyncConnection[Any], *places: str) -> None:
    """Take places out again, in the caller's transaction."""
    await connection.execute("delete from backend.set_aside where place = any(%s)", (list(places),))


async def entries(connection: AsyncConnection[Any], limit: int = 100) -> list[SetAside]:
    """The entries, the oldest first; see `events.ports.register.Register` for which these are."""
    cursor = await connection.execute(ENTRIES, (f"{LOG}/", limit))
    return [SetAside(*row) for row in await cursor.fetchall()]
