"""Recoveries are counted in named pots."""

from alembic import op

revision = "0008"
down_revision = "0007"

SCHEMA = """
alter table backend.reservations add pot text not null default 'recoveries';
create index reservations_in_pot on backend.reservations (vendor, pot, subject) where not freed;
"""


def upgrade() -> None:
    """Change the table; all that was set aside before counted together, in the pot that most recoveries count in."""
    op.execute(SCHEMA)
