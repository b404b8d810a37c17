"""Whether a person had approved a case when it ended: a rejection before that counts no more."""

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Change the table."""
    op.execute("alter table backend.cases add approved boolean not null default false")
