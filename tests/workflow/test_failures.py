"""What an activity fails with for good makes a case stuck, or has another definite end, and never a hang."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.errors import NumericValueOutOfRange
from temporalio.testing import WorkflowEnvironment

from activities import case_activities
from activities.case_activities import CaseActivities
from activities.register import PostgresRegister
from events.envelope import case_stream
from events.errors import Code
from events.ports.case_activities import Appended, AppendOrder
from events.ports.loss_cases import Evidence
from events.ports.register import SetAside
from events.statements import FoundStatement, LicenceStatement
from events.terms import GENERATION_LIMIT, Action, Mode, Outcome, Reporter, Role, Status, Verdict
from tests.workflow.harness import Bench, eventually
from workflows.case import CaseState
from workflows.limits import Limits
from workflows.policy import Policy, Quota, Resurfaced, Rule

pytestmark = pytest.mark.integration

BROKEN: set[str] = set()
"""The activities that fail, as nobody foresaw."""


class FailingActivities(CaseActivities):
    """What is in `BROKEN` fails every time."""

    async def _ask(self, name: str, order: Any) -> Any:
        asked = self._fails(name, getattr(self._backend, name)(order))
        if name in ("close", "confirm_decision"):
            return await self._surely(order.key, asked)
        return await case_activities._attempt(asked)

    async def _append(self, order: AppendOrder) -> Appended:
        appended: Appended = await self._fails("append", super()._append(order))
        return appended

    @staticmethod
    async def _fails(name, done):  # type: ignore[no-untyped-def]
        if name in BROKEN:
            done.close()
            raise NumericValueOutOfRange("integer out of range")
        return await done


@pytest.fixture
def activity_class(monkeypatch: pytest.MonkeyPatch) -> type[CaseActivities]:
    BROKEN.clear()
    monkeypatch.setattr(case_activities, "UNFORESEEN_TRIES", 2)
    return FailingActivities


@pytest.fixture
def policy() -> Policy:
    quota = Quota(recoveries=1)
    rule = Rule(mode=Mode.HYBRID, quota=quota, limits=Limits(evidence=("photo",)))
    return Policy(supervisors=("ann", "bob"), rules=(rule, Rule(products=("cad",), reasons=("stolen",))))


@pytest.mark.parametrize("broken", ["assess", "reserve"])
async def test_a_case_that_cannot_be_assessed_is_stuck_until_it_is_resumed(bench: Bench, broken: str) -> None:
    await bench.container("lost", licences=1)
    BROKEN.add(broken)
    key = await bench.report("R-1", evidence=("photo",))
    stuck = await bench.until(key, Status.STUCK)
    assert stuck.stuck is not None
    assert stuck.stuck[:2] == (Status.REPORTED, Code.INTERNAL_ERROR)

    BROKEN.clear()
    await bench.decide(key, Action.RESUME)

    await bench.until(key, Status.AWAITING_TARGET)


async def test_a_case_that_cannot_be_assessed_is_given_up(bench: Bench) -> None:
    await bench.container("lost", licences=1)
    BROKEN.add("assess")
    key = await bench.report("R-1")
    await bench.until(key, Status.STUCK)

    await bench.decide(key, Action.GIVE_UP)

    assert await bench.handle(key).result() == "given_up"
    assert (await bench.report("R-2")).case != key.case


async def test_a_decision_of_which_nobody_can_say_yet_who_may_make_it_waits_and_is_not_denied(bench: Bench) -> None:
    register = PostgresRegister(bench.settings.dsn)
    await bench.container("lost", licences=1)
    key = await bench.report("R-1")
    await bench.until(key, Status.AWAITING_APPROVAL)
    BROKEN.add("confirm_decision")

    async def entered() -> SetAside | None:
        place = f"case/{key.vendor}/{key.case}"
        return next((entry for entry in await register.entries(1000) if entry.place == place), None)

    deciding = asyncio.create_task(bench.decide(key, Action.APPROVE))
    assert "confirm_decision" in (await eventually(entered)).sentence
    BROKEN.clear()

    assert (await deciding).decision == "D-1"
    await bench.until(key, Status.AWAITING_TARGET)
    assert await entered() is None
    names = [recorded.fact.name for recorded in await bench.facts(case_stream(key.case))]
    assert (names.count("decision.denied"), names.count("case.approved")) == (0, 1)


class TestOnAServerThatDoesNotSkipTime:
    @pytest.fixture
    def env(self, development: WorkflowEnvironment) -> WorkflowEnvironment:
        return development

    async def test_attempts_that_fail_as_nobody_foresaw_are_counted_from_one_to_the_next(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(case_activities, "UNFORESEEN_TRIES", 4)
        await bench.container("lost", licences=1)
        BROKEN.add("assess")

        key = await bench.report("R-1")

        await bench.until(key, Status.STUCK)


async def test_evidence_for_which_no_quota_can_be_asked_leaves_the_case_with_its_supervisor(bench: Bench) -> None:
    for serial in ("first", "lost"):
        await bench.container(serial, licences=1)
    first = await bench.report("R-1", "first")
    await bench.until(first, Status.AWAITING_APPROVAL)
    key = await bench.report("R-2")  # of the same holder: one quota, which the first one's assessment used up
    await bench.until(key, Status.AWAITING_APPROVAL)
    BROKEN.add("reserve")

    for case in (first, key):
        await bench.post(case, [Evidence(statement="evidence/E-1", by="crm", evidence=("photo",))])

    async def given() -> CaseState | None:
        state = await bench.state(key)
        return state if state is not None and state.evidence else None

    assert (await eventually(given)).status is Status.AWAITING_APPROVAL
    await bench.until(first, Status.AWAITING_TARGET)  # its recovery was set aside when it was assessed


async def test_a_licence_at_its_last_generation_makes_its_case_stuck_and_giving_it_up_frees_the_others(
    bench: Bench,
) -> None:
    await bench.container("lost")
    for number, generation in ((1, GENERATION_LIMIT), (2, 1)):
        statement = LicenceStatement(
            licence=f"L-{number}",
            serial="lost",
            product="cad",
            ticket="T-1",
            generation=generation,
            issued=datetime.now(UTC),
        )
        await bench.take(statement)
    await bench.container("spare")
    key = await bench.report("R-1", evidence=("photo",))
    stuck = await bench.until(key, Status.STUCK)
    assert stuck.stuck is not None
    assert stuck.stuck[:2] == (Status.REPLACING, Code.GENERATION_EXHAUSTED)

    await bench.decide(key, Action.GIVE_UP)

    assert await bench.handle(key).result() == "given_up"
    async with await AsyncConnection.connect(bench.settings.dsn) as connection:
        cursor = await connection.execute(
            "select count(*) from backend.measures where vendor = %s and state <> 'lifted'", (bench.vendor,)
        )
        assert await cursor.fetchone() == (0,)


@pytest.mark.parametrize("broken", ["append", "close"])
async def test_what_a_case_cannot_go_on_without_is_tried_without_end_and_stands_in_the_register(
    bench: Bench, broken: str
) -> None:
    register = PostgresRegister(bench.settings.dsn)
    await bench.container("lost", licences=1)
    key = await bench.report("R-1")
    await bench.until(key, Status.AWAITING_APPROVAL)
    place = f"case/{key.vendor}/{key.case}"
    BROKEN.add(broken)

    async def entered() -> SetAside | None:
        return next((entry for entry in await register.entries(1000) if entry.place == place), None)

    deciding = asyncio.create_task(bench.decide(key, Action.REJECT))
    entry = await eventually(entered)
    BROKEN.clear()

    assert (entry.vendor, entry.code) == (key.vendor, Code.INTERNAL_ERROR)
    await deciding
    assert await bench.handle(key).result() == "rejected"
    assert await entered() is None


class TestNewHistories:
    @pytest.fixture
    def env(self, development: WorkflowEnvironment) -> WorkflowEnvironment:
        """The server that skips time loses signals that come while a case goes on in a new history."""
        return development

    @pytest.fixture
    def policy(self) -> Policy:
        rule = Rule(mode=Mode.MANUAL, watch_days=365, resurfaced=Resurfaced(found=Verdict.FOUND))
        return Policy(supervisors=("ann", "bob"), rules=(rule,))

    async def test_a_case_that_goes_on_in_a_new_history_while_it_is_stuck_is_resumed_under_its_policy(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, licences in (("lost", 1), ("spare", 0)):
            await bench.container(name, licences)
        key = await bench.report("R-1")
        await bench.until(key, Status.AWAITING_APPROVAL)
        await bench.decide(key, Action.APPROVE, condition="a police report", condition_days=30)
        await bench.until(key, Status.WATCHING)
        BROKEN.add("issue")
        await bench.decide(key, Action.MEET, decision="D-2")
        await bench.until(key, Status.STUCK)
        first = (await bench.handle(key).describe()).run_id
        monkeypatch.setattr("workflows.loss_case.HISTORY_LIMIT", 10)
        crm = Reporter(role=Role.BACK_OFFICE, name="crm")
        await bench.take(FoundStatement(report="F-1", serial="lost", reporter=crm, occurred=datetime.now(UTC)))

        async def in_another() -> bool | None:
            return (await bench.handle(key).describe()).run_id != first or None

        await eventually(in_another)
        monkeypatch.undo()
        BROKEN.clear()
        await bench.until(key, Status.STUCK)
        await bench.decide(key, Action.RESUME, decision="D-3")

        async with asyncio.timeout(30):
            assert await bench.handle(key).result() == Outcome.FOUND  # as policy rules on what is found
