"""Recovery quotas: set aside under lock, at most so many for each subject in any rolling term."""

import asyncio
from collections import Counter
from datetime import timedelta

from events.backend_facts import RecoveryFreed, RecoveryReserved
from events.ports.licensing_backend import CloseOrder, QuotaOrder, ReserveOrder
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
    quota = QuotaOrder(pot=pot, subjects=subjects, limit=limit, term_days=30)
    return ReserveOrder(key=key, quotas=(quota,), received=NOW + after)


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


async def order_of(stock: Stock, *quotas: QuotaOrder) -> ReserveOrder:
    """The order of a new case in several quotas."""
    return (await order(stock, "none")).model_copy(update={"quotas": quotas})


def per(subject: str, limit: int, pot: PotName = RECOVERIES, term_days: int = 30) -> QuotaOrder:
    return QuotaOrder(pot=pot, subjects=(subject,), limit=limit, term_days=term_days)


async def test_a_case_takes_one_in_every_quota_or_none_and_gives_all_back(stock: Stock) -> None:
    cad, plm = per("product/cad", 1), per("holder/h-1", 2, PotName("plm"), 365)
    first, second = await order_of(stock, cad, plm), await order_of(stock, plm, cad)

    told = await stock.backend.reserve(first)
    short = await stock.backend.reserve(second)

    assert [(one.ordinal, one.limit) for one in told.quotas] == [(1, 1), (1, 2)]
    assert (told.ordinal, told.limit) == (1, 1)
    assert [(one.ordinal, one.limit, one.used_up) for one in short.quotas] == [(None, 2, False), (None, 1, True)]
    assert (await stock.backend.reserve(await order_of(stock, plm))).ordinal == 2
    assert (await stock.backend.reserve(await order_of(stock, plm))).ordinal is None
    stated = [(fact.case, fact.pot, fact.term_days) for fact in await stock.facts(RecoveryReserved)]
    assert stated[:2] == [(first.key.case, RECOVERIES, 30), (first.key.case, "plm", 365)]

    again = await stock.backend.reserve(first.model_copy(update={"number": 7}))
    await stock.backend.close(CloseOrder(key=first.key, recovered=False, number=8))

    assert again == told
    assert [fact.case for fact in await stock.facts(RecoveryFreed)] == [first.key.case]
    assert (await stock.backend.reserve(second.model_copy(update={"number": 1}))).ordinal == 1


async def test_a_case_counts_once_in_a_pot_for_a_holder_whatever_terms_it_was_set_aside_for(stock: Stock) -> None:
    long, short = per("holder/h-1", 3, term_days=365), per("holder/h-1", 2)

    answers = [await stock.backend.reserve(await order_of(stock, long, short)) for _ in range(3)]

    assert [answer.ordinal for answer in answers] == [1, 2, None]
    assert (await stock.backend.reserve(await order_of(stock, long))).ordinal == 3


async def test_cases_with_their_quotas_in_another_order_never_wait_for_each_other(stock: Stock) -> None:
    quotas = [
        QuotaOrder(pot=PotName(f"pot-{number}"), subjects=("holder/h-1", f"product/{number}"), limit=7, term_days=30)
        for number in range(4)
    ]
    orders = [await order_of(stock, *(quotas[number % 4 :] + quotas[: number % 4])) for number in range(12)]

    answers = await asyncio.gather(*(stock.backend.reserve(one) for one in orders))

    assert sorted(answer.ordinal for answer in answers if answer.ordinal) == list(range(1, 8))
    reserved = Counter(fact.case for fact in await stock.facts(RecoveryReserved))
    assert sorted(reserved.values()) == [4] * 7
