"""What the drivers of a live projector share, Faust and the plain one."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import structlog

from events.log_errors import StalledError
from events.log_records import LogRecord
from projections.projector import Batch
from projections.tables import VERSION

log = structlog.get_logger()

GROUP = f"lostfound-projector-{VERSION}"
"""The consumer group. Its offsets are advisory: the positions in PostgreSQL decide."""

BATCH_RECORDS = 2000
SESSION_SECONDS = 6.0
HEARTBEAT_SECONDS = 1.2
REBALANCE_SECONDS = 8.0
REQUEST_SECONDS = 20.0
"""Tried together: a dead process costs its partitions 6 s, a joining one 1.5 s."""


def batches_of(records: Iterable[LogRecord]) -> list[Batch]:
    """Records as they came, of any partitions, as batches without gaps: whoever reads may leave something out."""
    runs: list[list[LogRecord]] = []
    last: dict[int, list[LogRecord]] = {}
    for record in records:
        run = last.get(record.position.partition)
        if run is None or record.position.offset != run[-1].position.offset + 1:
            run = last[record.position.partition] = []
            runs.append(run)
        run.append(record)
    return [Batch(run[0].position.partition, run[0].position.offset, run) for run in runs]


async def until_failure(*operations: Coroutine[Any, Any, None]) -> None:
    """Do all at once, until one fails or this is cancelled; says why in the process's log and raises that failure."""
    tasks = [asyncio.create_task(operation) for operation in operations]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    except StalledError as error:
        log.error(str(error))
        raise
    except Exception as error:
        log.error("the projector failed, so this process ends", error=repr(error))
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
