"""What the orders of a case were answered, kept: asked again, the backend answers the same."""

from alembic import op

revision = "0010"
down_revision = "0009"

SCHEMA = """
create table backend.answers (
    vendor text not null,
    case_id text not null,
    number integer not null,
    name text not null,
    answer jsonb not null,
    primary key (vendor, case_id, number, name)
);
insert into backend.answers
    select vendor, case_id, 0, 'assess', jsonb_build_object(
        'at', assessed -> 'at', 'facts', assessed -> 'facts', 'policy', assessed -> 'policy_version'
    )
    from backend.cases where assessed is not null;
insert into backend.answers
    select vendor, case_id, 0, 'close', jsonb_build_object('at', to_jsonb(closed)) from backend.cases
    where closed is not null;
alter table backend.cases drop column assessed;
"""


def upgrade() -> None:
    """Change the tables; what was answered before and is not kept, such as an order to block, says the same again."""
    op.execute(SCHEMA)
