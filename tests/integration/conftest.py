"""Services and a log of their own for the tests of the views: damaging the log must not disturb other tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from events.terms import VendorId
from infra.settings import Settings
from infra.wiring import keys, open_backend
from tests.integration.logs import Log, own_log
from tests.integration.stock import NOW, Stock
from tests.services import Services
from workflows.policy import Policy


@pytest.fixture(scope="session")
async def log_services(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    """Kafka and PostgreSQL for the tests of the views."""
    async with Services(tmp_path_factory.mktemp("views"), "postgres", "kafka") as services:
        yield services


@pytest.fixture
async def log(log_services: Services, tmp_path: Path) -> AsyncIterator[Log]:
    """An empty log with empty views."""
    async with own_log(log_services.settings, tmp_path) as log:
        yield log


@pytest.fixture
async def stock(settings: Settings, vendor: VendorId) -> AsyncIterator[Stock]:
    """A vendor's stock, empty as yet."""
    keys(settings).create(vendor)
    async with open_backend(settings) as backend:
        await backend.add_vendor(vendor, Policy().model_dump(mode="json"), NOW)
        yield Stock(backend, settings, vendor)
