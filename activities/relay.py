"""Carries the backend's outbox to the log.

A fact is appended only after the one before it under its key was acknowledged, or is marked as relayed in PostgreSQL.
Whoever appends it, and however often, the log therefore holds a key's facts first in their order; what comes again
later is a copy of what stands there already, which readers skip. So two relays at once do no harm. The lease below only
sees to it that there are seldom two, and that one which is frozen holds nobody up for longer than `LEASE_SECONDS`.
"""

import asyncio
import time
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import islice
from typing import Any, NamedTuple
from uuid import uuid4

import structlog
from psycopg import AsyncConnection, Error

from activities import register
from events.envelope import Head, Sealed
from events.errors import RefusalError
from events.failures import is_unforeseen
from events.log import LogReader, LogWriter
from events.ports.register import SetAside
from events.postgres_sessions import open_session

log = structlog.get_logger()

LEASE_SECONDS = 5.0
RENEW_SECONDS = 1.5
AWAIT_LEASE_SECONDS = 0.5
POLL_SECONDS = 0.05
RETRY_SECONDS = 0.5

FETCHED_FACTS = 500
LOADED_FACTS = 1_000
BATCH_FACTS = 200
BATCH_BYTES = 65_536

KEPT_SECONDS = 30
"""How long a relayed fact stays in the outbox: longer than the embedded log takes to write to the disk."""
CLEAN_SECONDS = 5.0
CLEANED_FACTS = 5_000
LATE = timedelta(seconds=60)
"""So much before it was marked as relayed a fact may have been sent."""

UNFORESEEN = "internal_error"
TRIES = 3
"""Of a fact that fails for a reason that nobody foresaw."""
LOOK_SECONDS = 1.0
TRY_AGAIN_SECONDS = 60.0

# A frozen relay is between two statements, or within the transaction of one key that is set aside.
OPTIONS = (
    "-c statement_timeout=10s -c lock_timeout=5s -c idle_in_transaction_session_timeout=5s"
    " -c synchronous_commit=off"  # what a crash of PostgreSQL forgets is relayed again
)

TAKE = """
insert into backend.relay values (true, %(holder)s, pg_backend_pid(), clock_timestamp() + %(seconds)s * interval '1 s')
on conflict (one) do update set holder = excluded.holder, session = excluded.session, until = excluded.until
where relay.holder = excluded.holder or relay.until < clock_timestamp()
    or not exists (select from pg_stat_activity where pid = relay.session)
returning true"""
"""Whose session is gone has died: its lease need not be waited for."""

PENDING = """
select id, key, value from backend.outbox where relayed is null and not held and id <> all(%s) order by id limit %s"""


class _Row(NamedTuple):
    number: int
    fact: Sealed


class _Refused(NamedTuple):
    code: str
    sentence: str


