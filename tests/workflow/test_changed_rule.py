"""The worker is replaced in mid-case by one whose rules changed, as docs/changing-a-rule.md says and otherwise."""

from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from events.case_facts import CaseFact, TargetAwaited
from events.envelope import case_stream
from events.ports.licensing_backend import CaseKey
from events.ports.register import SetAside
from events.rules import RULES_VERSION
from events.statements import ContainerStatement, LicenceStatement
from events.terms import Kind, Reason, Status
from infra.cli.operation import set_aside
from infra.failing_cases import DIVERGED, failing_cases
from infra.roles.worker import case_worker
from tests.workflow.harness import Bench, eventually
from workflows import driver
from workflows.case import CaseState
from workflows.commands import Command
from workflows.decider import ENROLMENT, decide

pytestmark = pytest.mark.integration

FORTNIGHT, WEEK = timedelta(days=14), timedelta(days=7)
NEXT = RULES_VERSION + 1
FAILING_SECONDS = 90
"""Temporal tries a workflow task again after 10 seconds or more, and lists its case from the second failure on."""


class Releases:
    """The worker, replaced by that of another release: nothing in memory survives."""

    worker: Worker

    def __call__(self, *args: Any) -> Self:
        self._args = args
        return self

    async def __aenter__(self) -> Self:
        self.worker = case_worker(*self._args)
        await self.worker.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.worker.__aexit__(None)

    async def replace(self) -> None:
        await self.__aexit__()
        await self.__aenter__()


@pytest.fixture
def worker_for() -> Releases:
    return Releases()


@pytest.fixture
def env(development: WorkflowEnvironment) -> WorkflowEnvironment:
    return development


async def forgotten(bench: Bench, serial: str) -> CaseKey:
    """A case that waits for access data that the holder must set."""
    await bench.take(ContainerStatement(serial=serial, kind=Kind.CLOUD, holder="h-1"))
    licence = {"licence": f"L-{serial}", "serial": serial, "product": "cad", "ticket": "T-1"}
    await bench.take(LicenceStatement.model_validate({**licence, "issued": datetime.now(UTC)}))
    key = await bench.report(f"R-{serial}", serial, Reason.FORGOTTEN, Kind.CLOUD)
    await bench.until(key, Status.AWAITING_TARGET)
    return key


async def spoken_to(bench: Bench, key: CaseKey, report: str) -> CaseState:
    """The case, once it has taken one more report of its loss."""
    await bench.report(report, key.serial, Reason.FORGOTTEN, Kind.CLOUD)

    async def taken() -> CaseState | None:
        try:
            state = await bench.state(key)
        except RPCError as error:
            if error.status is not RPCStatusCode.FAILED_PRECONDITION:
                raise
            return None  # its task failed, and is to be tried again
        return state if state and report in state.reports else None

    return await eventually(taken, FAILING_SECONDS)


async def awaited(bench: Bench, key: CaseKey) -> list[timedelta]:
    """How long the case waits, by each of its facts that says so."""
    facts = await bench.facts(case_stream(key.case))
    return [
        timedelta(days=round((fact.fact.until - fact.recorded) / timedelta(days=1)))
        for fact in facts
        if isinstance(fact.fact, TargetAwaited) and fact.fact.until
    ]


async def test_a_rule_that_changed_under_a_running_case_is_noticed_and_nothing_is_lost(
    bench: Bench, worker_for: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await forgotten(bench, "cloud")
    before = await bench.state(key)
    assert before is not None

    monkeypatch.setitem(ENROLMENT, 1, WEEK)  # no new version of the rules: the release is wrong
    await worker_for.replace()
    await bench.report("R-2", "cloud", Reason.FORGOTTEN, Kind.CLOUD)

    async def listed() -> SetAside | None:
        return next(iter(await failing_cases(bench.env.client)), None)

    entry = await eventually(listed, FAILING_SECONDS)
    assert (entry.vendor, entry.place, entry.code) == (key.vendor, f"case/{key.vendor}/{key.case}", DIVERGED)
    assert f"case {key.case} believes something else than the log says: fact 5" in entry.sentence
    assert "differs in until;" in entry.sentence
    assert entry in (
        await set_aside(bench.settings.model_copy(update={"temporal_address": address(bench.env.client)}), []) or ()
    )

    monkeypatch.undo()
    await worker_for.replace()
    after = await spoken_to(bench, key, "R-3")

    assert (after.lapses, after.reports) == (before.lapses, ("R-cloud", "R-2", "R-3"))
    assert await awaited(bench, key) == [FORTNIGHT]

    async def none_listed() -> bool | None:
        return not await failing_cases(bench.env.client) or None

    assert await eventually(none_listed, FAILING_SECONDS)


async def test_a_rule_of_a_new_version_is_for_new_cases_and_old_ones_go_on_as_before(
    bench: Bench, worker_for: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await forgotten(bench, "old")
    before = await bench.state(old)
    assert before is not None

    monkeypatch.setitem(ENROLMENT, NEXT, WEEK)
    monkeypatch.setattr("events.rules.RULES_VERSION", NEXT)
    await worker_for.replace()
    new = await forgotten(bench, "new")
    after = await spoken_to(bench, old, "R-2")

    assert (before.rules_version, after.rules_version, after.lapses) == (RULES_VERSION, RULES_VERSION, before.lapses)
    assert (await awaited(bench, old), await awaited(bench, new)) == ([FORTNIGHT], [WEEK])
    assert await failing_cases(bench.env.client) == []


async def test_a_case_under_newer_rules_is_left_to_a_newer_worker(
    bench: Bench, worker_for: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ENROLMENT, NEXT, WEEK)
    monkeypatch.setattr("events.rules.RULES_VERSION", NEXT)
    key = await forgotten(bench, "cloud")

    monkeypatch.undo()  # an older worker takes the case up
    await worker_for.replace()
    await bench.report("R-2", "cloud", Reason.FORGOTTEN, Kind.CLOUD)

    async def listed() -> str | None:
        return next((entry.sentence for entry in await failing_cases(bench.env.client)), None)

    newer = f"under version {NEXT} of the rules, and this release knows {RULES_VERSION}"
    assert newer in await eventually(listed, FAILING_SECONDS)
    monkeypatch.setitem(ENROLMENT, NEXT, WEEK)
    monkeypatch.setattr("events.rules.RULES_VERSION", NEXT)
    await worker_for.replace()
    assert (await spoken_to(bench, key, "R-3")).reports == ("R-cloud", "R-2", "R-3")


async def test_a_rule_that_changes_for_running_cases_too_changes_at_a_marked_point(
    bench: Bench, worker_for: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await forgotten(bench, "old")

    def changed(state: CaseState | None, command: Command) -> list[CaseFact]:
        facts = decide(state, command)
        if not any(isinstance(fact, TargetAwaited) for fact in facts) or not workflow.patched("a-week-for-access-data"):
            return facts
        return [
            fact.model_copy(update={"until": fact.until - WEEK})
            if isinstance(fact, TargetAwaited) and fact.until
            else fact
            for fact in facts
        ]

    monkeypatch.setattr(driver, "decide", changed)
    await worker_for.replace()
    await spoken_to(bench, old, "R-2")
    new = await forgotten(bench, "new")
    await worker_for.replace()
    await spoken_to(bench, new, "R-3")

    assert (await awaited(bench, old), await awaited(bench, new)) == ([FORTNIGHT], [WEEK])
    assert await failing_cases(bench.env.client) == []


def address(client: Client) -> str:
    return client.service_client.config.target_host
