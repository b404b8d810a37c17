"""Recovery quotas: set aside under lock, at most so many for each subject in any rolling term."""

import asyncio
from datetime import timedelta

from events.backend_facts import RecoveryFreed, RecoveryReserved
from events.ports.licensing_backend import CloseOrder, ReserveOrder
from events.terms import RECOVERIES, SAME_HARDWARE, PotName
from tests.contract.stock import NOW, Stock

DAY = timedelta(days=1)


async def order(
    stock: Stock, *subjects: str, limit: int = 2, after: timedelta = timedelta(), pot: PotName = RECOVERIES
) -> ReserveOrder:
    """The order of a new case whose report was received so long after the beginning."""
    serial = f"Q-{next(stock.numbers)}"
    await stock.container(serial, f"L-{serial}")
    key = await stock.claim(stock.loss(serial))
    return ReserveOrder(key=key, pot=pot, subjects=subjects, limit=limit, term_days=30, received=NOW + after)


async def ordinal(stock: Stock, *subjects: str, limit: int = 2, after: timedelta = timedelta()) -> int | None:
    return (await stock.backend.reserve(await order(stock, *subjects, limit=limit, after=after))).ordinal


async def test_a_limit_above_one_holds_for_every_subject_though_cases_share_some(stock: Stock) -> None:
    granted: dict[str, int] = {}
    for names in ("A",), ("A", "B"), ("C",), ("B", "C"), ("B",), ("B", "D"), ("A", "C"), ("D",), ("D",), ("D",):
        if await ordinal(stock, *(f"product/{name}" for name in names)):
            granted |= {name: granted.get(name, 0) + 1 for name in names}

    assert granted == {"A": 2, "B": 2, "C": 2, "D": 2}
    assert {(fact.pot, fact.term_days, fact.limit) for fact in await stock.facts(RecoveryReserved)} == {
        (RECOVERIES, 30, 2)
    }


async def test_of_many_at_once_so_many_are_set_aside_as_the_limit_says_each_with_its_own_number(stock: Stock) -> None:
    orders = [await order(stock, "holder/h-1", f"product/{number % 2}", limit=3) for number in range(8)]

    answers = await asyncio.gather(*(stock.backend.reserve(one) for one in orders))

    assert sorted(answer.ordinal for answer in answers if answer.ordinal) == [1, 2, 3]


async def test_a_recovery_counts_while_less_than_the_term_lies_between_the_receipts(stock: Stock) -> None:
    assert await ordinal(stock, "holder/h-1", limit=1) == 1
    assert await ordinal(stock, "holder/h-1", limit=1, after=30 * DAY) == 1
    assert await ordinal(stock, "holder/h-1", limit=1, after=-30 * DAY) == 1
    assert await ordinal(stock, "holder/h-1", limit=1, after=60 * DAY - timedelta(microseconds=1)) is None
    assert await ordinal(stock, "holder/h-1", limit=1, after=timedelta(microseconds=1) - 60 * DAY) is None


async def test_every_pot_is_counted_by_itself(stock: Stock) -> None:
    async def granted(pot: PotName) -> int | None:
        return (await stock.backend.reserve(await order(stock, "holder/h-1", limit=1, pot=pot))).ordinal

    assert [await granted(pot) for pot in (RECOVERIES, SAME_HARDWARE, PotName("own"), RECOVERIES)] == [1, 1, 1, None]


async def test_what_a_case_gives_back_another_may_have(stock: Stock) -> None:
    first = await order(stock, "holder/h-1", "product/cad")
    assert (await stock.backend.reserve(first)).ordinal == 1
    assert await ordinal(stock, "product/cad") == 2
    await stock.backend.close(CloseOrder(key=first.key, recovered=False))

    assert [fact.case for fact in await stock.facts(RecoveryFreed)] == [first.key.case]
    assert await ordinal(stock, "product/cad") == 1
    assert await ordinal(stock, "product/cad") is None
