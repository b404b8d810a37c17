"""Claims of single licences and of access data on a real PostgreSQL."""

from datetime import timedelta

import pytest

from events.errors import Code, NotYetKnownError, RefusalError
from events.inbox import FoundStatement
from events.licensing import Issued
from events.terms import Kind, Lease, Reason, Reporter, Role
from tests.integration.stock import NOW, Stock
from workflows.exposure import exposure

pytestmark = pytest.mark.integration

CRM = Reporter(role=Role.BACK_OFFICE, name="crm")


async def test_a_report_of_licences_claims_these_and_another_of_others_is_another_case(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2", "L-3")

    first = await stock.claim(stock.loss("D-1", "L-1", "L-2"))
    other = await stock.claim(stock.loss("D-1", "L-3"))
    overlapping = await stock.claim(stock.loss("D-1", "L-2"))
    whole = await stock.claim(stock.loss("D-1"))

    assert (overlapping, other == first) == (first, False)
    assert whole in (first, other)
    assert [item.licence for item in (await stock.backend.assess(first)).facts.licences] == ["L-1", "L-2"]


async def test_the_licences_are_part_of_what_a_report_said(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    stated = stock.loss("D-1", "L-1", "L-2")
    key = await stock.claim(stated)

    assert await stock.claim(stated.model_copy(update={"licences": ("L-2", "L-1")})) == key
    with pytest.raises(RefusalError) as refusal:
        await stock.claim(stated.model_copy(update={"licences": ("L-1",)}))
    assert refusal.value.code is Code.REPORT_ID_TAKEN


async def test_a_licence_that_is_not_in_the_container_is_unknown_and_claims_nothing(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2", "L-2")

    with pytest.raises(NotYetKnownError, match="L-2") as refusal:
        await stock.claim(stock.loss("D-1", "L-1", "L-2"))

    assert refusal.value.code is Code.UNKNOWN_LICENCE
    found = FoundStatement(report="F-1", serial="D-1", reporter=CRM, occurred=NOW)
    with pytest.raises(NotYetKnownError) as nobody:
        await stock.backend.turn_up(stock.vendor, found, "a test", NOW)
    assert nobody.value.code is Code.NO_CASE


async def test_the_loss_of_a_container_that_never_held_a_licence_claims_nothing_and_uses_no_number_up(
    stock: Stock,
) -> None:
    await stock.container("D-1")
    await stock.container("K-1", kind=Kind.CLOUD)
    stated = stock.loss("D-1")
    with pytest.raises(NotYetKnownError) as refusal:
        await stock.claim(stated)

    await stock.licence("L-1", "D-1")
    key = await stock.claim(stated.model_copy(update={"reason": Reason.STOLEN}))
    cloud = await stock.claim(stock.loss("K-1", kind=Kind.CLOUD, reason=Reason.STOLEN))

    assert refusal.value.code is Code.NO_LICENCE
    assert key.serial == "D-1"
    assert cloud.serial == "K-1"


async def test_the_loss_of_a_container_whose_licences_were_all_recovered_joins(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    order = await stock.lost("D-1")
    assert isinstance(await stock.backend.issue(order), Issued)

    assert await stock.claim(stock.loss("D-1")) == order.key


async def test_a_late_report_of_a_recovered_licence_joins_and_one_of_the_replacement_opens(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await stock.container("D-2", "L-3")
    order = await stock.lost("D-1", "L-1")
    assert isinstance(await stock.backend.issue(order), Issued)

    assert await stock.claim(stock.loss("D-1", "L-1")) == order.key
    assert await stock.claim(stock.loss("D-2", "L-1")) != order.key
    assert await stock.claim(stock.loss("D-1")) != order.key  # L-2 is still in it


async def test_a_second_loss_of_an_act_is_a_case_of_its_own(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    first = await stock.lost("A-1", kind=Kind.ACT, reason=Reason.HARDWARE_REPLACED)
    await stock.backend.issue(first)
    await stock.activate("A-1", {"board": "b5", "disk": "d5"})
    assert isinstance(await stock.backend.issue(first), Issued)

    second = await stock.lost("A-1", kind=Kind.ACT, reason=Reason.COMPUTER_STOLEN)

    assert second.key != first.key
    assert (await stock.contact("A-1", generation=2)).cases == (second.key,)


async def test_access_data_are_claimed_and_the_licences_stay(stock: Stock) -> None:
    await stock.container("K-1", "L-1", kind=Kind.CLOUD)
    stated = stock.loss("K-1", kind=Kind.CLOUD, reason=Reason.STOLEN)

    key = await stock.claim(stated)

    assert await stock.claim(stock.loss("K-1", kind=Kind.CLOUD, reason=Reason.FORGOTTEN)) == key
    assert [item.licence for item in (await stock.backend.assess(key)).facts.licences] == ["L-1"]


async def test_the_facts_say_until_when_a_licence_runs(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.licence("L-2", "D-1", lease=Lease(), borrowed_until=NOW)

    facts = (await stock.backend.assess(await stock.claim(stock.loss("D-1")))).facts

    assert [(item.expires is None, item.borrowed_until) for item in facts.licences] == [(False, None), (True, NOW)]


async def test_a_borrowed_licence_runs_to_the_end_of_its_loan(stock: Stock) -> None:
    until = NOW + timedelta(days=200)
    await stock.container("A-1", kind=Kind.ACT)
    await stock.licence("L-1", "A-1", borrowed_until=until)
    key = await stock.claim(stock.loss("A-1", reason=Reason.COMPUTER_STOLEN, kind=Kind.ACT))

    facts = (await stock.backend.assess(key)).facts

    assert exposure(facts.licences, {}).until == until
    assert exposure(facts.licences, {"container/A-1/1": NOW}).until == NOW
