"""Delivery: brings messages to their cases, in the order of each case, at least once.

Several workers share the work: a case's first message that is not delivered is leased by its `due` time, so that a
worker that dies or is frozen holds it up only until then. What another has brought meanwhile changes nothing: a case
takes each number once.
"""

import asyncio
from collections import Counter
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from activities import case_watch
from activities.licensing.messages import CONTENT
from events.failures import is_unforeseen
from events.ports.loss_cases import CaseOverError, Cases, Joined, Message
from events.terms import CaseId, CaseKey, VendorId

log = structlog.get_logger()

AT_ONCE = 64
AT_ONCE_OF_A_VENDOR = 24
LEASE_SECONDS = 30.0
TOGETHER = 100
TOGETHER_CHARACTERS = 400_000
"""So many messages go to a case together, of about so many characters: Temporal takes 2 MB at once."""
POLL_SECONDS = 0.02
RETRY_SECONDS = 0.5
BACKOFF_SECONDS = (0.2, 0.5, 1, 2, 5, 10, 30)
"""How long a message waits that could not be brought, the first time, the second time, and so on."""

WINDOW = 200
"""So many messages of a vendor that are due are looked at for the cases that they are of."""

LEASE = """
with recursive wanted as (
    select vendor from backend.vendors where vendor <> all(%(busy)s::text[])
), due as (
    select d.vendor, d.case_id from wanted v cross join lateral (
        select vendor, case_id from backend.messages m
        where m.vendor = v.vendor and m.delivered is null and m.due <= now() order by m.due limit %(window)s
    ) d
), first_of_due as (
    select h.vendor, h.case_id, h.number, h.due from (select distinct vendor, case_id from due) c cross join lateral (
        select vendor, case_id, number, due from backend.messages m
        where m.vendor = c.vendor and m.case_id = c.case_id and m.delivered is null order by number limit 1
    ) h where h.due <= now()
), backed_up as (
    select vendor from due group by vendor having count(*) = %(window)s
        and (select count(*) from first_of_due f where f.vendor = due.vendor) < %(each)s
), first_of_all as (
    select h.* from backed_up b cross join lateral (
        select vendor, case_id, number, due from backend.messages m
        where m.vendor = b.vendor and m.delivered is null order by case_id, number limit 1
    ) h
    union all
    select h.* from first_of_all f cross join lateral (
        select vendor, case_id, number, due from backend.messages m
        where m.vendor = f.vendor and m.case_id > f.case_id and m.delivered is null order by case_id, number limit 1
    ) h
), firsts as (
    select vendor, case_id, number from first_of_due union
    select vendor, case_id, number from first_of_all where due <= now()
), heads as (
    select h.vendor, h.case_id, h.number from wanted v cross join lateral (
        select m.vendor, m.case_id, m.number from firsts f
        join backend.messages m on (m.vendor, m.case_id, m.number) = (f.vendor, f.case_id, f.number)
        where f.vendor = v.vendor and m.delivered is null and m.due <= now()
        order by m.due limit %(each)s for update of m skip locked
    ) h limit %(most)s
)
update backend.messages m set due = now() + make_interval(secs => %(lease)s)
from heads h join backend.cases c on (c.vendor, c.case_id) = (h.vendor, h.case_id)
where (m.vendor, m.case_id, m.number) = (h.vendor, h.case_id, h.number)
returning m.vendor, m.case_id, c.serial, m.number, m.content, m.accepted, m.tries"""
"""Leases the first undelivered message of each case, as far as it is due. Where those that are due are of too few such
cases, for many wait behind a first one that is not, all cases of that vendor are looked through, and of each no more
than its first message: what one case has waiting costs nothing."""

DELIVERED = """
with done as (
    update backend.messages set delivered = now()
    where vendor = %(vendor)s and case_id = %(case)s and number between %(first)s and %(last)s and delivered is null
), leased as (
    update backend.messages set due = now() + make_interval(secs => %(lease)s)
    where vendor = %(vendor)s and case_id = %(case)s and number = %(last)s + 1 and delivered is null
)
select number, content, accepted from backend.messages
where vendor = %(vendor)s and case_id = %(case)s and number > %(last)s and delivered is null
order by number limit %(most)s"""

PUT_OFF = """
update backend.messages set tries = tries + 1, due = now() + make_interval(secs => %(wait)s)
where vendor = %(vendor)s and case_id = %(case)s and number = %(number)s and delivered is null"""


