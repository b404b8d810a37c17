"""Why a container is gone, what a machine must bring to be activated, and the codes that were fetched for that."""

from alembic import op

revision = "0011"
down_revision = "0010"

SCHEMA = """
alter table backend.cases
    add reason text,
    add activation text not null default 'any';
create table backend.activation_codes (
    vendor text not null,
    serial text not null,
    number integer not null,
    case_id text,
    wrong integer not null,
    primary key (vendor, serial),
    foreign key (vendor, serial) references backend.containers
);
"""


def upgrade() -> None:
    """Change the tables; a case that runs since before calls no machine stolen, and asks for no code."""
    op.execute(SCHEMA)
