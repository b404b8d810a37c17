"""What is said to cases, numbered for each, until it is delivered; numbers of statements belong to who made them."""

from alembic import op

revision = "0015"
down_revision = "0014"

SCHEMA = """
alter table backend.cases
    add messages integer not null default 1;
alter table backend.cases
    alter messages set default 0,
    drop column refused;
create table backend.messages (
    vendor text not null,
    case_id text not null,
    number integer not null,
    content jsonb not null,
    decision text,
    role text,
    said_by text,
    door text,
    accepted timestamptz not null,
    due timestamptz not null,
    tries integer not null default 0,
    delivered timestamptz,
    primary key (vendor, case_id, number),
    foreign key (vendor, case_id) references backend.cases
);
create index messages_to_deliver on backend.messages (vendor, due) where delivered is null;
create index undelivered_of_case on backend.messages (vendor, case_id, number) where delivered is null;
create unique index decisions_by_number on backend.messages (vendor, case_id, decision) where decision is not null;
create table backend.statements (
    vendor text not null,
    role text not null,
    said_by text not null,
    statement text not null,
    digest text not null,
    received timestamptz not null,
    primary key (vendor, role, said_by, statement)
);
alter table backend.reports
    add role text not null default '',
    add said_by text not null default '';
alter table backend.reports
    drop constraint reports_pkey,
    add primary key (vendor, report, role, said_by);
update backend.contacts set answer = answer - 'ordinals' where answer ? 'ordinals';
create index reports_of_case on backend.reports (vendor, case_id);
"""


def upgrade() -> None:
    """Make the tables. A report from before has no reporter, and its number is everybody's."""
    op.execute(SCHEMA)
