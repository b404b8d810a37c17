"""What is said to a case that is over, or that was decided and is not closed yet."""

from typing import Any

import pytest
from psycopg import AsyncConnection

from events.backend_facts import CaseAddressed
from events.errors import Code
from events.ports.licensing_backend import CloseOrder, Issued
from events.statements import EvidenceStatement, LossStatement
from events.terms import CaseKey, Kind, Outcome, Reason
from tests.given import principal
from tests.integration.conversation import CRM, MINUTE, Known, accepted, approval, brought, delivering, found, loss
from tests.integration.stock import NOW, Stock
from tests.workflow.harness import eventually

pytestmark = pytest.mark.integration


async def test_a_report_after_the_decision_that_ended_a_case_is_of_a_new_case_and_one_before_is_answered(
    stock: Stock,
) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(loss("R-1", "D-1"))
    decided = NOW + 2 * MINUTE
    for report, received in (("R-before", NOW + MINUTE), ("R-after", NOW + 3 * MINUTE)):
        claim = await stock.backend.claim(principal(stock.vendor), loss(report, "D-1"), received)
        assert claim.key == key

    await stock.backend.close(CloseOrder(key=key, recovered=False, lift=True, taken=1, decided=decided))

    before = await stock.backend.claim(principal(stock.vendor), loss("R-before", "D-1"), NOW)
    after = await stock.backend.claim(principal(stock.vendor), loss("R-after", "D-1"), NOW)
    assert (before.key, before.closed) == (key, True)
    assert (after.key == key, after.closed, after.answer) == (False, False, "repeated")
    assert await stock.messages(after.key) == [("report", 1)]
    assert [one.statement for one in await stock.facts(CaseAddressed)] == ["report/R-before"]


async def test_what_was_said_after_a_report_goes_with_it_to_its_new_case(stock: Stock) -> None:
    """A find reaches every case that looks for the container, and evidence the case of its report."""
    await stock.container("D-1", "L-1")
    key = await stock.claim(loss("R-1", "D-1"))
    late = loss("R-2", "D-1")
    await stock.backend.claim(principal(stock.vendor), late, NOW + 3 * MINUTE)
    evidence = EvidenceStatement(
        statement="E-1", report="R-2", serial="D-1", reporter=CRM, evidence=("photo",), occurred=NOW
    )
    for _ in range(2):
        await stock.backend.give_evidence(principal(stock.vendor), evidence, NOW)
        await stock.backend.turn_up(principal(stock.vendor), found("F-1"), NOW + 4 * MINUTE)

    await stock.backend.close(CloseOrder(key=key, recovered=False, lift=True, taken=1, decided=NOW + 2 * MINUTE))

    after = await stock.backend.claim(principal(stock.vendor), late, NOW)
    assert after.key != key
    assert await stock.messages(after.key) == [("report", 1), ("evidence", 2), ("sighting", 3)]
    assert await stock.backend.give_evidence(principal(stock.vendor), evidence, NOW) == after.key  # said again
    assert await stock.messages(after.key) == [("report", 1), ("evidence", 2), ("sighting", 3)]


def rejected(key: CaseKey, **more: Any) -> CloseOrder:
    """A case that was rejected two minutes ago, and took nothing but its first report."""
    fields = {"key": key, "recovered": False, "lift": True, "taken": 1, "decided": NOW + 2 * MINUTE}
    return CloseOrder.model_validate({**fields, "outcome": Outcome.REJECTED, **more})


async def reported(stock: Stock, statement: LossStatement, minutes: int) -> CaseKey:
    """The case of a report that was received so late."""
    return (await stock.backend.claim(principal(stock.vendor), statement, NOW + minutes * MINUTE)).key


async def further(stock: Stock, *known: CaseKey) -> CaseKey | None:
    """The one case of the vendor that is none of these, if there is one."""
    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        cursor = await connection.execute(
            "select case_id, serial from backend.cases where vendor = %s and case_id <> all(%s)",
            (stock.vendor, [key.case for key in known]),
        )
        several = [CaseKey(vendor=stock.vendor, case=case, serial=serial) for case, serial in await cursor.fetchall()]
        assert len(several) < 2
        return several[0] if several else None


