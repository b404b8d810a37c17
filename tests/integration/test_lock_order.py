"""Who says something to several cases has their rows one after the other, whatever else the transaction changes."""

import asyncio
from collections.abc import Awaitable

import pytest
from psycopg import AsyncConnection

from activities.licensing.message_rules import sighting
from activities.licensing.messages import post
from events.ports.licensing_backend import CaseKey, CloseOrder, NoTargetFound
from events.terms import Outcome
from tests.integration.stock import NOW, Stock
from tests.workflow.harness import eventually

pytestmark = pytest.mark.integration

TRIES = 20
"""Of so many pairs of cases the second one has the higher name in some."""


async def crossed(stock: Stock, first: CaseKey, other: CaseKey, operation: Awaitable[object]) -> None:
    """A contact that says something to two cases has the row of the other one, and then takes that of the first, while
    this is done, which changes the row of the first and says something to the other."""
    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        await post(connection, other, sighting("C-1", NOW), NOW)
        running = asyncio.ensure_future(operation)

        async def waits() -> bool | None:
            async with await AsyncConnection.connect(stock.settings.dsn) as another:  # one transaction sees one state
                cursor = await another.execute(
                    "select 1 from pg_stat_activity where %s = any(pg_blocking_pids(pid))",
                    (connection.info.backend_pid,),
                )
                return bool(await cursor.fetchone()) or None

        await eventually(waits)
        await post(connection, first, sighting("C-1", NOW), NOW)
        await connection.commit()
    await running


async def test_a_case_that_closes_and_one_that_it_tells_of_it_are_told_something_at_the_same_time(
    stock: Stock,
) -> None:
    await stock.container("D-1", "L-1", "L-2")
    first = await stock.claim(stock.loss("D-1", "L-1"))
    second = await stock.claim(stock.loss("D-1", "L-2"))
    later, earlier = sorted((first, second), key=lambda key: key.case, reverse=True)
    async with await AsyncConnection.connect(stock.settings.dsn) as connection:  # it waits for this one's un-loss
        await connection.execute(
            "update backend.cases set release = 'lifted' where vendor = %s and case_id = %s",
            (stock.vendor, earlier.case),
        )

    order = CloseOrder(key=later, recovered=False, lift=True, decided=NOW, outcome=Outcome.REJECTED)
    await crossed(stock, later, earlier, stock.backend.close(order))

    assert [name for name, _ in await stock.messages(earlier)] == ["report", "sighting", "offer"]


async def test_a_case_that_is_issued_and_one_that_waits_for_its_container_are_told_something_at_the_same_time(
    stock: Stock,
) -> None:
    await stock.container("S-1", "L-S")
    for number in range(TRIES):
        await stock.container(f"E-{number}", f"M-{number}")
        await stock.container(f"D-{number}", f"L-{number}")
        waiting = await stock.lost(f"E-{number}")
        moving = await stock.lost(f"D-{number}", f"L-{number}")
        assert isinstance(await stock.backend.issue(waiting), NoTargetFound)
        if moving.key.case > waiting.key.case:
            break

    await crossed(stock, moving.key, waiting.key, stock.backend.issue(moving))

    assert ("offer", 3) in await stock.messages(waiting.key)
