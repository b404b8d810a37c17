"""Brings rows from PostgreSQL and back, a whole batch at a time."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from psycopg import AsyncConnection

from events.envelope import Recorded
from projections.batch_rows import Rows
from projections.folds import needs
from projections.tables import FOLDED, STREAMS, Key, Table

Connection = AsyncConnection[Any]

NULL = "\\N"
ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
ESCAPED = str.maketrans(ESCAPES)


async def load(connection: Connection, facts: Sequence[Recorded]) -> Rows:
    """The rows that these facts may change."""
    rows = Rows()
    await _load(connection, rows, STREAMS, {(fact.vendor, fact.stream) for fact in facts})
    known = rows.loaded[STREAMS]
    wanted: dict[Table[Any], set[Key]] = {}
    for fact in facts:
        if (fact.vendor, fact.stream) in known:
            for table, key in needs(fact):
                wanted.setdefault(table, set()).add(key)
    for table, keys in wanted.items():
        await _load(connection, rows, table, keys)
    return rows


async def write(connection: Connection, rows: Rows, copying: bool) -> None:
    """Write what the facts made of the rows.

    `copying` is the quicker way for many fresh rows. But no timeout of PostgreSQL's ends a COPY whose rest does not
    come, so where others may wait for the same rows it must not be used.
    """
    rows.finish()
    for table in FOLDED:
        if fresh := rows.fresh[table]:
            if copying:
                await _copy(connection, table, fresh.values())
            else:
                await connection.execute(_insert(table), _columns(fresh.values()))
        if changed := rows.changed[table]:
            await connection.execute(_upsert(table), _columns(changed.values()))


async def _load(connection: Connection, rows: Rows, table: Table[Any], keys: set[Key]) -> None:
    cursor = await connection.execute(_select(table), _columns(keys))
    make = table.row._make
    rows.loaded[table] = {row[: table.keys]: make(row) for row in await cursor.fetchall()}


def _columns(rows: Iterable[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


async def _copy(connection: Connection, table: Table[Any], rows: Iterable[tuple[Any, ...]]) -> None:
    cursor = connection.cursor()
    async with cursor.copy(f"copy {table.name} from stdin") as copy:
        await copy.write(_copied(table, rows))


def _copied(table: Table[Any], rows: Iterable[tuple[Any, ...]]) -> str:
    """The rows in the text format of COPY: made a column at a time, which takes a third of the time."""
    columns = [_texts(type_, column) for type_, column in zip(table.types, zip(*rows, strict=True), strict=True)]
    return "".join([line + "\n" for line in map("\t".join, zip(*columns, strict=True))])


def _texts(type_: str, column: Sequence[Any]) -> Iterable[str]:
    match type_:
        case "bigint":
            return map(str, column)
        case "boolean":
            return ["t" if value else "f" for value in column]
        case "bytea":
            return ["\\\\x" + value.hex() for value in column]
        case "timestamptz":
            return [NULL if value is None else value.isoformat() for value in column]
        case _:
            together = "".join(filter(None, column))
            if any(special in together for special in ESCAPES):
                column = [value and value.translate(ESCAPED) for value in column]
            return [NULL if value is None else value for value in column]


@cache
def _select(table: Table[Any]) -> str:
    """A look-up for each key, whatever PostgreSQL takes the table's size for: what knows only the average would rather
    read the whole of a table that it holds for small."""
    keys = table.columns[: table.keys]
    columns = ", ".join(
        f"found.{name}{'::text' if type_ == 'jsonb' else ''}"
        for name, type_ in zip(table.columns, table.types, strict=True)
    )
    wanted = f"{_unnest(table.types[: table.keys])} as wanted ({', '.join(keys)})"
    same = " and ".join(f"t.{name} = wanted.{name}" for name in keys)
    return (
        f"select {columns} from {wanted} cross join lateral (select * from {table.name} t where {same} limit 1) found"
    )


@cache
def _insert(table: Table[Any]) -> str:
    return f"insert into {table.name} select * from {_unnest(table.types)}"


@cache
def _upsert(table: Table[Any]) -> str:
    keys = ", ".join(table.columns[: table.keys])
    rest = ", ".join(f"{name} = excluded.{name}" for name in table.columns[table.keys :])
    return f"{_insert(table)} on conflict ({keys}) do {f'update set {rest}' if rest else 'nothing'}"


def _unnest(types: Iterable[str]) -> str:
    return f"unnest({', '.join(f'%s::{type_}[]' for type_ in types)})"
