"""The way to the running cases, over a Temporal client: the worker brings messages, a door asks for an answer."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.common import Priority, WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from events.case_facts import LossReported
from events.errors import Code
from events.ports.loss_cases import (
    AcceptedDecision,
    CaseOverError,
    DecisionDenied,
    DecisionOrder,
    DecisionTaken,
    Message,
)
from events.terms import CaseKey, Outcome
from workflows.loss_case import CONTINUED, LossCase

RPC_TIMEOUT = timedelta(seconds=10)
ANSWER_SECONDS = 20.0
ASK_AGAIN_SECONDS = 0.1


class CaseClient:
    """Implements `events.ports.loss_cases.Cases`. Each case is a workflow of its own id, begun once."""

    def __init__(self, client: Client, task_queue: str) -> None:
        self._client = client
        self._task_queue = task_queue

    async def start(self, key: CaseKey, report: LossReported) -> None:
        """Begin a case with the report that opened it, unless it was begun. Raises `RPCError`."""
        try:
            await self._client.start_workflow(
                LossCase.run,
                args=[key, report],
                id=key.case,
                task_queue=self._task_queue,
                id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                priority=Priority(fairness_key=key.vendor),
                rpc_timeout=RPC_TIMEOUT,
            )
        except WorkflowAlreadyStartedError:
            return

    async def send(self, key: CaseKey, messages: Sequence[Message]) -> None:
        """Bring messages to their case. Raises `CaseOverError` where it does not run, and `RPCError`."""
        try:
            await self._handle(key).signal(LossCase.receive, list(messages), rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise CaseOverError(key.case) from error
            raise

    async def answer(self, accepted: AcceptedDecision, order: DecisionOrder) -> DecisionTaken | DecisionDenied:
        """Wait for what a case decided on an accepted decision; asked again, the answer is the same.

        Raises `TimeoutError` and `RPCError` while Temporal or its workers are away. The decision is kept all the same,
        and reaches the case later.
        """
        handle = self._handle(accepted.key)
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                try:
                    return await handle.execute_update(
                        LossCase.answer,
                        args=[accepted, order],
                        id=f"answer/{accepted.number}",
                        rpc_timeout=RPC_TIMEOUT,
                    )
                except WorkflowUpdateFailedError as error:
                    cause = error.cause
                    if isinstance(cause, ApplicationError) and cause.type in set(Code):
                        return DecisionDenied(code=Code(cause.type))
                    if not isinstance(cause, ApplicationError) or cause.type != CONTINUED:
                        raise
                except RPCError as error:
                    if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION):
                        raise
                    # Not begun yet, going on in a new history, or over: the case's next answer says which. The server
                    # says that a precondition failed when a signal came while the case went on.
                    if error.status is RPCStatusCode.NOT_FOUND and await self._is_over(accepted.key):
                        return await self._as_it_ended(accepted, order)
                await asyncio.sleep(ASK_AGAIN_SECONDS)

    async def _as_it_ended(self, accepted: AcceptedDecision, order: DecisionOrder) -> DecisionTaken | DecisionDenied:
        """What a case that is over made of a decision, as far as Temporal still knows it."""
        handle = self._handle(accepted.key)
        ended = await handle.query(LossCase.state_of_case, rpc_timeout=RPC_TIMEOUT)
        assert ended is not None, "a case that is over has a state"
        denial = dict(ended.decisions).get(order.decision, Code.NOTHING_TO_DECIDE)
        if denial is not None:
            return DecisionDenied(code=Code(denial))
        return DecisionTaken(
            case=accepted.key.case,
            decision=order.decision,
            status=ended.status,
            on=accepted.on,
            sequence=ended.sequence,
        )

    async def is_running(self, key: CaseKey) -> bool:
        """Whether a workflow of the case runs. Raises `RPCError`."""
        return await self._status(key) is WorkflowExecutionStatus.RUNNING

    async def _is_over(self, key: CaseKey) -> bool:
        """Whether the case has come to its end. One whose workflow was ended in Temporal is open: what is said to it
        waits."""
        return await self._status(key) is WorkflowExecutionStatus.COMPLETED

    async def _status(self, key: CaseKey) -> WorkflowExecutionStatus | None:
        """How the case's last history stands; None where Temporal has none."""
        try:
            return (await self._handle(key).describe(rpc_timeout=RPC_TIMEOUT)).status
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise

    def _handle(self, key: CaseKey) -> WorkflowHandle[LossCase, Outcome]:
        return self._client.get_workflow_handle(key.case)
