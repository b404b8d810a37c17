"""Policies as vendors write them: every mistake is found where it stands, and what is good is taken."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from portal.cli.policies import NO_SUPERVISORS, commands
from portal.policy_file.reader import Misfit, check, schema
from portal.policy_file.yaml_document import BadYaml
from tests.unit.test_limits import policies
from workflows.contradictions import Contradicts
from workflows.policy import Policy

ROOT = Path(__file__).parents[2]
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{of}'] * 9)}]\n" for of, name in pairwise("abcdefgh")
)

GOOD = [
    "supervisors: [ann, bob]",
    "{}",
    "rules: [{mode: automatic}]",
    '{"supervisors": ["ann"], "rules": [{"mode": "manual", "watch_days": 30}]}',
    "supervisors: [ann]\nrules: [{mode: hybrid, quota: {recoveries: 2}}]",
    "supervisors: [ann]\nrules: [{mode: hybrid, limits: {}}]",
    "supervisors: [ann]\nrules: [{mode: hybrid, limits: {evidence: [police_report]}, quota: null}]",
    "rules: [{measures: [deactivation, {measure: blacklisting, delay_hours: 48}]}]",
    "rules: [{products: ['2024', no]}, {kinds: [act], reasons: [same_hardware], match: all}, {watch_days: 2.0}]",
    "supervisors: &all [ann, bob]\n"
    "rules: [{mode: manual, approval: &a {due_hours: 48, remind_hours: 24, undecided: escalate, escalate_to: *all}},"
    " {mode: manual, products: [plm], approval: *a, four_eyes_above_cents: 5, resurfaced: {found: damaged}}]",
    "supervisors: [ann, bob]\nrules: [{mode: hybrid, limits: {value_above_cents: 9}, four_eyes_above_cents: 9}]",
    "supervisors: [ann]\n"
    "rules: [{mode: hybrid, limits: {exposure_above_days: 90}}, {kinds: [act], reasons: [same_hardware]}]",
    "rules: [{products: [cad], kinds: [dongle]}, {products: [cad]}, {kinds: [dongle]}, {reasons: [stolen]}, {}]",
]

CROWD = ", ".join(f"person-{number}" for number in range(201))

BAD: list[tuple[str, str, tuple[int, int]]] = [
    ("#" + "x" * 131_072, BadYaml.TOO_LARGE, (1, 1)),
    (LAUGHS, BadYaml.TOO_LARGE, (5, 4)),
    ("[" * 500, BadYaml.TOO_LARGE, (1, 21)),
    ("rules: [", BadYaml.NOT_YAML, (1, 9)),
    ("rules: &r [*r]", BadYaml.NOT_YAML, (1, 12)),
    ("rules: !!python/object:os.system []", BadYaml.NOT_YAML, (1, 8)),
    ("{}\n---\n{}", BadYaml.NOT_YAML, (2, 1)),
    ("rules: []\x00", BadYaml.NOT_YAML, (1, 10)),
    ("supervisors: [ann]\nsupervisors: [bob]", BadYaml.REPEATED_SETTING, (2, 1)),
    ("rules:\n- watch: 30", Misfit.UNKNOWN_SETTING, (2, 3)),
    ("superviser: [ann]", Misfit.UNKNOWN_SETTING, (1, 1)),
    ("rules:\n- <<: {mode: automatic}", Misfit.UNKNOWN_SETTING, (2, 3)),
    ("supervisors: [ann]\nrules:\n- mode: manual\n  approval: {remind_hours: 1}", Misfit.MISSING_SETTING, (4, 3)),
    ("", Misfit.WRONG_TYPE, (1, 1)),
    ("rules:\n- 5", Misfit.WRONG_TYPE, (2, 3)),
    ("rules: [{watch_days: '30'}]", Misfit.WRONG_TYPE, (1, 22)),
    ("rules: [{products: [2024]}]", Misfit.WRONG_TYPE, (1, 21)),
    ("supervisors: [ann]\nrules: [{mode: hybrid, limits: {holder_only: 'yes'}}]", Misfit.WRONG_TYPE, (2, 46)),
    ("rules: [{watch_days: 0}]", Misfit.OUT_OF_RANGE, (1, 22)),
    ("rules: []", Misfit.OUT_OF_RANGE, (1, 8)),
    ("policy_version: 0", Misfit.OUT_OF_RANGE, (1, 17)),
    ("rules: [{mode: hybird}]", Misfit.UNKNOWN_VALUE, (1, 16)),
    ("rules: [{measures: [blacklist]}]", Misfit.UNKNOWN_VALUE, (1, 21)),
    ("rules: [{resurfaced: {found: clone}}]", Misfit.UNKNOWN_VALUE, (1, 30)),
    ("supervisors: [Ann Smith]", Misfit.BAD_NAME, (1, 15)),
    ("rules:\n- mode: automatic\n  limits: {evidence: [photo]}", Misfit.LIMIT_WITHOUT_HYBRID, (3, 3)),
    ("rules:\n- quota: {recoveries: 1}", Misfit.LIMIT_WITHOUT_HYBRID, (2, 3)),
    ("rules: [{mode: hybrid}]", Misfit.HYBRID_WITHOUT_LIMIT, (1, 10)),
    (
        "supervisors: [ann]\nrules:\n- mode: hybrid\n  limits: {exposure_above_days: 60}\n  watch_days: 59",
        Contradicts.WATCH_SHORTER_THAN_EXPOSURE,
        (5, 3),
    ),
    (
        "supervisors: [ann]\nrules: [{mode: hybrid, limits: {exposure_above_days: 60}}]",
        Contradicts.WATCH_SHORTER_THAN_EXPOSURE,
        (2, 9),
    ),
    (
        "supervisors: [ann]\nrules:\n- mode: manual\n  stop_gap_days: 2\n  approval: {due_hours: 49}",
        Contradicts.DUE_AFTER_STOP_GAP,
        (5, 14),
    ),
    (
        "supervisors: [ann]\nrules: [{mode: manual, approval: {due_hours: 4, remind_hours: 4}}]",
        Contradicts.REMINDER_AFTER_DUE,
        (2, 49),
    ),
    (
        f"supervisors: [{CROWD}]\n"
        f"rules: [{{mode: manual, approval: {{due_hours: 4, undecided: escalate, escalate_to: [{CROWD}]}}}}]",
        Contradicts.ESCALATION_TO_TOO_MANY,
        (2, 70),
    ),
    (
        f"rules:\n- products: [{', '.join(f'p-{number:070}' for number in range(900))}]\nsupervisors: [ann]",
        Contradicts.POLICY_TOO_LARGE,
        (1, 1),
    ),
    (
        "supervisors: [ann]\nrules: [{mode: manual, approval: {due_hours: 4, undecided: escalate}}]",
        Contradicts.ESCALATION_TO_NOBODY,
        (2, 49),
    ),
    (
        "supervisors: [ann]\nrules: [{mode: manual, approval: {due_hours: 4, escalate_to: [ann]}}]",
        Contradicts.ESCALATION_NEVER,
        (2, 49),
    ),
    (
        "supervisors: [ann]\nrules: [{mode: manual, four_eyes_above_cents: 5}]",
        Contradicts.FOUR_EYES_OF_ONE,
        (2, 24),
    ),
    (
        "supervisors: [ann, bob]\nrules: [{mode: hybrid, limits: {value_above_cents: 6}, four_eyes_above_cents: 5}]",
        Contradicts.FOUR_EYES_PASSED_BY,
        (2, 56),
    ),
    (
        "supervisors: [ann]\nrules: [{mode: hybrid, quota: {recoveries: 1, goodwill: [ann, eve]}}]",
        Contradicts.NOT_A_SUPERVISOR,
        (2, 63),
    ),
    ("rules: [{mode: manual}]", Contradicts.NO_SUPERVISOR, (1, 10)),
    (
        "supervisors: [ann]\nrules: [{mode: automatic, approval: {due_hours: 4}}]",
        Contradicts.NOBODY_IS_ASKED,
        (2, 27),
    ),
    ("rules:\n- kinds: [dongle]\n- kinds: [dongle]\n  watch_days: 5", Contradicts.NEVER_CHOSEN, (3, 3)),
    ("rules: [{products: [a, b]}, {products: [b], kinds: [act]}, {products: [a]}]", Contradicts.NEVER_CHOSEN, (1, 60)),
    ("rules: [{products: [a, b]}, {products: [c, b]}]", Contradicts.NEVER_CHOSEN, (1, 44)),
    (
        "supervisors: [ann]\nrules: [{mode: hybrid, quota: {recoveries: 0}}]",
        Contradicts.NEVER_AUTOMATIC,
        (2, 32),
    ),
    ("rules: [{kinds: [dongle], reasons: [lost, forgotten]}]", Contradicts.NO_SUCH_LOSS, (1, 43)),
    ("rules: [{kinds: [cloud, act], reasons: [forgotten]}]", Contradicts.NO_SUCH_LOSS, (1, 25)),
    (
        "rules:\n- watch_days: 2\n  measures: [{measure: blacklisting, delay_hours: 49}]",
        Contradicts.DELAY_LONGER_THAN_WATCH,
        (3, 38),
    ),
    (
        "rules: [{measures: [{measure: deactivation, delay_hours: 2}, blacklisting]}]",
        Contradicts.DELAYS_OUT_OF_ORDER,
        (1, 62),
    ),
    (
        "supervisors: [ann]\n"
        "rules: [{mode: hybrid, limits: {licence_older_than_days: 5, licence_younger_than_days: 6}}]",
        Contradicts.NEVER_AUTOMATIC,
        (2, 61),
    ),
    ("supervisors: [ann, bob, ann]", Contradicts.REPEATED_NAME, (1, 25)),
    ("rules: [{measures: [blacklisting, blacklisting]}]", Contradicts.REPEATED_NAME, (1, 35)),
    ("rules: [{kinds: [cloud], reasons: [forgotten], watch_days: 5}]", Contradicts.NO_EFFECT, (1, 48)),
    ("rules: [{kinds: [dongle], match: all}]", Contradicts.NO_EFFECT, (1, 27)),
    ("rules: [{kinds: [dongle, cloud], activation: code}]", Contradicts.NO_EFFECT, (1, 34)),
    ("rules: [{kinds: [cloud], measures: [blacklisting, withdrawal]}]", Contradicts.NOTHING_TO_WITHDRAW, (1, 51)),
    ("rules: [{measures: [withdrawal]}]", Contradicts.NOTHING_TO_WITHDRAW, (1, 21)),
]


@pytest.mark.parametrize("text", GOOD)
def test_a_good_policy_is_taken(text: str) -> None:
    policy, mistakes = check(text)

    assert not [one.line("policy.yaml") for one in mistakes]
    assert policy == Policy.model_validate(yaml.safe_load(text.replace(" no]", " 'no']")))


@pytest.mark.parametrize(("text", "code", "place"), BAD)
def test_a_mistake_is_found_where_it_stands(text: str, code: str, place: tuple[int, int]) -> None:
    policy, mistakes = check(text)

    assert policy is None
    assert [(one.code, (one.place.line, one.place.column)) for one in mistakes] == [(code, place)]


@pytest.mark.parametrize("code", [*BadYaml, *Misfit, *Contradicts])
def test_every_code_has_an_example(code: str) -> None:
    assert code in [known for _, known, _ in BAD]


@pytest.mark.parametrize(("text", "code", "place"), [one for one in BAD if one[1] in list(Contradicts)])
def test_a_contradiction_names_both_settings_with_their_lines(text: str, code: str, place: tuple[int, int]) -> None:
    _, (mistake,) = check(text)

    assert len(mistake.settings) == 2
    for _, at in mistake.settings:
        assert f"line {at.line})" in mistake.sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("rules: [{watch: 30}]", 'there is no setting "watch" here; did you mean match?'),
        (
            "rules: [{mode: hybird}]",
            'mode must be one of automatic, hybrid, manual, and not "hybird"; did you mean hybrid?',
        ),
        (
            "rules: [{watch_days: '30'}]",
            'watch_days must be a whole number from 1 to 3,660, and not "30"; leave out the quotes',
        ),
        ("supervisors: [7]", "put it in quotes"),
        ("rules: [{}, {}]", "rule 2 (line 1) is never chosen: wherever it holds another is, such as rule 1 (line 1)"),
    ],
)
def test_a_sentence_says_what_to_write_instead(text: str, sentence: str) -> None:
    _, (mistake,) = check(text)

    assert sentence in mistake.sentence


def test_all_mistakes_are_told_at_once_and_none_twice() -> None:
    text = "\n".join(
        [
            "supervisors: [ann, ann]",
            "rules:",
            "- mode: hybird",
            "  qouta: {recoveries: 1}",
            "- mode: manual",
            "  approval: {due_hours: 5, remind_hours: 6, remind: 3}",
            "  four_eyes_above_cents: x",
            "- {mode: manual, watch_days: 2, measures: [{measure: blacklisting, delay_hours: 49}], products: [a]}",
            "- {mode: manual, products: [a]}",
        ]
    )

    assert [(one.code, one.place.line) for one in check(text)[1]] == [
        (Contradicts.REPEATED_NAME, 1),
        (Misfit.UNKNOWN_VALUE, 3),
        (Misfit.UNKNOWN_SETTING, 4),
        (Misfit.UNKNOWN_SETTING, 6),
        (Misfit.WRONG_TYPE, 7),
        (Contradicts.DELAY_LONGER_THAN_WATCH, 8),
        (Contradicts.NEVER_CHOSEN, 9),
    ]


@pytest.mark.parametrize(
    "mistaken", ["product: [plm]", "products: plm", "kinds: [dongel]", "reasons: [5]", "mode: x, products: [cad]"]
)
def test_a_mistaken_rule_is_not_held_against_the_others(mistaken: str) -> None:
    text = f"rules:\n- {{{mistaken}}}\n- {{kinds: [act], match: all}}\n- {{watch_days: 9}}\n- {{products: [plm]}}"

    assert [one.place.line for one in check(text)[1]] == [2]


@given(policy=policies)
def test_a_policy_that_is_shown_is_read_again_as_the_same(policy: Policy) -> None:
    shown = json.dumps(policy.model_dump(mode="json"))
    read, mistakes = check(shown)

    assert read == policy or all(one.code in list(Contradicts) for one in mistakes)


WORDS = "rules|supervisors|mode|hybrid|quota|limits|approval|ann|recoveries|- |: |, |[|]|{|}|\n|\n  | |&a |*a"
lines = st.lists(st.sampled_from([*WORDS.split("|"), "'", '"', "1", "-1", "1e999", "1e300", "~"]))


@given(text=st.one_of(st.text(), lines.map("".join)))
def test_no_text_is_too_strange_to_be_explained(text: str) -> None:
    policy, mistakes = check(text)

    assert (policy is None) == bool(mistakes)
    assert all(one.line("f") and one.plain() for one in mistakes)


# The JSON Schema.


def test_the_committed_schema_is_the_generated_one_and_valid() -> None:
    assert json.loads((ROOT / "docs/policy.schema.json").read_text()) == schema()
    Draft202012Validator.check_schema(schema())


def agree(value: Any) -> bool:
    """Whether the schema and the model say the same of a value; what both say."""
    valid = Draft202012Validator(schema()).is_valid(value)
    _, mistakes = check(json.dumps(value))
    assert valid == (not [one for one in mistakes if one.code not in list(Contradicts)])
    return valid


@pytest.mark.parametrize("text", GOOD)
def test_the_schema_takes_what_is_good(text: str) -> None:
    assert agree(yaml.safe_load(text.replace(" no]", " 'no']")))


@pytest.mark.parametrize(("text", "code", "place"), [one for one in BAD if one[1] in list(Misfit)])
def test_the_schema_refuses_what_the_model_does(text: str, code: str, place: tuple[int, int]) -> None:
    assert not agree(yaml.safe_load(text) if "<<" not in text else {"rules": [{"<<": {}}]})


@given(data=st.data(), policy=policies)
def test_the_schema_and_the_model_agree_on_any_policy_and_on_what_is_changed_in_it(
    data: st.DataObject, policy: Policy
) -> None:
    value = policy.model_dump(mode="json")
    assert agree(value)

    rule = data.draw(st.sampled_from(value["rules"]))
    group = data.draw(st.sampled_from([value, rule, *(one for one in rule.values() if isinstance(one, dict))]))
    name = data.draw(st.sampled_from([*group, "other"]))
    group[name] = data.draw(
        st.sampled_from([None, True, 0, 1, -1, 2.5, 10**13, "x", "", "hybrid", [], ["ann"], [5], {}])
    )
    agree(value)


# The command.


def run(*words: str, given: str | None = None) -> tuple[int, str]:
    def no_application() -> Any:
        raise AssertionError("no services are needed")

    done = CliRunner().invoke(commands(no_application), [*words], input=given)
    assert not done.exception or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_check_tells_file_line_column_and_code(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(GOOD[0])
    bad.write_text("rules:\n- watch: 30\n- mode: x\n")

    assert run("check", str(good)) == (0, f"{good} is good: 1 rule, 2 supervisors.\n")
    nobody = run("check", "--json", "-", given="supervisors: []\n")
    assert (nobody[0], json.loads(nobody[1])["warnings"]) == (0, [NO_SUPERVISORS])
    assert run("check", "-", given="supervisors: []\n")[1].endswith(f"\n{NO_SUPERVISORS}\n")
    code, output = run("check", str(bad))
    assert code == 1
    assert [line.split(" ")[0] for line in output.splitlines()] == [f"{bad}:2:3:", f"{bad}:3:9:"]
    code, output = run("check", "--json", "-", given=bad.read_text())
    assert (code, [one["code"] for one in json.loads(output)["mistakes"]]) == (1, ["unknown_setting", "unknown_value"])
    assert run("check", str(tmp_path / "none.yaml"))[0] == 1


def test_what_is_adopted_is_checked_before() -> None:
    code, output = run("adopt", "-", "--vendor", "acme", given="rules: [{watch: 30}]")

    assert code == 1
    assert "-:1:10: there is no setting" in output
    assert "[unreadable_policy]" in output
