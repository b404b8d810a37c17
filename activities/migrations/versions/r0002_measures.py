"""Generations of containers, measures with a life of their own, leases, and answers to contacts."""

from alembic import op

revision = "0002"
down_revision = "0001"

SCHEMA = """
alter table backend.containers
    add generation integer not null default 1 check (generation >= 1),
    add fingerprint jsonb,
    add returned integer not null default 0;
create table backend.activations (
    vendor text not null,
    serial text not null,
    generation integer not null,
    fingerprint jsonb not null,
    case_id text,
    activated timestamptz not null,
    primary key (vendor, serial, generation),
    foreign key (vendor, serial) references backend.containers
);
create table backend.pending_activations (
    vendor text not null,
    serial text not null,
    case_id text not null,
    fingerprint jsonb not null,
    primary key (vendor, serial, case_id)
);
alter table backend.licences
    add expires timestamptz,
    add borrowed_until timestamptz,
    add ends timestamptz,
    add status_index bigint,
    add lease_next timestamptz,
    add lease_stage text;
update backend.licences set
    lease_next = issued,
    expires = (
        issued at time zone 'UTC'
        + (lease -> 'check_in' ->> 'count')::integer * ('1 ' || (lease -> 'check_in' ->> 'unit'))::interval
        + (lease ->> 'grace_days')::integer * interval '1 day'
    ) at time zone 'UTC'
where jsonb_typeof(lease -> 'check_in') = 'object';
create index licences_by_lease on backend.licences (lease_next) where lease_next is not null;
alter table backend.cases
    drop column awaits_target,
    add scope text not null default 'container',
    add generation integer not null default 1,
    add awaits text,
    add awaits_match text;
create index cases_awaiting on backend.cases (vendor, holder) where awaits is not null;
create index cases_on_container on backend.cases (vendor, serial);
alter table backend.claims rename column licence to subject;
update backend.claims set subject = 'licence/' || subject;
alter table backend.measures
    add subject text,
    add effective timestamptz,
    add state text not null default 'ordered';
update backend.measures set subject = 'container/' || serial || '/1', effective = ordered;
alter table backend.measures
    alter subject set not null,
    alter effective set not null,
    drop constraint measures_pkey,
    add primary key (vendor, case_id, measure, subject);
create index measures_by_subject on backend.measures (vendor, subject);
alter table backend.contacts add answer jsonb;
update backend.contacts set answer = jsonb_build_object(
    'refused', cardinality(cases) > 0,
    'cases', (
        select coalesce(jsonb_agg(jsonb_build_object('vendor', vendor, 'case', case_id, 'serial', serial)), '[]')
        from unnest(cases) as case_id
    )
);
alter table backend.contacts alter answer set not null, drop column cases;
alter table backend.issues
    add "full" boolean not null default false;
"""


def upgrade() -> None:
    """Change the tables; what stands keeps standing."""
    op.execute(SCHEMA)
