"""Policy: a vendor's rules as data, and the decision as a pure function of them."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from events.catalogue import BackendFacts, CaseDecided, LossReported
from events.ports import MeasureToOrder, Reservation
from events.terms import (
    Decision,
    Kind,
    Loss,
    Match,
    Mode,
    PersonId,
    ProductId,
    QuotaSubject,
    Reason,
    Recovery,
    Value,
    Watch,
)

STRICTNESS = (Mode.AUTOMATIC, Mode.HYBRID, Mode.MANUAL)
WATCH_DAYS = {Watch.NONE: 0, Watch.SHORT: 30, Watch.LONG: 365}
RECOVERS = {
    Recovery.NEXT_GENERATION: "replaces a {reason} {kind}",
    Recovery.STOP_GAP: "bridges a {reason} {kind}",
    Recovery.REISSUE: "reissues an {kind} on the {reason}",
    Recovery.RESET: "resets {reason} access data",
    Recovery.ROTATION: "rotates {reason} access data",
}
"""What a decision says that policy does, in words."""

MeasureRule = Annotated[
    MeasureToOrder, BeforeValidator(lambda given: {"measure": given} if isinstance(given, str) else given)
]
"""A measure of a rule: its name alone, or with a delay."""


class Quota(Value):
    """How many recoveries policy grants by itself in a rolling term, counted from the receipt of each report."""

    per: QuotaSubject = QuotaSubject.HOLDER
    recoveries: Annotated[int, Field(ge=0, le=1000)]
    term_days: Annotated[int, Field(ge=1, le=3660)] = 365

    def subjects(self, facts: BackendFacts) -> tuple[str, ...]:
        """What the quota is counted for in this case, such as `holder/H-17`."""
        match self.per:
            case QuotaSubject.HOLDER:
                names: list[str] = [facts.holder]
            case QuotaSubject.CONTAINER:
                names = [facts.serial]
            case QuotaSubject.LICENCE:
                names = [item.licence for item in facts.licences]
            case QuotaSubject.PRODUCT:
                names = sorted({item.product for item in facts.licences})
        return tuple(f"{self.per}/{name}" for name in names) or (f"{QuotaSubject.CONTAINER}/{facts.serial}",)


class Rule(Value):
    """What holds for some products, kinds and reasons, or for all where it names none.

    A quota belongs to the mode `hybrid`. What is not given is as the table of losses has it: `measures` in their order,
    and how long is watched. `match` says when a machine counts as the one that is known.
    """

    products: tuple[ProductId, ...] = ()
    kinds: tuple[Kind, ...] = ()
    reasons: tuple[Reason, ...] = ()
    mode: Mode = Mode.AUTOMATIC
    quota: Quota | None = None
    measures: tuple[MeasureRule, ...] | None = None
    watch_days: Annotated[int, Field(ge=1, le=3660)] | None = None
    stop_gap_days: Annotated[int, Field(ge=1, le=366)] = 30
    match: Match = Match.MOST

    @model_validator(mode="after")
    def _quota_goes_with_hybrid(self) -> Self:
        if (self.mode is Mode.HYBRID) != (self.quota is not None):
            raise ValueError("a quota goes with the mode hybrid, and only with it")
        return self

    def specificity(self) -> tuple[bool, bool, bool]:
        """What it names, the weightiest first."""
        return bool(self.products), bool(self.kinds), bool(self.reasons)

    def covers(self, product: ProductId | None, loss: Loss) -> bool:
        """Whether it holds for this loss of this product."""
        named = not self.products or product in self.products
        return named and loss.kind in (self.kinds or (loss.kind,)) and loss.reason in (self.reasons or (loss.reason,))

    def measures_for(self, loss: Loss) -> tuple[MeasureToOrder, ...]:
        """The measures of a loss, in their order."""
        if self.measures is not None and loss.measures:
            return self.measures
        return tuple(MeasureToOrder(measure=measure) for measure in loss.measures)

    def watch_days_for(self, loss: Loss) -> int:
        """How long to watch after the replacement, in days."""
        if loss.watch is Watch.UNTIL_RETURNED:
            return self.stop_gap_days
        if loss.watch is Watch.NONE:
            return 0
        return self.watch_days or WATCH_DAYS[loss.watch]


class Policy(Value):
    """One version of a vendor's rules. A case keeps the version that it was decided under."""

    policy_version: Annotated[int, Field(ge=1)] = 1
    supervisors: tuple[PersonId, ...] = ()
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)] = (Rule(),)

    def rule_for(self, loss: Loss, facts: BackendFacts) -> Rule:
        """The rule for a loss: of the rules that its licences' products fall under, the strictest."""
        products: list[ProductId | None] = [item.product for item in facts.licences]
        found = [self._rule_for_product(product, loss) for product in products or [None]]
        return max(found, key=lambda rule: STRICTNESS.index(rule.mode))

    def _rule_for_product(self, product: ProductId | None, loss: Loss) -> Rule:
        """The most specific that covers it, of equals the first; a person decides where none does."""
        found = [rule for rule in self.rules if rule.covers(product, loss)]
        return max(found, key=Rule.specificity, default=Rule(mode=Mode.MANUAL))


