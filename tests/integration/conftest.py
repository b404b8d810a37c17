"""An empty log for each test of the views, and an empty stock for each of the backend."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.terms import VendorId
from infra.settings import Settings
from infra.wiring import keys, open_backend
from tests.integration.logs import Log, own_log
from tests.integration.stock import NOW, SetClock, Stock
from tests.services import Services
from workflows.policy import Policy


@pytest.fixture
async def log(shared: Services, tmp_path: Path) -> AsyncIterator[Log]:
    """An empty log with empty views."""
    async with own_log(shared.settings, tmp_path) as log:
        yield log


@pytest.fixture
async def stock(settings: Settings, vendor: VendorId) -> AsyncIterator[Stock]:
    """A vendor's stock, empty as yet."""
    keys(settings).create(vendor)
    clock = SetClock(NOW)
    async with open_backend(settings, clock=clock) as backend:
        await backend.add_vendor(vendor, Policy().model_dump(mode="json"), NOW)
        yield Stock(backend, settings, vendor, clock)
