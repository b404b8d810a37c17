"""Contradictions in a policy: settings each of which is good, and which together cannot be meant. Pure.

A sentence names the settings that it is about as `{0}` and `{1}`; whoever tells it puts their names and places there.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

from events.loss_table import LOSSES, Loss
from events.sizes import ESCALATED_TO, POLICY_BYTES, policy_bytes
from events.terms import Kind, Measure, Mode, ProductId, Recovery, Undecided, Watch
from workflows.limits import money
from workflows.policy import Policy, Rule, canonical

HOURS_A_DAY: Final = 24

Path = tuple[str | int, ...]


class Contradicts(StrEnum):
    """The stable codes of contradictions."""

    WATCH_SHORTER_THAN_EXPOSURE = "watch_shorter_than_exposure"
    DUE_AFTER_STOP_GAP = "due_after_stop_gap"
    REMINDER_AFTER_DUE = "reminder_after_due"
    ESCALATION_TO_NOBODY = "escalation_to_nobody"
    ESCALATION_NEVER = "escalation_never"
    FOUR_EYES_OF_ONE = "four_eyes_of_one"
    FOUR_EYES_PASSED_BY = "four_eyes_passed_by"
    NOT_A_SUPERVISOR = "not_a_supervisor"
    NO_SUPERVISOR = "no_supervisor"
    NOBODY_IS_ASKED = "nobody_is_asked"
    NEVER_CHOSEN = "never_chosen"
    NO_SUCH_LOSS = "no_such_loss"
    DELAY_LONGER_THAN_WATCH = "delay_longer_than_watch"
    NOTHING_TO_WITHDRAW = "nothing_to_withdraw"
    DELAYS_OUT_OF_ORDER = "delays_out_of_order"
    NEVER_AUTOMATIC = "never_automatic"
    REPEATED_NAME = "repeated_name"
    NO_EFFECT = "no_effect"
    ESCALATION_TO_TOO_MANY = "escalation_to_too_many"
    POLICY_TOO_LARGE = "policy_too_large"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What contradicts what. `paths` lead to the settings, the one to change first."""

    code: Contradicts
    sentence: str
    paths: tuple[Path, ...]


Chosen = set[tuple[int, ProductId | None, Loss]]
"""Which rule, by its `id`, is chosen for a loss of a product; None stands for all that no rule names."""
Finder = Callable[[Policy, Rule, Path, Sequence[Loss]], Iterator[Contradiction]]
"""Looks at one rule: the policy, the rule, the path to it, and the losses that it is chosen for."""


def contradictions(policy: Policy) -> list[Contradiction]:
    """All contradictions of a policy, rule by rule."""
    found = [*_too_large(policy), *_repeated(policy.supervisors, ("supervisors",))]
    chosen = _chosen(policy)
    for number, rule in enumerate(policy.rules):
        where: Path = ("rules", number)
        losses = [loss for loss in LOSSES if any((id(rule), name, loss) in chosen for name in rule.products or (None,))]
        for name in ("products", "kinds", "reasons"):
            found += _repeated(getattr(rule, name), (*where, name))
        found += _repeated(rule.limits.evidence if rule.limits else (), (*where, "limits", "evidence"))
        for finder in FINDERS:
            found += finder(policy, rule, where, losses)
        found += _never_chosen(policy, rule, where, chosen)
    return found


def _too_large(policy: Policy) -> Iterator[Contradiction]:
    """A policy is stated in one fact, however many rules it has."""
    size = policy_bytes(canonical(policy))
    if size > POLICY_BYTES:
        sentence = (
            f"{{0}} and {{1}} have {size:,} bytes as JSON, without what is as by default; the limit is"
            f" {POLICY_BYTES:,}: join rules that say the same, or name fewer products and people"
        )
        yield Contradiction(Contradicts.POLICY_TOO_LARGE, sentence, (("rules",), ("supervisors",)))


def _chosen(policy: Policy) -> Chosen:
    """Which rule is chosen for which loss of which product."""
    by_product: dict[ProductId | None, list[Rule]] = {None: []}
    for rule in policy.rules:
        for product in rule.products or (None,):
            by_product.setdefault(product, []).append(rule)
    chosen: Chosen = set()
    for product, rules in by_product.items():  # one that names the product comes before all that name none
        alone = policy.model_copy(update={"rules": tuple(rules)})
        chosen |= {(id(alone.rule_for_product(product, loss)), product, loss) for loss in LOSSES}
    return chosen


