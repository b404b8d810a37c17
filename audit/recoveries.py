"""Invariant 6: no more is recovered than quotas allow."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from audit.breach import Breach, breach
from audit.case_story import CaseStory
from audit.log_index import AT_ONCE, CaseName, Ledger, Place
from events.backend_facts import RecoveryReserved
from events.terms import CaseId, PotName, QuotaSubject, Reason, VendorId


def within_quota(ledger: Ledger, stories: dict[CaseName, CaseStory]) -> Iterator[Breach]:
    """6: what quotas set aside stays within them, each pot by itself, every quota of a loss has set one aside, and no
    more is said to be."""
    by_subject: dict[tuple[VendorId, PotName, str], list[tuple[Place, RecoveryReserved]]] = defaultdict(list)
    holds: dict[CaseName, set[tuple[PotName, str]]] = defaultdict(set)
    for place, fact in ledger.reserved:
        if fact.ordinal > fact.limit and fact.part == 1:
            sentence = f"recovery {fact.ordinal} of {fact.limit} was set aside"
            yield breach(6, place, f"case {fact.case}", sentence)
        for name in fact.subjects:
            holds[place.vendor, fact.case].add((fact.pot, name))
            by_subject[place.vendor, fact.pot, name].append((place, fact))
    for story in stories.values():
        held_by_case = holds.get((story.vendor, story.case), set())
        for place, decided in story.decided:
            if decided.ordinal is not None and not held_by_case:
                sentence = f"recovery {decided.ordinal} of {decided.limit} was never set aside"
                yield breach(6, place, story.about, sentence)
        if held_by_case and story.decided[-1:] and story.decided[-1][1].ordinal is not None:
            yield from _counted(story, held_by_case)
    for (vendor, pot, name), reserved in by_subject.items():
        held: dict[CaseId, datetime] = {}
        for place, fact in sorted(reserved, key=lambda one: one[0].recorded):
            holder = stories.get((vendor, fact.case))
            quotas = holder.limited() if holder and not fact.term_days else []
            term_days = fact.term_days or (quotas[0][0].term_days if quotas else None)
            if holder is None or holder.report is None or term_days is None:
                continue
            held = {case: at for case, at in held.items() if not _freed(ledger, (vendor, case), place.recorded)}
            held[fact.case] = holder.report.received
            most = _most_around(holder.report.received, list(held.values()), timedelta(days=term_days))
            if most > fact.limit:
                where = f"in the pot {pot} in a term of {term_days} days"
                sentence = f"{most} recoveries of {name} were set aside {where}"
                yield breach(6, place, holder.about, f"{sentence}, and {fact.limit} is the limit")


def _counted(story: CaseStory, held: set[tuple[PotName, str]]) -> Iterator[Breach]:
    """6: a case that was granted a recovery counts in the quota of every rule that it is under."""
    assert story.report is not None
    place, decided = story.decided[-1]
    facts = decided.facts
    usual = PotName("same_hardware" if story.report.reason is Reason.SAME_HARDWARE else "recoveries")
    for quota, licences in story.limited():
        match quota.per:
            case QuotaSubject.HOLDER:
                names = {f"holder/{facts.holder}"}
            case QuotaSubject.CONTAINER:
                names = {f"container/{facts.serial}"}
            case QuotaSubject.LICENCE:
                names = {f"licence/{item.licence}" for item in licences}
            case QuotaSubject.PRODUCT:
                names = {f"product/{item.product}" for item in licences}
        pot = quota.pot or usual
        missing = sorted(name for name in names if (pot, name) not in held)
        if missing:
            yield breach(6, place, story.about, f"it does not count for {missing[0]} in the pot {pot}")


def _freed(ledger: Ledger, name: CaseName, at: datetime) -> bool:
    place = ledger.freed.get(name)
    return place is not None and place.recorded <= at + AT_ONCE


def _most_around(at: datetime, instants: list[datetime], term: timedelta) -> int:
    """How many of these instants at most fall into one rolling term in which `at` is, too."""
    near = sorted(one for one in instants if abs(one - at) < term)
    return max(bisect_left(near, start + term) - place for place, start in enumerate(near) if start <= at)
