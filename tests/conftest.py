"""What all tests share: Hypothesis's profile, and one set of real services for all tests that need no more."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings

from events.terms import VendorId
from infra.settings import Settings
from infra.wiring import prepare
from tests.services import Services

hypothesis_settings.register_profile("lostfound", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.register_profile(  # for `make mutants`: few examples, always the same, and none made simpler
    "mutants",
    hypothesis_settings.get_profile("lostfound"),
    max_examples=10,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
)
hypothesis_settings.load_profile("lostfound")


LONGEST = (
    *("test_live", "test_killed", "test_operate", "test_embedded", "test_kinds", "test_hostile", "test_long_life"),
    *("test_spine", "test_race", "test_readme", "test_sample", "test_projector", "test_replay", "test_machine"),
)
"""The files that take longest; they begin first, so that two processes end at about the same time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file's tests stay on one process, but for those of the two drivers of the projector."""
    for item in items:
        driver = re.search("faust|plain", item.name) if item.path.stem == "test_live" else None
        item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}{driver[0] if driver else ''}"))
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


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
