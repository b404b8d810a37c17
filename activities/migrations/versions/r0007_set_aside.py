"""The register of what is set aside."""

from alembic import op

revision = "0007"
down_revision = "0006"

SCHEMA = """
create table backend.set_aside (
    place text primary key,
    vendor text not null,
    code text not null,
    sentence text not null,
    since timestamptz not null
);
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(SCHEMA)
