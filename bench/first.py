"""How long a fresh installation takes to its first replacement."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from bench.cases import until
from bench.result import Bar, Result
from events.terms import VendorId
from tests.foreign import BackOffice
from tests.services import own_settings

LIMIT_SECONDS = 120.0


async def measure(folder: Path) -> list[Result]:
    """From the command to the replacement in the views, in an empty data folder, all packages and downloads present."""
    seconds = await asyncio.to_thread(_once, folder / "once") if _can_once() else await _detached(folder / "first")
    return [Result("first_replacement_seconds", seconds, "s", bar=Bar(at_most=15))]


def _can_once() -> bool:
    return "--once" in _lostfound(Path(), "up", "--help").stdout


def _once(folder: Path) -> float:
    """What `up --once --json` says in its last line."""
    done = _lostfound(folder, "up", "--once", "--json")
    assert done.returncode == 0, done.stderr
    return float(json.loads(done.stdout.splitlines()[-1])["first_replacement_seconds"])


async def _detached(folder: Path) -> float:
    settings = own_settings(folder)
    env = settings.environment()
    begun = time.monotonic()
    done = await asyncio.to_thread(_lostfound, folder, "up", "--detach", env=env)
    try:
        assert done.returncode == 0, done.stderr
        office = BackOffice(settings.bootstrap, settings.vendor)
        office.stock("3-1", "h-1")
        office.report("R-1", "3-1")
        await asyncio.to_thread(office.flush)
        query = "select count(*) from licences where vendor = %s and generation = 2"
        await until(settings.dsn, VendorId(settings.vendor), query, 1)
        return time.monotonic() - begun
    finally:
        await asyncio.to_thread(_lostfound, folder, "down", env=env)


def _lostfound(folder: Path, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    variables = os.environ | (env if env is not None else own_settings(folder).environment())
    command = [sys.executable, "-m", "infra.main", *words]
    return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=LIMIT_SECONDS)
