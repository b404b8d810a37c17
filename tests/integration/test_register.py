"""What is set aside stands in the register until it is taken out, and `status` says so."""

import json
import os
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from activities.backend_schema import migrate
from activities.register import PostgresRegister
from events.ports.register import SetAside
from infra.settings import Settings
from tests.integration.test_operate import Instance
from tests.services import own_settings, spare

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def entry(place: str, minutes: int = 0, **more: str) -> SetAside:
    values = {"vendor": "acme", "code": "internal_error", "sentence": "it cannot be handled; look at it"} | more
    return SetAside(place=place, since=NOW + timedelta(minutes=minutes), **values)


@pytest.fixture
async def register(settings: Settings) -> PostgresRegister:
    with psycopg.connect(settings.dsn) as session:
        session.execute("delete from backend.set_aside")
    return PostgresRegister(settings.dsn)


async def test_a_place_that_is_entered_again_keeps_its_time_and_takes_the_newer_sentence(
    register: PostgresRegister,
) -> None:
    await register.add(entry("outbox/acme/3-1", 1))
    await register.add(entry("lostfound.log/3/991", 2, vendor=""))
    await register.add(entry("outbox/acme/3-1", 3, code="too_large", sentence="too\0large"))

    first, second = await register.entries()

    assert first == entry("outbox/acme/3-1", 1, code="too_large", sentence="too\N{REPLACEMENT CHARACTER}large")
    assert second == entry("lostfound.log/3/991", 2, vendor="")
    assert await register.entries(1) == [second]


async def test_one_vendors_many_entries_hide_neither_the_log_nor_other_vendors(register: PostgresRegister) -> None:
    for number in range(10):
        await register.add(entry(f"lostfound.acme.inbox/0/{number}", number))
    await register.add(entry("lostfound.zeta.inbox/0/1", 20, vendor="zeta"))
    await register.add(entry("lostfound.log/3/991", 21))

    found = [one.place for one in await register.entries(4)]

    first = ["lostfound.acme.inbox/0/0", "lostfound.acme.inbox/0/1"]
    assert found == [*first, "lostfound.zeta.inbox/0/1", "lostfound.log/3/991"]


async def test_a_vendor_at_its_bound_is_entered_again_once_an_entry_is_taken_out(register: PostgresRegister) -> None:
    for number in range(3):
        await register.add(entry(f"{number}", number), most=2)
    await register.add(entry("other", vendor="zeta"), most=2)
    assert {one.place for one in await register.entries()} == {"0", "1", "other"}

    await register.remove("0")
    await register.add(entry("3", 3), most=2)

    assert {one.place for one in await register.entries()} == {"1", "3", "other"}


async def test_what_is_taken_out_is_gone_and_what_is_not_there_is_nothing(register: PostgresRegister) -> None:
    await register.add(entry("a"))
    await register.add(entry("b"))

    await register.remove("a", "c")

    assert [one.place for one in await register.entries()] == ["b"]


@pytest.fixture
async def lean(tmp_path: Path) -> AsyncIterator[Instance]:
    """With PostgreSQL only."""
    elsewhere = {"kafka_bootstrap": "127.0.0.1:1", "temporal_address": "127.0.0.1:1"}
    instance = Instance(own_settings(tmp_path / "data", **elsewhere))
    await spare(instance.settings, "postgres")
    yield instance
    instance.close()


async def test_status_is_degraded_with_vendor_and_place_while_anything_is_set_aside(lean: Instance) -> None:
    lean.start()
    assert lean.run("status").returncode == 0  # there is no schema yet
    migrate(lean.settings.dsn)
    register = PostgresRegister(lean.settings.dsn)
    await register.add(entry("outbox/acme/3-1"))

    degraded = lean.run("status", "--json")
    plain = lean.run("status")
    await register.remove("outbox/acme/3-1")

    assert (degraded.returncode, plain.returncode) == (8, 8)
    document = json.loads(degraded.stdout)
    assert document["state"] == "degraded"
    assert document["set_aside"] == [entry("outbox/acme/3-1")._asdict() | {"since": NOW.isoformat()}]
    assert "set aside for vendor acme: outbox/acme/3-1 since 2026-03-01 12:00 (internal_error)" in plain.stdout
    assert (lean.status()["state"], lean.status()["set_aside"]) == ("ready", [])


async def test_status_answers_within_seconds_when_postgresql_is_frozen(lean: Instance) -> None:
    lean.start()
    postmaster = lean.wait(lambda _: True).services["postgres"].pid
    os.kill(postmaster, signal.SIGSTOP)
    try:
        began = time.monotonic()
        status = lean.run("status", "--json")
        seconds = time.monotonic() - began
    finally:
        os.kill(postmaster, signal.SIGCONT)

    assert (status.returncode, json.loads(status.stdout)["set_aside"]) == (0, None)
    assert seconds < 10