def _covered(rule: Rule) -> list[Loss]:
    """The losses that a rule could be chosen for."""
    product = rule.products[0] if rule.products else None
    return [loss for loss in LOSSES if rule.covers(product, loss)]


def _repeated(names: Sequence[str], where: Path) -> Iterator[Contradiction]:
    for number, name in enumerate(names):
        if name in names[:number]:
            first = (*where, list(names).index(name))
            yield Contradiction(
                Contradicts.REPEATED_NAME, f"{{0}} is {name}, as {{1}} is; name it once", ((*where, number), first)
            )


def _no_such_loss(policy: Policy, rule: Rule, where: Path, losses: Sequence[Loss]) -> Iterator[Contradiction]:
    """A reason, or else a kind, that goes with none of the other."""
    for name, others in (("reasons", "kinds"), ("kinds", "reasons")):
        possible = _covered(Rule.model_construct(**{others: getattr(rule, others)}))
        goes = sorted({str(loss.reason if name == "reasons" else loss.kind) for loss in possible})
        wrong = [(number, one) for number, one in enumerate(getattr(rule, name)) if one not in goes]
        for number, one in wrong:
            sentence = f"{{0}} is {one}, which goes with none of {{1}}; there go {', '.join(goes)}"
            yield Contradiction(Contradicts.NO_SUCH_LOSS, sentence, ((*where, name, number), (*where, others)))
        if wrong:
            return


def _never_chosen(policy: Policy, rule: Rule, where: Path, chosen: Chosen) -> Iterator[Contradiction]:
    """A rule, or a product in it, that no loss leads to, for others are as specific or more so wherever it holds."""
    covered, names = _covered(rule), rule.products or (None,)
    idle = [place for place, name in enumerate(names) if not any((id(rule), name, loss) in chosen for loss in covered)]
    if not covered or not idle:
        return
    paths = [where] if len(idle) == len(names) else [(*where, "products", place) for place in idle]
    for place, path in zip(idle, paths, strict=False):
        instead = policy.rule_for_product(names[place], covered[0])
        other = next(number for number, one in enumerate(policy.rules) if one is instead)
        more = instead.specificity() > rule.specificity()
        sooner = "is more specific" if more else "stands before it and names as much"
        sentence = f"{{0}} is never chosen: wherever it holds another is, such as {{1}}, which {sooner}; remove it"
        yield Contradiction(Contradicts.NEVER_CHOSEN, sentence, (path, ("rules", other)))


def _people(policy: Policy, rule: Rule, where: Path, losses: Sequence[Loss]) -> Iterator[Contradiction]:
    """Those who are to decide must be there, and allowed to."""
    if rule.mode is not Mode.AUTOMATIC and not policy.supervisors:
        sentence = f"{{0}} is {rule.mode}, but {{1}} names nobody who could decide; name somebody"
        yield Contradiction(Contradicts.NO_SUPERVISOR, sentence, ((*where, "mode"), ("supervisors",)))
        return
    groups = (
        ((*where, "quota", "goodwill"), rule.quota.goodwill if rule.quota else ()),
        ((*where, "approval", "escalate_to"), rule.approval.escalate_to if rule.approval else ()),
    )
    for path, names in groups:
        yield from _repeated(names, path)
        for number, name in enumerate(names):
            if name not in policy.supervisors:
                sentence = (
                    f"{{0}} is {name}, who is not among {{1}} and could not decide; add {name} there, or leave it out"
                )
                yield Contradiction(Contradicts.NOT_A_SUPERVISOR, sentence, ((*path, number), ("supervisors",)))


