"""What a world runs on: a licensing backend, what can be seen of it, and how its calls are waited for."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from activities.licensing.containers import Container, Licence
from events.codec import FactCodec
from events.envelope import Recorded
from events.ports.licensing_backend import CaseKey, Clock, LicensingBackend
from events.ports.loss_cases import Content
from events.terms import LicenceId, VendorId
from simulation.memory_backend import MemoryBackend, at_once

Answer = TypeVar("Answer")


class Observer(Protocol):
    """What can be seen of a licensing backend."""

    async def recorded(self, skip: int) -> list[Recorded]:
        """What it stated, in order, without the first so many."""

    async def messages(self, vendor: VendorId) -> list[tuple[CaseKey, list[Content]]]:
        """What was said to each case of a vendor, in order; the oldest case first."""

    async def containers(self, vendor: VendorId) -> list[Container]:
        """The vendor's containers."""

    async def licences(self, vendor: VendorId) -> list[Licence]:
        """The vendor's licences."""

    def licence_of(self, file: str) -> LicenceId:
        """The licence that a file is of."""

    async def effective(self, vendor: VendorId, at: datetime) -> dict[LicenceId, list[int]]:
        """The generations of each licence that would be renewed at this instant."""


class Wait(Protocol):
    """Waits for an answer."""

    def __call__(self, asked: Coroutine[Any, Any, Answer]) -> Answer: ...


@dataclass(frozen=True, slots=True)
class Stage:
    """A backend that goes by the clock of the world on it."""

    backend: LicensingBackend
    observer: Observer
    wait: Wait


OpenStage = Callable[[Clock], Stage]
"""Makes an empty stage."""


def in_memory(clock: Clock) -> Stage:
    """A stage in memory."""
    backend = MemoryBackend(clock, FactCodec())  # type: ignore[abstract]  # what a case asks is set by name
    return Stage(backend, backend, at_once)
