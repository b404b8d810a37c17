"""Un-loss: the replacement is withdrawn, then the original holds the licences again; in the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from psycopg import AsyncConnection

from activities.claims import holder_of, nobody_claims
from activities.issuing import Signer, issued, supersede
from activities.measures import STANDING, Standing, texts
from activities.messages import post_to_each
from activities.outbox import state
from activities.release import Other, Release, must_be_free
from activities.rows import Container, LostLicence, changed, every, lock_container, lost_licences, must_have_room
from activities.targets import offer
from events.backend_facts import ContainerReinstated, HolderFlagged, MeasureLifted, MeasureOrdered
from events.cases import Offer
from events.errors import Code, RefusalError
from events.licensing import CaseKey, Done, Issued, IssuedLicence, IssueOrder, ReinstateOrder, Withdrawal
from events.measure_life import sql_blocks, sql_open
from events.terms import Aim, Kind, Measure, MeasureState, Serial, Subject, Verdict, next_generation


async def ask(tx: AsyncConnection[Any], key: CaseKey) -> None:
    """Keep that somebody asked for un-loss of a case."""
    await tx.execute(
        "update backend.cases set release = coalesce(release, %s)"
        " where vendor = %s and case_id = %s and closed is null",
        (Release.ASKED, key.vendor, key.case),
    )


async def release(tx: AsyncConnection[Any], key: CaseKey, original: Container, at: datetime) -> None:
    """Lift the measures of the case on what was lost, as far as they are not confirmed, once the replacement is
    withdrawn; where nothing was issued, once no case stands in the way of which nobody asked for un-loss."""
    last = await _last(tx, key)
    if original.kind is Kind.CLOUD or (last and not (await _withdrawn(tx, key, last))[0]):
        return  # reinstating it is refused
    if last:
        await nobody_claims(tx, key, last)
    else:
        must_be_free(key.serial, await _others(tx, key, original, moved=False), begun=False)
    await _lift(tx, key, key.serial, at, "and serial = %s", key.serial)
    await tx.execute(  # the rows in an order that all transactions share
        "select from backend.cases where vendor = %s and serial = %s and closed is null order by case_id for update",
        (key.vendor, key.serial),
    )
    released = await changed(
        tx,
        "update backend.cases set release = %s where vendor = %s and case_id = %s and release is distinct from %s",
        *(Release.LIFTED, key.vendor, key.case, Release.LIFTED),
    )
    if released:
        await wake(tx, key, at)


async def wake(tx: AsyncConnection[Any], key: CaseKey, at: datetime) -> None:
    """Say to the other cases that have lifted their measures on the container that this one has too, or is over. The
    last thing that a transaction does."""
    cursor = await tx.execute(
        "select case_id from backend.cases where vendor = %s and serial = %s and case_id <> %s and release = %s"
        " and closed is null",
        (key.vendor, key.serial, key.case, Release.LIFTED),
    )
    waiting = [CaseKey(vendor=key.vendor, case=case, serial=key.serial) for (case,) in await cursor.fetchall()]
    await post_to_each(tx, waiting, Offer(serial=key.serial), at)


async def _others(tx: AsyncConnection[Any], key: CaseKey, original: Container, moved: bool) -> list[Other]:
    """The other cases of which a measure stands on the container or, where they have not `moved`, on the licences that
    stay as they are in it."""
    lost = [] if moved else await lost_licences(tx, key)
    cursor = await tx.execute(
        "select distinct m.case_id, c.release, c.closed is not null"
        " from backend.measures m join backend.cases c using (vendor, case_id)"
        f" where m.vendor = %s and m.case_id <> %s and m.subject = any(%s) and {sql_blocks('m.state')}",
        (key.vendor, key.case, texts([Subject(Aim.CONTAINER, key.serial, original.generation), *_names(lost)])),
    )
    return [Other(case, Release(how) if how else None, over) for case, how, over in await cursor.fetchall()]


async def withdraw(tx: AsyncConnection[Any], key: CaseKey, original: Container, at: datetime) -> Withdrawal:
    """Order what was last issued for the case to be withdrawn from the container that holds it; nothing once the case
    is over."""
    last = await _last(tx, key)
    if last is None:
        raise RefusalError(Code.NOTHING_TO_DECIDE, f"nothing was issued for case {key.case} that could be withdrawn")
    if (await _withdrawn(tx, key, last))[1] is None:
        must_be_free(key.serial, await _others(tx, key, original, moved=True), begun=False)
    await lock_container(tx, key.vendor, last.target)
    cursor = await tx.execute(
        "insert into backend.measures (vendor, case_id, measure, serial, ordered, subject, effective)"
        " select c.vendor, c.case_id, %s, %s, %s, a.subject, %s"
        " from backend.cases c, unnest(%s::text[]) as a(subject)"
        " where c.vendor = %s and c.case_id = %s and c.closed is null on conflict (vendor, case_id, measure, subject)"
        " do update set state = excluded.state, ordered = excluded.ordered, effective = excluded.effective"
        f" where not {sql_blocks('measures.state')} returning subject",
        (Measure.WITHDRAWAL, last.target, at, at, texts(_subjects(last)), key.vendor, key.case),
    )
    added = {Subject.parse(name) for (name,) in await cursor.fetchall()}
    told = {"case": key.case, "measure": Measure.WITHDRAWAL, "serial": last.target, "effective": at}
    facts = [MeasureOrdered.model_validate({**told, "subject": name}) for name in _subjects(last) if name in added]
    await state(tx, key.vendor, last.target, at, facts)
    confirmed, ordered = await _withdrawn(tx, key, last)
    return Withdrawal(at=ordered or at, confirmed=confirmed)


async def keep(tx: AsyncConnection[Any], key: CaseKey, at: datetime) -> Done:
    """Lift the order to withdraw what was issued for the case; nobody asks for its un-loss any more."""
    await keep_replacement(tx, key, at)
    await tx.execute(
        "update backend.cases set release = nullif(release, %s) where vendor = %s and case_id = %s",
        (Release.ASKED, key.vendor, key.case),
    )
    return Done(at=at)


async def keep_replacement(tx: AsyncConnection[Any], key: CaseKey, at: datetime) -> None:
    """Lift the order to withdraw what was issued for the case, as far as it is not confirmed."""
    if last := await _last(tx, key):
        await lock_container(tx, key.vendor, last.target)
        which = f"and measure = '{Measure.WITHDRAWAL}' and subject = any(%s)"
        await _lift(tx, key, last.target, at, which, texts(_subjects(last)))


async def reinstate(
    tx: AsyncConnection[Any], order: ReinstateOrder, original: Container, at: datetime, signer: Signer
) -> Issued:
    """Issue the licences back into the original, which no measure of the case then blocks. The caller holds the locks
    on it and on its holder."""
    key = order.key
    if original.kind is Kind.CLOUD:
        raise RefusalError(
            Code.NOTHING_TO_DECIDE, f"container {key.serial} is a cloud container, and those are never replaced"
        )
    if done := await issued(tx, key, full=True, reinstated=True):
        return done
    last = await _last(tx, key)
    if last is None:
        back = await _as_it_was(tx, order, original, at, signer)
    else:
        back = await _in_place_of(tx, order, last, original, at, signer)
    await offer(tx, key.vendor, original.holder, [original.serial, *([last.target] if last else [])], at)
    return back


async def _in_place_of(
    tx: AsyncConnection[Any], order: ReinstateOrder, last: Issued, original: Container, at: datetime, signer: Signer
) -> Issued:
    """The licences leave what replaced them, which is withdrawn by now."""
    key = order.key
    await lock_container(tx, key.vendor, last.target)
    if not (await _withdrawn(tx, key, last))[0]:
        raise RefusalError(Code.GENERATION_CONFLICT, f"the replacement in {last.target} is not withdrawn yet")
    await nobody_claims(tx, key, last)
    original = await _unblock(tx, order, original, at, moved=True)
    return await _put_back(tx, order, last, original, at, signer)


async def _put_back(
    tx: AsyncConnection[Any],
    order: ReinstateOrder,
    last: Issued | None,
    original: Container,
    at: datetime,
    signer: Signer,
) -> Issued:
    """The next generation of each licence, in the original."""
    again = IssueOrder(key=order.key, measures=(), full=True)
    licences = await lost_licences(tx, order.key)
    if last and last.target != original.serial:
        must_have_room(original, len(licences))
    await supersede(tx, again, licences, last, original, at, signer, reinstated=True)
    found = await issued(tx, order.key, full=True, reinstated=True)
    assert found is not None
    return found


async def _last(tx: AsyncConnection[Any], key: CaseKey) -> Issued | None:
    """What was last issued for the case."""
    return await issued(tx, key, full=True) or await issued(tx, key, full=False)


def _names(lost: Sequence[LostLicence]) -> list[Subject]:
    return [Subject(Aim.LICENCE, one.licence, one.generation) for one in lost]


def _subjects(last: Issued) -> list[Subject]:
    return [Subject(Aim.LICENCE, item.licence, item.generation) for item in last.licences]


async def _withdrawn(tx: AsyncConnection[Any], key: CaseKey, last: Issued) -> tuple[bool, datetime | None]:
    """Whether what was last issued is removed, and when that was ordered."""
    cursor = await tx.execute(
        f"select count(*) filter (where state = '{MeasureState.CONFIRMED}'), max(ordered) from backend.measures"
        f" where vendor = %s and case_id = %s and measure = %s and subject = any(%s) and {sql_blocks()}",
        (key.vendor, key.case, Measure.WITHDRAWAL, texts(_subjects(last))),
    )
    confirmed, ordered = cast(tuple[int, datetime | None], await cursor.fetchone())
    return confirmed == len(last.licences), ordered


async def _as_it_was(
    tx: AsyncConnection[Any], order: ReinstateOrder, original: Container, at: datetime, signer: Signer
) -> Issued:
    """Nothing was issued yet, so the licences are still there: only the measures go. Where one on a licence is
    confirmed, be it another case's, it stays, and the licences become ones of the next generation."""
    key = order.key
    original = await _unblock(tx, order, original, at, moved=False)
    lost = await lost_licences(tx, key)
    locked = f"{STANDING} where vendor = %s and subject = any(%s) and {sql_blocks()}"
    if await every(tx, Standing, locked, key.vendor, texts(_names(lost))):
        return await _put_back(tx, order, None, original, at, signer)
    licences = tuple(IssuedLicence(licence=one.licence, generation=one.generation) for one in lost)
    return Issued(at=at, target=original.serial, licences=licences)


