"""What a case was assessed on, kept: asked again, the backend answers the same."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Change the table; a case that runs since before has been assessed, and does not ask again."""
    op.execute("alter table backend.cases add assessed jsonb")
