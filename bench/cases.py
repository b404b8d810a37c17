"""How many automatic cases a second, from report to visible replacement, and how long their histories are."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import mean
from typing import Any
from uuid import uuid4

from psycopg import AsyncConnection
from temporalio.client import Client

from bench.bare import Local, Regular
from bench.result import Bar, Result
from events.terms import VendorId
from infra.settings import Settings
from infra.wiring import add_vendor, open_temporal
from projections.view_schemas import current, use
from tests.foreign import BackOffice
from workflows.policy import Policy

CASES = 150
ROUNDS = 3
AT_ONCE = 64
"""As many as the inbox takes to their cases at once."""

QUEUE = "bench"
LIMIT_SECONDS = 60.0
LOOK_SECONDS = 0.05


async def measure(settings: Settings) -> list[Result]:
    """Rounds of baseline and subject by turns; the roles must run."""
    client = await open_temporal(settings)
    subject, regular, local = [], [], []
    async with _bare_worker(settings):
        await _bare(client, Regular, AT_ONCE)
        cases = await measure_cases(settings, AT_ONCE)  # to warm everything up
        for _ in range(ROUNDS):
            regular.append(await _bare(client, Regular, CASES))
            cases = await measure_cases(settings, CASES)
            subject.append(cases.per_second)
            local.append(await _bare(client, Local, CASES))
    lengths = [await _history(client, case) for case in cases.ids]
    return [
        Result.against(
            "cases_per_second",
            "cases/s",
            list(zip(subject, regular, strict=True)),
            "workflow of 3 regular no-op activities",
            Bar(at_least=0.7),
        ),
        Result.against(
            "cases_per_second_local",
            "cases/s",
            list(zip(subject, local, strict=True)),
            "workflow of 3 local no-op activities",
        ),
        Result("history_events_per_case", mean(lengths), "events"),
    ]


@dataclass(frozen=True, slots=True)
class Cases:
    """Cases that were measured."""

    per_second: float
    ids: list[str]


async def measure_cases(
    settings: Settings,
    count: int,
    vendor: VendorId | None = None,
    before: int = 0,
    limit_seconds: float = LIMIT_SECONDS,
) -> Cases:
    """Report so many losses at once, each of a dongle with a spare, and wait for what follows: to a vendor of its own,
    or to one to whom this function brought the cases `before`."""
    if vendor is None:
        vendor = VendorId(f"cases-{uuid4().hex[:8]}")
        await add_vendor(settings, vendor, Policy())
    numbers, total = range(before, before + count), before + count

    async def shown(counted: str, reached: int) -> None:
        await until(settings.dsn, vendor, f"select count(*) from {counted}", reached, limit_seconds)

    office = BackOffice(settings.bootstrap, vendor)
    for number in numbers:
        office.stock(f"3-{number}", f"h-{number}")
    await asyncio.to_thread(office.flush)
    await shown("containers where vendor = %s", 2 * total)
    await shown("licences where vendor = %s and generation = 1", total)
    begun = time.monotonic()
    for number in numbers:
        office.report(f"R-{number}", f"3-{number}")
    await asyncio.to_thread(office.flush)
    await shown("licences where vendor = %s and generation = 2", total)
    await shown("cases where vendor = %s and status = 'watching'", total)
    seconds = time.monotonic() - begun
    async with views(settings.dsn) as connection:
        rows = await connection.execute("select case_id from cases where vendor = %s", (vendor,))
        return Cases(count / seconds, [case for (case,) in await rows.fetchall()])


async def _bare(client: Client, kind: Any, count: int) -> float:
    at_once = asyncio.Semaphore(AT_ONCE)

    async def one() -> None:
        async with at_once:
            await client.execute_workflow(kind.run, id=f"bare-{uuid4()}", task_queue=QUEUE)

    begun = time.monotonic()
    await asyncio.gather(*(one() for _ in range(count)))
    return count / (time.monotonic() - begun)


async def _history(client: Client, case: str) -> int:
    return (await client.get_workflow_handle(case).describe()).history_length


@asynccontextmanager
async def _bare_worker(settings: Settings) -> AsyncIterator[None]:
    words = ("-m", "bench.bare", settings.temporal, settings.temporal_namespace, QUEUE)
    process = await asyncio.create_subprocess_exec(sys.executable, *words)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def views(dsn: str) -> AsyncIterator[AsyncConnection[Any]]:
    """A transaction in the views in use."""
    async with await AsyncConnection.connect(dsn) as connection:
        schema = await current(connection)
        assert schema is not None
        await use(connection, schema)
        yield connection


async def until(dsn: str, vendor: VendorId, count_query: str, count: int, limit_seconds: float = LIMIT_SECONDS) -> None:
    """Wait, bounded, until a query of the views counts so many."""
    deadline = time.monotonic() + limit_seconds
    async with views(dsn) as connection:
        while True:
            row = await (await connection.execute(count_query, (vendor,))).fetchone()
            if row and row[0] >= count:
                return
            assert time.monotonic() < deadline, f"{row} of {count} after {limit_seconds:.0f} s: {count_query}"
            await asyncio.sleep(LOOK_SECONDS)
