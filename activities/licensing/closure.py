"""Closing: a case that is over ends its measures, frees what it did not use, and answers what was said to it last."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from activities.licensing import reinstatement
from activities.licensing.access_data import end_link
from activities.licensing.activation_code import end_code
from activities.licensing.claims import (
    Made,
    claim_anew,
    claim_rest,
    free_blocking,
    free_container,
    holder_of,
    made_since,
    overtake,
)
from activities.licensing.leases import resume
from activities.licensing.measures import settle
from activities.licensing.message_rules import Speaker, addressed
from activities.licensing.messages import Left, left, lock_cases, post
from activities.licensing.outbox import state
from activities.licensing.quota import free
from activities.licensing.release import Release
from activities.licensing.targets import offer
from events.errors import Code, RefusalError
from events.ports.licensing_backend import Claim, CloseOrder, Done
from events.ports.loss_cases import Content, DecisionOrder, Evidence, Joined, Overtaken, Sighting
from events.terms import CaseKey, Outcome, PersonId


async def close(tx: AsyncConnection[Any], order: CloseOrder, at: datetime) -> Done:
    """Know that a case is over and end its measures. One that recovered nothing frees its claims and what its quota had
    set aside: a new report then opens a new case.

    The locks on the replacement's container, and then on the rows of all cases that may be told of it, are had before
    the case's row is changed: whoever tells several cases something has their rows one after the other.
    """
    key = order.key
    holder = await holder_of(tx, key)
    await reinstatement.keep_replacement(tx, key, at)
    given_back = await reinstatement.stand_again(tx, order, at)
    await settle(tx, order, at)
    await end_link(tx, key, at)
    await end_code(tx, key)
    if order.flag:
        await reinstatement.flag(tx, key, order.flag, at)
    if order.lift:
        await resume(tx, key.vendor, key.serial)
    if not order.recovered:
        await free(tx, key, at)
    elif order.outcome is Outcome.FOUND:
        await free_container(tx, key)
    elif order.lift:
        await free_blocking(tx, key)
    await lock_cases(tx, key, holder)
    await tx.execute(
        "update backend.cases set closed = %s, outcome = %s, approved = %s, awaits = null,"
        " release = %s where vendor = %s and case_id = %s",
        (at, order.outcome, order.approved, Release.LIFTED if given_back else None, key.vendor, key.case),
    )
    await _answer_all(tx, order, at)
    await offer(tx, key.vendor, holder, [key.serial], at)
    await reinstatement.wake(tx, key, at)
    return Done(at=at)


async def _answer_all(tx: AsyncConnection[Any], order: CloseOrder, at: datetime) -> None:
    """Answer for a case what was said since it was decided: to it, and in reports that are other cases', of which it
    still claimed a part."""
    key = order.key
    made = await made_since(tx, key, order.decided or at)
    anew: dict[CaseKey, set[PersonId]] = {}
    for said in in_their_order(await left(tx, key, order.taken, at), made):
        if isinstance(said, Made):
            further, rest = await claim_rest(tx, key, said)
            if said.opened:
                overtaken = [other for other in anew if other.case in rest.cases]
                for other in sorted(overtaken, key=lambda other: other.case):
                    await overtake(tx, other, Overtaken(by=said.case), at)
            if further:
                anew[further] = set()
            continue
        content, speaker, _ = said
        if speaker is None:
            continue
        again = await _answer(tx, order, content, speaker, at)
        if again is not None and (again.answer == "opened" or again.key in anew):
            anew.setdefault(again.key, set()).add(speaker.by)
        for other in goes_on_to(content, anew):
            await post(tx, other, content, at, speaker)


async def _answer(
    tx: AsyncConnection[Any], order: CloseOrder, content: Content, speaker: Speaker, at: datetime
) -> Claim | None:
    """Answer for a case what it did not take. A report that came after the decision which ended the case is claimed for
    anew, as far as the case did not recover what it says."""
    key = order.key
    code = Code.NOTHING_TO_DECIDE if isinstance(content, DecisionOrder) else None
    if isinstance(content, Joined) and content.report.received > (order.decided or at):
        try:
            if again := await claim_anew(tx, key, content.report):
                return again
        except RefusalError as refusal:  # what it reports is no longer there
            code = refusal.code
    await state(tx, key.vendor, key.serial, at, [addressed(key, content, speaker, at, code)])
    return None


def in_their_order(left: Sequence[Left], made: Sequence[Made]) -> Iterator[Left | Made]:
    """What a case did not take, by number, and among it the reports of other cases that came when it was decided, each
    before what was said later."""
    others = list(made)
    for one in left:
        while others and others[0].report.received <= one.accepted:
            yield others.pop(0)
        yield one
    yield from others


def goes_on_to(content: Content, anew: Mapping[CaseKey, Collection[PersonId]]) -> list[CaseKey]:
    """Which of the new cases of reports, by who reported, also get what was said after those reports: each of them
    looks for the container, and evidence goes with the reports of whoever brought it."""
    if isinstance(content, Sighting):
        return list(anew)
    return [key for key, people in anew.items() if isinstance(content, Evidence) and content.by in people]
