"""Limits of a hybrid rule: each sends a report to a person with its reason in words, and none is ever passed over."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.case_facts import BackendFacts, LossReported, QuotaAnswer
from events.ports.licensing_backend import Reservation
from events.terms import Decision, Mode, PersonId, Reporter, Role
from tests.unit.facts import NOW, facts, licence, report
from tests.unit.work import steps_of
from workflows.limits import Limits, Losses
from workflows.policy import (
    STRICTNESS,
    Policy,
    Quota,
    Rule,
    decide_report,
    loss_of,
    may_approve_beyond,
    quotas_to_reserve,
)

DAY = timedelta(days=1)
BY_HOLDER = Reporter(role=Role.HOLDER, name="h-1")


def hybrid(**limits: Any) -> Policy:
    return Policy(rules=(Rule(mode=Mode.HYBRID, limits=Limits(**limits)),))


def decided(policy: Policy, said: LossReported, known: BackendFacts) -> tuple[Decision, tuple[str, ...]]:
    found = decide_report(said, known, policy, None)
    return found.decision, found.reasons


@pytest.mark.parametrize(
    ("limits", "within", "beyond", "reason"),
    [
        (
            {"value_above_cents": 20_000},
            facts(licence(1), licence(2)),
            facts(licence(1), licence(2, value_cents=10_001)),
            "the licences are worth 200.01, more than 200.00",
        ),
        (
            {"licence_older_than_days": 365},
            facts(licence(first_issued=NOW - 365 * DAY)),
            facts(licence(first_issued=NOW), licence(2, first_issued=NOW - 366 * DAY)),
            "the oldest licence was first issued on 2025-02-28, more than 365 days before the report",
        ),
        (
            {"licence_younger_than_days": 30},
            facts(licence(first_issued=NOW - 30 * DAY)),
            facts(licence(first_issued=NOW - 300 * DAY), licence(2, first_issued=NOW - 29 * DAY)),
            "the youngest licence was first issued on 2026-01-31, not more than 30 days before the report",
        ),
        (
            {"licence_older_than_days": 365},
            facts(licence(first_issued=NOW)),
            facts(licence(first_issued=NOW), licence(2, first_issued=None)),
            "it is not known when a licence was first issued",
        ),
        (
            {"losses": Losses(more_than=1, term_days=30)},
            facts(licence(), losses=(NOW + DAY, NOW - DAY, NOW - 30 * DAY)),
            facts(licence(), losses=(NOW, NOW - 29 * DAY)),
            "the holder reported 2 other losses in 30 days, more than 1",
        ),
        (
            {"exposure_above_days": 10},
            facts(licence(expires=NOW + 10 * DAY)),
            facts(licence(expires=NOW + 10 * DAY), licence(2, expires=NOW + 11 * DAY)),
            "what is lost can run until 2026-03-12 12:00 UTC, more than 10 days from the report",
        ),
        (
            {"exposure_above_days": 10},
            facts(licence(expires=NOW - DAY)),
            facts(licence(expires=None)),
            "what is lost can run for ever, more than 10 days from the report",
        ),
        (
            {},
            facts(licence(), last_contact=NOW - DAY),
            facts(licence(), last_contact=NOW),
            "the container reported in at 2026-03-01 12:00 UTC, after the loss was said to be",
        ),
    ],
)
def test_a_limit_on_what_the_backend_knows(
    limits: dict[str, Any], within: BackendFacts, beyond: BackendFacts, reason: str
) -> None:
    assert decided(hybrid(**limits), report(), within)[0] is Decision.AUTOMATIC
    assert decided(hybrid(**limits), report(), beyond) == (Decision.NEEDS_APPROVAL, (reason,))


@pytest.mark.parametrize(
    ("limits", "within", "beyond", "reason"),
    [
        (
            {"evidence": ("police_report", "photo")},
            report(evidence=("photo", "police_report", "invoice")),
            report(evidence=("photo",)),
            "evidence is missing: police_report",
        ),
        (
            {"holder_only": True},
            report(reporter=BY_HOLDER),
            report(reporter=Reporter(role=Role.BACK_OFFICE, name="h-1")),
            "somebody other than the holder reported it",
        ),
    ],
)
def test_a_limit_on_what_the_report_says(
    limits: dict[str, Any], within: LossReported, beyond: LossReported, reason: str
) -> None:
    assert decided(hybrid(**limits), within, facts(licence()))[0] is Decision.AUTOMATIC
    assert decided(hybrid(**limits), beyond, facts(licence())) == (Decision.NEEDS_APPROVAL, (reason,))


ALL = Limits(
    value_above_cents=1_000_000,
    licence_older_than_days=365,
    licence_younger_than_days=30,
    losses=Losses(more_than=1, term_days=90),
    evidence=("police_report", "photo"),
    holder_only=True,
    exposure_above_days=10,
)


TELLS = [
    (
        "value_above_cents",
        "the licences are worth 100.00, not more than 10,000.00",
        "the licences are worth 1,234,667.89, more than 10,000.00",
    ),
    (
        "licence_older_than_days",
        "the oldest licence was first issued on 2025-03-01, not more than 365 days before the report",
        "the oldest licence was first issued on 2025-02-28, more than 365 days before the report",
    ),
    (
        "licence_younger_than_days",
        "the youngest licence was first issued on 2025-03-01, more than 30 days before the report",
        "the youngest licence was first issued on 2026-01-31, not more than 30 days before the report",
    ),
    (
        "losses",
        "the holder reported 1 other losses in 90 days, not more than 1",
        "the holder reported 2 other losses in 90 days, more than 1",
    ),
    ("evidence", "there is police_report, photo", "evidence is missing: police_report, photo"),
    ("holder_only", "the holder reported it", "somebody other than the holder reported it"),
    (
        "contact_after_loss",
        "the container has not reported in since the loss was said to be",
        "the container reported in at 2026-03-01 12:00 UTC, after the loss was said to be",
    ),
    (
        "flagged_holder",
        "no earlier verdict speaks against the holder",
        "an earlier verdict speaks against the holder",
    ),
    (
        "exposure_above_days",
        "what is lost can run until 2026-03-11 12:00 UTC, not more than 10 days from the report",
        "what is lost can run until 2026-03-12 12:00 UTC, more than 10 days from the report",
    ),
]
"""Each limit with what it tells within its bound and beyond it."""


def test_every_limit_tells_what_it_found_in_their_order() -> None:
    well = report(reporter=BY_HOLDER, evidence=("photo", "police_report"))
    old = facts(licence(first_issued=NOW - 365 * DAY, expires=NOW + 10 * DAY), losses=(NOW - DAY,))
    ill = report(reporter=Reporter(role=Role.HOLDER, name="h-2"))
    dear = licence(value_cents=123_456_789, first_issued=NOW - 366 * DAY, expires=NOW + 11 * DAY)
    new = licence(2, first_issued=NOW - 29 * DAY, expires=NOW + DAY)
    blamed = facts(dear, new, losses=(NOW, NOW - 89 * DAY), flagged=True, last_contact=NOW)

    assert [(one.setting, one.exceeded, one.sentence) for one in ALL.found(well, old)] == [
        (setting, False, within) for setting, within, _ in TELLS
    ]
    assert [(one.setting, one.exceeded, one.sentence) for one in ALL.found(ill, blamed)] == [
        (setting, True, beyond) for setting, _, beyond in TELLS
    ]


@pytest.mark.parametrize(
    ("known", "setting", "sentence"),
    [
        (facts(), "exposure_above_days", "what is lost can run nowhere, not more than 10 days from the report"),
        (
            facts(licence(first_issued=None)),
            "licence_younger_than_days",
            "it is not known when a licence was first issued",
        ),
        (facts(licence(1, value_cents=5)), "value_above_cents", "the licences are worth 0.05, not more than 10,000.00"),
    ],
)
def test_a_limit_tells_what_it_cannot_measure(known: BackendFacts, setting: str, sentence: str) -> None:
    assert {one.setting: one.sentence for one in ALL.found(report(), known)}[setting] == sentence


def test_without_licences_none_is_too_old_or_too_young() -> None:
    assert not [one for one in ALL.found(report(), facts()) if "licence" in one.setting]


def test_what_is_no_limit_says_nothing() -> None:
    assert Limits(contact_after_loss=False, flagged_holder=False).found(report(), facts(licence())) == []


def test_every_limit_that_is_exceeded_is_told() -> None:
    policy = hybrid(value_above_cents=0, holder_only=True, evidence=("police_report",))

    assert len(decided(policy, report(), facts(licence()))[1]) == 3


def test_a_contact_after_the_loss_is_no_limit_where_the_policy_says_so() -> None:
    later = facts(licence(), last_contact=NOW)

    assert decided(hybrid(contact_after_loss=False), report(), later)[0] is Decision.AUTOMATIC


def test_of_two_products_the_limits_of_both_rules_hold_and_under_the_first_rules_the_smaller_quota() -> None:
    cheap = Rule(products=("cad",), mode=Mode.HYBRID, quota=Quota(recoveries=5))
    limits = Limits(value_above_cents=50_000)
    dear = Rule(products=("plm",), mode=Mode.HYBRID, quota=Quota(recoveries=2), limits=limits)
    policy = Policy(rules=(cheap, dear))
    both = facts(licence(1, product="cad"), licence(2, product="plm"))
    beyond = facts(licence(1, product="cad", value_cents=50_000), licence(2, product="plm"))

    assert [one.quota for one in quotas_to_reserve(report(), both, policy)] == [dear.quota]
    assert quotas_to_reserve(report(), beyond, policy) == []
    assert decided(policy, report(), beyond)[0] is Decision.NEEDS_APPROVAL


def test_two_supervisors_approve_where_a_rule_of_any_product_asks_for_them() -> None:
    manual = Rule(mode=Mode.MANUAL)
    policy = Policy(rules=(manual, Rule(products=("plm",), mode=Mode.MANUAL, four_eyes_above_cents=15_000)))
    loss = loss_of(report())

    assert not policy.needs_four_eyes(loss, facts(licence(1, product="plm")))
    assert not policy.needs_four_eyes(loss, facts(licence(1), licence(2)))
    assert policy.needs_four_eyes(loss, facts(licence(1), licence(2, product="plm")))


def test_goodwill_is_granted_by_those_who_are_named_or_by_every_supervisor() -> None:
    assert grantors(("ann",)) == ["ann"]
    assert grantors(()) == PEOPLE


@pytest.mark.parametrize(
    ("cad", "plm", "used_up", "named"),
    [
        (("ann",), ("bob",), (True, False), ["ann"]),
        (("ann",), ("bob",), (False, True), ["bob"]),
        (("ann", "cy"), ("bob", "cy"), (True, True), ["cy"]),
        (("ann",), (), (True, True), ["ann"]),
        (("ann",), ("bob",), (True, True), ["ann", "bob"]),
        ((), (), (True, True), ["ann", "bob", "cy"]),
    ],
)
def test_goodwill_beyond_several_quotas_is_granted_by_whom_each_names_or_any_where_they_name_nobody_in_common(
    cad: tuple[PersonId, ...], plm: tuple[PersonId, ...], used_up: tuple[bool, bool], named: list[str]
) -> None:
    assert grantors(cad, plm, used_up=used_up) == named


PEOPLE = [PersonId(name) for name in ("ann", "bob", "cy")]


def grantors(*goodwill: tuple[PersonId, ...], used_up: tuple[bool, ...] = ()) -> list[PersonId]:
    """Who may approve beyond the quotas of so many rules, of which these are used up."""
    products = ("cad", "plm")[: len(goodwill)]
    rules = tuple(
        Rule(products=(product,), mode=Mode.HYBRID, quota=Quota(recoveries=1, goodwill=names))
        for product, names in zip(products, goodwill, strict=True)
    )
    known = facts(*(licence(number, product=product) for number, product in enumerate(products)))
    answers = [QuotaAnswer(ordinal=None, limit=1, used_up=one) for one in used_up]
    said = report(rules_version=2)
    return [who for who in PEOPLE if may_approve_beyond(who, said, known, Policy(rules=rules), answers)]


# Properties: over any rules, reports and facts.

days = st.integers(1, 60)
cents = st.integers(0, 40_000)
limits = st.builds(
    Limits,
    value_above_cents=st.none() | cents,
    licence_older_than_days=st.none() | days,
    licence_younger_than_days=st.none() | days,
    losses=st.none() | st.builds(Losses, more_than=st.integers(0, 3), term_days=days),
    evidence=st.lists(st.sampled_from(["police_report", "photo"]), unique=True).map(tuple),
    holder_only=st.booleans(),
    contact_after_loss=st.booleans(),
    exposure_above_days=st.none() | days,
)
quotas = st.builds(Quota, recoveries=st.integers(0, 3))
products = st.sampled_from(["cad", "cam", "plm"])
named = st.lists(products, max_size=2, unique=True).map(tuple)
rules = st.one_of(
    st.builds(Rule, products=named, mode=st.sampled_from([Mode.AUTOMATIC, Mode.MANUAL])),
    st.builds(Rule, products=named, mode=st.just(Mode.HYBRID), limits=limits, quota=st.none() | quotas),
    st.builds(Rule, products=named, mode=st.just(Mode.HYBRID), limits=st.none(), quota=quotas),
)
policies = st.lists(rules, min_size=1, max_size=4).map(lambda found: Policy(rules=tuple(found)))
ago = days.map(lambda count: NOW - count * DAY)
ahead = days.map(lambda count: NOW + count * DAY)
licences = st.builds(
    licence,
    st.integers(1, 9),
    product=products,
    value_cents=cents,
    first_issued=st.none() | ago,
    expires=st.none() | ahead,
)
known = st.builds(
    facts,
    licences,
    licences,
    last_contact=st.none() | ago | st.just(NOW),
    losses=st.lists(ago, max_size=5).map(tuple),
)
reports = st.builds(
    report,
    reporter=st.sampled_from([BY_HOLDER, Reporter(role=Role.BACK_OFFICE, name="crm")]),
    evidence=st.lists(st.sampled_from(["police_report", "photo"]), unique=True).map(tuple),
    rules_version=st.sampled_from([1, 2]),
)
LENIENCY = [Decision.AUTOMATIC, Decision.NEEDS_APPROVAL, Decision.REFUSED]


def with_reservation(policy: Policy, said: LossReported, known: BackendFacts, used: int) -> Decision:
    """The decision when so many recoveries of each quota are used."""
    quotas = [one.quota for one in quotas_to_reserve(said, known, policy)]
    left = all(used < quota.recoveries for quota in quotas)
    answers = [
        QuotaAnswer(ordinal=used + 1 if left else None, limit=one.recoveries, used_up=used >= one.recoveries)
        for one in quotas
    ]
    return decide_report(said, known, policy, Reservation.of(NOW, answers) if answers else None).decision


@given(policy=policies, said=reports, known=known, used=st.integers(0, 4))
def test_nothing_is_automatic_when_a_limit_or_the_quota_of_a_rule_for_it_is_exceeded(
    policy: Policy, said: LossReported, known: BackendFacts, used: int
) -> None:
    if with_reservation(policy, said, known, used) is Decision.AUTOMATIC:
        for item in known.licences:
            rule = policy.rule_for_product(item.product, loss_of(said))
            assert rule.mode is not Mode.MANUAL
            assert not [found for found in rule.limits_found(said, known) if found.exceeded]
            assert rule.quota is None or used < rule.quota.recoveries


@st.composite
def stricter(draw: st.DrawFn, rule: Rule) -> Rule:
    """A rule that allows no more than this one."""
    mode = draw(st.sampled_from(STRICTNESS[STRICTNESS.index(rule.mode) :]))
    if mode is not Mode.HYBRID:
        return rule.model_copy(update={"mode": mode, "quota": None, "limits": None})
    before = rule.limits or Limits()
    tighter = before.model_copy(
        update={
            "value_above_cents": draw(st.integers(0, before.value_above_cents or 0))
            if before.value_above_cents is not None
            else draw(st.none() | cents),
            "evidence": ("photo", *before.evidence) if draw(st.booleans()) else before.evidence,
            "holder_only": before.holder_only or draw(st.booleans()),
            "contact_after_loss": before.contact_after_loss or draw(st.booleans()),
            "losses": before.losses.model_copy(update={"more_than": draw(st.integers(0, before.losses.more_than))})
            if before.losses
            else draw(st.none() | st.builds(Losses, more_than=st.integers(0, 3))),
            "exposure_above_days": draw(st.integers(0, before.exposure_above_days))
            if before.exposure_above_days is not None
            else draw(st.none() | days),
        }
    )
    quota = rule.quota or draw(st.none() | quotas)
    fewer = quota and quota.model_copy(update={"recoveries": draw(st.integers(0, quota.recoveries))})
    return rule.model_copy(update={"mode": mode, "limits": tighter, "quota": fewer})


@given(data=st.data(), policy=policies, said=reports, known=known, used=st.integers(0, 4))
def test_a_stricter_policy_never_decides_more_leniently(
    data: st.DataObject, policy: Policy, said: LossReported, known: BackendFacts, used: int
) -> None:
    harder = policy.model_copy(update={"rules": tuple(data.draw(stricter(rule)) for rule in policy.rules)})

    before, after = (with_reservation(one, said, known, used) for one in (policy, harder))

    assert LENIENCY.index(after) >= LENIENCY.index(before)


@given(data=st.data(), found=st.lists(rules, min_size=1, max_size=5, unique_by=lambda rule: rule.specificity()))
def test_the_most_specific_rule_holds_in_whatever_order_the_rules_stand(data: st.DataObject, found: list[Rule]) -> None:
    shuffled = data.draw(st.permutations(found))
    loss = loss_of(report())

    for product in ("cad", "cam", "plm", "other"):
        ones = [Policy(rules=tuple(order)).rule_for_product(product, loss) for order in (found, shuffled)]  # type: ignore[arg-type]
        assert ones[0] == ones[1]
        covering = [rule for rule in found if rule.covers(product, loss)]  # type: ignore[arg-type]
        assert all(ones[0].specificity() >= rule.specificity() for rule in covering)


def test_the_work_of_a_decision_grows_as_the_licences_do_and_not_as_licences_and_rules_together() -> None:
    limits = Limits(value_above_cents=1, licence_older_than_days=1, exposure_above_days=1)

    def decision(count: int) -> int:
        products = [f"p-{number}" for number in range(count)]
        rules = tuple(Rule(products=(name,), mode=Mode.HYBRID, limits=limits) for name in products)
        known = facts(*(licence(number, product=name) for number, name in enumerate(products)))
        return steps_of(lambda: decide_report(report(), known, Policy(rules=rules), None))

    assert decision(120) < 4.2 * decision(30)