class Delivery:
    """Brings messages until cancelled. What cannot be brought to one case waits, ever longer, and holds up no other."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]], cases: Cases) -> None:
        self._pool = pool
        self._cases = cases
        self._running: dict[asyncio.Task[None], VendorId] = {}
        self._ended = asyncio.Event()

    async def run(self) -> None:
        """Deliver until cancelled; a database that is away is waited for."""
        try:
            while True:
                try:
                    found = await self._lease() if len(self._running) < AT_ONCE else 0
                    if not found:
                        await self._until_one_ends(POLL_SECONDS)
                except Exception as error:
                    if is_unforeseen(error):
                        raise
                    log.warning("delivery waits for PostgreSQL", error=str(error))
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _until_one_ends(self, seconds: float) -> None:
        self._ended.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return

    async def _lease(self) -> int:
        """Begin to deliver the first messages that are due; how many cases they are for."""
        counts = Counter(self._running.values())
        busy = [vendor for vendor, count in counts.items() if count >= AT_ONCE_OF_A_VENDOR]
        wanted = {"each": AT_ONCE_OF_A_VENDOR, "most": AT_ONCE - len(self._running), "busy": busy, "window": WINDOW}
        async with self._pool.connection() as connection:
            cursor = await connection.execute(LEASE, wanted | {"lease": LEASE_SECONDS})
            rows = await cursor.fetchall()
        for vendor, case, serial, number, content, accepted, tries in rows:
            key = CaseKey(vendor=VendorId(vendor), case=CaseId(case), serial=serial)
            task = asyncio.create_task(self._deliver(key, _Row(number, content, accepted), tries))
            self._running[task] = key.vendor
            task.add_done_callback(self._forget)
        return len(rows)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._running.pop(task, None)
        self._ended.set()
        if not task.cancelled() and (error := task.exception()):
            log.error("a delivery failed", error=f"{type(error).__name__}: {error}")

    async def _deliver(self, key: CaseKey, first: "_Row", tries: int) -> None:
        """Bring a case its messages from this one on, for as long as that goes well."""
        rows = [first]
        while rows:
            try:
                async with asyncio.timeout(LEASE_SECONDS / 2):
                    await self._bring(key, [_message(row) for row in rows])
            except CaseOverError as error:
                if await self._is_open(key):
                    await self._put_off(key, rows[0].number, tries, error)
                    return
                # Else the backend has answered what the case did not take, when it was closed.
            except Exception as error:  # of this case alone, whatever it is: it waits, and is brought again
                await self._put_off(key, rows[0].number, tries, error)
                return
            rows, tries = await self._following(key, rows), 0

    async def _is_open(self, key: CaseKey) -> bool:
        """Whether a case that Temporal does not run is open all the same. Then it is entered in the register."""
        async with self._pool.connection() as connection:
            return await case_watch.enter(connection, key)

    async def _bring(self, key: CaseKey, messages: list[Message]) -> None:
        if messages[0].number > 1:
            await self._cases.send(key, messages)
        else:
            (first,) = messages
            assert isinstance(first.content, Joined), "the first message is the report that opened the case"
            await self._cases.start(key, first.content.report)

    async def _following(self, key: CaseKey, brought: "list[_Row]") -> "list[_Row]":
        """Keep that messages were brought; those after them, of which the first is leased."""
        values = {"vendor": key.vendor, "case": key.case, "first": brought[0].number, "last": brought[-1].number}
        async with self._pool.connection() as connection:
            cursor = await connection.execute(DELIVERED, values | {"lease": LEASE_SECONDS, "most": TOGETHER})
            rows = await cursor.fetchall()
        following: list[_Row] = []
        size = 0
        for row in map(_Row._make, rows):
            size += len(str(row.content))
            if following and size > TOGETHER_CHARACTERS:
                break
            following.append(row)
        return following

    async def _put_off(self, key: CaseKey, number: int, tries: int, error: Exception) -> None:
        wait = BACKOFF_SECONDS[min(tries, len(BACKOFF_SECONDS) - 1)]
        log.warning(
            "a message waits to be brought again",
            vendor=key.vendor,
            case=key.case,
            number=number,
            error=f"{type(error).__name__}: {error}",
        )
        values = {"vendor": key.vendor, "case": key.case, "number": number, "wait": wait}
        async with self._pool.connection() as connection:
            await connection.execute(PUT_OFF, values)


class _Row(NamedTuple):
    """A message as it is kept."""

    number: int
    content: Any
    accepted: datetime


def _message(row: _Row) -> Message:
    """A message as it is brought. Raises `ValidationError` for one that only a later release knows."""
    return Message(number=row.number, content=CONTENT.validate_python(row.content), accepted=row.accepted)
