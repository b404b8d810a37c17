"""Sees that Temporal runs a workflow for each open case. One that it does not run, because somebody ended it there or
because Temporal lost it, can say nothing itself, and its claim would stand for ever."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import structlog
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool

from activities import register
from events.ports.loss_cases import Cases
from events.ports.register import SetAside
from events.terms import CaseKey

log = structlog.get_logger()

NOT_RUNNING = "case_not_running"
"""The code of an open case for which Temporal runs no workflow."""
LOOK_SECONDS = 2.0
PAUSE_SECONDS = 0.1
"""Between two cases: on a large installation ten are looked at a second."""
ROWS = 500
"""So many cases, open or not, are gone through at a time."""

BEGUN = """
select vendor, case_id, serial, closed is null and exists (
    select from backend.messages m
    where (m.vendor, m.case_id, m.number) = (c.vendor, c.case_id, 1) and m.delivered is not null
) from backend.cases c where (vendor, case_id) > (%s, %s) order by vendor, case_id limit %s"""

ENTERED = """
select c.vendor, c.case_id, c.serial, c.closed is null from backend.set_aside s
join backend.cases c on (c.vendor, c.case_id) = (s.vendor, split_part(s.place, '/', 3))
where starts_with(s.place, 'workflow/')"""


class CaseWatch:
    """Looks at the open cases in turn until cancelled, and enters in the register those that do not run."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]], cases: Cases) -> None:
        self._pool = pool
        self._cases = cases
        self._after = ("", "")

    async def run(self) -> None:
        """Look until cancelled. What cannot be asked now is asked again."""
        while True:
            try:
                await self._look_at_entries()
                await self._look()
            except Exception as error:
                log.warning("open cases cannot be compared with Temporal", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        """Look at the next cases, and begin again after the last ones."""
        rows = await self._rows(BEGUN, *self._after, ROWS)
        for vendor, case, serial, begun in rows:
            key = CaseKey(vendor=vendor, case=case, serial=serial)
            if begun:
                if not await self._cases.is_running(key):
                    async with self._pool.connection() as connection:
                        await enter(connection, key)
                await asyncio.sleep(PAUSE_SECONDS)
            self._after = (vendor, case)
        if len(rows) < ROWS:
            self._after = ("", "")

    async def _look_at_entries(self) -> None:
        """Take out of the register the cases that run again, or are closed."""
        for vendor, case, serial, is_open in await self._rows(ENTERED):
            key = CaseKey(vendor=vendor, case=case, serial=serial)
            if not is_open or await self._cases.is_running(key):
                async with self._pool.connection() as connection:
                    await register.remove(connection, _place(key))

    async def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            return await (await connection.execute(query, values)).fetchall()


async def enter(connection: AsyncConnection[Any], key: CaseKey) -> bool:
    """Enter a case that Temporal does not run; False where it has been closed, which it is before its workflow ends."""
    cursor = await connection.execute(
        "select from backend.cases where vendor = %s and case_id = %s and closed is null", (key.vendor, key.case)
    )
    if await cursor.fetchone() is None:
        return False
    sentence = (
        "Temporal runs no workflow for this open case: it was ended there, or lost. What is said to the case waits. See"
        " why, and let it go on from its history, such as by `temporal workflow reset --type LastWorkflowTask"
        f" --workflow-id {key.case} --reason TEXT`; then it is brought what waits"
    )
    await register.add(connection, SetAside(key.vendor, _place(key), NOT_RUNNING, sentence, datetime.now(UTC)))
    log.error("an open case does not run", vendor=key.vendor, case=key.case)
    return True


def _place(key: CaseKey) -> str:
    return f"workflow/{key.vendor}/{key.case}"
