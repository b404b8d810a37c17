"""Ten thousand hostile records on containers and licences that exist: none stops anything, each is taken or becomes a
dead letter as it came, and a second vendor's losses are replaced meanwhile, all of them, as if nothing were.

Nothing is left out of what is made. Beside it comes every poison that once stopped an inbox.
"""

import asyncio
import json
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import KafkaError, Message, Producer
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from activities.register import PostgresRegister
from events.errors import Code, RefusalError
from events.statements import STATEMENTS
from events.terms import Status, VendorId
from infra.settings import Settings
from infra.wiring import add_vendor, prepare
from portal.inbox.batches import INFLATED_BYTES_LIMIT
from portal.inbox.cloudevent_reader import LIMIT_BYTES, read_statement
from projections.read.queries import open_queries
from tests.foreign import BackOffice, Reader, batch, now, send_batch, sign
from tests.services import Services
from workflows.policy import Policy

pytestmark = pytest.mark.integration

RECORDS = 10_000
ORDINARY_CASES_LEAST = 10
SECONDS_LIMIT = 240
ANSWER_SECONDS_LIMIT = 15
"""Within which the second vendor's report is a case, whatever goes on: locks are waited for 5 s, on two cores."""
BESIEGED, ORDINARY, WITHOUT_DEAD_LETTERS = VendorId("besieged"), VendorId("ordinary"), VendorId("letterless")
STRUCTURED = {"content-type": b"application/cloudevents+json"}
CODECS = ("gzip", "snappy", "lz4", "zstd")
REFUSED_BY_BROKERS = (-1, 2, 76, 87)
"""What it did not foresee itself, corrupt message, unsupported compression type, invalid record."""
CRM = {"role": "back_office", "name": "crm"}
MACHINE = {"board": "b-1", "disk": "d-1"}

Record = tuple[bytes | None, bytes | None, dict[str, bytes]]
Place = tuple[int, int]

SERIALS = ("3-1001", "3-1002", "3-1003", "A-1001", "K-1001", "3-9")
LICENCES = ("L-1", "L-2", "L-3", "L-4", "L-9")

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
edges = st.sampled_from(
    [
        *("x" * 100, "../../etc", "'; drop table x", "\0", "\x1b[2J", "é" * 40, "cloud", "act", "lost", "stolen"),
        *(0, -1, 2**31 - 1, 2**31, 2**63, 10**30, 10**9, 10**9 + 1, 1.5),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "9990-01-01T00:00:00Z", "9000-12-31T00:00:00Z"),
        *("1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2026-02-30T00:00:00Z", "2026-11-20T18:00:00"),
        *({"board": "a\0b"}, {"board": "b-1"}, {}, {"b" * 100: "x"}, {"check_in": {"unit": "year", "count": 1000}}),
        *({"check_in": {"unit": "year", "count": 10}, "grace_days": 3650}, [{"licence": "L-9", "generation": 2**31}]),
        *(["L-1"] * 1001, [{"licence": "L-9", "generation": 1}], [{"licence": "L-1", "generation": 2}], True, None),
    ]
)
headers = st.dictionaries(
    st.sampled_from(
        ["content-type", "ce_type", "ce_id", "ce_source", "ce_specversion", "CE_TIME", "x", "lostfound-code"]
    ),
    st.binary(max_size=20) | st.sampled_from([b"1.0", b"lostfound.inbox.loss.reported.v1", b"application/json"]),
    max_size=4,
)
keys = st.sampled_from([*(serial.encode() for serial in SERIALS)] * 2 + [b"\x00", b"other/3-1", b"k" * 300, b"", None])


def _event(**changes: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "source": "/x", "type": "", "data": {}, **changes}


@st.composite
def twisted(draw: st.DrawFn) -> bytes:
    """A statement about what exists, valid before up to two things in it were changed."""
    statement = draw(st.sampled_from(list(STATEMENTS.values())))
    data: dict[str, Any] = dict(statement.example)
    for name, known in (("serial", SERIALS), ("licence", LICENCES), ("kind", ("dongle", "act", "cloud"))):
        if name in data:
            data[name] = draw(st.sampled_from(known))
    for number in ("report", "contact", "statement"):
        if number in data:
            data[number] = f"N-{draw(st.integers(0, 2000))}"
    for _ in range(draw(st.integers(0, 2))):
        more = ["extra", "kind", "reason", "scope", "generation", "licences", "fingerprint", "lease", "how", "issued"]
        data[draw(st.sampled_from([*data, *more]))] = draw(anything | edges | edges)
    event = _event(type=statement.type(), data=data, id=str(draw(st.integers(0, 10**9))))
    if draw(st.integers(0, 9)) == 9:
        event[draw(st.sampled_from(list(event)))] = draw(anything)
    return json.dumps(event).encode()