class Relay:
    """Of many relays one works, as long as it renews its lease.

    Facts of one partition go together, up to a batch at a time. A fact that the log does not take sets its key aside in
    the register; its facts wait, in their order, and all others go on. A key is tried again once a minute, and at once
    when its entry is taken out of the register.

    It looks for facts at an interval: to be notified, it would have every writer commit under one lock of the server.
    """

    def __init__(self, dsn: str, writer: LogWriter, reader: LogReader) -> None:
        self._dsn = dsn
        self._writer = writer
        self._reader = reader
        self._holder = uuid4()
        self._forget()

    def _forget(self) -> None:
        self._leased_until = 0.0
        self._queues: dict[int, deque[_Row]] = {}
        self._draining: dict[int, asyncio.Task[None]] = {}
        self._loaded: dict[int, _Row] = {}
        self._sent: list[int] = []
        self._room = asyncio.Event()
        self._failure: Exception | None = None
        self._tries: dict[int, int] = {}
        self._refused: dict[bytes, _Refused] = {}
        self._aside: dict[bytes, float] = {}
        self._trying: set[bytes] = set()

    async def run(self) -> None:
        """Relay until cancelled; a service that is away is waited for."""
        while True:
            try:
                await self._session()
            except Exception as error:
                if is_unforeseen(error):
                    raise
                log.warning("the relay waits for PostgreSQL or Kafka", error=str(error).strip())
                await asyncio.sleep(RETRY_SECONDS)

    async def _session(self) -> None:
        """From taking the lease to losing it."""
        async with await open_session(self._dsn, OPTIONS) as connection:
            while not await self._take(connection):  # noqa: ASYNC110 - another process gives it up
                await asyncio.sleep(AWAIT_LEASE_SECONDS)
            try:
                await self._resend_lost(connection)
                await self._load_aside(connection)
                await self._work(connection)
            finally:
                tasks = list(self._draining.values())
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                with suppress(Error):
                    await self._mark(connection)
                    await connection.execute("delete from backend.relay where holder = %s", (self._holder,))
                self._forget()

    async def _take(self, connection: AsyncConnection[Any]) -> bool:
        """Take the lease, or renew it."""
        asked = time.monotonic()
        cursor = await connection.execute(TAKE, {"holder": self._holder, "seconds": LEASE_SECONDS})
        taken = await cursor.fetchone() is not None
        self._leased_until = asked + LEASE_SECONDS if taken else 0.0
        return taken

    @property
    def _leased(self) -> bool:
        return time.monotonic() < self._leased_until

    async def _work(self, connection: AsyncConnection[Any]) -> None:
        looked = cleaned = 0.0
        while True:
            now = time.monotonic()
            if now > self._leased_until - LEASE_SECONDS + RENEW_SECONDS and not await self._take(connection):
                log.warning("another relay has taken over")
                return
            if self._failure is not None:
                raise self._failure
            await self._mark(connection)
            for key in list(self._refused):
                await self._set_aside(connection, key)
            if self._aside and now - looked > LOOK_SECONDS:
                looked = now
                await self._try_again(connection)
            if now - cleaned > CLEAN_SECONDS:
                cleaned = now
                await self._clean(connection)
            wanted = min(FETCHED_FACTS, LOADED_FACTS - len(self._loaded))
            found = await self._load(connection, wanted) if wanted > 0 else 0
            self._drain_all()
            if wanted <= 0:
                self._room.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._room.wait(), POLL_SECONDS)
            elif found < wanted:
                await asyncio.sleep(POLL_SECONDS)

    async def _load(self, connection: AsyncConnection[Any], limit: int) -> int:
        cursor = await connection.execute(PENDING, (list(self._loaded), limit))
        rows = await cursor.fetchall()
        waiting = []
        for number, key, value in rows:
            if key in self._aside or key in self._refused:
                waiting.append(number)
                continue
            partition = await self._writer.partition(key)
            row = self._loaded[number] = _Row(number, Sealed(key, value, Head()))
            self._queues.setdefault(partition, deque()).append(row)
        if waiting:
            await connection.execute("update backend.outbox set held = true where id = any(%s)", (waiting,))
        return len(rows)

    def _drain_all(self) -> None:
        """See that a task sends what is loaded of each partition."""
        for partition, queue in self._queues.items():
            draining = self._draining.get(partition)
            if queue and (draining is None or draining.done()):
                self._draining[partition] = asyncio.create_task(self._drain(queue))

    def _may_be_sent(self, row: _Row) -> bool:
        """False once the row's key is refused or set aside, also where it was loaded again since: what is loaded again
        are other rows, behind the ones before them."""
        return row.fact.key not in self._refused and self._loaded.get(row.number) is row

    async def _drain(self, queue: deque[_Row]) -> None:
        """Send what is loaded of a partition, as long as the lease lasts. A row leaves the queue once it is sent or may
        not be: whatever ends this, the next one begins with the first row that was not sent."""
        while queue and self._leased and self._failure is None:
            batch = _next_batch(queue)
            rows = [row for row in batch if self._may_be_sent(row)]
            try:
                if rows:
                    await self._writer.append(*(row.fact for row in rows))
            except Exception as error:
                if not is_unforeseen(error):
                    self._failure = error
                    return
                await self._one_by_one(queue, len(batch))
            else:
                self._sent += [row.number for row in rows]
                for _ in batch:
                    queue.popleft()
            if len(self._sent) > LOADED_FACTS // 2:
                self._room.set()

    async def _one_by_one(self, queue: deque[_Row], count: int) -> None:
        """Find out which of the first facts of a queue are not taken."""
        for _ in range(count):
            row = queue[0]
            while self._may_be_sent(row):
                if not self._leased:
                    return
                try:
                    await self._writer.append(row.fact)
                    self._sent.append(row.number)
                    break
                except RefusalError as refusal:
                    self._refused[row.fact.key] = _Refused(refusal.code, refusal.sentence)
                except Exception as error:
                    if not is_unforeseen(error):
                        self._failure = error
                        return
                    tries = self._tries[row.number] = self._tries.get(row.number, 0) + 1
                    if tries >= TRIES:
                        said = f"{type(error).__name__}: {error}"
                        self._refused[row.fact.key] = _Refused(UNFORESEEN, f"the log did not take a fact: {said}")
                    else:
                        await asyncio.sleep(RETRY_SECONDS)
            queue.popleft()

    async def _mark(self, connection: AsyncConnection[Any]) -> None:
        """Note what was acknowledged. One that has lost its lease may still do so: it is true all the same."""
        if not self._sent:
            return
        sent, self._sent = self._sent, []
        await connection.execute("update backend.outbox set relayed = now() where id = any(%s)", (sent,))
        went = {row.fact.key for number in sent if (row := self._loaded.pop(number, None))} & self._trying
        if went:
            await register.remove(connection, *map(_place, went))
            self._trying -= went
            log.info("facts that were set aside are relayed", keys=[_name(key) for key in went])

    async def _set_aside(self, connection: AsyncConnection[Any], key: bytes) -> None:
        """Hold all facts of a key, and enter it in the register."""
        await self._mark(connection)
        refusal = self._refused[key]
        async with connection.transaction():
            cursor = await connection.execute(
                "select from backend.relay where holder = %s and until > clock_timestamp() for share", (self._holder,)
            )
            if await cursor.fetchone() is None:
                return  # whoever has the lease now may have sent it already
            await connection.execute(
                "update backend.outbox set held = true where key = %s and relayed is null and not held", (key,)
            )
            sentence = (
                f"{refusal.sentence}. The facts under this key wait, in their order; when the cause is gone, type"
                f" `lostfound outbox retry {_name(key)}`."
            )
            vendor = key.partition(b"/")[0].decode(errors="replace")
            await register.add(connection, SetAside(vendor, _place(key), refusal.code, sentence, datetime.now(UTC)))
        log.error("a key of the outbox is set aside", key=_name(key), code=refusal.code, sentence=refusal.sentence)
        self._loaded = {number: row for number, row in self._loaded.items() if row.fact.key != key}
        self._trying.discard(key)
        self._aside[key] = time.monotonic() + TRY_AGAIN_SECONDS
        del self._refused[key]

    async def _load_aside(self, connection: AsyncConnection[Any]) -> None:
        cursor = await connection.execute("select distinct key from backend.outbox where held")
        self._aside = {key: 0.0 for (key,) in await cursor.fetchall()}

    async def _try_again(self, connection: AsyncConnection[Any]) -> None:
        """Load again the keys that it is time for, or that somebody took out of the register."""
        cursor = await connection.execute(
            "select place from backend.set_aside where place = any(%s)", ([_place(key) for key in self._aside],)
        )
        entered = {place for (place,) in await cursor.fetchall()}
        now = time.monotonic()
        for key, due in list(self._aside.items()):
            if due > now and _place(key) in entered:
                continue
            cursor = await connection.execute("update backend.outbox set held = false where key = %s and held", (key,))
            del self._aside[key]
            if cursor.rowcount:
                self._trying.add(key)
            else:
                await register.remove(connection, _place(key))

    async def _clean(self, connection: AsyncConnection[Any]) -> None:
        await connection.execute(
            "delete from backend.outbox where id in (select id from backend.outbox"
            " where relayed < now() - %s * interval '1 s' order by relayed limit %s)",
            (KEPT_SECONDS, CLEANED_FACTS),
        )

    async def _resend_lost(self, connection: AsyncConnection[Any]) -> None:
        """Have facts sent again that were relayed lately and that the log lacks: it lost its end in a power cut."""
        cursor = await connection.execute(
            "select id, key, sha256(value), relayed from backend.outbox where relayed is not null order by id"
        )
        rows = await cursor.fetchall()
        if not rows:
            return
        starts = await self._reader.offsets_at(min(row[3] for row in rows) - LATE)
        there = {
            sha256(record.value or b"").digest() async for batch in self._reader.batches(starts) for record in batch
        }
        first: dict[bytes, int] = {}
        for number, key, digest, _ in rows:
            if digest not in there:
                first.setdefault(key, number)
        for key, number in first.items():
            await connection.execute(
                "update backend.outbox set relayed = null where key = %s and id >= %s and relayed is not null",
                (key, number),
            )
        if first:
            log.error("the log lacks facts that it had acknowledged; they are sent again", keys=len(first))


def _next_batch(queue: deque[_Row]) -> list[_Row]:
    """The first rows of a queue that go together; they stay in it."""
    batch: list[_Row] = []
    size = 0
    for row in islice(queue, BATCH_FACTS):
        size += len(row.fact.value)
        if batch and size > BATCH_BYTES:
            break
        batch.append(row)
    return batch


def _name(key: bytes) -> str:
    return key.decode(errors="replace")


def _place(key: bytes) -> str:
    return f"outbox/{_name(key)}"
