"""Delegations: who acts for which holders, and until when."""

from alembic import op

revision = "0028"
down_revision = "0027"

DELEGATIONS = """
create table backend.delegations (
    vendor text not null references backend.vendors,
    delegation text not null,
    delegate text,
    holders text[] not null,
    until timestamptz,
    given timestamptz,
    revoked timestamptz,
    primary key (vendor, delegation)
);
create index on backend.delegations (vendor, delegate)
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(DELEGATIONS)
