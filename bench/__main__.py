"""`make bench`: measure everything, print the table, write `bench/results.json`.

`--strict` ends with 1 when a bar is missed; `--only NAME` measures only that part (first, bursts, contacts, cases,
lag, memory, rebuild), and then leaves the file alone.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog
from rich.console import Console

from bench import bursts, cases, contacts, first, lag, memory, rebuild
from bench.result import Result, table, write
from infra.roles import ROLES
from infra.wiring import prepare
from tests.services import Services

PARTS = ("first", "bursts", "contacts", "cases", "lag", "memory", "rebuild")


async def measure(parts: list[str], say: Callable[[str], None], results: list[Result]) -> None:
    """Add the figures of these parts, each with its baseline."""
    begun = time.monotonic()

    async def take(part: str, action: Callable[[], Awaitable[list[Result]]]) -> None:
        if part in parts:
            say(f"{time.monotonic() - begun:4.0f} s  {part}")
            results.extend(await action())

    async def of_all(services: Services) -> list[Result]:
        return memory.measure(services.identity(name).pid for name in (*services.names, *ROLES))

    with tempfile.TemporaryDirectory(prefix="lostfound-bench-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        await take("first", lambda: first.measure(folder))
        await take("bursts", lambda: _bursts(folder))
        if not set(parts) - {"first", "bursts"}:
            return
        async with Services(folder / "all") as services:
            await prepare(services.settings, lambda _: None)
            await take("contacts", lambda: contacts.measure(services.settings))
            await services.start(*ROLES)
            await take("cases", lambda: cases.measure(services.settings))
            await take("lag", lambda: lag.measure(services.settings))
            await take("memory", lambda: of_all(services))
            await services.stop(*reversed(ROLES), "temporal")  # a rebuild needs both cores
            await take("rebuild", lambda: rebuild.measure(services.settings))
    say(f"{time.monotonic() - begun:4.0f} s  done")


async def _bursts(folder: Path) -> list[Result]:
    async with Services(folder / "bursts", copied=False) as services:
        await prepare(services.settings, lambda _: None)
        await services.start(*ROLES)
        return await bursts.measure(services.settings, services.identity("postgres").pid)


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure lostfound against bare baselines.")
    parser.add_argument("--strict", action="store_true", help="exit with 1 when a bar is missed")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure only this part")
    arguments = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    results: list[Result] = []
    try:
        parts = arguments.only or list(PARTS)
        asyncio.run(measure(parts, lambda said: print(said, file=sys.stderr, flush=True), results))
    finally:  # what was measured before a part failed is shown
        Console(width=None if sys.stdout.isatty() else 200).print(table(results))
    if not arguments.only:
        write(results)
    return int(arguments.strict and any(result.met is False for result in results))


if __name__ == "__main__":
    sys.exit(main())
