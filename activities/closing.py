"""Closing: a case that is over ends its measures, frees what it did not use, and answers what was said to it last."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, cast

from psycopg import AsyncConnection

from activities import reinstating
from activities.access import end_link
from activities.activation_code import end_code
from activities.claims import claim_anew, free_blocking, free_container, holder_of
from activities.leases import resume
from activities.measures import settle
from activities.messages import Speaker, addressed, left, post
from activities.outbox import state
from activities.quota import free
from activities.release import Release
from activities.targets import offer
from events.cases import Content, DecisionOrder, Evidence, Joined, Sighting
from events.errors import Code, RefusalError
from events.inbox import LossStatement
from events.licensing import Claim, CloseOrder, Done
from events.terms import CaseKey, Outcome, PersonId


async def close(tx: AsyncConnection[Any], order: CloseOrder, at: datetime) -> Done:
    """Know that a case is over and end its measures. One that recovered nothing frees its claims and what its quota had
    set aside: a new report then opens a new case.

    The lock on the replacement's container is had before the case's row is changed: a contact that the case refuses
    there has that lock, and then numbers its message in that row.
    """
    key = order.key
    await reinstating.keep(tx, key, at)
    await settle(tx, order, at)
    await end_link(tx, key, at)
    await end_code(tx, key)
    if order.flag:
        await reinstating.flag(tx, key, order.flag, at)
    if order.lift:
        await resume(tx, key)
    if not order.recovered:
        await free(tx, key, at)
    elif order.outcome is Outcome.FOUND:
        await free_container(tx, key)
    elif order.lift:
        await free_blocking(tx, key)
    cursor = await tx.execute(
        "update backend.cases set closed = coalesce(closed, %s), outcome = %s, awaits = null,"
        " release = case when %s then %s else release end where vendor = %s and case_id = %s returning closed",
        (at, order.outcome, order.lift, Release.LIFTED, key.vendor, key.case),
    )
    (closed,) = cast(tuple[datetime], await cursor.fetchone())
    anew: dict[CaseKey, set[PersonId]] = {}
    for content, speaker in await left(tx, key, order.taken, at):
        if speaker is None:
            continue
        again = await _answer(tx, order, content, speaker, at)
        if again is not None and (again.answer == "opened" or again.key in anew):
            anew.setdefault(again.key, set()).add(speaker.by)
        for other in goes_on_to(content, anew):
            await post(tx, other, content, at, speaker)
    await offer(tx, key.vendor, await holder_of(tx, key), [key.serial], at)
    await reinstating.wake(tx, key, at)
    return Done(at=closed)


async def _answer(
    tx: AsyncConnection[Any], order: CloseOrder, content: Content, speaker: Speaker, at: datetime
) -> Claim | None:
    """Answer for a case what it did not take. A report that came after the decision which ended the case, and for which
    it recovered nothing, is claimed for anew."""
    key = order.key
    code = Code.NOTHING_TO_DECIDE if isinstance(content, DecisionOrder) else None
    if isinstance(content, Joined) and not order.recovered and content.report.received > (order.decided or at):
        said = content.report.model_dump(include=set(LossStatement.model_fields))
        stated = LossStatement.model_validate(said)
        try:
            return await claim_anew(tx, key.vendor, stated, content.report.door, content.report.received)
        except RefusalError as refusal:  # what it reports is no longer there
            code = refusal.code
    await state(tx, key.vendor, key.serial, at, [addressed(key, content, speaker, at, code)])
    return None


def goes_on_to(content: Content, anew: Mapping[CaseKey, Collection[PersonId]]) -> list[CaseKey]:
    """Which of the new cases of reports, by who reported, also get what was said after those reports: each of them
    looks for the container, and evidence goes with the reports of whoever brought it."""
    if isinstance(content, Sighting):
        return list(anew)
    return [key for key, people in anew.items() if isinstance(content, Evidence) and content.by in people]
