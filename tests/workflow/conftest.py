"""A bench for each test."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.case_activities import CaseActivities
from activities.delivery import Delivery
from activities.register import PostgresRegister
from activities.relay import Relay
from events.log import LogReader, LogWriter
from events.terms import VendorId
from infra.roles.worker import case_worker
from infra.settings import Settings
from infra.wiring import add_vendor, open_backend, open_pool, open_temporal
from portal.application import Application
from tests.given import Given
from tests.services import Services
from tests.workflow.harness import WATCH, Bench, new_server
from tests.worlds import CODEC
from workflows.client import CaseClient
from workflows.policy import Policy, Rule

END_SECONDS = 60.0


async def _end(ending: Awaitable[None], what: str) -> None:
    """Wait for an end, so long; then fail, and say what every task waits for."""
    task = asyncio.ensure_future(ending)
    done, _ = await asyncio.wait({task}, timeout=END_SECONDS)
    if not done:
        stacks = io.StringIO()
        for other in asyncio.all_tasks():
            other.print_stack(file=stacks)
        pytest.fail(f"{what} did not end in {END_SECONDS:.0f} s\n{stacks.getvalue()}")
    await task


@pytest.fixture
async def env() -> AsyncIterator[WorkflowEnvironment]:
    env = await new_server()
    yield env
    await _end(env.shutdown(), "the server that skips time")


@pytest.fixture
async def development(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WorkflowEnvironment]:
    """A development server of its own, which has the limits that a cluster has; the one that skips time has none."""
    async with Services(tmp_path_factory.mktemp("temporal"), "temporal") as services:
        yield WorkflowEnvironment.from_client(await open_temporal(services.settings))


@pytest.fixture
def activity_class() -> type[CaseActivities]:
    return CaseActivities


@pytest.fixture
def worker_for() -> Callable[..., Any]:
    """What makes the worker of a bench."""
    return case_worker


@pytest.fixture
def policy() -> Policy:
    return Policy(supervisors=("ann", "bob"), rules=(Rule(watch_days=WATCH.days),))


@pytest.fixture
async def bench(
    settings: Settings,
    vendor: VendorId,
    env: WorkflowEnvironment,
    activity_class: type[CaseActivities],
    policy: Policy,
    worker_for: Callable[..., Any],
) -> AsyncIterator[Bench]:
    log_starts = await LogReader(settings.bootstrap).ends()
    await add_vendor(settings, vendor, policy)
    queue = f"queue-{vendor}"
    stack = AsyncExitStack()
    backend = await stack.enter_async_context(open_backend(settings))
    writer = await stack.enter_async_context(LogWriter(settings.bootstrap))
    worker = worker_for(env.client, queue, activity_class(backend, writer, CODEC, PostgresRegister(settings.dsn)))
    pool = await stack.enter_async_context(open_pool(settings, 4))
    async with pool.connection() as connection:  # what other tests left is for no case of this server
        await connection.execute(
            "update backend.messages set delivered = now() where vendor <> %s and delivered is null", (vendor,)
        )
    cases = CaseClient(env.client, queue)
    await worker.__aenter__()
    beside = [
        asyncio.create_task(Relay(settings.dsn, writer, LogReader(settings.bootstrap)).run(), name="relay"),
        asyncio.create_task(Delivery(pool, cases).run(), name="delivery"),
    ]
    yield Bench(settings, vendor, env, backend, Application(Given(backend, cases)), log_starts)
    for task in beside:
        task.cancel()
    await _end(_all(beside), "relay and delivery")
    await _end(worker.__aexit__(None), "the worker")
    await _end(stack.aclose(), "backend, log and pool")


async def _all(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
