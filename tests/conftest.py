"""What all tests share: Hypothesis's profile, and one set of real services for all tests that need no more."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from psycopg import AsyncConnection
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from activities.licensing import access_data
from events.terms import VendorId
from infra.settings import Settings
from infra.wiring import keys, open_backend, prepare
from tests.contract.observer import DatabaseObserver
from tests.contract.stock import NOW, SetClock
from tests.integration.stock import Stock
from tests.services import Services
from tests.watched import watch
from workflows.policy import Policy, canonical

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
    *("test_killed", "test_live", "test_kinds", "test_race", "test_sample", "test_long_life", "test_operate"),
    *(
        "test_readme",
        "test_hostile",
        "test_inbox",
        "test_spine",
        "test_embedded",
        "test_machine",
        "test_machine_database",
        "test_projector",
        "test_loss_case",
    ),
)
"""The files that take longest; they begin first, so that all processes end at about the same time."""


PARTED = {
    "test_live": "faust|plain",
    "test_killed": "exact_totals",
    "test_machine": r"Losses\d+",
    "test_machine_database": r"Losses\d+",
}
"""Files whose tests may go to several processes: those of the two drivers of the projector, those that start all
services for themselves, and the parts of a soak."""


class ByFile(LoadScopeScheduling):
    """Gives a whole file to one process, for what a file's tests share is started once, or a part of a `PARTED` one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        parted = PARTED.get(Path(file).stem)
        part = re.search(parted, nodeid) if parted else None
        return f"{file}{part[0] if part else ''}"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


@pytest.fixture(scope="session", autouse=True)
def quick_hashes() -> Iterator[None]:
    """Hashes of passwords that cost little; a process of its own hashes as ever."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(access_data, "HASHER", PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
        yield


@pytest.fixture(scope="session")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    """PostgreSQL and Kafka that run for the whole session, with topics and schema, without any role."""
    folder: Path = tmp_path_factory.mktemp("services")
    async with Services(folder, "postgres", "kafka") as services:
        await prepare(services.settings, lambda _: None)
        await watch(services.settings.dsn)
        yield services


@pytest.fixture
def settings(shared: Services) -> Settings:
    """Settings of the shared services."""
    return shared.settings


@pytest.fixture
def vendor() -> VendorId:
    """A vendor of the test's own."""
    return VendorId(f"v{uuid4().hex[:8]}")


@pytest.fixture
async def database_stock(settings: Settings, vendor: VendorId) -> AsyncIterator[Stock]:
    """A vendor's stock in PostgreSQL, empty as yet."""
    clock = SetClock(NOW)
    keys(settings).create(vendor)
    async with (
        open_backend(settings, clock=clock) as backend,
        await AsyncConnection.connect(settings.dsn, autocommit=True) as connection,
    ):
        await backend.add_vendor(vendor, canonical(Policy()), NOW)
        observer = DatabaseObserver(connection, vendor)
        yield Stock(backend=backend, observer=observer, vendor=vendor, clock=clock, settings=settings)
