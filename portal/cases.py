"""The way to the running cases, over a Temporal client."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowUpdateFailedError, WorkflowUpdateStage
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from events.case_facts import LossReported
from events.cases import WORKFLOW, Acknowledged, DecisionOrder, DecisionTaken, Evidence, Sighting
from events.errors import Code, RefusalError
from events.licensing import CaseKey
from events.terms import CaseId, Serial

RPC_TIMEOUT = timedelta(seconds=10)

DENIALS = {
    Code.NOT_A_SUPERVISOR: "{by} is no supervisor of this vendor; its policy lists who is",
    Code.OWN_CASE: "{by} reported this loss or profits from it; another supervisor must decide",
    Code.NOTHING_TO_DECIDE: "the case does not wait for this decision; `lostfound case show` says where it stands",
    Code.STALE: "the case has moved on since; look at it again with `lostfound case show`, then decide on that",
    Code.SAME_SUPERVISOR: "{by} has approved it already; two different supervisors must",
    Code.NOT_ESCALATED_TO: "the case was escalated, and not to {by}; `lostfound case show` says to whom",
    Code.BEYOND_QUOTA: "the quota is used up; to approve beyond it, use --goodwill and say why",
    Code.NO_GOODWILL: "{by} may not approve beyond the quota; the policy names who may",
    Code.NO_CONDITION: "no licence is issued for this loss, so nothing can be limited until a condition is met",
    Code.TOO_LATE: "the replacement is under way, so the loss cannot be cancelled; state instead that it is found",
    Code.REPLACEMENT_LOST: "the replacement was lost too, so the original can only be retired: leave out --reinstate",
}


class TemporalCases:
    """Implements `events.cases.Cases`. A report is in history from the start that brings it, or by an update of its id:
    brought again, it is the same update."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def report(self, key: CaseKey, report: LossReported) -> None:
        """Begin a case with its report, or bring it to the case that is there; one that is over has nothing more to
        learn from it.

        Raises `RPCError` while Temporal is away, or its workers while a case is there: bring the report again.
        """
        try:
            await self._client.start_workflow(
                WORKFLOW,
                args=[key, report],
                id=key.case,
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                rpc_timeout=RPC_TIMEOUT,
            )
        except WorkflowAlreadyStartedError:
            await self._join(key, report)

    async def _join(self, key: CaseKey, report: LossReported) -> None:
        """Bring a report to a case that is there; it may be the one that began it."""
        handle = self._client.get_workflow_handle(key.case)
        try:
            async with asyncio.timeout(RPC_TIMEOUT.total_seconds() * 2):
                await handle.start_update(
                    "report",
                    report,
                    wait_for_stage=WorkflowUpdateStage.ACCEPTED,
                    id=report.report,
                    result_type=Acknowledged,
                    rpc_timeout=RPC_TIMEOUT,
                )
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def decide(self, key: CaseKey, order: DecisionOrder) -> DecisionTaken:
        """Bring a decision to its case and wait for what came of it; the same id again is answered the same.

        Raises `RefusalError` when it is denied, and `RPCError` while Temporal or its workers are away.
        """
        handle = self._client.get_workflow_handle(key.case)
        try:
            async with asyncio.timeout(RPC_TIMEOUT.total_seconds() * 2):
                taken: DecisionTaken = await handle.execute_update(
                    "decide", order, id=order.decision, result_type=DecisionTaken, rpc_timeout=RPC_TIMEOUT
                )
                return taken
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            if isinstance(cause, ApplicationError) and cause.type in set(Code):
                raise RefusalError(Code(cause.type), DENIALS[Code(cause.type)].format(by=order.by)) from None
            raise
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise RefusalError(Code.NOTHING_TO_DECIDE, f"case {key.case} is closed") from None
            raise

    async def sight(self, key: CaseKey, sighting: Sighting) -> None:
        """Tell a case that its container turned up; one that is over need not know."""
        await self._signal(key, "sight", sighting)

    async def offer(self, key: CaseKey, serial: Serial) -> None:
        """Tell a case of a container; one that is over or not begun needs none."""
        await self._signal(key, "offer", serial)

    async def settle(self, key: CaseKey) -> None:
        """Tell a case that what it waited for was confirmed; one that is over need not know."""
        await self._signal(key, "settle")

    async def lose_replacement(self, key: CaseKey, to: CaseId) -> None:
        """Tell a case that its replacement was lost in turn; one that is over need not know."""
        await self._signal(key, "lose_replacement", to)

    async def give_evidence(self, key: CaseKey, evidence: Evidence) -> None:
        """Bring evidence to a case; one that is over takes none."""
        await self._signal(key, "give_evidence", evidence)

    async def _signal(self, key: CaseKey, name: str, *told: Any) -> None:
        try:
            await self._client.get_workflow_handle(key.case).signal(name, args=told, rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
