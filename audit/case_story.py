"""A case as its own facts tell it, and what they alone show: invariants 5, 6 and 8."""

from collections.abc import Iterator, Sequence
from typing import assert_never

from audit.breach import ALWAYS, Breach, breach
from audit.log_index import AT_ONCE, CaseName, Ledger, Place
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
    QuotasAsked,
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
from events.terms import CaseId, Decision, Kind, Outcome, PersonId, Serial, Status
from workflows.case import CaseState, UnexpectedFactError, fold
from workflows.policy import Policy, Quota, Rule, loss_of, needs_person

Decided = tuple[Place, CaseDecided]
"""A decision of policy, and where it stands."""


class CaseStory:
    """A case as its own facts tell it, with what they alone show: who decided (5), by which quota (6), in which order
    (8)."""

    def __init__(self, ledger: Ledger, name: CaseName) -> None:
        self.vendor, self.case = name
        self.facts = sorted(ledger.cases[name], key=lambda one: one[0].sequence)
        self.report: LossReported | None = None
        self.reported: list[tuple[Place, LossReported]] = []
        self.decided: list[Decided] = []
        self.approved: list[Place] = []
        self.opened = self.facts[0][0]
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

    def limited(self) -> list[tuple[Quota, tuple[LicenceInScope, ...]]]:
        """The quotas of the rules that the case is under, the strictest rule's first, each with the licences under its
        rule. Under the first rules the strictest rule's is the only one, for all of them."""
        policy = self.policy()
        if policy is None or self.report is None:
            return []
        facts = self.decided[-1][1].facts
        rules = policy.licences_by_rule(loss_of(self.report), facts)
        if self.report.rules_version < 2:
            return [(rule.quota, facts.licences) for rule, _ in rules[:1] if rule.quota]
        return [(rule.quota, licences) for rule, licences in rules if rule.quota]

    def may_grant_goodwill(self, state: CaseState, person: PersonId) -> bool:
        """Whether the quotas that a case is beyond let a person approve it: each of those that name anybody, or one of
        them where nobody is named by all."""
        quotas = [quota for quota, _ in self.limited()]
        if len(state.quotas) == len(quotas):
            beyond = [quota for quota, answer in zip(quotas, state.quotas, strict=True) if answer.used_up]
            quotas = beyond or quotas
        names = [quota.goodwill for quota in quotas[: None if state.beyond_quota else 1] if quota.goodwill]
        named_by = sum(person in some for some in names)
        in_common = any(all(one in some for some in names) for one in names[0]) if names else False
        return named_by == len(names) or (named_by > 0 and not in_common)

    def decided_by(self, place: Place) -> list[Decided]:
        """What policy may have decided last before a fact of another stream, the latest first: one decision, or several
        that are so close to it that nobody knows."""
        found: list[Decided] = []
        for one in reversed(self.decided):
            if not place.surely_precedes(one[0]):
                found.append(one)
            if one[0].surely_precedes(place):
                break
        return found

    def is_unapproved(self, decided: Decided) -> bool:
        """Whether policy left a decision to a person, and nobody has approved it since."""
        place, fact = decided
        automatic = fact.decision is Decision.AUTOMATIC
        return not automatic and not any(approval.sequence > place.sequence for approval in self.approved)

    def overlaps(self, other: "CaseStory") -> bool:
        """Whether both were open at one instant."""
        return all(
            one.closed is None or two.opened.surely_precedes(one.closed) for one, two in ((self, other), (other, self))
        )

    def ends_without_recovery_before(self, other: "CaseStory") -> bool:
        """Whether this case was refused, rejected or cancelled before the other one was opened."""
        before = self.closed is not None and self.closed.surely_precedes(other.opened)
        return before and self.outcome in (Outcome.REFUSED, Outcome.REJECTED, Outcome.CANCELLED)

    def only_learns(self, report: LossReported) -> bool:
        """Whether a report that this case was told of is another's, which it names: this one is about a part of it."""
        return report is not self.report and report.beside is not None

    def is_further(self, report: LossReported, first: "CaseStory", stories: "dict[CaseName, CaseStory]") -> bool:
        """Whether a report that is of another case first opened this one too: for what a case which was decided before
        the report came still claimed then."""
        former = stories.get((self.vendor, report.former)) if report.former else None
        decided = former.closed if former else None
        beside = report is self.report and report.beside == first.case
        return beside and decided is not None and decided.recorded < report.received + AT_ONCE

    def _walk(self) -> Iterator[Breach]:
        state: CaseState | None = None
        for place, fact in self.facts:
            self._learn(place, fact)
            if state is not None:
                yield from self._decision(place, state, fact)
            try:
                state = fold(state, fact)
            except UnexpectedFactError as error:
                yield breach(8, place, self.about, f"{fact.name} cannot follow what came before it ({error})", ALWAYS)
                return
            if isinstance(fact, CaseDecided):
                yield from self._by_policy(place, state, self.decided[-1][1])

    def _learn(self, place: Place, fact: CaseFact) -> None:
        match fact:
            case LossReported():
                self.report = self.report or fact
                self.reported.append((place, fact))
            case QuotasAsked():
                pass
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
        listing = self._ledger.in_force(self.vendor, place.recorded - AT_ONCE, place.recorded + AT_ONCE)
        if not any(by in policy.supervisors for policy in listing):
            yield breach(
                5, place, self.about, f"{by} decided ({fact.name}), whom the policy then in force does not list"
            )
        if by in (state.holder, *state.reporters):
            yield breach(
                5, place, self.about, f"{by} decided ({fact.name}) on a loss of their own, or that they reported"
            )
        if state.status is Status.ESCALATED and by not in state.escalated_to and self._others(state, fact, listing):
            yield breach(5, place, self.about, f"{by} decided ({fact.name}) a case that was escalated to others")
        if isinstance(fact, CaseApproved):
            yield from self._approval(place, state, fact)

    def _others(self, state: CaseState, fact: CaseFact, listing: Sequence[Policy]) -> set[PersonId]:
        """Those of whom a case was escalated to who could have decided so too."""
        able = {one for one in state.escalated_to if any(one in policy.supervisors for policy in listing)}
        able -= {*state.reporters, PersonId(state.holder or "")}
        if isinstance(fact, (ApprovalGiven, CaseApproved)):
            able -= {state.first_approval}
            able = {one for one in able if not state.beyond_quota or self.may_grant_goodwill(state, one)}
        return able

    def _approval(self, place: Place, state: CaseState, fact: CaseApproved) -> Iterator[Breach]:
        policy = self.policy()
        four_eyes = state.four_eyes
        if policy and state.facts:
            four_eyes = four_eyes or policy.needs_four_eyes(loss_of(state.report), state.facts)
        first = state.first_approval
        void = state.rules_version >= 2 and first in state.reporters
        if four_eyes and (void or first in (None, fact.by)):
            yield breach(5, place, self.about, f"{fact.by} alone approved what two supervisors must")
        if fact.goodwill and not self.may_grant_goodwill(state, fact.by):
            yield breach(5, place, self.about, f"{fact.by} granted goodwill, which policy does not let them")
        asks = state.rules_version >= 2 and self.limited() and not state.only_watches
        if asks and state.limit is None:
            yield breach(6, place, self.about, f"{fact.by} approved it, and the quota was never asked")
        if state.beyond_quota and not fact.goodwill:
            yield breach(6, place, self.about, f"{fact.by} approved beyond the quota of {state.limit} without goodwill")

    def _by_policy(self, place: Place, state: CaseState, fact: CaseDecided) -> Iterator[Breach]:
        """What is wrong with a decision of policy."""
        policy, rule = self.policy(), self.rule()
        if policy is None or rule is None:
            yield breach(
                8, place, self.about, f"it was decided under policy version {fact.policy_version}, which is missing"
            )
            return
        if fact.ordinal is not None and fact.limit is not None and fact.ordinal > fact.limit:
            yield breach(6, place, self.about, f"it counts as recovery {fact.ordinal} of {fact.limit}")
        if fact.decision is not Decision.AUTOMATIC:
            return
        evidence = tuple(dict.fromkeys((*state.report.evidence, *state.evidence)))
        if reasons := needs_person(state.report.model_copy(update={"evidence": evidence}), fact.facts, policy):
            yield breach(5, place, self.about, f"it was decided automatically, though {reasons[0]}")
        elif self.limited() and fact.ordinal is None and (fact.facts.licences or fact.facts.kind is Kind.CLOUD):
            yield breach(6, place, self.about, "it was decided automatically though the quota had none left")
