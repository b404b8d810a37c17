"""What policy says of a report: pure, total, and with its reasons in words."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from events.adoption import ADOPTING
from events.case_facts import QuotaAnswer
from events.loss_table import LOSSES, Loss
from events.ports.licensing_backend import Reservation
from events.terms import ActivationBy, Decision, Kind, Match, Mode, QuotaSubject, Reason, Verdict, Watch
from tests.unit.facts import NOW, facts, licence, report
from workflows.limits import Limits
from workflows.policy import (
    STRICTNESS,
    Policy,
    Quota,
    Resurfaced,
    Rule,
    canonical,
    decide_report,
    loss_of,
    quotas_to_reserve,
)

QUOTA = Quota(per=QuotaSubject.HOLDER, recoveries=2, term_days=365)
AUTOMATIC = Rule(products=("cad",))
HYBRID = Rule(products=("cam",), mode=Mode.HYBRID, quota=QUOTA)
MANUAL = Rule(products=("plm",), mode=Mode.MANUAL)
LOST = loss_of(report())
POLICY = Policy(rules=(AUTOMATIC, HYBRID, MANUAL))


def reserved(ordinal: int | None) -> Reservation:
    return Reservation(at=NOW, ordinal=ordinal, limit=2)


def test_automatic_replaces_at_once() -> None:
    decided = decide_report(report(), facts(licence(product="cad")), POLICY, None)

    assert decided.decision is Decision.AUTOMATIC


TWO = Policy(
    rules=(
        Rule(products=("cad",), mode=Mode.HYBRID, quota=Quota(per=QuotaSubject.PRODUCT, recoveries=1)),
        Rule(products=("plm",), mode=Mode.HYBRID, quota=Quota(recoveries=2, term_days=30)),
        MANUAL.model_copy(update={"products": ("erp",)}),
    )
)


def test_a_loss_under_several_rules_is_automatic_only_while_none_of_their_quotas_is_used_up() -> None:
    said, known = report(rules_version=2), facts(licence(1), licence(2, product="plm"))
    left = [QuotaAnswer(ordinal=1, limit=1), QuotaAnswer(ordinal=2, limit=2)]
    used = [QuotaAnswer(ordinal=None, limit=1), QuotaAnswer(ordinal=None, limit=2, used_up=True)]

    within = decide_report(said, known, TWO, Reservation.of(NOW, left))
    beyond = decide_report(said, known, TWO, Reservation.of(NOW, used))

    assert (within.decision, within.ordinal, within.limit) == (Decision.AUTOMATIC, 1, 1)
    assert within.reasons[0].endswith("recovery 1 of 1, 2 of 2")
    assert (beyond.decision, beyond.ordinal, beyond.limit) == (Decision.NEEDS_APPROVAL, None, 2)
    assert beyond.reasons == ("2 of 2 recoveries in 30 days are used for this holder, by the rule for plm",)


def test_a_quota_is_asked_though_another_rule_has_a_person_decide() -> None:
    said, known = report(rules_version=2), facts(licence(1, product="plm"), licence(2, product="erp"))
    used = Reservation(at=NOW, ordinal=None, limit=2)

    decided = decide_report(said, known, TWO, used)

    assert [one.subjects for one in quotas_to_reserve(said, known, TWO)] == [("holder/h-1",)]
    assert decided.reasons[1:] == ("2 of 2 recoveries in 30 days are used for this holder",)


def test_of_several_quotas_the_one_that_has_least_left_is_told_and_one_that_is_used_up_first() -> None:
    answers = [QuotaAnswer(ordinal=1, limit=3), QuotaAnswer(ordinal=4, limit=5), QuotaAnswer(ordinal=1, limit=9)]
    gone = [QuotaAnswer(ordinal=None, limit=3), QuotaAnswer(ordinal=None, limit=5, used_up=True)]

    sentence, none, single = (Reservation.of(NOW, some) for some in (answers, gone, answers[:1]))

    assert (sentence.ordinal, sentence.limit, sentence.answers) == (4, 5, tuple(answers))
    assert (none.ordinal, none.limit, none.answers) == (None, 5, tuple(gone))
    assert (single.ordinal, single.limit, single.quotas, single.answers) == (1, 3, (), tuple(answers[:1]))


def test_manual_asks_a_supervisor() -> None:
    decided = decide_report(report(), facts(licence(product="plm")), POLICY, None)

    assert decided.decision is Decision.NEEDS_APPROVAL
    assert decided.reasons == ("policy has a supervisor decide on every lost dongle of these products",)


def test_hybrid_is_automatic_while_the_quota_lasts_and_then_asks_a_supervisor() -> None:
    known = facts(licence(product="cam"))

    within = decide_report(report(), known, POLICY, reserved(2))
    beyond = decide_report(report(), known, POLICY, reserved(None))

    assert (within.decision, within.ordinal, within.limit) == (Decision.AUTOMATIC, 2, 2)
    assert (beyond.decision, beyond.ordinal, beyond.limit) == (Decision.NEEDS_APPROVAL, None, 2)
    assert beyond.reasons == ("2 of 2 recoveries in 365 days are used for this holder",)


def test_hybrid_asks_a_supervisor_when_the_container_reported_in_after_its_loss() -> None:
    later = facts(licence(product="cam"), last_contact=NOW)
    before = facts(licence(product="cam"), last_contact=NOW - timedelta(days=2))

    assert quotas_to_reserve(report(), later, POLICY) == []
    assert decide_report(report(), later, POLICY, None).decision is Decision.NEEDS_APPROVAL
    assert [one.quota for one in quotas_to_reserve(report(), before, POLICY)] == [QUOTA]


@given(products=st.lists(st.sampled_from(["cad", "cam", "plm", "other"]), min_size=1, max_size=4))
def test_the_strictest_rule_of_the_products_holds(products: list[str]) -> None:
    modes = {"cad": Mode.AUTOMATIC, "cam": Mode.HYBRID, "plm": Mode.MANUAL, "other": Mode.MANUAL}
    known = facts(*(licence(number, product=product) for number, product in enumerate(products)))

    assert POLICY.rule_for(LOST, known).mode is max((modes[product] for product in products), key=STRICTNESS.index)


def test_a_rule_without_products_holds_for_those_that_no_other_names() -> None:
    policy = Policy(rules=(Rule(mode=Mode.AUTOMATIC), MANUAL))

    assert policy.rule_for(LOST, facts(licence(product="cad"))).mode is Mode.AUTOMATIC
    assert policy.rule_for(LOST, facts(licence(product="plm"))).mode is Mode.MANUAL


@pytest.mark.parametrize(
    ("per", "subjects"),
    [
        (QuotaSubject.HOLDER, ("holder/h-1",)),
        (QuotaSubject.CONTAINER, ("container/3-1",)),
        (QuotaSubject.LICENCE, ("licence/L-1", "licence/L-2")),
        (QuotaSubject.PRODUCT, ("product/cad",)),
    ],
)
def test_a_quota_is_counted_for_its_subject(per: QuotaSubject, subjects: tuple[str, ...]) -> None:
    known = facts(licence(1), licence(2), licence(3, product="plm"))

    assert Quota(per=per, recoveries=1).subjects(known, known.licences[:2]) == subjects


@pytest.mark.parametrize("mode", list(Mode))
def test_an_empty_container_is_refused_in_every_mode(mode: Mode) -> None:
    policy = Policy(rules=(Rule(mode=mode, quota=QUOTA if mode is Mode.HYBRID else None),))

    assert quotas_to_reserve(report(), facts(), policy) == []
    assert decide_report(report(), facts(), policy, None).decision is Decision.REFUSED


def test_a_quota_goes_with_the_mode_hybrid_and_only_with_it() -> None:
    for mode, quota in ((Mode.AUTOMATIC, QUOTA), (Mode.MANUAL, QUOTA), (Mode.HYBRID, None)):
        rule = Rule(mode=mode, quota=quota).model_dump()
        with pytest.raises(ValidationError, match="quota"):
            Rule.model_validate(rule, context=ADOPTING)


def test_the_most_specific_rule_holds() -> None:
    policy = Policy(
        rules=(
            Rule(mode=Mode.MANUAL),
            Rule(kinds=(Kind.ACT,), watch_days=5),
            Rule(kinds=(Kind.ACT,), reasons=(Reason.COMPUTER_STOLEN,), watch_days=6),
            Rule(products=("cad",), mode=Mode.HYBRID, quota=QUOTA),
        )
    )
    known, stolen = Loss.of(Kind.ACT, Reason.HARDWARE_REPLACED), Loss.of(Kind.ACT, Reason.COMPUTER_STOLEN)
    assert known
    assert stolen

    assert policy.rule_for(LOST, facts(licence(product="x"))).mode is Mode.MANUAL
    assert policy.rule_for(known, facts(licence(product="x"))).watch_days == 5
    assert policy.rule_for(stolen, facts(licence(product="x"))).watch_days == 6
    assert policy.rule_for(stolen, facts(licence(product="cad"))).mode is Mode.HYBRID


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{loss.kind}-{loss.reason}")
def test_what_a_rule_does_not_say_is_as_the_table_of_losses_has_it(loss: Loss) -> None:
    rule = Rule()

    assert tuple(ordered.measure for ordered in rule.measures_for(loss)) == loss.measures
    assert (rule.watch_days_for(loss) == 0) == (loss.watch is Watch.NONE)


def test_a_measure_may_be_given_by_its_name_or_with_a_delay() -> None:
    rule = Rule.model_validate({"measures": ["deactivation", {"measure": "blacklisting", "delay_hours": 48}]})

    assert [(ordered.measure, ordered.delay_hours) for ordered in rule.measures_for(LOST)] == [
        ("deactivation", 0),
        ("blacklisting", 48),
    ]


@pytest.mark.parametrize("reason", [Reason.FORGOTTEN, Reason.STOLEN])
def test_access_data_are_recovered_whether_or_not_the_container_holds_licences(reason: Reason) -> None:
    said = report(kind=Kind.CLOUD, reason=reason)

    assert decide_report(said, facts(kind=Kind.CLOUD), Policy(), None).decision is Decision.AUTOMATIC


def test_a_verdict_that_spoke_against_the_holder_sends_later_reports_to_a_person_unless_policy_says_otherwise() -> None:
    blamed = facts(licence(), flagged=True)
    heeding = Policy(rules=(Rule(mode=Mode.HYBRID, limits=Limits()),))
    forgiving = Policy(rules=(Rule(mode=Mode.HYBRID, limits=Limits(flagged_holder=False)),))

    assert decide_report(report(), blamed, heeding, None).decision is Decision.NEEDS_APPROVAL
    assert decide_report(report(), facts(licence()), heeding, None).decision is Decision.AUTOMATIC
    assert decide_report(report(), blamed, forgiving, None).decision is Decision.AUTOMATIC


QUOTAS = (Quota(recoveries=1), Quota(recoveries=3))


def test_the_strictest_rule_is_manual_before_one_with_a_quota_and_of_those_the_smallest_quota() -> None:
    limited = Rule(mode=Mode.HYBRID, limits=Limits())
    few, many = (Rule(mode=Mode.HYBRID, quota=quota) for quota in QUOTAS)
    both = Rule(mode=Mode.HYBRID, quota=QUOTAS[1], limits=Limits())

    assert sorted([MANUAL, few, many, limited, AUTOMATIC], key=Rule.strictness) == [
        *(AUTOMATIC, limited, many, few, MANUAL)
    ]
    assert both.strictness() == many.strictness() == (1, True, -3)
    assert AUTOMATIC.strictness() == (0, False, 0)


def test_a_rule_covers_what_it_names_and_where_it_names_nothing_all() -> None:
    stolen = Loss.of(Kind.DONGLE, Reason.STOLEN)
    act = Loss.of(Kind.ACT, Reason.HARDWARE_REPLACED)
    named = Rule(products=("cad",), kinds=(Kind.DONGLE,), reasons=(Reason.LOST,))
    assert stolen
    assert act

    assert [named.covers(product, LOST) for product in ("cad", "cam", None)] == [True, False, False]  # type: ignore[arg-type]
    assert not named.covers("cad", stolen)  # type: ignore[arg-type]
    assert not Rule(kinds=(Kind.DONGLE,)).covers("cad", act)  # type: ignore[arg-type]
    assert Rule(kinds=(Kind.DONGLE,)).covers("cad", stolen)  # type: ignore[arg-type]
    assert Rule().covers(None, act)
    assert (named.specificity(), Rule().specificity()) == ((True, True, True), (False, False, False))


def test_of_rules_as_specific_the_first_is_chosen_and_where_none_covers_a_person_decides() -> None:
    first, second = Rule(products=("cad",), watch_days=1), Rule(products=("cad",), watch_days=2)
    policy = Policy(rules=(Rule(kinds=(Kind.ACT,)), first, second))

    assert policy.rule_for_product("cad", LOST) is first  # type: ignore[arg-type]
    assert policy.rule_for_product("cam", LOST) == Rule(mode=Mode.MANUAL)  # type: ignore[arg-type]
    assert policy.rules_for(LOST, facts()) == [Rule(mode=Mode.MANUAL)]


def test_four_eyes_are_needed_above_a_value_and_not_at_it() -> None:
    worth_cents = 20_000

    assert [Rule(four_eyes_above_cents=above).needs_four_eyes(worth_cents) for above in (19_999, 20_000, None)] == [
        *(True, False, False)
    ]


@pytest.mark.parametrize(
    ("kind", "reason", "policy_days", "days"),
    [
        (Kind.DONGLE, Reason.LOST, None, 365),
        (Kind.DONGLE, Reason.LOST, 5, 5),
        (Kind.ACT, Reason.SAME_HARDWARE, None, 30),
        (Kind.DONGLE, Reason.DAMAGED, 5, 9),
        (Kind.CLOUD, Reason.FORGOTTEN, 5, 0),
    ],
)
def test_the_watch_is_as_long_as_the_rule_or_else_the_table_says(
    kind: Kind, reason: Reason, policy_days: int | None, days: int
) -> None:
    loss = Loss.of(kind, reason)
    assert loss

    assert Rule(watch_days=policy_days, stop_gap_days=9).watch_days_for(loss) == days


def test_where_nothing_is_blocked_a_rule_with_measures_blocks_nothing() -> None:
    forgotten = Loss.of(Kind.CLOUD, Reason.FORGOTTEN)
    assert forgotten

    assert Rule.model_validate({"measures": ["blacklisting"]}).measures_for(forgotten) == ()
    assert Rule(measures=()).measures_for(LOST) == ()


@pytest.mark.parametrize(
    ("kind", "reason", "sentence"),
    [
        (Kind.DONGLE, Reason.LOST, "replaces a lost dongle"),
        (Kind.DONGLE, Reason.DAMAGED, "bridges a damaged dongle"),
        (Kind.ACT, Reason.SAME_HARDWARE, "reissues an act on the same hardware"),
        (Kind.CLOUD, Reason.FORGOTTEN, "resets forgotten access data"),
        (Kind.CLOUD, Reason.STOLEN, "rotates stolen access data"),
    ],
)
def test_an_automatic_decision_says_what_policy_does(kind: Kind, reason: Reason, sentence: str) -> None:
    said = report(kind=kind, reason=reason)
    once = Policy(policy_version=4, rules=(Rule(mode=Mode.HYBRID, quota=QUOTA),))
    decided = decide_report(said, facts(licence(), kind=kind), Policy(policy_version=4), None)
    counted = decide_report(said, facts(licence(), kind=kind), once, reserved(2))

    assert decided.reasons == (f"policy version 4 {sentence} at once",)
    assert counted.reasons == (f"policy version 4 {sentence} at once: recovery 2 of 2",)
    assert (decided.policy_version, decided.ordinal, decided.limit) == (4, None, None)


def test_a_quota_of_an_empty_container_is_counted_for_the_container() -> None:
    assert Quota(per=QuotaSubject.LICENCE, recoveries=1).subjects(facts(), ()) == ("container/3-1",)


def test_the_reasons_of_several_rules_are_told_once() -> None:
    rules = tuple(Rule(products=(name,), mode=Mode.HYBRID, limits=Limits(holder_only=True)) for name in ("cad", "cam"))
    known = facts(licence(1, product="cad"), licence(2, product="cam"))

    decided = decide_report(report(), known, Policy(rules=rules), None)

    assert decided.reasons == ("somebody other than the holder reported it",)
    assert decide_report(report(), facts(), POLICY, None).reasons == (
        "container 3-1 holds no licence that could be replaced",
    )


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{loss.kind} {loss.reason}")
def test_a_machine_needs_a_code_by_default_where_the_one_before_was_stolen_or_replaced(loss: Loss) -> None:
    by_code = loss.reason in (Reason.COMPUTER_STOLEN, Reason.HARDWARE_REPLACED)

    assert Rule().activation_for(loss) == (ActivationBy.CODE if by_code else ActivationBy.ANY)
    assert {Rule(activation=by).activation_for(loss) for by in ActivationBy} == set(ActivationBy)


def test_a_policy_that_names_a_withdrawal_for_a_cloud_container_still_reads() -> None:
    stored = {"rules": [{"kinds": ["cloud"], "measures": ["withdrawal"]}]}

    assert Policy.model_validate(stored).rules[0].measures is not None


GIVEN = Policy(
    policy_version=7,
    supervisors=("bob", "ann"),
    rules=(
        Rule(products=("plm",), mode=Mode.HYBRID, quota=Quota(recoveries=1, goodwill=("ann",)), match=Match.MOST),
        Rule(mode=Mode.HYBRID, limits=Limits(), watch_days=5, resurfaced=Resurfaced(found=Verdict.FOUND)),
        Rule.model_validate({"measures": ["withdrawal", {"measure": "blacklisting", "delay_hours": 3}]}),
        Rule(),
    ),
)


def test_the_canonical_form_says_what_is_not_as_by_default_in_the_order_of_its_names() -> None:
    assert json.dumps(canonical(GIVEN)) == json.dumps(
        {
            "rules": [
                {"mode": "hybrid", "products": ["plm"], "quota": {"goodwill": ["ann"], "recoveries": 1}},
                {"limits": {}, "mode": "hybrid", "resurfaced": {"found": "found"}, "watch_days": 5},
                {"measures": [{"measure": "withdrawal"}, {"delay_hours": 3, "measure": "blacklisting"}]},
                {},
            ],
            "supervisors": ["bob", "ann"],
        }
    )
    assert canonical(Policy()) == {}


@pytest.mark.parametrize("policy", [Policy(), GIVEN, POLICY])
def test_the_canonical_form_is_the_same_policy(policy: Policy) -> None:
    again = Policy.model_validate({**canonical(policy), "policy_version": policy.policy_version})

    assert again == policy
    assert canonical(again) == canonical(policy)
