"""A late duplicate of any earlier order of a case changes nothing and is answered as before."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from events.errors import Code, RefusalError
from events.ports.licensing_backend import (
    BlockOrder,
    CaseKey,
    CaseOrder,
    CloseOrder,
    IssueOrder,
    QuotaOrder,
    ReinstateOrder,
    ReserveOrder,
)
from events.terms import Kind, Measure, Reason, Value
from tests.contract.stock import NEW, NOW, Stock


@dataclass
class Orders:
    """The orders of one case, each with its answer; whatever is ordered, all earlier ones then come once more."""

    stock: Stock
    key: CaseKey
    given: list[tuple[Callable[[Any], Awaitable[Value]], Any, bytes]] = field(default_factory=list)

    async def give(self, to: Callable[[Any], Awaitable[Value]], order: Any) -> Any:
        """An order with the next number, and after it once more each one that came before."""
        numbered = order if isinstance(order, CaseKey) else self.stock.anew(order)
        answer = await to(numbered)
        self.given.append((to, numbered, answer.model_dump_json().encode()))
        await self.repeat_all()
        return answer

    async def repeat_all(self) -> None:
        """Every order so far comes once more, from several frozen workers at once."""
        before = await self.stock.all_facts()
        again = await asyncio.gather(*(to(order) for to, order, _ in self.given for _ in range(2)))
        assert [one.model_dump_json().encode() for one in again[::2]] == [answer for *_, answer in self.given]
        assert again[::2] == again[1::2]
        assert await self.stock.all_facts() == before


def quota(key: CaseKey, limit: int) -> ReserveOrder:
    one = QuotaOrder(subjects=("holder/h-1",), limit=limit, term_days=30)
    return ReserveOrder(key=key, quotas=(one,), received=NOW)


async def test_late_orders_of_a_case_that_is_replaced_found_kept_found_again_and_closed(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(stock.loss("D-1"))
    orders, backend = Orders(stock, key), stock.backend

    licences = (await orders.give(backend.assess, key)).facts.licences
    assert (await orders.give(backend.reserve, quota(key, 0))).ordinal is None
    assert (await orders.give(backend.reserve, quota(key, 1))).ordinal == 1
    await orders.give(backend.block, BlockOrder(key=key, measures=()))
    order = IssueOrder(key=key, licences=licences, measures=())
    assert not (await orders.give(backend.issue, order)).issued
    await stock.container("D-2")
    await orders.repeat_all()
    assert (await orders.give(backend.issue, order)).issued
    assert not (await orders.give(backend.withdraw, CaseOrder(key=key))).confirmed
    await orders.give(backend.keep, CaseOrder(key=key))
    assert not (await stock.contact("D-2")).refused
    assert not (await orders.give(backend.withdraw, CaseOrder(key=key))).confirmed
    assert (await stock.contact("D-2")).refused
    await stock.contact("D-2", confirms=True)
    assert (await orders.give(backend.withdraw, CaseOrder(key=key))).confirmed
    await orders.give(backend.reinstate, ReinstateOrder(key=key, licences=licences))
    await orders.give(backend.close, CloseOrder(key=key, recovered=True))

    assert await stock.serial_of("L-1") == ("D-1", 3)
    assert not (await stock.contact("D-1")).refused


async def test_late_orders_of_a_case_that_is_given_up_recover_and_block_nothing(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(stock.loss("D-1"))
    orders, backend = Orders(stock, key), stock.backend
    licences = (await orders.give(backend.assess, key)).facts.licences
    await orders.give(backend.reserve, quota(key, 1))
    await orders.give(backend.issue, IssueOrder(key=key, licences=licences, measures=()))
    await orders.give(backend.close, CloseOrder(key=key, recovered=False, lift=True))
    await stock.container("D-2")
    await orders.repeat_all()

    measures = BlockOrder.model_validate({"key": key, "measures": [{"measure": Measure.BLACKLISTING}], "number": 99})
    for late in (
        backend.block(measures),
        backend.reserve(quota(key, 5).model_copy(update={"number": 99})),
        backend.issue(IssueOrder(key=key, licences=licences, measures=(), number=99)),
        backend.withdraw(CaseOrder(key=key, number=99)),
        backend.keep(CaseOrder(key=key, number=99)),
        backend.reinstate(ReinstateOrder(key=key, licences=licences, number=99)),
    ):
        with pytest.raises(RefusalError) as refusal:
            await late
        assert refusal.value.code is Code.TOO_LATE
    await orders.repeat_all()
    assert await stock.serial_of("L-1") == ("D-1", 1)
    assert not (await stock.contact("D-1")).refused


async def test_an_order_that_was_refused_changes_nothing_once_the_case_has_gone_on(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    order = await stock.lost("D-1")
    refused = order.model_copy(update={"measures": (Measure.WITHDRAWAL,), "number": 5})
    with pytest.raises(RefusalError) as refusal:
        await stock.backend.issue(refused)
    assert refusal.value.code is Code.NOT_BLOCKED
    await stock.backend.close(CloseOrder(key=order.key, recovered=False, lift=True, number=7))

    for late in (refused, order.model_copy(update={"number": 5})):
        with pytest.raises(RefusalError) as refusal:
            await stock.backend.issue(late)
        assert refusal.value.code is Code.TOO_LATE
    assert await stock.serial_of("L-1") == ("D-1", 1)


async def test_late_orders_for_an_act_and_for_access_data_change_nothing(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    await stock.container("C-1", "L-2", kind=Kind.CLOUD)
    for serial, kind, reason in (
        ("A-1", Kind.ACT, Reason.HARDWARE_REPLACED),
        ("C-1", Kind.CLOUD, Reason.STOLEN),
    ):
        lost = await stock.lost(serial, kind=kind, reason=reason)
        orders = Orders(stock, lost.key)
        await orders.give(stock.backend.assess, lost.key)
        answer = await orders.give(stock.backend.issue, lost)
        assert answer.issued is (kind is Kind.CLOUD)
        if kind is Kind.ACT:
            await stock.activate(serial, NEW)
            await orders.repeat_all()
            assert (await orders.give(stock.backend.issue, lost)).issued
        await orders.give(stock.backend.close, CloseOrder(key=lost.key, recovered=True))
