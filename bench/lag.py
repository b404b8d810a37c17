"""How long after its append a fact is a visible row."""

import asyncio
import time
from datetime import UTC, datetime
from uuid import uuid4

from bench.cases import views
from bench.result import Result, percentiles
from events.backend_facts import ContainerRegistered
from events.envelope import Head, container_stream, record_key
from events.log import LogWriter
from events.terms import Kind, Serial, VendorId
from infra.settings import Settings
from tests.worlds import CODEC

FACTS = 1500
FACTS_PER_SECOND = 100
LOOK_SECONDS = 0.001
LIMIT_SECONDS = 60.0
QUERY = "select serial from containers where vendor = %s and serial = any(%s)"


async def measure(settings: Settings) -> list[Result]:
    """Containers appended at an even pace; the projector must run. The clock starts when the append is called."""
    vendor = VendorId(f"lag-{uuid4().hex[:8]}")
    appended: dict[str, float] = {}
    took: list[float] = []

    async def append(writer: LogWriter) -> None:
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as sends:
            for number in range(FACTS):
                await asyncio.sleep(begun + number / FACTS_PER_SECOND - time.perf_counter())
                serial = Serial(f"3-{number}")
                fact = ContainerRegistered(serial=serial, kind=Kind.DONGLE, holder="h-1")
                key, stream = record_key(vendor, serial), container_stream(serial)
                sealed = CODEC.seal(vendor, stream, key, Head(), datetime.now(UTC), fact)
                appended[serial] = time.perf_counter()
                sends.create_task(writer.append(sealed))

    async def look() -> None:
        deadline = time.perf_counter() + FACTS / FACTS_PER_SECOND + LIMIT_SECONDS
        async with views(settings.dsn) as connection:
            while len(took) < FACTS:
                assert time.perf_counter() < deadline, f"{len(took)} of {FACTS} facts became visible"
                cursor = await connection.execute(QUERY, (vendor, list(appended)))
                now = time.perf_counter()
                took.extend(now - appended.pop(serial) for (serial,) in await cursor.fetchall())
                await asyncio.sleep(LOOK_SECONDS)

    async with LogWriter(settings.bootstrap) as writer, asyncio.TaskGroup() as tasks:
        tasks.create_task(append(writer))
        tasks.create_task(look())
    spread = percentiles(took)
    return [Result("live_lag_ms", spread["p50"], "ms", percentiles_ms=spread)]
