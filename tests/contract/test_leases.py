"""Leases: each stage is stated once, and nothing of what is blocked or superseded."""

import asyncio
from datetime import timedelta

from events.backend_facts import LeaseDueSoon, LeaseFact, LeaseLapsed, LeaseOverdue
from events.lease import Interval, Lease, Unit
from events.ports.licensing_backend import CloseOrder, Issued, ReinstateOrder
from events.terms import Kind, Reason
from tests.contract.stock import NOW, Stock

DAY = timedelta(days=1)
SOON, DUE, END = NOW + DAY * 5.25, NOW + DAY * 7, NOW + DAY * 10  # a week with three days of grace
LIMIT = 10_000


async def names(stock: Stock) -> list[str]:
    return [fact.name for fact in await stock.facts(LeaseFact)]


async def test_every_stage_is_stated_once_at_its_time(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.licence("L-0", "D-1", lease=Lease())
    sweep = stock.backend.sweep_leases

    found = []
    for at in (SOON - DAY, SOON, SOON, DUE, DUE, END, END + DAY):
        await sweep(at, LIMIT)
        found.append(await names(stock))

    soon, due, end = LeaseDueSoon.name, LeaseOverdue.name, LeaseLapsed.name
    assert found == [[], [soon], [soon], [soon, due], [soon, due], [soon, due, end], [soon, due, end]]
    assert {(fact.licence, fact.due, fact.expires) for fact in await stock.facts(LeaseFact)} == {("L-1", DUE, END)}


async def test_a_long_interval_is_soon_due_a_week_before(stock: Stock) -> None:
    await stock.container("D-1", "L-1", lease=Lease(check_in=Interval(unit=Unit.YEAR)))
    due = NOW.replace(year=NOW.year + 1)

    await stock.backend.sweep_leases(due - 8 * DAY, LIMIT)
    before = await names(stock)
    await stock.backend.sweep_leases(due - 7 * DAY, LIMIT)

    assert (before, await names(stock)) == ([], [LeaseDueSoon.name])


async def test_a_renewal_begins_anew(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.backend.sweep_leases(DUE, LIMIT)

    await stock.contact("D-1", days=8)
    await stock.backend.sweep_leases(NOW + 13 * DAY, LIMIT)
    renewed = await names(stock)
    await stock.backend.sweep_leases(NOW + 14 * DAY, LIMIT)

    assert renewed == [LeaseDueSoon.name, LeaseOverdue.name]
    assert await names(stock) == [*renewed, LeaseDueSoon.name]


async def test_nothing_is_stated_of_what_is_blocked_until_it_is_lifted(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await stock.container("D-2", "L-3", "L-4")
    whole = await stock.lost("D-1")
    await stock.lost("D-2", "L-3")

    await stock.backend.sweep_leases(SOON, LIMIT)
    assert [fact.licence for fact in await stock.facts(LeaseFact)] == ["L-4"]

    await stock.backend.close(CloseOrder(key=whole.key, recovered=False, lift=True))
    await stock.backend.sweep_leases(SOON, LIMIT)
    assert [fact.licence for fact in await stock.facts(LeaseFact)] == ["L-4", "L-1", "L-2"]


async def test_nothing_is_stated_of_a_superseded_generation(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    stock.pass_(10 * DAY)
    await stock.backend.issue(await stock.lost("D-1"))

    await stock.backend.sweep_leases(END, LIMIT)

    assert await names(stock) == []


async def test_a_sweep_states_no_more_than_asked_for_and_the_next_goes_on(stock: Stock) -> None:
    while await stock.backend.sweep_leases(DUE, LIMIT):
        pass  # those of other vendors
    await stock.container("D-1", "L-1", "L-2", "L-3")

    counts = [await stock.backend.sweep_leases(DUE, 2) for _ in range(4)]

    assert counts == [2, 2, 2, 0]
    assert sorted(await names(stock)) == [LeaseDueSoon.name] * 3 + [LeaseOverdue.name] * 3


async def test_sweeps_at_once_state_each_stage_once(stock: Stock) -> None:
    for number in range(20):
        await stock.container(f"D-{number}", f"L-{number}")

    await asyncio.gather(*(stock.backend.sweep_leases(DUE, LIMIT) for _ in range(6)))
    await stock.backend.sweep_leases(DUE, LIMIT)

    assert len(await names(stock)) == 40


# A lease that was put off is looked at again, whatever lifts what put it off.


async def put_off(stock: Stock) -> None:
    """A sweep that finds the lease due, and its licence blocked."""
    stock.pass_(6 * DAY)
    await stock.backend.sweep_leases(NOW + 6 * DAY, LIMIT)
    assert await names(stock) == []


async def lapsed(stock: Stock) -> list[str]:
    """What is stated of leases by the time that all have lapsed which nobody renewed."""
    stock.pass_(20 * DAY)
    for _ in range(3):
        await stock.backend.sweep_leases(NOW + 26 * DAY, LIMIT)
    return await names(stock)


ALL = [LeaseDueSoon.name, LeaseOverdue.name, LeaseLapsed.name]


async def test_leases_are_looked_at_again_after_an_original_is_reinstated_as_it_was(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    order = await stock.lost("D-1")
    await put_off(stock)

    await stock.backend.reinstate(ReinstateOrder(key=order.key, number=next(stock.numbers)))

    assert await lapsed(stock) == ALL


async def test_leases_are_looked_at_again_after_a_replacement_is_kept(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    order = await stock.lost("D-1")
    assert isinstance(await stock.backend.issue(order), Issued)
    await stock.backend.withdraw(stock.next(order.key))
    await put_off(stock)

    await stock.backend.keep(stock.next(order.key))

    assert await lapsed(stock) == ALL


async def test_leases_are_looked_at_again_after_a_locked_container_has_a_new_generation(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    order = await stock.lost("D-1")
    await stock.contact("D-1", days=0)  # confirms the measure, which nothing lifts any more
    await put_off(stock)

    await stock.backend.reinstate(ReinstateOrder(key=order.key, number=next(stock.numbers)))

    assert await lapsed(stock) == ALL


async def test_leases_in_a_cloud_container_are_put_off_while_its_access_data_are_blocked_and_no_longer(
    stock: Stock,
) -> None:
    await stock.container("K-1", "L-1", kind=Kind.CLOUD)
    order = await stock.lost("K-1", kind=Kind.CLOUD, reason=Reason.STOLEN)
    await put_off(stock)

    assert isinstance(await stock.backend.issue(order), Issued)  # the access data are rotated

    assert await lapsed(stock) == ALL