def loss_of(report: LossReported) -> Loss:
    """The row of the table of losses that a report falls under."""
    loss = Loss.of(report.kind, report.reason)
    assert loss is not None, "an accepted report is of a loss in the table"
    return loss


def needs_person(report: LossReported, facts: BackendFacts, rule: Rule) -> list[str]:
    """Why a person must decide whatever the quota says, in words; empty where none must."""
    told = f"{_words(report.reason)} {report.kind}"
    if rule.mode is Mode.MANUAL:
        return [f"policy has a supervisor decide on every {told} of these products"]
    if rule.mode is Mode.HYBRID and facts.last_contact is not None and facts.last_contact > report.occurred:
        return [f"the container reported in at {facts.last_contact:%Y-%m-%d %H:%M} UTC, after the loss was said to be"]
    return []


def quota_to_reserve(report: LossReported, facts: BackendFacts, rule: Rule) -> Quota | None:
    """The quota of which one recovery must be set aside before policy may decide by itself."""
    if rule.mode is not Mode.HYBRID or _nothing_to_recover(report, facts) or needs_person(report, facts, rule):
        return None
    return rule.quota


def decide_report(
    report: LossReported, facts: BackendFacts, policy: Policy, reservation: Reservation | None
) -> CaseDecided:
    """What policy says of a report, with its reasons in words."""
    loss = loss_of(report)
    rule = policy.rule_for(loss, facts)

    def decided(decision: Decision, *reasons: str) -> CaseDecided:
        return CaseDecided(
            decision=decision,
            reasons=reasons,
            policy_version=policy.policy_version,
            facts=facts,
            ordinal=reservation.ordinal if reservation else None,
            limit=reservation.limit if reservation else None,
        )

    if _nothing_to_recover(report, facts):
        return decided(Decision.REFUSED, f"container {facts.serial} holds no licence that could be replaced")
    if reasons := needs_person(report, facts, rule):
        return decided(Decision.NEEDS_APPROVAL, *reasons)
    recovers = RECOVERS[loss.recovery].format(reason=_words(report.reason), kind=report.kind)
    told = f"policy version {policy.policy_version} {recovers} at once"
    if rule.quota is None:
        return decided(Decision.AUTOMATIC, told)
    assert reservation is not None, "policy may not decide before the quota was asked"
    if reservation.ordinal is None:
        used = f"{reservation.limit} of {reservation.limit} recoveries in {rule.quota.term_days} days are used"
        return decided(Decision.NEEDS_APPROVAL, f"{used} for this {rule.quota.per}")
    return decided(Decision.AUTOMATIC, f"{told}: recovery {reservation.ordinal} of {reservation.limit}")


def _nothing_to_recover(report: LossReported, facts: BackendFacts) -> bool:
    return not facts.licences and report.kind is not Kind.CLOUD


def _words(reason: Reason) -> str:
    return reason.replace("_", " ")
