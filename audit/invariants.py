"""The nine invariants of the domain, judged from the log alone. Pure; `docs/audit.md` says what each check can show.

1 one effective generation of a licence · 2 blocked before replaced · 3 one loss is one case · 4 only the holder
5 no approval without who may give it · 6 no recovery beyond the quota without goodwill · 7 every measure ends
8 nothing is deleted · 9 nothing crosses vendors
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import assert_never

from audit.log_index import CaseName, Ledger, Place
from events.backend_facts import (
    MeasureConfirmed,
    MeasureFact,
    MeasureLifted,
    MeasureOrdered,
    MeasureUnconfirmable,
    RecoveryReserved,
)
from events.case_facts import (
    ApprovalGiven,
    ApprovalOverdue,
    ApprovalReminded,
    CaseApproved,
    CaseCancelled,
    CaseClosed,
    CaseDecided,
    CaseFact,
    CaseGivenUp,
    CaseReinstated,
    CaseRejected,
    CaseResumed,
    CaseResurfaced,
    CaseReturned,
    CaseRuled,
    CaseSettled,
    CaseSighted,
    CaseStuck,
    ConditionMet,
    DecisionDenied,
    EvidenceAsked,
    EvidenceGiven,
    LicenceInScope,
    LossReported,
    LossWidened,
    ReleaseAwaited,
    ReplacementLost,
    ReplacementWithdrawn,
    ReplacingBegun,
    ScopeKnown,
    TargetAwaited,
    TargetOffered,
    WaitingBegun,
    WatchBegun,
)
from events.envelope import Recorded
from events.terms import (
    Aim,
    CaseId,
    Decision,
    Kind,
    Outcome,
    PersonId,
    PotName,
    Reporter,
    Role,
    Serial,
    Status,
    Subject,
    VendorId,
)
from workflows.case import CaseState, UnexpectedFactError, fold
from workflows.policy import Policy, Rule, loss_of, needs_person

AT_ONCE = timedelta(seconds=10)
"""A policy that was replaced so shortly before a decision may have been the one that it was looked up in."""
ALWAYS = datetime.min.replace(tzinfo=UTC)
ENDED = (MeasureConfirmed, MeasureUnconfirmable, MeasureLifted)


@dataclass(frozen=True, slots=True)
class Breach:
    """A breach of an invariant (1 to 9), at the fact that shows it: `about` is `case NAME`, `licence NAME`, or so.

    `since` is from when on it can be told: what was recorded later may be under way elsewhere.
    """

    invariant: int
    vendor: VendorId
    about: str
    stream: str
    sequence: int
    sentence: str
    since: datetime = field(default=ALWAYS, compare=False)


def check(facts: Iterable[Recorded]) -> list[Breach]:
    """The breaches that these facts show, in whatever order their streams are interleaved."""
    ledger = Ledger()
    for fact in facts:
        ledger.take(fact)
    return judge(ledger)


def judge(ledger: Ledger, until: datetime | None = None) -> list[Breach]:
    """The breaches in what was collected; those that can only be told since a time after `until` are left out."""
    stories = {name: _Story(ledger, name) for name in ledger.cases}
    told = [breach for story in stories.values() for breach in story.breaches]
    for judgement in (
        _effective(ledger),
        _blocked_first(ledger, stories),
        _one_case(ledger, stories),
        _to_the_holder(ledger, stories),
        _within_quota(ledger, stories),
        _measures_end(ledger, stories),
        _whole(ledger),
        _own_vendor(ledger, stories),
    ):
        told += judgement
    kept = {breach for breach in told if until is None or breach.since <= until}
    return sorted(kept, key=lambda one: (one.invariant, one.vendor, one.stream, one.sequence, one.sentence))


def _breach(invariant: int, place: Place, about: str, sentence: str, since: datetime | None = None) -> Breach:
    return Breach(invariant, place.vendor, about, place.stream, place.sequence, sentence, since or place.recorded)


Decided = tuple[Place, CaseDecided]
"""A decision of policy, and where it stands."""


class _Story:
    """A case as its own facts tell it, with what they alone show: who decided (5), by which quota (6), in which order
    (8)."""

    def __init__(self, ledger: Ledger, name: CaseName) -> None:
        self.vendor, self.case = name
        self.told = sorted(ledger.cases[name], key=lambda one: one[0].sequence)
        self.report: LossReported | None = None
        self.reported: list[tuple[Place, LossReported]] = []
        self.decided: list[Decided] = []
        self.approved: list[Place] = []
        self.opened = self.told[0][0].recorded
        self.reinstates = False
        self.closed: Place | None = None
        self.outcome: Outcome | None = None
        self.knows: set[CaseId] = set()
        self.targets: list[tuple[Place, Serial]] = []
        self._ledger = ledger
        self._rules: dict[int, Rule] = {}
        self._scope: list[LicenceInScope] = []
        self.breaches = list(self._walk())

    @property
    def about(self) -> str:
        return f"case {self.case}"

    def policy(self) -> Policy | None:
        """The policy that the case was last decided under."""
        return self._ledger.policy(self.vendor, self.decided[-1][1].policy_version) if self.decided else None

    def rule(self) -> Rule | None:
        """The rule that the case is under."""
        policy = self.policy()
        if policy is None or self.report is None:
            return None
        return self.rule_of(policy, self.decided[-1])

    def rule_of(self, policy: Policy, decided: "Decided") -> Rule:
        """The rule of a policy that one of the case's decisions was made by. It is looked for once a decision: all
        licences of the case are gone through for it."""
        assert self.report is not None
        place, fact = decided
        if place.sequence not in self._rules:
            self._rules[place.sequence] = policy.rule_for(loss_of(self.report), fact.facts)
        return self._rules[place.sequence]

    def decided_by(self, at: datetime) -> "Decided | None":
        """What policy had decided last at an instant."""
        return next((one for one in reversed(self.decided) if one[0].recorded <= at), None)

    def overlaps(self, other: "_Story") -> bool:
        """Whether both were open at one instant."""
        return all(
            one.closed is None or two.opened < one.closed.recorded for one, two in ((self, other), (other, self))
        )

    def ends_without_recovery_before(self, other: "_Story") -> bool:
        """Whether this case was refused, rejected or cancelled before the other one was opened."""
        before = self.closed is not None and self.closed.recorded < other.opened
        return before and self.outcome in (Outcome.REFUSED, Outcome.REJECTED, Outcome.CANCELLED)

    def is_further(self, report: LossReported, first: "_Story", stories: "dict[CaseName, _Story]") -> bool:
        """Whether a report that is of another case first opened this one too: for what a case which was decided before
        the report came still claimed then."""
        former = stories.get((self.vendor, report.former)) if report.former else None
        decided = former.closed if former else None
        beside = report is self.report and report.beside == first.case
        return beside and decided is not None and decided.recorded < report.received

    def _walk(self) -> Iterator[Breach]:
        state: CaseState | None = None
        for place, fact in self.told:
            self._learn(place, fact)
            if state is not None:
                yield from self._decision(place, state, fact)
            try:
                state = fold(state, fact)
            except UnexpectedFactError as error:
                yield _breach(8, place, self.about, f"{fact.name} cannot follow what came before it ({error})", ALWAYS)
                return
            if isinstance(fact, CaseDecided):
                yield from self._by_policy(place, state, self.decided[-1][1])

    def _learn(self, place: Place, fact: CaseFact) -> None:
        match fact:
            case LossReported():
                self.report = self.report or fact
                self.reported.append((place, fact))
            case ScopeKnown(licences=licences):
                self._scope += licences
            case CaseDecided():
                self.decided.append((place, self._whole(fact)))
            case CaseApproved():
                self.approved.append(place)
            case CaseRuled():
                self.reinstates = self.reinstates or fact.reinstate
            case CaseClosed(outcome=outcome):
                self.closed, self.outcome = place, outcome
            case ReplacementLost(case=case):
                self.knows.add(case)
            case TargetOffered(serial=serial):
                self.targets.append((place, serial))
            case WatchBegun():
                if fact.target is not None:
                    self.targets.append((place, fact.target))
            case ApprovalReminded() | ApprovalOverdue() | ApprovalGiven() | EvidenceAsked() | EvidenceGiven():
                pass
            case ConditionMet() | CaseCancelled() | CaseRejected() | DecisionDenied() | CaseGivenUp():
                pass
            case WaitingBegun() | ReplacingBegun() | TargetAwaited() | CaseReturned() | CaseStuck() | CaseResumed():
                pass
            case CaseSighted() | CaseResurfaced() | LossWidened() | ReplacementWithdrawn() | ReleaseAwaited():
                pass
            case CaseReinstated() | CaseSettled():
                pass
            case _:
                assert_never(fact)

    def _whole(self, decided: CaseDecided) -> CaseDecided:
        """A decision with its licences: they stand before it, or in an older record within it."""
        if decided.facts.licences:
            return decided
        known = decided.facts.model_copy(update={"licences": tuple(self._scope)})
        return decided.model_copy(update={"facts": known})

    def _decision(self, place: Place, state: CaseState, fact: CaseFact) -> Iterator[Breach]:
        """What is wrong with a supervisor's decision."""
        by: PersonId | None = getattr(fact, "by", None)
        if by is None or getattr(fact, "decision", None) is None or fact.name == "decision.denied":
            return
        listing = self._ledger.in_force(self.vendor, place.recorded - AT_ONCE, place.recorded)
        if not any(by in policy.supervisors for policy in listing):
            yield _breach(
                5, place, self.about, f"{by} decided ({fact.name}), whom the policy then in force does not list"
            )
        if by in (state.holder, *state.reporters):
            yield _breach(
                5, place, self.about, f"{by} decided ({fact.name}) on a loss of their own, or that they reported"
            )
        if state.status is Status.ESCALATED and by not in state.escalated_to and self._others(state, fact, listing):
            yield _breach(5, place, self.about, f"{by} decided ({fact.name}) a case that was escalated to others")
        if isinstance(fact, CaseApproved):
            yield from self._approval(place, state, fact)

    def _others(self, state: CaseState, fact: CaseFact, listing: Sequence[Policy]) -> set[PersonId]:
        """Those of whom a case was escalated to who could have decided so too."""
        able = {one for one in state.escalated_to if any(one in policy.supervisors for policy in listing)}
        able -= {*state.reporters, PersonId(state.holder or "")}
        if isinstance(fact, (ApprovalGiven, CaseApproved)):
            rule = self.rule() if state.beyond_quota else None
            able = {one for one in able if one != state.first_approval and (not rule or rule.may_grant_goodwill(one))}
        return able

    def _approval(self, place: Place, state: CaseState, fact: CaseApproved) -> Iterator[Breach]:
        policy, rule = self.policy(), self.rule()
        four_eyes = state.four_eyes
        if policy and state.facts:
            four_eyes = four_eyes or policy.needs_four_eyes(loss_of(state.report), state.facts)
        if four_eyes and state.first_approval in (None, fact.by):
            yield _breach(5, place, self.about, f"{fact.by} alone approved what two supervisors must")
        if fact.goodwill and rule and not rule.may_grant_goodwill(fact.by):
            yield _breach(5, place, self.about, f"{fact.by} granted goodwill, which policy does not let them")
        asks = state.rules_version >= 2 and rule is not None and rule.quota is not None and not state.only_watches
        if asks and state.limit is None:
            yield _breach(6, place, self.about, f"{fact.by} approved it, and the quota was never asked")
        if state.beyond_quota and not fact.goodwill:
            yield _breach(
                6, place, self.about, f"{fact.by} approved beyond the quota of {state.limit} without goodwill"
            )

    def _by_policy(self, place: Place, state: CaseState, fact: CaseDecided) -> Iterator[Breach]:
        """What is wrong with a decision of policy."""
        policy, rule = self.policy(), self.rule()
        if policy is None or rule is None:
            yield _breach(
                8, place, self.about, f"it was decided under policy version {fact.policy_version}, which is missing"
            )
            return
        if fact.ordinal is not None and fact.limit is not None and fact.ordinal > fact.limit:
            yield _breach(6, place, self.about, f"it counts as recovery {fact.ordinal} of {fact.limit}")
        if fact.decision is not Decision.AUTOMATIC:
            return
        evidence = tuple(dict.fromkeys((*state.report.evidence, *state.evidence)))
        if reasons := needs_person(state.report.model_copy(update={"evidence": evidence}), fact.facts, policy):
            yield _breach(5, place, self.about, f"it was decided automatically, though {reasons[0]}")
        elif rule.quota and fact.ordinal is None and (fact.facts.licences or fact.facts.kind is Kind.CLOUD):
            yield _breach(6, place, self.about, "it was decided automatically though the quota had none left")


