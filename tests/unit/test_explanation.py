"""`policy explain` says what the product would decide, for it decides by the same functions."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from events.loss_table import LOSSES
from events.terms import Decision, Kind, Reason, Role
from portal.cli.explanations import explanation_lines
from portal.cli.policies import commands
from tests.unit.facts import NOW
from tests.unit.test_limits import policies, products
from workflows.explanation import Supposed, explain
from workflows.policy import Policy

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
