"""Closing: what the backend does once a case is over, in the caller's transaction, under the container's lock."""

from datetime import datetime
from typing import Any, cast

from psycopg import AsyncConnection

from activities import reinstating
from activities.access import end_link
from activities.activation_code import end_code
from activities.leases import resume
from activities.measures import settle
from activities.quota import free
from events.licensing import CloseOrder, Done


async def close(tx: AsyncConnection[Any], order: CloseOrder, at: datetime) -> Done:
    """Know that a case is over and end its measures. One that recovered nothing frees its claims and what its quota had
    set aside: a new report then opens a new case.

    The lock on the replacement's container is had before the case's row is changed: a contact that the case refuses
    there has the lock, and then counts itself in that row.
    """
    key = order.key
    await reinstating.keep(tx, key, at)
    cursor = await tx.execute(
        "update backend.cases set closed = coalesce(closed, %s), awaits = null where vendor = %s and case_id = %s"
        " returning closed",
        (at, key.vendor, key.case),
    )
    (closed,) = cast(tuple[datetime], await cursor.fetchone())
    await settle(tx, order, at)
    await end_link(tx, key, at)
    await end_code(tx, key)
    if order.flag:
        await reinstating.flag(tx, key, order.flag, at)
    if order.lift:
        await resume(tx, key)
    if not order.recovered:
        await free(tx, key, at)
    return Done(at=closed)
