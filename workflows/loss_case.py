"""The durable loss case: from the report to the end of the watch."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, assert_never, cast

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, FailureError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from events.case_facts import CaseFact, LossReported, ScopeKnown
    from events.digest import Digest, value_digest
    from events.errors import Code
    from events.ports.case_activities import AppendOrder, CaseActivities
    from events.ports.licensing_backend import CaseKey, CaseOrders, signature_of
    from events.ports.loss_cases import (
        WORKFLOW,
        AcceptedDecision,
        DecisionOrder,
        DecisionTaken,
        Message,
    )
    from events.sizes import SCOPE_PAGE
    from events.terms import Outcome, Status, Value
    from workflows.case import CaseState, fold_all, with_later_fields
    from workflows.commands import Failed, Report
    from workflows.decider import decide
    from workflows.divergence import must_agree, must_be_as_carried, must_know_rules, must_read
    from workflows.driver import Acts, Append, Ask, AwaitMessage, Driver, Pause, RequestFailedError
    from workflows.pending import Pending
    from workflows.policy import Policy
    from workflows.steps import Assess, Block, End, Issue, Keep, Question, Reinstate, Request, Withdraw

REGULAR: Final[dict[str, Any]] = {
    "start_to_close_timeout": timedelta(seconds=60),
    "heartbeat_timeout": timedelta(seconds=15),
    "retry_policy": RetryPolicy(initial_interval=timedelta(seconds=0.1), maximum_interval=timedelta(seconds=2)),
}
"""Activities are retried without end: a service that is down is waited for. The heartbeat finds a dead worker sooner.
"""

LOCAL: Final[dict[str, Any]] = {
    "schedule_to_close_timeout": timedelta(seconds=5),
    "retry_policy": RetryPolicy(maximum_attempts=1),
}
"""A local activity has one short attempt; what it cannot do so is done by a regular one."""

HISTORY_LIMIT = 2_000
"""Events of a history after which the case goes on in a new one: its state is carried over, however long it watches."""

SOON = (Assess, Block, Issue, Withdraw, Keep, Reinstate)
"""What the backend keeps its answers to: it may be asked within the workflow task. The policy is asked for by a regular
activity: messages may follow at once, and after a local one Temporal's clock may be another when the task is worked out
anew."""

SCOPES_AT_ONCE = 12
"""So many parts of a scope are appended together, each at most 65,535 bytes."""

Unrecorded = list[tuple[CaseFact, datetime]]
Order = TypeVar("Order")
Answer = TypeVar("Answer")
Result = TypeVar("Result")


CONTINUED = "continued"
"""The type of the failure of an update that must be asked of the case's next history."""


class Snapshot(Value):
    """What a case knows when it goes on in a new history: `pending` are the messages after number `taken`. Of its
    `licences` the state holds the first ones: the backend knows the others, and the policy, which only older
    releases carried. By the digest the next history sees that it reads the state as it was."""

    state: CaseState
    digest: Digest | None = None
    licences: int = 0
    hash: str
    policy: Policy | None = None
    taken: int
    pending: tuple[Message, ...]


