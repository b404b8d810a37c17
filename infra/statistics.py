"""Sees that PostgreSQL has statistics of tables that grow. It plans by them, and on a fresh installation has none until
it comes by after a minute or more.

Without any it takes a vendor's name alone for as good a key as the whole one, and reads all that the vendor has.
"""

import asyncio
from typing import Any

import structlog
from psycopg import AsyncConnection, errors, sql

from events.failures import is_unforeseen
from events.postgres_sessions import open_session

log = structlog.get_logger()

FEWEST_ROWS = 25
"""Below twice as many rows it does not matter how a table is read."""
LOOK_SECONDS = 2.0
OPTIONS = "-c default_statistics_target=10"
"""A sample of 3,000 rows: so many say how large a table is and how many vendors are in it, and take milliseconds."""

# Its counts come from the sessions that wrote, within a second; after a crash they begin again at nothing, but then the
# statistics are there.
GROWN = f"""
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and (n.nspname = 'backend' or n.nspname ^@ 'views_')
    and pg_stat_get_live_tuples(c.oid) >= 2 * greatest(c.reltuples, {FEWEST_ROWS})
order by 1, 2"""


async def analyse_grown(connection: AsyncConnection[Any]) -> list[str]:
    """Analyse the tables that hold twice what they held when they last were, or more; their names. The connection is in
    autocommit mode. One that another process analyses already is left to it."""
    analysed = []
    for schema, table in await (await connection.execute(GROWN)).fetchall():
        try:
            await connection.execute(sql.SQL("analyze (skip_locked) {}").format(sql.Identifier(schema, table)))
        except errors.UndefinedTable:  # a rebuild dropped it
            continue
        analysed.append(f"{schema}.{table}")
    return analysed


async def keep_statistics(dsn: str) -> None:
    """Analyse what grows, until cancelled; a PostgreSQL that is away is waited for."""
    while True:
        try:
            async with await open_session(dsn, OPTIONS) as connection:
                while True:
                    await analyse_grown(connection)
                    await asyncio.sleep(LOOK_SECONDS)
        except Exception as error:
            if is_unforeseen(error):
                raise
            log.warning("statistics wait for PostgreSQL", error=str(error).strip())
            await asyncio.sleep(LOOK_SECONDS)
