"""The bare Temporal workflows that a case is held against: three activities that do nothing.

`python -m bench.bare ADDRESS NAMESPACE QUEUE` is their worker; it serves until it is ended.
"""

import asyncio
import sys
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

STEPS = 3
LIMIT = timedelta(seconds=60)


@activity.defn
async def nothing() -> None:
    """Do nothing."""


@workflow.defn
class Regular:
    """Three regular activities, one after the other."""

    @workflow.run
    async def run(self) -> None:
        for _ in range(STEPS):
            await workflow.execute_activity(nothing, start_to_close_timeout=LIMIT)


@workflow.defn
class Local:
    """Three local activities, one after the other."""

    @workflow.run
    async def run(self) -> None:
        for _ in range(STEPS):
            await workflow.execute_local_activity(nothing, start_to_close_timeout=LIMIT)


async def serve(address: str, namespace: str, queue: str) -> None:
    """Serve until cancelled."""
    client = await Client.connect(address, namespace=namespace)
    await Worker(client, task_queue=queue, workflows=[Regular, Local], activities=[nothing]).run()


if __name__ == "__main__":
    asyncio.run(serve(*sys.argv[1:4]))
