"""Folds the log into fresh views, and where it is long in several processes, each with partitions of its own."""

import asyncio
import gc
import os
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, cast

from psycopg import AsyncConnection

from events.codec import FactCodec
from events.log import LogReader
from events.log_errors import LogStoppedError
from events.log_records import Aside, LogRecord, before
from events.postgres_sessions import open_session
from projections.look_ahead import LookAhead
from projections.projector import Batch, fold_batch

SHARE_RECORDS = 50_000
"""For how many records a further process is worth its start."""

MOST_PROCESSES = 4

Offsets = Mapping[int, int]

Advanced = Callable[[int, int, int], None]
"""Called with a partition, the offset that it is folded up to now, and the number of records that were folded."""


@dataclass(frozen=True, slots=True)
class Share:
    """Partitions that one process folds into the schema, from the offsets `starts` up to, and without, `ends`. That
    `aside` is set aside is known from the start."""

    bootstrap: str
    dsn: str
    codec: FactCodec
    schema: str
    starts: dict[int, int] = field(default_factory=dict)
    ends: dict[int, int] = field(default_factory=dict)
    aside: Aside = field(default_factory=dict)


class Folding:
    """The fold of the log into one schema of fresh views, step by step."""

    def __init__(
        self,
        bootstrap: str,
        dsn: str,
        codec: FactCodec,
        schema: str,
        progress: Callable[[int], None],
        share_records: int,
        aside: Aside,
    ) -> None:
        """`progress` is called with the number of records folded so far; for every further `share_records` to fold a
        process is started; `aside` is known to be set aside."""
        self.schema, self.records = schema, 0
        self._bootstrap, self._dsn, self._codec, self._progress = bootstrap, dsn, codec, progress
        self._share_records, self._aside = share_records, dict(aside)
        self._done: dict[int, int] = {}

    async def up_to(self, ends: Offsets) -> None:
        """Fold on to these offsets; where the fold is further already, nothing is done. Raises what `fold` raises."""
        left = {partition: max(0, end - self._done.get(partition, 0)) for partition, end in ends.items()}
        if not any(left.values()):
            return
        processes = min(os.cpu_count() or 1, MOST_PROCESSES, 1 + sum(left.values()) // self._share_records)
        mine, *others = (
            Share(
                *(self._bootstrap, self._dsn, self._codec, self.schema),
                starts={partition: self._done.get(partition, 0) for partition in partitions},
                ends={partition: ends[partition] for partition in partitions},
                aside=self._aside,
            )
            for partitions in shared_out(left, processes)
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                for share in others:
                    tasks.create_task(_fold_elsewhere(share, self._advanced))
                tasks.create_task(fold(mine, self._advanced))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None

    def _advanced(self, partition: int, offset: int, records: int) -> None:
        self._done[partition] = offset
        self.records += records
        self._progress(self.records)


def shared_out(records: Mapping[int, int], processes: int) -> list[list[int]]:
    """The partitions by process, each process with about as many records; a process without any is left out."""
    shares: list[list[int]] = [[] for _ in range(processes)]
    for partition in sorted((p for p, count in records.items() if count > 0), key=lambda p: -records[p]):
        min(shares, key=lambda share: sum(records[p] for p in share)).append(partition)
    return [share for share in shares if share]


async def fold(share: Share, progress: Advanced) -> None:
    """Fold a share here. Raises `LogStoppedError`, and `psycopg.Error` or `KafkaError` when a service is away."""
    with _no_collections():
        reader = LogReader(share.bootstrap)
        ahead = LookAhead(reader, share.codec, share.aside)
        async with (
            await connect(share.dsn) as connection,
            aclosing(batches(reader, share.starts, share.ends)) as read,
        ):
            async for batch in read:
                progress(batch.partition, await _fold_batch(connection, share, batch, ahead), len(batch.records))
                gc.collect(1)  # when little is alive


async def _fold_batch(connection: AsyncConnection[Any], share: Share, batch: Batch, ahead: LookAhead) -> int:
    while True:
        try:
            return await fold_batch(connection, share.codec, batch, share.schema, ahead.aside)
        except LogStoppedError as damage:
            if not await ahead.has(damage.record_id):
                raise


async def _fold_elsewhere(share: Share, progress: Advanced) -> None:
    """As `fold`, in a process of its own."""
    ours, theirs = Pipe()
    with ours, theirs:
        # A session of its own, so that Ctrl-C reaches this process alone, which then ends that one.
        begin = f"import gc; gc.disable(); from {__name__} import serve; serve({theirs.fileno()})"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", begin), pass_fds=[theirs.fileno()], start_new_session=True
        )
        try:
            theirs.close()
            ours.send(share)
            while (said := await asyncio.to_thread(_receive, ours)) is not None:
                if isinstance(said, Exception):
                    raise said
                progress(*said)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def _receive(connection: Connection) -> Any:
    try:
        return connection.recv()
    except EOFError:
        return RuntimeError("A process that folded partitions of the log has died; start again.")


def serve(descriptor: int) -> None:
    """What the other process does: fold the share that it is told, and say how far it is, None at the end."""
    with Connection(descriptor) as connection:
        share = connection.recv()
        try:
            asyncio.run(fold(share, lambda *folded: connection.send(folded)))
            connection.send(None)
        except BrokenPipeError:
            return  # whoever started it is gone
        except Exception as error:
            connection.send(error)


async def batches(reader: LogReader, starts: Offsets, ends: Offsets) -> AsyncGenerator[Batch, None]:
    """All records from `starts` (default 0) up to, and without, `ends`, which must not lie beyond the log's own."""
    following = {partition: starts.get(partition, 0) for partition in ends}
    left = {partition for partition, end in ends.items() if following[partition] < end}
    if not left:
        return
    # A partition of which nothing is wanted is read from beyond its end: not at all.
    froms = {**dict.fromkeys(await reader.ends(), 2**62), **{partition: following[partition] for partition in left}}
    reading = cast(AsyncGenerator[Sequence[LogRecord], None], reader.batches(froms))
    async with aclosing(reading) as read:
        async for records in read:
            partition = records[0].position.partition
            if partition not in left:
                continue
            wanted = before(ends[partition], records)
            if wanted:
                yield Batch(partition, following[partition], wanted)
                following[partition] = wanted[-1].position.offset + 1
            if records[-1].position.offset + 1 >= ends[partition]:
                left.discard(partition)
                if not left:
                    return


async def connect(dsn: str) -> AsyncConnection[Any]:
    """A connection that writes views which are not in use yet."""
    # A crash leaves nothing that is used, so no commit but the switch need wait for the disk.
    return await open_session(dsn, "-c synchronous_commit=off")


@contextmanager
def _no_collections() -> Iterator[None]:
    """Let nothing collect garbage by itself: a batch makes many objects that live until its end, and looking through
    them again and again takes a fifth of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