values = st.one_of(
    twisted(),
    st.binary(max_size=60),
    anything.map(lambda value: json.dumps(value).encode()),
    st.tuples(
        st.sampled_from(["lostfound.inbox.loss.reported.v", "lostfound.case.closed.v", ""]), st.integers(2, 10**6)
    ).map(lambda type_: json.dumps(_event(type=f"{type_[0]}{type_[1]}")).encode()),
    st.sampled_from([None, b"[" * 5000, b" " * (LIMIT_BYTES + 1)]),
)
records = st.one_of(
    *[st.tuples(keys, twisted(), st.just(STRUCTURED))] * 3,
    st.tuples(keys | st.binary(max_size=8), values, st.just(STRUCTURED) | headers),
)


def made(records_wanted: int = RECORDS) -> list[Record]:
    """The same records every time. Many short runs: after its tenth example Hypothesis mostly varies those it had."""
    found: list[Record] = []

    @settings(
        max_examples=10,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(records, min_size=20, max_size=20))
    def collect(several: list[Record]) -> None:
        found.extend(several)

    number = 0
    while len(found) < records_wanted:
        seed(number)(collect)()
        number += 1
    return found[:records_wanted]


class Siege:
    """Sends to the besieged vendor, and knows at which place each record stands."""

    def __init__(self, bootstrap: str, **more: Any) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, **more})
        self.sent: dict[Place, Record] = {}

    def send(self, record: Record, partition: int = -1) -> None:
        """Send a record."""

        def stands(error: KafkaError | None, message: Message) -> None:
            assert error is None, error
            self.sent[message.partition() or 0, message.offset() or 0] = record

        key, value, headers = record
        self._producer.produce(
            f"lostfound.{BESIEGED}.inbox",
            key=key,
            value=value,
            headers=list(headers.items()),
            partition=partition,
            on_delivery=stands,
        )
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until the broker has everything."""
        assert self._producer.flush(60) == 0


def inventory(office: BackOffice) -> None:
    """What the hostile records are about."""
    for serial in ("3-1001", "3-1002", "3-1003", "3-1004", "3-1005"):
        office.state("container.registered", serial, serial=serial, kind="dongle", holder="H-7")
    office.state("container.registered", "A-1001", serial="A-1001", kind="act", holder="H-7", fingerprint=MACHINE)
    office.state("container.registered", "K-1001", serial="K-1001", kind="cloud", holder="H-7")
    for licence, serial, generation in (
        *(("L-1", "3-1001", 1), ("L-2", "3-1002", 1), ("L-3", "A-1001", 1), ("L-4", "K-1001", 1)),
        ("L-LAST", "3-1003", 10**9),
    ):
        fields = {"licence": licence, "serial": serial, "product": "cad", "ticket": "T-1", "issued": now()}
        office.state("licence.issued", serial, **fields, generation=generation)
    office.flush()


def poisons(office: BackOffice) -> list[bytes]:
    """The statements that once stopped every inbox, on what exists."""
    contact = {"serial": "3-1001", "occurred": now()}
    licence = {"licence": "L-P", "serial": "3-1002", "product": "cad", "ticket": "T-1", "issued": now()}
    container = {"serial": "A-P", "kind": "act", "holder": "H-7"}
    loss = {"kind": "dongle", "reason": "stolen", "reporter": CRM, "occurred": now()}
    years = {"check_in": {"unit": "year", "count": 10}}
    return [
        office.event("loss.reported", report="P-1", serial="3-1001", **loss),
        office.event("loss.reported", report="P-2", serial="3-1003", **loss),  # its licence has no next generation
        office.event("loss.reported", report="P-3", serial="3-1005", **loss),  # it never held a licence
        *(
            office.event("container.contacted", contact=f"P-{number}", **contact, licences=[shown])
            for number, shown in enumerate(
                (
                    {"licence": "L-9", "generation": 1},
                    {"licence": "L-1", "generation": 10**9},
                    {"licence": "L-1", "generation": 2**31},
                )
            )
        ),
        office.event("licence.issued", **licence, generation=2**31),
        *(
            office.event("licence.issued", **{**licence, **changed})
            for changed in (
                {"issued": "0001-01-01T00:00:00+14:00"},
                {"issued": "9999-12-31T23:59:59-12:00"},
                {"borrowed_until": "9999-12-31T23:59:59-12:00"},
                {"issued": "9990-01-01T00:00:00Z", "lease": years},
                {"issued": "8995-01-01T00:00:00Z", "lease": years},
            )
        ),
        office.event("container.registered", **container, fingerprint={"board": "a\0b"}),
        office.event("activation.returned", contact="P-9", serial="A-1001", generation=2**31, occurred=now()),
    ]


async def besiege(services: Services, hostile: list[Record]) -> dict[Place, Record]:
    """Send everything; the places where it stands, those of batches that cannot be read with None."""
    bootstrap, topic = services.settings.bootstrap, f"lostfound.{BESIEGED}.inbox"
    siege, office = Siege(bootstrap), BackOffice(bootstrap, BESIEGED)
    for event in poisons(office):
        siege.send((b"any", event, STRUCTURED), 0)
    for number, record in enumerate(hostile):
        siege.send(record)
        if number % 1000 == 0:
            await asyncio.sleep(0)
    siege.flush()
    several = [siege]
    for codec in CODECS:
        several.append(Siege(bootstrap, **{"compression.codec": codec, "message.max.bytes": 100_000_000}))
        several[-1].send((b"k", hostile[0][1], STRUCTURED))
        several[-1].send((b"k", b" " * (INFLATED_BYTES_LIMIT + 1), {}))
        several[-1].flush()
    large = Siege(bootstrap, **{"message.max.bytes": 100_000_000})
    large.send((b"k", b"x" * 1_048_400, {}))
    large.flush()
    for header in (b"\xff\xfe", b"\0"):
        assert await send_batch(bootstrap, topic, 2, batch(b"k", b"one", b"two", header=header)) == 0
    for codec in range(1, 8):  # beyond 4 there is none; a broker takes none of these, or its inbox must
        garbled = batch(b"k", b"one" * 50, codec=codec % 5)
        garbled[22] = codec
        garbled[80:] = b"\xff" * (len(garbled) - 80)
        assert await send_batch(bootstrap, topic, 2, sign(garbled)) in REFUSED_BY_BROKERS
    return {place: record for one in (*several, large) for place, record in one.sent.items()}


async def go_about(services: Services, over: asyncio.Event) -> list[float]:
    """The second vendor's losses, one after the other until the siege is over; the seconds until each is a case."""
    office, seconds = BackOffice(services.settings.bootstrap, ORDINARY), list[float]()
    for number in count(1):
        if over.is_set() and number > ORDINARY_CASES_LEAST:
            break
        began = time.monotonic()
        office.stock(f"3-{number}", f"h-{number}")
        office.report(f"R-{number}", f"3-{number}")
        office.flush()
        while await _count(services.settings, "cases", ORDINARY) < number:
            assert time.monotonic() - began < SECONDS_LIMIT, f"report {number} became no case"
            await asyncio.sleep(0.05)
        seconds.append(time.monotonic() - began)
    return seconds


