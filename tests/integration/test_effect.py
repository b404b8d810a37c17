"""When a measure is in effect, on a real PostgreSQL: the statement says what the predicate says."""

from datetime import timedelta
from itertools import product

import pytest
from psycopg import AsyncConnection

from events.measure_life import in_effect, sql_in_effect
from events.terms import MeasureState
from tests.integration.stock import NOW, Stock

pytestmark = pytest.mark.integration

HOURS = [timedelta(hours=hours) for hours in (-1, 0, 1)]


async def test_the_statement_and_the_predicate_say_the_same(stock: Stock) -> None:
    rows = [
        (state, NOW + ordered, NOW + ordered + delay)
        for state, ordered, delay in product(MeasureState, HOURS, (timedelta(), *HOURS[1:]))
    ]

    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        cursor = await connection.execute(
            f"select {sql_in_effect('%s')} from unnest(%s::text[], %s::timestamptz[], %s::timestamptz[])"
            " with ordinality as found(state, ordered, effective, place) order by place",
            (NOW, *(list(column) for column in zip(*rows, strict=True))),
        )
        said = [blocks for (blocks,) in await cursor.fetchall()]

    assert said == [in_effect(*row, NOW) for row in rows]
