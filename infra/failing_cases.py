"""Cases whose workflow tasks fail again and again. Such a case can say nothing itself, so Temporal is asked."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import (
    GetWorkflowExecutionHistoryRequest,
    GetWorkflowExecutionHistoryReverseRequest,
)
from temporalio.client import Client

from events.errors import Code
from events.ports.loss_cases import WORKFLOW
from events.ports.register import SetAside
from workflows.divergence import DivergenceError

DIVERGED = "case_diverged"
"""The code of a case that cannot go on, because its history leads to other facts than it appended."""
CASES = 20
"""So many are looked into; each costs two requests."""
EVENTS = 200
"""So far back in a history a failure is looked for."""
FAILING = (
    f"WorkflowType = '{WORKFLOW}' and ExecutionStatus = 'Running' and TemporalReportedProblems in"
    " ('category=WorkflowTaskFailed', 'category=WorkflowTaskTimedOut')"
)
"""Temporal sets the attribute after some failures one after the other, and takes it away with the first success."""


async def failing_cases(client: Client) -> list[SetAside]:
    """Cases whose workflow tasks fail now, at most `CASES`. Raises `temporalio.service.RPCError`, also where the server
    is older than 1.30 and has no such attribute."""
    return [
        await _entry(client, found.id, found.run_id, found.start_time)
        async for found in client.list_workflows(FAILING, limit=CASES)
    ]


async def _entry(client: Client, case: str, run: str, begun: datetime) -> SetAside:
    execution = WorkflowExecution(workflow_id=case, run_id=run)
    first = await client.workflow_service.get_workflow_execution_history(
        GetWorkflowExecutionHistoryRequest(namespace=client.namespace, execution=execution, maximum_page_size=1)
    )
    last = await client.workflow_service.get_workflow_execution_history_reverse(
        GetWorkflowExecutionHistoryReverseRequest(
            namespace=client.namespace, execution=execution, maximum_page_size=EVENTS
        )
    )
    vendor = _vendor(first.history.events)
    place = f"case/{vendor}/{case}"
    kinds = (EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED, EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT)
    failed = next((event for event in last.history.events if event.event_type in kinds), None)
    if failed is None:
        return SetAside(vendor, place, Code.INTERNAL_ERROR, "its workflow tasks fail; see the worker's log", begun)
    code, sentence = _cause(failed)
    return SetAside(vendor, place, code, sentence, failed.event_time.ToDatetime(UTC))


def _cause(event: HistoryEvent) -> tuple[str, str]:
    if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
        return Code.INTERNAL_ERROR, "its workflow tasks time out: see that a worker runs, and the worker's log"
    failed = event.workflow_task_failed_event_attributes
    message = failed.failure.message
    if failed.failure.application_failure_info.type == DivergenceError.__name__:
        return DIVERGED, message
    if failed.cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR:
        return DIVERGED, f"by its history it would do something else than it did (docs/changing-a-rule.md): {message}"
    return Code.INTERNAL_ERROR, f"its workflow task fails; the worker's log says more: {message}"


def _vendor(events: Sequence[HistoryEvent]) -> str:
    """Whose case it is, as its workflow was begun."""
    begun = events[0].workflow_execution_started_event_attributes
    vendor: str = json.loads(begun.input.payloads[0].data)["vendor"]
    return vendor
