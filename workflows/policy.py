"""Policy: a vendor's rules as data, and the decision as a pure function of them."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from events.catalogue import BackendFacts, CaseDecided, LossReported
from events.ports import Reservation
from events.terms import Decision, Measure, Mode, PersonId, ProductId, QuotaSubject, Value

STRICTNESS = (Mode.AUTOMATIC, Mode.HYBRID, Mode.MANUAL)


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
        return tuple(f"{self.per}/{name}" for name in names)


class Rule(Value):
    """What holds for some products, or for all where it names none. A quota belongs to the mode `hybrid`."""

    products: tuple[ProductId, ...] = ()
    mode: Mode = Mode.AUTOMATIC
    quota: Quota | None = None
    measures: tuple[Measure, ...] = (Measure.BLACKLISTING,)
    watch_days: Annotated[int, Field(ge=1, le=3660)] = 365

    @model_validator(mode="after")
    def _quota_goes_with_hybrid(self) -> Self:
        if (self.mode is Mode.HYBRID) != (self.quota is not None):
            raise ValueError("a quota goes with the mode hybrid, and only with it")
        return self


class Policy(Value):
    """One version of a vendor's rules. A case keeps the version that it was decided under."""

    policy_version: Annotated[int, Field(ge=1)] = 1
    supervisors: tuple[PersonId, ...] = ()
    rules: Annotated[tuple[Rule, ...], Field(min_length=1)] = (Rule(),)

    def rule_for(self, facts: BackendFacts) -> Rule:
        """The rule for a loss: of the rules that its licences' products fall under, the strictest."""
        found = [self._rule_for_product(item.product) for item in facts.licences] or [self.rules[-1]]
        return max(found, key=lambda rule: STRICTNESS.index(rule.mode))

    def _rule_for_product(self, product: ProductId) -> Rule:
        named = [rule for rule in self.rules if product in rule.products]
        general = [rule for rule in self.rules if not rule.products]
        return [*named, *general, Rule(mode=Mode.MANUAL)][0]


def needs_person(report: LossReported, facts: BackendFacts, rule: Rule) -> list[str]:
    """Why a person must decide whatever the quota says, in words; empty where none must."""
    told = f"{report.reason} {report.kind}"
    if rule.mode is Mode.MANUAL:
        return [f"policy has a supervisor decide on every {told} of these products"]
    if rule.mode is Mode.HYBRID and facts.last_contact is not None and facts.last_contact > report.occurred:
        return [f"the container reported in at {facts.last_contact:%Y-%m-%d %H:%M} UTC, after the loss was said to be"]
    return []


def quota_to_reserve(report: LossReported, facts: BackendFacts, rule: Rule) -> Quota | None:
    """The quota of which one recovery must be set aside before policy may decide by itself."""
    asks = rule.mode is Mode.HYBRID and facts.licences and not needs_person(report, facts, rule)
    return rule.quota if asks else None


def decide_report(
    report: LossReported, facts: BackendFacts, policy: Policy, reservation: Reservation | None
) -> CaseDecided:
    """What policy says of a report, with its reasons in words."""
    rule = policy.rule_for(facts)

    def decided(decision: Decision, *reasons: str) -> CaseDecided:
        return CaseDecided(
            decision=decision,
            reasons=reasons,
            policy_version=policy.policy_version,
            facts=facts,
            ordinal=reservation.ordinal if reservation else None,
            limit=reservation.limit if reservation else None,
        )

    if not facts.licences:
        return decided(Decision.REFUSED, f"container {facts.serial} holds no licence that could be replaced")
    if reasons := needs_person(report, facts, rule):
        return decided(Decision.NEEDS_APPROVAL, *reasons)
    told = f"policy version {policy.policy_version} replaces a {report.reason} {report.kind} at once"
    if rule.quota is None:
        return decided(Decision.AUTOMATIC, told)
    assert reservation is not None, "policy may not decide before the quota was asked"
    if reservation.ordinal is None:
        used = f"{reservation.limit} of {reservation.limit} recoveries in {rule.quota.term_days} days are used"
        return decided(Decision.NEEDS_APPROVAL, f"{used} for this {rule.quota.per}")
    return decided(Decision.AUTOMATIC, f"{told}: recovery {reservation.ordinal} of {reservation.limit}")
