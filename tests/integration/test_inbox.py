"""The inbox on a real broker and database: one record, batch or vendor that cannot go on stops no other."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from psycopg import AsyncConnection
from psycopg.errors import DeadlockDetected, LockNotAvailable, ReadOnlySqlTransaction

from activities.register import PostgresRegister
from events.errors import Code
from events.principal import Principal
from events.statements import LossStatement, Statement
from events.terms import VendorId
from events.topics import dead_letters, inbox, vendor_specs
from infra.settings import Settings
from infra.topic_provisioning import make_topics
from infra.wiring import add_vendor, open_backend, open_parking
from portal.application import Application
from portal.inbox import consumer
from portal.inbox.batches import INFLATED_BYTES_LIMIT
from portal.inbox.consumer import AT_ONCE, PARKED_LIMIT, UNFORESEEN_TRIES, Inbox
from portal.inbox.dead_letters import DeadLetters
from tests.foreign import BackOffice, Reader, batch, now, send_batch
from tests.given import Given, principal
from workflows.policy import Policy

pytestmark = pytest.mark.integration

SECONDS = 30
LONG_SECONDS = 240
"""For thousands of records, however busy the machine is."""
CODECS = ("gzip", "snappy", "lz4", "zstd")
BIG = {"message_max_bytes": 100_000_000, "queue_buffering_max_kbytes": 1_000_000}


@dataclass
class Watched(Application):
    """The application, and what passed them; `trouble` may raise for a statement."""

    backend: Any
    trouble: Callable[[VendorId, Statement], None] = lambda vendor, statement: None
    taken: list[tuple[VendorId, Statement]] = field(default_factory=list)
    tries: Counter[tuple[VendorId, str]] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__(Given(self.backend))

    async def take(self, principal: Principal, statement: Statement, received: datetime) -> None:
        vendor = principal.vendor
        self.tries[vendor, statement.subject] += 1
        self.trouble(vendor, statement)
        if not isinstance(statement, LossStatement):
            await super().take(principal, statement, received)
        self.taken.append((vendor, statement))

    def of(self, vendor: VendorId) -> list[str]:
        """What passed of a vendor, in its order, as `rank/subject`."""
        return [f"{statement.rank}/{statement.subject}" for whose, statement in self.taken if whose == vendor]


@asynccontextmanager
async def running(settings: Settings, hold_seconds: float = 1, **more: Any) -> AsyncIterator[Watched]:
    """An inbox of this process."""

    async def make_again(vendor: VendorId) -> None:
        await make_topics(settings, vendor_specs(vendor))

    async with open_backend(settings, patient=False) as backend, open_parking(settings) as parking:
        doors = Watched(backend, **more)
        writer = DeadLetters(settings.bootstrap, make_again, PostgresRegister(settings.dsn))
        ready = asyncio.Event()
        task = asyncio.create_task(Inbox(settings.bootstrap, doors, parking, writer, hold_seconds).run(ready.set))
        try:
            async with asyncio.timeout(SECONDS):
                await ready.wait()
            yield doors
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def other(settings: Settings, vendor: VendorId) -> VendorId:
    """A second vendor, whose ordinary traffic must go on."""
    other = VendorId(f"{vendor}-b")
    await add_vendor(settings, vendor, Policy())
    await add_vendor(settings, other, Policy())
    return other


async def until(holds: Callable[[], bool], seconds: float = SECONDS) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.02)


def state(office: BackOffice, *serials: str, partition: int = -1, holder: str = "h-1") -> None:
    """Register dongles."""
    for serial in serials:
        event = office.event("container.registered", serial=serial, kind="dongle", holder=holder)
        office.send(serial.encode(), event, partition)
    office.flush()


async def dead_letters_of(
    settings: Settings, vendor: VendorId, count: int, seconds: float = SECONDS
) -> list[dict[str, bytes]]:
    """The headers of the first dead letters, each with the `value` too."""
    reader = Reader(settings.bootstrap, dead_letters(vendor))
    try:
        found = await asyncio.to_thread(reader.until, count, seconds)
        return [{**headers, "value": value or b""} for _, _, value, headers in found]
    finally:
        reader.close()


async def entries(settings: Settings, vendor: VendorId, count: int) -> dict[str, str]:
    """The places of a vendor in the register, with their codes, once there are so many."""
    async with asyncio.timeout(SECONDS):
        while True:
            found = await PostgresRegister(settings.dsn).entries(1000)
            ours = {entry.place: entry.code for entry in found if entry.vendor == vendor}
            if len(ours) >= count:
                return ours
            await asyncio.sleep(0.05)


async def parked(settings: Settings, vendor: VendorId) -> int:
    async with await AsyncConnection.connect(settings.dsn) as connection:
        cursor = await connection.execute("select count(*) from backend.parked where vendor = %s", (vendor,))
        row = await cursor.fetchone()
        assert row
        return int(row[0])


async def test_a_batch_of_every_codec_is_taken(settings: Settings, vendor: VendorId, other: VendorId) -> None:
    async with running(settings) as doors:
        for codec in CODECS:
            state(BackOffice(settings.bootstrap, vendor, compression_codec=codec), f"{codec}-1", f"{codec}-2")
        await until(lambda: len(doors.of(vendor)) == 8)

    assert sorted(doors.of(vendor)) == sorted(f"0/{codec}-{number}" for codec in CODECS for number in (1, 2))


async def test_bombs_and_what_cannot_be_read_are_set_aside_by_their_place_and_what_follows_is_taken(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    topic = inbox(vendor)
    async with running(settings) as doors:
        for codec in CODECS:
            bomber = BackOffice(settings.bootstrap, vendor, compression_codec=codec, **BIG)
            bomber.send(b"k", b" " * (INFLATED_BYTES_LIMIT + 1), 0)
            bomber.flush()
            state(BackOffice(settings.bootstrap, other), f"{codec}-o")
        poison = batch(b"k", b"one", b"two", header=b"\xff\xfe")
        assert await send_batch(settings.bootstrap, topic, 0, poison) == 0
        state(BackOffice(settings.bootstrap, vendor), "3-1", partition=0)
        await until(lambda: doors.of(vendor) == ["0/3-1"] and len(doors.of(other)) == len(CODECS))
        records = await dead_letters_of(settings, vendor, 6)
        aside = await entries(settings, vendor, 6)

    codes = [record["lostfound-code"].decode() for record in records]
    assert codes == [Code.INFLATES_TOO_FAR] * 4 + [Code.UNREADABLE] * 2
    assert [record["lostfound-place"].decode() for record in records] == [f"{topic}/0/{offset}" for offset in range(6)]
    assert all(len(record["lostfound-sha256"]) == 64 and int(record["lostfound-length"]) for record in records)
    assert {record["value"] for record in records} == {b""}
    assert aside == {f"{topic}/0/{offset}": codes[offset] for offset in range(6)}


async def test_a_dead_letter_that_does_not_fit_is_written_with_its_place_length_and_hash(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    value = b" " * 1_048_400
    async with running(settings) as doors:
        office = BackOffice(settings.bootstrap, vendor, **BIG)
        office.send(b"k", value, 0)
        office.flush()
        state(office, "3-1", partition=0)
        await until(lambda: doors.of(vendor) == ["0/3-1"])
        (record,) = await dead_letters_of(settings, vendor, 1)

    assert (record["lostfound-code"], record["value"]) == (b"too_large", b"")
    assert record["lostfound-place"].decode() == f"{inbox(vendor)}/0/0"
    assert record["lostfound-length"] == b"1048400"
    assert record["lostfound-sha256"].decode() == sha256(value).hexdigest()


async def test_a_dead_letter_topic_that_is_missing_is_made_again_and_nobody_else_waits(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([dead_letters(vendor)])
    finally:
        await admin.close()
    async with running(settings) as doors:
        office = BackOffice(settings.bootstrap, vendor)
        office.send(b"k", b"no JSON", 0)
        office.flush()
        state(BackOffice(settings.bootstrap, other), "3-1", "3-2", "3-3")
        await until(lambda: len(doors.of(other)) == 3, 10)
        state(office, "3-1", partition=0)
        await until(lambda: doors.of(vendor) == ["0/3-1"], 90)
        (record,) = await dead_letters_of(settings, vendor, 1)

    assert (record["lostfound-code"], record["value"]) == (b"not_json", b"no JSON")


async def test_what_nobody_foresaw_gets_a_few_tries_and_then_the_dead_letters_and_the_register(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    def trouble(whose: VendorId, statement: Statement) -> None:
        if whose == vendor and getattr(statement, "serial") == "3-2":  # noqa: B009
            raise KeyError("L-9")

    async with running(settings, trouble=trouble) as doors:
        state(BackOffice(settings.bootstrap, vendor), "3-1", "3-2", "3-3", partition=0)
        state(BackOffice(settings.bootstrap, other), "3-2")
        await until(lambda: len(doors.of(vendor)) == 2 and doors.of(other) == ["0/3-2"], 10)
        (record,) = await dead_letters_of(settings, vendor, 1)
        aside = await entries(settings, vendor, 1)

    assert record["lostfound-code"] == b"internal_error"
    assert b"KeyError" in record["lostfound-sentence"]
    assert json.loads(record["value"])["data"]["serial"] == "3-2"
    assert aside == {f"{inbox(vendor)}/0/1": "internal_error"}
    assert doors.tries[vendor, "3-2"] == UNFORESEEN_TRIES


async def test_a_database_that_is_being_switched_over_is_waited_for_however_long_it_takes(
    settings: Settings, vendor: VendorId, other: VendorId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "LOST_WAIT_SECONDS_LIMIT", 0.01)
    left = [ReadOnlySqlTransaction("cannot execute INSERT in a read-only transaction")] * (2 * consumer.LOST_TRIES)

    def trouble(whose: VendorId, statement: Statement) -> None:
        if whose == vendor and left:
            raise left.pop()

    async with running(settings, trouble=trouble) as doors:
        state(BackOffice(settings.bootstrap, vendor), "3-1")
        await until(lambda: len(doors.of(vendor)) == 1)

    assert await entries(settings, vendor, 0) == {}


async def test_what_is_in_the_way_for_a_while_is_tried_again_and_its_serial_keeps_its_order(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    left = [DeadlockDetected("deadlock detected"), LockNotAvailable("lock timeout"), TimeoutError()]

    def trouble(whose: VendorId, statement: Statement) -> None:
        if left:
            raise left.pop()

    async with running(settings, hold_seconds=60, trouble=trouble) as doors:
        office = BackOffice(settings.bootstrap, vendor)
        state(office, "3-1", partition=0)
        office.send(b"other key", office.event("licence.issued", **licence("L-1")), 0)
        office.send(b"third key", office.event("loss.reported", **loss("R-1")), 0)
        office.flush()
        await until(lambda: len(doors.of(vendor)) == 3)

        assert await parked(settings, vendor) == 0

    assert doors.of(vendor) == ["0/3-1", "1/3-1", "2/3-1"]


async def test_what_stays_in_the_way_is_dead_lettered_in_time(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    def trouble(whose: VendorId, statement: Statement) -> None:
        if whose == vendor:
            raise LockNotAvailable("lock timeout")

    async with running(settings, hold_seconds=1, trouble=trouble) as doors:
        state(BackOffice(settings.bootstrap, vendor), "3-1")
        state(BackOffice(settings.bootstrap, other), "3-1")
        (record,) = await dead_letters_of(settings, vendor, 1)
        await until(lambda: len(doors.of(other)) == 1)

    assert record["lostfound-code"] == b"busy"


def licence(name: str, serial: str = "3-1") -> dict[str, Any]:
    return {"licence": name, "serial": serial, "product": "cad", "ticket": "T-1", "issued": now()}


def loss(report: str, serial: str = "3-1") -> dict[str, Any]:
    reporter = {"role": "back_office", "name": "crm"}
    more = {"kind": "dongle", "reason": "lost", "reporter": reporter, "occurred": now()}
    return {"report": report, "serial": serial, **more}


async def test_a_loss_does_not_overtake_a_licence_that_waits_whatever_their_keys(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    office = BackOffice(settings.bootstrap, vendor)
    async with running(settings, hold_seconds=60) as doors:
        office.send(b"a", office.event("licence.issued", **licence("L-1")), 0)
        office.flush()
        await _until_parked(settings, vendor, 1)
        office.send(b"b", office.event("loss.reported", **loss("R-1")), 0)
        office.send(b"c", office.event("loss.reported", **loss("R-2")), 1)
        office.flush()
        await _until_parked(settings, vendor, 3)
        state(office, "3-1", partition=2)
        await until(lambda: len(doors.of(vendor)) == 4)

    assert doors.of(vendor) == ["0/3-1", "1/3-1", "2/3-1", "2/3-1"]


async def test_what_becomes_of_a_licence_waits_with_the_container_that_its_key_names(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    office = BackOffice(settings.bootstrap, vendor)
    async with running(settings, hold_seconds=60) as doors:
        office.send(b"3-1", office.event("licence.ended", licence="L-1", revision=2, ended=now()), 0)
        office.send(b"not a name", office.event("licence.ended", licence="L-1", revision=1, ended=now()), 0)
        office.send(b"3-1", office.event("loss.reported", **loss("R-1")), 0)
        office.flush()
        await _until_parked(settings, vendor, 3)
        state(office, "3-1", partition=2)
        office.send(b"3-1", office.event("licence.issued", **licence("L-1")), 2)
        office.flush()
        await until(lambda: len(doors.of(vendor)) == 5)

    passed = doors.of(vendor)
    assert passed[:3] == ["0/3-1", "1/3-1", "2/L-1"]
    assert sorted(passed[3:]) == ["2/3-1", "2/L-1"]


async def _until_parked(settings: Settings, vendor: VendorId, count: int) -> None:
    async with asyncio.timeout(SECONDS):
        while await parked(settings, vendor) < count:  # noqa: ASYNC110 - another process parks
            await asyncio.sleep(0.02)


async def test_what_a_delegate_says_waits_for_the_delegation_and_is_not_taken_once_that_is_revoked(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    office = BackOffice(settings.bootstrap, vendor)
    seller = {"role": "delegate", "name": "corp:seller|7"}
    given = {"delegation": "G-1", "delegate": seller["name"], "holders": ["h-1"], "until": "2999-01-01T00:00:00Z"}

    def finds(number: str) -> None:
        found = office.event("container.found", report=number, serial="3-1", reporter=seller, occurred=now())
        office.send(number.encode(), found)
        office.flush()

    async with running(settings, hold_seconds=60) as doors:
        state(office, "3-1")
        office.send(b"3-1", office.event("licence.issued", **licence("L-1")))
        office.flush()
        await until(lambda: len(doors.of(vendor)) == 2)
        lost = LossStatement.model_validate(loss("R-1"))
        await doors.backend.claim(principal(vendor), lost, datetime.now(UTC))
        finds("F-1")
        await _until_parked(settings, vendor, 1)
        office.send(b"G-1", office.event("delegation.given", **given))
        office.flush()
        await until(lambda: len(doors.of(vendor)) == 4)
        office.send(b"G-1", office.event("delegation.revoked", delegation="G-1"))
        office.flush()
        await until(lambda: len(doors.of(vendor)) == 5)
        finds("F-2")
        await _until_parked(settings, vendor, 1)

    assert doors.of(vendor) == ["0/3-1", "1/3-1", "0/G-1", "3/3-1", "0/G-1"]


async def test_what_is_parked_survives_an_inbox_and_is_taken_up_by_the_next(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    office = BackOffice(settings.bootstrap, vendor)
    async with running(settings, hold_seconds=60):
        office.send(b"a", office.event("licence.issued", **licence("L-1")), 0)
        office.flush()
        await _until_parked(settings, vendor, 1)
    async with running(settings, hold_seconds=60) as doors:
        state(office, "3-1", partition=2)
        await until(lambda: len(doors.of(vendor)) == 2)

    assert doors.of(vendor) == ["0/3-1", "1/3-1"]


async def test_inboxes_come_and_go_and_every_record_is_taken(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    office, serials = BackOffice(settings.bootstrap, vendor), [f"3-{number}" for number in range(300)]
    for serial in serials:
        office.send(b"a", office.event("licence.issued", **licence(f"L-{serial}", serial)), 0)
    office.flush()
    async with running(settings, hold_seconds=120) as first:
        await until(lambda: first.tries.total() > 50)
        async with running(settings, hold_seconds=120) as second:
            state(office, *serials[:150], partition=1)
            await until(lambda: len({*first.of(vendor), *second.of(vendor)}) > 50)
    async with running(settings, hold_seconds=120) as third:
        state(office, *serials[150:], partition=2)
        everywhere = (first, second, third)
        await until(lambda: {one for doors in everywhere for one in doors.of(vendor)} >= _both(serials), 60)

        assert await parked(settings, vendor) == 0
    assert _dead_letters_now(settings, vendor) == 0


def _dead_letters_now(settings: Settings, vendor: VendorId) -> int:
    """How many dead letters there are now."""
    reader = Reader(settings.bootstrap, dead_letters(vendor))
    try:
        return sum(reader.ends().values())
    finally:
        reader.close()


def _both(serials: Sequence[str]) -> set[str]:
    return {f"{rank}/{serial}" for serial in serials for rank in (0, 1)}


async def test_a_vendor_of_whom_all_that_may_waits_slows_no_other_and_what_is_beyond_is_dead_lettered(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    office = BackOffice(settings.bootstrap, vendor)
    async with running(settings, hold_seconds=600) as doors:
        for number in range(PARKED_LIMIT + 3 * AT_ONCE + 50):
            office.state("licence.issued", f"{number}", **licence(f"L-{number}", f"3-{number}"))
        office.flush()
        records = await dead_letters_of(settings, vendor, 1, LONG_SECONDS)
        alone = BackOffice(settings.bootstrap, other)
        tried = sum(doors.tries.values())
        state(alone, *(f"3-{number}" for number in range(100)))
        await until(lambda: len(doors.of(other)) == 100, LONG_SECONDS)
        meanwhile = sum(doors.tries.values()) - tried - 100

    assert records[0]["lostfound-code"] == b"too_many_waiting"
    assert PARKED_LIMIT <= await parked(settings, vendor) < PARKED_LIMIT + 3 * AT_ONCE
    assert meanwhile < PARKED_LIMIT / 2, "the other waited until most of what waits was tried again"
    async with await AsyncConnection.connect(settings.dsn) as connection:
        await connection.execute("delete from backend.parked where vendor = %s", (vendor,))


def typed(settings: Settings, *words: str) -> tuple[int, str]:
    """What `lostfound inbox dead-letters` says to these words, and its exit code."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.main", "inbox", "dead-letters", *words],
        env=os.environ | settings.environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


