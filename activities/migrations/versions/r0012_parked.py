"""Inbox records that wait, in the order of their serial."""

from alembic import op

revision = "0012"
down_revision = "0011"

SCHEMA = """
create table backend.parked (
    number bigint generated always as identity primary key,
    vendor text not null,
    serial text not null,
    rank smallint not null,
    topic text not null,
    partition integer not null,
    record_offset bigint not null,
    key bytea,
    value bytea,
    names bytea[] not null,
    contents bytea[] not null,
    received timestamptz not null,
    deadline timestamptz not null,
    due timestamptz not null,
    tries integer not null default 0,
    leased_until timestamptz,
    unique (topic, partition, record_offset)
);
create index parked_in_order on backend.parked (vendor, serial, rank, number);
create index parked_due on backend.parked (due);
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(SCHEMA)
