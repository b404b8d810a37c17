"""Contradictions of a policy: each is told of the very settings that it is about, and not before the border."""

import pytest
import yaml

from workflows.contradictions import contradictions
from workflows.policy import Policy


def contradictions_of(text: str) -> list[tuple[list[str], str]]:
    """The contradictions of a policy: the settings and the sentence."""
    policy = Policy.model_validate(yaml.safe_load(text))
    return [(["/".join(map(str, path)) for path in one.paths], one.sentence) for one in contradictions(policy)]


@pytest.mark.parametrize(
    ("text", "settings", "sentence"),
    [
        (
            "rules: [{kinds: [act, dongle, act]}]",
            ["rules/0/kinds/2", "rules/0/kinds/0"],
            "{0} is act, as {1} is; name it once",
        ),
        (
            "supervisors: [ann]\nrules: [{mode: hybrid, limits: {evidence: [photo, photo]}}]",
            ["rules/0/limits/evidence/1", "rules/0/limits/evidence/0"],
            "{0} is photo, as {1} is; name it once",
        ),
        (
            "supervisors: [ann]\nrules: [{mode: hybrid, quota: {recoveries: 1, goodwill: [ann, ann]}}]",
            ["rules/0/quota/goodwill/1", "rules/0/quota/goodwill/0"],
            "{0} is ann, as {1} is; name it once",
        ),
        (
            "supervisors: [ann]\n"
            "rules: [{mode: manual, approval: {due_hours: 1, undecided: escalate, escalate_to: [ann, eve]}}]",
            ["rules/0/approval/escalate_to/1", "supervisors"],
            "{0} is eve, who is not among {1} and could not decide; add eve there, or leave it out",
        ),
        (
            "rules: [{mode: manual}]",
            ["rules/0/mode", "supervisors"],
            "{0} is manual, but {1} names nobody who could decide; name somebody",
        ),
        (
            "rules: [{kinds: [dongle], reasons: [forgotten]}]",
            ["rules/0/reasons/0", "rules/0/kinds"],
            "{0} is forgotten, which goes with none of {1}; there go damaged, lost, stolen",
        ),
        (
            "rules: [{kinds: [act], reasons: [same_hardware]}, {kinds: [act], reasons: [same_hardware]}]",
            ["rules/1", "rules/0"],
            "{0} is never chosen: wherever it holds another is, such as {1}, which stands before it and names as much;"
            " remove it",
        ),
        (
            "rules: [{}, {kinds: [dongle]}, {kinds: [act]}, {kinds: [cloud]}]",
            ["rules/0", "rules/1"],
            "{0} is never chosen: wherever it holds another is, such as {1}, which is more specific; remove it",
        ),
        (
            "supervisors: [ann]\nrules: [{mode: manual, approval: {due_hours: 4, undecided: escalate}}]",
            ["rules/0/approval/undecided", "rules/0/approval/escalate_to"],
            "{0} is escalate, but {1} names nobody; name a supervisor",
        ),
        (
            "supervisors: [ann]\nrules: [{mode: manual, approval: {due_hours: 721}}]",
            ["rules/0/approval/due_hours", "rules/0/stop_gap_days"],
            "{0} is 721, but {1} ends a stop-gap after 720 hours; write 720 or less",
        ),
        (
            "rules: [{four_eyes_above_cents: 5}]",
            ["rules/0/four_eyes_above_cents", "rules/0/mode"],
            "{0} is of no use where {1} is automatic and nobody is asked; write mode: hybrid or manual",
        ),
        (
            "supervisors: [ann]\nrules: [{mode: manual, four_eyes_above_cents: 5}]",
            ["rules/0/four_eyes_above_cents", "supervisors"],
            "{0} asks for two different supervisors, but {1} names one; name another",
        ),
        (
            "supervisors: [ann, bob]\nrules: [{mode: hybrid, quota: {recoveries: 1}, four_eyes_above_cents: 500}]",
            ["rules/0/four_eyes_above_cents", "rules/0/limits/value_above_cents"],
            "{0} has two supervisors approve above 5.00, but by {1} policy decides alone on any value; write limits:"
            " value_above_cents: 500 or less",
        ),
        (
            "supervisors: [ann, bob]\n"
            "rules: [{mode: hybrid, limits: {value_above_cents: 600}, four_eyes_above_cents: 500}]",
            ["rules/0/four_eyes_above_cents", "rules/0/limits/value_above_cents"],
            "{0} has two supervisors approve above 5.00, but by {1} policy decides alone on up to 6.00; write limits:"
            " value_above_cents: 500 or less",
        ),
        (
            "supervisors: [ann]\nrules: [{mode: hybrid, limits: {exposure_above_days: 31}}]",
            ["rules/0/watch_days", "rules/0/limits/exposure_above_days"],
            "{0} makes a watch of 30 days (act same hardware), but by {1} what is lost may run for 31 days before a"
            " person is asked; write watch_days: 31 or more",
        ),
        (
            "rules: [{watch_days: 2, measures: [{measure: blacklisting, delay_hours: 49}]}]",
            ["rules/0/measures/0/delay_hours", "rules/0/watch_days"],
            "{0} is 49, longer than the watch of 2 days (dongle lost) by {1}, which would be over before the measure"
            " takes effect; write 48 or less",
        ),
        (
            "rules: [{measures: [{measure: deactivation, delay_hours: 2}, blacklisting]}]",
            ["rules/0/measures/1", "rules/0/measures/0"],
            "{0} takes effect after 0 hours, before {1}, which stands first and takes 2; put them in the order in"
            " which they take effect",
        ),
        (
            "supervisors: [ann]\n"
            "rules: [{mode: hybrid, limits: {licence_older_than_days: 5, licence_younger_than_days: 6}}]",
            ["rules/0/limits/licence_younger_than_days", "rules/0/limits/licence_older_than_days"],
            "{0} is 6 and {1} is 5, so every licence is too young or too old; write mode: manual",
        ),
        (
            "supervisors: [ann]\nrules: [{mode: hybrid, quota: {recoveries: 0}}]",
            ["rules/0/quota/recoveries", "rules/0/mode"],
            "{0} is 0, so nothing is decided by itself though {1} is hybrid; write 1 or more, or mode: manual",
        ),
        *(
            (
                f"rules: [{{{losses}, {name}: {value}}}]",
                [f"rules/0/{name}", "rules/0"],
                f"{{0}} has no effect: with the losses that {{1}} is chosen for, {why}; remove it",
            )
            for losses, name, value, why in (
                ("reasons: [forgotten]", "measures", "[blacklisting]", "nothing is blocked"),
                ("reasons: [damaged]", "watch_days", 5, "nothing is watched for so long"),
                ("reasons: [lost]", "stop_gap_days", 5, "there is no stop-gap"),
                ("kinds: [dongle]", "match", "all", "no machine must be the same"),
            )
        ),
    ],
)
def test_a_contradiction_is_told_of_the_settings_that_it_is_about(
    text: str, settings: list[str], sentence: str
) -> None:
    assert contradictions_of(text) == [(settings, sentence)]


