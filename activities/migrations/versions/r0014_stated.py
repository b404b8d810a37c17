"""What was first stated of a container or a licence, to compare with what is stated again."""

from alembic import op

revision = "0014"
down_revision = "0013"

SCHEMA = """
alter table backend.containers add stated jsonb;
alter table backend.licences add stated jsonb;
"""


def upgrade() -> None:
    """Change the tables; what was stated before is compared as far as it is known."""
    op.execute(SCHEMA)
