"""Policy: a vendor's rules as data, and the decision as a pure function of them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BeforeValidator, ConfigDict, JsonValue, ValidationError, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from events.adoption import Between, Items, is_adopted
from events.case_facts import BackendFacts, CaseDecided, LicenceInScope, LossReported, QuotaAnswer
from events.loss_table import Loss
from events.ports.licensing_backend import MeasureToOrder, Reservation
from events.sizes import REASON_CHARACTERS, REASONS
from events.terms import (
    RECOVERIES,
    SAME_HARDWARE,
    ActivationBy,
    Cause,
    Decision,
    Kind,
    Match,
    Measure,
    Mode,
    Outcome,
    PersonId,
    PotName,
    ProductId,
    QuotaSubject,
    Reason,
    Recovery,
    Undecided,
    Verdict,
    Watch,
)
from workflows.limits import CENTS_LIMIT, Found, Limits, Setting, Totals, value_cents

STRICTNESS = (Mode.AUTOMATIC, Mode.HYBRID, Mode.MANUAL)
WATCH_DAYS = {Watch.NONE: 0, Watch.SHORT: 30, Watch.LONG: 365}
BY_CODE = (Reason.HARDWARE_REPLACED, Reason.COMPUTER_STOLEN)
"""The losses after which a machine needs a code to be activated, where policy says nothing else."""
RECOVERS = {
    Recovery.NEXT_GENERATION: "replaces a {reason} {kind}",
    Recovery.STOP_GAP: "bridges a {reason} {kind}",
    Recovery.REISSUE: "reissues an {kind} on the {reason}",
    Recovery.RESET: "resets {reason} access data",
    Recovery.ROTATION: "rotates {reason} access data",
}
"""What a decision says that policy does, in words."""

MeasureRule = Annotated[
    MeasureToOrder,
    BeforeValidator(
        lambda given: {"measure": given} if isinstance(given, str) else given,
        json_schema_input_type=Measure | MeasureToOrder,
    ),
]
"""A measure of a rule: its name alone, or with a delay."""
People = Annotated[tuple[PersonId, ...], Items(1000)]
HarmlessVerdict = Literal[Verdict.FOUND, Verdict.DAMAGED]
"""A verdict that policy may give by itself; every other one needs a person."""


def _mode_with_its_settings(schema: dict[str, Any]) -> None:
    """Say in the JSON Schema of a rule what its validator says: a quota and limits go with the mode hybrid."""
    given = {"type": "object"}
    schema["if"] = {"properties": {"mode": {"const": "hybrid"}}, "required": ["mode"]}
    schema["then"] = {"anyOf": [{"properties": {name: given}, "required": [name]} for name in ("quota", "limits")]}
    schema["else"] = {"properties": {name: {"type": "null"} for name in ("quota", "limits")}}


class Quota(Setting):
    """How many recoveries policy grants by itself in a rolling term, counted from the receipt of each report."""

    per: QuotaSubject = QuotaSubject.HOLDER
    """What the recoveries are counted for."""
    recoveries: Annotated[int, Between(0, 1000)]
    """So many recoveries in the term; the next goes to a person."""
    term_days: Annotated[int, Between(1, 3660)] = 365
    """How long a recovery counts."""
    pot: PotName | None = None
    """The pot that the recoveries are counted in, by its name; rules whose quotas name the same pot share it. If not
    given, `same_hardware` for losses with that reason and `recoveries` for all others."""
    goodwill: People = ()
    """The supervisors who may approve beyond the quota; every supervisor, if none is named."""

    def pot_for(self, reason: Reason) -> PotName:
        """The pot in which a recovery from this loss counts."""
        return self.pot or (SAME_HARDWARE if reason is Reason.SAME_HARDWARE else RECOVERIES)

    def subjects(self, facts: BackendFacts, licences: Sequence[LicenceInScope]) -> tuple[str, ...]:
        """What the quota is counted for in a case that loses these licences under its rule, such as `holder/H-17`."""
        match self.per:
            case QuotaSubject.HOLDER:
                names: list[str] = [facts.holder]
            case QuotaSubject.CONTAINER:
                names = [facts.serial]
            case QuotaSubject.LICENCE:
                names = [item.licence for item in licences]
            case QuotaSubject.PRODUCT:
                names = sorted({item.product for item in licences})
        return tuple(f"{self.per}/{name}" for name in names) or (f"{QuotaSubject.CONTAINER}/{facts.serial}",)


class Approval(Setting):
    """What happens while a case waits for a supervisor; all times count from when it began to wait."""

    due_hours: Annotated[int, Between(1, 8760)]
    """When somebody must have decided."""
    remind_hours: Annotated[int, Between(1, 8760)] | None = None
    """When the supervisors are reminded; never, if not given."""
    undecided: Undecided = Undecided.KEEP_WAITING
    """What happens when nobody has decided in time; a case is never approved by itself."""
    escalate_to: People = ()
    """The supervisors whom the case is then escalated to."""


class Resurfaced(Setting):
    """The verdict on a lost container that came back to its owners; a sighting always waits for a person."""

    found: HarmlessVerdict | None = None
    """When somebody says that it is found; a supervisor rules, if not given."""
    returned: HarmlessVerdict | None = None
    """When the vendor has it back in its hands; a supervisor rules, if not given."""

    def verdict_for(self, cause: Cause) -> Verdict | None:
        """What policy rules by itself, or None where a person must."""
        return {Cause.SIGHTING: None, Cause.FOUND: self.found, Cause.RETURNED: self.returned}[cause]


class Rule(Setting):
    """What holds for some products, kinds and reasons, or for all where it names none."""

    model_config = ConfigDict(json_schema_extra=_mode_with_its_settings)

    products: Annotated[tuple[ProductId, ...], Items(1000)] = ()
    """The products that the rule is for; all, if none is named."""
    kinds: tuple[Kind, ...] = ()
    """The kinds of container that the rule is for; all, if none is named."""
    reasons: tuple[Reason, ...] = ()
    """The reasons of loss that the rule is for; all, if none is named."""
    mode: Mode = Mode.AUTOMATIC
    """Who decides: policy (`automatic`), a supervisor (`manual`), or policy until the quota or a limit is reached and
    then a supervisor (`hybrid`)."""
    quota: Quota | None = None
    """How many recoveries policy grants by itself; goes with the mode `hybrid`."""
    limits: Limits | None = None
    """What sends a report to a person, whatever the quota says; goes with the mode `hybrid`."""
    approval: Approval | None = None
    """Deadlines for the supervisor; without it a case waits for as long as it takes."""
    four_eyes_above_cents: Annotated[int, Between(0, CENTS_LIMIT)] | None = None
    """Where licences worth more than this together go to a person, two different supervisors must approve."""
    wait_hours: Annotated[int, Between(0, 8760)] = 0
    """How long after the decision the replacement waits; what is lost is blocked meanwhile."""
    measures: Annotated[tuple[MeasureRule, ...], Items(10)] | None = None
    """The blocking measures in their order, each by its name or with its `delay_hours`; if not given, those that the
    table of losses has."""
    watch_days: Annotated[int, Between(1, 3660)] | None = None
    """How long the case watches for what was lost, after the replacement; if not given, as the table of losses has it.
    Damaged containers are watched for `stop_gap_days`."""
    stop_gap_days: Annotated[int, Between(1, 366)] = 30
    """How long the stop-gap for a damaged container runs; by then it must be back."""
    resurfaced: Resurfaced = Resurfaced()
    """The verdict that policy gives by itself when what was lost comes back."""
    match: Match = Match.MOST
    """How many factors of a machine's fingerprint must be as they were for it to count as the same hardware."""
    activation: ActivationBy | None = None
    """What a machine must bring to be activated for a case: the one-time `code`, or nothing (`any`); if not given,
    `code` where the machine was stolen or replaced, else `any`."""

    automatic_after_rejection: bool = False
    """Whether policy decides by itself on a new report of a loss that was rejected before; else a supervisor does,
    until a report of it is approved."""

    @model_validator(mode="after")
    def _limits_go_with_hybrid(self, info: ValidationInfo) -> Self:
        if not is_adopted(info):
            return self
        given = [name for name in ("quota", "limits") if getattr(self, name) is not None]
        if self.mode is Mode.HYBRID and not given:
            raise PydanticCustomError("hybrid_without_limit", "the mode hybrid needs a quota or limits, or both")
        if self.mode is not Mode.HYBRID and given:
            names = " and ".join(given)
            raise PydanticCustomError("limit_without_hybrid", f"{names} go with the mode hybrid, and only with it")
        return self

    def specificity(self) -> tuple[bool, bool, bool]:
        """What it names, the weightiest first."""
        return bool(self.products), bool(self.kinds), bool(self.reasons)

    def covers(self, product: ProductId | None, loss: Loss) -> bool:
        """Whether it holds for this loss of this product."""
        return (not self.products or product in self.products) and self.is_for(loss)

    def is_for(self, loss: Loss) -> bool:
        """Whether it holds for this loss of one of its products."""
        return loss.kind in (self.kinds or (loss.kind,)) and loss.reason in (self.reasons or (loss.reason,))

    def strictness(self) -> tuple[int, bool, int]:
        """The higher, the sooner a person decides: by mode, then by how little its quota allows."""
        return STRICTNESS.index(self.mode), self.quota is not None, -(self.quota.recoveries if self.quota else 0)

    def limits_found(self, report: LossReported, facts: BackendFacts, totals: Totals | None = None) -> list[Found]:
        """What its limits say of a report; a hybrid rule without any still looks for a contact after the loss."""
        return (self.limits or Limits()).found(report, facts, totals) if self.mode is Mode.HYBRID else []

    def needs_four_eyes(self, worth_cents: int) -> bool:
        """Whether two different supervisors must approve what is worth so much."""
        return self.four_eyes_above_cents is not None and worth_cents > self.four_eyes_above_cents

    def measures_for(self, loss: Loss) -> tuple[MeasureToOrder, ...]:
        """The measures of a loss, in their order."""
        if self.measures is not None and loss.measures:
            return self.measures
        return tuple(MeasureToOrder(measure=measure) for measure in loss.measures)

    def activation_for(self, loss: Loss) -> ActivationBy:
        """What a machine must bring to be activated for a loss."""
        default = ActivationBy.CODE if loss.reason in BY_CODE else ActivationBy.ANY
        return self.activation or default

    def watch_days_for(self, loss: Loss) -> int:
        """How long to watch after the replacement, in days."""
        if loss.watch is Watch.UNTIL_RETURNED:
            return self.stop_gap_days
        if loss.watch is Watch.NONE:
            return 0
        return self.watch_days or WATCH_DAYS[loss.watch]


