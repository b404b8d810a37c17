"""Closing: a case that is over ends its measures, frees what it did not use, and answers what was said to it last."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from activities.licensing import reinstatement
from activities.licensing.access_data import end_link
from activities.licensing.activation_code import end_code
from activities.licensing.claim_changes import Made, answer_all
from activities.licensing.claims import free_claims, holder_of, known_of, made_since, write
from activities.licensing.containers import Container
from activities.licensing.leases import resume
from activities.licensing.measures import settle
from activities.licensing.message_rules import Left
from activities.licensing.messages import left, lock_cases
from activities.licensing.quota import free
from activities.licensing.records import lock_container
from activities.licensing.release import Release
from activities.licensing.targets import offer
from events.ports.licensing_backend import CloseOrder, Done
from events.terms import Kind


async def close(tx: AsyncConnection[Any], order: CloseOrder, lost: Container, at: datetime) -> Done:
    """Know that a case is over and end its measures. One that recovered nothing frees its claims and what its quota had
    set aside: a new report then opens a new case. `lost` is the container that it is about, which is locked.

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
    await free_claims(tx, order)
    if not order.recovered:
        await free(tx, key, at)
    await lock_cases(tx, key, holder)
    await tx.execute(
        "update backend.cases set closed = %s, outcome = %s, approved = %s, awaits = null,"
        " release = %s where vendor = %s and case_id = %s",
        (at, order.outcome, order.approved, Release.LIFTED if given_back else None, key.vendor, key.case),
    )
    await _answer_all(tx, order, lost, at)
    await offer(tx, key.vendor, holder, [key.serial], at)
    await reinstatement.wake(tx, key, at)
    return Done(at=at)


async def _answer_all(tx: AsyncConnection[Any], order: CloseOrder, lost: Container, at: datetime) -> None:
    """Answer for a case what was said since it was decided, and tell those that took it over, as only resets are."""
    key = order.key
    made = await made_since(tx, key, order.decided or at)
    said = list(in_their_order(await left(tx, key, order.taken, at), made))
    if said or lost.kind is Kind.CLOUD:
        known = await known_of(tx, key.vendor, await lock_container(tx, key.vendor, key.serial))
        await write(tx, answer_all(known, order, said, at))


def in_their_order(left: Sequence[Left], made: Sequence[Made]) -> Iterator[Left | Made]:
    """What a case did not take, by number, and among it the reports of other cases that came when it was decided, each
    before what was said later."""
    others = list(made)
    for one in left:
        while others and others[0].report.received <= one.accepted:
            yield others.pop(0)
        yield one
    yield from others
