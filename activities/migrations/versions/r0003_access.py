"""Access data of cloud containers, and their sessions."""

from alembic import op

revision = "0003"
down_revision = "0002"

SCHEMA = """
create table backend.access (
    vendor text not null,
    serial text not null,
    generation integer not null,
    case_id text,
    offered timestamptz not null,
    until timestamptz not null,
    password text,
    set_at timestamptz,
    wrong integer not null default 0,
    locked_until timestamptz,
    primary key (vendor, serial, generation),
    foreign key (vendor, serial) references backend.containers
);
create table backend.sessions (
    vendor text not null,
    serial text not null,
    session text not null,
    generation integer not null,
    started timestamptz not null,
    ended timestamptz,
    primary key (vendor, serial, session)
);
create index open_sessions on backend.sessions (vendor, serial) where ended is null;
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(SCHEMA)
