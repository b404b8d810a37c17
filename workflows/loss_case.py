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
    from events.case_facts import BackendFacts, CaseFact, LicenceInScope, LossReported, ScopeKnown
    from events.cases import (
        WORKFLOW,
        Acknowledged,
        DecisionOrder,
        DecisionTaken,
        Evidence,
        Sighting,
    )
    from events.deeds import AppendOrder, Deeds
    from events.licensing import Assessment, CaseKey, Issued, ScopeOrder
    from events.sizes import SCOPE_PAGE
    from events.terms import CaseId, Outcome, Serial, Status, Value
    from workflows.case import CaseState, fold_all
    from workflows.commands import (
        Assessed,
        Blocked,
        Bring,
        Command,
        Decide,
        Elapsed,
        Failed,
        LoseReplacement,
        NoTarget,
        Offered,
        Reinstated,
        Replaced,
        Report,
        Settled,
        Sighted,
        Withdrawn,
    )
    from workflows.deciding import decide
    from workflows.policy import Policy
    from workflows.steps import Block, End, Issue, Reinstate, Rest, Step, Withdraw, keep_order, next_step, reserve_order

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

HISTORY_LIMIT = 2_000
"""Events of a history after which the case goes on in a new one: its state is carried over, however long it watches."""

SIGHTINGS_AT_ONCE = 100
"""So many sightings that arrived together are appended together."""

SCOPES_AT_ONCE = 12
"""So many parts of a scope are appended together, each at most 65,535 bytes."""

Unsaid = list[tuple[CaseFact, datetime]]
Order = TypeVar("Order")
Answer = TypeVar("Answer")


class Carried(Value):
    """What a case knows when it goes on in a new history. Of its `licences` the state holds the first ones: the backend
    knows the others."""

    state: CaseState
    licences: int = 0
    hash: str
    policy: Policy
    offers: tuple[Serial, ...]
    mail: tuple[Evidence | LoseReplacement | Sighting | Settled, ...]


@dataclass
class Letter:
    """What arrived, and whether it was taken. Somebody waits for what becomes of a report or a decision."""

    content: Report | DecisionOrder | Sighting | Evidence | Settled | LoseReplacement
    taken: bool = False


