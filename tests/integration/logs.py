"""A log and views of a test's own, made anew on the shared services."""

import asyncio
import json
import os
import select
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from psycopg import AsyncConnection, sql

from activities.register import PostgresRegister
from events.envelope import Sealed
from events.log import LogReader
from events.log_records import LogRecord
from events.topics import LOG, log_spec
from infra.settings import Settings
from projections.tables import FOLDED
from projections.view_schemas import current, prepare_views, use
from tests.view_oracle import Tables, in_order
from tests.worlds import CODEC, partition_of

PARTITIONS = 3
LIMIT_SECONDS = 60.0
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (sys.executable, "-W", "error", "-m", "tests.integration.logs")


@dataclass
class Log:
    """An empty log with empty views, and the projectors of this test."""

    bootstrap: str
    dsn: str
    folder: Path
    group: str
    warm: "Warm | None" = None
    _asking: AsyncConnection[Any] | None = None

    async def write(
        self,
        records: Iterable[Sealed],
        pause_seconds: float = 0.0,
        hurry: asyncio.Event | None = None,
        partition: int | None = None,
    ) -> None:
        """Append records in this order, `pause_seconds` after every hundredth, or until told to hurry; each in the
        partition of its key, or all in this one."""
        hurry = hurry or asyncio.Event()
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all", enable_idempotence=True)
        await producer.start()
        try:
            waiting = []
            for number, record in enumerate(records, 1):
                where = partition_of(record.key, PARTITIONS) if partition is None else partition
                waiting.append(await producer.send(LOG, record.value, record.key, where))
                if pause_seconds and number % 100 == 0:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(hurry.wait(), pause_seconds)
            await asyncio.gather(*waiting)
        finally:
            await producer.stop()

    async def read(self) -> list[LogRecord]:
        """The whole log."""
        return [record async for batch in LogReader(self.bootstrap).batches() for record in batch]

    async def topics(self) -> set[str]:
        """All topics but Kafka's own."""
        async with AIOKafkaConsumer(bootstrap_servers=self.bootstrap) as consumer:
            return {topic for topic in await consumer.topics() if not topic.startswith("__")}

    @property
    def register(self) -> PostgresRegister:
        """What is set aside."""
        return PostgresRegister(self.dsn)

    async def positions(self) -> dict[int, int]:
        """The positions in the views in use; asked again and again, so over one connection while that lasts."""
        if self._asking is None or self._asking.closed:
            self._asking = await AsyncConnection.connect(self.dsn, autocommit=True)
        schema = await current(self._asking)
        assert schema is not None
        query = sql.SQL("select partition, next_offset from {}.positions").format(sql.Identifier(schema))
        return dict(await (await self._asking.execute(query)).fetchall())

    async def close(self) -> None:
        """Close the connection for positions."""
        if self._asking is not None:
            await self._asking.close()
            self._asking = None

    async def rows(self) -> Tables:
        """The rows of the views in use, but positions."""
        async with self.views() as connection:
            tables = {}
            for table in FOLDED:
                cursor = await connection.execute(f"select * from {table.name}")
                tables[table.name] = in_order(await cursor.fetchall())
            return tables

    @asynccontextmanager
    async def views(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A transaction in the views in use."""
        async with await AsyncConnection.connect(self.dsn) as connection:
            await connection.execute("set time zone 'UTC'")
            schema = await current(connection)
            assert schema is not None
            await use(connection, schema)
            yield connection

    async def folded(self, *projectors: "Projector") -> None:
        """Wait, bounded, until all that the log holds now is folded; one of these projectors must live."""
        ends = await LogReader(self.bootstrap).ends()
        deadline = time.monotonic() + LIMIT_SECONDS
        while (positions := await self.positions()) != {p: end for p, end in ends.items() if end}:
            assert time.monotonic() < deadline, f"{positions} of {ends}\n" + "\n".join(p.said() for p in projectors)
            assert not projectors or any(p.alive for p in projectors), "\n".join(p.said() for p in projectors)
            await asyncio.sleep(0.05)

    async def empty(self) -> None:
        """Make the topic anew; the views stay."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            await admin.delete_topics([LOG])
            deadline = time.monotonic() + LIMIT_SECONDS
            while LOG in await admin.list_topics():
                assert time.monotonic() < deadline
                await asyncio.sleep(0.05)
            spec = log_spec(PARTITIONS)
            await admin.create_topics([NewTopic(spec.name, spec.partitions, 1, topic_configs=spec.config)])
        finally:
            await admin.close()

    async def reset(self) -> None:
        """Make the topic and the views anew."""
        await self.empty()
        async with await AsyncConnection.connect(self.dsn, autocommit=True) as connection:
            cursor = await connection.execute("select nspname from pg_namespace where nspname ~ '^views(_|$)'")
            for (schema,) in await cursor.fetchall():
                await connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
            for emptied in ("backend.set_aside", "backend.outbox", "backend.streams where vendor = ''"):
                await connection.execute(sql.SQL("delete from " + emptied))  # type: ignore[arg-type]
        await prepare_views(self.dsn)


@asynccontextmanager
async def own_log(settings: Settings, folder: Path) -> AsyncIterator[Log]:
    """An empty log and empty views; nothing else may use the log of these services meanwhile."""
    log = Log(settings.bootstrap, settings.dsn, folder, f"projector-{uuid4().hex[:8]}")
    await log.reset()
    try:
        yield log
    finally:
        await log.close()


class Forked:
    """A process that was forked from the warm one."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    def end(self, code: int) -> None:
        """It ended so."""
        self.returncode = code
        self._ended.set()

    async def wait(self) -> int:
        """Wait for its end; returns its exit code, negative for a signal."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class Warm:
    """A process that has imported all that a projector needs, and forks one on demand: importing takes a second."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._born: asyncio.Queue[Forked] = asyncio.Queue()
        self._following = asyncio.create_task(self._follow())

    async def fork(self, words: Sequence[str]) -> Forked:
        """A projector with these words; one at a time."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        async with asyncio.timeout(LIMIT_SECONDS):
            return await self._born.get()

    async def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()
        await self._following

    async def _follow(self) -> None:
        assert self._process.stdout is not None
        alive: dict[int, Forked] = {}
        async for line in self._process.stdout:
            pid, code = json.loads(line)
            if code is None:
                alive[pid] = Forked(pid)
                self._born.put_nowait(alive[pid])
            else:
                alive.pop(pid).end(code)


@asynccontextmanager
async def warmed() -> AsyncIterator[Warm]:
    """A warm process."""
    process = await asyncio.create_subprocess_exec(
        *PROGRAM, cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    warm = Warm(process)
    try:
        yield warm
    finally:
        await warm.close()


class Projector:
    """A live projector in a process of its own: a fork of the log's warm one, where it has one."""

    def __init__(self, log: Log, driver: str, name: str) -> None:
        self._log = log
        self._driver = driver
        self.folder = log.folder / name
        self._process: asyncio.subprocess.Process | Forked | None = None

    async def start(self) -> None:
        """Start it; returns when the process exists."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "ready").unlink(missing_ok=True)
        words = (self._driver, self._log.bootstrap, self._log.dsn, self._log.group, str(self.folder))
        if self._log.warm is not None:
            self._process = await self._log.warm.fork(words)
            return
        with (self.folder / "log").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *PROGRAM, *words, cwd=ROOT, stdout=output, stderr=output
            )

    @property
    def pid(self) -> int:
        """Of the process started last."""
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def is_ready(self) -> bool:
        """Whether it said that it is ready."""
        return (self.folder / "ready").exists()

    async def ready(self) -> None:
        """Wait, bounded, until it is ready."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while not self.is_ready:
            assert self.alive, self.said()
            assert time.monotonic() < deadline, self.said()
            await asyncio.sleep(0.05)

    async def ended(self) -> int:
        """Wait, bounded, for its end; returns its exit code."""
        assert self._process is not None
        async with asyncio.timeout(LIMIT_SECONDS):
            return await self._process.wait()

    async def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.kill()
        await self.ended()

    def said(self) -> str:
        """Its output."""
        return (self.folder / "log").read_text(errors="replace")


@asynccontextmanager
async def projectors(log: Log, driver: str, count: int = 1) -> AsyncIterator[Sequence[Projector]]:
    """So many projectors, started; killed at the end."""
    made = [Projector(log, driver, f"{driver}-{number}") for number in range(count)]
    try:
        for projector in made:
            await projector.start()
        yield made
    finally:
        for projector in made:
            if projector.alive:
                await projector.kill()


async def _main(driver: str, bootstrap: str, dsn: str, group: str, folder: Path) -> None:
    from projections.drivers.consumer import run_plain
    from projections.drivers.faust import run_live

    def ready() -> None:
        (folder / "ready").write_text(json.dumps(os.getpid()))

    register = PostgresRegister(dsn)
    limits = {"outage_seconds": 20.0, "stall_seconds": 25.0}
    if driver == "faust":
        live = run_live(bootstrap, dsn, CODEC, ready, register, folder, group=group, **limits)
    else:
        live = run_plain(bootstrap, dsn, CODEC, ready, register, group=group, **limits)
    task = asyncio.create_task(live)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def _forked() -> list[str]:
    """Fork for each line of standard input, until there is no more; returns in the children only, with their words.

    Standard output tells of each child its id when it is born, and again with its exit code when it has ended.
    """
    # All that a projector imports, at its start and later.
    import faust.app
    import faust.transport.drivers.aiokafka  # noqa: F401

    alive: set[int] = set()
    while True:
        readable, _, _ = select.select([0], [], [], 0.05)
        if readable:
            line = sys.stdin.buffer.raw.readline()
            if not line:
                sys.exit()
            words: list[str] = json.loads(line)
            if (pid := os.fork()) == 0:
                _redirect(Path(words[-1]) / "log")
                return words
            alive.add(pid)
            print(json.dumps((pid, None)), flush=True)
        for pid in list(alive):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                alive.remove(pid)
                print(json.dumps((pid, os.waitstatus_to_exitcode(status))), flush=True)


def _redirect(log: Path) -> None:
    with log.open("ab") as output, Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)


if __name__ == "__main__":
    words = sys.argv[1:] or _forked()
    asyncio.run(_main(*words[:4], Path(words[4])))  # type: ignore[call-arg]
