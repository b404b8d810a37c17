"""Replacements: when one may be issued, withdrawn and put back into the original, and which licences it then is. Pure
functions of what is known under the locks."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from activities.licensing.containers import Container, Licence, LostLicence, has_room, must_have_room
from activities.licensing.lease_rules import expiry
from activities.licensing.measure_rules import Standing
from activities.licensing.release import Other, must_be_free
from events.backend_facts import LicenceIssued, LicenceSuperseded
from events.errors import Code, RefusalError
from events.measure_life import OPEN, blocks
from events.measure_subject import Subject
from events.ports.licensing_backend import CloseOrder, Issued, IssuedLicence, IssueOrder, NoTargetFound
from events.terms import (
    Aim,
    CaseId,
    HolderId,
    Kind,
    LicenceId,
    Measure,
    MeasureState,
    Outcome,
    Serial,
    Target,
    next_generation,
)

CONTAINERS: Final = (Target.EMPTY_CONTAINER, Target.OTHER_CONTAINER)
"""The targets that are another container of the holder."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a case looks for: a target for so many licences that were lost with the container `serial`."""

    target: Target
    holder: HolderId
    kind: Kind
    serial: Serial
    licences: int = 1


def may_take(container: Container, wanted: Wanted, *, blocked: bool, lost: bool) -> bool:
    """Whether a container may take a replacement: one of the same holder and kind that is empty, or has room where any
    other one will do; not while a measure aims at it, in effect or not, or an open case is about all of it."""
    fits = (container.holder, container.kind) == (wanted.holder, wanted.kind) and container.serial != wanted.serial
    empty = wanted.target is not Target.EMPTY_CONTAINER or not container.licences
    return fits and empty and has_room(container, wanted.licences) and not blocked and not lost


def preference(container: Container) -> tuple[bool, Serial]:
    """Of the containers that may take a replacement the one with the least of this does: rather one in use."""
    return container.licences == 0, container.serial


def may_issue(
    order: IssueOrder, overtaken: int | None, resets: Collection[CaseId], standing: Collection[Measure], at: datetime
) -> NoTargetFound | None:
    """Whether anything may be issued: None where it may. Not before the case has taken the message, numbered
    `overtaken`, that a wider loss was reported, or that a reset was rejected; nor while the `resets` that it took over
    are not closed, for one may have been rejected. Raises `RefusalError` before the measures of the order are
    `standing`."""
    if resets or (overtaken is not None and order.taken < overtaken):
        return NoTargetFound(at=at, tickets=(), overtaken=True)
    if missing := sorted(set(order.measures) - set(standing)):
        raise RefusalError(
            Code.NOT_BLOCKED,
            f"nothing may be issued for case {order.key.case} before {', '.join(missing)} is ordered",
            case=order.key.case,
            measures=", ".join(missing),
        )
    return None


def left_of(lost: Iterable[LostLicence]) -> list[LostLicence]:
    """Of the licences that a case claims those that are still to be issued: no contract of them has ended."""
    return [one for one in lost if not one.ended]


def all_ended(at: datetime) -> NoTargetFound:
    """The answer where nothing is left to issue."""
    return NoTargetFound(at=at, tickets=(), ended=True)


def no_target(lost: Iterable[LostLicence], at: datetime) -> NoTargetFound:
    """The answer where nothing can take the replacement yet: these tickets are owed."""
    return NoTargetFound(at=at, tickets=tuple(dict.fromkeys(item.ticket for item in lost)))


def must_take_the_full(stop_gap: Container, blocked: bool) -> None:
    """Refuse to follow a stop-gap whose container is blocked meanwhile."""
    if blocked:
        raise RefusalError(
            Code.BLOCKED,
            f"container {stop_gap.serial}, which holds the stop-gap, is blocked itself",
            serial=stop_gap.serial,
        )


