"""Makes the topics, and compares those that exist with what they must be: what can be repaired is, the rest refused."""

import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from events.kafka_clients import new_admin
from events.log import partition_of
from events.topics import INBOXES, LOG, TopicSpec, log_spec, vendor_of, vendor_specs
from infra.problem import Problem
from infra.settings import Settings

TOPIC_SOURCE = 1
"""Kafka's number for a setting that was made for the topic itself."""

AT_ONCE = 100
"""So many topics are asked for together."""


@dataclass(frozen=True)
class Found:
    """A topic as it is: its settings with their defaults, and which of them were made for it itself."""

    partitions: int
    copies: int
    config: Mapping[str, str]
    own: Mapping[str, str]


@dataclass(frozen=True)
class Misfit:
    """A topic is not what it must be; `repairable` by a change of its configuration, else `remedy` says what to do."""

    topic: str
    setting: str
    found: str
    wanted: str
    remedy: str = ""

    @property
    def repairable(self) -> bool:
        """Whether we may put it right."""
        return not self.remedy

    @property
    def sentence(self) -> str:
        """What is wrong, and what to do."""
        difference = f"topic {self.topic} has {self.setting} {self.found}, and must have {self.wanted}"
        return f"{difference}: {self.remedy or 'the next start of lostfound, or `lostfound setup`, puts it right'}"


def misfits(spec: TopicSpec, found: Found, copies: int) -> list[Misfit]:
    """In what a topic differs from what it must be. Pure. Partitions beyond those of the log stay empty, and more of an
    inbox are welcome."""
    found_misfits = [
        Misfit(spec.name, setting, found.config.get(setting, "none"), wanted)
        for setting, wanted in spec.config.items()
        if found.config.get(setting) != wanted
    ]
    if spec.name == LOG and found.partitions < spec.partitions:
        remedy = (
            f"set LOSTFOUND_LOG_PARTITIONS={found.partitions}, for facts are kept in as many as there were at first"
        )
        found_misfits.append(Misfit(spec.name, "partitions", str(found.partitions), str(spec.partitions), remedy))
    if found.copies < copies:
        remedy = "give its partitions more replicas (kafka-reassign-partitions), or set LOSTFOUND_REPLICATION_FACTOR to"
        found_misfits.append(Misfit(spec.name, "copies", str(found.copies), str(copies), f"{remedy} {found.copies}"))
    return found_misfits


async def make_topics(
    settings: Settings, specs: Sequence[TopicSpec], say: Callable[[str], None] = lambda _: None
) -> None:
    """Create the topics that do not exist yet, and repair those that are not what they must be.

    Raises `Problem` where one cannot be repaired, and `KafkaError`.
    """
    async with _admin(settings) as admin:
        existing = []
        for spec in specs:
            topic = NewTopic(spec.name, spec.partitions, settings.replication_factor, topic_configs=dict(spec.config))
            answer = await admin.create_topics([topic])
            for _name, code, *_rest in answer.topic_errors:
                if code == TopicAlreadyExistsError.errno:
                    existing.append(spec)
                elif code:
                    raise for_code(code)(f"topic {spec.name}")
        for spec, found in (await _found(admin, existing)).items():
            wrong = misfits(spec, found, settings.replication_factor)
            for one in wrong:
                if not one.repairable:
                    raise Problem("topic-misfit", f"{one.sentence[0].upper()}{one.sentence[1:]}.")
            if wrong:
                await _repair(admin, spec, found)
                said = ", ".join(f"{one.setting} {one.wanted} instead of {one.found}" for one in wrong)
                say(f"topic {spec.name} is put right: {said}")


async def log_partitions(settings: Settings) -> int:
    """How many the log's topic has. Raises `KafkaError`."""
    async with _admin(settings) as admin:
        found = (await _found(admin, [log_topic(settings)])).values()
        return next((one.partitions for one in found), 0)


async def compare(settings: Settings) -> list[Misfit]:
    """In what the topics that exist differ from what they must be; nothing is changed. Raises `KafkaError`."""
    async with _admin(settings) as admin:
        specs = _specs(settings, await admin.list_topics())
        found = await _found(admin, specs)
        return [one for spec, as_it_is in found.items() for one in misfits(spec, as_it_is, settings.replication_factor)]


def refuse_moved(streams: Iterable[tuple[str, str, int]], wanted: int, found: int) -> None:
    """Raise `Problem` where these streams of containers (vendor, stream, partition) stand where a log of another number
    of partitions has them, and not one of `wanted`: facts would go on in other partitions than they began. Single ones
    that strayed do not count. Pure."""
    known = [
        (f"{vendor}/{stream.removeprefix('container/')}".encode(), partition) for vendor, stream, partition in streams
    ]

    def fitting(count: int) -> int:
        return sum(partition_of(key, count) == partition for key, partition in known)

    right = max(range(1, found + 1), key=fitting, default=wanted)
    if fitting(right) > fitting(wanted):
        raise Problem(
            "topic-misfit",
            f"LOSTFOUND_LOG_PARTITIONS is {wanted}, but {LOG} was written in {right} partitions:"
            f" set LOSTFOUND_LOG_PARTITIONS={right}.",
        )


def log_topic(settings: Settings) -> TopicSpec:
    """The log as these settings want it."""
    return log_spec(settings.log_partitions, settings.replication_factor, embedded=settings.kafka_bootstrap is None)


def _specs(settings: Settings, topics: Iterable[str]) -> list[TopicSpec]:
    names = set(topics)
    specs = [log_topic(settings)]
    for name in sorted(names):
        if re.match(INBOXES, name):
            specs += vendor_specs(vendor_of(name), settings.replication_factor)
    return [spec for spec in specs if spec.name in names]


async def _found(admin: AIOKafkaAdminClient, specs: Sequence[TopicSpec]) -> dict[TopicSpec, Found]:
    found: dict[TopicSpec, Found] = {}
    for start in range(0, len(specs), AT_ONCE):
        some = {spec.name: spec for spec in specs[start : start + AT_ONCE]}
        described = {one["topic"]: one["partitions"] for one in await admin.describe_topics(list(some))}
        wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in some]
        for answer in await admin.describe_configs(wanted):
            for code, _message, _type, name, entries in answer.resources:
                if code:
                    raise for_code(code)(f"topic {name}")
                if not (partitions := described[name]):
                    continue  # another process has just made it, so it is as it must be
                found[some[name]] = Found(
                    partitions=len(partitions),
                    copies=min((len(one["replicas"]) for one in partitions), default=0),
                    config={entry[0]: entry[1] for entry in entries},
                    own={entry[0]: entry[1] for entry in entries if entry[3] == TOPIC_SOURCE},
                )
    return found


async def _repair(admin: AIOKafkaAdminClient, spec: TopicSpec, found: Found) -> None:
    # The request replaces all that was set for the topic itself, so what others have set is said again.
    resource = ConfigResource(ConfigResourceType.TOPIC, spec.name, configs={**found.own, **spec.config})
    for answer in await admin.alter_configs([resource]):
        for code, message, *_rest in answer.resources:
            if code:
                raise for_code(code)(f"topic {spec.name}: {message}")


@asynccontextmanager
async def _admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = new_admin(settings.bootstrap, request_timeout_ms=10_000)
    try:
        await admin.start()
        yield admin
    finally:
        await admin.close()
