"""The worker: runs the loss cases and their activities, brings them their messages, relays the outbox, and keeps
PostgreSQL's statistics."""

import asyncio
from datetime import timedelta

from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.case_activities import CaseActivities
from activities.case_watch import CaseWatch
from activities.delivery import Delivery
from activities.register import PostgresRegister
from activities.relay import Relay
from events.log import LogReader, LogWriter
from infra.facts import fact_codec
from infra.roles import Ready
from infra.settings import Settings
from infra.statistics import keep_statistics
from infra.wiring import open_backend, open_pool, open_temporal, refuse_moved_log, schedule_lease_sweep
from workflows.client import CaseClient
from workflows.lease_sweep import LeaseSweep
from workflows.loss_case import LossCase

PASSED_THROUGH = ("events", "workflows", "pydantic", "pydantic_core", "orjson", "dateutil", "aiokafka")
SHUTDOWN = timedelta(seconds=5)
DELIVERY_CONNECTIONS = 4


async def run(settings: Settings, ready: Ready) -> None:
    """Work until cancelled."""
    client = await open_temporal(settings)
    await schedule_lease_sweep(client, settings)
    async with open_backend(settings) as backend, LogWriter(settings.bootstrap, settings.log_partitions) as writer:
        await refuse_moved_log(settings)  # once PostgreSQL and Kafka are there
        case_activities = CaseActivities(backend, writer, fact_codec(), PostgresRegister(settings.dsn))
        cases = case_worker(client, settings.task_queue, case_activities)
        async with cases, open_pool(settings, DELIVERY_CONNECTIONS) as pool, asyncio.TaskGroup() as tasks:
            tasks.create_task(Relay(settings.dsn, writer, LogReader(settings.bootstrap)).run())
            tasks.create_task(Delivery(pool, CaseClient(client, settings.task_queue)).run())
            tasks.create_task(CaseWatch(pool, CaseClient(client, settings.task_queue)).run())
            tasks.create_task(keep_statistics(settings.dsn))
            ready()


def case_worker(client: Client, task_queue: str, case_activities: CaseActivities) -> Worker:
    """The Temporal worker that runs the loss cases."""
    return Worker(
        client,
        task_queue=task_queue,
        workflows=[LossCase, LeaseSweep],
        activities=case_activities.registered(),
        workflow_runner=workflow_runner(),
        graceful_shutdown_timeout=SHUTDOWN,
    )


def workflow_runner() -> SandboxedWorkflowRunner:
    """Runs workflows in the sandbox, without importing anew what is known to be deterministic."""
    return SandboxedWorkflowRunner(restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH))
