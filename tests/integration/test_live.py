"""The live projector in processes of its own: whatever happens to it, the rows are exactly what the log says."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from events.backend_facts import PolicyAdopted
from events.envelope import INSTALLATION, Head, Sealed, container_stream, digest, record_key
from events.errors import Code
from events.log import LogReader
from events.log_errors import Damage, StalledError
from events.ports.register import SetAside
from events.terms import Kind, Serial, VendorId
from events.topics import LOG
from projections.drivers.consumer import run_plain
from projections.drivers.faust import FaustDriver
from projections.drivers.lag_monitor import Ends, Watch
from projections.drivers.resilient_projector import SteadyProjector
from projections.projector import Batch
from projections.rebuild import rebuild
from tests.integration.logs import LIMIT_SECONDS, PARTITIONS, Log, Projector, Warm, projectors, warmed
from tests.integration.relaying import relay_here
from tests.later import LATER, LaterRegistered
from tests.services import Services
from tests.view_oracle import expected
from tests.worlds import CODEC, NOW, World, interleaved, partition_of

pytestmark = pytest.mark.integration

ACME, NOBODY = VendorId("acme"), VendorId("nobody")
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


async def stopped(log: Log, count: int = 1) -> list[SetAside]:
    """What the register says of the log, waited for."""
    entries: list[SetAside] = []

    async def all_there() -> bool:
        entries[:] = [entry for entry in await log.register.entries() if entry.place.startswith(LOG)]
        return len(entries) == count

    await until(all_there)
    return entries


def typed(shared: Services, *words: str) -> subprocess.CompletedProcess[str]:
    """A command, as an operator types it."""
    return subprocess.run(
        [sys.executable, "-m", "infra.main", *words],
        env=os.environ | shared.settings.environment(),
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
        check=False,
    )


@both
async def test_a_record_that_is_not_ours_stops_its_partition_alone_until_an_operator_sets_it_aside(
    log: Log, shared: Services, driver: str
) -> None:
    records = written(40)
    foreign = Sealed(records[0].key, b"rubbish", records[0].head)
    victim = partition_of(foreign.key, PARTITIONS)
    await log.write([*records[:100], foreign, *records[100:300]])
    (at,) = [record.position for record in await log.read() if record.value == b"rubbish"]
    async with projectors(log, driver) as (projector,):
        await projector.ready()
        (entry,) = await stopped(log)
        await log.write(records[300:])
        ends = await LogReader(log.bootstrap).ends()

        async def others_are_folded() -> bool:
            positions = await log.positions()
            return {p: positions.get(p) for p in ends if p != victim} == {p: e for p, e in ends.items() if p != victim}

        await until(others_are_folded, projector)
        assert (await log.positions())[victim] == at.offset
        assert (entry.vendor, entry.place, entry.code) == ("", f"{LOG}/{victim}/{at.offset}", Damage.UNREADABLE)
        assert f"lostfound log set-aside {victim} {at.offset} --why TEXT --by NAME" in entry.sentence

        await projector.kill()
        await projector.start()
        await projector.ready()
        place = (str(victim), str(at.offset))
        done = await asyncio.to_thread(typed, shared, "log", "set-aside", *place, "--why", "a test", "--by", "ann")
        assert done.returncode == 0, done.stderr
        async with relay_here(shared.settings):
            await until(lambda: nothing(log), projector)
        await log.folded(projector)

    sound = [record for record in await log.read() if record.position != at]
    assert await log.rows() == expected(sound)
    report = await rebuild(log.bootstrap, log.dsn, CODEC, share_records=100)
    assert report.equal
    assert await log.rows() == expected(sound)
    audited = json.loads((await asyncio.to_thread(typed, shared, "audit", "invariants", "--json")).stdout)
    assert [(one["partition"], one["offset"], one["by"]) for one in audited["set_aside"]] == [(*at, "ann")]
    assert [breach for breach in audited["breaches"] if breach["invariant"] == 8] == []


async def nothing(log: Log) -> bool:
    """Whether nothing is set aside."""
    return not await log.register.entries()


@pytest.mark.parametrize("first", ["the right one", "the wrong one"])
async def test_a_record_that_strayed_into_another_partition_is_set_aside_whichever_was_folded_first(
    log: Log, shared: Services, first: str
) -> None:
    records = written(20)
    begins = next(one for one in records if CODEC.unseal(one.value).stream.startswith("case/"))
    right = partition_of(begins.key, PARTITIONS)
    wrong = (right + 1) % PARTITIONS
    why = ("--why", "a test", "--by", "ann")
    async with projectors(log, "plain") as (projector,):
        await projector.ready()
        if first == "the wrong one":
            await log.write([begins], partition=wrong)
            await log.folded(projector)
        await log.write(records)
        if first == "the right one":
            await log.folded(projector)
            await log.write([begins], partition=wrong)
        (entry,) = await stopped(log)
        (strayed,) = [
            one.position
            for one in await log.read()
            if one[1:] == (begins.key, begins.value) and one.position.partition == wrong
        ]
        (begun,) = [one.position for one in await log.read() if one.value == begins.value and one.position != strayed]
        named = begun if first == "the wrong one" else strayed
        assert (entry.place, entry.code) == (f"{LOG}/{named.partition}/{named.offset}", Damage.STREAM_MOVED)

        refused = await asyncio.to_thread(typed, shared, "log", "set-aside", *map(str, begun), *why)
        done = await asyncio.to_thread(typed, shared, "log", "set-aside", *map(str, strayed), *why)
        assert "[log_damaged]" in refused.stderr
        assert f"lostfound log set-aside {strayed.partition} {strayed.offset}" in " ".join(refused.stderr.split())
        assert done.returncode == 0, done.stderr
        async with relay_here(shared.settings):
            if first == "the wrong one":
                await until(lambda: knows_what_is_set_aside(log))
                rebuilt = await asyncio.to_thread(typed, shared, "views", "rebuild")
                assert rebuilt.returncode in (0, 1), rebuilt.stderr
            await until(lambda: nothing(log), projector)
        await log.folded(projector)

    sound = [record for record in await log.read() if record.position != strayed]
    assert await log.rows() == expected(sound)
    assert (await rebuild(log.bootstrap, log.dsn, CODEC, share_records=100)).equal
    assert await log.rows() == expected(sound)


async def knows_what_is_set_aside(log: Log) -> bool:
    """Whether the log says that something is set aside."""
    return any(record.key == record_key(INSTALLATION, None) for record in await log.read())


async def test_a_sound_record_is_not_set_aside_nor_one_before_which_another_must_be(log: Log, shared: Services) -> None:
    records = written(10)
    await log.write(records)
    sound = (await log.read())[-1]
    broken = [Sealed(sound.key, b"rubbish", records[0].head), Sealed(sound.key, b"rubbish too", records[0].head)]
    await log.write(broken)
    first = next(record.position for record in await log.read() if record.value == b"rubbish")
    why = ("--why", "a test", "--by", "ann")

    refused = typed(shared, "log", "set-aside", *map(str, sound.position), *why)
    beyond = typed(shared, "log", "set-aside", str(first.partition), str(first.offset + 2), *why)
    nameless = typed(shared, "log", "set-aside", *map(str, first), "--why", "a test", "--by", "a name")

    assert "[not_damaged]" in refused.stderr
    assert "[unknown_position]" in beyond.stderr
    assert "[invalid_data]" in nameless.stderr


@both
async def test_a_fact_that_postgresql_cannot_hold_stops_its_partition_until_it_is_set_aside(
    log: Log, shared: Services, driver: str
) -> None:
    records = written(20)
    await log.write(records)
    key = record_key(NOBODY, None)
    victim = partition_of(key, PARTITIONS)
    other = next(record for record in records if partition_of(record.key, PARTITIONS) != victim)
    async with projectors(log, driver) as (projector,):
        await projector.ready()
        sound = CODEC.seal(NOBODY, "vendor", key, Head(), NOW, PolicyAdopted(policy_version=1, policy="17"))
        value = sound.value.replace(b'"17"', b'"\\\\u0000"')
        await log.write([Sealed(key, value, Head(1, digest(value)))])
        (entry,) = await stopped(log)
        await log.write([other])
        ends = await LogReader(log.bootstrap).ends()

        async def others_are_folded() -> bool:
            positions = await log.positions()
            return all(positions.get(p, 0) == end - (p == victim) for p, end in ends.items())

        await until(others_are_folded, projector)
        place = entry.place.removeprefix(f"{LOG}/").split("/")
        done = await asyncio.to_thread(typed, shared, "log", "set-aside", *place, "--why", "a test", "--by", "ann")
        assert done.returncode == 0, done.stderr
        async with relay_here(shared.settings):
            await until(lambda: nothing(log), projector)

    assert entry.code == Damage.UNREADABLE


@both
async def test_a_fact_of_a_later_release_stops_its_partition_until_that_release_folds_it(
    log: Log, shared: Services, driver: str
) -> None:
    records = written(20)
    serial = Serial("9-1")
    key = record_key(NOBODY, serial)
    victim = partition_of(key, PARTITIONS)
    other = next(record for record in records if partition_of(record.key, PARTITIONS) != victim)
    registered = LaterRegistered(serial=serial, kind=Kind.DONGLE, holder="h-1", site="a car", words=2)
    await log.write(records)
    async with projectors(log, driver) as (projector,):
        await projector.ready()
        await log.write([LATER.seal(NOBODY, container_stream(serial), key, Head(), NOW, registered), other])
        (entry,) = await stopped(log)
        ends = await LogReader(log.bootstrap).ends()

        async def others_are_folded() -> bool:
            positions = await log.positions()
            return all(positions.get(p, 0) == end - (p == victim) for p, end in ends.items())

        await until(others_are_folded, projector)
        place = entry.place.removeprefix(f"{LOG}/").split("/")
        refused = [
            await asyncio.to_thread(typed, shared, *words)
            for words in (
                ("log", "set-aside", *place, "--why", "a test", "--by", "ann"),
                ("views", "rebuild"),
                ("audit", "invariants"),
            )
        ]
        assert projector.alive
        assert await others_are_folded()

    assert entry.code == Code.NEWER_RELEASE
    assert "install release 0.4.0 or a later one" in entry.sentence
    for done in refused:
        assert done.returncode == 1
        assert "install release 0.4.0 or a later one. [newer_release]" in " ".join(done.stderr.split())

    ready = asyncio.Event()
    of_that_release = run_plain(log.bootstrap, log.dsn, LATER, ready.set, log.register, group=f"later-{driver}")
    upgraded = asyncio.create_task(of_that_release)
    try:
        await until(lambda: nothing(log))
        await asyncio.wait_for(ready.wait(), LIMIT_SECONDS)
    finally:
        upgraded.cancel()
        await asyncio.gather(upgraded, return_exceptions=True)
    assert await log.positions() == {partition: end for partition, end in ends.items() if end}


@both
async def test_a_rebuild_while_facts_stream_in_is_equal_and_the_projector_goes_on_in_it(log: Log, driver: str) -> None:
    rebuilt = asyncio.Event()
    streaming = asyncio.create_task(log.write(written(200), pause_seconds=0.8, hurry=rebuilt))
    async with projectors(log, driver) as (projector,):
        await projector.ready()
        reports = [await rebuild(log.bootstrap, log.dsn, CODEC) for _ in range(3)]
        assert not streaming.done()
        rebuilt.set()
        await streaming
        await exact(log, projector)
        reports.append(await rebuild(log.bootstrap, log.dsn, CODEC))

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

    async def stop_where_shorter(self, positions: dict[int, int], ends: dict[int, int]) -> None:
        assert all(position <= ends[partition] for partition, position in positions.items())

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
    projector = SteadyProjector(log.bootstrap, log.dsn, CODEC, log.register)
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


@both
async def test_a_log_that_lost_its_end_stops_its_partitions_until_the_views_are_rebuilt(
    log: Log, shared: Services, driver: str
) -> None:
    records = written(30)
    await log.write(records)
    async with projectors(log, driver) as (projector,):
        await projector.ready()
        await projector.kill()
        await log.empty()
        await log.write(records[: len(records) // 2])
        await projector.start()
        entries = await stopped(log, PARTITIONS)
        await projector.ready()
        rebuilt = await asyncio.to_thread(typed, shared, "views", "rebuild")
        await until(lambda: nothing(log), projector)
        await log.write(records[len(records) // 2 :])
        await exact(log, projector)

    assert {(entry.place, entry.code) for entry in entries} == {
        (f"{LOG}/{partition}", Damage.SHORTER) for partition in range(PARTITIONS)
    }
    assert all("lostfound views rebuild" in entry.sentence for entry in entries)
    assert rebuilt.returncode == 1, rebuilt.stderr  # they were not what the log says
