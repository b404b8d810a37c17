"""Which recoveries of its quotas a case gets: pure functions of those that are set aside."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from events.backend_facts import RecoveryReserved
from events.case_facts import QuotaAnswer
from events.ports.licensing_backend import QuotaOrder, Reservation, ReserveOrder
from events.sizes import LIST_PART, in_parts
from events.terms import CaseId, PotName

UNKNOWN_TERM = 0
"""The term of what was set aside before terms were kept."""

Ordinals = Mapping[str, int]
"""The ordinal of a case's recovery for each subject of a quota."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """A recovery that a quota of this term has set aside for a case and a subject, and that is not freed. In a pot it
    is the case's one recovery for the subject, whatever quotas have asked for it."""

    case: CaseId
    pot: PotName
    subject: str
    term_days: int
    ordinal: int
    received: datetime


@dataclass(frozen=True, slots=True)
class Allotment:
    """What the order of a case comes to: the recoveries that are to be set aside, what is stated, and the answer."""

    recoveries: tuple[Recovery, ...]
    facts: tuple[RecoveryReserved, ...]
    answer: Reservation


def allot(order: ReserveOrder, known: Iterable[Recovery], at: datetime) -> Allotment:
    """One recovery of each quota for each of its subjects, or nothing at all where one of them has none left.

    `known` are all recoveries of other cases for these subjects in these pots.
    """
    recoveries = tuple(known)
    quotas = [(quota, _ordinals(quota, order.received, recoveries)) for quota in order.quotas]
    if any(ordinals is None for _, ordinals in quotas):
        answers = [QuotaAnswer(ordinal=None, limit=quota.limit, used_up=ordinals is None) for quota, ordinals in quotas]
        return Allotment((), (), Reservation.of(at, answers))
    allotted = [(quota, ordinals) for quota, ordinals in quotas if ordinals is not None]
    made = {
        (quota.pot, subject, quota.term_days): Recovery(
            order.key.case, quota.pot, subject, quota.term_days, ordinal, order.received
        )
        for quota, ordinals in allotted
        for subject, ordinal in ordinals.items()
    }
    facts = [fact for quota, ordinals in dict(allotted).items() for fact in _stated(order, quota, ordinals)]
    return Allotment(tuple(made.values()), tuple(facts), _answer(at, allotted))


def allotted_before(order: ReserveOrder, own: Iterable[Recovery], at: datetime) -> Reservation | None:
    """The answer to a case that has had its recoveries set aside `at` this instant, for what it orders now; None where
    it has none."""
    recoveries = tuple(own)
    if not recoveries:
        return None
    return _answer(at, [(quota, _kept(quota, recoveries)) for quota in order.quotas])


def _kept(quota: QuotaOrder, own: Iterable[Recovery]) -> Ordinals:
    """What was set aside in a quota, or, where only another one was asked then, all that the case has."""
    recoveries, terms = list(own), (quota.term_days, UNKNOWN_TERM)
    kept = [
        one for one in recoveries if one.pot == quota.pot and one.subject in quota.subjects and one.term_days in terms
    ]
    return {one.subject: one.ordinal for one in kept or recoveries}


def _answer(at: datetime, allotted: Iterable[tuple[QuotaOrder, Ordinals]]) -> Reservation:
    """Of several subjects the highest ordinal, which is the nearest to the limit."""
    answers = [QuotaAnswer(ordinal=max(ordinals.values()), limit=quota.limit) for quota, ordinals in allotted]
    return Reservation.of(at, answers)


def _ordinals(quota: QuotaOrder, received: datetime, known: Iterable[Recovery]) -> dict[str, int] | None:
    """The ordinal of a recovery for each subject of a quota, or None where one of them has no recovery left.

    A recovery received at T counts against a report received at t when |t - T| < term, so no term of that length holds
    more than the limit, in whatever order reports arrive. It counts once, also where several quotas set it aside.
    """
    term = timedelta(days=quota.term_days)
    counted: dict[str, dict[CaseId, int]] = {subject: {} for subject in quota.subjects}
    for one in known:
        if one.pot != quota.pot or one.subject not in counted or abs(one.received - received) >= term:
            continue
        of_cases = counted[one.subject]
        if one.case not in of_cases or one.term_days == quota.term_days:
            of_cases[one.case] = one.ordinal
    if any(len(of_cases) >= quota.limit for of_cases in counted.values()):
        return None
    return {subject: _lowest_free(list(of_cases.values())) for subject, of_cases in counted.items()}


def _lowest_free(ordinals: list[int]) -> int:
    """The lowest ordinal that none of them is; at most one more than there are."""
    return next(number for number in range(1, len(ordinals) + 2) if number not in ordinals)


def _stated(order: ReserveOrder, quota: QuotaOrder, ordinals: Ordinals) -> list[RecoveryReserved]:
    """What is stated of a quota: of several subjects' ordinals the highest."""
    return [
        RecoveryReserved(
            case=order.key.case,
            serial=order.key.serial,
            subjects=subjects,
            ordinal=max(ordinals.values()),
            limit=quota.limit,
            pot=quota.pot,
            term_days=quota.term_days,
            part=part,
            parts=parts,
        )
        for part, parts, subjects in in_parts(quota.subjects, LIST_PART)
    ]
