"""Where inbox records wait, in PostgreSQL. A record is taken up by a lease on its row, which ends by itself."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from events.ports.parking_place import InboxRecord, Parked
from events.terms import Serial, VendorId

FIRST_WAIT_SECONDS = 0.5
WAIT_SECONDS_LIMIT = 8.0
DOUBLINGS_LIMIT = 10

COLUMNS = "number, vendor, serial, rank, topic, partition, record_offset, key, value, names, contents, received"
FIRST = """not exists (
    select from backend.parked before
    where (before.vendor, before.serial) = (p.vendor, p.serial) and (before.rank, before.number) < (p.rank, p.number)
)"""
FREE = "(p.leased_until is null or p.leased_until <= now())"
LEASED = f"""
update backend.parked p set leased_until = now() + make_interval(secs => %(lease)s) from taken
where p.number = taken.number
returning {", ".join(f"p.{name}" for name in COLUMNS.split(", "))}, p.deadline <= now()"""

WAITING = """
select serial, min(rank) from backend.parked where vendor = %s and serial = any(%s) group by serial"""
PARK = f"""
insert into backend.parked ({COLUMNS.removeprefix("number, ")}, digest, deadline, due)
select %(vendor)s, %(serial)s, %(rank)s, %(topic)s, %(partition)s, %(record_offset)s, %(key)s, %(value)s, %(names)s,
    %(contents)s, %(received)s, %(digest)s, now() + make_interval(secs => %(hold)s),
    now() + make_interval(secs => least(%(hold)s, %(first)s))
where (select count(*) from backend.parked where vendor = %(vendor)s) < %(limit)s
on conflict (topic, partition, record_offset, digest) do nothing"""
STANDS = """
select from backend.parked
where (topic, partition, record_offset, digest) = (%(topic)s, %(partition)s, %(record_offset)s, %(digest)s)"""
DUE = f"""
with candidates as (
    select number, row_number() over (partition by vendor order by due, number) as place
    from backend.parked p where due <= now() and {FREE} and vendor <> all(%(busy)s) and {FIRST}
), taken as (
    select p.number from backend.parked p join candidates using (number)
    where place <= %(each)s and {FREE} order by p.due, p.number limit %(limit)s for update of p skip locked
) {LEASED}"""
FOLLOWING = f"""
with taken as (
    select number from backend.parked p
    where vendor = %(vendor)s and serial = %(serial)s and {FREE} and {FIRST} for update skip locked
) {LEASED}"""
POSTPONE = """
update backend.parked set leased_until = null, tries = tries + 1, due = least(greatest(deadline, now()),
    now() + make_interval(secs => least(%(most)s, %(first)s * 2 ^ least(tries, %(doublings)s))))
where number = %(number)s"""
WAKE = "update backend.parked set due = now() where vendor = %s and serial = %s and due > now()"


class PostgresParking:
    """Implements `events.ports.parking_place.Parking`. The sessions of its pool are in autocommit mode."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]]) -> None:
        self._pool = pool

    async def waiting(self, vendor: VendorId, serials: Collection[Serial]) -> Mapping[Serial, int]:
        """The lowest rank that waits, for each of these serials for which anything does."""
        if not serials:
            return {}
        return {Serial(serial): rank for serial, rank in await self._rows(WAITING, (vendor, list(serials)))}

    async def park(self, serial: Serial, rank: int, record: InboxRecord, hold_seconds: float, limit: int) -> bool:
        """Let a record wait, or False where its vendor has `limit` waiting; those in flight may go a little beyond."""
        values = {
            **{"vendor": record.vendor, "serial": serial, "rank": rank, "hold": hold_seconds, "limit": limit},
            **{"topic": record.topic, "partition": record.partition, "record_offset": record.offset},
            **{"key": record.key, "value": record.value, "received": record.received, "first": FIRST_WAIT_SECONDS},
            "names": [name.encode() for name, _ in record.headers],  # bytes, because text of PostgreSQL has no NUL
            "contents": [content for _, content in record.headers],
            "digest": record.digest,
        }
        async with self._pool.connection() as connection:
            inserted = await connection.execute(PARK, values)
            if inserted.rowcount:
                return True
            return (await connection.execute(STANDS, values)).rowcount > 0

    async def due(self, busy: Collection[VendorId], each: int, limit: int, lease_seconds: float) -> Sequence[Parked]:
        """Take up what is to be tried now, the first of each serial."""
        values = {"busy": list(busy), "each": each, "limit": limit, "lease": lease_seconds}
        return [_parked(row) for row in await self._rows(DUE, values)]

    async def following(self, vendor: VendorId, serial: Serial, lease_seconds: float) -> Parked | None:
        """Take up the record that is first of this serial now."""
        rows = await self._rows(FOLLOWING, {"vendor": vendor, "serial": serial, "lease": lease_seconds})
        return _parked(rows[0]) if rows else None

    async def postpone(self, number: int) -> None:
        """Let a record wait on, each time twice as long up to a bound, and no longer than to its deadline."""
        waits = {"first": FIRST_WAIT_SECONDS, "most": WAIT_SECONDS_LIMIT, "doublings": DOUBLINGS_LIMIT}
        async with self._pool.connection() as connection:
            await connection.execute(POSTPONE, {"number": number, **waits})

    async def remove(self, number: int) -> None:
        """A record waits no more."""
        async with self._pool.connection() as connection:
            await connection.execute("delete from backend.parked where number = %s", (number,))

    async def wake(self, vendor: VendorId, serial: Serial) -> None:
        """Have what waits for this serial tried now."""
        async with self._pool.connection() as connection:
            await connection.execute(WAKE, (vendor, serial))

    async def _rows(self, query: str, values: Any) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query, values)
            return cast(list[tuple[Any, ...]], await cursor.fetchall())


def _parked(row: tuple[Any, ...]) -> Parked:
    number, _, serial, rank, topic, partition, offset, key, value, names, contents, received, overdue = row
    headers = tuple((name.decode(), content) for name, content in zip(names, contents, strict=True))
    record = InboxRecord(topic, partition, offset, key, value, headers, received)
    return Parked(number, serial, rank, record, overdue)
