"""Invariants 3 and 4: one loss is one case, and only its holder gets a replacement."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import combinations

from audit.breach import Breach, breach
from audit.case_story import CaseStory
from audit.log_index import CaseName, Ledger, Place
from events.backend_facts import DelegationGiven, DelegationRevoked
from events.case_facts import CaseApproved, LossReported, LossWidened, WatchBegun
from events.terms import CaseId, HolderId, Kind, PersonId, Reporter, Role, Serial, VendorId


def one_case(ledger: Ledger, stories: dict[CaseName, CaseStory]) -> Iterator[Breach]:
    """3: a report is of one case, and of further ones that it opened for what a former case still claimed when it came;
    others that are about a part of it learn of it, and name the one that has it; a generation is recovered by one case;
    open cases that claim one know each other; one that claims what another claimed, which recovered nothing, names a
    former."""
    reports: dict[tuple[VendorId, Reporter, str], list[tuple[Place, LossReported, CaseStory]]] = defaultdict(list)
    claims: dict[tuple[VendorId, str, int], set[CaseId]] = defaultdict(set)
    for story in stories.values():
        for place, fact in story.reported:
            if not story.only_learns(fact):
                reports[story.vendor, fact.reporter, fact.report].append((place, fact, story))
        for _, decided in story.decided:
            if decided.facts.kind is not Kind.CLOUD:  # there the access data are claimed, and licences stay
                for item in decided.facts.licences:
                    claims[story.vendor, item.licence, item.generation].add(story.case)
    for several in reports.values():
        _, _, first = next((one for one in several if not one[1].former or not one[1].beside), several[0])
        for place, fact, story in several:
            if story is not first and not story.is_further(fact, first, stories):
                yield breach(3, place, story.about, f"report {fact.report} is of case {first.case} too")
    for (vendor, licence, generation), cases in claims.items():
        for one, two in combinations(sorted(cases), 2):
            a, b = stories[vendor, one], stories[vendor, two]
            if a.overlaps(b) and two not in a.knows and one not in b.knows:
                later = max(a, b, key=lambda story: story.opened.recorded)
                other = a if later is b else b
                sentence = f"it is open on licence {licence} generation {generation} beside case {other.case}"
                yield breach(3, later.facts[0][0], later.about, sentence, later.decided[0][0].recorded)
            former, after = sorted((a, b), key=lambda story: story.opened.recorded)
            if former.ends_without_recovery_before(after) and ledger.formers.get((vendor, after.case), "") is None:
                sentence = f"it is of the same loss as case {former.case}, which ended before it, and names no former"
                yield breach(3, after.facts[0][0], after.about, sentence, after.decided[0][0].recorded)
    for (_, licence), generations in ledger.superseded.items():
        for generation, ends in generations.items():
            for again in ends[1:]:
                if again.case != ends[0].case:
                    sentence = f"generation {generation} was recovered by case {ends[0].case} and case {again.case}"
                    yield breach(3, again.place, f"licence {licence}", sentence)
    for story in stories.values():
        yield from _milder(story)
    offered: dict[tuple[VendorId, Serial, int], CaseId] = {}
    for offer in ledger.offers:
        if (offer.place.vendor, offer.serial, offer.generation, offer.case) in ledger.lapsed:
            continue
        first_case = offered.setdefault((offer.place.vendor, offer.serial, offer.generation), offer.case)
        if first_case != offer.case:
            sentence = f"access data {offer.generation} of {offer.serial} were recovered by case {first_case} too"
            yield breach(3, offer.place, f"case {offer.case}", sentence)


def _milder(story: CaseStory) -> Iterator[Breach]:
    """3: once a wider loss was reported, nothing is issued for a case before a person approves it; under the first
    rules nobody was asked where a stop-gap was issued already. The case's own stream says it, whatever clocks say."""
    assert story.report is not None
    wider: CaseId | None = None
    issued = False
    for place, fact in story.facts:
        match fact:
            case LossWidened() if story.report.rules_version >= 2 or not issued:
                wider = fact.case
            case CaseApproved():
                wider = None
            case WatchBegun() if fact.target is not None:
                if wider is not None:
                    sentence = f"it issued though case {wider} is about a wider loss, and nobody has approved it since"
                    yield breach(3, place, story.about, sentence)
                issued = True
            case _:
                pass


def to_the_holder(ledger: Ledger, stories: dict[CaseName, CaseStory]) -> Iterator[Breach]:
    """4: a holder reports what is theirs, and a replacement goes to the registered holder."""
    for story in stories.values():
        for place, fact in story.reported:
            holder = ledger.holders.get((story.vendor, fact.serial))
            if fact.reporter.role is Role.HOLDER and holder and str(fact.reporter.name) != str(holder):
                sentence = f"{fact.reporter.name} reported {fact.serial} as its holder, who is {holder}"
                yield breach(4, place, story.about, sentence)
            if fact.reporter.role is Role.DELEGATE and holder:
                if fact.on_behalf_of != holder:
                    sentence = f"{fact.reporter.name} reported {fact.serial} for {fact.on_behalf_of}, and not {holder}"
                    yield breach(4, place, story.about, sentence)
                if not _is_entrusted(ledger, story.vendor, fact.reporter.name, holder, fact.received):
                    sentence = f"{fact.reporter.name} reported {fact.serial} without a delegation from {holder}"
                    yield breach(4, place, story.about, sentence)
    for name, issues in ledger.issues_by_case.items():
        lost = stories[name].report if name in stories else None
        holder = ledger.holders.get((name[0], lost.serial)) if lost else None
        for licence, generation, one in issues:
            to = ledger.holders.get((name[0], one.serial))
            if holder and (one.holder != holder or (to and to != holder)):
                sentence = f"licence {licence} generation {generation} went to {to or one.holder} and not to {holder}"
                yield breach(4, one.place, f"case {name[1]}", sentence)


def _is_entrusted(ledger: Ledger, vendor: VendorId, person: PersonId, holder: HolderId, at: datetime) -> bool:
    """Whether a delegation, which neither was over when this was received nor had been revoked, entrusts a holder to
    this person. The order of what came in about a report and of delegations is not promised."""
    facts = ledger.delegations[vendor]
    ends = {one.delegation: one.received for one in reversed(facts) if isinstance(one, DelegationRevoked)}
    for one in facts:
        if isinstance(one, DelegationGiven) and one.delegate == person and holder in one.holders and at < one.until:
            end = ends.get(one.delegation)
            if end is None or (one.received < end and at < end):
                return True
    return False