def _effective(ledger: Ledger) -> Iterator[Breach]:
    """1: a generation is issued once, upwards by one, and superseded once, not after the next one is issued."""
    for (vendor, licence), generations in ledger.issued.items():
        about, ends = f"licence {licence}", ledger.superseded.get((vendor, licence), {})
        for generation, issues in sorted(generations.items()):
            for again in issues[1:]:
                where = f"in {issues[0].serial} and {again.serial}"
                yield _breach(1, again.place, about, f"generation {generation} was issued twice, {where}")
            if generation == min(generations):
                continue
            later = issues[0]
            if generation - 1 not in generations:
                yield _breach(1, later.place, about, f"generation {generation} was issued without the one before it")
            elif not (before := ends.get(generation - 1)):
                yield _breach(
                    1, later.place, about, f"generations {generation - 1} and {generation} are both effective"
                )
            elif min(end.place.recorded for end in before) > later.place.recorded:
                sentence = f"generation {generation} was issued before generation {generation - 1} was superseded"
                yield _breach(1, later.place, about, sentence)
    for (_, licence), ends in ledger.superseded.items():
        for generation, superseded in ends.items():
            for again in superseded[1:]:
                yield _breach(1, again.place, f"licence {licence}", f"generation {generation} was superseded twice")


def _blocked_first(ledger: Ledger, stories: dict[CaseName, _Story]) -> Iterator[Breach]:
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
            yield _breach(2, place, story.about, f"{what} was issued before policy decided")
            continue
        at, decided = found
        approved = any(approval.sequence > at.sequence for approval in story.approved)
        if decided.decision is not Decision.AUTOMATIC and not approved:
            yield _breach(5, place, story.about, f"{what} was issued though nobody approved it")
        if (name, at.sequence) not in asked:
            policy = ledger.policy(name[0], decided.policy_version)
            asked[name, at.sequence] = _Asked(ledger, story, found, policy) if policy else None  # 8 says so
        measures = asked[name, at.sequence]
        for measure, aimed in measures.missing(place.recorded) if measures else ():
            yield _breach(2, place, story.about, f"{what} was issued before {measure} of {aimed} was ordered")


