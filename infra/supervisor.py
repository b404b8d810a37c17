"""Keeps everything that runs on this machine running: the embedded services, then the roles of the product.

One process holds the data folder. It starts what is missing, starts again what dies, writes down each process that it
starts, and leaves none behind: not after a stop, and not when it is killed itself.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from infra.embedded.kafka import Kafka
from infra.embedded.ports import require_free
from infra.embedded.postgres import Postgres
from infra.embedded.process import Identity, Launch, end
from infra.embedded.running import Running
from infra.embedded.service import Fetched, Service
from infra.embedded.temporal import Temporal
from infra.problem import Problem
from infra.run_state import Condition, Phase, Record, RunState, ServiceRecord, forget, read_state
from infra.settings import Settings

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 5.0
STEADY_SECONDS = 30.0
TRIES_BEFORE_FIRST_READY = 3
PREPARE_SECONDS = 180.0
LEFTOVER_SECONDS = 30.0

Prepare = Callable[[Settings, Callable[[str], None]], Awaitable[None]]


class Watcher(Protocol):
    """Told of what happens, to show it to someone."""

    def changed(self, name: str, state: Condition) -> None:
        """A service came into a state."""

    def said(self, sentence: str) -> None:
        """Something worth a line."""


@dataclass(frozen=True)
class Plan:
    """What is run beside the embedded services: what must exist first, and each role's command."""

    prepare: Prepare
    roles: Mapping[str, Sequence[str]]
    program: Sequence[str] = (sys.executable, "-m", "infra.main")
    """How this program is started again, in the background."""


class Role(Service):
    """A process of ours. It touches the file named by LOSTFOUND_READY_FILE once it serves.

    `awaits` is a file that it waits for before (LOSTFOUND_PREPARED_FILE): so its code, which takes seconds to load, is
    loaded while the services start.
    """

    stop_seconds = 10.0
    ready_seconds = 60.0 + PREPARE_SECONDS

    def __init__(self, settings: Settings, name: str, argv: Sequence[str], awaits: Path | None = None) -> None:
        super().__init__(settings)
        self.name = name
        self._argv = tuple(argv)
        self._awaits = awaits
        self._ready_file = settings.data_dir / "run" / f"{name}.ready"

    async def prepare(self) -> None:
        """Forget that a predecessor was ready."""
        self._ready_file.parent.mkdir(parents=True, exist_ok=True)
        self._ready_file.unlink(missing_ok=True)

    def launch(self) -> Launch:
        """Our command with exactly our settings, in a folder where no module lies that would be taken for ours."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LOSTFOUND_")}
        own = {"LOSTFOUND_READY_FILE": str(self._ready_file), "PYTHONUNBUFFERED": "1"}
        if self._awaits is not None:
            own["LOSTFOUND_PREPARED_FILE"] = str(self._awaits)
        env = inherited | self.settings.environment() | own
        return Launch(argv=self._argv, folder=self._ready_file.parent, env=env)

    async def answers(self) -> bool:
        """Whether it said that it serves."""
        return self._ready_file.exists()


def embedded(settings: Settings) -> list[Service]:
    """The services that the settings do not point elsewhere, each after those that it may need."""
    services: list[Service] = []
    if settings.postgres_dsn is None:
        services.append(Postgres(settings))
    if settings.kafka_bootstrap is None:
        services.append(Kafka(settings))
    if settings.temporal_address is None:
        services.append(Temporal(settings))
    return services


def endpoints(settings: Settings) -> dict[str, str]:
    """Where the services are reached."""
    found = {"kafka": settings.bootstrap, "temporal": settings.temporal, "postgres": settings.dsn}
    if settings.temporal_address is None:
        found["temporal_ui"] = f"http://{settings.at(settings.temporal_ui_port)}"
    return found


@dataclass
class Kept:
    """A service that is started again whenever it ends."""

    running: Running
    state: Condition = "starting"
    restarts: int = 0
    since: float = field(default_factory=time.time)
    was_ready: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The service's."""
        return self.running.service.name


