"""Invariants 2 and 7: measures stand before a replacement is issued, and every one ends."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from audit.breach import ALWAYS, Breach, breach
from audit.case_story import CaseStory, Decided
from audit.log_index import CaseName, Ledger, Place
from events.backend_facts import MeasureConfirmed, MeasureFact, MeasureLifted, MeasureOrdered, MeasureUnconfirmable
from events.case_facts import CaseDecided, LossReported
from events.measure_subject import Subject
from events.terms import Aim, Decision
from workflows.policy import Policy, Rule, loss_of

ENDED = (MeasureConfirmed, MeasureUnconfirmable, MeasureLifted)


def blocked_first(ledger: Ledger, stories: dict[CaseName, CaseStory]) -> Iterator[Breach]:
    """2: when something is issued for a case, the measures of its policy stand."""
    granted = [
        (name, one.place, f"licence {licence} generation {generation}")
        for name, issues in ledger.issues_by_case.items()
        for licence, generation, one in issues
    ]
    granted += [
        ((one.place.vendor, one.case), one.place, f"access data {one.generation} of {one.serial}")
        for one in ledger.offers
    ]
    asked: dict[tuple[CaseName, int], _Asked | None] = {}
    for name, place, what in granted:
        story = stories.get(name)
        if story is None or story.report is None:
            continue  # 9 says so
        found = story.decided_by(place.recorded)
        if found is None:
            yield breach(2, place, story.about, f"{what} was issued before policy decided")
            continue
        at, decided = found
        approved = any(approval.sequence > at.sequence for approval in story.approved)
        if decided.decision is not Decision.AUTOMATIC and not approved:
            yield breach(5, place, story.about, f"{what} was issued though nobody approved it")
        if (name, at.sequence) not in asked:
            policy = ledger.policy(name[0], decided.policy_version)
            asked[name, at.sequence] = _Asked(ledger, story, found, policy) if policy else None  # 8 says so
        measures = asked[name, at.sequence]
        for measure, aimed in measures.missing(place.recorded) if measures else ():
            yield breach(2, place, story.about, f"{what} was issued before {measure} of {aimed} was ordered")


Span = tuple[datetime | None, datetime | None]
"""When a measure was first ordered, and when it was first lifted; None: never."""


class _Asked:
    """The measures that policy asked for in one decision of a case, and from when to when they stood. Much may have
    been issued for a case, so that the measures are gone through once and not for each licence."""

    def __init__(self, ledger: Ledger, story: CaseStory, decided: Decided, policy: Policy) -> None:
        assert story.report is not None
        rule = story.rule_of(policy, decided)
        self._spans = _spans(ledger, story, rule, story.report, decided[1])
        self._counts_lifting = not story.reinstates  # reinstating the original lifts its measures
        ordered = [start for start, _ in self._spans.values()]
        lifted = [end for _, end in self._spans.values() if end is not None]
        self._all_ordered = None if None in ordered else max((at for at in ordered if at), default=ALWAYS)
        self._first_lifted = min(lifted, default=None)

    def missing(self, at: datetime) -> Iterator[tuple[str, str]]:
        """The measures that did not stand at an instant, each with what it aims at."""
        lifted = self._counts_lifting and self._first_lifted is not None and self._first_lifted < at
        if self._all_ordered is not None and self._all_ordered <= at and not lifted:
            return
        for name, (start, end) in self._spans.items():
            if start is None or start > at or (self._counts_lifting and end is not None and end < at):
                yield name


def _spans(
    ledger: Ledger, story: CaseStory, rule: Rule, report: LossReported, decided: CaseDecided
) -> dict[tuple[str, str], Span]:
    """Each measure that a rule asks for, by its name and what it aims at, the latter without its generation where that
    is not in the case."""
    loss = loss_of(report)
    aim = loss.aim(report.scope)
    by_licence = aim is Aim.LICENCE
    aims = [f"{aim}/{report.serial}"]
    if by_licence:
        aims = [str(Subject(aim, item.licence, item.generation)) for item in decided.facts.licences]
    spans: dict[tuple[str, str], Span] = {
        (item.measure, aimed): (None, None) for item in rule.measures_for(loss) for aimed in aims
    }
    for at, fact in ledger.measures.get((story.vendor, story.case), ()):
        name = (fact.measure, str(fact.subject) if by_licence else str(fact.subject).rpartition("/")[0])
        if name not in spans:
            continue
        start, end = spans[name]
        if isinstance(fact, MeasureOrdered):
            start = min(start or at.recorded, at.recorded)
        elif isinstance(fact, MeasureLifted):
            end = min(end or at.recorded, at.recorded)
        spans[name] = (start, end)
    return spans


def measures_end(ledger: Ledger, stories: dict[CaseName, CaseStory]) -> Iterator[Breach]:
    """7: the measures of a case that is over have ended, and none was lifted once it was confirmed."""
    for name, facts in ledger.measures.items():
        by_measure: dict[tuple[str, str, str], list[tuple[Place, MeasureFact]]] = defaultdict(list)
        for place, fact in facts:
            by_measure[fact.measure, str(fact.subject), fact.serial].append((place, fact))
        closed = stories[name].closed if name in stories else None
        for (measure, aimed, _), own in by_measure.items():
            own.sort(key=lambda one: one[0].sequence)
            about, what = f"case {name[1]}", f"{measure} of {aimed}"
            first, fact = own[0]
            if not isinstance(fact, MeasureOrdered):
                yield breach(7, first, about, f"{what} was never ordered, but {fact.name.removeprefix('measure.')}")
            confirmed = ended = False
            for place, fact in own:
                confirmed = (confirmed or isinstance(fact, MeasureConfirmed)) and not isinstance(fact, MeasureOrdered)
                ended = (ended or isinstance(fact, ENDED)) and not isinstance(fact, MeasureOrdered)
                if confirmed and isinstance(fact, MeasureLifted):
                    yield breach(7, place, about, f"{what} was lifted once it was confirmed")
            if closed and not ended:
                sentence = f"{what} has not ended, though the case is closed"
                yield breach(7, first, about, sentence, closed.recorded)
