"""Dead letters about which nothing more is to be done."""

from alembic import op

revision = "0020"
down_revision = "0019"

SCHEMA = """
create table backend.settled_dead_letters (
    place text primary key,
    vendor text not null,
    state text not null,
    at timestamptz not null,
    retried_as text
);
create index on backend.settled_dead_letters (vendor, at);
"""


def upgrade() -> None:
    """Make the table; what was retried or dismissed before counts as open once more."""
    op.execute(SCHEMA)