Span = tuple[datetime | None, datetime | None]
"""When a measure was first ordered, and when it was first lifted; None: never."""


class _Asked:
    """The measures that policy asked for in one decision of a case, and from when to when they stood. Much may have
    been issued for a case, so that the measures are gone through once and not for each licence."""

    def __init__(self, ledger: Ledger, story: _Story, decided: Decided, policy: Policy) -> None:
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
    ledger: Ledger, story: _Story, rule: Rule, report: LossReported, decided: CaseDecided
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


def _one_case(ledger: Ledger, stories: dict[CaseName, _Story]) -> Iterator[Breach]:
    """3: a report is in one case, and in further ones that it opened for what a former case still claimed when it came;
    a generation is recovered by one case; open cases that claim one know each other; one that claims what another
    claimed, which recovered nothing, names a former."""
    reports: dict[tuple[VendorId, Reporter, str], list[tuple[Place, LossReported, _Story]]] = defaultdict(list)
    claims: dict[tuple[VendorId, str, int], set[CaseId]] = defaultdict(set)
    for story in stories.values():
        for place, fact in story.reported:
            reports[story.vendor, fact.reporter, fact.report].append((place, fact, story))
        for _, decided in story.decided:
            if decided.facts.kind is not Kind.CLOUD:  # there the access data are claimed, and licences stay
                for item in decided.facts.licences:
                    claims[story.vendor, item.licence, item.generation].add(story.case)
    for several in reports.values():
        _, _, first = next((one for one in several if not one[1].former or not one[1].beside), several[0])
        for place, fact, story in several:
            if story is not first and not story.is_further(fact, first, stories):
                yield _breach(3, place, story.about, f"report {fact.report} is of case {first.case} too")
    for (vendor, licence, generation), cases in claims.items():
        for one, two in combinations(sorted(cases), 2):
            a, b = stories[vendor, one], stories[vendor, two]
            if a.overlaps(b) and two not in a.knows and one not in b.knows:
                later = max(a, b, key=lambda story: story.opened)
                other = a if later is b else b
                sentence = f"it is open on licence {licence} generation {generation} beside case {other.case}"
                yield _breach(3, later.told[0][0], later.about, sentence, later.decided[0][0].recorded)
            former, after = sorted((a, b), key=lambda story: story.opened)
            if former.ends_without_recovery_before(after) and ledger.formers.get((vendor, after.case), "") is None:
                sentence = f"it is of the same loss as case {former.case}, which ended before it, and names no former"
                yield _breach(3, after.told[0][0], after.about, sentence, after.decided[0][0].recorded)
    for (_, licence), generations in ledger.superseded.items():
        for generation, ends in generations.items():
            for again in ends[1:]:
                if again.case != ends[0].case:
                    sentence = f"generation {generation} was recovered by case {ends[0].case} and case {again.case}"
                    yield _breach(3, again.place, f"licence {licence}", sentence)
    offered: dict[tuple[VendorId, Serial, int], CaseId] = {}
    for offer in ledger.offers:
        if (offer.place.vendor, offer.serial, offer.generation, offer.case) in ledger.lapsed:
            continue
        first_case = offered.setdefault((offer.place.vendor, offer.serial, offer.generation), offer.case)
        if first_case != offer.case:
            sentence = f"access data {offer.generation} of {offer.serial} were recovered by case {first_case} too"
            yield _breach(3, offer.place, f"case {offer.case}", sentence)


