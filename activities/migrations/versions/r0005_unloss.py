"""Un-loss: what was issued back into the original, refused contacts counted, and whom a verdict blames."""

from alembic import op

revision = "0005"
down_revision = "0004"

SCHEMA = """
alter table backend.issues add reinstated boolean not null default false;
alter table backend.cases add refused integer not null default 0;
create table backend.flags (
    vendor text not null,
    holder text not null,
    case_id text not null,
    verdict text not null,
    flagged timestamptz not null,
    primary key (vendor, holder),
    foreign key (vendor, case_id) references backend.cases
);
"""


def upgrade() -> None:
    """Change the tables; what was refused before is not counted."""
    op.execute(SCHEMA)
