"""The durable loss case: from the report to the end of the watch."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, cast

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from events.catalogue import BackendFacts, CaseFact, LossReported
    from events.ports import (
        WORKFLOW,
        Acknowledged,
        Appended,
        AppendOrder,
        BlockOrder,
        CaseKey,
        CloseOrder,
        DecisionOrder,
        DecisionTaken,
        Deeds,
        Issued,
        IssueOrder,
        NoTargetFound,
        Reservation,
        ReserveOrder,
        Sighting,
    )
    from events.terms import Aim, Loss, Outcome, Recovery, Serial, Status
    from workflows.case import (
        Assessed,
        Blocked,
        CaseState,
        Command,
        Decide,
        Failed,
        NoTarget,
        Offered,
        Replaced,
        Report,
        Sighted,
        WaitOver,
        WatchOver,
        decide,
        fold_all,
    )
    from workflows.policy import Policy, Quota, Rule, loss_of, quota_to_reserve

DEED: Final[dict[str, Any]] = {
    "start_to_close_timeout": timedelta(seconds=60),
    "heartbeat_timeout": timedelta(seconds=15),
    "retry_policy": RetryPolicy(initial_interval=timedelta(seconds=0.1), maximum_interval=timedelta(seconds=2)),
}
"""Deeds are retried without end: a service that is down is waited for. The heartbeat finds a dead worker sooner."""

QUICK: Final[dict[str, Any]] = {
    "schedule_to_close_timeout": timedelta(seconds=5),
    "retry_policy": RetryPolicy(maximum_attempts=1),
}
"""A deed as a local activity has one short attempt; what it cannot do so is done as a regular one."""

ENROLMENT = timedelta(days=14)
"""How long a holder has to set access data that were reset."""

Order = TypeVar("Order")
Answer = TypeVar("Answer")


@dataclass
class Letter:
    """A command that arrived, and whether it was taken."""

    command: Command | DecisionOrder
    taken: bool = False


@workflow.defn(name=WORKFLOW)
class LossCase:
    """One loss. `run` alone takes commands, one at a time: decide, append, fold. Handlers only put them in the mail.

    A worker that dies in a workflow task does its local activities again, and whatever has arrived meanwhile then comes
    first. So mail is opened only where the case rests, and a local append depends on nothing but what is in history or
    what the backend keeps and answers again.
    """

    @workflow.init
    def __init__(self, key: CaseKey) -> None:
        self._key = key
        self._state: CaseState | None = None
        self._sequence, self._hash = 0, ""
        self._mail: list[Letter] = []
        self._offers: list[Serial] = []

    @workflow.run
    async def run(self, key: CaseKey) -> Outcome:
        rule = await self._open()
        await self._approval()
        if self._is_open:
            await self._block(rule)
            await self._replace(rule)
            await self._watch()
        if self._is_open:
            await self._replace(rule, full=True)
        lift = self.state.outcome is Outcome.GIVEN_UP
        await self._do_surely(Deeds.close, CloseOrder(key=key, recovered=self.state.recovered, lift=lift))
        await self._open_mail()
        await workflow.wait_condition(workflow.all_handlers_finished)
        assert self.state.outcome is not None
        return self.state.outcome

    @workflow.update
    async def report(self, report: LossReported) -> Acknowledged:
        """A report opens the case or joins it."""
        letter = Letter(Report(report=report))
        self._mail.append(letter)
        await workflow.wait_condition(lambda: letter.taken)
        return Acknowledged(case=self._key.case, report=report.report)

    @workflow.update
    async def decide(self, order: DecisionOrder) -> DecisionTaken:
        """A supervisor decides. Denied, the attempt is in the history all the same, and the caller is told why."""
        letter = Letter(order)
        self._mail.append(letter)
        await workflow.wait_condition(lambda: letter.taken)
        if denial := self.state.denial_of(order.decision):
            raise ApplicationError(f"{order.by} may not {order.action} here: {denial}", type=denial, non_retryable=True)
        return DecisionTaken(case=self._key.case, decision=order.decision, status=self.state.status)

    @workflow.signal
    def sight(self, sighting: Sighting) -> None:
        """The lost container turned up."""
        self._mail.append(Letter(Sighted(sighting=sighting)))

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

    @property
    def loss(self) -> Loss:
        """The row of the table of losses that this case is of."""
        return loss_of(self.state.report)

    @property
    def _is_open(self) -> bool:
        return self.state.status is not Status.CLOSED

    async def _open(self) -> Rule:
        await workflow.wait_condition(lambda: any(isinstance(letter.command, Report) for letter in self._mail))
        opening = next(letter for letter in self._mail if isinstance(letter.command, Report))
        self._mail.remove(opening)
        report = cast(Report, opening.command)
        assessment, _ = await asyncio.gather(self._do_surely(Deeds.assess, self._key), self._take(report))
        opening.taken = True
        policy, facts = Policy.model_validate(assessment.policy), assessment.facts
        rule = policy.rule_for(self.loss, facts)
        reservation = await self._reserve(quota_to_reserve(self.state.report, facts, policy), facts)
        command = Assessed(facts=facts, policy=policy, reservation=reservation)
        await self._take_quickly(command, reservation.at if reservation else assessment.at)
        return rule

    async def _reserve(self, quota: Quota | None, facts: BackendFacts) -> Reservation | None:
        if quota is None:
            return None
        order = ReserveOrder(
            key=self._key,
            subjects=quota.subjects(facts),
            limit=quota.recoveries,
            term_days=quota.term_days,
            received=self.state.report.received,
        )
        return await self._do_surely(Deeds.reserve, order)

    async def _approval(self) -> None:
        await self._rest(lambda: self.state.status is not Status.AWAITING_APPROVAL)

    async def _block(self, rule: Rule) -> None:
        aim = self.loss.aim(self.state.report.scope)
        order = BlockOrder(
            key=self._key,
            measures=rule.measures_for(self.loss),
            aim=aim,
            licences=self.state.licences if aim is Aim.LICENCE else (),
        )
        if done := await self._done_or_given_up(Deeds.block, order):
            await self._take_quickly(Blocked(), done.at)

    async def _replace(self, rule: Rule, full: bool = False) -> None:
        if not self._is_open:
            return
        order = self._issue_order(rule, full)
        answer = await self._done_or_given_up(Deeds.issue, order)
        while isinstance(answer, NoTargetFound):
            await self._take(NoTarget(tickets=answer.tickets))
            await self._target(answer.at)
            if not self._is_open:
                return
            await self._take(Offered(serial=self._offers.pop(0)))
            answer = await self._done_or_given_up(Deeds.issue, order)
        if isinstance(answer, Issued):
            until = answer.at + timedelta(days=rule.watch_days_for(self.loss))
            await self._take_quickly(Replaced(target=answer.target, at=answer.at, watch_until=until), answer.at)

    def _issue_order(self, rule: Rule, full: bool) -> IssueOrder:
        recovery = self.loss.recovery
        return IssueOrder(
            key=self._key,
            licences=self.state.licences,
            measures=tuple(ordered.measure for ordered in rule.measures_for(self.loss)),
            recovery=recovery,
            target=self.loss.target(self.state.report.scope),
            match=rule.match if recovery is Recovery.REISSUE else None,
            stop_gap_days=rule.stop_gap_days if recovery is Recovery.STOP_GAP else None,
            full=full,
        )

    async def _target(self, since: datetime) -> None:
        """Wait for somewhere to put the replacement; access data that nobody sets lapse."""
        lapses = since + ENROLMENT if self.loss.recovery is Recovery.RESET else None
        late = False

        def ended() -> bool:
            nonlocal late
            late = lapses is not None and workflow.now() >= lapses
            return bool(self._offers) or late

        await self._rest(ended, lapses)
        if not self._offers and late:
            await self._take(WaitOver())

    async def _watch(self) -> None:
        until = self.state.watch_until
        if not self._is_open or until is None:
            return
        await self._rest(lambda: self.state.status is not Status.WATCHING or workflow.now() >= until, until)
        if self.state.status is Status.WATCHING:
            await self._take(WatchOver())
        await self._rest(lambda: self.state.status in (Status.CLOSED, Status.REPLACING))

    async def _rest(self, ended: Callable[[], bool], alarm: datetime | None = None) -> None:
        """Let arriving commands be taken until this has ended; `alarm` is when to look though nothing arrives."""
        while not ended():
            timeout = None if alarm is None else max(timedelta(0), alarm - workflow.now())
            with contextlib.suppress(asyncio.TimeoutError):
                await workflow.wait_condition(lambda: bool(self._mail) or ended(), timeout=timeout)
            await self._open_mail(ended)

    async def _open_mail(self, ended: Callable[[], bool] = lambda: False) -> None:
        """Take letters until there are none, or until this has ended: what comes then may be done again after a crash,
        and must not find letters between that the first time did not."""
        while self._mail and not ended():
            letter = self._mail.pop(0)
            await self._take(await self._completed(letter.command))
            letter.taken = True

    async def _completed(self, command: Command | DecisionOrder) -> Command:
        if not isinstance(command, DecisionOrder):
            return command
        supervisors = await self._do_surely(Deeds.supervisors, self._key)
        return Decide(order=command, listed=command.by in supervisors.names)

    async def _take(self, command: Command) -> None:
        """Decide, append, fold; the append's input is in history before it runs."""
        if facts := decide(self._state, command):
            self._fold(facts, await self._do_surely(Deeds.append, self._append(facts, workflow.now())))

    async def _take_quickly(self, command: Command, at: datetime) -> None:
        """The same within this workflow task. `at` must be the same however often the task is done again."""
        if facts := decide(self._state, command):
            self._fold(facts, await self._do(Deeds.append, self._append(facts, at)))

    def _append(self, facts: list[CaseFact], at: datetime) -> AppendOrder:
        return AppendOrder(
            key=self._key,
            sequence=self._sequence,
            hash=self._hash,
            recorded=at,
            facts=tuple((fact.type(), fact.model_dump(mode="json")) for fact in facts),
        )

    def _fold(self, facts: list[CaseFact], appended: Appended) -> None:
        self._state = fold_all(facts, self._state)
        self._sequence, self._hash = appended.sequence, appended.hash

    async def _done_or_given_up(self, deed: Callable[[Deeds, Order], Awaitable[Answer]], order: Order) -> Answer | None:
        """Do it; what fails for good makes the case stuck until a supervisor resumes it, or gives it up: None."""
        while True:
            try:
                return await self._do(deed, order)
            except FailureError as error:
                if is_cancelled_exception(error):
                    raise
                cause = _cause(error)
                await self._take(Failed(code=getattr(cause, "type", None) or type(cause).__name__, cause=str(cause)))
            await self._rest(lambda: self.state.status is not Status.STUCK)
            if not self._is_open:
                return None

    async def _do(self, deed: Callable[[Deeds, Order], Awaitable[Answer]], order: Order) -> Answer:
        """Do it in this workflow task if it can be done at once, else as a regular activity."""
        try:
            return await workflow.execute_local_activity_method(deed, order, **QUICK)
        except FailureError as error:
            cause = _cause(error)
            if is_cancelled_exception(error) or (isinstance(cause, ApplicationError) and cause.non_retryable):
                raise
        return await self._do_surely(deed, order)

    async def _do_surely(self, deed: Callable[[Deeds, Order], Awaitable[Answer]], order: Order) -> Answer:
        return await workflow.execute_activity_method(deed, order, **DEED)


def _cause(error: FailureError) -> BaseException:
    """A local activity's failure is the cause itself, a regular one's is wrapped."""
    return error.cause if isinstance(error, ActivityError) and error.cause else error
