"""Sizes on a real backend: a container is full at a number, and what would not fit goes nowhere."""

import pytest
from pydantic import JsonValue

from activities.licensing import answer_rules, assessment, containers
from events.backend_facts import LicenceIssued, PolicyAdopted
from events.errors import Code, RefusalError
from events.ports.licensing_backend import CaseOrder, Issued, NoTargetFound, ReinstateOrder, ScopeOrder
from events.terms import VendorId
from tests.integration.stock import NOW, WEEKLY, Stock

pytestmark = pytest.mark.integration


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container holds at most three licences."""
    monkeypatch.setattr(containers, "CONTAINER_LICENCES", 3)


@pytest.mark.usefixtures("three")
async def test_a_container_takes_no_licence_beyond_its_limit_and_a_known_one_again(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2", "L-3")

    with pytest.raises(RefusalError, match="D-1 holds 3 licences and takes at most 3; put this one into") as refused:
        await stock.licence("L-4", "D-1")
    await stock.licence("L-3", "D-1")

    assert refused.value.code is Code.CONTAINER_FULL
    assert [fact.licence for fact in await stock.facts(LicenceIssued)] == ["L-1", "L-2", "L-3"]
    await stock.container("D-2")
    await stock.licence("L-4", "D-2")


@pytest.mark.usefixtures("three")
async def test_a_container_without_room_for_a_replacement_is_no_target(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await stock.container("D-2", "L-3", "L-4")
    order = await stock.lost("D-1", "L-1", "L-2")

    none = await stock.backend.issue(order)
    assert isinstance(none, NoTargetFound)
    assert none.tickets == ("T-L-1", "T-L-2")
    await stock.container("D-3", "L-5")

    issued = await stock.backend.issue(order)

    assert isinstance(issued, Issued)
    assert issued.target == "D-3"


@pytest.mark.usefixtures("three")
async def test_an_original_that_was_filled_meanwhile_takes_nothing_back(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await stock.container("D-2")
    order = await stock.lost("D-1")
    assert isinstance(await stock.backend.issue(order), Issued)
    await stock.licence("L-3", "D-1")
    await stock.licence("L-4", "D-1")
    await stock.backend.withdraw(CaseOrder(key=order.key, number=next(stock.numbers)))
    await stock.contact("D-2", days=2)
    await stock.contact("D-2", days=3, confirms=True)

    with pytest.raises(RefusalError) as refused:
        await stock.backend.reinstate(ReinstateOrder(key=order.key, number=next(stock.numbers)))

    assert refused.value.code is Code.CONTAINER_FULL
    assert await stock.serial_of("L-1") == ("D-2", 2)


async def test_a_case_learns_a_large_scope_page_by_page_and_always_the_same(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (answer_rules, assessment):
        monkeypatch.setattr(module, "SCOPE_PAGE", 2)
    await stock.container("D-1", *(f"L-{number}" for number in range(5)))
    key = await stock.claim(stock.loss("D-1"))

    first = await stock.backend.assess(key)
    await stock.contact("D-1", days=1)
    again = await stock.backend.assess(key)
    pages = [await stock.backend.scope(ScopeOrder(key=key, skip=skip)) for skip in (2, 4)]

    assert again == first
    assert first.licences == 5
    assert [item.licence for item in first.facts.licences] == ["L-0", "L-1"]
    assert [[item.licence for item in page.licences] for page in pages] == [["L-2", "L-3"], ["L-4"]]
    assert {item.expires for page in pages for item in page.licences} == {WEEKLY.expiry(NOW)}  # as it was at first


async def test_a_policy_that_is_too_long_to_be_stated_is_not_adopted_and_the_longest_is(stock: Stock) -> None:
    def policy(size: int) -> dict[str, JsonValue]:
        fixed = len('{"supervisors":[]}')
        names: list[JsonValue] = [f"{number:077}" for number in range((size - fixed - 3) // 80)]
        names.append("x" * (size - fixed - 80 * len(names) - 2))
        return {"supervisors": names}

    with pytest.raises(RefusalError, match=r"has 60,001 bytes as JSON, .*; the limit is 60,000: join rules") as refused:
        await stock.backend.adopt_policy(stock.vendor, policy(60_001), NOW)
    with pytest.raises(RefusalError):
        await stock.backend.add_vendor(VendorId("another"), policy(60_001), NOW)
    assert (await stock.backend.adopt_policy(stock.vendor, policy(60_000), NOW)).version == 2

    assert refused.value.code is Code.POLICY_TOO_LARGE
    adopted = (await stock.facts(PolicyAdopted))[-1]
    assert adopted.document == {**policy(60_000), "policy_version": 2}