def _to_the_holder(ledger: Ledger, stories: dict[CaseName, _Story]) -> Iterator[Breach]:
    """4: a holder reports what is theirs, and a replacement goes to the registered holder."""
    for story in stories.values():
        for place, fact in story.reported:
            holder = ledger.holders.get((story.vendor, fact.serial))
            if fact.reporter.role is Role.HOLDER and holder and str(fact.reporter.name) != str(holder):
                sentence = f"{fact.reporter.name} reported {fact.serial} as its holder, who is {holder}"
                yield _breach(4, place, story.about, sentence)
    for name, issues in ledger.issues_by_case.items():
        lost = stories[name].report if name in stories else None
        holder = ledger.holders.get((name[0], lost.serial)) if lost else None
        for licence, generation, one in issues:
            to = ledger.holders.get((name[0], one.serial))
            if holder and (one.holder != holder or (to and to != holder)):
                sentence = f"licence {licence} generation {generation} went to {to or one.holder} and not to {holder}"
                yield _breach(4, one.place, f"case {name[1]}", sentence)


def _within_quota(ledger: Ledger, stories: dict[CaseName, _Story]) -> Iterator[Breach]:
    """6: what quotas set aside stays within them, each pot by itself, and no more is said to be set aside."""
    by_subject: dict[tuple[VendorId, PotName, str], list[tuple[Place, RecoveryReserved]]] = defaultdict(list)
    holds = set()
    for place, fact in ledger.reserved:
        holds.add((place.vendor, fact.case))
        if fact.ordinal > fact.limit and fact.part == 1:
            sentence = f"recovery {fact.ordinal} of {fact.limit} was set aside"
            yield _breach(6, place, f"case {fact.case}", sentence)
        for name in fact.subjects:
            by_subject[place.vendor, fact.pot, name].append((place, fact))
    for story in stories.values():
        for place, decided in story.decided:
            if decided.ordinal is not None and (story.vendor, story.case) not in holds:
                sentence = f"recovery {decided.ordinal} of {decided.limit} was never set aside"
                yield _breach(6, place, story.about, sentence)
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
                yield _breach(6, place, holder.about, f"{sentence}, and {fact.limit} is the limit")


