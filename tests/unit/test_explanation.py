"""`policy explain` says what the product would decide, for it decides by the same functions."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from events import rules
from events.case_facts import BackendFacts, LicenceInScope, LossReported
from events.loss_table import LOSSES
from events.ports.licensing_backend import MeasureToOrder
from events.terms import ActivationBy, Decision, Kind, Measure, Reason, Recovery, Reporter, Role, Scope
from portal.cli.explanations import explanation_lines
from portal.cli.policies import commands
from tests.unit.facts import NOW
from tests.unit.test_limits import policies, products
from workflows.explanation import Chosen, Explanation, Supposed, explain
from workflows.policy import Approval, Limits, Policy, Quota, Resurfaced, Rule

POLICY = """
supervisors: [ann, bob, carol]
rules:
  - mode: hybrid
    quota: {recoveries: 2, goodwill: [carol]}
    limits: {value_above_cents: 500000, holder_only: true, losses: {more_than: 3}}
    wait_hours: 24
    four_eyes_above_cents: 500000
    approval: {due_hours: 48, remind_hours: 24, undecided: escalate, escalate_to: [bob, carol]}
    resurfaced: {found: found}
  - products: [plm]
    mode: manual
  - kinds: [dongle]
    reasons: [stolen]
    mode: hybrid
    limits: {evidence: [police_report]}
    measures: [withdrawal, {measure: blacklisting, delay_hours: 48}]
    watch_days: 400
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return str(path)


def run(file: str, *words: str, code: int = 0) -> str:
    def no_application() -> Any:
        raise AssertionError("no services are needed")

    done = CliRunner().invoke(commands(no_application), ["explain", file, *words])
    assert done.exit_code == code, done.output
    return done.output


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (
            "--kind dongle --reason lost",
            [
                "A dongle is reported lost: policy decides by itself.",
                "  for a product that no rule names, rule 1 (line 4): it names nothing and holds for all",
                "  2 in 365 days for each holder, counted in the pot recoveries; 0 used, 2 left",
                "  kept holder_only: the holder reported it",
                "  blocked: blacklisting at once",
                "  the holder gets the next generation of each licence, 24 hours after the decision",
                "  when it is found, the verdict is found by policy",
            ],
        ),
        (
            "--kind act --reason computer_stolen",
            [
                "An act is reported computer stolen: policy decides by itself.",
                "  a machine is activated with a one-time code; `lostfound activation code` prints it",
            ],
        ),
        (
            "--kind dongle --reason lost --used 2",
            [
                "A dongle is reported lost: a supervisor decides.",
                "  2 of 2 recoveries in 365 days are used for this holder",
                "  who may approve: carol",
                "  due within 48 hours, with a reminder after 24; if undecided then, it is escalated to bob, carol",
            ],
        ),
        (
            "--kind act --reason computer_stolen --value 500001 --reporter-role back_office --losses 4",
            [
                "An act is reported computer stolen: a supervisor decides.",
                "  EXCEEDED value_above_cents: the licences are worth 5,000.01, more than 5,000.00",
                "  EXCEEDED holder_only: somebody other than the holder reported it",
                "  EXCEEDED losses: the holder reported 4 other losses in 365 days, more than 3",
                "  who may approve: ann, bob, carol; two different ones must",
                "Once approved",
            ],
        ),
        (
            "--kind dongle --reason stolen --contact-after-loss --product cad",
            [
                "  for cad, rule 3 (line 13): it names kinds and reasons; it is more specific than rule 1",
                "  EXCEEDED evidence: evidence is missing: police_report",
                "  the case waits for as long as it takes",
                "  blocked: withdrawal at once, then blacklisting after 48 hours",
                "  watched for 400 days; a sighting waits for a supervisor's verdict",
            ],
        ),
        (
            "--kind dongle --reason stolen --evidence police_report --product cad --product plm",
            [
                "A dongle is reported stolen: a supervisor decides.",
                "  for plm, rule 2 (line 11): it names products; it is more specific than rules 1, 3",
                "  rule 2 (line 11) is the strictest and says what is done; the limits and quotas of all are heeded",
                "  kept evidence: there is police_report",
            ],
        ),
    ],
)
def test_it_says_in_words_what_would_be_decided_and_why(file: str, words: str, lines: list[str]) -> None:
    shown = run(file, *words.split()).splitlines()

    assert [line for line in lines if line not in shown] == []