def must_be_nobodys(claimed_by: CaseId | None) -> None:
    """Refuse where a replacement is another case's loss by now."""
    if claimed_by is not None:
        raise RefusalError(
            Code.REPLACEMENT_LOST, f"the replacement was reported lost too, in case {claimed_by}", case=claimed_by
        )


def end_of(order: IssueOrder, at: datetime) -> datetime | None:
    """When what is issued ends, if it is a stop-gap."""
    return at + timedelta(days=order.stop_gap_days) if order.stop_gap_days and not order.full else None


@dataclass(frozen=True, slots=True)
class Succession:
    """A licence at its next generation, in its new container, and the generation that this supersedes."""

    superseded: int
    licence: Licence


def successions(
    lost: Sequence[LostLicence],
    last: Issued | None,
    held: Mapping[LicenceId, Licence],
    source: Serial,
    target: Serial,
    at: datetime,
    ends: datetime | None = None,
) -> list[Succession]:
    """The next generation of each of these licences. They follow what was issued `last` for the case, or else what it
    claimed. `held` are the licences as they are. Raises `RefusalError` where one is no longer at that generation in the
    `source`: a generation is superseded once."""
    issued = {item.licence: item.generation for item in last.licences} if last else {}
    found = []
    for item in lost:
        generation, known = issued.get(item.licence, item.generation), held.get(item.licence)
        if known is None or (known.generation, known.serial) != (generation, source):
            raise RefusalError(
                Code.GENERATION_CONFLICT,
                f"licence {item.licence} is no longer at generation {generation} in {source}",
                licence=item.licence,
                generation=generation,
                serial=source,
            )
        new = replace(
            known,
            generation=next_generation(generation),
            serial=target,
            issued=at,
            expires=expiry(known.terms, at, ends),
            ends=ends,
            borrowed_until=None,
            lease_stage=None,
        )
        found.append(Succession(generation, new))
    return found


def stated_of(
    several: Iterable[Succession], source: Serial, target: Container, case: CaseId, files: Mapping[LicenceId, str]
) -> tuple[list[LicenceSuperseded], list[LicenceIssued]]:
    """What is stated of the container that the licences leave, and then of the one that holds them."""
    superseded, granted = [], []
    for one in several:
        licence = one.licence
        superseded.append(
            LicenceSuperseded(licence=licence.licence, generation=one.superseded, serial=source, case=case)
        )
        granted.append(licence.issued_fact(target.holder, case, files[licence.licence]))
    return superseded, granted


def answer_for(several: Iterable[Succession], target: Serial, at: datetime) -> Issued:
    """The answer when these were issued."""
    licences = (one.licence for one in several)
    return Issued(
        at=at,
        target=target,
        licences=tuple(IssuedLicence(licence=one.licence, generation=one.generation) for one in licences),
    )


def subjects_of(last: Issued) -> list[Subject]:
    """What an order to withdraw aims at: each licence that was last issued."""
    return [Subject(Aim.LICENCE, item.licence, item.generation) for item in last.licences]


def as_claimed(lost: Iterable[LostLicence]) -> list[Subject]:
    """The licences that a case claims, as measures aim at them."""
    return [Subject(Aim.LICENCE, item.licence, item.generation) for item in lost]


def withdrawals(last: Issued, measures: Iterable[Standing]) -> list[Standing]:
    """The orders of a case, among all its measures, to withdraw what was last issued, as far as they stand."""
    aimed = set(subjects_of(last))
    return [one for one in measures if one.measure is Measure.WITHDRAWAL and one.subject in aimed and blocks(one.state)]


def is_withdrawn(last: Issued, measures: Iterable[Standing]) -> bool:
    """Whether all that was last issued is removed, as its container says."""
    confirmed = [one for one in withdrawals(last, measures) if one.state is MeasureState.CONFIRMED]
    return len(confirmed) == len(last.licences)


