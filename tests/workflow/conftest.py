"""A bench for each test."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.deeds import Deeds
from activities.delivery import Delivery
from activities.register import PostgresRegister
from activities.relay import Relay
from events.log import LogReader, LogWriter
from events.terms import VendorId
from infra.roles.worker import case_worker
from infra.settings import Settings
from infra.wiring import add_vendor, open_backend, open_pool, open_temporal
from portal.commands import Doors
from tests.services import Services
from tests.workflow.bench import WATCH, Bench, new_server
from workflows.client import CaseClient
from workflows.policy import Policy, Rule


@pytest.fixture
async def env() -> AsyncIterator[WorkflowEnvironment]:
    async with await new_server() as env:
        yield env


@pytest.fixture
async def development(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WorkflowEnvironment]:
    """A development server of its own, which has the limits that a cluster has; the one that skips time has none."""
    async with Services(tmp_path_factory.mktemp("temporal"), "temporal") as services:
        yield WorkflowEnvironment.from_client(await open_temporal(services.settings))


@pytest.fixture
def deeds() -> type[Deeds]:
    return Deeds


@pytest.fixture
def policy() -> Policy:
    return Policy(supervisors=("ann", "bob"), rules=(Rule(watch_days=WATCH.days),))


@pytest.fixture
async def bench(
    settings: Settings, vendor: VendorId, env: WorkflowEnvironment, deeds: type[Deeds], policy: Policy
) -> AsyncIterator[Bench]:
    log_starts = await LogReader(settings.bootstrap).ends()
    await add_vendor(settings, vendor, policy)
    queue = f"queue-{vendor}"
    async with (
        open_backend(settings) as backend,
        LogWriter(settings.bootstrap) as writer,
        case_worker(env.client, queue, deeds(backend, writer, PostgresRegister(settings.dsn))),
        open_pool(settings, 4) as pool,
    ):
        async with pool.connection() as connection:  # what other tests left is for no case of this server
            await connection.execute(
                "update backend.messages set delivered = now() where vendor <> %s and delivered is null", (vendor,)
            )
        cases = CaseClient(env.client, queue)
        beside = [
            asyncio.create_task(Relay(settings.dsn, writer, LogReader(settings.bootstrap)).run()),
            asyncio.create_task(Delivery(pool, cases).run()),
        ]
        yield Bench(settings, vendor, env, backend, Doors(backend, cases), log_starts)
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
