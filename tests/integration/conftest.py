"""An empty log for each test of the views, and an empty stock for each of the backend."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.logs import Log, own_log
from tests.integration.stock import Stock
from tests.services import Services


@pytest.fixture
async def log(shared: Services, tmp_path: Path) -> AsyncIterator[Log]:
    """An empty log with empty views."""
    async with own_log(shared.settings, tmp_path) as log:
        yield log


@pytest.fixture
def stock(database_stock: Stock) -> Stock:
    """A vendor's stock in PostgreSQL, empty as yet."""
    return database_stock