def to_be_kept(last: Issued | None, measures: Iterable[Standing]) -> list[Standing]:
    """The orders that are lifted when a replacement is kept: those to withdraw it that are not confirmed, and none
    else of the case."""
    return [one for one in withdrawals(last, measures) if one.state in OPEN] if last else []


def must_be_withdrawable(
    case: CaseId,
    serial: Serial,
    last: Issued | None,
    measures: Iterable[Standing],
    others: Iterable[Other],
    at: datetime,
) -> Issued:
    """What was last issued, if it may be ordered back: not while others stand in the way, unless it is ordered already.
    Raises `RefusalError`."""
    if last is None:
        raise RefusalError(
            Code.NOTHING_TO_DECIDE, f"nothing was issued for case {case} that could be withdrawn", case=case
        )
    if not withdrawals(last, measures):
        must_be_free(serial, others, at, begun=False)
    return last


def may_release(original: Container, last: Issued | None, measures: Iterable[Standing]) -> bool:
    """Whether an un-loss lifts the measures of its case by now. Reinstating is refused where it does not."""
    return original.kind is not Kind.CLOUD and (last is None or is_withdrawn(last, measures))


def is_reinstated(outcome: Outcome | None, last: Issued | None, back: Issued | None) -> bool:
    """Whether a case that ended so put its original back; `back` is what was issued into it again, in place of what was
    issued `last`."""
    return outcome is Outcome.FOUND and (last is None or back is not None)


def to_be_ordered_again(
    order: CloseOrder, reinstated: bool, issued: Iterable[Issued], measures: Iterable[Standing]
) -> list[Standing]:
    """The measures on what was lost that an un-loss has lifted, and that stand again because the case ends with another
    verdict: the original is locked or retired, whatever other cases of the container do. `issued` is all that was
    issued for the case."""
    if order.lift or reinstated or order.outcome is None:
        return []
    own = {aimed for one in issued for aimed in subjects_of(one)}
    return [one for one in measures if one.state is MeasureState.LIFTED and one.subject not in own]


@dataclass(frozen=True, slots=True)
class Reinstatement:
    """How a found original holds the licences again: at a generation of its own that is `raised`, and with the next
    generation of each licence, or with the licences `as_they_are`."""

    raised: bool
    as_they_are: bool


def reinstatement(
    original: Container,
    claimed: int,
    last: Issued | None,
    measures: Sequence[Standing],
    others: Iterable[Other],
    licences: int,
    at: datetime,
    *,
    lost_to: CaseId | None,
    blocked: bool,
    locked: bool,
) -> Reinstatement:
    """How the licences of a case return to the original, of which the case `claimed` a generation. So many `licences`
    are to return: the contracts of the others have ended, and they stay where they are. `last` was issued for the case,
    whose `measures` are given; `others` are the cases in the way, and `lost_to` is one that lost what was issued.
    `blocked`: a measure stands on the original; `locked`: one stands on a licence that is still in it. What was
    confirmed stays so, which takes a new generation; so does an original that was bound to another machine meanwhile.
    Raises `RefusalError`."""
    if original.kind is Kind.CLOUD:
        raise RefusalError(
            Code.NOTHING_TO_DECIDE,
            f"container {original.serial} is a cloud container, and those are never replaced",
            serial=original.serial,
        )
    if last is not None and not is_withdrawn(last, measures):
        raise RefusalError(
            Code.GENERATION_CONFLICT, f"the replacement in {last.target} is not withdrawn yet", serial=last.target
        )
    must_be_nobodys(lost_to)
    must_be_free(original.serial, others, at, begun=True)
    if last is not None and not licences:
        raise RefusalError(
            Code.LICENCE_ENDED,
            f"the contracts of all licences that {original.serial} would hold again have ended; retire the original",
            serial=original.serial,
        )
    if last is not None and last.target != original.serial:
        must_have_room(original, licences)
    return Reinstatement(
        raised=blocked or (last is not None and original.generation != claimed),
        as_they_are=last is None and not locked,
    )
