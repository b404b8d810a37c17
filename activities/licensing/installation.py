"""What the installation itself states: facts of no vendor."""

from datetime import datetime

from activities.licensing.outbox import FactSession, state
from events.backend_facts import RecordSetAside
from events.codec import FactCodec
from events.envelope import INSTALLATION
from events.postgres_sessions import open_session_as

LOCK = 7_215_905


async def set_record_aside(dsn: str, codec: FactCodec, fact: RecordSetAside, at: datetime) -> None:
    """State that an operator set a record of the log aside; the relay brings it to the log."""
    async with await open_session_as(FactSession, dsn, autocommit=False) as connection:
        connection.codec = codec
        await connection.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
        await state(connection, INSTALLATION, None, at, [fact])
