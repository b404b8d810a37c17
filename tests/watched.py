"""A rule that PostgreSQL itself holds the backend to, in every test on the shared services.

What a contact is judged by may change only together with the stream of its container, in one transaction: an ordinary
contact writes under the lock only if the stream is as it was seen, and trusts that nothing else has changed then.
"""

from psycopg import AsyncConnection

JUDGED_BY = {
    "containers": ("kind", "holder", "generation", "fingerprint", "returned"),
    "licences": ("generation", "serial", "lease", "issued", "expires", "ends", "borrowed_until"),
    "measures": ("subject", "serial", "state"),
}
"""The columns by table; those by which time alone decides are not among them."""

RULE = """
create or replace function backend.stated() returns trigger language plpgsql as $$
begin
    if not exists (
        select from backend.streams
        where vendor = new.vendor and stream = 'container/' || new.serial and xmin = pg_current_xact_id()::xid
    ) then
        raise exception '% of container % changed, and no fact says so', tg_table_name, new.serial;
    end if;
    return null;
end $$"""


async def watch(dsn: str) -> None:
    """From now on a transaction that breaks the rule fails as it commits."""
    async with await AsyncConnection.connect(dsn) as connection:
        await connection.execute(RULE)
        for table, columns in JUDGED_BY.items():
            old, new = (", ".join(f"{row}.{column}" for column in columns) for row in ("old", "new"))
            for event, when in (("insert", "true"), ("update", f"({old}) is distinct from ({new})")):
                await connection.execute(
                    f"create constraint trigger stated_{event} after {event} on backend.{table}"
                    f" deferrable initially deferred for each row when ({when}) execute function backend.stated()"
                )
