"""The live projector in processes of its own: whatever happens to it, the rows are exactly what the log says."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from events.envelope import Sealed
from events.log import Position
from events.terms import VendorId
from events.topics import LOG
from projections.damage import Damage, LogDamagedError, StalledError
from projections.live import FaustDriver
from projections.projector import Batch
from projections.replay import rebuild
from projections.steady import SteadyProjector
from projections.watch import Ends, Watch, not_beyond
from tests.integration.logs import LIMIT_SECONDS, PARTITIONS, Log, Projector, Warm, projectors, warmed
from tests.oracle import expected
from tests.services import Services
from tests.worlds import World, interleaved, partition_of

pytestmark = pytest.mark.integration

ACME = VendorId("acme")
both = pytest.mark.parametrize("driver", ["faust", "plain"])


@pytest.fixture(scope="module")
async def warm() -> AsyncIterator[Warm]:
    """Spares most projectors of this file their imports."""
    async with warmed() as warm:
        yield warm


@pytest.fixture
def log(log: Log, warm: Warm) -> Log:
    """An empty log with empty views, whose projectors are forks."""
    log.warm = warm
    return log


def written(losses: int, seed: int = 0) -> list[Sealed]:
    """A world's records, interleaved."""
    dice = random.Random(seed)
    world = World()
    world.add_vendor(ACME)
    for number in range(losses):
        world.lose(ACME, number, waits=dice.random() < 0.3, again=dice.random() < 0.3)
    streams = list(world.streams.values())
    return interleaved(streams, [dice.randrange(10_000) for _ in range(sum(map(len, streams)))])


async def until(true: Callable[[], Awaitable[bool]], *live: Projector) -> None:
    """Wait, bounded."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while not await true():
        assert time.monotonic() < deadline, "\n".join(projector.said() for projector in live)
        await asyncio.sleep(0.02)


async def offsets_of_group(log: Log, offsets: dict[int, int]) -> None:
    """Set the group's offsets, as an operator or a stray process might."""
    consumer = AIOKafkaConsumer(bootstrap_servers=log.bootstrap, group_id=log.group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(LOG, partition) for partition in offsets])
        await consumer.commit({TopicPartition(LOG, partition): offset for partition, offset in offsets.items()})
    finally:
        await consumer.stop()


async def exact(log: Log, *live: Projector) -> None:
    """All is folded, and the rows are what the log says."""
    await log.folded(*live)
    assert await log.rows() == expected(await log.read())


@both
async def test_it_is_ready_once_what_lay_in_the_log_is_folded_and_ends_when_told(log: Log, driver: str) -> None:
    log.warm = None  # a program of its own, as a role is
    records = written(100)
    await log.write(records)
    async with projectors(log, driver) as (projector,):
        await projector.ready()
        positions = await log.positions()
        await projector.signal(signal.SIGTERM)
        code = await projector.ended()

    assert sum(positions.values()) == len(records)
    assert code == 0, projector.said()
    assert await log.rows() == expected(await log.read())


@both
async def test_it_listens_on_no_port_and_makes_no_topic(log: Log, driver: str) -> None:
    await log.write(written(3))
    before = await log.topics()
    async with projectors(log, driver) as (projector,):
        await projector.ready()
        listening = [c for c in psutil.Process(projector.pid).net_connections() if c.status == psutil.CONN_LISTEN]

    assert listening == []
    assert await log.topics() == before


@pytest.mark.chaos
@both
async def test_killed_again_and_again_while_facts_stream_in_it_folds_each_once(log: Log, driver: str) -> None:
    dice = random.Random(driver)
    records = written(200)
    rounds = 4
    share = len(records) // rounds + 1
    async with projectors(log, driver) as (projector,):
        for start in range(0, len(records), share):
            seen = await log.positions()
            streaming = asyncio.create_task(log.write(records[start : start + share], pause_seconds=0.1))

            async def moved(seen: dict[int, int] = seen) -> bool:
                return await log.positions() != seen

            await until(moved, projector)
            await asyncio.sleep(dice.random() / 4)  # somewhere within a batch
            await projector.kill()
            await streaming
            await projector.start()
        await exact(log, projector)


@pytest.mark.chaos
@both
async def test_two_share_the_partitions_and_one_goes_on_when_the_other_is_killed(log: Log, driver: str) -> None:
    streaming = asyncio.create_task(log.write(written(200), pause_seconds=0.3))
    async with projectors(log, driver, 2) as (first, second):
        await first.ready()
        await second.ready()
        await first.kill()
        await streaming
        await exact(log, second)


@pytest.mark.chaos
@both
async def test_one_frozen_past_its_session_harms_nothing_when_it_thaws(log: Log, driver: str) -> None:
    records = written(200)
    later = [records.pop() for _ in range(100)][::-1]
    streaming = asyncio.create_task(log.write(records, pause_seconds=0.2))
    async with projectors(log, driver, 2) as (frozen, other):
        await frozen.ready()
        await other.ready()
        await frozen.signal(signal.SIGSTOP)
        await streaming
        await exact(log, other)
        await frozen.signal(signal.SIGCONT)
        await log.write(later)
        await exact(log, frozen, other)


@both
async def test_one_of_each_kind_share_the_partitions(log: Log, driver: str) -> None:
    other_driver = {"faust": "plain", "plain": "faust"}[driver]
    async with projectors(log, driver) as (first,), projectors(log, other_driver) as (second,):
        await first.ready()
        await second.ready()
        await log.write(written(100))
        await exact(log, first, second)


@both
async def test_group_offsets_pushed_ahead_leave_nothing_out(log: Log, driver: str) -> None:
    await log.write(written(50))
    ends = {p: len([r for r in await log.read() if r.position.partition == p]) for p in range(PARTITIONS)}
    await offsets_of_group(log, ends)

    async with projectors(log, driver) as (projector,):
        await projector.ready()
        await exact(log, projector)


