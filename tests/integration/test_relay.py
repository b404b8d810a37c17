"""The relay: who is frozen, late or doubled changes nothing; a fact that cannot be sent stops its own key only."""

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from activities import relay
from activities.register import PostgresRegister
from activities.relay import Relay
from events.envelope import Sealed, record_key
from events.errors import Code, RefusalError
from events.log import LogReader, LogWriter, Position, partition_of
from events.sizes import SEALED_BYTES
from events.terms import VendorId
from events.topics import LOG
from infra.settings import Settings
from infra.wiring import prepare
from tests.integration.relaying import LIMIT_SECONDS, Outbox, in_the_log, opened, relay_here, relay_process
from tests.services import Services

pytestmark = pytest.mark.integration

ACME, ZETA = VendorId("acme"), VendorId("zeta")
HOLDER = """select application_name from pg_stat_activity join backend.relay on pid = session
where until > clock_timestamp()"""


@pytest.fixture(scope="module")
async def services(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    async with Services(tmp_path_factory.mktemp("services"), "postgres", "kafka") as started:
        await prepare(started.settings, lambda _: None)
        yield started


@pytest.fixture
async def outbox(services: Services) -> AsyncIterator[Outbox]:
    async with opened(services.settings) as outbox:
        yield outbox


async def until(true: Callable[[], Awaitable[Any]]) -> Any:
    """What is true at last, waited for."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while not (found := await true()):  # noqa: ASYNC110 - other processes make it true
            await asyncio.sleep(0.02)
        return found


async def test_a_relay_that_is_frozen_holds_nobody_up_and_leaves_the_log_exact_when_it_thaws(
    services: Services, outbox: Outbox
) -> None:
    dice = random.Random(7)
    stop = asyncio.Event()

    async def stream() -> None:
        async with opened(services.settings) as mine:
            while not stop.is_set():
                await mine.state(dice.choice([ACME, ZETA]), f"3-{dice.randrange(20)}", dice.randint(1, 9))
        outbox.written.update(mine.written)

    async with relay_process(services.settings, "one") as one, relay_process(services.settings, "two") as two:
        writing = asyncio.create_task(stream())
        for round_ in range(3):
            holder = await until(lambda: outbox.one(HOLDER))
            frozen = {"one": one, "two": two}[holder]
            await asyncio.sleep(dice.random())  # somewhere in its work
            frozen.send_signal(signal.SIGSTOP)
            began = time.monotonic()

            async def another(holder: str = holder) -> bool:
                return await outbox.one(HOLDER) not in (None, holder)

            await until(another)
            await outbox.state(ACME, f"9-{round_}")
            await until(lambda: _is_relayed(outbox, "acme/9-%"))
            assert time.monotonic() - began < 2 * relay.LEASE_SECONDS
            frozen.send_signal(signal.SIGCONT)
        stop.set()
        await writing
        await outbox.relayed()


async def _is_relayed(outbox: Outbox, key: str) -> bool:
    query = "select count(*) = 0 from backend.outbox where key like %s and relayed is null"
    return bool(await outbox.one(query, key.encode()))


async def test_one_that_dies_is_followed_before_its_lease_is_over(services: Services, outbox: Outbox) -> None:
    lengthened = "update backend.relay set until = clock_timestamp() + interval '1 h' returning session"
    waits = "select count(*) > 0 from pg_stat_activity where application_name = 'two'"

    async with relay_process(services.settings, "one") as one:
        await until(lambda: outbox.one(HOLDER))
        one.send_signal(signal.SIGSTOP)  # so that it does not renew its lease, which is over in an hour
        session = await outbox.one(lengthened)
        async with relay_process(services.settings, "two"):
            await until(lambda: outbox.one(waits))
            assert await outbox.one("select session from backend.relay") == session
            one.kill()

            async def second() -> bool:
                return bool(await outbox.one(HOLDER) == "two")

            await until(second)


async def test_a_fact_that_is_too_long_sets_its_key_aside_and_all_others_go_on_without_copies(
    services: Services, outbox: Outbox
) -> None:
    copies = await outbox.copies()
    await outbox.state(ACME, "5-0", 2)
    await outbox.connection.execute(
        "insert into backend.outbox (key, value) values (%s, %s)", (b"acme/5-0", b"x" * (SEALED_BYTES + 1))
    )
    await outbox.state(ACME, "5-0", 2)
    for number in range(1, 100):
        await outbox.state(random.choice([ACME, ZETA]), f"5-{number}", 3)
    outbox.written[ACME, "container/5-0"] = 2
    register = PostgresRegister(services.settings.dsn)

    async with relay_here(services.settings):
        await outbox.relayed()
        (entry,) = await until(register.entries)
        await outbox.state(ACME, "5-0")
        outbox.written[ACME, "container/5-0"] = 2
        await outbox.state(ZETA, "5-1")
        await outbox.relayed()

    assert (entry.vendor, entry.place, entry.code) == ("acme", "outbox/acme/5-0", "too_large")
    assert "lostfound outbox retry acme/5-0" in entry.sentence
    assert await outbox.copies() == copies
    assert await outbox.one("select count(*) from backend.outbox where key = 'acme/5-0' and relayed is null") == 4
    await outbox.connection.execute("delete from backend.outbox where key = 'acme/5-0'")
    await register.remove(entry.place)


async def test_what_the_broker_refuses_goes_on_in_order_once_it_takes_it_and_somebody_says_so(
    services: Services, outbox: Outbox
) -> None:
    register = PostgresRegister(services.settings.dsn)
    await _limit(services.settings, "700")
    try:
        async with relay_here(services.settings):
            await outbox.state(ACME, "6-" + "0" * 78)  # its serial alone makes the record longer than that
            await outbox.state(ZETA, "6-1", 5)
            await outbox.relayed(but=ACME)
            (entry,) = await until(register.entries)
            await outbox.state(ACME, "6-" + "0" * 78, 20)
            await _limit(services.settings, "131072")
            assert await _typed(services.settings, "outbox", "retry") == [{"key": entry.place[7:]}]
            await outbox.relayed()
            await until(lambda: _nothing(register))
    finally:
        await _limit(services.settings, "131072")

    assert (entry.vendor, entry.code) == ("acme", "too_large")


async def test_a_key_that_is_set_aside_outlives_its_relay_and_is_tried_again_by_the_next(
    services: Services, outbox: Outbox
) -> None:
    register = PostgresRegister(services.settings.dsn)
    await _limit(services.settings, "700")
    try:
        async with relay_here(services.settings):
            await outbox.state(ACME, "7-" + "0" * 78, 3)
            await until(register.entries)
    finally:
        await _limit(services.settings, "131072")
    async with relay_here(services.settings):
        await outbox.relayed()
        await until(lambda: _nothing(register))


async def _typed(settings: Settings, *words: str) -> Any:
    """What a command answers."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.main", *words, "--json"),
        env=os.environ | settings.environment(),
        stdout=asyncio.subprocess.PIPE,
    )
    answer, _ = await process.communicate()
    return json.loads(answer)


