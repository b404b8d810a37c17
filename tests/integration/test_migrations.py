"""A backend of the first version is brought to today's, with all that stood in it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from activities.backend_schema import migrate
from activities.licensing.quota import reserve
from activities.parking import PostgresParking
from events.ports.licensing_backend import CaseKey, QuotaOrder, Reservation, ReserveOrder
from events.ports.parking_place import Headers, InboxRecord
from events.terms import CaseId, PotName, Serial, VendorId
from infra.settings import Settings

pytestmark = pytest.mark.integration

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST = """
insert into backend.vendors (vendor, issuer) values ('acme', 'urn:acme');
insert into backend.containers (vendor, serial, kind, holder, licences) values ('acme', 'D-1', 'dongle', 'h-1', 1);
insert into backend.licences values
    ('acme', 'L-1', 2, 'D-1', 'cad', 'T-1', 100,
     '{"check_in": {"unit": "week", "count": 2}, "grace_days": 3}', %(now)s),
    ('acme', 'L-2', 1, 'D-1', 'cad', 'T-2', 100, '{"check_in": null, "grace_days": 0}', %(now)s);
insert into backend.cases (vendor, case_id, serial, holder) values ('acme', 'case-1', 'D-1', 'h-1');
insert into backend.reports values ('acme', 'R-1', 'digest', 'case-1', %(now)s);
insert into backend.claims values ('acme', 'L-1', 1, 'D-1', 'case-1');
insert into backend.measures values ('acme', 'case-1', 'blacklisting', 'D-1', %(now)s);
insert into backend.contacts values ('acme', 'C-1', 'D-1', '{case-1}');
insert into backend.issues values ('acme', 'case-1', 'L-1', 1, 2, 'D-1', %(now)s);
"""


PARKED = """
insert into backend.parked
    (vendor, serial, rank, topic, partition, record_offset, key, value, names, contents, received, deadline, due)
values ('acme', 'D-1', 2, %(topic)s, 0, 7, %(key)s, %(value)s, %(names)s, %(contents)s, %(now)s, %(now)s, %(now)s)
"""


BLOCKED = """
insert into backend.vendors (vendor, issuer) values ('acme', 'urn:acme'), ('own', 'urn:own');
insert into backend.policies values ('acme', 1, '{"rules": [{"measures": []}]}'), ('acme', 2, '{"rules": [{}]}'),
    ('own', 1, '{"rules": [{"measures": []}]}');
insert into backend.containers (vendor, serial, kind, holder, licences) values
    ('acme', 'A-1', 'act', 'h-1', 1), ('acme', 'D-1', 'dongle', 'h-1', 1), ('acme', 'D-2', 'dongle', 'h-1', 1),
    ('own', 'A-1', 'act', 'h-1', 1);
insert into backend.cases (vendor, case_id, serial, holder, scope, generation, received, reason) values
    ('acme', 'ordered', 'A-1', 'h-1', 'container', 1, now(), 'same_hardware'),
    ('acme', 'part', 'D-1', 'h-1', 'licences', 1, now(), 'damaged'),
    ('acme', 'lost', 'D-2', 'h-1', 'container', 1, now(), 'lost'),
    ('own', 'other', 'A-1', 'h-1', 'container', 1, now(), 'same_hardware');
insert into backend.claims (vendor, subject, generation, serial, case_id) values
    ('acme', 'container/A-1', 1, 'A-1', 'ordered'), ('acme', 'licence/L-1', 1, 'A-1', 'ordered'),
    ('acme', 'licence/L-2', 4, 'D-1', 'part'),
    ('acme', 'blacklisting/container/D-2', 1, 'D-2', 'lost'), ('acme', 'container/D-2', 1, 'D-2', 'lost'),
    ('own', 'container/A-1', 1, 'A-1', 'other');
insert into backend.measures (vendor, case_id, measure, serial, ordered, subject, effective, container_generation)
    values
    ('acme', 'ordered', 'deactivation', 'A-1', now(), 'container/A-1/1', now(), 1),
    ('acme', 'ordered', 'withdrawal', 'A-1', now(), 'licence/L-1/2', now(), 2);
