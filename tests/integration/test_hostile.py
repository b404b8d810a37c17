"""Ten thousand hostile records: each becomes a dead letter as it came, nothing else changes, and nothing stops."""

import asyncio
import json
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import pytest
from confluent_kafka import Producer
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

OVERSIZE = (None, b"[" * 5000, b" " * (LIMIT_BYTES + 1))
BEYOND_A_NAME = ("x" * 100, "../../etc", "cloud", "lost", 10**30, "'; drop table x")
NAMES = ("content-type", "ce_type", "ce_id", "ce_source", "ce_specversion", "CE_TIME", "x")
TOLD = (b"1.0", b"lostfound.inbox.loss.reported.v1", b"application/json")
KEYS = (*[b"3-1001"] * 8, b"\x00", b"other/3-1", b"k" * 300, b"", None)
VERSIONED = ("lostfound.inbox.loss.reported.v", "lostfound.case.closed.v", "")
LETTERS = "aZ0-_ .\x00\n\"'\\{}ßπ漢😀\u202e"


class Hostile:
    """Records that no sane system sends, by dice: the same every time."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)

    def record(self) -> Record:
        """One of them."""
        dice = self.dice
        key = dice.choice((*KEYS, dice.randbytes(dice.randint(0, 8))))
        headers = STRUCTURED if dice.random() < 0.5 else self._headers()
        return key, self._value(), headers

    def _value(self) -> bytes | None:
        dice = self.dice
        match dice.randrange(7):
            case 0 | 1 | 2:
                return self._twisted()
            case 3:
                return dice.randbytes(dice.randint(0, 60))
            case 4:
                return json.dumps(self._anything()).encode()
            case 5:
                name = f"{dice.choice(VERSIONED)}{dice.randint(2, 10**6)}"
                return json.dumps(_event(type=name)).encode()
            case _:
                return dice.choice(OVERSIZE) if dice.random() < 0.3 else b"[" * dice.randint(1, 5000)

    def _twisted(self) -> bytes:
        """A statement that was valid before something in it was changed."""
        dice = self.dice
        statement = dice.choice(list(STATEMENTS.values()))
        data: dict[str, Any] = dict(statement.example)
        name = dice.choice([*data, "extra", "kind", "reason", "scope", "generation"])
        data[name] = self._anything() if dice.random() < 0.6 else dice.choice(BEYOND_A_NAME)
        event = _event(type=statement.type(), data=data, id=str(dice.randint(0, 10**9)))
        if dice.random() < 0.5:
            event[dice.choice(list(event))] = self._anything()
        return json.dumps(event).encode()

    def _anything(self, depth: int = 0) -> Any:
        """Any JSON."""
        dice = self.dice
        match dice.randrange(8 if depth < 3 else 6):
            case 0:
                return dice.choice((None, True, False))
            case 1 | 2:
                return dice.choice((0, -1, 1, dice.randint(-300, 300), dice.getrandbits(dice.randint(1, 128))))
            case 3:
                return dice.choice((0.0, -0.5, 1e308, float("inf"), dice.uniform(-1e6, 1e6)))
            case 4 | 5:
                return self._text(20)
            case 6:
                return [self._anything(depth + 1) for _ in range(dice.randint(0, 3))]
            case _:
                return {self._text(8): self._anything(depth + 1) for _ in range(dice.randint(0, 3))}

    def _text(self, most: int) -> str:
        return "".join(self.dice.choices(LETTERS, k=self.dice.randint(0, most)))

    def _headers(self) -> dict[str, bytes]:
        dice = self.dice
        names = dice.sample(NAMES, dice.randint(0, 4))
        return {name: dice.choice((*TOLD, dice.randbytes(dice.randint(0, 20)))) for name in names}


def _event(**changes: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "1", "source": "/x", "type": "", "data": {}, **changes}


def _would_be_taken(record: Record) -> bool:
    """Whether it is a statement that adds to the inventory, and so no hostile one."""
    try:
        return isinstance(read_statement(*record), ContainerStatement | LicenceStatement)
    except RefusalError:
        return False


def made() -> list[Record]:
    """The same records every time."""
    hostile = Hostile(seed=1)
    every = iter(hostile.record, None)
    return list(islice((record for record in every if not _would_be_taken(record)), RECORDS))


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
