"""Which generation of its container has what a measure aims at, and for which one a replacement was issued: a machine
that has no part of it confirms nothing, and un-loss takes nothing else along."""

from alembic import op

revision = "0022"
down_revision = "0021"

SCHEMA = """
alter table backend.issues add container_generation integer not null default 1;
update backend.issues i set container_generation = coalesce((
    select max(a.generation) from backend.activations a
    where (a.vendor, a.serial) = (i.vendor, i.serial) and a.activated <= i.issued
), 1);
alter table backend.measures add container_generation integer not null default 1;
update backend.measures m set container_generation = coalesce(
    (
        select i.container_generation from backend.issues i
        where (i.vendor, i.case_id) = (m.vendor, m.case_id)
        and m.subject = 'licence/' || i.licence || '/' || i.generation
    ),
    (select c.generation from backend.cases c where (c.vendor, c.case_id) = (m.vendor, m.case_id)),
    1
);
"""


def upgrade() -> None:
    """Change the tables; what was ordered and issued before is placed as its times say."""
    op.execute(SCHEMA)