@workflow.defn(name=WORKFLOW)
class LossCase:
    """One loss. `run` alone takes commands, one at a time: decide, append, fold. Handlers only keep what arrives.

    What is done next follows from the state alone (`workflows.steps`). The driver (`workflows.driver`) says what is to
    be performed for that, and what answers and messages become. A worker that dies in a workflow task does its local
    activities again, and whatever has arrived meanwhile then comes first. So messages are taken only where the case
    rests, and a local append depends on nothing but what is in history or what the backend keeps and answers.
    """

    @workflow.init
    def __init__(self, key: CaseKey, begun: LossReported | Snapshot) -> None:
        snapshot = begun if isinstance(begun, Snapshot) else None
        self._key = key
        self._pending = Pending(snapshot.taken, snapshot.pending) if snapshot else Pending(1)
        self._driver = Driver(key, workflow.now, self._pending)
        if snapshot:
            self._driver.state, self._driver.policy = with_later_fields(snapshot.state), snapshot.policy
            self._driver.since = workflow.info().workflow_start_time
        self._recorded_state = self._driver.state
        self._hash = snapshot.hash if snapshot else ""
        self._unrecorded: Unrecorded = []
        self._leaving = False

    @workflow.run
    async def run(self, key: CaseKey, begun: LossReported | Snapshot) -> Outcome:
        """The life of a case. How it ends is the result.

        A case begins with a report, its first message: the backend says what it knows, and policy decides. Or it goes
        on from the snapshot of an earlier history. From then on it does, again and again, what its state asks for:

        - it waits for a supervisor where policy does not decide by itself, reminds, escalates or rejects in time;
        - it has the blocking measures ordered, and only then, after the waiting period, the replacement issued;
        - it waits for something that may take the replacement, where there is nothing yet;
        - it watches, until the watch ends or nothing of what was lost can run any more;
        - where the original turns up, a verdict ends the case, or has the replacement withdrawn and the original
          reinstated;
        - what fails for good makes it stuck, until a supervisor resumes it or gives it up.

        While it waits it takes the messages to it, in their order. In the end the backend learns that the case is over,
        ends its measures, and answers the messages that it did not take.
        """
        if isinstance(begun, LossReported):
            must_know_rules(key.case, begun.rules_version)
            await self._open(begun)
        else:
            must_know_rules(key.case, begun.state.rules_version)
            must_be_as_carried(key.case, begun.state.sequence, begun.state, begun.digest)
            await self._complete(begun.licences)
        while not isinstance(step := self._driver.next(), End):
            await self._perform(self._driver.do(step))
        await self._execute(CaseOrders.close, step.order)
        self._leaving = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        assert self.state.outcome is not None
        return self.state.outcome

    @workflow.signal
    def receive(self, messages: list[Any]) -> None:
        """Messages to the case arrive, as plain JSON: a signal that cannot be read into a type is dropped by the SDK,
        and that would be what a later release says. Here the workflow task fails, until a worker can read it."""
        for message in must_read(self._key.case, messages):
            self._pending.add(message)

    @workflow.update
    async def answer(self, accepted: AcceptedDecision, decision: DecisionOrder) -> DecisionTaken:
        """What became of a decision that was accepted as a message. Denied, the attempt is in the history all the same,
        and the caller is told why."""
        number = accepted.number or 0
        await workflow.wait_condition(lambda: self._pending.taken >= number or self._leaving)
        if self._pending.taken < number:
            over = self.state.status is Status.CLOSED
            raise ApplicationError(
                "the case is over" if over else "the case goes on in a new history: ask again",
                type=Code.NOTHING_TO_DECIDE if over else CONTINUED,
                non_retryable=True,
            )
        denials = dict(self.state.decisions)
        denial = denials.get(decision.decision, Code.NOTHING_TO_DECIDE)  # nobody has brought it, or long ago
        if denial is not None:
            by, action = decision.by, decision.action
            raise ApplicationError(f"{by} may not {action} here: {denial}", type=denial, non_retryable=True)
        return DecisionTaken(
            case=self._key.case,
            decision=decision.decision,
            status=self.state.status,
            on=accepted.on,
            sequence=self.state.sequence,
        )

    @workflow.query
    def state_of_case(self) -> CaseState | None:
        """The state as far as it is in the log; of the licences of a large container the first ones."""
        return self._recorded_state and _first_page(self._recorded_state)

    @workflow.query
    def messages_taken(self) -> int:
        """The number of the last message that the case took."""
        return self._pending.taken

    @property
    def state(self) -> CaseState:
        """The state, once the first report is in."""
        return self._driver.known

    async def _complete(self, licences: int) -> None:
        """Know all licences again, once the case has gone on in a new history."""
        facts = self.state.facts
        if facts is None or len(facts.licences) >= licences:
            return
        known = await self._perform(self._driver.scope(facts.licences, licences))
        facts = facts.model_copy(update={"licences": known})
        self._driver.state = self._recorded_state = self.state.model_copy(update={"facts": facts})

    async def _open(self, report: LossReported) -> None:
        """What the first report says is recorded together with what policy decides on it."""
        opening = decide(None, Report(report=report))
        state = cast(CaseState, fold_all(opening, None))
        try:
            command = await self._perform(self._driver.assess(state))
        except RequestFailedError as error:
            self._fold(opening, workflow.now())
            self._fold(decide(self._driver.state, Failed(code=error.code, cause=error.cause)), workflow.now())
            await self._append_pending(quickly=False)
            return
        self._fold([*opening, *decide(state, command)], command.at)

    async def _perform(self, acts: Acts[Result]) -> Result:
        """Perform the acts of the driver; how they end."""
        send, answer = acts.send, None
        while True:
            try:
                act = send(answer)
            except StopIteration as end:
                result: Result = end.value
                return result
            send, answer = acts.send, None
            match act:
                case Ask(request=request):
                    try:
                        execute = self._execute_soon if isinstance(request, SOON) else self._execute
                        answer = await execute(_activity(request), request.order)
                    except FailureError as error:
                        send, answer = acts.throw, _failure(error)
                        if isinstance(request, Question):
                            workflow.logger.error("%s fails: %s", request.activity, answer.cause)
                case Append(facts=facts, at=at) if at is not None:
                    self._fold(facts, at)
                case Append(facts=facts):
                    if facts:
                        self._fold(facts, workflow.now())
                        await self._append_pending(quickly=False)
                case AwaitMessage(alarm=alarm):
                    await self._append_pending(quickly=True)
                    await self._await_message(alarm)
                case Pause():
                    await self._continue_as_new_if_long()
                case _:
                    assert_never(act)

    async def _await_message(self, alarm: datetime | None) -> None:
        """Wait until a message is there or the alarm rings."""
        timeout = None if alarm is None else max(timedelta(0), alarm - workflow.now())
        with contextlib.suppress(asyncio.TimeoutError):
            await workflow.wait_condition(lambda: self._pending.first() is not None, timeout=timeout)

    async def _continue_as_new_if_long(self) -> None:
        """Go on in a new history once this one is long; whoever waits for an answer asks that one."""
        info = workflow.info()
        if info.get_current_history_length() <= HISTORY_LIMIT and not info.is_continue_as_new_suggested():
            return
        if not self._pending.travels:
            return  # more has arrived than Temporal takes at once: some of it is taken first
        self._leaving = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        state = _first_page(self.state)
        snapshot = Snapshot(
            state=state,
            digest=value_digest(state),
            licences=len(self.state.licences),
            hash=self._hash,
            taken=self._pending.taken,
            pending=self._pending.all(),
        )
        workflow.continue_as_new(args=[self._key, snapshot])

    def _fold(self, facts: list[CaseFact], at: datetime) -> None:
        at = self._driver.fold(facts, at)
        self._unrecorded += [(fact, at) for fact in facts]

    async def _append_pending(self, *, quickly: bool) -> None:
        """Append what was folded and is not in the log yet: within this workflow task, or as a regular activity."""
        state, unrecorded = self._driver.state, self._unrecorded
        self._unrecorded = []
        for facts in _appends(unrecorded):
            order = AppendOrder(
                key=self._key,
                sequence=self.state.sequence - len(unrecorded),
                hash=self._hash,
                facts=tuple((fact.type(), fact.model_dump(mode="json"), at) for fact, at in facts),
            )
            unrecorded = unrecorded[len(facts) :]
            appended = await (self._execute_soon if quickly else self._execute)(CaseActivities.append, order)
            must_agree(self._key.case, order.sequence + 1, facts, appended.digest)
            assert order.sequence + len(facts) == appended.sequence
            self._hash = appended.hash
            if not unrecorded:
                self._recorded_state = state

    async def _execute_soon(self, activity: Callable[[Any, Order], Awaitable[Answer]], order: Order) -> Answer:
        """Do it in this workflow task if it can be done at once, else as a regular activity."""
        try:
            _, answered = signature_of(activity)
            answer: Answer = await workflow.execute_local_activity(
                activity.__name__, order, result_type=answered, **LOCAL
            )
            return answer
        except FailureError as error:
            cause = _cause(error)
            if is_cancelled_exception(error) or (isinstance(cause, ApplicationError) and cause.non_retryable):
                raise
        return await self._execute(activity, order)

    async def _execute(self, activity: Callable[[Any, Order], Awaitable[Answer]], order: Order) -> Answer:
        """Do it as a regular activity, however long it takes. What came before is in the log by then."""
        await self._append_pending(quickly=True)
        _, answered = signature_of(activity)
        answer: Answer = await workflow.execute_activity(activity.__name__, order, result_type=answered, **REGULAR)
        return answer


