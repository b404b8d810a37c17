"""Licences whose contract has ended, and the latest statement of what became of each container and licence."""

from alembic import op

revision = "0027"
down_revision = "0026"

SCHEMA = """
alter table backend.licences add ended timestamptz;
create table backend.inventory_changes (
    vendor text not null references backend.vendors,
    thing text not null,
    name text not null,
    stated jsonb not null,
    primary key (vendor, thing, name)
);
"""


def upgrade() -> None:
    """Change the tables."""
    op.execute(SCHEMA)
