"""How fast the views are folded anew from the whole log."""

import asyncio
import gc
import operator
import time
from collections.abc import Iterable
from functools import reduce
from typing import Annotated, Any, Literal
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from psycopg import AsyncConnection, sql
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, create_model

from bench.result import Bar, Result
from events.catalogue import CATALOGUE
from events.envelope import Sealed
from events.log import LogReader
from events.terms import VendorId
from events.topics import LOG
from infra.settings import Settings
from projections.rebuild import rebuild
from projections.view_schemas import prepare_views
from tests.stories import set_aside, tell_all
from tests.worlds import CODEC, World

CASES = 10_000
CASES_PER_VENDOR = 1_000
ROUNDS = 3
SENDS = 2_000


class Record(BaseModel):
    """What every record of the log has in common."""

    model_config = ConfigDict(extra="forbid")

    specversion: Literal["1.0"]
    id: UUID
    source: str
    subject: str
    time: AwareDatetime
    datacontenttype: str
    vendor: VendorId | Literal[""]
    sequence: int
    previoushash: str
    release: str | None = None


def record_models() -> TypeAdapter[Any]:
    """Any record of the log as one model: its data are those that the catalogue has for its type."""
    models = [
        create_model(f"{fact.__name__}Record", __base__=Record, type=(Literal[name], ...), data=(fact, ...))
        for name, fact in CATALOGUE.items()
    ]
    return TypeAdapter(Annotated[reduce(operator.or_, models), Field(discriminator="type")])


async def measure(settings: Settings) -> list[Result]:
    """Rounds of reading and validating alone, and of a whole rebuild into fresh views; no projector may run."""
    await _fill(settings.bootstrap)
    adapter = record_models()
    rounds: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        base = await _bare(settings.bootstrap, adapter)
        await _no_views(settings.dsn)
        begun = time.monotonic()
        report = await rebuild(settings.bootstrap, settings.dsn, CODEC)
        rounds.append((report.records / (time.monotonic() - begun), base))
    return [
        Result.against(
            "rebuild_events_per_second",
            "events/s",
            rounds,
            "aiokafka getmany and validate_json of the same bytes",
            Bar(at_least=0.4),
        )
    ]


async def _bare(bootstrap: str, adapter: TypeAdapter[Any]) -> float:
    """Records a second that a consumer reads and pydantic validates, with nothing done about them."""
    ends = await LogReader(bootstrap).ends()
    left = {TopicPartition(LOG, partition): end for partition, end in ends.items() if end}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=16_777_216,
        max_partition_fetch_bytes=4_194_304,
    )
    gc.collect()
    begun = time.monotonic()
    count = 0
    async with consumer:
        consumer.assign(list(left))
        await consumer.seek_to_beginning()
        while left:
            for partition, records in (await consumer.getmany(timeout_ms=1000, max_records=5000)).items():
                for record in records:
                    adapter.validate_json(record.value)
                count += len(records)
                if records[-1].offset + 1 >= left.get(partition, 0):
                    left.pop(partition, None)
    return count / (time.monotonic() - begun)


async def _fill(bootstrap: str) -> None:
    """Append the facts of the generated cases, which must cover the whole catalogue."""
    seen: set[str] = set()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
        for number in range(CASES // CASES_PER_VENDOR):
            records = await asyncio.to_thread(_generated, number)
            seen.update(record_type(record) for record in records)
            for start in range(0, len(records), SENDS):
                sends = [await producer.send(LOG, one.value, one.key) for one in records[start : start + SENDS]]
                await asyncio.gather(*sends)
    missing = sorted(set(CATALOGUE) - seen)
    assert not missing, f"the generated cases have no {', '.join(missing)}"


def record_type(record: Sealed) -> str:
    """The type of a record's fact."""
    return CODEC.unseal(record.value).fact.type()


def _generated(vendor_number: int) -> list[Sealed]:
    vendor, world = VendorId(f"generated-{vendor_number}"), World()
    if vendor_number == 0:
        set_aside(world)
    world.add_vendor(vendor)
    for number in range(CASES_PER_VENDOR):
        world.lose(vendor, number, waits=number % 3 == 0, again=number % 5 == 0)
    for number in range(CASES_PER_VENDOR // 20):
        tell_all(world, vendor, number)
    return list(_by_turns(list(world.streams.values())))


def _by_turns(streams: list[list[Sealed]]) -> Iterable[Sealed]:
    """The streams' records, some cases side by side as they would be in life."""
    for start in range(0, len(streams), 60):
        group = streams[start : start + 60]
        for turn in range(max(map(len, group))):
            yield from (stream[turn] for stream in group if turn < len(stream))


async def _no_views(dsn: str) -> None:
    async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
        cursor = await connection.execute("select nspname from pg_namespace where nspname ~ '^views(_|$)'")
        for (schema,) in await cursor.fetchall():
            await connection.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
    await prepare_views(dsn)
