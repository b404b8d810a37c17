"""A container's contacts have numbers of its own, and who signs in with a password has others: no stranger uses one up.

Of a cloud container nobody can tell any more which of its contacts were by password: they keep their numbers as both.
"""

from alembic import op

revision = "0023"
down_revision = "0022"

SCHEMA = """
alter table backend.contacts add by_password boolean not null default false, drop constraint contacts_pkey;
insert into backend.contacts (vendor, contact, serial, answer, by_password)
    select c.vendor, c.contact, c.serial, c.answer, true from backend.contacts c
    join backend.containers k using (vendor, serial) where k.kind = 'cloud' and not c.answer ? 'receipt';
alter table backend.contacts add primary key (vendor, serial, contact, by_password);
"""


def upgrade() -> None:
    """Change the table; a number that was used before is answered as before."""
    op.execute(SCHEMA)
