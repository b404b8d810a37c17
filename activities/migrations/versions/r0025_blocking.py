"""A case claims the blocking by every measure that is ordered for its loss, and not by a blacklisting alone."""

from alembic import op

revision = "0025"
down_revision = "0024"

SCHEMA = """
insert into backend.claims (vendor, subject, generation, serial, case_id)
    select m.vendor, m.measure || '/' || a.aim, a.generation, m.serial, m.case_id
    from backend.measures m
    cross join lateral (
        select substring(m.subject from '^(.*)/[0-9]+$') as aim,
            substring(m.subject from '[0-9]+$')::integer as generation
    ) a
    join backend.cases c on (c.vendor, c.case_id) = (m.vendor, m.case_id)
    where m.measure <> 'blacklisting' and m.state <> 'lifted' and c.outcome is distinct from 'found' and exists (
        select from backend.claims k where (k.vendor, k.case_id) = (m.vendor, m.case_id) and not k.freed
            and k.generation = a.generation and k.subject in (a.aim, 'blacklisting/' || a.aim)
    )
    order by m.ordered
on conflict do nothing;
insert into backend.claims (vendor, subject, generation, serial, case_id)
    select c.vendor, case c.reason when 'damaged' then 'withdrawal/' else 'deactivation/' end || k.subject,
        k.generation, k.serial, c.case_id
    from backend.cases c join backend.containers o on (o.vendor, o.serial) = (c.vendor, c.serial)
    join backend.claims k on (k.vendor, k.case_id) = (c.vendor, c.case_id) and not k.freed
        and k.subject like case c.scope when 'container' then 'container/%' else 'licence/%' end
    where c.closed is null and (o.kind = 'act' or c.reason = 'damaged')
        and not exists (select from backend.measures m where (m.vendor, m.case_id) = (c.vendor, c.case_id))
        and not exists (
            select from backend.policies p, jsonb_array_elements(p.policy -> 'rules') r
            where p.vendor = c.vendor and r -> 'measures' <> 'null' and p.policy_version = (
                select max(policy_version) from backend.policies n where n.vendor = c.vendor
            )
        )
    order by c.received
on conflict do nothing;
"""


def upgrade() -> None:
    """Have the cases that are there claim what they would claim today: those that ordered measures by these, and those
    that have not yet by the table of losses, unless the vendor has rules of its own for measures: a report that asks
    for these then opens a case, and a person sees both."""
    op.execute(SCHEMA)