class Policy(Setting):
    """One version of a vendor's rules. A case keeps the version that it was decided under."""

    policy_version: Annotated[int, Between(1, 10**9)] = 1
    """Given when the policy is adopted; what a file says here is not read."""
    supervisors: People = ()
    """Who may decide on the vendor's cases."""
    rules: Annotated[tuple[Rule, ...], Items(1000, least=1)] = (Rule(),)
    """Of the rules that hold for a loss the most specific one is chosen: one that names products before one that names
    kinds before one that names reasons, and of equals the first. Where none holds, a supervisor decides."""

    def rules_for(self, loss: Loss, facts: BackendFacts) -> list[Rule]:
        """The rules that the products in a loss fall under, each once, the strictest first. They are those of what it
        blocks where other cases recover all that was lost."""
        return self.rules_for_products(loss, [item.product for item in facts.licences] or facts.products)

    def rules_for_products(self, loss: Loss, lost: Iterable[ProductId]) -> list[Rule]:
        """The rules that these products fall under when they are lost, each once, the strictest first."""
        chosen, otherwise = self._chosen(loss), Rule(mode=Mode.MANUAL)
        products: list[ProductId | None] = list(dict.fromkeys(lost))
        found = [chosen.get(product) or chosen.get(None) or otherwise for product in products or [None]]
        return sorted({id(rule): rule for rule in found}.values(), key=Rule.strictness, reverse=True)

    def one_of_each(self, loss: Loss, lost: Iterable[ProductId]) -> list[ProductId]:
        """Of these products one for each rule that they fall under when they are lost, the strictest rule's first."""
        chosen, otherwise = self._chosen(loss), Rule(mode=Mode.MANUAL)
        first: dict[int, tuple[Rule, ProductId]] = {}
        for product in lost:
            rule = chosen.get(product) or chosen.get(None) or otherwise
            first.setdefault(id(rule), (rule, product))
        return [product for _, product in sorted(first.values(), key=lambda one: one[0].strictness(), reverse=True)]

    def licences_by_rule(self, loss: Loss, facts: BackendFacts) -> list[tuple[Rule, tuple[LicenceInScope, ...]]]:
        """The rules that the products in a loss fall under, the strictest first, each with the licences under it."""
        chosen, rules = self._chosen(loss), self.rules_for(loss, facts)
        under: dict[int, list[LicenceInScope]] = {id(rule): [] for rule in rules}
        for item in facts.licences:
            rule = chosen.get(item.product) or chosen.get(None)
            if rule is not None:
                under[id(rule)].append(item)
        return [(rule, tuple(under[id(rule)])) for rule in rules]

    def limits_found(self, report: LossReported, facts: BackendFacts) -> list[Found]:
        """What the limits of all rules for a loss say of a report, the strictest rule's first."""
        totals = Totals(facts)
        rules = self.rules_for(loss_of(report), facts)
        return [one for rule in rules for one in rule.limits_found(report, facts, totals)]

    def rule_for(self, loss: Loss, facts: BackendFacts) -> Rule:
        """The strictest rule for a loss: it says what is done, while the limits of all rules for it are heeded."""
        return self.rules_for(loss, facts)[0]

    def needs_four_eyes(self, loss: Loss, facts: BackendFacts) -> bool:
        """Whether two different supervisors must approve, by any of the rules for a loss."""
        worth_cents = value_cents(facts)
        return any(rule.needs_four_eyes(worth_cents) for rule in self.rules_for(loss, facts))

    def rule_for_product(self, product: ProductId | None, loss: Loss) -> Rule:
        """The most specific that covers it, of equals the first; a person decides where none does."""
        chosen = self._chosen(loss)
        return chosen.get(product) or chosen.get(None) or Rule(mode=Mode.MANUAL)

    def _chosen(self, loss: Loss) -> dict[ProductId | None, Rule]:
        """The rule for a loss of each product that any rule names; None stands for all others, if a rule holds there.
        A container may hold thousands of products: the rules are gone through once for all of them."""
        chosen: dict[ProductId | None, Rule] = {}
        for rule in self.rules:
            if not rule.is_for(loss):
                continue
            for product in rule.products or (None,):
                before = chosen.get(product)
                if before is None or rule.specificity() > before.specificity():
                    chosen[product] = rule
        return chosen


