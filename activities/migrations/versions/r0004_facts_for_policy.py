"""What policies decide on: when a licence was first issued, and when the losses of a holder were reported."""

from alembic import op

revision = "0004"
down_revision = "0003"

SCHEMA = """
alter table backend.licences add first_issued timestamptz;
update backend.licences set first_issued = issued;
alter table backend.licences alter first_issued set not null;
alter table backend.cases add received timestamptz;
update backend.cases c set received = (
    select min(r.received) from backend.reports r where (r.vendor, r.case_id) = (c.vendor, c.case_id)
);
create index claims_of_case on backend.claims (vendor, case_id);
create index losses_of_holder on backend.cases (vendor, holder, received);
"""


def upgrade() -> None:
    """Change the tables; a licence that was reissued before is as old as its current generation."""
    op.execute(SCHEMA)