async def test_hostile_records_stop_nothing_and_nobody(tmp_path: Path) -> None:
    hostile = made()
    assert len({value for _, value, _ in hostile}) > RECORDS / 2
    async with Services(tmp_path, "postgres", "kafka", "temporal", hold_seconds=1, projector="plain") as services:
        await prepare(services.settings, lambda _: None)
        for vendor in (BESIEGED, ORDINARY, WITHOUT_DEAD_LETTERS):
            await add_vendor(services.settings, vendor, Policy())
        await services.start("worker", "projector", "inbox")
        inventory(BackOffice(services.settings.bootstrap, BESIEGED))
        await _lose_letters(services.settings)

        over = asyncio.Event()
        going = asyncio.create_task(go_about(services, over))
        async with asyncio.timeout(SECONDS_LIMIT):
            sent = await besiege(services, hostile)
            await _done(services.settings, BESIEGED, WITHOUT_DEAD_LETTERS)
            over.set()
            seconds = await going
            await _done(services.settings, ORDINARY)
            await _replaced(services.settings, len(seconds))

        assert max(seconds) < ANSWER_SECONDS_LIMIT
        assert await _count(services.settings, "cases", ORDINARY) == len(seconds)
        assert await _count(services.settings, "containers", ORDINARY) == 2 * len(seconds)
        assert await _count(services.settings, "licences", ORDINARY) == len(seconds)
        assert _dead_letters(services.settings, ORDINARY) == {}
        _came_back_as_sent(_dead_letters(services.settings, BESIEGED), sent)
        assert all(services.alive(role) for role in ("worker", "projector", "inbox"))
        aside = await PostgresRegister(services.settings.dsn).entries(1000)
        assert {entry.code for entry in aside if entry.place.startswith("lostfound.")} == {
            Code.UNREADABLE,
            Code.INFLATES_TOO_FAR,
        }
        assert len(_dead_letters(services.settings, WITHOUT_DEAD_LETTERS)) == 1


