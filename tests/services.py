"""Real services and roles for the tests, each killed and started again at will.

    async with Services(folder) as services:             # postgres, kafka and temporal, on free ports, ready
        await prepare(services.settings, print)
        await services.start("worker", "inbox")          # roles, as processes of their own, ready
        await services.kill("kafka")                     # SIGKILL, with all that descends from it
        await services.start("kafka")                    # on the same folder and ports, ready again

Whatever was started is stopped at the end, also when the test failed.
"""

import asyncio
import os
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from infra.embedded.kafka import Kafka
from infra.embedded.ports import is_free
from infra.embedded.postgres import Postgres
from infra.embedded.process import Identity, last_words
from infra.embedded.running import Running
from infra.embedded.service import Service
from infra.embedded.temporal import Temporal
from infra.roles import COMMANDS
from infra.settings import Settings
from infra.supervisor import Role

EMBEDDED: Mapping[str, type[Service]] = {"postgres": Postgres, "kafka": Kafka, "temporal": Temporal}
# Below those that the system, and Temporal for itself, takes at random; each process that runs tests has its share.
SHARE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 12
PORTS = range(20_000 + SHARE * 1_000, 21_000 + SHARE * 1_000)
HOST = "127.0.0.1"
FIRST = {"postgres": "postgres/data", "kafka": "kafka/records"}
MADE = tempfile.TemporaryDirectory(prefix="made-", ignore_cleanup_errors=True)
"""What these services make before their first start, made once, to be copied."""


def free_ports(count: int) -> list[int]:
    """Different ports that nobody listens on."""
    candidates = random.SystemRandom().sample(PORTS, 200)
    free = [port for port in candidates if is_free(HOST, port)][:count]
    assert len(free) == count, "no free ports"
    return free


def own_settings(folder: Path, **overrides: Any) -> Settings:
    """Settings of an instance of its own in that folder, on free ports."""
    names = ("kafka_port", "kafka_controller_port", "temporal_port", "temporal_ui_port")
    values: dict[str, Any] = dict(zip(names, free_ports(len(names)), strict=True))
    return Settings(**(values | {"data_dir": folder, "host": HOST} | overrides))


async def spare(settings: Settings, *names: str) -> None:
    """Spare those of these services their making, a second or two of computing, that have no folder yet."""
    for name in FIRST.keys() & names:
        made, fresh = Path(MADE.name) / FIRST[name], settings.data_dir / FIRST[name]
        if fresh.exists():
            continue
        if not made.exists():
            await EMBEDDED[name](settings.model_copy(update={"data_dir": Path(MADE.name)})).prepare()
        fresh.parent.mkdir(parents=True, exist_ok=True)
        copying = await asyncio.create_subprocess_exec("cp", "-a", str(made), str(fresh))
        assert await copying.wait() == 0


class Services:
    """Any of the embedded services and of the roles, as real processes on one folder."""

    def __init__(
        self,
        folder: Path,
        *names: str,
        role_commands: Mapping[str, Sequence[str]] | None = None,
        copied: bool = True,
        **overrides: Any,
    ) -> None:
        """`names`: the embedded services that `async with` starts, all without any; `overrides`: settings. `copied`:
        what a service would make before its first start is copied from one that was made already.
        """
        self.settings = own_settings(folder, **overrides)
        self.names = names or tuple(EMBEDDED)
        commands = role_commands or COMMANDS
        self._running = {name: Running(made(self.settings)) for name, made in EMBEDDED.items()}
        self._running |= {name: Running(Role(self.settings, name, argv)) for name, argv in commands.items()}
        self._started: list[str] = []
        self._copied = copied

    async def __aenter__(self) -> "Services":
        try:
            await self.start(*self.names)
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType) -> None:
        await self.stop()

    async def start(self, *names: str) -> None:
        """Start services or roles side by side; return when all are ready. Raises Problem when one fails to."""
        for name in names:
            service = self._running[name].service
            await asyncio.to_thread(service.fetch, lambda *_: None)
            await asyncio.to_thread(service.rehearse)
        if self._copied:
            await spare(self.settings, *names)
        self._started += [name for name in names if name not in self._started]
        ends = await asyncio.gather(*(self._start_one(self._running[name]) for name in names), return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    async def kill(self, *names: str) -> None:
        """End them at once, with all that descends from them, as a crash of the system would."""
        for name in names:
            await self._running[name].kill()

    async def stop(self, *names: str) -> None:
        """Stop them in the order given; all that was started, latest first, without names."""
        for name in names or tuple(reversed(self._started)):
            await self._running[name].stop()

    def identity(self, name: str) -> Identity:
        """The process that was started last."""
        found = self._running[name].identity
        assert found is not None, f"{name} was never started"
        return found

    def alive(self, name: str) -> bool:
        """Whether its process runs."""
        return self._running[name].alive

    def log(self, name: str) -> Path:
        """The file that holds its output."""
        return self._running[name].service.log

    def last_words(self, name: str) -> str:
        """The last line of its output."""
        return last_words(self.log(name))

    async def _start_one(self, running: Running) -> None:
        await running.start()
        await running.ready()