def canonical(policy: Policy) -> dict[str, JsonValue]:
    """A policy as it is stored and stated: JSON with sorted keys, without its version and without what is as it would
    be if it were not given. What a setting is by default therefore never changes."""
    plain = policy.model_dump(mode="json", exclude_defaults=True, exclude={"policy_version"})
    return cast(dict[str, JsonValue], json.loads(json.dumps(plain, sort_keys=True)))


class UnreadablePolicyError(ValueError):
    """A stored version of a policy that this release cannot read."""


def read_policy(stored: JsonValue) -> Policy:
    """A version of a policy as it was adopted, whatever holds for one that is adopted now. Raises
    `UnreadablePolicyError` for a setting or word that this release does not know."""
    try:
        return Policy.model_validate(stored)
    except ValidationError as error:
        version = stored.get("policy_version") if isinstance(stored, dict) else None
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise UnreadablePolicyError(
            f"version {version} of the policy cannot be read by this release ({where}: {first['msg']}); run a release"
            " that knows it, then resume the case, or give the case up"
        ) from error


def loss_of(report: LossReported) -> Loss:
    """The row of the table of losses that a report falls under."""
    loss = Loss.of(report.kind, report.reason)
    assert loss is not None, "an accepted report is of a loss in the table"
    return loss