def _approval(policy: Policy, rule: Rule, where: Path, losses: Sequence[Loss]) -> Iterator[Contradiction]:
    """Deadlines in their order, and an escalation that reaches somebody."""
    approval, at = rule.approval, (*where, "approval")
    if approval is None:
        return
    due, until = (*at, "due_hours"), (*at, "undecided")
    if approval.remind_hours is not None and approval.remind_hours >= approval.due_hours:
        sentence = f"{{0}} is {approval.remind_hours}, but {{1}} is {approval.due_hours}: remind earlier"
        yield Contradiction(Contradicts.REMINDER_AFTER_DUE, sentence, ((*at, "remind_hours"), due))
    if approval.undecided is Undecided.ESCALATE and not approval.escalate_to:
        sentence = "{0} is escalate, but {1} names nobody; name a supervisor"
        yield Contradiction(Contradicts.ESCALATION_TO_NOBODY, sentence, (until, (*at, "escalate_to")))
    if approval.undecided is not Undecided.ESCALATE and approval.escalate_to:
        sentence = (
            f"{{0}} names people, but {{1}} is {approval.undecided}: write undecided: escalate, or leave them out"
        )
        yield Contradiction(Contradicts.ESCALATION_NEVER, sentence, ((*at, "escalate_to"), until))
    if approval.undecided is Undecided.ESCALATE and len(approval.escalate_to) > ESCALATED_TO:
        many = len(approval.escalate_to)
        sentence = f"{{0}} names {many} people, but by {{1}} a case is escalated to at most {ESCALATED_TO}; name fewer"
        yield Contradiction(Contradicts.ESCALATION_TO_TOO_MANY, sentence, ((*at, "escalate_to"), until))
    bridged = any(loss.recovery is Recovery.STOP_GAP for loss in losses)
    if bridged and approval.due_hours > rule.stop_gap_days * HOURS_A_DAY:
        ends = rule.stop_gap_days * HOURS_A_DAY
        sentence = f"{{0}} is {approval.due_hours}, but {{1}} ends a stop-gap after {ends} hours; write {ends} or less"
        yield Contradiction(Contradicts.DUE_AFTER_STOP_GAP, sentence, (due, (*where, "stop_gap_days")))


def _nobody_is_asked(policy: Policy, rule: Rule, where: Path, losses: Sequence[Loss]) -> Iterator[Contradiction]:
    """An automatic rule asks nobody."""
    for name in ("approval", "four_eyes_above_cents"):
        if rule.mode is Mode.AUTOMATIC and getattr(rule, name) is not None:
            sentence = "{0} is of no use where {1} is automatic and nobody is asked; write mode: hybrid or manual"
            yield Contradiction(Contradicts.NOBODY_IS_ASKED, sentence, ((*where, name), (*where, "mode")))


def _four_eyes(policy: Policy, rule: Rule, where: Path, losses: Sequence[Loss]) -> Iterator[Contradiction]:
    """Two different supervisors must exist, and be asked."""
    above, path = rule.four_eyes_above_cents, (*where, "four_eyes_above_cents")
    if above is None or rule.mode is Mode.AUTOMATIC:
        return
    if len(set(policy.supervisors)) == 1:
        sentence = "{0} asks for two different supervisors, but {1} names one; name another"
        yield Contradiction(Contradicts.FOUR_EYES_OF_ONE, sentence, (path, ("supervisors",)))
    approval = rule.approval
    if approval and approval.undecided is Undecided.ESCALATE and len(set(approval.escalate_to)) == 1:
        sentence = "{0} asks for two different supervisors, but {1} names one; name another, or leave four eyes out"
        yield Contradiction(Contradicts.FOUR_EYES_OF_ONE, sentence, (path, (*where, "approval", "escalate_to")))
    limit = rule.limits.value_above_cents if rule.limits else None
    if rule.mode is Mode.HYBRID and (limit is None or limit > above):
        passes = "any value" if limit is None else f"up to {money(limit)}"
        sentence = (
            f"{{0}} has two supervisors approve above {money(above)}, but by {{1}} policy decides alone on {passes};"
            f" write limits: value_above_cents: {above} or less"
        )
        yield Contradiction(Contradicts.FOUR_EYES_PASSED_BY, sentence, (path, (*where, "limits", "value_above_cents")))


def _watch(policy: Policy, rule: Rule, where: Path, losses: Sequence[Loss]) -> Iterator[Contradiction]:
    """What is watched for must be able to turn up within the watch."""
    watched = [loss for loss in losses if loss.watch in (Watch.SHORT, Watch.LONG)]
    if not watched:
        return
    shortest = min(watched, key=rule.watch_days_for)
    watch, at = rule.watch_days_for(shortest), (*where, "watch_days")
    lost = f"{shortest.kind} {shortest.reason.replace('_', ' ')}"
    exposure = rule.limits.exposure_above_days if rule.limits else None
    if exposure is not None and watch < exposure:
        sentence = (
            f"{{0}} makes a watch of {watch} days ({lost}), but by {{1}} what is lost may run for {exposure} days"
            f" before a person is asked; write watch_days: {exposure} or more"
        )
        path = (*where, "limits", "exposure_above_days")
        yield Contradiction(Contradicts.WATCH_SHORTER_THAN_EXPOSURE, sentence, (at, path))
    for number, ordered in enumerate(rule.measures or ()):
        if ordered.delay_hours > watch * HOURS_A_DAY:
            sentence = (
                f"{{0}} is {ordered.delay_hours}, longer than the watch of {watch} days ({lost}) by {{1}}, which would"
                f" be over before the measure takes effect; write {watch * HOURS_A_DAY} or less"
            )
            path = (*where, "measures", number, "delay_hours")
            yield Contradiction(Contradicts.DELAY_LONGER_THAN_WATCH, sentence, (path, at))


