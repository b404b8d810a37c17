"""A door that wrote something can wait until the views have it, and no longer than it says."""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from events.principal import PrincipalRole
from events.statements import ContainerStatement
from events.stream_position import StreamPosition
from events.terms import Kind, Serial, VendorId
from infra.parts import open_application
from infra.settings import Settings
from infra.wiring import add_vendor
from tests.given import principal
from workflows.policy import Policy

pytestmark = pytest.mark.integration

SERIAL = Serial("3-1")


@pytest.fixture
def views(settings: Settings, vendor: VendorId) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """A session that writes into the views in use, as a projector would."""
    with psycopg.connect(settings.dsn, autocommit=True) as session:
        yield session


async def test_what_was_written_has_a_position_though_it_waits_in_the_outbox(
    settings: Settings, vendor: VendorId
) -> None:
    await add_vendor(settings, vendor, Policy())
    who, now = principal(vendor), datetime.now(UTC)
    admin = principal(vendor, "admin", PrincipalRole.ADMINISTRATOR)
    async with open_application(settings) as application:
        first = await application.take(who, ContainerStatement(serial=SERIAL, kind=Kind.DONGLE, holder="h-1"), now)
        other = await application.take(who, ContainerStatement(serial="3-2", kind=Kind.DONGLE, holder="h-1"), now)
        before = await application.adopt_policy(admin, Policy())
        adopted = await application.adopt_policy(admin, Policy(supervisors=("ann",)))

    assert (first, other) == (StreamPosition("container/3-1", 1), StreamPosition("container/3-2", 1))
    assert adopted == (2, StreamPosition("vendor", before.position.sequence + 1))


async def test_a_door_waits_for_the_views_no_longer_than_it_says(
    settings: Settings, vendor: VendorId, views: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    position = StreamPosition("container/3-1", 2)
    admin = principal(vendor, "admin", PrincipalRole.ADMINISTRATOR)
    async with open_application(settings) as application:
        begun = time.monotonic()
        assert not await application.wait_for(vendor, position, seconds=0.3)
        assert time.monotonic() - begun < 5
        assert await application.wait_for(vendor, StreamPosition("container/3-1", 0), seconds=0)

        waiting = asyncio.create_task(application.wait_for(vendor, position, seconds=30))
        async with application.views(admin) as queries:
            cursor = await queries.connection.execute("select current_schema()")
            (schema_name,) = await cursor.fetchone()
        columns = "(vendor, stream, partition, sequence, hashes) values (%s, %s, 0, %s, %s)"
        views.execute(f"insert into {schema_name}.streams {columns}", (vendor, "container/3-1", 1, bytes(32)))
        assert not await application.wait_for(vendor, position, seconds=0)
        views.execute(f"update {schema_name}.streams set sequence = 2 where vendor = %s", (vendor,))
        assert await waiting
        views.execute(f"delete from {schema_name}.streams where vendor = %s", (vendor,))
