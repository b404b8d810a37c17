"""The same invariants and the same oracle, over the backend that ships: a real PostgreSQL, emptied for each history."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from typing import Any, TypeVar
from unittest import TestCase

import pytest
from hypothesis import Phase

from activities.backend_schema import migrate
from activities.licensing.backend import EmbeddedBackend
from activities.licensing.signing import SigningKeys
from events.ports.licensing_backend import Clock
from events.postgres_sessions import open_session
from events.terms import VendorId
from infra.facts import fact_codec
from infra.settings import Settings
from infra.wiring import keys, open_pool
from simulation.stage import Stage
from tests.contract.observer import DatabaseObserver
from tests.machine.test_machine import SOAK, LossMachine, machine
from tests.services import Services

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("database")]

RUNS = 1_000 if SOAK else 25
SOAK_PARTS = 4
VENDOR = VendorId("acme")
PHASES = (Phase.explicit, Phase.generate)
"""What fails is not made simpler: that would take longer than all the rest."""
KEPT = "alembic_version"
"""The one table that is not emptied."""

Answer = TypeVar("Answer")


class Database:
    """A PostgreSQL of its own, with an event loop of its own: the machine waits for every answer."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._settings: Settings = services.settings
        self._loop = asyncio.new_event_loop()
        self._open = AsyncExitStack()

    def __enter__(self) -> "Database":
        self.wait(self._start())
        return self

    def __exit__(self, *error: object) -> None:
        self.wait(self._open.aclose())
        self.wait(self._loop.shutdown_default_executor())
        self._loop.close()

    def wait(self, asked: Coroutine[Any, Any, Answer]) -> Answer:
        """The answer, when it is there."""
        return self._loop.run_until_complete(asked)

    def stage(self, clock: Clock) -> Stage:
        """An empty backend."""
        self.wait(self._empty())
        backend = EmbeddedBackend(self._pool, self._keys, self._settings.status_base, clock, guess_clock=clock)
        return Stage(backend, DatabaseObserver(self._connection, VENDOR), self.wait)

    async def _start(self) -> None:
        await self._open.enter_async_context(self._services)
        await asyncio.to_thread(migrate, self._settings.dsn)
        self._pool = await self._open.enter_async_context(open_pool(self._settings, 2, codec=fact_codec()))
        self._connection = await self._open.enter_async_context(await open_session(self._settings.dsn))
        self._keys: SigningKeys = keys(self._settings)
        self._keys.create(VENDOR)
        cursor = await self._connection.execute(
            "select string_agg('delete from backend.' || tablename, '; ') from pg_tables"
            " where schemaname = 'backend' and tablename <> %s",
            (KEPT,),
        )
        (self._emptying,) = await cursor.fetchone() or ("",)

    async def _empty(self) -> None:
        async with self._connection.transaction():
            await self._connection.execute("set local session_replication_role = replica")  # in any order, unguarded
            await self._connection.execute(self._emptying)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with Database(Services(tmp_path_factory.mktemp("machine"), "postgres")) as found:
        DatabaseMachine.stage = staticmethod(found.stage)
        yield


class DatabaseMachine(LossMachine):
    """Says things to the product on PostgreSQL and to the oracle, and compares."""


def losses(runs: int, **more: Any) -> type[TestCase]:
    """The machine on PostgreSQL as a test of so many histories."""
    return machine(DatabaseMachine, max_examples=runs, phases=PHASES, **more)


if SOAK:  # others every time
    globals().update({f"TestLosses{part}": losses(RUNS // SOAK_PARTS, derandomize=False) for part in range(SOAK_PARTS)})
else:
    TestLosses = losses(RUNS, derandomize=True)