def needs_person(report: LossReported, facts: BackendFacts, policy: Policy) -> list[str]:
    """Why a person must decide whatever the quota says, in words; empty where none must."""
    rules = policy.rules_for(loss_of(report), facts)
    if rules[0].mode is Mode.MANUAL:
        return [f"policy has a supervisor decide on every {_words(report.reason)} {report.kind} of these products"]
    found = [one.sentence for one in policy.limits_found(report, facts) if one.exceeded]
    rejected = report.rejected or (report.former if facts.former_outcome is Outcome.REJECTED else None)
    if rejected and not all(rule.automatic_after_rejection for rule in rules):
        found.insert(0, f"an earlier report of this loss was rejected, in case {rejected}")
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class AskedQuota:
    """The quota of a rule for a loss, and what it is counted for there."""

    rule: Rule
    quota: Quota
    subjects: tuple[str, ...]


def quotas_to_reserve(report: LossReported, facts: BackendFacts, policy: Policy) -> list[AskedQuota]:
    """The quotas in each of which one recovery must be set aside before policy decides, whether it then decides by
    itself or sends the case to a person: who approves one beyond them must be one who may. Under the first rules only
    before it decided by itself."""
    if _nothing_to_recover(report, facts):
        return []
    if report.rules_version < 2 and needs_person(report, facts, policy):
        return []
    return _quotas_of(report, facts, policy)


