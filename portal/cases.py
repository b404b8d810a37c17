"""The way to the running cases, over a Temporal client."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowUpdateStage
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from events.catalogue import LossReported
from events.ports import WORKFLOW, Acknowledged, CaseKey
from events.terms import Serial

RPC_TIMEOUT = timedelta(seconds=10)


class TemporalCases:
    """Implements `events.ports.Cases`. A report's id is its update's id: brought again, it is the same update."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def report(self, key: CaseKey, report: LossReported) -> None:
        """Bring a report to its case; a case that is over has nothing more to learn from it.

        Raises `RPCError` while Temporal or its workers are away: bring the report again.
        """
        start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
            WORKFLOW,
            key,
            id=key.case,
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )
        try:
            async with asyncio.timeout(RPC_TIMEOUT.total_seconds() * 2):
                await self._client.start_update_with_start_workflow(
                    "report",
                    report,
                    start_workflow_operation=start,
                    wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                    id=report.report,
                    result_type=Acknowledged,
                    rpc_timeout=RPC_TIMEOUT,
                )
        except WorkflowAlreadyStartedError:
            return

    async def offer(self, key: CaseKey, serial: Serial) -> None:
        """Tell a case of a container; one that is over or not begun needs none."""
        try:
            await self._client.get_workflow_handle(key.case).signal("offer", serial, rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
