"""The id of each vendor's signing key: no other is taken."""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the column; the next start fills it."""
    op.execute("alter table backend.vendors add key_id text")
