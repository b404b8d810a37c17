"""The processes of the product, each a role in a file of its own: what it opens, runs and, at the end, closes.

A role's file is imported in its own process only: what one needs takes the others a second to load.
"""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from infra.settings import Settings, read_settings

ROLES = ("worker", "projector", "inbox")
COMMANDS = {name: (sys.executable, "-m", __name__, name) for name in ROLES}
"""How each is started: as `lostfound serve` does, without what the other commands need."""

Ready = Callable[[], None]
Role = Callable[[Settings, Ready], Coroutine[Any, Any, None]]

GARBAGE_THRESHOLD = 10_000
"""So many more objects made than freed before young ones are looked through."""


def serve(name: str) -> None:
    """Run a role until SIGTERM or SIGINT, once the file LOSTFOUND_PREPARED_FILE is there, where one is named; it makes
    LOSTFOUND_READY_FILE when it serves. Raises `Problem` where a setting cannot be."""
    import structlog  # here, because whoever only names the roles needs none of it

    settings = read_settings()
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], structlog.processors.JSONRenderer()])
    prepared, ready = (os.environ.get(f"LOSTFOUND_{file}_FILE") for file in ("PREPARED", "READY"))
    role: Role = import_module(f"{__name__}.{name}").run
    while prepared and not Path(prepared).exists():
        time.sleep(0.05)
    spare_what_stays()
    asyncio.run(_until_signal(role(settings, lambda: Path(ready).touch() if ready else None)))


def spare_what_stays() -> None:
    """Look through what was imported no more for garbage, and less often through the rest: it took a twentieth of a
    worker's time."""
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


async def _until_signal(role: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(role)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
