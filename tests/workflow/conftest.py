"""A bench for each test."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.deeds import Deeds
from activities.relay import Relay
from events.log import LogReader, LogWriter
from events.terms import VendorId
from infra.roles.worker import case_worker
from infra.settings import Settings
from infra.wiring import add_vendor, open_backend
from portal.cases import TemporalCases
from portal.commands import Doors
from tests.workflow.bench import WATCH, Bench, new_server
from workflows.policy import Policy, Rule


@pytest.fixture
async def env() -> AsyncIterator[WorkflowEnvironment]:
    async with await new_server() as env:
        yield env


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
        case_worker(env.client, queue, deeds(backend, writer)),
    ):
        relay = asyncio.create_task(Relay(settings.dsn, writer, LogReader(settings.bootstrap)).run())
        yield Bench(settings, vendor, env, backend, Doors(backend, TemporalCases(env.client, queue)), log_starts)
        relay.cancel()
        await asyncio.gather(relay, return_exceptions=True)
