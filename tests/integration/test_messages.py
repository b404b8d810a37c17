"""What is said to cases: accepted once, and numbered."""

from datetime import datetime, timedelta

import pytest
from psycopg import AsyncConnection

from activities.licensing.message_rules import Speaker
from activities.licensing.messages import left
from events.backend_facts import CaseAddressed
from events.errors import Code, RefusalError
from events.ports.licensing_backend import CloseOrder
from events.ports.loss_cases import DecisionQuestion
from events.principal import PrincipalRole
from events.statements import EvidenceStatement, FoundStatement
from events.terms import Reason, Reporter, Role, VendorId
from infra.wiring import open_pool
from tests.given import principal, supervisor
from tests.integration.conversation import CRM, Known, accepted, approval, brought, delivering, found, loss
from tests.integration.stock import NOW, Stock
from tests.workflow.harness import eventually

pytestmark = pytest.mark.integration


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
    await stock.backend.turn_up(principal(stock.vendor), found("F-1"), NOW)

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


HOLDER = Reporter(role=Role.HOLDER, name="h-1")


async def test_a_message_keeps_who_acted_in_which_role_by_which_door_and_for_whom(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    inbox = principal(stock.vendor, "an.inbox", door="an inbox")
    key = (await stock.backend.claim(inbox, loss("R-1", "D-1", HOLDER), NOW)).key
    await stock.backend.turn_up(principal(stock.vendor), found("F-1"), NOW)
    await accepted(stock, key, approval())

    async with open_pool(stock.settings, 1) as pool, pool.connection() as connection:
        kept = [one.speaker for one in await left(connection, key, 0, NOW)]

    assert kept == [
        Speaker("an.inbox", PrincipalRole.BACK_OFFICE, "an inbox", on_behalf_of=HOLDER),
        Speaker("crm", PrincipalRole.BACK_OFFICE, "a test"),
        Speaker("ann", PrincipalRole.SUPERVISOR, "a test"),
    ]


async def test_a_message_from_before_principals_were_kept_is_answered_as_it_was(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(loss("R-1", "D-1"))
    await stock.claim(loss("R-2", "D-1", HOLDER))
    await accepted(stock, key, approval())
    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        await connection.execute("update backend.messages set subject = null, acted_as = null")

    await stock.backend.close(CloseOrder(key=key, recovered=False, taken=1))

    assert [(one.statement, one.by, one.role, one.door) for one in await stock.facts(CaseAddressed)] == [
        ("report/R-2", "h-1", Role.HOLDER, "a test"),
        ("decision/D-1", "ann", None, "a test"),
    ]


async def test_another_vendor_has_no_such_case(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(stock.loss("D-1"))

    with pytest.raises(RefusalError) as refusal:
        await stock.backend.accept_decision(supervisor(VendorId("another"), approval().by), key.case, approval(), NOW)

    assert refusal.value.code is Code.UNKNOWN_CASE


async def test_the_numbers_of_reports_finds_and_evidence_are_each_reporters_own(stock: Stock) -> None:
    for serial in ("D-1", "D-2"):
        await stock.container(serial, f"L-{serial}")
    support = Reporter(role=Role.BACK_OFFICE, name="support")
    first = await stock.claim(loss("1", "D-1"))
    second = await stock.claim(loss("1", "D-2", support))

    for serial, reporter in (("D-1", CRM), ("D-2", support)):
        said = {"serial": serial, "reporter": reporter, "occurred": NOW}
        await stock.backend.turn_up(principal(stock.vendor), FoundStatement(report="1", **said), NOW)
        evidence = EvidenceStatement(statement="1", report="1", evidence=("photo",), **said)
        await stock.backend.give_evidence(principal(stock.vendor), evidence, NOW)

    assert first != second
    for key in (first, second):
        assert await stock.messages(key) == [("report", 1), ("sighting", 2), ("evidence", 3)]
    with pytest.raises(RefusalError) as refusal:
        await stock.claim(loss("1", "D-2"))
    assert refusal.value.code is Code.REPORT_ID_TAKEN
    with pytest.raises(RefusalError) as other:
        await stock.backend.turn_up(principal(stock.vendor), found("1", "D-2"), NOW)
    assert other.value.code is Code.REPORT_ID_TAKEN


async def test_a_find_reaches_the_cases_that_were_open_when_it_was_first_said_and_no_later_one(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    first = await stock.claim(stock.loss("D-1"))
    assert await stock.backend.turn_up(principal(stock.vendor), found("F-1"), NOW) == [first]
    await stock.backend.close(CloseOrder(key=first, recovered=False, lift=True, taken=2))
    second = await stock.claim(stock.loss("D-1"))

    assert await stock.backend.turn_up(principal(stock.vendor), found("F-1"), NOW) == []

    assert await stock.messages(second) == [("report", 1)]


async def test_a_case_takes_the_reason_of_the_report_that_opened_it_whoever_joins_first(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(stock.loss("D-1", reason=Reason.STOLEN))
    cases = Known()

    assert await stock.claim(loss("R-late", "D-1")) == key  # the door died before anything else was done
    async with delivering(stock, cases):
        await eventually(lambda: brought(cases, key, 2))

    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        cursor = await connection.execute(
            "select content -> 'report' ->> 'reason' from backend.messages where case_id = %s order by number",
            (key.case,),
        )
        assert [reason for (reason,) in await cursor.fetchall()] == ["stolen", "lost"]


async def test_ten_thousand_reports_of_one_loss_are_one_case_with_a_bounded_number_of_messages(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.licensing.claim_changes.REPORTS_LIMIT", 20)
    await stock.container("D-1", "L-1")
    key = await stock.claim(loss("R-0", "D-1"))

    for number in range(1, 30):
        claim = await stock.backend.claim(principal(stock.vendor), loss(f"R-{number}", "D-1"), _later(number))
        assert (claim.key, claim.closed) == (key, False)

    assert len(await stock.messages(key)) == 20
    assert len(await stock.facts(CaseAddressed)) == 10


def _later(seconds: int) -> datetime:
    return NOW + timedelta(seconds=seconds)