async def _nothing(register: PostgresRegister) -> bool:
    return not await register.entries()


async def _limit(settings: Settings, bytes_: str) -> None:
    """Let the log take batches of so many bytes."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        resource = ConfigResource(ConfigResourceType.TOPIC, LOG, configs={"max.message.bytes": bytes_})
        await admin.alter_configs([resource])
    finally:
        await admin.close()


async def test_facts_that_the_log_lost_in_a_power_cut_are_sent_again_when_a_relay_starts(
    services: Services, outbox: Outbox
) -> None:
    async with relay_here(services.settings):
        for number in range(60):
            await outbox.state(random.choice([ACME, ZETA]), f"8-{number % 7}")
        await outbox.relayed()
        await until(lambda: _is_relayed(outbox, "%/8-%"))
    before = len(await outbox.records())
    await services.kill("kafka")
    folder = services.settings.data_dir / "kafka" / "records"
    for segment in folder.glob(f"{LOG}-*/00000000000000000000.log"):
        with segment.open("r+b") as file:
            file.truncate(max(0, segment.stat().st_size - 1_500))
    await services.start("kafka")
    assert len(await outbox.records()) < before

    async with relay_here(services.settings):
        await outbox.relayed()


class Refusing(LogWriter):
    """A log that refuses one fact, and is as slow as one with replicas in other places."""

    refused = b""

    async def append(self, *records: Sealed) -> Position:
        await asyncio.sleep(0.02)
        if any(record.value == self.refused for record in records):
            raise RefusalError(Code.TOO_LARGE, "the broker refuses a fact as too large")
        return await super().append(*records)


@pytest.mark.parametrize("between", [100, 300], ids=["in the same batch", "in the queue"])
async def test_what_is_loaded_behind_a_fact_that_is_set_aside_waits_and_follows_it_once_it_is_taken(
    services: Services, outbox: Outbox, between: int
) -> None:
    settings, register = services.settings, PostgresRegister(services.settings.dsn)
    key = f"4-{between}"
    await outbox.state(ACME, key, 2)
    refused = await outbox.one("select value from backend.outbox order by id desc limit 1")
    *others, last = _of_the_partition(settings, key, between + 1)
    for other in others:
        await outbox.state(ACME, other)
    await outbox.state(ACME, key)  # fact 3, which must wait for fact 2
    await outbox.state(ACME, last)  # sent after fact 3, if that is sent
    in_outbox = "select count(*) from backend.outbox where relayed is null and key = %s"
    async with Refusing(settings.bootstrap, settings.log_partitions) as writer:
        writer.refused = refused
        relaying = asyncio.create_task(Relay(settings.dsn, writer, LogReader(settings.bootstrap)).run())
        try:
            await until(register.entries)
            await until(lambda: _is_relayed(outbox, f"acme/{last}"))
            assert await outbox.one(in_outbox, f"acme/{key}".encode()) == 2
            heads = in_the_log(await outbox.records())  # raises LogDamagedError where fact 3 follows fact 1
            assert heads[ACME, f"container/{key}"] == 1

            writer.refused = b""
            await register.remove(f"outbox/acme/{key}")
            await outbox.relayed()
        finally:
            relaying.cancel()
            await asyncio.gather(relaying, return_exceptions=True)


def _of_the_partition(settings: Settings, serial: str, many: int) -> list[str]:
    """So many other serials whose keys are of the same partition."""
    wanted = partition_of(record_key(ACME, serial), settings.log_partitions)
    names = (f"{serial}-{number}" for number in count())
    found = (name for name in names if partition_of(record_key(ACME, name), settings.log_partitions) == wanted)
    return [next(found) for _ in range(many)]


class Freezing(LogWriter):
    """The process is frozen for longer than the lease while it sends, and what it sent fails once as nobody foresaw."""

    relay: Relay | None = None
    wanted = 0
    """So many facts are loaded when it is frozen."""

    async def append(self, *records: Sealed) -> Position:
        if (frozen := self.relay) is not None and len(records) > 1:
            while len(frozen._loaded) < self.wanted:  # noqa: ASYNC110 - the relay loads them
                await asyncio.sleep(0.01)
            self.relay = None
            time.sleep(relay.LEASE_SECONDS + 0.5)  # noqa: ASYNC251 - SIGSTOP, and SIGCONT
            raise RuntimeError("nobody foresaw this")
        return await super().append(*records)


@pytest.mark.parametrize("facts", [3, relay.LOADED_FACTS + 100], ids=["few", "as many as are loaded"])
async def test_a_relay_that_was_frozen_while_a_batch_failed_begins_with_that_batch_again(
    services: Services, outbox: Outbox, monkeypatch: pytest.MonkeyPatch, facts: int
) -> None:
    monkeypatch.setattr(relay, "LEASE_SECONDS", 2.0)
    settings = services.settings
    serial = f"2-{facts}"
    await outbox.state(ACME, serial, facts)
    async with Freezing(settings.bootstrap, settings.log_partitions) as writer:
        writer.relay = Relay(settings.dsn, writer, LogReader(settings.bootstrap))
        writer.wanted = min(facts, relay.LOADED_FACTS)
        relaying = asyncio.create_task(writer.relay.run())
        try:

            async def thawed() -> bool:
                return writer.relay is None

            await until(thawed)
            await outbox.state(ACME, serial, 2)
            await until(lambda: _is_relayed(outbox, f"acme/{serial}"))
        finally:
            relaying.cancel()
            await asyncio.gather(relaying, return_exceptions=True)
    heads = in_the_log(await outbox.records())  # raises LogDamagedError where a later fact stands before these
    assert heads[ACME, f"container/{serial}"] == facts + 2
