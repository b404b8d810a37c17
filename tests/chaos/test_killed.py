"""Nothing is lost and nothing doubled while processes are killed at random moments."""

import asyncio
import os
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection

from infra.wiring import prepare
from tests.chaos.independent import Ledger
from tests.foreign import BackOffice, Reader
from tests.services import Services

pytestmark = pytest.mark.chaos

REPORTS = 200
ROLE_KILLS = 5
VICTIMS = [*["worker", "projector", "inbox"] * ROLE_KILLS, "kafka"]
SECONDS = 400


class Story:
    """The record as it grows, read by a client of its own."""

    def __init__(self, bootstrap: str) -> None:
        self.ledger = Ledger()
        self.finished = 0
        self._reader = Reader(bootstrap, "lostfound.log")

    def read_on(self) -> None:
        for _partition, _offset, value, _headers in self._reader.read():
            assert value is not None
            event = self.ledger.add(value)
            self.finished += event is not None and event["type"] == "lostfound.watch.begun.v1"

    async def until(self, finished: int, deadline: float) -> None:
        while self.finished < finished:
            assert time.monotonic() < deadline, f"{self.finished} of {finished} cases came to their watch"
            await asyncio.to_thread(self.read_on)

    def close(self) -> None:
        self._reader.close()


async def test_exact_totals_after_every_process_was_killed_again_and_again(tmp_path: Path) -> None:
    seed = int(os.environ.get("LOSTFOUND_SEED", random.SystemRandom().randrange(10**6)))
    print(f"LOSTFOUND_SEED={seed}")
    chance = random.Random(seed)
    victims = chance.sample(VICTIMS, len(VICTIMS))
    numbers = chance.sample(range(REPORTS), REPORTS)
    waves = [numbers[start :: len(victims)] for start in range(len(victims))]
    deadline = time.monotonic() + SECONDS

    async with Services(tmp_path) as services:
        await prepare(services.settings, lambda _: None)
        await services.start("worker", "projector", "inbox")
        office = BackOffice(services.settings.bootstrap, "acme")
        for number in range(REPORTS):
            office.stock(f"3-{number}", f"h-{number}")
        office.flush()
        story = Story(services.settings.bootstrap)
        sent = 0
        kills: Counter[str] = Counter()
        for wave, victim in zip(waves, victims, strict=True):
            for number in wave:
                for _ in range(chance.choice((1, 1, 2))):
                    office.report(f"R-{number}", f"3-{number}")
            office.flush()
            await story.until(sent + chance.randrange(len(wave) // 2), deadline)
            sent += len(wave)
            await services.kill(victim)
            await asyncio.to_thread(story.read_on)
            assert story.finished < sent, f"{victim} was killed when nothing was under way any more"
            kills[victim] += 1
            await services.start(victim)
        await story.until(REPORTS, deadline)
        await views_hold_it_all(services.settings.dsn, story, deadline)
        story.close()

    ledger = story.ledger
    print(f"kills: {dict(kills)}, copies in the log: {ledger.copies}")
    assert kills["kafka"] >= 1
    assert min(kills[role] for role in ("worker", "projector", "inbox")) >= ROLE_KILLS
    reported = Counter(one["report"] for one in ledger.named("loss.reported"))
    assert reported == {f"R-{number}": 1 for number in range(REPORTS)}
    assert len({one["subject"] for one in ledger.named("loss.reported")}) == REPORTS
    assert ledger.effective() == {f"L-3-{number}-1": [2] for number in range(REPORTS)}
    for number in range(REPORTS):
        facts = ledger.names("acme", f"container/3-{number}")
        assert facts == ["container.registered", "licence.issued", "measure.ordered", "licence.superseded"]


async def views_hold_it_all(dsn: str, story: Story, deadline: float) -> None:
    """The views come to equal what the record says, by a reading of its own."""
    while True:
        await asyncio.to_thread(story.read_on)
        ledger = story.ledger
        expected = {
            "licences": ledger.licence_rows(),
            "containers": ledger.container_rows(),
            "blacklist": ledger.blacklist_rows(),
            "cases": ledger.case_rows(),
            "history": ledger.history_rows(),
        }
        found = await views(dsn)
        if found == expected:
            return
        different = {name: len(found[name] ^ rows) for name, rows in expected.items() if found[name] != rows}
        assert time.monotonic() < deadline, f"rows that differ: {different}"
        await asyncio.sleep(0.2)


async def views(dsn: str) -> dict[str, set[tuple[Any, ...]]]:
    async with await AsyncConnection.connect(dsn) as connection:
        cursor = await connection.execute("select schema from views.current order by version desc limit 1")
        (schema,) = await cursor.fetchone() or ("",)
        await connection.execute("select set_config('search_path', %s, false)", (schema,))
        queries = {
            "licences": "select licence, generation, serial, case_id, superseded_by from licences",
            "containers": "select serial, holder, status from containers",
            "blacklist": "select serial, case_id, measure from blacklist",
            "cases": "select case_id, status, serial, target from cases",
            "history": "select case_id, sequence, type, encode(hash, 'hex') from history",
        }
        found: dict[str, set[tuple[Any, ...]]] = {}
        for name, query in queries.items():
            rows = await (await connection.execute(query)).fetchall()
            found[name] = set(rows)
            assert len(found[name]) == len(rows)
        return found
