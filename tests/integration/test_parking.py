"""Where inbox records wait: in the order of their serial, under leases that end by themselves."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from psycopg import AsyncConnection

from activities.parking import PostgresParking
from events.ports.parking_place import InboxRecord, Parked
from events.terms import Serial, VendorId
from events.topics import inbox
from infra.settings import Settings
from infra.wiring import open_parking

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST, SECOND = Serial("3-1"), Serial("3-2")


@pytest.fixture
async def parking(settings: Settings) -> AsyncIterator[PostgresParking]:
    async with await AsyncConnection.connect(settings.dsn, autocommit=True) as connection:
        await connection.execute("delete from backend.parked")
    async with open_parking(settings) as parking:
        yield parking


def record(vendor: VendorId, offset: int) -> InboxRecord:
    headers = (("content-type", b"x"), ("nul\0", b"\0\xff"), ("none", None))
    return InboxRecord(inbox(vendor), 0, offset, b"k\0", b"\0v", headers, NOW)


async def park(
    parking: PostgresParking, vendor: VendorId, offset: int, serial: Serial = FIRST, rank: int = 2, hold: float = 0
) -> bool:
    return await parking.park(serial, rank, record(vendor, offset), hold, 10)


async def due(parking: PostgresParking, lease: float = 30, each: int = 8) -> list[Parked]:
    return list(await parking.due((), each, 100, lease))


async def test_a_record_is_as_it_came(parking: PostgresParking, vendor: VendorId) -> None:
    await park(parking, vendor, 7)

    (found,) = await due(parking)

    assert (found.record, found.serial, found.rank, found.overdue) == (record(vendor, 7), FIRST, 2, True)


async def test_of_a_serial_only_the_first_is_tried_and_what_others_need_comes_first(
    parking: PostgresParking, vendor: VendorId
) -> None:
    for offset, rank in ((1, 2), (2, 2), (3, 1)):
        await park(parking, vendor, offset, rank=rank)
    await park(parking, vendor, 4, SECOND)

    tried = await due(parking)
    order = []
    following: Parked | None = next(one for one in tried if one.serial == FIRST)
    while following is not None:
        order.append(following.record.offset)
        await parking.remove(following.number)
        following = await parking.following(vendor, FIRST, 30)

    assert sorted(one.record.offset for one in tried) == [3, 4]
    assert order == [3, 1, 2]


async def test_the_lowest_rank_that_waits_is_known_for_each_serial(parking: PostgresParking, vendor: VendorId) -> None:
    await park(parking, vendor, 1, rank=2)
    await park(parking, vendor, 2, rank=1)
    await park(parking, vendor, 3, SECOND, rank=3)

    assert await parking.waiting(vendor, {FIRST, SECOND, Serial("3-9")}) == {FIRST: 1, SECOND: 3}
    assert await parking.waiting(VendorId("nobody"), {FIRST}) == {}


async def test_a_record_that_waits_already_is_parked_once_and_stays_as_it_is(
    parking: PostgresParking, vendor: VendorId
) -> None:
    assert await park(parking, vendor, 1, hold=30)
    assert await park(parking, vendor, 1, hold=0)

    assert await due(parking) == []


@pytest.mark.parametrize(
    "other", [{"value": b"other"}, {"value": None}, {"key": None}, {"headers": ()}, {"headers": (("none", b""),)}]
)
async def test_another_record_at_the_place_of_one_that_waits_waits_too(
    parking: PostgresParking, vendor: VendorId, other: dict[str, Any]
) -> None:
    """As after the topic was made anew."""
    several = [record(vendor, 1), replace(record(vendor, 1), **other)]

    for _ in range(2):
        assert [await parking.park(FIRST, 2, one, 0, 10) for one in several] == [True, True]
    found = [*await due(parking)]
    await parking.remove(found[0].number)
    found += await due(parking)

    assert [one.record for one in found] == several
    assert await parking.park(FIRST, 2, several[1], 0, 1)  # it waits already
    assert not await parking.park(FIRST, 2, several[0], 0, 1)


async def test_a_vendor_has_so_many_waiting_and_no_more(parking: PostgresParking, vendor: VendorId) -> None:
    other = VendorId(f"{vendor}-2")
    taken = [await park(parking, vendor, offset) for offset in range(12)]

    assert taken == [True] * 10 + [False] * 2
    assert await park(parking, vendor, 3)  # it waits already
    assert await park(parking, other, 1)


async def test_of_each_vendor_so_many_are_taken_up_at_a_time(parking: PostgresParking, vendor: VendorId) -> None:
    other = VendorId(f"{vendor}-2")
    for offset in range(10):
        await park(parking, vendor, offset, Serial(f"3-{offset}"))
    await park(parking, other, 99)

    found = await due(parking, each=3)
    rest = await parking.due((vendor,), 3, 100, 30)

    assert sorted(one.record.vendor for one in found) == [vendor] * 3 + [other]
    assert rest == []


async def test_whoever_is_frozen_holds_a_record_no_longer_than_its_lease(
    parking: PostgresParking, vendor: VendorId
) -> None:
    await park(parking, vendor, 1)
    began = time.monotonic()
    (frozen,) = await due(parking, lease=1)

    assert await due(parking) == []
    assert await parking.following(vendor, FIRST, 30) is None
    async with asyncio.timeout(10):
        while not (again := await due(parking)):  # noqa: ASYNC110 - the store's clock decides
            await asyncio.sleep(0.05)

    assert time.monotonic() - began >= 1
    assert again == [frozen]


async def test_several_processes_share_what_waits(parking: PostgresParking, vendor: VendorId) -> None:
    for offset in range(10):
        await park(parking, vendor, offset, Serial(f"3-{offset}"))

    found = await asyncio.gather(*(due(parking, each=4) for _ in range(4)))

    numbers = [one.number for several in found for one in several]
    assert len(numbers) == len(set(numbers))


async def test_a_record_that_is_postponed_waits_until_a_fact_wakes_it(
    parking: PostgresParking, vendor: VendorId
) -> None:
    await park(parking, vendor, 1, hold=600)
    await parking.wake(vendor, FIRST)
    (found,) = await due(parking)
    await parking.postpone(found.number)

    assert not found.overdue
    assert await due(parking) == []
    await parking.wake(vendor, FIRST)
    assert [one.record for one in await due(parking)] == [record(vendor, 1)]
