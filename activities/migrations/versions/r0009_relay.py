"""The relay: a lease that one of many holds, and rows of the outbox that outlive their sending or wait for somebody."""

from alembic import op

revision = "0009"
down_revision = "0008"

SCHEMA = """
alter table backend.outbox add relayed timestamptz, add held boolean not null default false;
create index outbox_pending on backend.outbox (id) where relayed is null and not held;
create index outbox_relayed on backend.outbox (relayed) where relayed is not null;
create index outbox_held on backend.outbox (key, id) where held;
create table backend.relay (
    one boolean primary key default true check (one),
    holder uuid not null,
    session integer not null,
    until timestamptz not null
);
"""


def upgrade() -> None:
    """Change the tables; what waits in the outbox still waits."""
    op.execute(SCHEMA)