def _first_page(state: CaseState) -> CaseState:
    """The state as it travels: Temporal takes no more than 2 MB at once."""
    if state.facts is None or len(state.licences) <= SCOPE_PAGE:
        return state
    facts = state.facts.model_copy(update={"licences": state.licences[:SCOPE_PAGE]})
    return state.model_copy(update={"facts": facts})


def _appends(facts: Unrecorded) -> list[Unrecorded]:
    """The facts by append: as many as Temporal takes at once, of whatever size they are. The parts of a scope are the
    only facts that come in such numbers; they are counted, for a size in bytes is not the same in every version."""
    appends: list[Unrecorded] = []
    left = 0
    for fact, at in facts:
        heavy = isinstance(fact, ScopeKnown)
        if not appends or (heavy and left == 0):
            appends.append([])
            left = SCOPES_AT_ONCE
        appends[-1].append((fact, at))
        left -= heavy
    return appends


def _activity(request: Request) -> Callable[[CaseOrders, Any], Awaitable[Any]]:
    """The activity that a request names."""
    activity: Callable[[CaseOrders, Any], Awaitable[Any]] = getattr(CaseOrders, request.activity)
    return activity


def _failure(error: FailureError) -> RequestFailedError:
    """What failed for good. Raises the error where it says that the case itself is to end. An older release refused
    without the time."""
    if is_cancelled_exception(error):
        raise error
    cause = _cause(error)
    stated = next(iter(cause.details), None) if isinstance(cause, ApplicationError) else None
    return RequestFailedError(getattr(cause, "type", None) or type(cause).__name__, str(cause), stated)


def _cause(error: FailureError) -> BaseException:
    """A local activity's failure is the cause itself, a regular one's is wrapped."""
    return error.cause if isinstance(error, ActivityError) and error.cause else error