def long(size: int) -> str:
    """A policy whose canonical form has so many bytes."""
    fixed = len('{"supervisors":[]}')
    names = [f"{number:077}" for number in range((size - fixed - 3) // 80)]
    names.append("x" * (size - fixed - 80 * len(names) - 2))
    return f"supervisors: [{', '.join(repr(name) for name in names)}]"


def test_a_policy_is_no_longer_in_its_canonical_form_than_one_fact_can_state() -> None:
    (found,) = contradictions_of(long(60_001))

    assert found[0] == ["rules", "supervisors"]
    assert found[1].startswith("{0} and {1} have 60,001 bytes as JSON")
    assert contradictions_of(long(60_000)) == []


def test_a_case_is_escalated_to_two_hundred_people_and_no_more() -> None:
    def policy(count: int) -> str:
        names = [f"p{number}" for number in range(count)]
        approval = {"due_hours": 1, "undecided": "escalate", "escalate_to": names}
        return yaml.safe_dump({"supervisors": names, "rules": [{"mode": "manual", "approval": approval}]})

    assert contradictions_of(policy(200)) == []
    assert contradictions_of(policy(201)) == [
        (
            ["rules/0/approval/escalate_to", "rules/0/approval/undecided"],
            "{0} names 201 people, but by {1} a case is escalated to at most 200; name fewer",
        )
    ]


@pytest.mark.parametrize(
    "text",
    [
        "supervisors: [ann]\nrules: [{mode: hybrid, limits: {exposure_above_days: 30}}]",
        "rules: [{watch_days: 2, measures: [{measure: blacklisting, delay_hours: 48}]}]",
        "supervisors: [ann]\nrules: [{mode: manual, approval: {due_hours: 720}}]",
        "supervisors: [ann]\nrules: [{mode: manual, reasons: [lost], approval: {due_hours: 721}}]",
        "supervisors: [ann]\n"
        "rules: [{mode: hybrid, limits: {licence_older_than_days: 5, licence_younger_than_days: 5}}]",
        "rules: [{reasons: [damaged], stop_gap_days: 5}, {kinds: [act], match: all}]",
        "rules: [{measures: [withdrawal]}, {kinds: [cloud]}, {kinds: [act], activation: any}]",
    ],
)
def test_on_the_border_nothing_contradicts(text: str) -> None:
    assert contradictions_of(text) == []
