"""Of one case several quotas set recoveries aside, each for its own term."""

from alembic import op

revision = "0024"
down_revision = "0023"

SCHEMA = """
alter table backend.reservations
    add term_days integer not null default 0,
    drop constraint reservations_pkey,
    add primary key (vendor, case_id, pot, subject, term_days),
    drop column per_term;
drop index backend.reservations_of_case;
"""


def upgrade() -> None:
    """Change the table; of what was set aside before, the term is not known."""
    op.execute(SCHEMA)
