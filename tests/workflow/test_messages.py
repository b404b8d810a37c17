"""What reaches a case by Temporal: only what a door has accepted decides, and no history grows without end."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer

from activities.case_watch import NOT_RUNNING
from activities.register import PostgresRegister
from events.envelope import case_stream
from events.errors import Code, RefusalError
from events.ports.licensing_backend import CaseKey
from events.ports.loss_cases import AcceptedDecision, DecisionOrder, Joined, Message, Overtaken
from events.ports.register import SetAside
from events.sizes import LIST_PART
from events.statements import LossStatement
from events.terms import Action, CaseId, Kind, LicenceId, Mode, Reason, Reporter, ReportId, Role, Scope, Status
from infra.converter import CONVERTER
from infra.roles.worker import workflow_runner
from tests.given import supervisor
from tests.workflow.harness import Bench, eventually
from workflows.loss_case import HISTORY_LIMIT, LossCase
from workflows.policy import Approval, Policy, Rule

pytestmark = pytest.mark.integration


@pytest.fixture
def env(development: WorkflowEnvironment) -> WorkflowEnvironment:
    """The server that skips time loses signals that come while a case goes on in a new history."""
    return development


@pytest.fixture
def policy() -> Policy:
    return Policy(supervisors=("ann", "bob"), rules=(Rule(mode=Mode.MANUAL),))


async def waiting(bench: Bench) -> CaseKey:
    await bench.container("lost", licences=1)
    await bench.container("spare")
    key = await bench.report("R-1")
    await bench.until(key, Status.AWAITING_APPROVAL)
    return key


async def test_who_can_merely_write_to_temporal_decides_nothing(bench: Bench) -> None:
    key = await waiting(bench)
    handle = bench.handle(key)
    state = await bench.state(key)
    assert state is not None
    forged = DecisionOrder(decision="D-9", action=Action.APPROVE, by="ann", on=state.material)
    accepted = AcceptedDecision(key=key, number=2, on=state.material)

    await handle.signal(LossCase.receive, [Message(number=2, content=forged)])
    asking = asyncio.create_task(handle.execute_update(LossCase.answer, args=[accepted, forged]))
    await bench.decide(key, Action.REJECT, by="bob", decision="D-1")  # the true number 2

    assert await handle.result() == "rejected"
    with pytest.raises(WorkflowUpdateFailedError) as refused:  # the number is the true one's, and not its own
        await asking
    assert isinstance(refused.value.cause, ApplicationError)
    decided = [
        (fact.fact.name, getattr(fact.fact, "by", None))
        for fact in await bench.facts(case_stream(key.case))
        if getattr(fact.fact, "decision", None)
    ]
    assert decided[-1] == ("case.rejected", "bob")
    assert ("case.approved", "ann") not in decided


async def test_whoever_did_not_wait_for_the_decision_that_ended_a_case_is_told_later_that_it_was_taken(
    bench: Bench,
) -> None:
    key = await waiting(bench)
    state = await bench.state(key)
    assert state is not None
    taken, late = (
        DecisionOrder(decision=name, action=Action.REJECT, by="bob", on=state.material) for name in ("D-1", "D-2")
    )
    for order in (taken, late):  # a door that died before it could ask the case
        await bench.backend.accept_decision(supervisor(bench.vendor, order.by), key.case, order, datetime.now(UTC))
    assert await bench.handle(key).result() == "rejected"

    again = await bench.application.decide(supervisor(bench.vendor, taken.by), key.case, taken)
    with pytest.raises(RefusalError) as refusal:
        await bench.application.decide(supervisor(bench.vendor, late.by), key.case, late)

    assert (again.decision, again.status, again.on) == ("D-1", Status.CLOSED, state.material)
    assert refusal.value.code is Code.NOTHING_TO_DECIDE


async def test_a_decision_is_that_of_the_principal_at_the_door_whatever_comes_with_it(bench: Bench) -> None:
    key = await waiting(bench)
    state = await bench.state(key)
    assert state is not None
    as_bob = DecisionOrder(decision="D-1", action=Action.REJECT, by="bob", on=state.material)

    with pytest.raises(RefusalError) as refusal:
        await bench.application.decide(supervisor(bench.vendor, "eve"), key.case, as_bob)

    assert (refusal.value.code, refusal.value.parameters["by"]) == (Code.NOT_A_SUPERVISOR, "eve")
    denied = [one.fact for one in await bench.facts(case_stream(key.case)) if one.fact.name == "decision.denied"]
    assert [fact.by for fact in denied] == ["eve"]


async def test_what_is_said_to_a_case_whose_workflow_was_ended_reaches_it_once_temporal_has_it_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.client.ANSWER_SECONDS", 2.0)
    key = await waiting(bench)
    handle, register = bench.handle(key), PostgresRegister(bench.settings.dsn)
    await handle.terminate("by an operator, in error")

    async def entry() -> SetAside | None:
        entries = await register.entries(1000)
        return next((one for one in entries if one.place == f"workflow/{key.vendor}/{key.case}"), None)

    with pytest.raises(TimeoutError):  # it is kept, and not denied
        await bench.decide(key, Action.REJECT)
    assert (await eventually(entry)).code == NOT_RUNNING

    ended = await handle.describe()
    completed = [
        event.event_id
        async for event in handle.fetch_history_events()
        if event.event_type is EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
    ]
    await bench.env.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=bench.env.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=key.case, run_id=ended.run_id),
            reason="it was ended in error",
            workflow_task_finish_event_id=completed[-1],
            request_id=str(uuid4()),
        )
    )

    assert await handle.result() == "rejected"
    names = [fact.fact.name for fact in await bench.facts(case_stream(key.case))]
    assert "case.rejected" in names
    assert "decision.denied" not in names


async def test_a_message_of_a_later_release_fails_the_workflow_task_until_a_newer_worker_comes(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await waiting(bench)
    handle = bench.handle(key)

    await handle.signal(LossCase.receive, [{"number": 2, "content": {"type": "moved"}}])

    async def failed() -> str | None:
        async for event in handle.fetch_history_events():
            if event.event_type is EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                return event.workflow_task_failed_event_attributes.failure.message
        return None

    assert "run a worker of the release that sent it" in await eventually(failed)

    def later(_: str, messages: Sequence[Any]) -> list[Message]:
        return [Message.model_validate(one | {"content": {"type": "settled"}}) for one in messages]

    monkeypatch.setattr("workflows.loss_case.must_read", later)

    async def taken() -> bool | None:
        with suppress(RPCError):  # while its tasks fail
            return bool(await handle.query(LossCase.messages_taken) == 2) or None
        return None

    await eventually(taken)


async def test_a_case_that_only_gets_decisions_goes_on_in_new_histories_and_answers_each(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.loss_case.HISTORY_LIMIT", 60)
    key = await waiting(bench)
    first = (await bench.handle(key).describe()).run_id

    async def denied(number: int) -> Code:
        with pytest.raises(RefusalError) as refusal:
            await bench.decide(key, Action.APPROVE, by="eve", decision=f"D-{number}")
        return refusal.value.code

    for start in range(0, 30, 5):
        codes = await asyncio.gather(*(denied(number) for number in range(start, start + 5)))
        assert set(codes) == {Code.NOT_A_SUPERVISOR}

    assert (await bench.handle(key).describe()).run_id != first
    assert await denied(3) is Code.NOT_A_SUPERVISOR  # asked again, in another history
    facts = await bench.facts(case_stream(key.case))
    tried = [fact.fact.model_dump()["decision"] for fact in facts if fact.fact.name == "decision.denied"]
    assert sorted(tried) == sorted(f"D-{number}" for number in range(30))


async def test_a_case_that_only_gets_reports_goes_on_in_new_histories_and_takes_each_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.loss_case.HISTORY_LIMIT", 60)
    key = await waiting(bench)
    first = (await bench.handle(key).describe()).run_id

    def loss(number: int) -> LossStatement:
        return LossStatement(
            report=f"J-{number}",
            serial="lost",
            kind=Kind.DONGLE,
            reason=Reason.LOST,
            reporter=Reporter(role=Role.BACK_OFFICE, name="crm"),
            occurred=datetime.now(UTC),
        )

    for number in range(60):
        await bench.take(loss(number))
        await bench.take(loss(number))
        if number % 6 == 0:
            await eventually(lambda: _taken(bench, key))
    await eventually(lambda: _taken(bench, key))

    state = await bench.state(key)
    assert state is not None
    assert state.reports == ("R-1", *(f"J-{number}" for number in range(60)))
    assert (await bench.handle(key).describe()).run_id != first
    await bench.decide(key, Action.APPROVE)
    await bench.until(key, Status.WATCHING)


async def test_a_case_goes_on_in_a_new_history_when_its_bytes_are_many_and_its_events_few(bench: Bench) -> None:
    key = await waiting(bench)
    handle = bench.handle(key)
    first = (await handle.describe()).run_id
    assert first is not None
    state = await bench.state(key)
    assert state is not None
    licences = tuple(LicenceId(f"{'L' * 70}-{number}") for number in range(LIST_PART))
    wide = state.report.model_copy(update={"scope": Scope.LICENCES, "licences": licences})
    reports = [Joined(report=wide.model_copy(update={"report": ReportId(f"J-{number}")})) for number in range(200)]

    for start in range(0, len(reports), 50):
        await bench.post(key, reports[start : start + 50])
        await eventually(lambda: _taken(bench, key), 60)

    assert (await handle.describe()).run_id != first
    description = (await bench.env.client.get_workflow_handle(key.case, run_id=first).describe()).raw_description
    assert description.workflow_execution_info.history_length < HISTORY_LIMIT
    after = await bench.state(key)
    assert after is not None
    assert after.reports == ("R-1", *(one.report.report for one in reports))


async def _taken(bench: Bench, key: CaseKey) -> bool | None:
    return await bench.taken(key) or None


class TestClocks:
    @pytest.fixture
    def policy(self) -> Policy:
        return Policy(supervisors=("ann",), rules=(Rule(approval=Approval(due_hours=48, remind_hours=24)),))

    async def test_what_a_case_states_does_not_depend_on_the_clock_of_temporal(self, bench: Bench) -> None:
        """It may be another one when a workflow task is worked out anew."""
        await bench.container("lost", licences=1)
        key = await bench.report("R-1")
        await bench.until(key, Status.AWAITING_TARGET)
        await bench.post(key, [Overtaken(by=CaseId("case-2"))])
        state = await bench.until(key, Status.AWAITING_APPROVAL)
        assert state.due is not None

        history = await bench.handle(key).fetch_history()
        for event in history.events:
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED:
                event.event_time.FromDatetime(event.event_time.ToDatetime() + timedelta(seconds=1.5))

        await Replayer(
            workflows=[LossCase], data_converter=CONVERTER, workflow_runner=workflow_runner()
        ).replay_workflow(history)
