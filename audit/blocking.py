"""Invariants 2 and 7: measures stand before a replacement is issued, and every one ends."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from audit.breach import Breach, breach
from audit.case_story import CaseStory, Decided
from audit.log_index import CaseName, Ledger, Place
from events.backend_facts import MeasureConfirmed, MeasureFact, MeasureLifted, MeasureOrdered, MeasureUnconfirmable
from events.case_facts import CaseDecided, LossReported
from events.measure_subject import Subject
from events.terms import Aim, LicenceId
from workflows.policy import Policy, Rule, loss_of

ENDED = (MeasureConfirmed, MeasureUnconfirmable, MeasureLifted)


def blocked_first(ledger: Ledger, stories: dict[CaseName, CaseStory]) -> Iterator[Breach]:
    """2: when something is issued for a case, the measures of its policy stand. The generation before is superseded in
    the stream of what is lost, where they are ordered: the order of that stream says which was first."""
    granted = [
        (
            name,
            one.place,
            _superseded(ledger, name, licence, generation) or one.place,
            f"licence {licence} generation {generation}",
        )
        for name, issues in ledger.issues_by_case.items()
        for licence, generation, one in issues
    ]
    granted += [
        ((one.place.vendor, one.case), one.place, one.place, f"access data {one.generation} of {one.serial}")
        for one in ledger.offers
    ]
    asked: dict[tuple[CaseName, int], _Asked | None] = {}
    for name, place, mark, what in granted:
        story = stories.get(name)
        if story is None or story.report is None:
            continue  # 9 says so
        found = story.decided_by(place)
        if not found:
            yield breach(2, place, story.about, f"{what} was issued before policy decided")
            continue
        if all(story.is_unapproved(one) for one in found):
            yield breach(5, place, story.about, f"{what} was issued though nobody approved it")
        for one in found:
            if (name, one[0].sequence) not in asked:
                policy = ledger.policy(name[0], one[1].policy_version)
                asked[name, one[0].sequence] = _Asked(ledger, story, one, policy) if policy else None  # 8 says so
        several = [asked[name, at.sequence] for at, _ in found]
        missing = [list(one.missing(mark)) if one else [] for one in several]
        for measure, aimed in missing[0] if all(missing) else ():
            yield breach(2, place, story.about, f"{what} was issued before {measure} of {aimed} was ordered")


def _superseded(ledger: Ledger, name: CaseName, licence: LicenceId, generation: int) -> Place | None:
    """Where the generation before was superseded by a case, if the log has that."""
    ends = ledger.superseded.get((name[0], licence), {}).get(generation - 1, ())
    return next((end.place for end in ends if end.case == name[1]), None)


Span = tuple[Place | None, Place | None]
"""Where a measure was first ordered, and where it was first lifted; None: never."""


class _Asked:
    """The measures that policy asked for in one decision of a case, and from when to when they stood. Much may have
    been issued for a case, so that the measures are gone through once and not for each licence."""

    def __init__(self, ledger: Ledger, story: CaseStory, decided: Decided, policy: Policy) -> None:
        assert story.report is not None
        rule = story.rule_of(policy, decided)
        self._spans = _spans(ledger, story, rule, story.report, decided[1])
        self._counts_lifting = not story.reinstates  # reinstating the original lifts its measures
        ordered = [start for start, _ in self._spans.values()]
        self._all_ordered = None not in ordered
        self._last_ordered = _extremes((one for one in ordered if one), max)
        self._first_lifted = _extremes((end for _, end in self._spans.values() if end), min)

    def missing(self, mark: Place) -> Iterator[tuple[str, str]]:
        """The measures that did not stand at a fact, each with what it aims at."""
        late = any(mark.surely_precedes(one) for one in self._last_ordered)
        lifted = self._counts_lifting and any(one.surely_precedes(mark) for one in self._first_lifted)
        if self._all_ordered and not late and not lifted:
            return
        for name, (start, end) in self._spans.items():
            over = self._counts_lifting and end is not None and end.surely_precedes(mark)
            if start is None or mark.surely_precedes(start) or over:
                yield name


def _extremes(places: Iterable[Place], pick: Callable[..., Place]) -> list[Place]:
    """The first or the last of these places in each stream, by their numbers and by their times."""
    by_stream: dict[str, list[Place]] = defaultdict(list)
    for one in places:
        by_stream[one.stream].append(one)
    keys: tuple[Callable[[Place], object], ...] = (lambda one: one.sequence, lambda one: one.recorded)
    return [pick(several, key=key) for several in by_stream.values() for key in keys]


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
            start = start or at  # a stream's facts come in their order
        elif isinstance(fact, MeasureLifted):
            end = end or at
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
