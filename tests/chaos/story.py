"""The record as it grows, and the views held against it."""

import asyncio
import json
import time
from typing import Any

from psycopg import AsyncConnection

from tests.chaos.independent import Ledger, name_of
from tests.foreign import Reader


class Story:
    """The record of one vendor as it grows, read by a client of its own."""

    def __init__(self, bootstrap: str, vendor: str = "acme") -> None:
        self.vendor = vendor
        self.ledger = Ledger()
        self.finished = 0
        self._reader = Reader(bootstrap, "lostfound.log")

    def read_on(self) -> None:
        for _partition, _offset, value, _headers in self._reader.read():
            assert value is not None
            if json.loads(value)["vendor"] != self.vendor:
                continue
            event = self.ledger.add(value)
            self.finished += event is not None and name_of(event["type"]) == "watch.begun"

    async def until(self, finished: int, deadline: float) -> None:
        while self.finished < finished:
            assert time.monotonic() < deadline, f"{self.finished} of {finished} cases came to their watch"
            await asyncio.to_thread(self.read_on)

    async def whole(self, dsn: str, deadline: float) -> None:
        """Return when the outbox is empty and the record read to its end: what belongs to the last cases may come after
        their watch began."""
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            query = "select from backend.outbox where relayed is null limit 1"
            while await (await connection.execute(query)).fetchone() is not None:
                assert time.monotonic() < deadline, "facts stay in the outbox"
                await asyncio.sleep(0.1)
        while not await asyncio.to_thread(self._reader.at_end):
            assert time.monotonic() < deadline, "the record was not read to its end"
            await asyncio.to_thread(self.read_on)

    def close(self) -> None:
        self._reader.close()


async def views_hold_it_all(dsn: str, story: Story, deadline: float) -> None:
    """The views come to equal what the whole record says, by a reading of its own."""
    await story.whole(dsn, deadline)
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
        found = await views(dsn, story.vendor)
        if found == expected:
            return
        different = {name: len(found[name] ^ rows) for name, rows in expected.items() if found[name] != rows}
        assert time.monotonic() < deadline, f"rows that differ: {different}"
        await asyncio.sleep(0.2)


async def views(dsn: str, vendor: str) -> dict[str, set[tuple[Any, ...]]]:
    async with await AsyncConnection.connect(dsn) as connection:
        cursor = await connection.execute("select schema from views.current order by version desc limit 1")
        (schema,) = await cursor.fetchone() or ("",)
        await connection.execute("select set_config('search_path', %s, false)", (schema,))
        queries = {
            "licences": "select licence, generation, serial, case_id, superseded_by from licences",
            "containers": "select serial, holder from containers",
            "blacklist": "select serial, case_id, measure from measures",
            "cases": "select case_id, status, serial, target from cases",
            "history": "select case_id, sequence, type, encode(hash, 'hex') from history",
        }
        found: dict[str, set[tuple[Any, ...]]] = {}
        for name, query in queries.items():
            rows = await (await connection.execute(f"{query} where vendor = %s", (vendor,))).fetchall()
            found[name] = set(rows)
            assert len(found[name]) == len(rows)
        return found
