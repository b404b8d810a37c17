"""Where the views are: each set of tables in a schema of its own, and one pointer per version to the schema in use."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection, sql

from events.postgres_sessions import open_session
from projections.tables import TABLES, VERSION, Table

LOCK = 7_215_903
PREFIX = f"views_{VERSION}_"

Connection = AsyncConnection[Any]


async def prepare_views(dsn: str) -> None:
    """Make the pointer, and empty views where this version has none yet.

    May be repeated, and done by several at once.
    """
    async with await open_session(dsn, autocommit=False) as connection:
        await connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
        await connection.execute("create schema if not exists views")
        await connection.execute(
            "create table if not exists views.current (version integer primary key, schema text not null)"
        )
        if await current(connection) is None:
            schema = await make_schema(connection)
            await make_indexes(connection)
            await connection.execute("insert into views.current values (%s, %s)", (VERSION, schema))


async def current(connection: Connection, lock: str = "") -> str | None:
    """The schema in use, if there is one.

    `lock` is a locking clause: `for share` holds a switch off until the transaction ends, `for update` folds too.
    """
    cursor = await connection.execute(f"select schema from views.current where version = %s {lock}", (VERSION,))
    row = await cursor.fetchone()
    return row[0] if row else None


async def use(connection: Connection, schema: str) -> None:
    """Let table names mean those of this schema until the transaction ends."""
    await connection.execute("select set_config('search_path', %s, true)", (schema,))


async def make_schema(connection: Connection) -> str:
    """Make the next schema with empty tables and no further indexes, and use it."""
    taken = [int(name.removeprefix(PREFIX)) for name in await schemas(connection)]
    schema = f"{PREFIX}{max(taken, default=0) + 1}"
    await connection.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
    await use(connection, schema)
    for table in TABLES:
        await connection.execute(table.ddl())
    return schema


async def make_indexes(connection: Connection, tables: Sequence[Table[Any]] = TABLES) -> None:
    """Make the further indexes of these tables of the schema in use by this transaction."""
    for table in tables:
        for statement in table.index_ddl():
            await connection.execute(statement)


async def schemas(connection: Connection) -> list[str]:
    """All schemas of this version."""
    cursor = await connection.execute(
        "select nspname from pg_namespace where nspname ~ %s order by nspname", (f"^{PREFIX}[0-9]+$",)
    )
    return [name for (name,) in await cursor.fetchall()]


async def drop_unused(connection: Connection) -> None:
    """Drop what an earlier rebuild replaced or left half done."""
    used = await current(connection, "for share")
    for schema in await schemas(connection):
        if schema != used:
            await connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
