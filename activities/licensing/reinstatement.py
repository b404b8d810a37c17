"""Un-loss: the replacement is withdrawn, then the original holds the licences again; in the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from psycopg import AsyncConnection

from activities.licensing.claims import claimed_by, holder_of
from activities.licensing.containers import Container
from activities.licensing.issuance import Signer, claimed_generation, issued, supersede
from activities.licensing.leases import resume
from activities.licensing.measure_rules import Standing
from activities.licensing.measures import STANDING, advance, texts
from activities.licensing.messages import post_to_each
from activities.licensing.outbox import state
from activities.licensing.records import changed, every, lock_container, lost_licences
from activities.licensing.release import Other, Release, must_be_free, taken_along
from activities.licensing.replacement import (
    as_claimed,
    is_reinstated,
    is_withdrawn,
    left_of,
    may_release,
    must_be_nobodys,
    must_be_withdrawable,
    reinstatement,
    subjects_of,
    to_be_kept,
    to_be_ordered_again,
)
from activities.licensing.targets import offer
from events.backend_facts import ContainerReinstated, HolderFlagged, MeasureLifted, MeasureOrdered
from events.measure_life import FIRST, OPEN, sql_blocks
from events.measure_subject import Subject
from events.ports.licensing_backend import (
    CaseKey,
    CloseOrder,
    Done,
    Issued,
    IssuedLicence,
    IssueOrder,
    ReinstateOrder,
    Withdrawal,
)
from events.ports.loss_cases import Offer
from events.terms import Aim, Kind, Measure, MeasureState, Serial, Verdict, next_generation


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
    last, measures = await _last(tx, key), await _measures(tx, key)
    if not may_release(original, last, measures):
        return
    if last:
        must_be_nobodys(await claimed_by(tx, key, last))
    else:
        must_be_free(key.serial, await _others(tx, key, original, moved=False), at, begun=False)
    await _lift(tx, key, key.serial, [one for one in measures if one.serial == key.serial and one.state in OPEN], at)
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
    stay as they are in it; where they have, those of which a replacement would be taken along to another machine."""
    lost = [] if moved else await lost_licences(tx, key)
    cursor = await tx.execute(
        "select distinct m.case_id, c.release, c.closed is not null"
        " from backend.measures m join backend.cases c using (vendor, case_id)"
        f" where m.vendor = %s and m.case_id <> %s and m.subject = any(%s) and {sql_blocks('m.state')}",
        (key.vendor, key.case, texts([Subject(Aim.CONTAINER, key.serial, original.generation), *as_claimed(lost)])),
    )
    standing = [Other(case, Release(how) if how else None, over) for case, how, over in await cursor.fetchall()]
    along = await _taken_along(tx, key) if moved and original.kind is Kind.ACT else []
    return list(dict.fromkeys([*standing, *along]))


async def _taken_along(tx: AsyncConnection[Any], key: CaseKey) -> list[Other]:
    """The other cases of which a replacement would go where the original of this one was."""
    cursor = await tx.execute(
        "select distinct i.case_id, c.release, c.closed is not null, i.container_generation"
        " from backend.licences l"
        " join backend.issues i on (i.vendor, i.licence, i.generation) = (l.vendor, l.licence, l.generation)"
        " join backend.cases c on (c.vendor, c.case_id) = (i.vendor, i.case_id)"
        " where l.vendor = %s and l.serial = %s and i.serial = l.serial and i.case_id <> %s",
        (key.vendor, key.serial, key.case),
    )
    replaced = [
        (Other(case, Release(how) if how else None, over), generation)
        for case, how, over, generation in await cursor.fetchall()
    ]
    if not replaced:
        return []
    cursor = await tx.execute(
        "select generation, fingerprint from backend.activations where vendor = %s and serial = %s",
        (key.vendor, key.serial),
    )
    machines = cast(list[tuple[int, dict[str, str]]], await cursor.fetchall())
    return taken_along(await claimed_generation(tx, key), replaced, dict(machines))


async def withdraw(tx: AsyncConnection[Any], key: CaseKey, original: Container, at: datetime) -> Withdrawal:
    """Order what was last issued for the case to be withdrawn from the container that holds it; nothing once the case
    is over."""
    last = must_be_withdrawable(
        *(key.case, key.serial, await _last(tx, key), await _measures(tx, key)),
        await _others(tx, key, original, moved=True),
        at,
    )
    target = await lock_container(tx, key.vendor, last.target)
    cursor = await tx.execute(
        "insert into backend.measures"
        " (vendor, case_id, measure, serial, ordered, subject, effective, container_generation)"
        " select c.vendor, c.case_id, %s, %s, %s, a.subject, %s, %s"
        " from backend.cases c, unnest(%s::text[]) as a(subject)"
        " where c.vendor = %s and c.case_id = %s and c.closed is null on conflict (vendor, case_id, measure, subject)"
        " do update set state = excluded.state, ordered = excluded.ordered, effective = excluded.effective,"
        " container_generation = excluded.container_generation"
        f" where not {sql_blocks('measures.state')} returning subject",
        (
            *(Measure.WITHDRAWAL, last.target, at, at, target.generation, texts(subjects_of(last))),
            *(key.vendor, key.case),
        ),
    )
    added = {Subject.parse(name) for (name,) in await cursor.fetchall()}
    fields = {"case": key.case, "measure": Measure.WITHDRAWAL, "serial": last.target, "effective": at}
    facts = [MeasureOrdered.model_validate({**fields, "subject": name}) for name in subjects_of(last) if name in added]
    await state(tx, key.vendor, last.target, at, facts)
    cursor = await tx.execute(
        f"select max(ordered) from backend.measures where vendor = %s and case_id = %s and measure = %s"
        f" and subject = any(%s) and {sql_blocks()}",
        (key.vendor, key.case, Measure.WITHDRAWAL, texts(subjects_of(last))),
    )
    (ordered,) = cast(tuple[datetime | None], await cursor.fetchone())
    return Withdrawal(at=ordered or at, confirmed=is_withdrawn(last, await _measures(tx, key)))


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
        await _lift(tx, key, last.target, to_be_kept(last, await _measures(tx, key)), at)