def _came_back_as_sent(records: dict[Place, tuple[bytes | None, dict[str, bytes]]], sent: dict[Place, Record]) -> None:
    """A dead letter has the bytes of the record at its place, what states nothing is one, and none is ours."""
    bombs, unreadable = 0, 0
    for place, (value, headers) in records.items():
        code = Code(headers["lostfound-code"].decode())
        assert code is not Code.INTERNAL_ERROR, headers["lostfound-sentence"]
        assert headers["lostfound-sentence"]
        bombs += code is Code.INFLATES_TOO_FAR
        unreadable += code is Code.UNREADABLE
        if "lostfound-sha256" not in headers:
            assert place not in sent or sent[place][1] == value
    assert (bombs, unreadable) == (len(CODECS), 2)
    for place, record in sent.items():
        if code := _refused(record):
            assert place in records, f"{record} at {place} is no dead letter"
            assert records[place][1]["lostfound-code"].decode() in (code, Code.INFLATES_TOO_FAR)


def _refused(record: Record) -> Code | None:
    """Why a record states nothing, or None."""
    try:
        read_statement(*record)
    except RefusalError as refusal:
        return refusal.code
    return None


def _dead_letters(settings_: Settings, vendor: VendorId) -> dict[Place, tuple[bytes | None, dict[str, bytes]]]:
    """A vendor's dead letters by the place of their record; those that came twice have one place."""
    reader = Reader(settings_.bootstrap, f"lostfound.{vendor}.dead-letters")
    found: dict[Place, tuple[bytes | None, dict[str, bytes]]] = {}
    while not reader.at_end():
        for _, _, value, headers in reader.read():
            _, partition, offset = headers["lostfound-place"].decode().split("/")
            found[int(partition), int(offset)] = (value, headers)
    reader.close()
    return found


async def _lose_letters(settings_: Settings) -> None:
    """A vendor's dead-letter topic is gone when it is needed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings_.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([f"lostfound.{WITHOUT_DEAD_LETTERS}.dead-letters"])
    finally:
        await admin.close()
    office = BackOffice(settings_.bootstrap, WITHOUT_DEAD_LETTERS)
    office.send(b"k", b"no JSON")
    office.flush()


async def _done(settings_: Settings, *vendors: VendorId) -> None:
    """All that stands in these inboxes is handled, and nothing is parked."""
    topics = [f"lostfound.{vendor}.inbox" for vendor in vendors]
    readers = {topic: Reader(settings_.bootstrap, topic) for topic in topics}
    admin = AIOKafkaAdminClient(bootstrap_servers=settings_.bootstrap)
    await admin.start()
    try:
        while True:
            committed = await admin.list_consumer_group_offsets("lostfound-inbox")
            done = {(partition.topic, partition.partition): at.offset for partition, at in committed.items()}
            ends = {(topic, number): end for topic in topics for number, end in readers[topic].ends().items()}
            behind = {place: end for place, end in ends.items() if end and done.get(place, 0) < end}
            parked = sum([await _count(settings_, "parked", vendor) for vendor in vendors])
            if not behind and not parked:
                return
            await asyncio.sleep(0.2)
    finally:
        await admin.close()
        for reader in readers.values():
            reader.close()


async def _replaced(settings_: Settings, cases: int) -> None:
    """The views show every loss of the second vendor replaced and watched."""
    while True:
        async with open_queries(settings_.dsn) as views:
            if len(await views.cases(ORDINARY, Status.WATCHING, 1000)) == cases:
                return
        await asyncio.sleep(0.2)


async def _count(settings_: Settings, table: str, vendor: VendorId) -> int:
    async with await AsyncConnection.connect(settings_.dsn) as connection:
        cursor = await connection.execute(f"select count(*) from backend.{table} where vendor = %s", (vendor,))
        row = await cursor.fetchone()
        assert row
        return int(row[0])