def _quotas_of(report: LossReported, facts: BackendFacts, policy: Policy) -> list[AskedQuota]:
    """The quotas of all rules for a loss, the strictest rule's first, each for the licences under its rule. Under the
    first rules the strictest one's alone, for all licences."""
    loss = loss_of(report)
    rules = policy.licences_by_rule(loss, facts)
    if report.rules_version < 2:
        rules = [(policy.rule_for(loss, facts), facts.licences)]
    return [
        AskedQuota(rule, rule.quota, rule.quota.subjects(facts, licences)) for rule, licences in rules if rule.quota
    ]


def may_approve_beyond(
    person: PersonId, report: LossReported, facts: BackendFacts, policy: Policy, answers: Sequence[QuotaAnswer]
) -> bool:
    """Whether this supervisor may approve a case beyond the quotas that are used up, by what several `answered`; of a
    single one nothing need be said.

    Each of them must let the person do so. Where they name nobody in common, whom one of them names, may.
    """
    asked = _quotas_of(report, facts, policy)
    used_up = [one for one, answer in zip(asked, answers, strict=False) if answer.used_up] or asked[:1]
    named = [set(one.quota.goodwill) for one in used_up if one.quota.goodwill]
    return not named or person in (set.intersection(*named) or set.union(*named))


def decide_report(
    report: LossReported, facts: BackendFacts, policy: Policy, reservation: Reservation | None
) -> CaseDecided:
    """What policy says of a report, with its reasons in words."""
    loss = loss_of(report)

    def decided(decision: Decision, *reasons: str) -> CaseDecided:
        return CaseDecided(
            decision=decision,
            reasons=_bounded(reasons),
            policy_version=policy.policy_version,
            facts=facts,
            ordinal=reservation.ordinal if reservation else None,
            limit=reservation.limit if reservation else None,
        )

    nothing = _nothing_to_recover(report, facts)
    if nothing and report.beside is None:
        return decided(Decision.REFUSED, f"container {facts.serial} holds no licence that could be replaced")
    asked = quotas_to_reserve(report, facts, policy)
    answers = reservation.answers if reservation is not None else ()
    several = len(answers) > 1
    exhausted = [_used_up(one, answer, several) for one, answer in zip(asked, answers, strict=False) if answer.used_up]
    if reasons := needs_person(report, facts, policy):
        return decided(Decision.NEEDS_APPROVAL, *reasons, *exhausted)
    recovers = RECOVERS[loss.recovery].format(reason=_words(report.reason), kind=report.kind)
    sentence = f"policy version {policy.policy_version} {recovers} at once"
    if nothing:
        why = f"what was in it is of case {report.beside}; this one blocks and watches"
        return decided(Decision.AUTOMATIC, f"{why}, as policy version {policy.policy_version} says")
    if not asked:
        return decided(Decision.AUTOMATIC, sentence)
    assert reservation is not None, "policy may not decide before the quota was asked"
    if exhausted:
        return decided(Decision.NEEDS_APPROVAL, *exhausted)
    counted = ", ".join(f"{answer.ordinal} of {answer.limit}" for answer in answers)
    return decided(Decision.AUTOMATIC, f"{sentence}: recovery {counted}")


def _used_up(asked: AskedQuota, answer: QuotaAnswer, several: bool) -> str:
    """That a quota is used up, in words; of several also by which rule."""
    used = f"{answer.limit} of {answer.limit} recoveries in {asked.quota.term_days} days are used"
    which = f", by the rule for {', '.join(asked.rule.products) or 'all other products'}" if several else ""
    return f"{used} for this {asked.quota.per}{which}"


def _bounded(reasons: Sequence[str]) -> tuple[str, ...]:
    """The reasons as a decision states them: hundreds of rules may have one each."""
    cut = [one if len(one) <= REASON_CHARACTERS else f"{one[: REASON_CHARACTERS - 3]}..." for one in reasons]
    return tuple(cut if len(cut) <= REASONS else [*cut[: REASONS - 1], f"and {len(cut) - REASONS + 1} more reasons"])


def _nothing_to_recover(report: LossReported, facts: BackendFacts) -> bool:
    return not facts.licences and report.kind is not Kind.CLOUD


def _words(reason: Reason) -> str:
    return reason.replace("_", " ")