def _measures(policy: Policy, rule: Rule, where: Path, losses: Sequence[Loss]) -> Iterator[Contradiction]:
    """Measures take effect in their order, each once."""
    measures, at = rule.measures or (), (*where, "measures")
    yield from _repeated([ordered.measure for ordered in measures], at)
    cloud = next((loss for loss in losses if loss.kind is Kind.CLOUD and loss.measures), None)
    for number, ordered in enumerate(measures):
        if cloud and ordered.measure is Measure.WITHDRAWAL:
            sentence = (
                f"{{0}} is {ordered.measure}, but {{1}} is chosen for {cloud.kind} {cloud.reason} too, where nothing"
                " can be removed; leave it out, or write a rule with other measures for kinds: [cloud]"
            )
            yield Contradiction(Contradicts.NOTHING_TO_WITHDRAW, sentence, ((*at, number), where))
    for number, (before, after) in enumerate(pairwise(measures), start=1):
        if after.delay_hours < before.delay_hours:
            sentence = (
                f"{{0}} takes effect after {after.delay_hours} hours, before {{1}}, which stands first and takes"
                f" {before.delay_hours}; put them in the order in which they take effect"
            )
            yield Contradiction(Contradicts.DELAYS_OUT_OF_ORDER, sentence, ((*at, number), (*at, number - 1)))


def _never_automatic(policy: Policy, rule: Rule, where: Path, losses: Sequence[Loss]) -> Iterator[Contradiction]:
    """A hybrid rule decides something by itself, or its mode is manual."""
    limits, at = rule.limits, (*where, "limits")
    older = limits.licence_older_than_days if limits else None
    younger = limits.licence_younger_than_days if limits else None
    if older is not None and younger is not None and younger > older:
        sentence = (
            f"{{0}} is {younger} and {{1}} is {older}, so every licence is too young or too old; write mode: manual"
        )
        paths = ((*at, "licence_younger_than_days"), (*at, "licence_older_than_days"))
        yield Contradiction(Contradicts.NEVER_AUTOMATIC, sentence, paths)
    if rule.quota and rule.quota.recoveries == 0:
        sentence = "{0} is 0, so nothing is decided by itself though {1} is hybrid; write 1 or more, or mode: manual"
        paths = ((*where, "quota", "recoveries"), (*where, "mode"))
        yield Contradiction(Contradicts.NEVER_AUTOMATIC, sentence, paths)


def _no_effect(policy: Policy, rule: Rule, where: Path, losses: Sequence[Loss]) -> Iterator[Contradiction]:
    """Settings for losses that the rule is not for."""
    uses: dict[str, tuple[bool, str]] = {
        "measures": (any(loss.measures for loss in losses), "nothing is blocked"),
        "watch_days": (
            any(loss.watch in (Watch.SHORT, Watch.LONG) for loss in losses),
            "nothing is watched for so long",
        ),
        "stop_gap_days": (any(loss.recovery is Recovery.STOP_GAP for loss in losses), "there is no stop-gap"),
        "activation": (any(loss.kind is Kind.ACT for loss in losses), "no machine is activated"),
        "match": (any(loss.recovery is Recovery.REISSUE for loss in losses), "no machine must be the same"),
    }
    for name, (used, why) in uses.items():
        if losses and not used and getattr(rule, name) != Rule.model_fields[name].default:
            sentence = f"{{0}} has no effect: with the losses that {{1}} is chosen for, {why}; remove it"
            yield Contradiction(Contradicts.NO_EFFECT, sentence, ((*where, name), where))


FINDERS: tuple[Finder, ...] = (
    _no_such_loss,
    _people,
    _approval,
    _nobody_is_asked,
    _four_eyes,
    _watch,
    _measures,
    _never_automatic,
    _no_effect,
)
