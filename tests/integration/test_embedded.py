"""The embedded services: what they hold survives kill -9, what is made by half is made again, no stranger gets in."""

import asyncio
import functools
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import TopicPartition
from temporalio.client import Client

from infra.embedded import kafka_jars
from infra.embedded.kafka import Kafka
from infra.embedded.process import family
from infra.embedded.socket_path import socket_folder
from infra.problem import Problem
from infra.settings import Settings
from tests.services import EMBEDDED, Services, free_ports

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
async def services(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    async with Services(tmp_path_factory.mktemp("services")) as started:
        yield started


@pytest.fixture(scope="module")
def jars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with all jars, to be copied from."""
    cache: Path = Settings().cache_dir
    kafka_jars.fetch(cache, lambda *_: None)
    return kafka_jars.repository(cache)


async def test_postgres_keeps_what_was_committed_before_it_was_killed(services: Services) -> None:
    with psycopg.connect(services.settings.dsn) as session:
        session.execute("CREATE TABLE kept AS SELECT 7 AS number")

    await services.kill("postgres")
    await services.start("postgres")

    with psycopg.connect(services.settings.dsn) as session:
        assert session.execute("SELECT number FROM kept").fetchone() == (7,)


async def test_kafka_keeps_what_was_acknowledged_before_it_was_killed(services: Services) -> None:
    await make_topic(services.settings)
    await send(services.settings, b"before")

    await services.kill("kafka")
    await services.start("kafka")

    assert await first(services.settings) == b"before"


async def test_kafka_moves_to_other_ports_with_its_folder(tmp_path: Path) -> None:
    async with Services(tmp_path, "kafka", copied=False) as before:
        await make_topic(before.settings)
        await send(before.settings, b"kept")
    async with Services(tmp_path, "kafka") as after:
        assert after.settings.kafka_port != before.settings.kafka_port
        assert await first(after.settings) == b"kept"


async def test_kafka_serves_transactions_on_its_one_broker(services: Services) -> None:
    await make_topic(services.settings)
    producer = AIOKafkaProducer(bootstrap_servers=services.settings.bootstrap, transactional_id="t")
    async with asyncio.timeout(30), producer, producer.transaction():
        await producer.send_and_wait("kept", b"in a transaction")


async def test_temporal_keeps_its_workflows_when_it_is_killed(services: Services) -> None:
    client = await Client.connect(services.settings.temporal)
    await client.start_workflow("Any", id="kept", task_queue="nobody")

    await services.kill("temporal")
    await services.start("temporal")

    client = await Client.connect(services.settings.temporal)
    assert (await client.get_workflow_handle("kept").describe()).run_id


@pytest.mark.parametrize("name", EMBEDDED)
async def test_nothing_listens_beyond_this_machine(services: Services, name: str) -> None:
    processes = {process.pid for process in family(services.identity(name))}
    listening = {
        connection.laddr[0].removeprefix("::ffff:")  # IPv4 on a socket for both
        for connection in psutil.net_connections("inet")
        if connection.pid in processes and connection.status == psutil.CONN_LISTEN and connection.laddr
    }
    assert listening <= {"127.0.0.1"}


async def test_what_was_made_by_half_is_made_again(tmp_path: Path) -> None:
    halves = [tmp_path / "postgres" / "initialising-x" / "data", tmp_path / "kafka" / "formatting-x" / "records"]
    for half in halves:
        half.mkdir(parents=True)
        (half / "half").touch()

    async with Services(tmp_path, "postgres", "kafka", copied=False):
        assert not any(half.exists() for half in halves)


async def test_a_folder_too_deep_for_a_socket_gets_a_short_private_one(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100)
    async with Services(deep, "postgres") as services:
        folder = socket_folder(deep)
        try:
            assert not folder.is_relative_to(deep)
            assert folder.stat().st_mode & 0o777 == 0o700
            with psycopg.connect(services.settings.dsn) as session:
                assert session.execute("SELECT 1").fetchone() == (1,)
        finally:
            await services.stop()
            shutil.rmtree(folder)


async def test_kafka_starts_by_what_a_rehearsal_kept_and_also_when_that_is_spoilt(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rehearsal is the one of this machine's first start, for it takes half a minute of computing."""
    kept = Kafka(services.settings).start_cache
    assert kept.exists()
    assert f"-XX:AOTCache={kept}" in psutil.Process(services.identity("kafka").pid).cmdline()
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 0xFF
    spoilt = tmp_path / "spoilt.aot"
    spoilt.write_bytes(content)
    monkeypatch.setattr(Kafka, "start_cache", spoilt)

    async with Services(tmp_path / "data", "kafka") as started:
        assert f"-XX:AOTCache={spoilt}" in psutil.Process(started.identity("kafka").pid).cmdline()
        await make_topic(started.settings)


async def test_postgres_lets_only_its_owner_in(services: Services) -> None:
    assert socket_folder(services.settings.data_dir).stat().st_mode & 0o077 == 0


def test_every_jar_is_pinned_by_its_digest_and_none_by_a_host() -> None:
    pinned = kafka_jars.manifest()
    assert len({jar.path for jar in pinned}) == len(pinned) == 45
    assert all(len(jar.digest) == 64 and jar.path.suffix == ".jar" for jar in pinned)


@pytest.mark.parametrize("damage", ["a flipped byte", "a missing end", "a missing file"])
def test_a_damaged_jar_is_fetched_again(
    jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    cache = copied(jars, tmp_path)
    victim = spoil(cache, damage)
    with registry(jars) as url:
        only_registry(monkeypatch, tmp_path, url)
        kafka_jars.fetch(cache, lambda *_: None)

    assert victim.intact(victim.within(kafka_jars.repository(cache)))
    assert list(cache.glob("incoming-*")) == []


def test_a_registry_that_serves_something_else_is_refused_in_one_sentence(
    jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = copied(jars, tmp_path)
    victim = spoil(cache, "a missing file")
    false = tmp_path / "false"
    victim.within(false).parent.mkdir(parents=True)
    victim.within(false).write_bytes(b"something else")
    with registry(false) as url:
        only_registry(monkeypatch, tmp_path, url)
        with pytest.raises(Problem, match="arrived twice with another content") as problem:
            kafka_jars.fetch(cache, lambda *_: None)

    assert problem.value.code == "download-broken"
    assert not victim.within(kafka_jars.repository(cache)).exists()


def test_a_registry_out_of_reach_is_told_in_one_sentence_that_names_the_remedy(
    jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = copied(jars, tmp_path)
    victim = spoil(cache, "a flipped byte")
    only_registry(monkeypatch, tmp_path, f"http://127.0.0.1:{free_ports(1)[0]}")

    with pytest.raises(Problem, match="connect this machine to the network, or name a mirror") as problem:
        kafka_jars.fetch(cache, lambda *_: None)

    assert problem.value.exit_code == 7
    assert not victim.intact(victim.within(kafka_jars.repository(cache)))


def test_nothing_is_asked_of_the_network_when_every_jar_is_intact(
    jars: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_registry(monkeypatch, tmp_path, f"http://127.0.0.1:{free_ports(1)[0]}")
    progress_calls: list[tuple[int, int, int]] = []

    kafka_jars.fetch(copied(jars, tmp_path), lambda *progress: progress_calls.append(progress))

    assert progress_calls == []


def copied(jars: Path, folder: Path) -> Path:
    cache = folder / "cache"
    shutil.copytree(jars, kafka_jars.repository(cache))
    return cache


def spoil(cache: Path, damage: str) -> kafka_jars.Jar:
    jar = next(jar for jar in kafka_jars.manifest() if jar.path.name == "kafka-raft-4.4.0.jar")
    file = jar.within(kafka_jars.repository(cache))
    content = bytearray(file.read_bytes())
    if damage == "a missing file":
        file.unlink()
    elif damage == "a missing end":
        file.write_bytes(content[:-1])
    else:
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    return jar


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Not into the tests' output."""


@contextmanager
def registry(folder: Path) -> Iterator[str]:
    """A Maven registry on this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def only_registry(monkeypatch: pytest.MonkeyPatch, folder: Path, url: str) -> None:
    """Let jgo know this registry and no repository of the user's."""
    configuration = folder / "jgo.conf"
    configuration.write_text(f"[repositories]\ncentral = {url}\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("M2_REPO", str(folder / "no-repository"))


async def make_topic(settings: Settings) -> None:
    """The topic `kept`, unless it is there."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic("kept", 1, 1)])
    finally:
        await admin.close()


async def send(settings: Settings, value: bytes) -> None:
    """One record, acknowledged."""
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap, acks="all") as producer:
        await producer.send_and_wait("kept", value)


async def first(settings: Settings) -> bytes | None:
    """The first record's value."""
    async with asyncio.timeout(30), AIOKafkaConsumer(bootstrap_servers=settings.bootstrap) as consumer:
        consumer.assign([TopicPartition("kept", 0)])
        await consumer.seek_to_beginning()
        record = await consumer.getone()
        value: bytes | None = record.value
        return value
