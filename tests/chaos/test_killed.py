"""Nothing is lost and nothing doubled while processes are killed at random moments, and while services are away."""

import asyncio
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.roles import ROLES
from infra.wiring import add_vendor, prepare
from tests.chaos.story import Story, views_hold_it_all
from tests.foreign import BackOffice
from tests.integration.test_hostile import BESIEGED, STRUCTURED, Siege, besiege, inventory, made, poisons
from tests.services import Services
from workflows.policy import Policy

pytestmark = pytest.mark.chaos

REPORTS = 200
POISONS = 400
ROLE_KILLS = 5
VICTIMS = [*ROLES * ROLE_KILLS, "kafka"]
MOST_IDLE = len(VICTIMS) // 4
"""Kills that may come when all that was reported is done already: how fast the cases go is not in the test's hands."""
BY_HAND = {role: (sys.executable, "-m", "infra.main", "serve", role) for role in ROLES}
"""As `lostfound serve` starts them."""
SECONDS = 400
AWAY_SECONDS = 5.0
"""Not waited for luck: it is how long the service is away."""


async def test_exact_totals_after_every_process_was_killed_while_another_vendor_sends_every_poison(
    tmp_path: Path,
) -> None:
    seed = int(os.environ.get("LOSTFOUND_SEED", random.SystemRandom().randrange(10**6)))
    print(f"LOSTFOUND_SEED={seed}")
    chance = random.Random(seed)
    victims = chance.sample(VICTIMS, len(VICTIMS))
    numbers = chance.sample(range(REPORTS), REPORTS)
    waves = [numbers[start :: len(victims)] for start in range(len(victims))]
    deadline = time.monotonic() + SECONDS

    async with Services(tmp_path) as services:
        await prepare(services.settings, lambda _: None)
        await add_vendor(services.settings, BESIEGED, Policy())
        await services.start(*ROLES)
        other, siege = BackOffice(services.settings.bootstrap, BESIEGED), Siege(services.settings.bootstrap)
        inventory(other)
        await besiege(services, made(POISONS))
        office = BackOffice(services.settings.bootstrap, "acme")
        for number in range(REPORTS):
            office.stock(f"3-{number}", f"h-{number}")
        office.flush()
        story = Story(services.settings.bootstrap)

        def report(some: Sequence[int]) -> None:
            for number in some:
                for _ in range(chance.choice((1, 1, 2))):
                    office.report(f"R-{number}", f"3-{number}")
            office.flush()

        sent = 0
        kills: Counter[str] = Counter()
        idle: Counter[str] = Counter()
        starting: dict[str, asyncio.Task[None]] = {}
        for wave, victim in zip(waves, victims, strict=True):
            for name in list(starting) if victim == "kafka" else starting.keys() & {victim}:
                await starting.pop(name)
            half = len(wave) // 2
            for event in poisons(other):
                siege.send((b"any", event, STRUCTURED))
            siege.flush()
            report(wave[:half])
            await story.until(sent + chance.randrange(half), deadline)
            report(wave[half:])
            sent += len(wave)
            await services.kill(victim)
            await asyncio.to_thread(story.read_on)
            kills[victim] += 1
            idle[victim] += story.finished == sent
            starting[victim] = asyncio.create_task(services.start(victim))
            if victim == "kafka":  # without it no role can start
                await starting.pop(victim)
        await asyncio.gather(*starting.values())
        await story.until(REPORTS, deadline)
        await views_hold_it_all(services.settings.dsn, story, deadline)
        story.close()

    ledger = story.ledger
    print(f"kills: {dict(kills)}, when nothing was under way: {dict(idle)}, copies in the log: {ledger.copies}")
    assert kills["kafka"] >= 1
    assert min(kills[role] for role in ROLES) >= ROLE_KILLS
    assert idle.total() <= MOST_IDLE
    reported = Counter(one["report"] for one in ledger.named("loss.reported"))
    assert reported == {f"R-{number}": 1 for number in range(REPORTS)}
    assert len({one["subject"] for one in ledger.named("loss.reported")}) == REPORTS
    assert ledger.effective() == {f"L-3-{number}-1": [2] for number in range(REPORTS)}
    for number in range(REPORTS):
        facts = ledger.names("acme", f"container/3-{number}")
        assert facts == ["container.registered", "licence.issued", "measure.ordered", "licence.superseded"]


async def test_a_service_that_is_away_is_waited_for(tmp_path: Path) -> None:
    deadline = time.monotonic() + SECONDS
    async with Services(tmp_path, role_commands=BY_HAND) as services:
        await prepare(services.settings, lambda _: None)
        await services.start(*ROLES)
        office = BackOffice(services.settings.bootstrap, "acme")

        def report_ten(first: int) -> None:
            for number in range(first, first + 10):
                office.stock(f"3-{number}", f"h-{number}")
                office.report(f"R-{number}", f"3-{number}")

        report_ten(0)
        office.flush()
        story = Story(services.settings.bootstrap)
        for reported, service in ((10, "postgres"), (20, "temporal"), (30, "kafka")):
            await story.until(reported - 9, deadline)
            await services.kill(service)
            report_ten(reported)
            await asyncio.sleep(AWAY_SECONDS)
            await services.start(service)
            office.flush()
        await story.until(40, deadline)
        await views_hold_it_all(services.settings.dsn, story, deadline)
        story.close()
    reported_once = Counter(one["report"] for one in story.ledger.named("loss.reported"))
    assert reported_once == {f"R-{number}": 1 for number in range(40)}
    assert story.ledger.effective() == {f"L-3-{number}-1": [2] for number in range(40)}