async def _unblock(
    tx: AsyncConnection[Any], order: ReinstateOrder, original: Container, at: datetime, moved: bool
) -> Container:
    """Lift the case's measures. What was confirmed stays so, and the container becomes one of a new generation; so does
    one that was bound to another machine meanwhile, where the licences have `moved`."""
    key = order.key
    here = Subject(Aim.CONTAINER, key.serial, original.generation)
    must_be_free(key.serial, await _others(tx, key, original, moved), begun=True)
    standing = f"{STANDING} where vendor = %s and subject = %s and {sql_blocks()}"
    own = await every(tx, Standing, standing, key.vendor, str(here))
    lost = await tx.execute(
        "select generation from backend.cases where vendor = %s and case_id = %s", (key.vendor, key.case)
    )
    (claimed,) = await lost.fetchone() or (original.generation,)
    if not own and not (moved and claimed != original.generation):
        return original
    return await _raise_generation(tx, key, original, claimed, at)


async def _raise_generation(
    tx: AsyncConnection[Any], key: CaseKey, original: Container, claimed: int, at: datetime
) -> Container:
    """The container's next generation, bound to the machine that the lost one was bound to."""
    generation = next_generation(original.generation)
    await tx.execute(
        "insert into backend.activations select vendor, serial, %s, fingerprint, %s, %s from backend.activations"
        " where vendor = %s and serial = %s and generation = %s",
        (generation, key.case, at, key.vendor, key.serial, claimed),
    )
    await tx.execute(
        "update backend.containers c set generation = %s, fingerprint = coalesce((select fingerprint"
        " from backend.activations a where (a.vendor, a.serial, a.generation) = (c.vendor, c.serial, %s)), fingerprint)"
        " where vendor = %s and serial = %s",
        (generation, generation, key.vendor, key.serial),
    )
    reinstated = ContainerReinstated(serial=key.serial, generation=generation, case=key.case)
    await state(tx, key.vendor, key.serial, at, [reinstated])
    return await lock_container(tx, key.vendor, key.serial)


