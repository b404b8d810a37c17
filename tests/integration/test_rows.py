"""What stands in rows of PostgreSQL and in no order or statement: a generation that moved, and rows of long ago."""

import pytest
from psycopg import AsyncConnection

from events.backend_facts import LicenceSuperseded
from events.errors import Code, RefusalError
from tests.contract.test_backend import NOW, blocked, container, licence, stocked
from tests.integration.stock import Stock

pytestmark = pytest.mark.integration


async def test_a_generation_that_moved_on_is_not_superseded_again(stock: Stock) -> None:
    await stocked(stock.backend, stock.vendor)
    order = await blocked(stock.backend, stock.vendor)
    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        other = "update backend.claims set generation = 9 where vendor = %s and subject = 'licence/L-1'"
        await connection.execute(other, (stock.vendor,))

    with pytest.raises(RefusalError) as refusal:
        await stock.backend.issue(order)

    assert refusal.value.code is Code.GENERATION_CONFLICT
    assert not await stock.facts(LicenceSuperseded)


async def test_what_was_stated_before_statements_were_kept_is_compared_as_far_as_it_is_known(stock: Stock) -> None:
    await stocked(stock.backend, stock.vendor)
    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        for table in ("licences", "containers"):
            await connection.execute(f"update backend.{table} set stated = null where vendor = %s", (stock.vendor,))

    await stocked(stock.backend, stock.vendor)

    with pytest.raises(RefusalError, match="another value_cents"):
        await stock.backend.register_licence(
            stock.vendor, licence(1, "lost").model_copy(update={"value_cents": 7}), NOW
        )
    with pytest.raises(RefusalError, match="another holder"):
        await stock.backend.register_container(stock.vendor, container("lost", holder="h-2"), NOW)
