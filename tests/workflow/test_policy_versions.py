"""A case keeps the policy that it was decided under, whatever is adopted while it runs."""

from datetime import UTC, datetime, timedelta

import pytest
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from temporalio.testing import WorkflowEnvironment

from events.backend_facts import MeasureOrdered
from events.case_facts import CaseDecided
from events.envelope import case_stream
from events.errors import Code, RefusalError
from events.terms import Action, Measure, Mode, Status
from tests.workflow.harness import Bench, eventually
from workflows.policy import Policy, Rule

pytestmark = pytest.mark.integration


@pytest.fixture
def policy() -> Policy:
    return Policy(supervisors=("ann",), rules=(Rule(mode=Mode.MANUAL, watch_days=100),))


async def test_a_changed_policy_changes_no_case_that_was_decided_before(bench: Bench) -> None:
    for name in ("lost", "later"):
        await bench.container(name, licences=1)
        await bench.container(f"spare-{name}")
    before = await bench.report("R-1", serial="lost")
    await bench.until(before, Status.AWAITING_APPROVAL)

    rule = Rule(measures=({"measure": Measure.WITHDRAWAL},), watch_days=5)  # type: ignore[arg-type]
    changed = Policy(supervisors=("ann",), rules=(rule,)).model_dump(mode="json", exclude={"policy_version"})
    assert (await bench.backend.adopt_policy(bench.vendor, changed, datetime.now(UTC))).version == 2
    after = await bench.report("R-2", serial="later")
    late = await bench.until(after, Status.WATCHING)
    assert (await bench.until(before, Status.AWAITING_APPROVAL)).policy_version == 1
    await bench.decide(before, Action.APPROVE)
    early = await bench.until(before, Status.WATCHING)

    assert (early.policy_version, late.policy_version) == (1, 2)
    for state, days in ((early, 100), (late, 5)):
        assert state.watch_until
        assert timedelta(days=days - 1) < state.watch_until - datetime.now(UTC) <= timedelta(days=days)

    async def both_ordered() -> list[MeasureOrdered] | None:
        found = [one.fact for one in await bench.facts() if isinstance(one.fact, MeasureOrdered)]
        return found if len(found) == 2 else None  # the backend's facts come to the log by its outbox

    ordered = {one.case: one.measure for one in await eventually(both_ordered)}
    assert ordered == {before.case: Measure.BLACKLISTING, after.case: Measure.WITHDRAWAL}
    (decided,) = [one.fact for one in await bench.facts(case_stream(before.case)) if isinstance(one.fact, CaseDecided)]
    assert decided.policy_version == 1


async def stored(bench: Bench, policy: dict[str, object]) -> None:
    """Have the vendor's versions stored as another release may have stored them."""
    async with await AsyncConnection.connect(bench.settings.dsn) as connection:
        await connection.execute(
            "update backend.policies set policy = %s || jsonb_build_object('policy_version', policy_version)"
            " where vendor = %s",
            (Jsonb(policy), bench.vendor),
        )


async def test_a_case_whose_policy_cannot_be_read_is_stuck_with_the_cause_until_a_release_can(bench: Bench) -> None:
    for name, licences in (("lost", 1), ("spare", 0)):
        await bench.container(name, licences)
    await stored(bench, {"rules": [{"mode": "telepathic"}]})
    key = await bench.report("R-1")

    stuck = await bench.until(key, Status.STUCK)

    assert stuck.stuck is not None
    where, code, cause = stuck.stuck
    assert (where, code) == (Status.REPORTED, Code.UNREADABLE_POLICY)
    assert "version 1 of the policy cannot be read by this release (rules.0.mode:" in cause
    await stored(bench, {"supervisors": ["ann"], "rules": [{"watch_days": 99_999}]})  # could not be adopted now
    await bench.decide(key, Action.RESUME)
    watching = await bench.until(key, Status.WATCHING)
    assert watching.watch_until is not None
    assert watching.watch_until > datetime.now(UTC) + timedelta(days=99_990)


class TestNewHistories:
    @pytest.fixture
    def env(self, development: WorkflowEnvironment) -> WorkflowEnvironment:
        """The server that skips time loses signals that come while a case goes on in a new history."""
        return development

    async def test_a_case_that_cannot_read_its_policy_in_a_new_history_is_stuck_there_and_goes_on_from_there(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("workflows.loss_case.HISTORY_LIMIT", 30)
        for name, licences in (("lost", 1), ("spare", 0)):
            await bench.container(name, licences)
        key = await bench.report("R-1")
        await bench.until(key, Status.AWAITING_APPROVAL)
        await stored(bench, {"supervisors": ["ann"], "rules": [{"moon": "full"}]})

        for number in range(40):
            try:
                await bench.decide(key, Action.APPROVE, by="eve", decision=f"D-{number}")
            except RefusalError:
                state = await bench.state(key)
            if state is not None and state.status is Status.STUCK:
                break

        stuck = await bench.until(key, Status.STUCK)
        assert stuck.stuck is not None
        assert stuck.stuck[:2] == (Status.AWAITING_APPROVAL, Code.UNREADABLE_POLICY)
        await stored(bench, {"supervisors": ["ann"], "rules": [{"mode": "manual", "watch_days": 100}]})
        await bench.decide(key, Action.RESUME, decision="resumed")
        await bench.until(key, Status.AWAITING_APPROVAL)
        await bench.decide(key, Action.APPROVE, decision="approved")
        watching = await bench.until(key, Status.WATCHING)
        assert watching.watch_until is not None
        assert round((watching.watch_until - datetime.now(UTC)) / timedelta(days=1)) == 100
        await bench.save(key, "policy_asked_again")
