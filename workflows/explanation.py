"""What a policy would decide on a report, step by step. Pure; decided by the very functions that decide on cases."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Final

from pydantic import Field

from events import rules
from events.case_facts import BackendFacts, CaseDecided, LicenceInScope, LossReported, QuotaAnswer
from events.loss_table import Loss
from events.ports.licensing_backend import MeasureToOrder, Reservation
from events.terms import (
    Action,
    ActivationBy,
    Decision,
    EvidenceName,
    HolderId,
    Instant,
    Kind,
    LicenceId,
    PersonId,
    ProductId,
    Reason,
    Recovery,
    Reporter,
    ReportId,
    Role,
    Scope,
    Serial,
    Ticket,
    Value,
)
from workflows.authority import may_decide
from workflows.case import fold
from workflows.limits import Found
from workflows.policy import Approval, Policy, Quota, Resurfaced, Rule, decide_report, loss_of, quotas_to_reserve

HOLDER: Final = HolderId("holder")
BACK_OFFICE: Final = PersonId("back-office")
SERIAL: Final = Serial("container")
UNNAMED: Final = ProductId("a-product-that-no-rule-names")
NAMES: Final = ("products", "kinds", "reasons")


class Supposed(Value):
    """A report to suppose, and what the backend would know of it. One licence of each product is lost, together worth
    `value_cents`, first issued `age_days` ago (None: not known) and running for `exposure_days` more (None: for ever);
    `flagged`: an earlier verdict speaks against the holder, of whom `losses` other losses were reported just before;
    `used` recoveries of the quota are used."""

    kind: Kind
    reason: Reason
    products: tuple[ProductId, ...] = ()
    value_cents: Annotated[int, Field(ge=0)] = 0
    age_days: Annotated[int, Field(ge=0, le=36_600)] | None = None
    exposure_days: Annotated[int, Field(ge=0, le=36_600)] | None = None
    reporter_role: Role = Role.HOLDER
    evidence: tuple[EvidenceName, ...] = ()
    contact_after_loss: bool = False
    flagged: bool = False
    losses: Annotated[int, Field(ge=0, le=BackendFacts.LOSSES_KNOWN)] = 0
    used: Annotated[int, Field(ge=0)] = 0

    def report(self, received: Instant) -> LossReported:
        """The report, of a loss an hour before it was received."""
        by_holder = self.reporter_role is Role.HOLDER
        return LossReported(
            report=ReportId("supposed"),
            serial=SERIAL,
            kind=self.kind,
            reason=self.reason,
            scope=Scope.CONTAINER,
            reporter=Reporter(role=self.reporter_role, name=PersonId(HOLDER) if by_holder else BACK_OFFICE),
            door="supposed",
            occurred=received - timedelta(hours=1),
            received=received,
            evidence=self.evidence,
            rules_version=rules.RULES_VERSION,
        )

    def facts(self, received: Instant) -> BackendFacts:
        """What the backend would know; where no product is named, the licence is of one that no rule names."""
        products = self.products or (UNNAMED,)
        licences = tuple(
            LicenceInScope(
                licence=LicenceId(f"licence-{number}"),
                generation=1,
                product=product,
                ticket=Ticket("ticket"),
                value_cents=0 if number else self.value_cents,
                expires=None if self.exposure_days is None else received + timedelta(days=self.exposure_days),
                first_issued=None if self.age_days is None else received - timedelta(days=self.age_days),
            )
            for number, product in enumerate(products)
        )
        return BackendFacts(
            serial=SERIAL,
            kind=self.kind,
            holder=HOLDER,
            last_contact=received if self.contact_after_loss else None,
            flagged=self.flagged,
            licences=licences,
            losses=(received - timedelta(seconds=1),) * self.losses,
        )


class Chosen(Value):
    """Which rule holds for a product, by its number from 1 (None: none, so a supervisor decides), and why."""

    product: ProductId | None
    rule: int | None
    why: str


class Explanation(Value):
    """What would be decided and done, and why. `rule` is the number of the rule that says what is done: the strictest
    of those that hold for the products. `quotas` are those of all of them."""

    decision: Decision
    reasons: tuple[str, ...]
    rule: int | None
    chosen: tuple[Chosen, ...]
    limits: tuple[Found, ...]
    quotas: tuple[str, ...]
    measures: tuple[MeasureToOrder, ...]
    recovery: Recovery
    activation: ActivationBy | None
    """What a machine must bring to be activated; None where none is."""
    wait_hours: int
    stop_gap_days: int | None
    watch_days: int
    may_approve: tuple[PersonId, ...]
    four_eyes: bool
    approval: Approval | None
    resurfaced: Resurfaced


def explain(policy: Policy, supposed: Supposed, received: Instant) -> Explanation:
    """What a policy would decide on a report received at this instant. The kind and reason must make a loss."""
    report, facts = supposed.report(received), supposed.facts(received)
    loss = loss_of(report)
    asked = [one.quota for one in quotas_to_reserve(report, facts, policy)]
    decided = decide_report(report, facts, policy, _reservation(asked, supposed.used, received))
    rule = policy.rule_for(loss, facts)
    person = decided.decision is Decision.NEEDS_APPROVAL
    return Explanation(
        decision=decided.decision,
        reasons=decided.reasons,
        rule=_number(policy, rule),
        chosen=tuple(_chosen(policy, product, loss) for product in supposed.products or (None,)),
        limits=tuple(dict.fromkeys(policy.limits_found(report, facts))),
        quotas=tuple(dict.fromkeys(_quota(quota, supposed) for quota in asked)),
        measures=rule.measures_for(loss),
        recovery=loss.recovery,
        activation=rule.activation_for(loss) if loss.kind is Kind.ACT else None,
        wait_hours=rule.wait_hours,
        stop_gap_days=rule.stop_gap_days if loss.recovery is Recovery.STOP_GAP else None,
        watch_days=rule.watch_days_for(loss),
        may_approve=_may_approve(policy, report, decided) if person else (),
        four_eyes=person and policy.needs_four_eyes(loss, facts),
        approval=rule.approval if person else None,
        resurfaced=rule.resurfaced,
    )


def _reservation(quotas: Sequence[Quota], used: int, at: Instant) -> Reservation | None:
    """What these quotas would answer when so many recoveries are used of each."""
    if not quotas:
        return None
    left = all(used < quota.recoveries for quota in quotas)
    answers = [
        QuotaAnswer(ordinal=used + 1 if left else None, limit=one.recoveries, used_up=used >= one.recoveries)
        for one in quotas
    ]
    return Reservation.of(at, answers)


def _may_approve(policy: Policy, report: LossReported, decided: CaseDecided) -> tuple[PersonId, ...]:
    """Who may approve a case that begins like this."""
    state = fold(fold(None, report), decided)
    everybody = policy.supervisors
    return tuple(who for who in everybody if may_decide(state, Action.APPROVE, who, everybody, policy))


def _number(policy: Policy, rule: Rule) -> int | None:
    return next((number for number, one in enumerate(policy.rules, start=1) if one is rule), None)


def _chosen(policy: Policy, product: ProductId | None, loss: Loss) -> Chosen:
    rule = policy.rule_for_product(product, loss)
    number = _number(policy, rule)
    if number is None:
        return Chosen(product=product, rule=None, why="no rule holds, so a supervisor decides")
    named = [name for name in NAMES if getattr(rule, name)]
    why = f"it names {' and '.join(named)}" if named else "it names nothing and holds for all"
    others = [
        (place, one) for place, one in enumerate(policy.rules, start=1) if one is not rule and one.covers(product, loss)
    ]
    if equal := [place for place, one in others if one.specificity() == rule.specificity()]:
        why += f"; it stands before {_rules(equal)}, which names as much"
    if less := [place for place, one in others if one.specificity() < rule.specificity()]:
        why += f"; it is more specific than {_rules(less)}"
    return Chosen(product=product, rule=number, why=why)


def _rules(numbers: list[int]) -> str:
    return f"rule{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def _quota(quota: Quota, supposed: Supposed) -> str:
    used = min(supposed.used, quota.recoveries)
    term = f"{quota.recoveries} in {quota.term_days} days for each {quota.per}"
    pot = f"counted in the pot {quota.pot_for(supposed.reason)}"
    return f"{term}, {pot}; {used} used, {quota.recoveries - used} left"
