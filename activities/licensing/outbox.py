"""The backend's outbox: facts written in the transaction that made them true; `activities.relay` carries them on."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from events.codec import FactCodec
from events.envelope import Head, backend_stream, record_key
from events.fact import Fact
from events.stream_position import StreamPosition
from events.terms import Serial, VendorId

Connection = AsyncConnection[TupleRow]


class FactSession(AsyncConnection[TupleRow]):
    """A session with the codec by which the facts that are stated on it are sealed."""

    codec: FactCodec


def sealing_by(codec: FactCodec) -> Callable[[AsyncConnection[Any]], Awaitable[None]]:
    """What a pool does to each new session, so that facts can be stated on it."""

    async def give_codec(connection: AsyncConnection[Any]) -> None:
        assert isinstance(connection, FactSession)
        connection.codec = codec

    return give_codec


HEAD = "select sequence, hash from backend.streams where vendor = %(vendor)s and stream = %(stream)s"


def append_clause(only_if: str = "") -> str:
    """The part of a statement, named `appended`, that puts facts into the outbox; `only_if`: where this has a row."""
    source = f"{only_if}, " if only_if else ""
    return f"""appended as (
    insert into backend.outbox (key, value)
    select %(key)s, value from {source}unnest(%(values)b::bytea[]) with ordinality as facts(value, place)
    order by place
)"""


APPEND = f"""
with {append_clause()} insert into backend.streams values (%(vendor)s, %(stream)s, %(sequence)s, %(hash)s)
on conflict (vendor, stream) do update set sequence = excluded.sequence, hash = excluded.hash"""


def append_parameters(
    connection: Connection, vendor: VendorId, serial: Serial | None, head: Head, at: datetime, facts: Iterable[Fact]
) -> dict[str, Any]:
    """What is to be written for these facts, which follow the head of their stream: the parameters of
    `append_clause`, and the head that the stream then has."""
    assert isinstance(connection, FactSession), "facts are stated on sessions that have a codec"
    stream, key = backend_stream(vendor, serial), record_key(vendor, serial)
    values: list[bytes] = []
    for fact in facts:
        sealed = connection.codec.seal(vendor, stream, key, head, at, fact)
        values.append(sealed.value)
        head = sealed.head
    return {
        **{"vendor": vendor, "stream": stream, "key": key, "values": values},
        **{"sequence": head.sequence, "hash": head.hash},
    }


async def position(connection: Connection, vendor: VendorId, serial: Serial | None) -> StreamPosition:
    """How far the facts about a container, or the vendor itself, have come, with those that wait in the outbox: where
    what is said again stands at the latest. The caller holds the lock on it."""
    stream = backend_stream(vendor, serial)
    cursor = await connection.execute(HEAD, {"vendor": vendor, "stream": stream})
    row = await cursor.fetchone()
    return StreamPosition(stream, row[0] if row else 0)


async def state(
    connection: Connection, vendor: VendorId, serial: Serial | None, at: datetime, facts: Sequence[Fact]
) -> StreamPosition | None:
    """State facts about a container, the vendor itself, or the installation, and answer where the last one stands. The
    caller holds the lock on it."""
    if not facts:
        return None
    cursor = await connection.execute(HEAD, {"vendor": vendor, "stream": backend_stream(vendor, serial)})
    head = Head(*(await cursor.fetchone() or (0, "")))
    values = append_parameters(connection, vendor, serial, head, at, facts)
    await connection.execute(APPEND, values)
    return StreamPosition(values["stream"], values["sequence"])
