"""A theft that takes over a reset of access data which was decided, and is not closed yet."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from activities.case_activities import CaseActivities
from events.backend_facts import AccessOffered, MeasureOrdered
from events.case_facts import LossReported
from events.envelope import case_stream
from events.statements import ContainerStatement, LicenceStatement
from events.terms import Action, Kind, Mode, Outcome, Reason, Serial, Status
from tests.given import principal
from tests.workflow.harness import Bench, eventually
from workflows.policy import Policy, Rule

pytestmark = pytest.mark.integration


class SlowActivities(CaseActivities):
    """The close of a rejected case does not come through until it is let."""

    let = asyncio.Event()

    async def _ask(self, name: str, order: Any) -> Any:
        if name == "close" and order.outcome is Outcome.REJECTED:
            await self.let.wait()
        return await super()._ask(name, order)


@pytest.fixture
def activity_class() -> type[CaseActivities]:
    SlowActivities.let = asyncio.Event()
    return SlowActivities


@pytest.fixture
def policy() -> Policy:
    rules = (Rule(reasons=(Reason.FORGOTTEN,), mode=Mode.MANUAL), Rule())
    return Policy(supervisors=("ann", "bob"), rules=rules)


async def test_a_theft_after_a_rejected_reset_that_is_not_closed_blocks_at_once_and_goes_to_a_person(
    bench: Bench,
) -> None:
    await bench.take(ContainerStatement(serial="K-1", kind=Kind.CLOUD, holder="h-1"))
    licence = {"licence": "L-1", "product": "cad", "ticket": "T-1", "issued": datetime.now(UTC)}
    await bench.take(LicenceStatement(serial="K-1", **licence))
    link = await bench.backend.access_link(principal(bench.vendor), Serial("K-1"))
    await bench.application.set_access(bench.vendor, Serial("K-1"), link.token, "an old and long password")
    reset = await bench.report("R-1", "K-1", Reason.FORGOTTEN, Kind.CLOUD)
    await bench.until(reset, Status.AWAITING_APPROVAL)
    await bench.decide(reset, Action.REJECT)

    theft = await bench.report("R-2", "K-1", Reason.STOLEN, Kind.CLOUD)
    await bench.until(theft, Status.REPLACING)

    async def blocked() -> bool | None:
        facts = [one.fact for one in await bench.facts("container/K-1")]
        offered = [one for one in facts if isinstance(one, AccessOffered) and one.case == theft.case]
        return (any(isinstance(one, MeasureOrdered) for one in facts) and not offered) or None

    await eventually(blocked)
    SlowActivities.let.set()
    waiting = await bench.until(theft, Status.AWAITING_APPROVAL)
    assert waiting.reasons == (f"an earlier report of this loss was rejected, in case {reset.case}",)
    assert (waiting.report.former, waiting.report.rejected) == (reset.case, reset.case)
    stated = [one.fact for one in await bench.facts(case_stream(theft.case)) if isinstance(one.fact, LossReported)]
    assert [one.rejected for one in stated] == [None, reset.case]
    await bench.decide(theft, Action.APPROVE)
    await bench.until(theft, Status.WATCHING)
    await bench.save(theft, "took_over_a_rejected_reset")