"""


def empty_database(settings: Settings) -> str:
    name = f"migrated_{uuid4().hex[:8]}"
    with psycopg.connect(settings.dsn, autocommit=True) as session:
        session.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return make_conninfo(settings.dsn, dbname=name)


async def test_what_quotas_had_set_aside_before_counts_and_is_answered_again(settings: Settings) -> None:
    dsn = empty_database(settings)
    await asyncio.to_thread(migrate, dsn, "0023")
    with psycopg.connect(dsn) as session:
        session.execute(
            "insert into backend.reservations (vendor, pot, subject, case_id, ordinal, per_term, received, reserved)"
            " values ('acme', 'own', 'holder/h-1', 'case-1', 2, 3, %(now)s, %(now)s)",
            {"now": NOW},
        )
    await asyncio.to_thread(migrate, dsn)
    quota = QuotaOrder(pot=PotName("own"), subjects=("holder/h-1",), limit=3, term_days=30)
    first, second = (
        ReserveOrder(
            key=CaseKey(vendor=VendorId("acme"), case=CaseId(f"case-{number}"), serial=Serial("D-1")),
            quotas=(quota,),
            received=NOW,
        )
        for number in (1, 2)
    )

    async with await psycopg.AsyncConnection.connect(dsn) as tx:
        again = await reserve(tx, first, NOW + timedelta(days=1))
        short = await reserve(tx, second.model_copy(update={"quotas": (quota.model_copy(update={"limit": 1}),)}), NOW)

    assert again == Reservation(at=NOW, ordinal=2, limit=3)
    assert short.ordinal is None


async def test_a_record_that_waited_before_is_known_again(settings: Settings) -> None:
    dsn = empty_database(settings)
    await asyncio.to_thread(migrate, dsn, "0018")
    headers: Headers = (("nul\0", b"\0\xff"), ("none", None), ("é", b""))
    record = InboxRecord("lostfound.acme.inbox", 0, 7, None, b"v\0", headers, NOW)
    with psycopg.connect(dsn) as session:
        values = {"topic": record.topic, "key": record.key, "value": record.value, "now": NOW}
        more = {"names": [name.encode() for name, _ in headers], "contents": [content for _, content in headers]}
        session.execute(PARKED, values | more)

    await asyncio.to_thread(migrate, dsn)

    async with AsyncConnectionPool(dsn, kwargs={"autocommit": True}, open=False) as pool:
        parking = PostgresParking(pool)
        again = [await parking.park(Serial("D-1"), 2, one, 60, 10) for one in (record, replace(record, value=b"w"))]
    with psycopg.connect(dsn) as session:
        found = session.execute("select value from backend.parked order by number").fetchall()
    assert (again, found) == ([True, True], [(b"v\0",), (b"w",)])


def test_what_stood_in_the_first_version_stands_in_todays(settings: Settings) -> None:
    dsn = empty_database(settings)
    migrate(dsn, "0001")
    with psycopg.connect(dsn) as session:
        psycopg.ClientCursor(session).execute(FIRST, {"now": NOW})

    migrate(dsn)
    migrate(dsn)

    def one(query: str) -> tuple[object, ...]:
        with psycopg.connect(dsn) as session:
            row = session.execute(query).fetchone()
            assert row is not None
            return tuple(row)

    assert one("select expires, lease_next, first_issued from backend.licences where licence = 'L-1'") == (
        *(NOW + timedelta(days=17), NOW, NOW),
    )
    assert one("select expires, lease_next from backend.licences where licence = 'L-2'") == (None, None)
    assert one("select subject, effective, state from backend.measures") == ("container/D-1/1", NOW, "ordered")
    assert one("select subject, generation from backend.claims") == ("licence/L-1", 1)
    assert one("select scope, generation, received, messages from backend.cases") == ("container", 1, NOW, 1)
    assert one("select answer ->> 'refused', answer #>> '{cases,0,case}' from backend.contacts") == ("true", "case-1")
    assert one('select "full", reinstated from backend.issues') == (False, False)


def test_a_case_claims_the_blocking_by_every_measure_of_its_loss(settings: Settings) -> None:
    """What is withdrawn of its replacement is none of them; where the vendor's own rules say what is ordered, and
    nothing is yet, nobody can tell here."""
    dsn = empty_database(settings)
    migrate(dsn, "0024")
    with psycopg.connect(dsn) as session:
        session.execute(BLOCKED)

    migrate(dsn)

    with psycopg.connect(dsn) as session:
        found = session.execute(
            "select case_id, subject, generation from backend.claims where subject ~ '^[^/]*/[^/]*/' order by 1, 2"
        ).fetchall()
    assert found == [
        ("lost", "blacklisting/container/D-2", 1),
        ("ordered", "deactivation/container/A-1", 1),
        ("part", "withdrawal/licence/L-2", 4),
    ]
