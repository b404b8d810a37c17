"""Answers to the orders of cases, kept: an order that comes again is answered as before, a late one changes nothing."""

from collections.abc import Awaitable, Callable
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from activities.licensing.answer_rules import Answer, CaseGone, Numbered, OrderKind, answer_again


async def answered(
    tx: AsyncConnection[Any],
    kind: OrderKind[Answer],
    order: Numbered,
    do: Callable[[], Awaitable[Answer]],
) -> Answer:
    """Do an order of a case, and keep what it is answered. The caller holds the lock on the case's container."""
    before = await answered_before(tx, kind, order)
    if before is not None:
        return before
    answer = await do()
    await tx.execute(
        "insert into backend.answers (vendor, case_id, number, name, answer) values (%s, %s, %s, %s, %s)"
        " on conflict (vendor, case_id, number, name) do update set answer = excluded.answer",
        (order.key.vendor, order.key.case, order.number, kind.name, Jsonb(answer.model_dump(mode="json"))),
    )
    return answer


async def answered_before(tx: AsyncConnection[Any], kind: OrderKind[Answer], order: Numbered) -> Answer | None:
    """What an order is answered without doing anything, or None where it is to be done; see `answer_again`."""
    key, number = order.key, order.number
    cursor = await tx.execute(
        "select coalesce(max(number), 0), min(answer::text) filter (where number = %s and name = %s),"
        " (select closed from backend.cases c where c.vendor = %s and c.case_id = %s)"
        " from backend.answers where vendor = %s and case_id = %s",
        (number, kind.name, key.vendor, key.case, key.vendor, key.case),
    )
    latest, text, closed = await cursor.fetchone() or (0, None, None)
    return answer_again(kind, number, kind.read(text) if text else None, CaseGone(latest, closed))
