"""Whether bursts of reports on a fresh installation stay as quick as the first: PostgreSQL knows nothing of its tables
until it comes by to count them, and plans must not depend on that."""

import psutil

from bench.cases import AT_ONCE, measure_cases
from bench.result import Bar, Result
from events.terms import VendorId
from infra.settings import Settings
from infra.wiring import add_vendor
from workflows.policy import Policy

REPORTS = 600
BURSTS = 3
LIMIT_SECONDS = 180.0


async def measure(settings: Settings, postgres: int) -> list[Result]:
    """Bursts, one after the other, where nothing was reported before; the roles must run. `postgres` is its process."""
    vendor = VendorId("bursts")
    await add_vendor(settings, vendor, Policy())
    await measure_cases(settings, AT_ONCE, vendor)  # to load the code; so few leave the tables as good as empty
    bursts, computed = [], []
    for number in range(BURSTS):
        before = AT_ONCE + number * REPORTS
        begun = _computed_seconds(postgres)
        bursts.append((await measure_cases(settings, REPORTS, vendor, before, LIMIT_SECONDS)).per_second)
        computed.append(1000 * (_computed_seconds(postgres) - begun) / REPORTS)
    first, later = bursts[0], min(bursts[1:])
    return [
        Result(
            "burst_cases_per_second",
            later,
            "cases/s",
            f"the first of {BURSTS} bursts of {REPORTS}; the figure is the slowest later one",
            first,
            later / first,
            Bar(at_least=0.85),
        ),
        Result(
            "burst_postgres_ms_per_case",
            max(computed[1:]),
            "ms",
            "the first burst; the figure is the dearest later one",
            computed[0],
            max(computed[1:]) / computed[0],
        ),
    ]


def _computed_seconds(postgres: int) -> float:
    """What PostgreSQL's processes have computed so far, those that live."""
    server = psutil.Process(postgres)
    total = 0.0
    for process in (server, *server.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total
