"""Cases claim the container and the blocking too; how each ended, and whether a wider loss overtook it."""

from alembic import op

revision = "0016"
down_revision = "0015"

SCHEMA = """
alter table backend.cases
    add outcome text,
    add overtaken integer;
drop index backend.claims_on_container;
create index claims_on_container on backend.claims (vendor, serial);
insert into backend.claims (vendor, subject, generation, serial, case_id)
    select vendor, 'container/' || serial, generation, serial, case_id from backend.cases c
    where scope = 'container' and exists (
        select from backend.claims k where (k.vendor, k.case_id) = (c.vendor, c.case_id)
            and not k.freed and k.subject like 'licence/%'
    )
    order by received
on conflict do nothing;
insert into backend.claims (vendor, subject, generation, serial, case_id)
    select vendor, 'blacklisting/' || substring(subject from '^(.*)/[0-9]+$'),
        substring(subject from '[0-9]+$')::integer, serial, case_id
    from backend.measures where measure = 'blacklisting' and state <> 'lifted' order by ordered
on conflict do nothing;
"""


def upgrade() -> None:
    """Change the table, and have the cases that are there claim what they would claim today."""
    op.execute(SCHEMA)