def _freed(ledger: Ledger, name: CaseName, at: datetime) -> bool:
    place = ledger.freed.get(name)
    return place is not None and place.recorded <= at


def _most_around(at: datetime, instants: list[datetime], term: timedelta) -> int:
    """How many of these instants at most fall into one rolling term in which `at` is, too."""
    near = sorted(one for one in instants if abs(one - at) < term)
    return max(bisect_left(near, start + term) - place for place, start in enumerate(near) if start <= at)


def _measures_end(ledger: Ledger, stories: dict[CaseName, _Story]) -> Iterator[Breach]:
    """7: the measures of a case that is over have ended, and none was lifted once it was confirmed."""
    for name, told in ledger.measures.items():
        by_measure: dict[tuple[str, str, str], list[tuple[Place, MeasureFact]]] = defaultdict(list)
        for place, fact in told:
            by_measure[fact.measure, str(fact.subject), fact.serial].append((place, fact))
        closed = stories[name].closed if name in stories else None
        for (measure, aimed, _), own in by_measure.items():
            own.sort(key=lambda one: one[0].sequence)
            about, what = f"case {name[1]}", f"{measure} of {aimed}"
            first, fact = own[0]
            if not isinstance(fact, MeasureOrdered):
                yield _breach(7, first, about, f"{what} was never ordered, but {fact.name.removeprefix('measure.')}")
            confirmed = ended = False
            for place, fact in own:
                confirmed = (confirmed or isinstance(fact, MeasureConfirmed)) and not isinstance(fact, MeasureOrdered)
                ended = (ended or isinstance(fact, ENDED)) and not isinstance(fact, MeasureOrdered)
                if confirmed and isinstance(fact, MeasureLifted):
                    yield _breach(7, place, about, f"{what} was lifted once it was confirmed")
            if closed and not ended:
                sentence = f"{what} has not ended, though the case is closed"
                yield _breach(7, first, about, sentence, closed.recorded)


