"""Invariant 6: no more is recovered than quotas allow."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from audit.breach import Breach, breach
from audit.case_story import CaseStory
from audit.log_index import CaseName, Ledger, Place
from events.backend_facts import RecoveryReserved
from events.terms import CaseId, PotName, VendorId


def within_quota(ledger: Ledger, stories: dict[CaseName, CaseStory]) -> Iterator[Breach]:
    """6: what quotas set aside stays within them, each pot by itself, and no more is said to be set aside."""
    by_subject: dict[tuple[VendorId, PotName, str], list[tuple[Place, RecoveryReserved]]] = defaultdict(list)
    holds = set()
    for place, fact in ledger.reserved:
        holds.add((place.vendor, fact.case))
        if fact.ordinal > fact.limit and fact.part == 1:
            sentence = f"recovery {fact.ordinal} of {fact.limit} was set aside"
            yield breach(6, place, f"case {fact.case}", sentence)
        for name in fact.subjects:
            by_subject[place.vendor, fact.pot, name].append((place, fact))
    for story in stories.values():
        for place, decided in story.decided:
            if decided.ordinal is not None and (story.vendor, story.case) not in holds:
                sentence = f"recovery {decided.ordinal} of {decided.limit} was never set aside"
                yield breach(6, place, story.about, sentence)
    for (vendor, pot, name), reserved in by_subject.items():
        held: list[tuple[datetime, CaseId]] = []
        for place, fact in sorted(reserved, key=lambda one: one[0].recorded):
            holder = stories.get((vendor, fact.case))
            rule = holder.rule() if holder else None
            term_days = fact.term_days or (rule.quota.term_days if rule and rule.quota else None)
            if holder is None or holder.report is None or term_days is None:
                continue
            held = [one for one in held if not _freed(ledger, (vendor, one[1]), place.recorded)]
            held.append((holder.report.received, fact.case))
            most = _most_around(holder.report.received, [at for at, _ in held], timedelta(days=term_days))
            if most > fact.limit:
                where = f"in the pot {pot} in a term of {term_days} days"
                sentence = f"{most} recoveries of {name} were set aside {where}"
                yield breach(6, place, holder.about, f"{sentence}, and {fact.limit} is the limit")


def _freed(ledger: Ledger, name: CaseName, at: datetime) -> bool:
    place = ledger.freed.get(name)
    return place is not None and place.recorded <= at


def _most_around(at: datetime, instants: list[datetime], term: timedelta) -> int:
    """How many of these instants at most fall into one rolling term in which `at` is, too."""
    near = sorted(one for one in instants if abs(one - at) < term)
    return max(bisect_left(near, start + term) - place for place, start in enumerate(near) if start <= at)