async def licences(stock: Stock, key: CaseKey) -> list[str]:
    """The licences that a case is to recover."""
    return [item.licence for item in (await stock.backend.assess(key)).facts.licences]


async def test_what_a_rejected_case_frees_is_claimed_for_the_wider_report_that_came_before_it_was_closed(
    stock: Stock,
) -> None:
    await stock.container("D-1", "L-1", "L-2")
    first = await stock.claim(stock.loss("D-1", "L-1"))
    wider = stock.loss("D-1")
    second = await reported(stock, wider, 3)
    assert await licences(stock, second) == ["L-2"]
    order = rejected(first)

    done = await stock.backend.close(order)

    third = await further(stock, first, second)
    assert third is not None
    opening = await stock.opening(third)
    assert (opening.report, opening.former, opening.beside) == (wider.report, first.case, second.case)
    assert await licences(stock, third) == ["L-1"]
    assert (await stock.messages(second), await stock.messages(third)) == ([("report", 1)], [("report", 1)])
    before = await stock.all_facts()
    assert await stock.backend.close(order) == done
    assert await stock.all_facts() == before
    assert await reported(stock, wider, 9) == second  # said again
    assert await further(stock, first, second) == third


async def test_evidence_and_a_find_reach_the_further_case_of_a_report_too(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    first = await stock.claim(stock.loss("D-1", "L-1"))
    await stock.backend.turn_up(principal(stock.vendor), found("F-0"), NOW + MINUTE)
    wider = stock.loss("D-1")
    second = await reported(stock, wider, 3)
    await stock.backend.turn_up(principal(stock.vendor), found("F-1"), NOW + 4 * MINUTE)

    await stock.backend.close(rejected(first))

    third = await further(stock, first, second)
    assert third is not None
    evidence = EvidenceStatement(
        statement="E-1", report=wider.report, serial="D-1", reporter=CRM, evidence=("photo",), occurred=NOW
    )
    assert await stock.backend.give_evidence(principal(stock.vendor), evidence, NOW) == second
    for key in (second, third):
        assert await stock.messages(key) == [("report", 1), ("sighting", 2), ("evidence", 3)]


async def test_a_wider_report_that_came_before_the_decision_is_answered_by_it(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    first = await stock.claim(stock.loss("D-1", "L-1"))
    second = await reported(stock, stock.loss("D-1"), 1)

    await stock.backend.close(rejected(first))

    assert await further(stock, first, second) is None
    third = await reported(stock, stock.loss("D-1", "L-1"), 9)
    assert third not in (first, second)
    assert (await stock.opening(third)).former == first.case


async def test_a_wider_report_whose_own_case_is_over_too_is_still_of_what_was_freed_after_it(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    first = await stock.claim(stock.loss("D-1", "L-1"))
    second = await reported(stock, stock.loss("D-1"), 3)
    await stock.backend.close(rejected(second, decided=NOW + 4 * MINUTE))

    await stock.backend.close(rejected(first))

    third = await further(stock, first, second)
    assert third is not None
    assert await licences(stock, third) == ["L-1"]


async def test_what_a_rejected_case_frees_goes_to_the_first_report_after_it_and_a_wider_one_overtakes_that(
    stock: Stock,
) -> None:
    await stock.container("D-1", "L-1", "L-2")
    first = await stock.claim(stock.loss("D-1", "L-1"))
    same = stock.loss("D-1", "L-1")
    assert await reported(stock, same, 3) == first
    second = await reported(stock, stock.loss("D-1"), 4)

    await stock.backend.close(rejected(first))

    third = await further(stock, first, second)
    assert third == await reported(stock, same, 9)
    assert await stock.messages(third) == [("report", 1), ("report", 2), ("overtaken", 3)]
    assert [await licences(stock, key) for key in (second, third)] == [["L-2"], ["L-1"]]


async def test_two_wider_reports_claim_what_a_rejected_case_frees_once(stock: Stock) -> None:
    await stock.container("A-1", "L-1", "L-2", kind=Kind.ACT)
    act = {"kind": Kind.ACT}
    first = await stock.claim(stock.loss("A-1", "L-1", reason=Reason.SAME_HARDWARE, **act))
    second = await reported(stock, stock.loss("A-1", "L-1", "L-2", reason=Reason.SAME_HARDWARE, **act), 3)
    third = await reported(stock, stock.loss("A-1", reason=Reason.COMPUTER_STOLEN, **act), 4)

    await stock.backend.close(rejected(first))

    fourth = await further(stock, first, second, third)
    assert fourth is not None
    assert (await stock.opening(fourth)).beside == second.case
    assert await stock.messages(fourth) == [("report", 1), ("report", 2), ("overtaken", 3)]
    assert [await licences(stock, key) for key in (second, third, fourth)] == [["L-2"], [], ["L-1"]]


async def test_a_report_that_joined_another_case_is_still_of_what_a_rejected_one_frees_after_it(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    first = await stock.claim(stock.loss("D-1", "L-1"))
    second = await stock.claim(stock.loss("D-1", "L-2"))
    both = await reported(stock, stock.loss("D-1", "L-1", "L-2"), 3)
    over, other = (second, first) if both == first else (first, second)

    await stock.backend.close(rejected(over))

    third = await further(stock, first, second)
    assert third is not None
    assert ((await stock.opening(third)).former, (await stock.opening(third)).beside) == (over.case, other.case)
    assert await licences(stock, third) == ["L-2" if over == second else "L-1"]


async def test_a_theft_reported_after_a_case_was_given_up_and_before_it_is_closed_is_blocked(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    order = await stock.lost("D-1")
    assert isinstance(await stock.backend.issue(order), Issued)
    theft = stock.loss("D-1", reason=Reason.STOLEN)
    assert await reported(stock, theft, 3) == order.key

    await stock.backend.close(rejected(order.key, recovered=True, outcome=Outcome.GIVEN_UP))

    again = await stock.ordered(theft)
    assert again.key != order.key
    assert (await stock.opening(again.key)).beside == order.key.case
    assert (await stock.contact("D-1")).refused is True


async def test_a_report_of_what_a_closed_case_recovered_is_stated_and_stays_its(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    order = await stock.lost("D-1")
    assert isinstance(await stock.backend.issue(order), Issued)
    late = await stock.backend.claim(principal(stock.vendor), loss("R-2", "D-1"), NOW + 3 * MINUTE)

    await stock.backend.close(CloseOrder(key=order.key, recovered=True, taken=1, decided=NOW))
    later = await stock.backend.claim(principal(stock.vendor), loss("R-3", "D-1"), NOW + 3 * MINUTE)

    assert late.key == later.key == order.key
    assert [one.statement for one in await stock.facts(CaseAddressed)] == ["report/R-2", "report/R-3"]


async def test_what_else_is_said_to_a_case_that_is_over_is_a_fact_and_a_decision_is_denied(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(loss("R-1", "D-1"))
    (pending,) = await accepted(stock, key, approval())
    await stock.backend.close(CloseOrder(key=key, recovered=False, taken=1, decided=NOW))
    (late,) = await accepted(stock, key, approval("D-2"))
    await stock.backend.turn_up(principal(stock.vendor), found("F-1"), NOW)
    evidence = EvidenceStatement(
        statement="E-1", report="R-1", serial="D-1", reporter=CRM, evidence=("photo",), occurred=NOW
    )
    await stock.backend.give_evidence(principal(stock.vendor), evidence, NOW)

    assert (pending.refused, late.refused) == (None, Code.NOTHING_TO_DECIDE)
    assert [(one.statement, one.code) for one in await stock.facts(CaseAddressed)] == [
        ("decision/D-1", Code.NOTHING_TO_DECIDE),
        ("decision/D-2", Code.NOTHING_TO_DECIDE),
        ("found/F-1", None),
        ("evidence/E-1", None),
    ]
    cases = Known()
    async with delivering(stock, cases):
        other = await stock.claim(loss("R-2", "D-1"))
        await eventually(lambda: brought(cases, other, 1))
    assert cases.numbers(key) == []


async def test_closing_again_answers_the_same_and_changes_nothing(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(loss("R-1", "D-1"))
    await stock.backend.claim(principal(stock.vendor), loss("R-2", "D-1"), NOW)
    order = CloseOrder(key=key, recovered=False, taken=1, decided=NOW)

    first = await stock.backend.close(order)
    before = await stock.all_facts()

    assert await stock.backend.close(order) == first
    assert await stock.all_facts() == before
