"""A case keeps the policy that it was decided under, whatever is adopted while it runs."""

from datetime import UTC, datetime, timedelta

import pytest

from events.backend_facts import MeasureOrdered
from events.case_facts import CaseDecided
from events.envelope import case_stream
from events.terms import Action, Measure, Mode, Status
from tests.workflow.bench import Bench, eventually
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
    assert await bench.backend.adopt_policy(bench.vendor, changed, datetime.now(UTC)) == 2
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
