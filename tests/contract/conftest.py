"""An empty stock for each test, on each of the two backends."""

import pytest

from events.terms import VendorId
from simulation.memory_backend import MemoryBackend
from tests.contract.stock import NOW, SetClock, Stock
from tests.worlds import CODEC
from workflows.policy import Policy, canonical

BACKENDS = ["memory", pytest.param("postgresql", marks=pytest.mark.integration)]


@pytest.fixture(params=BACKENDS)
def stock(request: pytest.FixtureRequest) -> Stock:
    """A vendor's stock, empty as yet."""
    found: Stock = request.getfixturevalue({"memory": "memory_stock", "postgresql": "database_stock"}[request.param])
    return found


@pytest.fixture
async def memory_stock(vendor: VendorId) -> Stock:
    """A stock in memory."""
    clock = SetClock(NOW)
    backend = MemoryBackend(clock, CODEC)
    await backend.add_vendor(vendor, canonical(Policy()), NOW)
    return Stock(backend, backend, vendor, clock)
