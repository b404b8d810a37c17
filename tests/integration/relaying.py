"""Relays as processes of their own, and what they brought to the log. Run as a program: one relay."""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from activities.licensing.outbox import FactSession, state
from activities.relay import Relay
from events.backend_facts import ContainerRegistered
from events.log import LogReader, LogWriter
from events.log_records import LogRecord
from events.terms import Kind, Serial, VendorId
from infra.settings import Settings
from projections.chain import follow
from projections.tables import StreamRow
from tests.worlds import CODEC

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (sys.executable, "-W", "error", "-m", "tests.integration.relaying")
LIMIT_SECONDS = 60.0


@dataclass
class Outbox:
    """The outbox of these services, and the log behind it."""

    settings: Settings
    connection: FactSession
    written: Counter[tuple[VendorId, str]] = field(default_factory=Counter)
    _numbers: Any = field(default_factory=lambda: count(1))

    async def state(self, vendor: VendorId, serial: str, facts: int = 1) -> None:
        """State so many facts about a container, in one transaction."""
        some = [
            ContainerRegistered(serial=Serial(serial), kind=Kind.DONGLE, holder=f"h-{next(self._numbers)}")
            for _ in range(facts)
        ]
        async with self.connection.transaction():
            await state(self.connection, vendor, Serial(serial), datetime.now(UTC), some)
        self.written[vendor, f"container/{serial}"] += facts

    async def records(self) -> list[LogRecord]:
        """The whole log."""
        return [record async for batch in LogReader(self.settings.bootstrap).batches() for record in batch]

    async def relayed(self, but: VendorId | None = None) -> None:
        """Wait, bounded, until the log has every stream as it was stated; but those of one vendor."""
        wanted = {stream: facts for stream, facts in self.written.items() if stream[0] != but}
        async with asyncio.timeout(LIMIT_SECONDS):
            while True:
                heads = in_the_log(await self.records())
                if {stream: heads.get(stream, 0) for stream in wanted} == wanted:
                    return
                await asyncio.sleep(0.05)

    async def copies(self) -> int:
        """How many records of the log say again what an earlier one says."""
        values = [record.value for record in await self.records()]
        return len(values) - len(set(values))

    async def one(self, query: str, *values: object) -> Any:
        """The only column of the only row."""
        row = await (await self.connection.execute(query, values)).fetchone()
        return row[0] if row else None


def in_the_log(records: list[LogRecord]) -> dict[tuple[VendorId, str], int]:
    """How far each stream goes. Raises `LogDamagedError` where a reader could not follow one."""
    streams: dict[tuple[VendorId, str], StreamRow] = {}
    for record in records:
        fact = CODEC.unseal(record.value)
        followed = follow(streams.get((fact.vendor, fact.stream)), record.position, fact)
        if followed is not None:
            streams[fact.vendor, fact.stream] = followed
    return {stream: row.sequence for stream, row in streams.items()}


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Outbox]:
    """The outbox."""
    async with await FactSession.connect(settings.dsn, autocommit=True) as connection:
        connection.codec = CODEC
        yield Outbox(settings, connection)


@asynccontextmanager
async def relay_here(settings: Settings) -> AsyncIterator[None]:
    """A relay in this process."""
    async with LogWriter(settings.bootstrap, settings.log_partitions) as writer:
        relaying = asyncio.create_task(Relay(settings.dsn, writer, LogReader(settings.bootstrap)).run())
        try:
            yield
        finally:
            relaying.cancel()
            await asyncio.gather(relaying, return_exceptions=True)


@asynccontextmanager
async def relay_process(settings: Settings, name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A relay in a process of its own, whose session in PostgreSQL has this name."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, settings.dsn, settings.bootstrap, cwd=ROOT, env=os.environ | {"PGAPPNAME": name}
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _main(dsn: str, bootstrap: str) -> None:
    async with LogWriter(bootstrap, Settings().log_partitions) as writer:
        task = asyncio.create_task(Relay(dsn, writer, LogReader(bootstrap)).run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        with suppress(asyncio.CancelledError):
            await task


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
