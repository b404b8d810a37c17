"""The backend's first schema."""

from alembic import op

revision = "0001"
down_revision = None

SCHEMA = """
create table backend.vendors (
    vendor text primary key,
    issuer text not null,
    next_status_index bigint not null default 0
);
create table backend.policies (
    vendor text not null references backend.vendors,
    policy_version integer not null,
    policy jsonb not null,
    primary key (vendor, policy_version)
);
create table backend.containers (
    vendor text not null references backend.vendors,
    serial text not null,
    kind text not null,
    holder text not null,
    licences integer not null default 0 check (licences >= 0),
    last_contact timestamptz,
    primary key (vendor, serial)
);
create index containers_of_holder on backend.containers (vendor, holder, serial);
create table backend.licences (
    vendor text not null,
    licence text not null,
    generation integer not null check (generation >= 1),
    serial text not null,
    product text not null,
    ticket text not null,
    value_cents bigint not null,
    lease jsonb not null,
    issued timestamptz not null,
    primary key (vendor, licence),
    foreign key (vendor, serial) references backend.containers
);
create index licences_in_container on backend.licences (vendor, serial);
create table backend.cases (
    vendor text not null references backend.vendors,
    case_id text not null,
    serial text not null,
    holder text not null,
    awaits_target boolean not null default false,
    closed timestamptz,
    primary key (vendor, case_id),
    foreign key (vendor, serial) references backend.containers
);
create index cases_awaiting_target on backend.cases (vendor, holder) where awaits_target;
create table backend.reports (
    vendor text not null,
    report text not null,
    digest text not null,
    case_id text not null,
    received timestamptz not null,
    primary key (vendor, report)
);
create table backend.claims (
    vendor text not null,
    licence text not null,
    generation integer not null,
    serial text not null,
    case_id text not null,
    freed boolean not null default false,
    primary key (vendor, licence, generation, case_id)
);
create unique index one_claim_a_generation on backend.claims (vendor, licence, generation) where not freed;
create index claims_on_container on backend.claims (vendor, serial) where not freed;
create table backend.measures (
    vendor text not null,
    case_id text not null,
    measure text not null,
    serial text not null,
    ordered timestamptz not null,
    primary key (vendor, case_id, measure, serial)
);
create table backend.reservations (
    vendor text not null,
    subject text not null,
    case_id text not null,
    ordinal integer not null,
    per_term integer not null,
    received timestamptz not null,
    reserved timestamptz not null,
    freed boolean not null default false,
    primary key (vendor, subject, case_id)
);
create index reservations_of_case on backend.reservations (vendor, case_id);
create table backend.contacts (
    vendor text not null,
    contact text not null,
    serial text not null,
    cases text[] not null,
    primary key (vendor, contact)
);
create index measures_on_container on backend.measures (vendor, serial);
create table backend.issues (
    vendor text not null,
    case_id text not null,
    licence text not null,
    from_generation integer not null,
    generation integer not null,
    serial text not null,
    issued timestamptz not null,
    primary key (vendor, case_id, licence, from_generation),
    unique (vendor, licence, from_generation)
);
create table backend.streams (
    vendor text not null,
    stream text not null,
    sequence integer not null,
    hash text not null,
    primary key (vendor, stream)
);
create table backend.outbox (
    id bigint generated always as identity primary key,
    key bytea not null,
    value bytea not null
);
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(SCHEMA)