def _whole(ledger: Ledger) -> Iterator[Breach]:
    """8: no stream has a gap, a broken chain or two facts of one number, and no version of a policy is missing."""
    for place in ledger.differing:
        yield _breach(8, place, place.stream, f"fact {place.sequence} stands there twice, with other bytes", ALWAYS)
    for (vendor, stream), chain in ledger.chains.items():
        previous = b""
        for expected, sequence in enumerate(sorted(chain), 1):
            link = chain[sequence]
            place = Place(vendor, stream, sequence, link.recorded)
            if sequence != expected and sequence - 1 not in chain:
                yield _breach(8, place, stream, f"fact {sequence - 1} before it is missing", ALWAYS)
            elif link.previous != previous:
                yield _breach(8, place, stream, f"fact {sequence} does not carry the hash of the one before it", ALWAYS)
            previous = link.hash
    for place, version in ledger.unreadable_policies:
        yield _breach(8, place, "policy", f"policy version {version} cannot be read", ALWAYS)
    for adopted in ledger.policies.values():
        versions = {one.version for one in adopted} | {version for _, version in ledger.unreadable_policies}
        for one in adopted:
            if one.version > 1 and one.version - 1 not in versions:
                yield _breach(8, one.place, "policy", f"policy version {one.version - 1} is missing", ALWAYS)


def _own_vendor(ledger: Ledger, stories: dict[CaseName, _Story]) -> Iterator[Breach]:
    """9: what a vendor's facts name is that vendor's."""
    for vendor, stream in ledger.chains:
        if vendor and vendor not in ledger.vendors:
            first = min(ledger.chains[vendor, stream])
            place = Place(vendor, stream, first, ledger.chains[vendor, stream][first].recorded)
            yield _breach(9, place, f"vendor {vendor}", f"nobody has added vendor {vendor}")
    for (vendor, case), place in ledger.named_cases.items():
        if (vendor, case) not in stories:
            yield _breach(9, place, f"case {case}", f"vendor {vendor} has no case {case}")
    for (vendor, licence, generation), place in ledger.named_licences.items():
        if generation not in ledger.issued.get((vendor, licence), {}):
            about = f"licence {licence}"
            yield _breach(9, place, about, f"vendor {vendor} has no licence {licence} of generation {generation}")
    for story in stories.values():
        named = [(place, fact.serial) for place, fact in story.reported] + story.targets
        named += [(place, fact.facts.serial) for place, fact in story.decided]
        for place, serial in named:
            if (story.vendor, serial) not in ledger.holders:
                yield _breach(9, place, story.about, f"vendor {story.vendor} has no container {serial}")
        licences = [(place, item.licence) for place, fact in story.decided for item in fact.facts.licences]
        licences += [(place, licence) for place, fact in story.reported for licence in fact.licences]
        for place, licence in licences:
            if (story.vendor, licence) not in ledger.issued:
                yield _breach(9, place, story.about, f"vendor {story.vendor} has no licence {licence}")
        for case in story.knows:
            if (story.vendor, case) not in stories:
                yield _breach(9, story.told[-1][0], story.about, f"vendor {story.vendor} has no case {case}")
