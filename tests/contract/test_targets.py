"""A case that waits for a container is told when one comes to be a target, in whatever way."""

import asyncio
from typing import Any

import pytest

from activities.licensing.containers import Container
from activities.licensing.replacement import Wanted, may_take
from events.ports.licensing_backend import CaseKey, CloseOrder, Issued, IssueOrder, NoTargetFound, ReinstateOrder
from events.ports.loss_cases import Offer
from events.terms import HolderId, Kind, Serial, Target
from tests.contract.stock import Stock


async def offered(stock: Stock, key: CaseKey) -> list[str]:
    """The containers that a case was offered, in their order."""
    return [content.serial for content in await stock.contents(key) if isinstance(content, Offer)]


async def waiting(stock: Stock, *licences: str) -> IssueOrder:
    """The case of D-1, or of these licences in it, which finds no target."""
    await stock.container("D-1", "L-1", "L-2")
    order = await stock.lost("D-1", *licences)
    assert isinstance(await stock.backend.issue(order), NoTargetFound)
    assert await offered(stock, order.key) == []
    return order


async def served(stock: Stock, order: IssueOrder, serial: str) -> None:
    """It was offered this container, and gets it."""
    assert await offered(stock, order.key) == [serial]
    answer = await stock.backend.issue(stock.anew(order))
    assert isinstance(answer, Issued)
    assert answer.target == serial


async def test_one_that_is_registered_is_offered(stock: Stock) -> None:
    order = await waiting(stock)
    await stock.container("D-2")
    await stock.container("D-2")

    await served(stock, order, "D-2")


async def test_one_whose_case_is_cancelled_is_offered(stock: Stock) -> None:
    await stock.container("D-2", "L-9")
    other = await stock.lost("D-2")
    order = await waiting(stock, "L-1")

    await stock.backend.close(stock.anew(CloseOrder(key=other.key, recovered=False, lift=True)))

    await served(stock, order, "D-2")


async def test_one_that_was_lost_without_measures_is_offered_once_its_case_is_over(stock: Stock) -> None:
    await stock.container("D-2", "L-9")
    other = await stock.claim(stock.loss("D-2"))
    order = await waiting(stock, "L-1")

    await stock.backend.close(stock.anew(CloseOrder(key=other, recovered=True)))

    await served(stock, order, "D-2")


async def test_one_that_is_blocked_for_good_is_not_offered(stock: Stock) -> None:
    await stock.container("D-2", "L-9")
    other = await stock.lost("D-2")
    order = await waiting(stock, "L-1")

    await stock.backend.close(stock.anew(CloseOrder(key=other.key, recovered=True)))

    assert await offered(stock, order.key) == []


async def test_one_out_of_which_the_last_licence_was_moved_is_offered(stock: Stock) -> None:
    await stock.container("D-3", "L-3")
    await stock.container("D-4", "L-4")
    other = await stock.lost("D-3", "L-3")
    order = await waiting(stock)

    moved = await stock.backend.issue(stock.anew(other))

    assert isinstance(moved, Issued)
    assert moved.target == "D-4"
    await served(stock, order, "D-3")


async def test_one_that_is_emptied_by_an_un_loss_and_the_original_are_offered_to_whom_they_fit(stock: Stock) -> None:
    await stock.container("D-3", "L-3")
    await stock.container("D-4")
    other = await stock.lost("D-3")
    assert isinstance(await stock.backend.issue(other), Issued)
    order = await waiting(stock)
    await stock.backend.withdraw(stock.next(other.key))
    await stock.contact("D-4")
    await stock.contact("D-4", confirms=True)
    assert (await stock.backend.withdraw(stock.next(other.key))).confirmed

    await stock.backend.reinstate(stock.anew(ReinstateOrder(key=other.key)))

    await served(stock, order, "D-4")


async def test_of_a_search_and_what_frees_a_container_at_the_same_instant_one_sees_the_other(stock: Stock) -> None:
    for turn in range(10):
        lost, spare = f"lost-{turn}", f"spare-{turn}"
        await stock.container(lost, f"L-{turn}")
        order = await stock.lost(lost, f"L-{turn}")
        await stock.container(spare, f"S-{turn}")
        other = await stock.claim(stock.loss(spare))

        answer, _ = await asyncio.gather(
            stock.backend.issue(order),
            stock.backend.close(stock.anew(CloseOrder(key=other, recovered=False, lift=True))),
        )

        assert isinstance(answer, Issued) or await offered(stock, order.key) == [spare]
        if not isinstance(answer, Issued):
            assert isinstance(await stock.backend.issue(stock.anew(order)), Issued)
        await stock.claim(stock.loss(spare))


@pytest.mark.parametrize(
    ("target", "more", "takes"),
    [
        (Target.EMPTY_CONTAINER, {}, True),
        (Target.EMPTY_CONTAINER, {"licences": 1}, False),
        (Target.OTHER_CONTAINER, {"licences": 1}, True),
        (Target.OTHER_CONTAINER, {"licences": 6000}, False),
        (Target.EMPTY_CONTAINER, {"holder": "h-2"}, False),
        (Target.EMPTY_CONTAINER, {"kind": Kind.ACT}, False),
        (Target.EMPTY_CONTAINER, {"serial": "D-1"}, False),
    ],
)
def test_a_target_is_of_the_same_holder_and_kind_and_has_room(
    target: Target, more: dict[str, Any], takes: bool
) -> None:
    fields = {"serial": "D-2", "kind": Kind.DONGLE, "holder": "h-1", "licences": 0} | more
    container = Container(**fields, last_contact=None, generation=1, fingerprint=None, returned=0)
    wanted = Wanted(target, HolderId("h-1"), Kind.DONGLE, Serial("D-1"))

    assert may_take(container, wanted, blocked=False, lost=False) is takes
    assert not may_take(container, wanted, blocked=True, lost=False)
    assert not may_take(container, wanted, blocked=False, lost=True)
