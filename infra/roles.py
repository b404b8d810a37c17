"""The processes of the product, each a role: what it opens, runs and, at the end, closes."""

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.deeds import Deeds
from activities.outbox import Relay
from events.log import LogWriter
from infra.settings import Driver, Settings
from infra.wiring import open_backend, open_temporal, schedule_lease_sweep
from portal.cases import TemporalCases
from portal.commands import Doors
from portal.inbox import Inbox
from projections.plain import run_plain
from workflows.lease_sweep import LeaseSweep
from workflows.loss_case import LossCase

Ready = Callable[[], None]
Role = Callable[[Settings, Ready], Coroutine[Any, Any, None]]

PASSED_THROUGH = ("events", "workflows", "pydantic", "pydantic_core", "orjson", "dateutil", "aiokafka")
SHUTDOWN = timedelta(seconds=5)
GARBAGE_THRESHOLD = 10_000
"""So many more objects made than freed before young ones are looked through."""


def workflow_runner() -> SandboxedWorkflowRunner:
    """Runs workflows in the sandbox, without importing anew what is known to be deterministic."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))


def case_worker(client: Client, task_queue: str, deeds: Deeds) -> Worker:
    """The Temporal worker that runs the loss cases."""
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[LossCase, LeaseSweep],
        activities=[
            deeds.assess,
            deeds.reserve,
            deeds.supervisors,
            deeds.block,
            deeds.issue,
            deeds.withdraw,
            deeds.keep,
            deeds.reinstate,
            deeds.close,
            deeds.sweep_leases,
            deeds.append,
        ],
        workflow_runner=workflow_runner(),
        graceful_shutdown_timeout=SHUTDOWN,
    )


async def worker(settings: Settings, ready: Ready) -> None:
    """Runs the loss cases and their deeds, and relays the backend's outbox."""
    client = await open_temporal(settings)
    await schedule_lease_sweep(client, settings)
    async with open_backend(settings) as backend, LogWriter(settings.bootstrap) as writer:
        cases = case_worker(client, settings.task_queue, Deeds(backend, writer))
        async with cases, asyncio.TaskGroup() as tasks:
            tasks.create_task(Relay(settings.dsn, writer).run())
            ready()


async def inbox(settings: Settings, ready: Ready) -> None:
    """Takes the vendors' statements in."""
    client = await open_temporal(settings)
    async with open_backend(settings) as backend:
        doors = Doors(backend, TemporalCases(client, settings.task_queue))
        await Inbox(settings.bootstrap, doors, settings.hold_seconds).run(ready)


async def projector(settings: Settings, ready: Ready) -> None:
    """Folds the log into the views."""
    if settings.projector is Driver.PLAIN:
        await run_plain(settings.bootstrap, settings.dsn, ready)
        return
    from projections.live import run_live  # here, because importing Faust costs the other roles half a second

    await run_live(settings.bootstrap, settings.dsn, ready, settings.data_dir)


ROLES: dict[str, Role] = {"worker": worker, "projector": projector, "inbox": inbox}


def serve(name: str, settings: Settings, prepared_file: Path | None, ready_file: Path | None) -> None:
    """Run a role until SIGTERM or SIGINT, once the one file is there; it makes the other when it serves."""
    while prepared_file is not None and not prepared_file.exists():
        time.sleep(0.05)
    spare_what_stays()
    asyncio.run(_until_signal(ROLES[name](settings, lambda: ready_file.touch() if ready_file else None)))


def spare_what_stays() -> None:
    """Look through what was imported no more for garbage, and less often through the rest: it took a twentieth of a
    worker's time."""
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


async def _until_signal(role: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(role)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
