"""How far the un-loss of a case has come with what blocks its container."""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Change the table; an un-loss that is under way is asked for again by its next order."""
    op.execute("alter table backend.cases add release text")
