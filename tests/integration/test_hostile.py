"""Ten thousand hostile records: each becomes a dead letter as it came, nothing else changes, and nothing stops."""

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from psycopg import AsyncConnection

from events.errors import Code, RefusalError
from events.inbox import STATEMENTS, ContainerStatement, LicenceStatement
from events.terms import VendorId
from infra.settings import Settings
from infra.wiring import add_vendor, prepare
from portal.statements import LIMIT_BYTES, read_statement
from tests.foreign import BackOffice, Reader
from tests.services import Services
from workflows.policy import Policy

pytestmark = pytest.mark.integration

RECORDS = 10_000
VENDOR = VendorId("besieged")
STRUCTURED = {"content-type": b"application/cloudevents+json"}
COUNTED = ("containers", "licences", "cases", "claims", "reports", "measures", "contacts", "streams")

Record = tuple[bytes | None, bytes | None, dict[str, bytes]]

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
headers = st.dictionaries(
    st.sampled_from(["content-type", "ce_type", "ce_id", "ce_source", "ce_specversion", "CE_TIME", "x"]),
    st.binary(max_size=20) | st.sampled_from([b"1.0", b"lostfound.inbox.loss.reported.v1", b"application/json"]),
    max_size=4,
)
keys = st.sampled_from([b"3-1001"] * 8 + [b"\x00", b"other/3-1", b"k" * 300, b"", None]) | st.binary(max_size=8)


def _event(**changes: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "source": "/x", "type": "", "data": {}, **changes}


@st.composite
def twisted(draw: st.DrawFn) -> bytes:
    """A statement that was valid before something in it was changed."""
    statement = draw(st.sampled_from(list(STATEMENTS.values())))
    data: dict[str, Any] = dict(statement.example)
    name = draw(st.sampled_from([*data, "extra", "kind", "reason", "scope", "generation"]))
    data[name] = draw(anything | st.sampled_from(["x" * 100, "../../etc", "cloud", "lost", 10**30, "'; drop table x"]))
    event = _event(type=statement.type(), data=data, id=str(draw(st.integers(0, 10**9))))
    if draw(st.booleans()):
        event[draw(st.sampled_from(list(event)))] = draw(anything)
    return json.dumps(event).encode()


values = st.one_of(
    twisted(),
    twisted(),
    twisted(),
    st.binary(max_size=60),
    anything.map(lambda value: json.dumps(value).encode()),
    st.tuples(
        st.sampled_from(["lostfound.inbox.loss.reported.v", "lostfound.case.closed.v", ""]), st.integers(2, 10**6)
    ).map(lambda type_: json.dumps(_event(type=f"{type_[0]}{type_[1]}")).encode()),
    st.sampled_from([None, b"[" * 5000, b" " * (LIMIT_BYTES + 1)]),
)
records = st.tuples(keys, values, st.just(STRUCTURED) | headers)


def _would_be_taken(record: Record) -> bool:
    """Whether it is a statement that adds to the inventory, and so no hostile one."""
    try:
        return isinstance(read_statement(*record), ContainerStatement | LicenceStatement)
    except RefusalError:
        return False


def made() -> list[Record]:
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
        found.extend(record for record in several if not _would_be_taken(record))

    number = 0
    while len(found) < RECORDS:
        seed(number)(collect)()
        number += 1
    return found[:RECORDS]


async def test_hostile_records_change_nothing_and_stop_nothing(tmp_path: Path) -> None:
    hostile = made()
    assert len({value for _, value, _ in hostile}) > RECORDS / 2
    async with Services(tmp_path, "postgres", "kafka", "temporal", hold_seconds=1) as services:
        await prepare(services.settings, lambda _: None)
        await add_vendor(services.settings, VENDOR, Policy())
        await services.start("worker", "inbox")
        before = await _counts(services.settings)
        producer = Producer({"bootstrap.servers": services.settings.bootstrap, "log_level": 0})
        for key, value, told in hostile:
            producer.produce(f"lostfound.{VENDOR}.inbox", key=key, value=value, headers=list(told.items()))
            producer.poll(0)
        assert producer.flush(60) == 0

        reader = Reader(services.settings.bootstrap, f"lostfound.{VENDOR}.dead-letters")
        letters = reader.until(RECORDS, seconds=240)

        assert Counter(value for _, _, value, _ in letters) == Counter(value for _, value, _ in hostile)
        assert {told["lostfound-code"].decode() for *_, told in letters} <= set(Code)
        assert all(told["lostfound-sentence"] for *_, told in letters)
        assert len({told["lostfound-place"] for *_, told in letters}) == RECORDS
        assert await _counts(services.settings) == before
        office = BackOffice(services.settings.bootstrap, VENDOR)
        office.stock("3-1", "h-1")
        office.report("R-1", "3-1")
        office.flush()
        async with asyncio.timeout(30):
            while (await _counts(services.settings))["cases"] != 1:  # noqa: ASYNC110 - it happens in another process
                await asyncio.sleep(0.1)
        reader.close()


async def _counts(settings_: Settings) -> dict[str, int]:
    async with await AsyncConnection.connect(settings_.dsn) as connection:
        found = {}
        for table in COUNTED:
            cursor = await connection.execute(f"select count(*) from backend.{table} where vendor = %s", (VENDOR,))
            row = await cursor.fetchone()
            assert row
            found[table] = row[0]
        return found