class Supervisor:
    """Runs until it is told to stop. Its caller holds the data folder (`run_state.held`)."""

    def __init__(self, settings: Settings, plan: Plan, watcher: Watcher) -> None:
        self.settings = settings
        self.plan = plan
        self.watcher = watcher
        self._services = [Kept(Running(service)) for service in embedded(settings)]
        self._prepared_file = settings.data_dir / "run" / "prepared"
        roles = [Role(settings, name, argv, self._prepared_file) for name, argv in plan.roles.items()]
        self._roles = [Kept(Running(role)) for role in roles]
        self._phase: Phase = "starting"
        self._stop = asyncio.Event()
        self._stop_at_once = asyncio.Event()

    def fetch(self, fetched: Fetched) -> None:
        """Download what is missing. Blocks, and may be interrupted."""
        for kept in self._services:
            kept.running.service.fetch(fetched)

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Start all, call `ready`, serve until SIGTERM or SIGINT, stop all. Raises Problem when the start fails."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop)
        await end_leftovers(self.settings)
        require_free(self.settings.host, self._ports())
        self._record()
        self._prepared_file.unlink(missing_ok=True)
        serving = asyncio.create_task(self._serve(ready))
        stopping = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            failure = serving.exception() if serving.done() and not serving.cancelled() else None
            for task in (serving, stopping):
                await _cancelled(task)
            await self._stop_all()
        if failure is not None:
            raise failure

    def stop(self) -> None:
        """The first time: stop in order. Again: end everything at once."""
        if self._stop.is_set():
            self._stop_at_once.set()
        self._stop.set()

    def _ports(self) -> dict[str, int]:
        return {name: port for kept in self._services for name, port in kept.running.service.ports().items()}

    async def _serve(self, ready: Callable[[], None]) -> None:
        for kept in self._services + self._roles:
            kept.task = asyncio.create_task(self._keep(kept))
        await self._all_ready(self._services)
        await self._prepare()
        self._prepared_file.touch()
        await self._all_ready(self._roles)
        ready()
        await self._fails(self._services + self._roles)

    async def _all_ready(self, several: list[Kept]) -> None:
        await self._first(asyncio.gather(*(kept.was_ready.wait() for kept in several)))

    async def _prepare(self) -> None:
        async def prepare() -> None:
            async with asyncio.timeout(PREPARE_SECONDS):
                await self.plan.prepare(self.settings, self.watcher.said)

        try:
            await self._first(asyncio.ensure_future(prepare()))
        except (Problem, asyncio.CancelledError):
            raise
        except Exception as error:
            said = " ".join(str(error).split()) or type(error).__name__
            remedy = "see that the services named by LOSTFOUND_KAFKA_BOOTSTRAP and LOSTFOUND_POSTGRES_DSN answer"
            raise Problem("prepare-failed", f"Topics and schema could not be made ({said}): {remedy}.") from error

    async def _first(self, wanted: asyncio.Future[Any]) -> None:
        """Wait for something, unless a service fails for good first."""
        failing = asyncio.create_task(self._fails(self._services + self._roles))
        try:
            await asyncio.wait({wanted, failing}, return_when=asyncio.FIRST_COMPLETED)
            (failing if failing.done() else wanted).result()
        finally:
            await _cancelled(failing)
            await _cancelled(wanted)

    async def _fails(self, several: list[Kept]) -> None:
        tasks = [kept.task for kept in several if kept.task is not None]
        if not tasks:
            await asyncio.Event().wait()
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _keep(self, kept: Kept) -> None:
        """Start it, and start it again whenever it ends; give up only on one that was never ready."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            began = time.monotonic()
            try:
                self._change(kept, "starting")
                await kept.running.start()
                self._record()
                await kept.running.ready()
                self._change(kept, "ready")
                kept.was_ready.set()
                what = f"ended with exit code {await kept.running.ended()}"
            except Problem as problem:
                await kept.running.kill()
                if not kept.was_ready.is_set() and kept.restarts + 1 >= TRIES_BEFORE_FIRST_READY:
                    raise
                what = f"failed ({problem.sentence.rstrip('.')})"
            kept.restarts += 1
            self._change(kept, "restarting")
            if time.monotonic() - began > STEADY_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            self.watcher.said(f"{kept.name} {what}; restart {kept.restarts} in {backoff:.1f} s")
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)

    async def _stop_all(self) -> None:
        self._phase = "stopping"
        self._record()
        for kept in self._roles + self._services:
            if kept.task is not None:
                await _cancelled(kept.task)
        stopping = asyncio.create_task(self._stop_in_order())
        at_once = asyncio.create_task(self._stop_at_once.wait())
        await asyncio.wait({stopping, at_once}, return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            await _cancelled(stopping)
            await asyncio.gather(*(kept.running.kill() for kept in self._roles + self._services))
        else:
            stopping.result()
        await _cancelled(at_once)
        forget(self.settings.data_dir)

    async def _stop_in_order(self) -> None:
        """Roles first, together; then each service before those that it may still need."""
        await asyncio.gather(*(self._stop_one(kept) for kept in self._roles))
        for kept in reversed(self._services):
            await self._stop_one(kept)

    async def _stop_one(self, kept: Kept) -> None:
        await kept.running.stop()
        self._change(kept, "stopped")

    def _change(self, kept: Kept, state: Condition) -> None:
        kept.state, kept.since = state, time.time()
        self.watcher.changed(kept.name, state)
        if self._phase != "stopping":
            all_ready = all(other.state == "ready" for other in self._services + self._roles)
            self._phase = "ready" if all_ready else "starting"
        self._record()

    def _record(self) -> None:
        me = Identity.of(os.getpid())
        services = {}
        for kept in self._services + self._roles:
            if (known := kept.running.identity) is not None:
                services[kept.name] = ServiceRecord(
                    pid=known.pid,
                    create_time=known.create_time,
                    state=kept.state,
                    restarts=kept.restarts,
                    since=kept.since,
                    log=str(kept.running.service.log),
                )
        RunState(
            supervisor=Record(pid=me.pid, create_time=me.create_time),
            state=self._phase,
            services=services,
            endpoints=endpoints(self.settings),
        ).write(self.settings.data_dir)


async def end_leftovers(settings: Settings) -> list[str]:
    """End what a killed supervisor left running, by its record; the names. The caller holds the data folder."""
    state = read_state(settings.data_dir)
    if state is None:
        return []
    left = {name: record.identity for name, record in state.services.items() if record.identity.alive}
    signals = {name: signal.SIGINT if name == Postgres.name else signal.SIGTERM for name in left}
    await asyncio.gather(*(end(identity, signals[name], LEFTOVER_SECONDS) for name, identity in left.items()))
    for service in embedded(settings):
        await service.end_leftovers()
    forget(settings.data_dir)
    return list(left)


async def _cancelled(task: asyncio.Future[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task
