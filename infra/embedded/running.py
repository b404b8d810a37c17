"""A service as a process: started until it is ready, stopped, killed."""

import asyncio
import time

from infra.embedded.process import Identity, family, kill, last_words, rotate, size, spawn
from infra.embedded.service import Service
from infra.problem import Problem

POLL_SECONDS = 0.1


class Running:
    """At most one process of a service at a time."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.identity: Identity | None = None
        self._child: asyncio.subprocess.Process | None = None
        self._begun = 0

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._child is not None and self._child.returncode is None

    async def start(self) -> None:
        """Prepare and spawn it; it is not ready yet. Raises Problem when its folder cannot be prepared."""
        assert not self.alive, f"{self.service.name} runs already"
        rotate(self.service.log)
        self._begun = size(self.service.log)
        await self.service.prepare()
        self._child = await spawn(self.service.launch(), self.service.log)
        self.identity = Identity.of(self._child.pid)

    async def ready(self) -> None:
        """Return once it answers. Raises Problem when it ends, or the time that it is given is over."""
        began = time.monotonic()
        while True:
            if not self.alive:
                raise Problem(f"{self.service.name}-failed", self._sentence("ended before it was ready"))
            if await self.service.answers():
                return
            if time.monotonic() - began > self.service.ready_seconds:
                waited = f"did not answer within {self.service.ready_seconds:.0f} s"
                raise Problem(f"{self.service.name}-failed", self._sentence(waited))
            await asyncio.sleep(POLL_SECONDS)

    async def ended(self) -> int:
        """Wait for its end; the exit code, negative for a signal."""
        assert self._child is not None, "not started"
        return await self._child.wait()

    async def stop(self) -> None:
        """Ask it to end, and end it when it does not in the time that it is given."""
        if self._child is None or not self.alive:
            return
        members = family(Identity.of(self._child.pid))
        self._child.send_signal(self.service.stop_signal)
        try:
            async with asyncio.timeout(self.service.stop_seconds):
                await self._child.wait()
        except TimeoutError:
            await self.kill()
        kill(member for member in members if member.is_running())

    async def kill(self) -> None:
        """End it and all that descends from it at once, as a crash of the system would."""
        if self._child is None:
            return
        kill(family(Identity.of(self._child.pid)) if self.alive else [])
        await self._child.wait()

    def _sentence(self, what: str) -> str:
        said = last_words(self.service.log, self._begun)
        return f"{self.service.name} {what}; read {self.service.log}" + (f", which ends: {said}" if said else ".")