def test_of_several_rules_it_tells_every_quota_and_which_is_used_up(tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(
        "supervisors: [ann, bob]\nrules:\n"
        "  - {products: [cad], mode: hybrid, quota: {per: product, recoveries: 1, goodwill: [ann]}}\n"
        "  - {products: [plm], mode: hybrid, quota: {recoveries: 2, pot: plm, goodwill: [bob]}}\n"
    )
    words = ("--kind", "dongle", "--reason", "lost", "--product", "cad", "--product", "plm", "--used")
    one, none = (run(str(file), *words, used).splitlines() for used in ("1", "0"))

    assert "  policy version 1 replaces a lost dongle at once: recovery 1 of 1, 1 of 2" in none
    assert "  1 of 1 recoveries in 365 days are used for this product, by the rule for cad" in one
    assert "  1 in 365 days for each product, counted in the pot recoveries; 1 used, 0 left" in one
    assert "  2 in 365 days for each holder, counted in the pot plm; 1 used, 1 left" in one
    assert "  who may approve: ann" in one


def test_it_says_the_same_as_json(file: str) -> None:
    found = json.loads(run(file, "--kind", "dongle", "--reason", "lost", "--used", "2", "--json"))

    assert (found["decision"], found["rule"], found["may_approve"]) == ("needs_approval", 1, ["carol"])
    assert found["approval"]["due_hours"] == 48


def test_what_is_no_loss_or_no_policy_is_refused(file: str, tmp_path: Path) -> None:
    assert "[invalid_loss]" in run(file, "--kind", "dongle", "--reason", "forgotten", code=2)
    assert "[invalid_data]" in run(file, "--kind", "dongle", "--reason", "lost", "--value", "-1", code=2)
    bad = tmp_path / "bad.yaml"
    bad.write_text("rules: [{watch: 1}]")
    assert "[unreadable_policy]" in run(str(bad), "--kind", "dongle", "--reason", "lost", code=1)


def test_a_policy_without_rules_replaces_at_once(tmp_path: Path) -> None:
    bare = tmp_path / "bare.yaml"
    bare.write_text("supervisors: [ann]")

    assert "policy decides by itself" in run(str(bare), "--kind", "dongle", "--reason", "lost")


@given(
    policy=policies,
    loss=st.sampled_from(LOSSES),
    supposed=st.builds(
        Supposed,
        kind=st.just(Kind.DONGLE),
        reason=st.just(Reason.LOST),
        products=st.lists(products, max_size=3).map(tuple),
        value_cents=st.integers(0, 50_000),
        age_days=st.none() | st.integers(0, 60),
        exposure_days=st.none() | st.integers(0, 60),
        reporter_role=st.sampled_from(Role),
        losses=st.integers(0, 4),
        used=st.integers(0, 4),
    ),
)
def test_any_policy_can_be_explained_and_what_exceeds_a_limit_is_never_automatic(
    policy: Policy, loss: Any, supposed: Supposed
) -> None:
    one = supposed.model_copy(update={"kind": loss.kind, "reason": loss.reason})
    found = explain(policy, one, NOW)

    assert list(explanation_lines(one, found, dict.fromkeys(range(1, 9), 1)))
    assert {found.rule} <= {chosen.rule for chosen in found.chosen}
    if any(limit.exceeded for limit in found.limits):
        assert found.decision is not Decision.AUTOMATIC


@pytest.mark.parametrize(("role", "name"), [(Role.HOLDER, "holder"), (Role.BACK_OFFICE, "back-office")])
def test_what_is_supposed_is_a_report_of_today_and_what_the_backend_would_know_of_it(role: Role, name: str) -> None:
    supposed = Supposed(
        kind=Kind.ACT,
        reason=Reason.SAME_HARDWARE,
        products=("cad", "plm"),
        value_cents=700,
        age_days=5,
        exposure_days=3,
        reporter_role=role,
        evidence=("photo",),
        contact_after_loss=True,
        flagged=True,
        losses=2,
    )

    assert supposed.report(NOW) == LossReported(
        report="supposed",
        serial="container",
        kind=Kind.ACT,
        reason=Reason.SAME_HARDWARE,
        scope=Scope.CONTAINER,
        reporter=Reporter(role=role, name=name),
        door="supposed",
        occurred=NOW - timedelta(hours=1),
        received=NOW,
        evidence=("photo",),
        rules_version=rules.RULES_VERSION,
    )
    licence = LicenceInScope(
        licence="licence-0",
        generation=1,
        product="cad",
        ticket="ticket",
        value_cents=700,
        expires=NOW + timedelta(days=3),
        first_issued=NOW - timedelta(days=5),
    )
    other = {"licence": "licence-1", "product": "plm", "value_cents": 0}
    assert supposed.facts(NOW) == BackendFacts(
        serial="container",
        kind=Kind.ACT,
        holder="holder",
        last_contact=NOW,
        flagged=True,
        licences=(licence, licence.model_copy(update=other)),
        losses=(NOW - timedelta(seconds=1),) * 2,
    )


def test_without_more_nothing_is_supposed_of_the_holder_and_a_licence_that_no_rule_names_runs_for_ever() -> None:
    facts = Supposed(kind=Kind.DONGLE, reason=Reason.LOST).facts(NOW)

    (licence,) = facts.licences
    assert (facts.last_contact, facts.flagged, facts.losses) == (None, False, ())
    assert (licence.product, licence.value_cents) == ("a-product-that-no-rule-names", 0)
    assert (licence.expires, licence.first_issued) == (None, None)


def test_what_is_decided_and_done_is_that_of_the_strictest_rule_with_the_quotas_of_all() -> None:
    strict = Rule(
        products=("cad",),
        mode="hybrid",
        quota=Quota(recoveries=1, goodwill=("ann",)),
        limits=Limits(value_above_cents=600),
        approval=Approval(due_hours=4),
        four_eyes_above_cents=600,
        wait_hours=3,
        measures=("deactivation",),
        watch_days=9,
        resurfaced=Resurfaced(returned="damaged"),
    )
    mild = Rule(mode="hybrid", quota=Quota(recoveries=3, term_days=30, pot="mild"))
    policy = Policy(supervisors=("ann", "bob"), rules=(mild, strict))
    supposed = Supposed(kind=Kind.ACT, reason=Reason.SAME_HARDWARE, products=("plm", "cad"), value_cents=700, used=1)

    found = explain(policy, supposed, NOW)

    kept, exceeded = [one for one in found.limits if not one.exceeded], [one for one in found.limits if one.exceeded]
    used = "1 of 1 recoveries in 365 days are used for this holder, by the rule for cad"
    assert found == Explanation(
        decision=Decision.NEEDS_APPROVAL,
        reasons=(exceeded[0].sentence, used),
        rule=2,
        chosen=(
            Chosen(product="plm", rule=1, why="it names nothing and holds for all"),
            Chosen(product="cad", rule=2, why="it names products; it is more specific than rule 1"),
        ),
        limits=found.limits,
        quotas=(
            "1 in 365 days for each holder, counted in the pot same_hardware; 1 used, 0 left",
            "3 in 30 days for each holder, counted in the pot mild; 1 used, 2 left",
        ),
        measures=(MeasureToOrder(measure=Measure.DEACTIVATION),),
        recovery=Recovery.REISSUE,
        activation=ActivationBy.ANY,
        wait_hours=3,
        stop_gap_days=None,
        watch_days=9,
        may_approve=("ann",),
        four_eyes=True,
        approval=Approval(due_hours=4),
        resurfaced=Resurfaced(returned="damaged"),
    )
    assert (len(exceeded), len(kept)) == (1, len(found.limits) - 1)


def test_a_decision_of_policy_needs_nobody_and_a_stop_gap_has_its_days() -> None:
    rule = Rule(four_eyes_above_cents=0, approval=Approval(due_hours=4), stop_gap_days=8)
    supposed = Supposed(kind=Kind.DONGLE, reason=Reason.DAMAGED)

    found = explain(Policy(supervisors=("ann",), rules=(rule,)), supposed, NOW)

    assert found.decision is Decision.AUTOMATIC
    assert (found.may_approve, found.four_eyes, found.approval, found.quotas) == ((), False, None, ())
    assert (found.stop_gap_days, found.watch_days, found.activation) == (8, 8, None)


def test_a_quota_counts_as_used_up_only_where_it_is_and_leaves_nothing_below_none() -> None:
    two = [Rule(products=(name,), mode="hybrid", quota=Quota(recoveries=many)) for name, many in (("a", 1), ("b", 4))]
    supposed = Supposed(kind=Kind.DONGLE, reason=Reason.LOST, products=("a", "b"), used=3)
    policy = Policy(supervisors=("ann",), rules=two)

    found = explain(policy, supposed, NOW)
    none = explain(policy, supposed.model_copy(update={"used": 0}), NOW)

    assert found.reasons == ("1 of 1 recoveries in 365 days are used for this holder, by the rule for a",)
    assert [one.rpartition("; ")[2] for one in found.quotas] == ["1 used, 0 left", "3 used, 1 left"]
    assert none.reasons == ("policy version 1 replaces a lost dongle at once: recovery 1 of 1, 1 of 4",)


def test_a_rule_is_chosen_before_those_that_name_as_much_and_that_name_less() -> None:
    given = [Rule(kinds=("dongle",)), Rule(kinds=("dongle",)), Rule(reasons=("lost",)), Rule(kinds=("dongle", "act"))]
    supposed = Supposed(kind=Kind.DONGLE, reason=Reason.LOST)
    act = supposed.model_copy(update={"kind": Kind.ACT, "reason": Reason.SAME_HARDWARE})
    cloud = supposed.model_copy(update={"kind": Kind.CLOUD, "reason": Reason.STOLEN})

    several, one, none = (explain(Policy(rules=given), of, NOW).chosen for of in (supposed, act, cloud))
    named = [Rule(products=(name,)) for name in ("cad", "plm", "cad")]
    cad = supposed.model_copy(update={"products": ("cad",)})

    why = "it names kinds; it stands before rules 2, 4, which names as much; it is more specific than rule 3"
    assert several == (Chosen(product=None, rule=1, why=why),)
    assert one == (Chosen(product=None, rule=4, why="it names kinds"),)
    assert none == (Chosen(product=None, rule=None, why="no rule holds, so a supervisor decides"),)
    why = "it names products; it stands before rule 3, which names as much; it is more specific than rule 4"
    assert explain(Policy(rules=(*named, Rule())), cad, NOW).chosen == (Chosen(product="cad", rule=1, why=why),)
    why = "no rule holds, so a supervisor decides"
    assert explain(Policy(rules=named[1:2]), cad, NOW).chosen == (Chosen(product="cad", rule=None, why=why),)
