"""Digests of the views: equal digests mean equal rows, to the byte."""

import hashlib
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from events.postgres_sessions import open_session
from projections.tables import TABLES, Table
from projections.view_schemas import current, use

CHUNK_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class TableDigest:
    """SHA-256, in hex, over the hashes of a table's rows as text, ordered by key; and how many rows there are."""

    sha256: str
    rows: int


async def digest(dsn: str) -> dict[str, TableDigest]:
    """The digests of the views in use, by table, all of one instant."""
    async with await open_session(dsn, autocommit=False) as connection:
        await connection.execute("set transaction isolation level repeatable read, read only")
        schema = await current(connection)
        assert schema is not None, "prepare_views comes first"
        return await digests(connection, schema)


async def digests(connection: AsyncConnection[Any], schema: str) -> dict[str, TableDigest]:
    """The digests of the tables in a schema."""
    async with connection.transaction():
        await use(connection, schema)
        # How values are written as text must not depend on the server's settings.
        for name, value in (("timezone", "UTC"), ("datestyle", "ISO"), ("bytea_output", "hex")):
            await connection.execute("select set_config(%s, %s, true)", (name, value))
        return {table.name: await _digest(connection, table) for table in TABLES}


async def _digest(connection: AsyncConnection[Any], table: Table[Any]) -> TableDigest:
    keys = ", ".join(table.columns[: table.keys])
    # PostgreSQL hashes the rows where they are; in chunks, for what it gathers into one value has a limit.
    cursor = await connection.execute(
        "select count(*), sha256(string_agg(hash, '' order by number)) from ("
        f" select sha256(convert_to(t::text, 'UTF8')) as hash, row_number() over (order by {keys}) as number"
        f" from {table.name} t) hashed group by number / {CHUNK_ROWS} order by number / {CHUNK_ROWS}"
    )
    chunks = await cursor.fetchall()
    return TableDigest(hashlib.sha256(b"".join(hash for _, hash in chunks)).hexdigest(), sum(n for n, _ in chunks))
