"""How many contacts a second the backend takes, each renewing a signed licence file."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg_pool import AsyncConnectionPool

from bench.result import Bar, Result, percentiles
from events.lease import Interval, Lease, Unit
from events.statements import ContactStatement, ContainerStatement, LicenceStatement
from events.terms import VendorId
from infra.roles import spare_what_stays
from infra.settings import Settings
from infra.wiring import POOL_CONNECTIONS, add_vendor, open_backend
from workflows.policy import Policy

CONTAINERS = 100
CONTACTS = 800
ROUNDS = 9

Action = Callable[[int], Awaitable[object]]


async def measure(settings: Settings) -> list[Result]:
    """Contacts, against a signature and a transaction; as many at once as the backend has sessions."""
    with _as_in_a_role():
        return await _measure(settings)


@contextmanager
def _as_in_a_role() -> Iterator[None]:
    before = gc.get_threshold()
    spare_what_stays()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


async def _measure(settings: Settings) -> list[Result]:
    vendor = VendorId(f"contacts-{uuid4().hex[:8]}")
    await add_vendor(settings, vendor, Policy())
    key = Ed25519PrivateKey.generate()
    payload = b"x" * 500
    rounds: list[tuple[float, float]] = []
    seconds: list[float] = []
    async with (
        open_backend(settings) as backend,
        AsyncConnectionPool(settings.dsn, min_size=POOL_CONNECTIONS, open=False) as pool,
    ):
        for number in range(CONTAINERS):
            statement = ContainerStatement(serial=f"3-{number}", kind="dongle", holder="h-1")
            await backend.register_container(vendor, statement, datetime.now(UTC))
            licence = LicenceStatement(
                licence=f"L-{number}",
                serial=statement.serial,
                product="cad",
                ticket="T-1",
                lease=Lease(check_in=Interval(unit=Unit.WEEK)),
                issued=datetime.now(UTC),
            )
            await backend.register_licence(vendor, licence, datetime.now(UTC))
        async with pool.connection() as connection:
            await connection.execute("create table if not exists bench_contacts (id text primary key, file bytea)")

        async def contact(number: int) -> None:
            at = datetime.now(UTC)
            statement = ContactStatement(contact=uuid4().hex, serial=f"3-{number % CONTAINERS}", occurred=at)
            await backend.contact(vendor, statement, at)

        async def bare(number: int) -> None:
            signature = key.sign(payload)
            async with pool.connection() as connection:
                await connection.execute("insert into bench_contacts values (%s, %s)", (uuid4().hex, signature))

        for action in (contact, bare):
            await _all(action, 4 * POOL_CONNECTIONS)  # to open the sessions
        for _ in range(ROUNDS):
            base, _ = await _all(bare, CONTACTS)
            figure, took = await _all(contact, CONTACTS)
            rounds.append((figure, base))
            seconds += took
        async with pool.connection() as connection:
            await connection.execute("drop table bench_contacts")
    return [
        Result.against(
            "contacts_per_second",
            "contacts/s",
            rounds,
            "Ed25519 signature and a one-row transaction",
            Bar(at_least=0.3),
            percentiles(seconds),
        )
    ]


async def _all(action: Action, count: int) -> tuple[float, list[float]]:
    """How many a second, and how long each took, in seconds."""
    numbers = iter(range(count))
    took: list[float] = []

    async def lane() -> None:
        for number in numbers:
            begun = time.perf_counter()
            await action(number)
            took.append(time.perf_counter() - begun)

    begun = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(POOL_CONNECTIONS)))
    return count / (time.perf_counter() - begun), took