async def _lift(
    tx: AsyncConnection[Any], key: CaseKey, serial: Serial, at: datetime, which: str, value: str | Sequence[str]
) -> None:
    """Lift those measures of the case that are not confirmed; the caller holds the lock on their container."""
    lifted = await every(
        tx,
        Standing,
        f"update backend.measures set state = '{MeasureState.LIFTED}' where vendor = %s and case_id = %s"
        f" and {sql_open()} {which}"
        " returning case_id, measure, subject, serial, state",
        *(key.vendor, key.case, value if isinstance(value, str) else list(value)),
    )
    lifted.sort(key=lambda item: (str(item.subject), item.measure))
    await state(tx, key.vendor, serial, at, [MeasureLifted.model_validate(item.about()) for item in lifted])


async def flag(tx: AsyncConnection[Any], key: CaseKey, verdict: Verdict, at: datetime) -> None:
    """Keep that the verdict on a case speaks against its holder, the first time."""
    holder = await holder_of(tx, key)
    added = await changed(
        tx,
        "insert into backend.flags values (%s, %s, %s, %s, %s) on conflict do nothing",
        *(key.vendor, holder, key.case, verdict, at),
    )
    if added:
        flagged = HolderFlagged(holder=holder, serial=key.serial, case=key.case, verdict=verdict)
        await state(tx, key.vendor, key.serial, at, [flagged])
