"""A backend of the first version is brought to today's, with all that stood in it."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from activities.schema import migrate
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


def test_what_stood_in_the_first_version_stands_in_todays(settings: Settings) -> None:
    name = f"migrated_{uuid4().hex[:8]}"
    with psycopg.connect(settings.dsn, autocommit=True) as session:
        session.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    dsn = make_conninfo(settings.dsn, dbname=name)
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
