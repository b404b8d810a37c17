"""Puts the rooms together: what each process opens, and what must exist before any of them starts."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
)

from activities.backend_schema import migrate
from activities.licensing.backend import EmbeddedBackend
from activities.licensing.outbox import FactSession, sealing_by
from activities.licensing.signing import SigningKeys, WrongKeyError
from activities.licensing.vendors import known_key, known_key_now, note_key
from activities.parking import PostgresParking
from events.codec import FactCodec
from events.ports.licensing_backend import Clock
from events.postgres_sessions import new_pool, open_session
from events.terms import VendorId
from events.topics import vendor_specs
from infra.converter import CONVERTER
from infra.facts import fact_codec
from infra.problem import Problem
from infra.settings import Settings
from infra.topic_provisioning import log_partitions, log_topic, make_topics, refuse_moved
from projections.read.queries import NoViewsError, open_queries
from projections.view_schemas import prepare_views
from workflows.lease_sweep import LeaseSweep
from workflows.policy import Policy, canonical

CONNECT_SECONDS = 60.0
POOL_CONNECTIONS = 8
PARKING_CONNECTIONS = 4
LOCK_SECONDS = 5
"""How long the inbox waits for the lock on a container: what it then cannot take is parked."""
TRANSACTION_SECONDS = 60
"""How long a transaction of the backend may last: whoever is frozen within one must not hold a container for longer."""
LEASE_SCHEDULE = "lostfound-leases"


async def prepare(settings: Settings, say: Callable[[str], None]) -> None:
    """Make what every process needs: topics, schema, the first vendor. May be repeated, and done by several at once.

    Topics that exist are compared with what they must be, repaired, or refused with a `Problem`.
    """
    say("topics and schema")
    await asyncio.gather(
        make_topics(settings, [log_topic(settings)], say),
        asyncio.to_thread(migrate, settings.dsn),
        prepare_views(settings.dsn),
    )
    await refuse_moved_log(settings)
    say(f"vendor {settings.vendor}")
    await add_vendor(settings, VendorId(settings.vendor), Policy(), say)


async def refuse_moved_log(settings: Settings) -> None:
    """Raise `Problem` where the views know that the log was written in another number of partitions than these settings
    have."""
    streams = []
    with suppress(NoViewsError):
        async with open_queries(settings.dsn) as queries:
            cursor = await queries.connection.execute(
                "select vendor, stream, partition from streams where stream like 'container/%' limit 100"
            )
            streams = await cursor.fetchall()
    if streams:
        refuse_moved(streams, settings.log_partitions, await log_partitions(settings))


async def add_vendor(
    settings: Settings, vendor: VendorId, policy: Policy, say: Callable[[str], None] = lambda _: None
) -> bool:
    """A vendor's topics, signing key and first policy; False when it was there already. May be repeated.

    Raises `Problem` where the database knows another signing key than this data folder has.
    """
    try:
        return await _add_vendor(settings, vendor, policy, say)
    except WrongKeyError as error:
        raise Problem("wrong-key", f"{str(error)[0].upper()}{str(error)[1:]}.") from error


async def _add_vendor(settings: Settings, vendor: VendorId, policy: Policy, say: Callable[[str], None]) -> bool:
    async with await open_session(settings.dsn) as connection:
        keys(settings).create(vendor, await known_key(connection, vendor))
        await make_topics(settings, vendor_specs(vendor, settings.replication_factor), say)
        async with open_backend(settings) as backend:
            added = await backend.add_vendor(vendor, canonical(policy), datetime.now(UTC))
        mine = keys(settings).key_id(vendor)
        await note_key(connection, vendor, mine)
        keys(settings).create(vendor, await known_key(connection, vendor))
    return added


def keys(settings: Settings) -> SigningKeys:
    """The vendors' signing keys."""
    return SigningKeys(settings.data_dir / "keys", lambda vendor: known_key_now(settings.dsn, vendor))


def _utc() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def open_backend(
    settings: Settings, patient: bool = True, clock: Clock | None = None
) -> AsyncIterator[EmbeddedBackend]:
    """The licensing backend, on a pool of its own; unless `patient` it waits for a lock no longer than
    `LOCK_SECONDS`, and its pool is twice as large, so that no vendor has it alone.
    `clock`: what it goes by; where there is none by UTC, and wrong passwords are counted by PostgreSQL's own clock."""
    connections = POOL_CONNECTIONS if patient else 2 * POOL_CONNECTIONS
    async with open_pool(settings, connections, None if patient else LOCK_SECONDS, fact_codec()) as pool:
        yield EmbeddedBackend(pool, keys(settings), settings.status_base, clock or _utc, guess_clock=clock)


@asynccontextmanager
async def open_parking(settings: Settings) -> AsyncIterator[PostgresParking]:
    """Where inbox records wait, on a pool of its own: what is read must not wait for what is parked."""
    async with open_pool(settings, PARKING_CONNECTIONS) as pool:
        yield PostgresParking(pool)


@asynccontextmanager
async def open_pool(
    settings: Settings, connections: int, lock_seconds: float | None = None, codec: FactCodec | None = None
) -> AsyncIterator[AsyncConnectionPool[AsyncConnection[Any]]]:
    """So many connections to the database, in autocommit mode; no transaction on them outlasts its bound.

    Statements are planned for any vendor: a plan for a new one, of whom the statistics know nothing, would look through
    all that he has. `lock_seconds` bounds how long a lock is waited for; `codec` seals what is stated.
    """
    options = f"-c transaction_timeout={TRANSACTION_SECONDS}s -c plan_cache_mode=force_generic_plan"
    if lock_seconds is not None:
        options += f" -c lock_timeout={lock_seconds}s"
    configure = sealing_by(codec) if codec else None
    async with new_pool(settings.dsn, connections, options, CONNECT_SECONDS, FactSession, configure) as pool:
        yield pool


async def open_temporal(settings: Settings, seconds: float = CONNECT_SECONDS) -> Client:
    """A Temporal client; a server that does not answer yet is waited for. Raises `TimeoutError`."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                return await Client.connect(
                    settings.temporal, namespace=settings.temporal_namespace, data_converter=CONVERTER
                )
            except RuntimeError:
                await asyncio.sleep(0.2)


async def schedule_lease_sweep(client: Client, settings: Settings) -> None:
    """Have the leases looked through at an interval, by a schedule that outlives every process. May be repeated."""
    action = ScheduleActionStartWorkflow(LeaseSweep.run, id="lostfound-leases", task_queue=settings.task_queue)
    every = ScheduleIntervalSpec(every=timedelta(seconds=settings.lease_sweep_seconds))
    schedule = Schedule(
        action=action,
        spec=ScheduleSpec(intervals=[every]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
    )
    try:
        await client.create_schedule(LEASE_SCHEDULE, schedule)
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(LEASE_SCHEDULE)
        await handle.update(lambda _: ScheduleUpdate(schedule=schedule))
