"""Who acted at the door when something was said to a case, and in which role, beside for whom."""

from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Add the columns; of what was said before only the reporter is known."""
    op.execute("alter table backend.messages add subject text, add acted_as text")
