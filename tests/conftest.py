"""What all tests share: Hypothesis's profile, and one set of real services for all tests that need no more."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from events.terms import VendorId
from infra.settings import Settings
from infra.wiring import prepare
from tests.services import Services

hypothesis_settings.register_profile("lostfound", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("lostfound")


@pytest.fixture(scope="session")
async def settings(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    """Settings of services that run for the whole session, with topics and schema, without any role."""
    folder: Path = tmp_path_factory.mktemp("services")
    async with Services(folder, "postgres", "kafka") as services:
        await prepare(services.settings, lambda _: None)
        yield services.settings


@pytest.fixture
def vendor() -> VendorId:
    """A vendor of the test's own."""
    return VendorId(f"v{uuid4().hex[:8]}")
