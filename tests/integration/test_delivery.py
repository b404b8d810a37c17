"""Messages are brought to each case in their order, by several deliveries, and one case holds up no other."""

import asyncio
from collections.abc import Sequence

import pytest
from psycopg import AsyncConnection

from activities.case_watch import NOT_RUNNING
from activities.delivery import AT_ONCE_OF_A_VENDOR, LEASE, WINDOW
from activities.licensing.message_rules import sighting
from activities.licensing.messages import post
from activities.register import PostgresRegister
from events.ports.loss_cases import CaseOverError, Message
from events.ports.register import SetAside
from events.terms import CaseKey
from tests.integration.conversation import Known, brought, delivering
from tests.integration.stock import NOW, Stock
from tests.workflow.harness import eventually

pytestmark = pytest.mark.integration


async def test_two_deliveries_bring_every_message_in_the_order_of_its_case(stock: Stock) -> None:
    keys = []
    for number in range(12):
        await stock.container(f"D-{number}", f"L-{number}")
        keys.append(await stock.claim(stock.loss(f"D-{number}")))
    cases = [Known(), Known()]

    async with delivering(stock, *cases):
        for round_ in range(10):
            for key in keys:
                async with await AsyncConnection.connect(stock.settings.dsn) as connection:
                    assert await post(connection, key, sighting(f"C-{round_}", NOW), NOW)

        async def all_brought() -> bool | None:
            return all(set(cases[0].numbers(key) + cases[1].numbers(key)) == set(range(1, 12)) for key in keys) or None

        await eventually(all_brought)

    for key in keys:
        assert sorted(cases[0].numbers(key) + cases[1].numbers(key)) == list(range(1, 12))
        assert all(one.numbers(key) == sorted(one.numbers(key)) for one in cases)


async def test_a_case_that_takes_nothing_holds_up_no_other_and_is_tried_again(stock: Stock) -> None:
    for serial in ("D-1", "D-2"):
        await stock.container(serial, f"L-{serial}")
    broken = await stock.claim(stock.loss("D-1"))
    cases = Known(broken)

    async with delivering(stock, cases):
        whole = await stock.claim(stock.loss("D-2"))
        await eventually(lambda: brought(cases, whole, 1))

        async def tried() -> bool | None:
            return cases.tried.count(broken) > 1 or None

        await eventually(tried)
        cases.refuses.clear()
        await eventually(lambda: brought(cases, broken, 1))

    assert cases.numbers(broken) == [1]


WAITING = """
insert into backend.messages (vendor, case_id, number, content, accepted, due)
select vendor, case_id, 1 + n, content, accepted, due from backend.messages, generate_series(%s::int, %s::int) n
where vendor = %s and case_id = %s and number = 1"""


async def test_what_waits_for_one_case_costs_no_poll_more_and_hides_no_other_case(stock: Stock) -> None:
    keys = []
    for number in (1, 2, 3):
        await stock.container(f"D-{number}", f"L-{number}")
        keys.append(await stock.claim(stock.loss(f"D-{number}")))
    stuck, behind, free = keys
    wanted = {"each": AT_ONCE_OF_A_VENDOR, "most": 64, "busy": [], "window": WINDOW, "lease": 30.0}
    blocks = []

    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        await connection.execute(
            "update backend.messages set delivered = now() where vendor <> %s and delivered is null", (stock.vendor,)
        )
        await connection.execute(
            "update backend.messages set due = now() + interval '1 h' where vendor = %s and case_id = any(%s)",
            (stock.vendor, [stuck.case, behind.case]),
        )
        await connection.execute("update backend.messages set due = now() where case_id = %s", (free.case,))
        for first, last in ((1, 1_000), (1_001, 20_000)):
            await connection.execute(WAITING, (first, last, stock.vendor, stuck.case))
            await connection.execute(
                "update backend.messages set due = now() where case_id = %s and number > 1", (stuck.case,)
            )
            await connection.execute("analyze backend.messages")
            async with connection.transaction(force_rollback=True):
                cursor = await connection.execute(LEASE, wanted)
                assert [(case, number) for _, case, _, number, *_ in await cursor.fetchall()] == [(free.case, 1)]
            async with connection.transaction(force_rollback=True):
                cursor = await connection.execute(f"explain (analyze, buffers, format json) {LEASE}", wanted)
                ((explained,),) = await cursor.fetchall()
                plan = explained[0]["Plan"]
                blocks.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])
        await connection.rollback()

    few, many = blocks
    assert many < 5 * few, blocks  # twenty times as many messages


