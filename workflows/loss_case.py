"""The durable loss case: from the report to the end of the watch."""

import asyncio
from datetime import timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from events.catalogue import LossReported
    from events.ports import (
        WORKFLOW,
        Acknowledged,
        AppendOrder,
        BlockOrder,
        CaseKey,
        Deeds,
        IssueOrder,
        NoTargetFound,
    )
    from events.terms import Outcome, Serial, Verdict
    from workflows.case import (
        Assessed,
        Blocked,
        CaseState,
        Command,
        NoTarget,
        Offered,
        Replaced,
        Report,
        WatchOver,
        decide,
        fold,
    )
    from workflows.policy import Policy

DEED: Final[dict[str, Any]] = {
    "start_to_close_timeout": timedelta(seconds=60),
    "heartbeat_timeout": timedelta(seconds=15),
    "retry_policy": RetryPolicy(initial_interval=timedelta(seconds=0.1), maximum_interval=timedelta(seconds=2)),
}
"""Deeds are retried without end: a service that is down is waited for. The heartbeat finds a dead worker sooner."""


@workflow.defn(name=WORKFLOW)
class LossCase:
    """One loss. Commands are taken one at a time: decide, append, fold."""

    @workflow.init
    def __init__(self, key: CaseKey) -> None:
        self._key = key
        self._state: CaseState | None = None
        self._sequence, self._hash = 0, ""
        self._offers: list[Serial] = []
        self._one_at_a_time = asyncio.Lock()

    @workflow.run
    async def run(self, key: CaseKey) -> Outcome:
        await workflow.wait_condition(lambda: self._state is not None)
        policy = await self._assess()
        if self.state.verdict is Verdict.REFUSED:
            await workflow.execute_activity_method(Deeds.release, key, **DEED)
        else:
            await self._block(policy)
            await self._replace(policy)
            await self._watch()
        await workflow.wait_condition(workflow.all_handlers_finished)
        assert self.state.outcome is not None
        return self.state.outcome

    @workflow.update
    async def report(self, report: LossReported) -> Acknowledged:
        """A report opens the case or joins it."""
        await self._take(Report(report=report))
        return Acknowledged(case=self._key.case, report=report.report)

    @workflow.signal
    def offer(self, serial: Serial) -> None:
        """A container was registered that may take the replacement."""
        self._offers.append(serial)

    @workflow.query
    def state_of_case(self) -> CaseState | None:
        """The state as the case itself sees it."""
        return self._state

    @property
    def state(self) -> CaseState:
        """The state, once the first report is in."""
        assert self._state is not None
        return self._state

    async def _assess(self) -> Policy:
        assessment = await workflow.execute_activity_method(Deeds.assess, self._key, **DEED)
        policy = Policy.model_validate(assessment.policy)
        await self._take(Assessed(at=assessment.at, facts=assessment.facts, policy=policy))
        return policy

    async def _block(self, policy: Policy) -> None:
        order = BlockOrder(key=self._key, measures=policy.measures)
        done = await workflow.execute_activity_method(Deeds.block, order, **DEED)
        await self._take(Blocked(at=done.at))

    async def _replace(self, policy: Policy) -> None:
        order = IssueOrder(key=self._key, licences=self.state.licences, measures=policy.measures)
        answer = await workflow.execute_activity_method(Deeds.issue, order, **DEED)
        while isinstance(answer, NoTargetFound):
            await self._take(NoTarget(at=answer.at, tickets=answer.tickets))
            await workflow.wait_condition(lambda: bool(self._offers))
            await self._take(Offered(at=workflow.now(), serial=self._offers.pop(0)))
            answer = await workflow.execute_activity_method(Deeds.issue, order, **DEED)
        await self._take(Replaced(at=answer.at, target=answer.target, watch_days=policy.watch_days))

    async def _watch(self) -> None:
        assert self.state.watch_until is not None
        await workflow.sleep(max(timedelta(0), self.state.watch_until - workflow.now()))
        await self._take(WatchOver(at=workflow.now()))

    async def _take(self, command: Command) -> None:
        async with self._one_at_a_time:
            facts = decide(self._state, command)
            if not facts:
                return
            order = AppendOrder(
                key=self._key,
                sequence=self._sequence,
                hash=self._hash,
                recorded=workflow.now(),
                facts=tuple((fact.type(), fact.model_dump(mode="json")) for fact in facts),
            )
            appended = await workflow.execute_activity_method(Deeds.append, order, **DEED)
            for fact in facts:
                self._state = fold(self._state, fact)
            self._sequence, self._hash = appended.sequence, appended.hash