async def test_a_dead_letter_is_listed_shown_and_retried_as_often_as_one_likes(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    broken = True

    def trouble(whose: VendorId, statement: Statement) -> None:
        if whose == vendor and broken:
            raise KeyError("\x1b[2J")

    def ask(*words: str) -> Any:
        code, said = typed(settings, *words, "--vendor", vendor, "--json")
        assert code == 0, said
        return json.loads(said)

    place = f"{inbox(vendor)}/1/0"
    async with running(settings, trouble=trouble) as doors:
        office = BackOffice(settings.bootstrap, vendor)
        sent = office.event("container.registered", serial="3-1", kind="dongle", holder="h-1")
        office.send(b"k", sent, 1)
        office.flush()
        assert list(await entries(settings, vendor, 1)) == [place]
        listed = await asyncio.to_thread(ask, "list")
        by_code = await asyncio.to_thread(ask, "list", "--code", "busy")
        shown = await asyncio.to_thread(ask, "show", place)
        raw = await asyncio.to_thread(typed, settings, "show", place, "--raw", "--vendor", vendor)
        human = await asyncio.to_thread(typed, settings, "show", place, "--vendor", vendor)
        broken = False
        again = [(await asyncio.to_thread(ask, "retry", place))[0] for _ in range(2)]
        open_now = await asyncio.to_thread(ask, "list")
        every = await asyncio.to_thread(ask, "list", "--all")
        await until(lambda: len(doors.of(vendor)) == 2)
        unknown = await asyncio.to_thread(typed, settings, "retry", f"{inbox(vendor)}/1/9", "--vendor", vendor)

    assert [(one["place"], one["code"], one["whole"]) for one in listed] == [(place, "internal_error", True)]
    assert by_code == []
    assert (base64.b64decode(shown["value_base64"]), base64.b64decode(shown["key_base64"])) == (sent, b"k")
    assert [one["name"] for one in shown["headers"]] == ["content-type"]
    assert raw == (0, sent.decode())
    assert human[0] == 0
    assert "\x1b" not in human[1]
    assert [one["as"] for one in again] == [f"{inbox(vendor)}/1/1", f"{inbox(vendor)}/1/2"]
    assert await entries(settings, vendor, 0) == {}
    assert open_now == []
    assert [(one["state"], one["retried_as"]) for one in every] == [("retried", f"{inbox(vendor)}/1/2")]
    assert (unknown[0], "[unknown_dead_letter]" in unknown[1]) == (1, True)


async def make_anew(settings: Settings, vendor: VendorId) -> None:
    """Delete a vendor's inbox and make it again, empty."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics([inbox(vendor)])
        async with asyncio.timeout(SECONDS):
            while inbox(vendor) in await admin.list_topics():  # noqa: ASYNC110 - a deletion has no event
                await asyncio.sleep(0.05)
    finally:
        await admin.close()
    await make_topics(settings, vendor_specs(vendor))


async def test_records_of_one_place_in_an_inbox_that_was_made_anew_are_retried_both(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    broken, place = True, f"{inbox(vendor)}/1/0"

    def trouble(whose: VendorId, statement: Statement) -> None:
        if whose == vendor and broken:
            raise KeyError("trouble")

    for number in range(2):
        async with running(settings, trouble=trouble):
            state(BackOffice(settings.bootstrap, vendor), f"3-{number}", partition=1)
            await dead_letters_of(settings, vendor, number + 1)
        if number == 0:
            await make_anew(settings, vendor)
    broken = False
    async with running(settings, trouble=trouble) as doors:
        code, said = await asyncio.to_thread(typed, settings, "show", place, "--vendor", vendor, "--json")
        state(BackOffice(settings.bootstrap, other), "3-7")
        retried = await asyncio.to_thread(typed, settings, "retry", place, "--vendor", vendor, "--json")
        # That of the second inbox may come again: it may not have been committed.
        await until(lambda: set(doors.of(vendor)) == {"0/3-0", "0/3-1"} and len(doors.of(other)) == 1)

    shown = json.loads(said)
    assert code == retried[0] == 0
    assert b"3-1" in base64.b64decode(shown["value_base64"])
    assert [b"3-0" in base64.b64decode(one["value_base64"]) for one in shown["earlier"]] == [True]
    assert json.loads(retried[1])[0]["as"] == f"{inbox(vendor)}/1/1, {inbox(vendor)}/1/2"
    assert await entries(settings, vendor, 0) == {}


@pytest.mark.parametrize("length", [1_048_300, 1_000_001])
async def test_a_dead_letter_without_bytes_is_not_retried_by_another_record_at_its_place(
    settings: Settings, vendor: VendorId, other: VendorId, length: int
) -> None:
    large = f"{inbox(vendor)}/0/0"
    async with running(settings):
        office = BackOffice(settings.bootstrap, vendor, **BIG)
        office.send(b"k", b"x" * 1_048_300, 0)
        office.flush()
        await dead_letters_of(settings, vendor, 1)
    await make_anew(settings, vendor)
    async with running(settings) as doors:
        office = BackOffice(settings.bootstrap, vendor, **BIG)
        office.send(b"k", b"y" * length, 0)
        state(office, "3-1", partition=0)
        await until(lambda: doors.of(vendor) == ["0/3-1"])
        one = await dead_letters_of(settings, vendor, 2)
        refused = await asyncio.to_thread(typed, settings, "retry", large, "--vendor", vendor, "--json")
        state(BackOffice(settings.bootstrap, other), "3-7")
        await until(lambda: len(doors.of(other)) == 1)
        records = await dead_letters_of(settings, vendor, 3)

    (done,) = json.loads(refused[1])
    assert (refused[0], done["code"], "send it anew, and dismiss it" in done["sentence"]) == (1, "another_record", True)
    assert records[:2] == one
    assert records[2]["lostfound-sha256"] == one[1]["lostfound-sha256"]  # what stands there now was retried


async def test_headers_of_our_name_from_a_sender_change_nothing_about_a_dead_letter(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    place = f"{inbox(vendor)}/0/0"
    ours = [(f"lostfound-{name}", b"7") for name in ("sha256", "length", "digest", "place", "code", "else")]
    async with running(settings) as doors:
        office = BackOffice(settings.bootstrap, vendor)
        office.send(b"k", b"no JSON", 0, [*ours, ("theirs", b"8")])
        office.flush()
        (record,) = await dead_letters_of(settings, vendor, 1)
        shown = await asyncio.to_thread(typed, settings, "show", place, "--vendor", vendor, "--json")
        state(BackOffice(settings.bootstrap, other), "3-7")
        await until(lambda: len(doors.of(other)) == 1)

    seen = json.loads(shown[1])
    assert (seen["whole"], seen["length"], base64.b64decode(seen["value_base64"])) == (True, 7, b"no JSON")
    assert [one["name"] for one in seen["headers"]] == ["content-type", "theirs"]
    assert record["lostfound-place"].decode() == place
    assert "lostfound-else" not in record


async def test_what_cannot_be_read_among_dead_letters_is_listed_and_hides_none(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    async with running(settings):
        office = BackOffice(settings.bootstrap, vendor)
        office.send(b"k", b"no JSON", 0)
        office.flush()
        await dead_letters_of(settings, vendor, 1)
    assert await send_batch(settings.bootstrap, dead_letters(vendor), 0, batch(b"k", b"one", header=b"\xff\xfe")) == 0

    code, said = await asyncio.to_thread(typed, settings, "list", "--vendor", vendor, "--json")

    assert code == 0, said
    assert sorted(one["code"] for one in json.loads(said)) == ["not_json", "unreadable"]


async def test_a_dead_letter_without_bytes_is_retried_from_the_inbox_and_what_cannot_be_read_is_dismissed(
    settings: Settings, vendor: VendorId, other: VendorId
) -> None:
    large, unreadable = f"{inbox(vendor)}/0/0", f"{inbox(vendor)}/0/1"
    async with running(settings):
        office = BackOffice(settings.bootstrap, vendor, **BIG)
        office.send(b"k", b"x" * 1_048_300, 0)
        office.flush()
        assert await send_batch(settings.bootstrap, inbox(vendor), 0, batch(b"k", b"one", header=b"\xff\xfe")) == 0
        await dead_letters_of(settings, vendor, 2)
        code, said = await asyncio.to_thread(typed, settings, "retry", large, unreadable, "--vendor", vendor, "--json")
        records = await dead_letters_of(settings, vendor, 3)
        before = await entries(settings, vendor, 1)
        dismissed = await asyncio.to_thread(typed, settings, "dismiss", unreadable, "--vendor", vendor)
        listed = await asyncio.to_thread(typed, settings, "list", "--vendor", vendor, "--json")
        every = await asyncio.to_thread(typed, settings, "list", "--all", "--vendor", vendor, "--json")

    results = {one["place"]: one for one in json.loads(said)}
    assert code == 1
    assert results[large]["as"] == f"{inbox(vendor)}/0/2"
    assert results[unreadable]["code"] == Code.UNREADABLE
    assert records[2]["lostfound-sha256"] == records[0]["lostfound-sha256"]
    assert list(before) == [unreadable]
    assert dismissed[0] == 0
    retried_again = f"{inbox(vendor)}/0/2"
    assert [one["place"] for one in json.loads(listed[1])] == [retried_again]
    assert {one["place"]: one["state"] for one in json.loads(every[1])} == {
        retried_again: "open",
        large: "retried",
        unreadable: "dismissed",
    }
    assert await entries(settings, vendor, 0) == {}
