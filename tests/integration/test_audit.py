"""`lostfound audit` on a real log: nothing in a healthy one, and every planted breach by its number."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from events.envelope import Sealed
from events.terms import VendorId
from tests.breaches import PLANTED
from tests.integration.logs import Log
from tests.services import Services
from tests.stories import tell_all
from tests.worlds import World, interleaved

pytestmark = pytest.mark.integration

LOSTFOUND = Path(sys.executable).parent / "lostfound"


def audit(services: Services, *words: str, **changed: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | services.settings.environment() | changed
    command = (LOSTFOUND, "audit", "invariants", *words)
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def records(world: World) -> list[Sealed]:
    streams = list(world.streams.values())
    return interleaved(streams, range(sum(map(len, streams))))


async def test_a_healthy_log_breaches_nothing_and_planted_breaches_are_named(log: Log, shared: Services) -> None:
    healthy = World()
    healthy.add_vendor(VendorId("acme"))
    for number in range(3):
        healthy.lose(VendorId("acme"), number, waits=number == 1, again=number == 2)
        tell_all(healthy, VendorId("acme"), number)
    await log.write(records(healthy))
    before = audit(shared)
    planted = World()
    for number, plant in PLANTED.items():
        plant(planted, VendorId(f"vendor-{number}"))
    await log.write(records(planted))

    after = audit(shared, "--json")
    document: dict[str, Any] = json.loads(after.stdout)

    assert before.returncode == 0, before.stdout + before.stderr
    assert "no breach of the nine invariants" in before.stdout
    assert after.returncode == 1
    assert {(one["invariant"], one["vendor"]) for one in document["breaches"]} == {
        (number, f"vendor-{number}") for number in PLANTED
    }
    assert document["facts"] == len(records(healthy)) + len(records(planted))


async def test_a_log_that_does_not_answer_is_no_clean_bill(shared: Services) -> None:
    done = audit(shared, LOSTFOUND_KAFKA_BOOTSTRAP="127.0.0.1:9")

    assert done.returncode == 3
    assert "Kafka does not answer" in done.stderr
