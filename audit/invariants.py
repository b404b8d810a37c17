"""The nine invariants of the domain, judged from the log alone. Pure; `docs/audit.md` says what each check can show.

1 one effective generation of a licence · 2 blocked before replaced · 3 one loss is one case · 4 only the holder
5 no approval without who may give it · 6 no recovery beyond the quota without goodwill · 7 every measure ends
8 nothing is deleted · 9 nothing crosses vendors
"""

from collections.abc import Iterable
from datetime import datetime

from audit.blocking import blocked_first, measures_end
from audit.breach import Breach
from audit.case_story import CaseStory
from audit.generations import effective, nothing_after_the_end
from audit.log_index import Ledger
from audit.losses import one_case, to_the_holder
from audit.record import nothing_deleted, own_vendor
from audit.recoveries import within_quota
from events.envelope import Recorded


def check(facts: Iterable[Recorded]) -> list[Breach]:
    """The breaches that these facts show, in whatever order their streams are interleaved."""
    ledger = Ledger()
    for fact in facts:
        ledger.take(fact)
    return judge(ledger)


def judge(ledger: Ledger, until: datetime | None = None) -> list[Breach]:
    """The breaches in what was collected; those that can only be told since a time after `until` are left out."""
    stories = {name: CaseStory(ledger, name) for name in ledger.cases}
    found = [breach for story in stories.values() for breach in story.breaches]
    for judgement in (
        effective(ledger),
        nothing_after_the_end(ledger),
        blocked_first(ledger, stories),
        one_case(ledger, stories),
        to_the_holder(ledger, stories),
        within_quota(ledger, stories),
        measures_end(ledger, stories),
        nothing_deleted(ledger),
        own_vendor(ledger, stories),
    ):
        found += judgement
    kept = {breach for breach in found if until is None or breach.since <= until}
    return sorted(kept, key=lambda one: (one.invariant, one.vendor, one.stream, one.sequence, one.sentence))
