"""Wrong passwords are counted for a container and by their origins, and no longer with its access data."""

from alembic import op

revision = "0013"
down_revision = "0012"

SCHEMA = """
create table backend.guesses (
    vendor text not null,
    serial text not null,
    guesses jsonb not null,
    primary key (vendor, serial),
    foreign key (vendor, serial) references backend.containers
);
alter table backend.access drop column wrong, drop column locked_until;
"""


def upgrade() -> None:
    """Change the tables; what was guessed before is forgotten, and so is who was locked out for it."""
    op.execute(SCHEMA)