@workflow.defn(name=WORKFLOW)
class LossCase:
    """One loss. `run` alone takes commands, one at a time: decide, append, fold. Handlers only put them in the mail.

    What is done next follows from the state alone (`workflows.steps`). A worker that dies in a workflow task does its
    local activities again, and whatever has arrived meanwhile then comes first. So mail is opened only where the case
    rests, and a local append depends on nothing but what is in history or what the backend keeps and answers again.
    """

    @workflow.init
    def __init__(self, key: CaseKey, begun: LossReported | Carried) -> None:
        carried = begun if isinstance(begun, Carried) else None
        self._key = key
        self._state: CaseState | None = carried.state if carried else None
        self._said = self._state
        self._hash = carried.hash if carried else ""
        self._policy: Policy | None = carried.policy if carried else None
        self._unsaid: Unsaid = []
        self._offers: list[Serial] = list(carried.offers) if carried else []
        self._mail = [Letter(content) for content in carried.mail] if carried else []

    @workflow.run
    async def run(self, key: CaseKey, begun: LossReported | Carried) -> Outcome:
        """A case begins with a report, or goes on with what an earlier history carried over."""
        if isinstance(begun, LossReported):
            await self._open(begun)
        else:
            await self._complete(begun.licences)
        while not isinstance(step := self._next(), End):
            await self._do_step(step)
        await self._do_surely(Deeds.close, step.order)
        await self._open_mail(step)
        await workflow.wait_condition(workflow.all_handlers_finished)
        assert self.state.outcome is not None
        return self.state.outcome

    @workflow.update
    async def report(self, report: LossReported) -> Acknowledged:
        """A report joins the case; the one that opened it changes nothing."""
        await self._brought(Report(report=report))
        return Acknowledged(case=self._key.case, report=report.report)

    @workflow.update
    async def decide(self, order: DecisionOrder) -> DecisionTaken:
        """A supervisor decides. Denied, the attempt is in the history all the same, and the caller is told why."""
        await self._brought(order)
        if denial := self.state.denial_of(order.decision):
            raise ApplicationError(f"{order.by} may not {order.action} here: {denial}", type=denial, non_retryable=True)
        return DecisionTaken(case=self._key.case, decision=order.decision, status=self.state.status)

    @workflow.signal
    def sight(self, sighting: Sighting) -> None:
        """The lost container turned up."""
        self._mail.append(Letter(sighting))

    @workflow.signal
    def give_evidence(self, evidence: Evidence) -> None:
        """Evidence for the loss."""
        self._mail.append(Letter(evidence))

    @workflow.signal
    def offer(self, serial: Serial) -> None:
        """A container was registered that may take the replacement."""
        self._offers.append(serial)

    @workflow.signal
    def settle(self) -> None:
        """The last measure was confirmed: of the original, or of the replacement that is being withdrawn."""
        self._mail.append(Letter(Settled()))

    @workflow.signal
    def lose_replacement(self, to: CaseId) -> None:
        """The replacement was reported lost in another case."""
        self._mail.append(Letter(LoseReplacement(to=to)))

    @workflow.query
    def state_of_case(self) -> CaseState | None:
        """The state as far as it is in the log; of the licences of a large container the first ones."""
        return self._said and _first_page(self._said)

    @property
    def state(self) -> CaseState:
        """The state, once the first report is in."""
        assert self._state is not None
        return self._state

    @property
    def policy(self) -> Policy:
        """The version of the vendor's policy that the case was decided under."""
        assert self._policy is not None
        return self._policy

    async def _complete(self, licences: int) -> None:
        """Know all licences again, once the case has gone on in a new history."""
        facts = self.state.facts
        if facts is None or len(facts.licences) >= licences:
            return
        facts = facts.model_copy(update={"licences": await self._scope(facts.licences, licences)})
        self._state = self._said = self.state.model_copy(update={"facts": facts})

    def _next(self) -> Step:
        return next_step(self.state, self._key, self.policy)

    async def _brought(self, content: Report | DecisionOrder) -> None:
        letter = Letter(content)
        self._mail.append(letter)
        await workflow.wait_condition(lambda: letter.taken)

    async def _open(self, report: LossReported) -> None:
        opening = decide(None, Report(report=report))
        state = cast(CaseState, fold_all(opening, None))
        assessment = await self._do(Deeds.assess, self._key)
        facts, policy = await self._whole(assessment), Policy.model_validate(assessment.policy)
        order = reserve_order(state, self._key, policy, facts)
        reservation = await self._do_surely(Deeds.reserve, order) if order else None
        at = reservation.at if reservation else assessment.at
        assessed = Assessed(
            at=at, facts=facts, policy=policy, reservation=reservation, inline=assessment.licences is None
        )
        decided = decide(state, assessed)
        self._policy = policy
        self._fold([*opening, *decided], at)

    async def _whole(self, assessment: Assessment) -> BackendFacts:
        """The facts with all licences: those of a large container come page by page."""
        licences = await self._scope(assessment.facts.licences, assessment.licences or 0)
        return assessment.facts.model_copy(update={"licences": licences})

    async def _scope(self, licences: tuple[LicenceInScope, ...], count: int) -> tuple[LicenceInScope, ...]:
        while len(licences) < count:
            page = await self._do_surely(Deeds.scope, ScopeOrder(key=self._key, skip=len(licences)))
            assert page.licences, f"the backend knows {len(licences)} licences of {count}"
            licences += page.licences
        return licences

    async def _do_step(self, step: Step) -> None:
        match step:
            case Rest():
                await self._rest(step, step.alarm)
            case Block(order=order):
                if done := await self._done_or_stuck(Deeds.block, order):
                    self._take_quickly(Blocked(at=done.at, policy=self.policy), done.at)
            case Issue(order=order):
                answer = await self._done_or_stuck(Deeds.issue, order)
                if isinstance(answer, Issued):
                    replaced = Replaced(target=answer.target, at=answer.at, policy=self.policy)
                    self._take_quickly(replaced, answer.at)
                elif answer is not None:
                    await self._take(NoTarget(at=answer.at, tickets=answer.tickets))
            case Withdraw(order=order):
                withdrawal = await self._done_or_stuck(Deeds.withdraw, order)
                if withdrawal is not None and withdrawal.confirmed:
                    await self._take(Withdrawn())
                elif withdrawal is not None:
                    await self._rest(step, None)
            case Reinstate(order=order):
                if reinstated := await self._done_or_stuck(Deeds.reinstate, order):
                    await self._take(Reinstated(serial=reinstated.target))

    async def _rest(self, step: Step, alarm: datetime | None) -> None:
        """Wait until something arrives or the alarm rings, and take it."""

        def offered() -> bool:
            return bool(self._offers) and self.state.status is Status.AWAITING_TARGET

        await self._say(quickly=True)
        timeout = None if alarm is None else max(timedelta(0), alarm - workflow.now())
        with contextlib.suppress(asyncio.TimeoutError):
            await workflow.wait_condition(lambda: bool(self._mail) or offered(), timeout=timeout)
        await self._open_mail(step)
        self._turn_the_page()
        if offered():
            await self._take(Offered(serial=self._offers.pop(0)))
        elif alarm is not None and workflow.now() >= alarm and self._next() == step:
            await self._take(Elapsed(at=workflow.now(), policy=self.policy))

    def _turn_the_page(self) -> None:
        """Go on in a new history once this one is long, and nobody waits for an answer."""
        if workflow.info().get_current_history_length() <= HISTORY_LIMIT:
            return
        mail = [letter.content for letter in self._mail]
        waited_for = any(isinstance(content, (Report, DecisionOrder)) for content in mail)
        if waited_for or not workflow.all_handlers_finished():
            return
        carried = Carried(
            state=_first_page(self.state),
            licences=len(self.state.licences),
            hash=self._hash,
            policy=self.policy,
            offers=tuple(self._offers),
            mail=tuple(mail),
        )
        workflow.continue_as_new(args=[self._key, carried])

    async def _open_mail(self, step: Step) -> None:
        """Take letters until there are none, or until there is something else to do: what comes then may be done again
        after a crash, and must not find letters between that the first time did not."""
        while self._mail and type(self._next()) is type(step):
            self._turn_the_page()
            content = self._mail[0].content
            if isinstance(content, Sighting):
                await self._take_sightings(step)
                continue
            letter = self._mail.pop(0)
            await self._take(await self._command(content))
            letter.taken = True

    async def _take_sightings(self, step: Step) -> None:
        """Take as many sightings as have arrived, and append what comes of them together."""
        state, facts = self.state, list[CaseFact]()
        for _ in range(SIGHTINGS_AT_ONCE):
            content = self._mail[0].content if self._mail else None
            if not isinstance(content, Sighting) or type(next_step(state, self._key, self.policy)) is not type(step):
                break
            self._mail.pop(0)
            made = decide(state, Sighted(sighting=content, at=workflow.now(), policy=self.policy))
            state = cast(CaseState, fold_all(made, state))
            facts += made
        await self._append(facts)

    async def _command(self, content: Report | DecisionOrder | Evidence | Settled | LoseReplacement) -> Command:
        match content:
            case DecisionOrder():
                supervisors = await self._do_surely(Deeds.supervisors, self._key)
                return Decide(order=content, supervisors=supervisors.names, policy=self.policy)
            case Evidence():
                facts = self.state.facts
                reserve = reserve_order(self.state, self._key, self.policy, facts, content.evidence) if facts else None
                reservation = await self._do_surely(Deeds.reserve, reserve) if reserve else None
                return Bring(evidence=content, at=workflow.now(), policy=self.policy, reservation=reservation)
            case LoseReplacement() if self.state.status is Status.REINSTATING:
                await self._do_surely(Deeds.keep, keep_order(self.state, self._key))
                return content
            case _:
                return content

    async def _take(self, command: Command) -> None:
        """Decide, fold, append; the append's input is in history before it runs."""
        await self._append(decide(self._state, command))

    def _take_quickly(self, command: Command, at: datetime) -> None:
        """The same, appended within this workflow task, with what else comes of it. `at` must be the same however often
        the task is done again."""
        self._fold(decide(self._state, command), at)

    async def _append(self, facts: list[CaseFact]) -> None:
        if facts:
            self._fold(facts, workflow.now())
            await self._say(quickly=False)

    def _fold(self, facts: list[CaseFact], at: datetime) -> None:
        self._state = fold_all(facts, self._state)
        self._unsaid += [(fact, at) for fact in facts]

    async def _say(self, *, quickly: bool) -> None:
        """Append what was folded and is not in the log yet: within this workflow task, or as a regular activity."""
        state, unsaid = self._state, self._unsaid
        self._unsaid = []
        for facts in _appends(unsaid):
            order = AppendOrder(
                key=self._key,
                sequence=self.state.sequence - len(unsaid),
                hash=self._hash,
                facts=tuple((fact.type(), fact.model_dump(mode="json"), at) for fact, at in facts),
            )
            unsaid = unsaid[len(facts) :]
            appended = await (self._do if quickly else self._do_surely)(Deeds.append, order)
            assert order.sequence + len(facts) == appended.sequence
            self._hash = appended.hash
            if not unsaid:
                self._said = state

    async def _done_or_stuck(self, deed: Callable[[Deeds, Order], Awaitable[Answer]], order: Order) -> Answer | None:
        """Do it; what fails for good makes the case stuck until a supervisor resumes it, or gives it up: None."""
        try:
            return await self._do(deed, order)
        except FailureError as error:
            if is_cancelled_exception(error):
                raise
            cause = _cause(error)
            await self._take(Failed(code=getattr(cause, "type", None) or type(cause).__name__, cause=str(cause)))
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
        """Do it as a regular activity, however long it takes. What came before is in the log by then."""
        await self._say(quickly=True)
        return await workflow.execute_activity_method(deed, order, **DEED)


def _first_page(state: CaseState) -> CaseState:
    """The state as it travels: Temporal takes no more than 2 MB at once."""
    if state.facts is None or len(state.licences) <= SCOPE_PAGE:
        return state
    facts = state.facts.model_copy(update={"licences": state.licences[:SCOPE_PAGE]})
    return state.model_copy(update={"facts": facts})


def _appends(facts: Unsaid) -> list[Unsaid]:
    """The facts by append: as many as Temporal takes at once, of whatever size they are. The parts of a scope are the
    only facts that come in such numbers; they are counted, for a size in bytes is not the same in every version."""
    appends: list[Unsaid] = []
    left = 0
    for fact, at in facts:
        heavy = isinstance(fact, ScopeKnown)
        if not appends or (heavy and left == 0):
            appends.append([])
            left = SCOPES_AT_ONCE
        appends[-1].append((fact, at))
        left -= heavy
    return appends


def _cause(error: FailureError) -> BaseException:
    """A local activity's failure is the cause itself, a regular one's is wrapped."""
    return error.cause if isinstance(error, ActivityError) and error.cause else error
