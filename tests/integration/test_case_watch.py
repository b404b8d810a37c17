"""An open case for which Temporal runs no workflow is named, until it runs again or is closed."""

import asyncio

import pytest
from psycopg import AsyncConnection

from activities import case_watch
from activities.case_watch import NOT_RUNNING, CaseWatch
from activities.register import PostgresRegister
from events.terms import CaseKey
from infra.wiring import open_pool
from tests.integration.conversation import Known
from tests.integration.stock import Stock
from tests.workflow.harness import eventually

pytestmark = pytest.mark.integration


async def test_an_open_case_that_does_not_run_is_named_until_it_runs_again_or_is_closed(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(case_watch, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(case_watch, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(case_watch, "ROWS", 2)  # so that these are several looks
    keys = []
    for number in range(5):
        await stock.container(f"D-{number}", f"L-{number}")
        keys.append(await stock.claim(stock.loss(f"D-{number}")))
    runs, again, closed, over, new = keys
    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        await connection.execute(
            "update backend.messages set delivered = now() where vendor = %s and case_id <> %s",
            (stock.vendor, new.case),
        )
        await connection.execute("update backend.cases set closed = now() where case_id = %s", (over.case,))

    class Ended(Known):
        async def is_running(self, key: CaseKey) -> bool:
            return key.vendor != stock.vendor or await super().is_running(key)

    cases = Ended(again, closed, over, new)

    async def named(*wanted: CaseKey) -> bool | None:
        entries = await PostgresRegister(stock.settings.dsn).entries(1000)
        ours = {(one.place, one.code) for one in entries if one.vendor == stock.vendor}
        return ours == {(f"workflow/{key.vendor}/{key.case}", NOT_RUNNING) for key in wanted} or None

    async with open_pool(stock.settings, 2) as pool:
        watching = asyncio.create_task(CaseWatch(pool, cases).run())
        try:
            await eventually(lambda: named(again, closed))
            cases.refuses.remove(again.case)
            await eventually(lambda: named(closed))
            async with await AsyncConnection.connect(stock.settings.dsn) as connection:
                await connection.execute("update backend.cases set closed = now() where case_id = %s", (closed.case,))
            await eventually(named)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    assert runs.case not in cases.refuses