async def test_what_a_dead_or_frozen_delivery_had_leased_is_brought_by_another_once_the_lease_is_over(
    stock: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.delivery.LEASE_SECONDS", 2.0)
    await stock.container("D-1", "L-1")
    key = await stock.claim(stock.loss("D-1"))

    class Frozen(Known):
        async def send(self, key: CaseKey, messages: Sequence[Message]) -> None:
            self.tried.append(key)
            await asyncio.Event().wait()

    frozen, whole = Frozen(), Known()
    async with delivering(stock, frozen):

        async def leased() -> bool | None:
            return bool(frozen.tried) or None

        await eventually(leased)
    async with delivering(stock, whole):
        await eventually(lambda: brought(whole, key, 1))


async def test_a_message_to_a_case_that_is_closed_meanwhile_is_not_brought_again(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(stock.loss("D-1"))

    class Over(Known):
        async def send(self, key: CaseKey, messages: Sequence[Message]) -> None:
            self.tried.append(key)
            async with await AsyncConnection.connect(stock.settings.dsn) as connection:
                await connection.execute("update backend.cases set closed = now() where case_id = %s", (key.case,))
            raise CaseOverError(key.case)

    cases = Over()
    async with delivering(stock, cases):

        async def undelivered() -> bool | None:
            async with await AsyncConnection.connect(stock.settings.dsn) as connection:
                cursor = await connection.execute(
                    "select 1 from backend.messages where case_id = %s and delivered is null", (key.case,)
                )
                return await cursor.fetchone() is None or None

        await eventually(undelivered)
    assert cases.tried == [key]
    assert await _entry(stock, key) is None


async def test_a_message_to_an_open_case_that_does_not_run_waits_until_it_runs_again_and_the_case_is_named(
    stock: Stock,
) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(stock.loss("D-1"))

    class Ended(Known):
        ended = False

        async def send(self, key: CaseKey, messages: Sequence[Message]) -> None:
            if self.ended:
                raise CaseOverError(key.case)
            await super().send(key, messages)

    cases = Ended()
    async with delivering(stock, cases):
        await eventually(lambda: brought(cases, key, 1))
        cases.ended = True
        await _say(stock, key, "C-1")
        await _say(stock, key, "C-2")
        entry = await eventually(lambda: _entry(stock, key))
        assert cases.numbers(key) == [1]
        cases.ended = False
        await eventually(lambda: brought(cases, key, 3))

    assert cases.numbers(key) == [1, 2, 3]
    assert (entry.vendor, entry.code) == (stock.vendor, NOT_RUNNING)
    assert f"--workflow-id {key.case}" in entry.sentence


async def test_a_message_that_only_a_later_release_knows_waits_and_holds_up_no_other_case(stock: Stock) -> None:
    for serial in ("D-1", "D-2"):
        await stock.container(serial, f"L-{serial}")
    behind, free = [await stock.claim(stock.loss(serial)) for serial in ("D-1", "D-2")]
    cases = Known()
    async with delivering(stock, cases):
        await eventually(lambda: brought(cases, behind, 1))
        await _say(stock, behind, "C-1", "moved")
        await _say(stock, behind, "C-2")
        await eventually(lambda: _tries(stock, behind, 2))
        await _say(stock, free, "C-1")
        await eventually(lambda: brought(cases, free, 2))
        assert cases.numbers(behind) == [1]
        async with await AsyncConnection.connect(stock.settings.dsn) as connection:  # now it knows it
            await connection.execute(RENAME, ("sighting", behind.case, 2))
        await eventually(lambda: brought(cases, behind, 3))

    assert cases.numbers(behind) == [1, 2, 3]


RENAME = """
update backend.messages set content = jsonb_set(content, '{type}', to_jsonb(%s::text))
where (case_id, number) = (%s, %s)"""


async def _say(stock: Stock, key: CaseKey, contact: str, type_: str = "sighting") -> None:
    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        number = await post(connection, key, sighting(contact, NOW), NOW)
        await connection.execute(RENAME, (type_, key.case, number))


async def _tries(stock: Stock, key: CaseKey, count: int) -> bool | None:
    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        query = "select from backend.messages where case_id = %s and tries >= %s"
        return await (await connection.execute(query, (key.case, count))).fetchone() is not None or None


async def _entry(stock: Stock, key: CaseKey) -> SetAside | None:
    entries = await PostgresRegister(stock.settings.dsn).entries(1000)
    return next((entry for entry in entries if entry.place == f"workflow/{key.vendor}/{key.case}"), None)
