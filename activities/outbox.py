"""The backend's outbox: facts written in the transaction that made them true, relayed to the log in their order."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from psycopg import AsyncConnection, OperationalError
from psycopg.rows import TupleRow

from events.envelope import Head, Sealed, container_stream, record_key, seal
from events.fact import Fact
from events.log import LogWriter
from events.terms import Serial, VendorId

log = structlog.get_logger()

LOCK = 7_215_902
BATCH_FACTS = 500
POLL_SECONDS = 0.05
RETRY_SECONDS = 0.5

Connection = AsyncConnection[TupleRow]


HEAD = "select sequence, hash from backend.streams where vendor = %(vendor)s and stream = %(stream)s"


def telling(only_if: str = "") -> str:
    """The part of a statement, named `told`, that puts facts into the outbox; `only_if`: where this has a row."""
    source = f"{only_if}, " if only_if else ""
    return f"""told as (
    insert into backend.outbox (key, value)
    select %(key)s, value from {source}unnest(%(values)b::bytea[]) with ordinality as facts(value, place)
    order by place
)"""


TELL = f"""
with {telling()} insert into backend.streams values (%(vendor)s, %(stream)s, %(sequence)s, %(hash)s)
on conflict (vendor, stream) do update set sequence = excluded.sequence, hash = excluded.hash"""


def stream_of(serial: Serial | None) -> str:
    """The stream of a container, or of the vendor itself."""
    return container_stream(serial) if serial else "vendor"


def told(vendor: VendorId, serial: Serial | None, head: Head, at: datetime, facts: Iterable[Fact]) -> dict[str, Any]:
    """What is to be written for these facts, which follow the head of their stream: the parameters of
    `telling`, and the head that the stream then has."""
    stream, key = stream_of(serial), record_key(vendor, serial)
    values: list[bytes] = []
    for fact in facts:
        sealed = seal(vendor, stream, key, head, at, fact)
        values.append(sealed.value)
        head = sealed.head
    return {
        **{"vendor": vendor, "stream": stream, "key": key, "values": values},
        **{"sequence": head.sequence, "hash": head.hash},
    }


async def state(
    connection: Connection, vendor: VendorId, serial: Serial | None, at: datetime, facts: Sequence[Fact]
) -> None:
    """State facts about a container, or about the vendor itself. The caller holds the lock on it."""
    if not facts:
        return
    cursor = await connection.execute(HEAD, {"vendor": vendor, "stream": stream_of(serial)})
    head = Head(*(await cursor.fetchone() or (0, "")))
    await connection.execute(TELL, told(vendor, serial, head, at, facts))


class Relay:
    """Carries the outbox to the log. Of many relays one works: it holds a lock of the database for as long as it lives.

    Facts of one key go one after the other, each acknowledged before the next is sent; facts of different keys go
    together. A fact is removed once acknowledged, so a crash in between appends it again, with the same bytes.
    It looks for facts at an interval: to be notified, it would have every writer commit under one lock of the server.
    """

    def __init__(self, dsn: str, writer: LogWriter) -> None:
        self._dsn = dsn
        self._writer = writer

    async def run(self) -> None:
        """Relay until cancelled; a service that is away is waited for."""
        while True:
            try:
                await self._relay()
            except (OperationalError, KafkaError) as error:
                log.warning("the relay waits for PostgreSQL or Kafka", error=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def _relay(self) -> None:
        async with await AsyncConnection.connect(self._dsn, autocommit=True) as connection:
            await connection.execute("select pg_advisory_lock(%s)", (LOCK,))
            while True:
                while await self._batch(connection) == BATCH_FACTS:
                    pass
                await asyncio.sleep(POLL_SECONDS)

    async def _batch(self, connection: AsyncConnection[Any]) -> int:
        cursor = await connection.execute(
            "select id, key, value from backend.outbox order by id limit %s", (BATCH_FACTS,)
        )
        queues: dict[bytes, list[tuple[int, Sealed]]] = {}
        for number, key, value in await cursor.fetchall():
            queues.setdefault(key, []).append((number, Sealed(key, value, Head())))
        relayed = 0
        while queues:
            firsts = [queue.pop(0) for queue in queues.values()]
            queues = {key: queue for key, queue in queues.items() if queue}
            await asyncio.gather(*(self._writer.append(fact) for _, fact in firsts))
            await connection.execute(
                "delete from backend.outbox where id = any(%s)", ([number for number, _ in firsts],)
            )
            relayed += len(firsts)
        return relayed