async def stand_again(tx: AsyncConnection[Any], order: CloseOrder, at: datetime) -> bool:
    """Order the measures again that an un-loss lifted, where its case does not reinstate the original; whether what it
    lifted stays so."""
    key = order.key
    cursor = await tx.execute(
        "select release from backend.cases where vendor = %s and case_id = %s", (key.vendor, key.case)
    )
    (how,) = cast(tuple[str | None], await cursor.fetchone())
    if how != Release.LIFTED or order.lift:
        return order.lift
    several = [one for full in (False, True) if (one := await issued(tx, key, full=full))]
    back = await issued(tx, key, full=True, reinstated=True)
    reinstated = is_reinstated(order.outcome, several[-1] if several else None, back)
    again = to_be_ordered_again(order, reinstated, several, await _measures(tx, key))
    await tx.execute(
        "update backend.measures m set state = %s, ordered = %s, effective = %s"
        " from unnest(%s::text[], %s::text[]) as a(measure, subject)"
        " where m.vendor = %s and m.case_id = %s and (m.measure, m.subject) = (a.measure, a.subject)",
        (
            *(FIRST, at, at, [one.measure for one in again], texts(one.subject for one in again)),
            *(key.vendor, key.case),
        ),
    )
    again.sort(key=lambda item: (str(item.subject), item.measure))
    facts = [MeasureOrdered.model_validate({**one.about(), "effective": at}) for one in again]
    await state(tx, key.vendor, key.serial, at, facts)
    return reinstated


async def reinstate(
    tx: AsyncConnection[Any], order: ReinstateOrder, original: Container, at: datetime, signer: Signer
) -> Issued:
    """Issue the licences back into the original, which no measure of the case then blocks. The caller holds the locks
    on it and on its holder."""
    key = order.key
    if done := await issued(tx, key, full=True, reinstated=True):
        return done
    last, lost = await _last(tx, key), await lost_licences(tx, key)
    if last:
        await lock_container(tx, key.vendor, last.target)
    claimed = await claimed_generation(tx, key)
    how = reinstatement(
        *(original, claimed, last, await _measures(tx, key)),
        *(await _others(tx, key, original, moved=last is not None), len(left_of(lost)), at),
        lost_to=await claimed_by(tx, key, last) if last else None,
        blocked=await _stands(tx, key, [Subject(Aim.CONTAINER, key.serial, original.generation)]),
        locked=last is None and await _stands(tx, key, as_claimed(lost)),
    )
    if how.raised:
        original = await _raise_generation(tx, key, original, claimed, at)
    if how.as_they_are:
        licences = tuple(IssuedLicence(licence=one.licence, generation=one.generation) for one in lost)
        back = Issued(at=at, target=original.serial, licences=licences)
    else:
        again = IssueOrder(key=key, measures=(), full=True)
        back = await supersede(tx, again, left_of(lost), last, original, at, signer, reinstated=True)
    await offer(tx, key.vendor, original.holder, [original.serial, *([last.target] if last else [])], at)
    return back


async def _last(tx: AsyncConnection[Any], key: CaseKey) -> Issued | None:
    """What was last issued for the case."""
    return await issued(tx, key, full=True) or await issued(tx, key, full=False)


async def _measures(tx: AsyncConnection[Any], key: CaseKey) -> list[Standing]:
    """All measures of the case."""
    return await every(tx, Standing, f"{STANDING} where vendor = %s and case_id = %s", key.vendor, key.case)


async def _stands(tx: AsyncConnection[Any], key: CaseKey, subjects: Sequence[Subject]) -> bool:
    """Whether a measure of any case stands on one of these."""
    standing = f"{STANDING} where vendor = %s and subject = any(%s) and {sql_blocks()} limit 1"
    return bool(await every(tx, Standing, standing, key.vendor, texts(subjects)))


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
    await resume(tx, key.vendor, key.serial)
    reinstated = ContainerReinstated(serial=key.serial, generation=generation, case=key.case)
    await state(tx, key.vendor, key.serial, at, [reinstated])
    return await lock_container(tx, key.vendor, key.serial)


async def _lift(
    tx: AsyncConnection[Any], key: CaseKey, serial: Serial, measures: Sequence[Standing], at: datetime
) -> None:
    """Lift these measures of the case; the caller holds the lock on their container."""
    await advance(tx, key.vendor, dict.fromkeys(measures, MeasureState.LIFTED))
    if measures:
        await resume(tx, key.vendor, serial)
    lifted = sorted(measures, key=lambda item: (str(item.subject), item.measure))
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