@both
async def test_a_damaged_log_ends_it_with_the_reason_and_nothing_of_the_batch_is_written(log: Log, driver: str) -> None:
    records = written(20)
    victim = partition_of(records[0].key, PARTITIONS)
    await log.write(records)
    async with projectors(log, driver) as (projector,):
        await projector.ready()
        before, positions = await log.rows(), await log.positions()
        await log.write([Sealed(records[0].key, b"rubbish", records[0].head)])
        code = await projector.ended()

        assert code != 0
        assert f"The log is damaged at partition {victim}, offset {positions[victim]}" in projector.said()
        assert Damage.UNREADABLE in projector.said()
        assert (await log.rows(), await log.positions()) == (before, positions)

        await projector.start()
        assert await projector.ended() != 0
        assert not projector.is_ready
    assert (await log.rows(), await log.positions()) == (before, positions)


@both
async def test_a_rebuild_while_facts_stream_in_is_equal_and_the_projector_goes_on_in_it(log: Log, driver: str) -> None:
    rebuilt = asyncio.Event()
    streaming = asyncio.create_task(log.write(written(200), pause_seconds=0.8, hurry=rebuilt))
    async with projectors(log, driver) as (projector,):
        await projector.ready()
        reports = [await rebuild(log.bootstrap, log.dsn) for _ in range(3)]
        assert not streaming.done()
        rebuilt.set()
        await streaming
        await exact(log, projector)
        reports.append(await rebuild(log.bootstrap, log.dsn))

    assert [report.equal for report in reports] == [True] * 4
    assert sum(table.rebuilt.rows for table in reports[-1].tables.values()) > 2500
    assert await log.rows() == expected(await log.read())


@pytest.mark.chaos
@both
async def test_postgresql_killed_for_a_while_costs_only_time(log: Log, shared: Services, driver: str) -> None:
    streaming = asyncio.create_task(log.write(written(200), pause_seconds=0.2))
    async with projectors(log, driver) as (projector,):
        await projector.ready()
        await shared.kill("postgres")
        await asyncio.sleep(1)
        await shared.start("postgres")
        await streaming
        await exact(log, projector)
        assert projector.alive


@pytest.mark.chaos
@both
async def test_kafka_killed_for_a_while_costs_only_time(log: Log, shared: Services, driver: str) -> None:
    records = written(50)
    await log.write(records[:300])
    async with projectors(log, driver) as (projector,):
        await projector.ready()
        await shared.kill("kafka")
        await asyncio.sleep(1)
        await shared.start("kafka")
        await log.write(records[300:])
        await exact(log, projector)


class Recording:
    """Stands in for the projector: chosen positions, and what was brought."""

    def __init__(self, positions: dict[int, int]) -> None:
        self._positions = positions
        self.first: dict[int, int] = {}
        self.last: dict[int, int] = {}

    async def positions(self) -> dict[int, int]:
        return self._positions

    async def fold(self, batch: Batch) -> int:
        self.first.setdefault(batch.partition, batch.start)
        self.last[batch.partition] = batch.records[-1].position.offset
        return self.last[batch.partition] + 1


@pytest.mark.parametrize("group_offset", [None, 3, 30], ids=["no offsets", "offsets behind", "offsets ahead"])
async def test_faust_begins_at_the_offsets_that_its_private_commit_sets(log: Log, group_offset: int | None) -> None:
    await log.write(written(60))
    if group_offset is not None:
        await offsets_of_group(log, dict.fromkeys(range(PARTITIONS), group_offset))
    chosen = {0: 10, 1: 20}  # and 0 for the third, which was never folded
    recording: Any = Recording(chosen)
    ends = {p: len([r for r in await log.read() if r.position.partition == p]) for p in range(PARTITIONS)}
    async with Ends(log.bootstrap) as seen:
        driver = FaustDriver(log.bootstrap, log.group, log.folder, recording, seen)
        running = asyncio.create_task(driver.run())
        try:

            async def all_brought() -> bool:
                assert not running.done(), running
                return {p: last + 1 for p, last in recording.last.items()} == ends

            await until(all_brought)
        finally:
            running.cancel()
            await driver.stop()

    assert recording.first == {0: 10, 1: 20, 2: 0}


async def watched(log: Log, assigned: Sequence[int] | None) -> None:
    projector = SteadyProjector(log.bootstrap, log.dsn)
    try:
        async with Ends(log.bootstrap) as ends, asyncio.timeout(LIMIT_SECONDS):
            partitions = None if assigned is None else set(assigned)
            await Watch(ends, projector, lambda: partitions, lambda: None, stall_seconds=0.5).run()
    finally:
        await projector.close()


@pytest.mark.parametrize("assigned", [range(PARTITIONS), None], ids=["nothing folded", "nothing assigned"])
async def test_a_projector_that_gets_nowhere_although_facts_wait_is_ended(
    log: Log, assigned: Sequence[int] | None
) -> None:
    await log.write(written(3))

    with pytest.raises(StalledError, match="supervisor starts another"):
        await watched(log, assigned)


async def test_a_log_that_ends_before_what_was_folded_of_it_is_damaged(log: Log) -> None:
    await log.write(written(3))
    async with Ends(log.bootstrap) as ends:
        ahead = {p: end + 1 for p, end in (await ends.of(set(range(PARTITIONS)))).items()}

        with pytest.raises(LogDamagedError) as caught:
            not_beyond(ahead, await ends.of(set(range(PARTITIONS))))

    assert caught.value.code is Damage.SHORTER
    assert caught.value.position == Position(0, ahead[0] - 1)
