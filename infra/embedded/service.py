"""What every process that we keep running has in common: how it is fetched, prepared, started and known to be ready."""

import signal
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from infra.embedded.process import Launch
from infra.settings import Settings

Fetched = Callable[[int, int, int], None]
"""Told of a download's progress: files done, files in all, bytes so far."""


class Service(ABC):
    """One service, given the settings."""

    name: str
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    ready_seconds: float = 90.0

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.settings.data_dir / "logs" / f"{self.name}.log"

    def ports(self) -> dict[str, int]:
        """The TCP ports that it will listen on, by the setting that moves them."""
        return {}

    def fetch(self, fetched: Fetched) -> None:
        """Download what it needs and this machine lacks. Blocks; touches no network when everything is there."""
        return

    def rehearse(self) -> None:
        """Do once on a machine what makes every start faster. Blocks for seconds; nothing depends on it."""
        return

    async def prepare(self) -> None:
        """Make its folder ready for a start. Repeatable, also after it was cut off at any point."""
        return

    async def end_leftovers(self) -> None:
        """End its processes that outlived it and that no record names. The caller holds the data folder."""
        return

    @abstractmethod
    def launch(self) -> Launch:
        """How to start it."""

    @abstractmethod
    async def answers(self) -> bool:
        """Whether it gives a real answer now. Takes seconds at most; a refusal is an answer of no."""
