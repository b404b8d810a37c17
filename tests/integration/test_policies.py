"""What policies decide on, and their versions, on a real PostgreSQL."""

from typing import Any, cast

import pytest
from psycopg import AsyncConnection

from events.backend_facts import PolicyAdopted
from events.ports.licensing_backend import CaseKey, CloseOrder, Issued
from tests.integration.stock import NOW, Stock
from workflows.policy import Policy, Rule

pytestmark = pytest.mark.integration


async def test_a_licence_is_as_old_as_its_first_generation(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    assert isinstance(await stock.backend.issue(await stock.lost("D-1")), Issued)

    again = (await stock.backend.assess((await stock.lost("D-2")).key)).facts

    assert [(item.generation, item.first_issued) for item in again.licences] == [(2, NOW)]


async def test_the_other_losses_of_the_holder_are_known_whatever_became_of_them(stock: Stock) -> None:
    for number in range(3):
        await stock.container(f"D-{number}", f"L-{number}")
    closed, still_open, latest = [await stock.claim(stock.loss(f"D-{number}")) for number in range(3)]
    await stock.backend.close(CloseOrder(key=closed, recovered=False))

    async def losses(key: CaseKey) -> int:
        return len((await stock.backend.assess(key)).facts.losses)

    assert [await losses(key) for key in (closed, still_open, latest)] == [2, 2, 2]
    assert (await stock.backend.assess(latest)).facts.losses == (NOW, NOW)


async def versions(stock: Stock) -> list[tuple[int, object]]:
    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        cursor = await connection.execute(
            "select policy_version, policy from backend.policies where vendor = %s order by policy_version",
            (stock.vendor,),
        )
        return await cursor.fetchall()


async def test_a_version_of_a_policy_never_changes(stock: Stock) -> None:
    first = await versions(stock)
    changed = Policy(rules=(Rule(watch_days=5),)).model_dump(mode="json", exclude={"policy_version"})

    adopted = await stock.backend.adopt_policy(stock.vendor, changed, NOW)
    again = await stock.backend.adopt_policy(stock.vendor, changed, NOW)
    back = await stock.backend.adopt_policy(
        stock.vendor, Policy().model_dump(mode="json", exclude={"policy_version"}), NOW
    )

    assert [one.version for one in (adopted, again, back)] == [2, 2, 3]
    assert [version for version, _ in await versions(stock)] == [1, 2, 3]
    assert (await versions(stock))[:1] == first
    assert [fact.policy_version for fact in await stock.facts(PolicyAdopted)] == [1, 2, 3]


async def test_a_case_is_assessed_once_whatever_changes_before_it_is_asked_again(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2", "L-2")
    await stock.container("D-3", "L-3")
    first, other = [await stock.claim(stock.loss(serial)) for serial in ("D-1", "D-2")]
    asked = await stock.backend.assess(first)

    changed = Policy(rules=(Rule(watch_days=5),)).model_dump(mode="json", exclude={"policy_version"})
    await stock.backend.adopt_policy(stock.vendor, changed, NOW)
    await stock.claim(stock.loss("D-3"))
    await stock.contact("D-1")

    assert await stock.backend.assess(first) == asked
    later = await stock.backend.assess(other)
    assert asked.facts.last_contact is None
    assert [cast(dict[str, Any], one.policy)["policy_version"] for one in (asked, later)] == [1, 2]
