"""What is said to cases: accepted once, numbered, brought in order, and answered when the case is over."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from activities.delivery import AT_ONCE_OF_A_VENDOR, LEASE, WINDOW, Delivery
from activities.licensing.message_rules import sighting
from activities.licensing.messages import post
from events.backend_facts import CaseAddressed
from events.case_facts import LossReported
from events.errors import Code, RefusalError
from events.ports.licensing_backend import CloseOrder, Issued
from events.ports.loss_cases import (
    AcceptedDecision,
    CaseOverError,
    DecisionDenied,
    DecisionOrder,
    DecisionQuestion,
    DecisionTaken,
    Message,
)
from events.statements import EvidenceStatement, FoundStatement, LossStatement
from events.terms import Action, CaseKey, Kind, Outcome, Reason, Reporter, Role, VendorId
from infra.wiring import open_pool
from tests.integration.stock import NOW, Stock
from tests.workflow.harness import eventually

pytestmark = pytest.mark.integration

CRM = Reporter(role=Role.BACK_OFFICE, name="crm")
MINUTE = timedelta(minutes=1)


def approval(decision: str = "D-1", by: str = "ann", on: int = 1, why: str = "") -> DecisionOrder:
    return DecisionOrder(decision=decision, action=Action.APPROVE, by=by, on=on, why=why)


def loss(report: str, serial: str, reporter: Reporter = CRM) -> LossStatement:
    return LossStatement(
        report=report, serial=serial, kind=Kind.DONGLE, reason=Reason.LOST, reporter=reporter, occurred=NOW
    )


def found(report: str, serial: str = "D-1") -> FoundStatement:
    return FoundStatement(report=report, serial=serial, reporter=CRM, occurred=NOW)


class Known:
    """Cases that keep what they are brought; `refuses` are those that fail to take anything."""

    def __init__(self, *refuses: CaseKey) -> None:
        self.brought: list[tuple[CaseKey, int]] = []
        self.refuses = {key.case for key in refuses}
        self.tried: list[CaseKey] = []

    async def start(self, key: CaseKey, report: LossReported) -> None:
        await self.send(key, [Message.model_validate({"number": 1, "content": {"type": "report", "report": report}})])

    async def send(self, key: CaseKey, messages: Sequence[Message]) -> None:
        self.tried.append(key)
        if key.case in self.refuses:
            raise ValueError("this one takes nothing")
        self.brought += [(key, message.number) for message in messages]

    async def answer(self, accepted: AcceptedDecision, order: DecisionOrder) -> DecisionTaken | DecisionDenied:
        raise AssertionError("nobody asks")

    def numbers(self, key: CaseKey) -> list[int]:
        return [number for case, number in self.brought if case == key]


@asynccontextmanager
async def delivering(stock: Stock, *several: Known) -> AsyncIterator[None]:
    async with open_pool(stock.settings, 4) as pool:
        async with pool.connection() as connection:  # what other tests left is for no case of these
            await connection.execute(
                "update backend.messages set delivered = now() where vendor <> %s and delivered is null",
                (stock.vendor,),
            )
        tasks = [asyncio.create_task(Delivery(pool, cases).run()) for cases in several]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def accepted(stock: Stock, key: CaseKey, *orders: DecisionOrder) -> list[AcceptedDecision]:
    return [await stock.backend.accept_decision(stock.vendor, key.case, order, "a door", NOW) for order in orders]


# Accepted once.


async def test_a_decision_number_with_the_same_content_is_the_same_and_with_other_content_is_denied_and_recorded(
    stock: Stock,
) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(stock.loss("D-1"))

    first, again, stranger, other = await accepted(
        stock, key, approval(), approval(on=7), approval(by="eve"), approval(why="because")
    )

    assert (first.number, first.refused) == (2, None)
    assert (again.number, again.on) == (2, 1)
    assert {stranger.refused, other.refused} == {Code.DECISION_ID_TAKEN}
    assert [(one.statement, one.by, one.code) for one in await stock.facts(CaseAddressed)] == [
        ("decision/D-1", "eve", Code.DECISION_ID_TAKEN),
        ("decision/D-1", "ann", Code.DECISION_ID_TAKEN),
    ]


async def test_reports_and_decisions_may_have_the_same_number(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(loss("N-1", "D-1"))

    (decision,) = await accepted(stock, key, approval("N-1"))

    assert decision.number == 2


async def test_only_what_a_door_accepted_is_confirmed_as_a_decision(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(stock.loss("D-1"))
    (taken,) = await accepted(stock, key, approval(why="seen"))
    await stock.backend.turn_up(stock.vendor, found("F-1"), "a door", NOW)

    confirmed = [
        (await stock.backend.confirm_decision(DecisionQuestion(key=key, number=number))).order
        for number in (1, 2, 3, 4)
    ]

    assert taken.number == 2
    assert confirmed == [None, approval(why="seen"), None, None]


async def test_who_reported_a_loss_that_took_no_more_reports_is_named_as_its_reporter(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.licensing.claim_changes.REPORTS_LIMIT", 2)
    await stock.container("D-1", "L-1")
    await stock.backend.adopt_policy(stock.vendor, {"supervisors": ["ann", "bob"], "rules": [{}]}, NOW)
    key = await stock.claim(loss("R-1", "D-1"))
    await stock.claim(loss("R-2", "D-1"))
    ann = Reporter(role=Role.BACK_OFFICE, name="ann")
    assert await stock.claim(loss("R-3", "D-1", ann)) == key
    assert await stock.messages(key) == [("report", 1), ("report", 2)]  # the case is not told
    (taken,) = await accepted(stock, key, approval())

    confirmed = await stock.backend.confirm_decision(DecisionQuestion(key=key, number=taken.number or 0))

    assert (confirmed.supervisors, confirmed.reporters) == (("ann", "bob"), ("ann",))


async def test_another_vendor_has_no_such_case(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(stock.loss("D-1"))

    with pytest.raises(RefusalError) as refusal:
        await stock.backend.accept_decision(VendorId("another"), key.case, approval(), "a door", NOW)

    assert refusal.value.code is Code.UNKNOWN_CASE


async def test_the_numbers_of_reports_finds_and_evidence_are_each_reporters_own(stock: Stock) -> None:
    for serial in ("D-1", "D-2"):
        await stock.container(serial, f"L-{serial}")
    support = Reporter(role=Role.BACK_OFFICE, name="support")
    first = await stock.claim(loss("1", "D-1"))
    second = await stock.claim(loss("1", "D-2", support))

    for serial, reporter in (("D-1", CRM), ("D-2", support)):
        said = {"serial": serial, "reporter": reporter, "occurred": NOW}
        await stock.backend.turn_up(stock.vendor, FoundStatement(report="1", **said), "a door", NOW)
        evidence = EvidenceStatement(statement="1", report="1", evidence=("photo",), **said)
        await stock.backend.give_evidence(stock.vendor, evidence, "a door", NOW)

    assert first != second
    for key in (first, second):
        assert await stock.messages(key) == [("report", 1), ("sighting", 2), ("evidence", 3)]
    with pytest.raises(RefusalError) as refusal:
        await stock.claim(loss("1", "D-2"))
    assert refusal.value.code is Code.REPORT_ID_TAKEN
    with pytest.raises(RefusalError) as other:
        await stock.backend.turn_up(stock.vendor, found("1", "D-2"), "a door", NOW)
    assert other.value.code is Code.REPORT_ID_TAKEN


async def test_a_find_reaches_the_cases_that_were_open_when_it_was_first_said_and_no_later_one(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    first = await stock.claim(stock.loss("D-1"))
    assert await stock.backend.turn_up(stock.vendor, found("F-1"), "a door", NOW) == [first]
    await stock.backend.close(CloseOrder(key=first, recovered=False, lift=True, taken=2))
    second = await stock.claim(stock.loss("D-1"))

    assert await stock.backend.turn_up(stock.vendor, found("F-1"), "a door", NOW) == []

    assert await stock.messages(second) == [("report", 1)]


async def test_a_case_takes_the_reason_of_the_report_that_opened_it_whoever_joins_first(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(stock.loss("D-1", reason=Reason.STOLEN))
    cases = Known()

    assert await stock.claim(loss("R-late", "D-1")) == key  # the door died before anything else was done
    async with delivering(stock, cases):
        await eventually(lambda: _brought(cases, key, 2))

    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        cursor = await connection.execute(
            "select content -> 'report' ->> 'reason' from backend.messages where case_id = %s order by number",
            (key.case,),
        )
        assert [reason for (reason,) in await cursor.fetchall()] == ["stolen", "lost"]


# Said to a case that is over.


async def test_a_report_after_the_decision_that_ended_a_case_is_of_a_new_case_and_one_before_is_answered(
    stock: Stock,
) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(loss("R-1", "D-1"))
    decided = NOW + 2 * MINUTE
    for report, received in (("R-before", NOW + MINUTE), ("R-after", NOW + 3 * MINUTE)):
        claim = await stock.backend.claim(stock.vendor, loss(report, "D-1"), "a door", received)
        assert claim.key == key

    await stock.backend.close(CloseOrder(key=key, recovered=False, lift=True, taken=1, decided=decided))

    before = await stock.backend.claim(stock.vendor, loss("R-before", "D-1"), "a door", NOW)
    after = await stock.backend.claim(stock.vendor, loss("R-after", "D-1"), "a door", NOW)
    assert (before.key, before.closed) == (key, True)
    assert (after.key == key, after.closed, after.answer) == (False, False, "repeated")
    assert await stock.messages(after.key) == [("report", 1)]
    assert [one.statement for one in await stock.facts(CaseAddressed)] == ["report/R-before"]


async def test_what_was_said_after_a_report_goes_with_it_to_its_new_case(stock: Stock) -> None:
    """A find reaches every case that looks for the container, and evidence the case of its report."""
    await stock.container("D-1", "L-1")
    key = await stock.claim(loss("R-1", "D-1"))
    late = loss("R-2", "D-1")
    await stock.backend.claim(stock.vendor, late, "a door", NOW + 3 * MINUTE)
    evidence = EvidenceStatement(
        statement="E-1", report="R-2", serial="D-1", reporter=CRM, evidence=("photo",), occurred=NOW
    )
    for _ in range(2):
        await stock.backend.give_evidence(stock.vendor, evidence, "a door", NOW)
        await stock.backend.turn_up(stock.vendor, found("F-1"), "a door", NOW + 4 * MINUTE)

    await stock.backend.close(CloseOrder(key=key, recovered=False, lift=True, taken=1, decided=NOW + 2 * MINUTE))

    after = await stock.backend.claim(stock.vendor, late, "a door", NOW)
    assert after.key != key
    assert await stock.messages(after.key) == [("report", 1), ("evidence", 2), ("sighting", 3)]
    assert await stock.backend.give_evidence(stock.vendor, evidence, "a door", NOW) == after.key  # said again
    assert await stock.messages(after.key) == [("report", 1), ("evidence", 2), ("sighting", 3)]


def rejected(key: CaseKey, **more: Any) -> CloseOrder:
    """A case that was rejected two minutes ago, and took nothing but its first report."""
    told = {"key": key, "recovered": False, "lift": True, "taken": 1, "decided": NOW + 2 * MINUTE}
    return CloseOrder.model_validate({**told, "outcome": Outcome.REJECTED, **more})


async def reported(stock: Stock, stated: LossStatement, minutes: int) -> CaseKey:
    """The case of a report that was received so late."""
    return (await stock.backend.claim(stock.vendor, stated, "a door", NOW + minutes * MINUTE)).key


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
    await stock.backend.turn_up(stock.vendor, found("F-0"), "a door", NOW + MINUTE)
    wider = stock.loss("D-1")
    second = await reported(stock, wider, 3)
    await stock.backend.turn_up(stock.vendor, found("F-1"), "a door", NOW + 4 * MINUTE)

    await stock.backend.close(rejected(first))

    third = await further(stock, first, second)
    assert third is not None
    evidence = EvidenceStatement(
        statement="E-1", report=wider.report, serial="D-1", reporter=CRM, evidence=("photo",), occurred=NOW
    )
    assert await stock.backend.give_evidence(stock.vendor, evidence, "a door", NOW) == second
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
    assert await stock.messages(third) == [("report", 1), ("overtaken", 2)]
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
    assert await stock.messages(fourth) == [("report", 1), ("overtaken", 2)]
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
    late = await stock.backend.claim(stock.vendor, loss("R-2", "D-1"), "a door", NOW + 3 * MINUTE)

    await stock.backend.close(CloseOrder(key=order.key, recovered=True, taken=1, decided=NOW))
    later = await stock.backend.claim(stock.vendor, loss("R-3", "D-1"), "a door", NOW + 3 * MINUTE)

    assert late.key == later.key == order.key
    assert [one.statement for one in await stock.facts(CaseAddressed)] == ["report/R-2", "report/R-3"]


async def test_what_else_is_said_to_a_case_that_is_over_is_a_fact_and_a_decision_is_denied(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(loss("R-1", "D-1"))
    (pending,) = await accepted(stock, key, approval())
    await stock.backend.close(CloseOrder(key=key, recovered=False, taken=1, decided=NOW))
    (late,) = await accepted(stock, key, approval("D-2"))
    await stock.backend.turn_up(stock.vendor, found("F-1"), "a door", NOW)
    evidence = EvidenceStatement(
        statement="E-1", report="R-1", serial="D-1", reporter=CRM, evidence=("photo",), occurred=NOW
    )
    await stock.backend.give_evidence(stock.vendor, evidence, "a door", NOW)

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
        await eventually(lambda: _brought(cases, other, 1))
    assert cases.numbers(key) == []


async def test_closing_again_answers_the_same_and_changes_nothing(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(loss("R-1", "D-1"))
    await stock.backend.claim(stock.vendor, loss("R-2", "D-1"), "a door", NOW)
    order = CloseOrder(key=key, recovered=False, taken=1, decided=NOW)

    first = await stock.backend.close(order)
    before = await stock.all_facts()

    assert await stock.backend.close(order) == first
    assert await stock.all_facts() == before


# Brought in order, by several, to each case for itself.


async def _brought(cases: Known, key: CaseKey, count: int) -> bool | None:
    return len(set(cases.numbers(key))) >= count or None


async def test_two_deliveries_bring_every_message_in_the_order_of_its_case(stock: Stock) -> None:
    keys = []
    for number in range(12):
        await stock.container(f"D-{number}", f"L-{number}")
        keys.append(await stock.claim(stock.loss(f"D-{number}")))
    cases = [Known(), Known()]

    async with delivering(stock, *cases):
        for round_ in range(10):
            for key in keys:
                async with await AsyncConnection.connect(stock.settings.dsn) as connection:
                    assert await post(connection, key, sighting(f"C-{round_}", NOW), NOW)

        async def all_brought() -> bool | None:
            return all(set(cases[0].numbers(key) + cases[1].numbers(key)) == set(range(1, 12)) for key in keys) or None

        await eventually(all_brought)

    for key in keys:
        assert sorted(cases[0].numbers(key) + cases[1].numbers(key)) == list(range(1, 12))
        assert all(one.numbers(key) == sorted(one.numbers(key)) for one in cases)


async def test_a_case_that_takes_nothing_holds_up_no_other_and_is_tried_again(stock: Stock) -> None:
    for serial in ("D-1", "D-2"):
        await stock.container(serial, f"L-{serial}")
    broken = await stock.claim(stock.loss("D-1"))
    cases = Known(broken)

    async with delivering(stock, cases):
        whole = await stock.claim(stock.loss("D-2"))
        await eventually(lambda: _brought(cases, whole, 1))

        async def tried() -> bool | None:
            return cases.tried.count(broken) > 1 or None

        await eventually(tried)
        cases.refuses.clear()
        await eventually(lambda: _brought(cases, broken, 1))

    assert cases.numbers(broken) == [1]


WAITING = """
insert into backend.messages (vendor, case_id, number, content, accepted, due)
select vendor, case_id, 1 + n, content, accepted, due from backend.messages, generate_series(%s::int, %s::int) n
where vendor = %s and case_id = %s and number = 1"""


async def test_what_waits_for_one_case_costs_no_poll_more_and_hides_no_other_case(stock: Stock) -> None:
    keys = []
    for number in (1, 2, 3):
        await stock.container(f"D-{number}", f"L-{number}")
        keys.append(await stock.claim(stock.loss(f"D-{number}")))
    stuck, behind, free = keys
    wanted = {"each": AT_ONCE_OF_A_VENDOR, "most": 64, "busy": [], "window": WINDOW, "lease": 30.0}
    blocks = []

    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        await connection.execute(
            "update backend.messages set delivered = now() where vendor <> %s and delivered is null", (stock.vendor,)
        )
        await connection.execute(
            "update backend.messages set due = now() + interval '1 h' where vendor = %s and case_id = any(%s)",
            (stock.vendor, [stuck.case, behind.case]),
        )
        await connection.execute("update backend.messages set due = now() where case_id = %s", (free.case,))
        for first, last in ((1, 1_000), (1_001, 20_000)):
            await connection.execute(WAITING, (first, last, stock.vendor, stuck.case))
            await connection.execute(
                "update backend.messages set due = now() where case_id = %s and number > 1", (stuck.case,)
            )
            await connection.execute("analyze backend.messages")
            async with connection.transaction(force_rollback=True):
                cursor = await connection.execute(LEASE, wanted)
                assert [(case, number) for _, case, _, number, *_ in await cursor.fetchall()] == [(free.case, 1)]
            async with connection.transaction(force_rollback=True):
                cursor = await connection.execute(f"explain (analyze, buffers, format json) {LEASE}", wanted)
                ((explained,),) = await cursor.fetchall()
                plan = explained[0]["Plan"]
                blocks.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
        await connection.rollback()

    few, many = blocks
    assert many < 5 * few, blocks  # twenty times as many messages


async def test_what_a_dead_or_frozen_delivery_had_leased_is_brought_by_another_once_the_lease_is_over(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.delivery.LEASE_SECONDS", 2.0)
    await stock.container("D-1", "L-1")
    key = await stock.claim(stock.loss("D-1"))

    class Frozen(Known):
        async def send(self, key: CaseKey, messages: Sequence[Message]) -> None:
            self.tried.append(key)
            await asyncio.Event().wait()

    frozen, whole = Frozen(), Known()
    async with delivering(stock, frozen):

        async def leased() -> bool | None:
            return bool(frozen.tried) or None

        await eventually(leased)
    async with delivering(stock, whole):
        await eventually(lambda: _brought(whole, key, 1))


async def test_a_message_to_a_case_that_is_over_is_not_brought_again(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(stock.loss("D-1"))

    class Over(Known):
        async def send(self, key: CaseKey, messages: Sequence[Message]) -> None:
            self.tried.append(key)
            raise CaseOverError(key.case)

    cases = Over()
    async with delivering(stock, cases):

        async def undelivered() -> bool | None:
            async with await AsyncConnection.connect(stock.settings.dsn) as connection:
                cursor = await connection.execute(
                    "select 1 from backend.messages where case_id = %s and delivered is null", (key.case,)
                )
                return await cursor.fetchone() is None or None

        await eventually(undelivered)
    assert cases.tried == [key]


async def test_ten_thousand_reports_of_one_loss_are_one_case_with_a_bounded_number_of_messages(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.licensing.claim_changes.REPORTS_LIMIT", 20)
    await stock.container("D-1", "L-1")
    key = await stock.claim(loss("R-0", "D-1"))

    for number in range(1, 30):
        claim = await stock.backend.claim(stock.vendor, loss(f"R-{number}", "D-1"), "a door", _later(number))
        assert (claim.key, claim.closed) == (key, False)

    assert len(await stock.messages(key)) == 20
    assert len(await stock.facts(CaseAddressed)) == 10


def _later(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)
