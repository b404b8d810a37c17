"""Documentation that says nothing of a setting, a statement or a refusal fails."""

import re
from pathlib import Path
from textwrap import dedent

import pytest

from events import fingerprint, terms
from events.catalogue import FACTS
from events.codec import FactCodec
from events.errors import Code
from events.fact import Fact
from events.sizes import Label
from events.statements import STATEMENTS
from events.terms import Outcome, Reason
from events.upcasters import UPCASTERS, Data, Upcaster
from infra.settings import Settings, valid
from portal.cli.kinds import document
from portal.policy_file.reader import Misfit, check
from portal.policy_file.settings_table import table
from portal.policy_file.yaml_document import BadYaml
from tests.golden import golden
from workflows.contradictions import Contradicts

DOCS = Path(__file__).parents[2] / "docs"
ELSEWHERE = {
    Code.FILE_TYPE,
    Code.VENDOR_EXISTS,
    Code.UNKNOWN_CASE,
    Code.UNKNOWN_DEAD_LETTER,
    Code.ANOTHER_RECORD,
    Code.UNKNOWN_LICENCE,
    Code.NO_FILE,
    Code.GENERATION_CONFLICT,
    Code.GENERATION_EXHAUSTED,
    Code.NOT_BLOCKED,
    Code.BAD_SIGNATURE,
    Code.EXPIRED,
    Code.LOG_DAMAGED,
    Code.NEWER_RELEASE,
    Code.INSTALLATION,
    Code.NOT_DAMAGED,
    Code.NOT_SET_ASIDE,
    Code.UNKNOWN_POSITION,
    Code.UNREADABLE_FILE,
    Code.UNREADABLE_POLICY,
    Code.POLICY_TOO_LARGE,
    Code.DECISION_ID_TAKEN,
    Code.ROLE_MISSING,
    Code.NOT_A_SUPERVISOR,
    Code.OWN_CASE,
    Code.NOTHING_TO_DECIDE,
    Code.STALE,
    Code.SAME_SUPERVISOR,
    Code.NOT_ESCALATED_TO,
    Code.BEYOND_QUOTA,
    Code.NO_GOODWILL,
    Code.NO_CONDITION,
    Code.TOO_LATE,
    Code.REPLACEMENT_LOST,
    Code.BAD_LINK,
    Code.BAD_ACCESS_DATA,
    Code.LOCKED_OUT,
    Code.BLOCKED,
    Code.RELEASE_AWAITED,
    Code.SUPERSEDED,
    Code.ENDED,
    Code.FINGERPRINT_MISMATCH,
    Code.MACHINE_STOLEN,
    Code.GENERATION_MISSING,
    Code.ACTIVATION_CODE_MISSING,
    Code.ACTIVATION_CODE_WRONG,
}
"""Codes that no inbox record can get."""


def test_every_setting_is_documented_with_its_default_and_meaning() -> None:
    lines = ["| variable | default | takes | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = {"data_dir": ".lostfound in the checkout", "cache_dir": "the user's cache folder"}.get(name)
        known = {None: "", False: "`no`"}
        text = default or known.get(field.default, f"`{field.default}`")
        lines.append(f"| `LOSTFOUND_{name.upper()}` | {text} | {valid(name)} | {field.description} |")

    assert "\n\n" + "\n".join(lines) + "\n\n" in (DOCS / "settings.md").read_text()


@pytest.mark.parametrize("type_", STATEMENTS)
def test_every_statement_is_documented(type_: str) -> None:
    assert f"`{type_}`" in (DOCS / "inbox.md").read_text()


@pytest.mark.parametrize("code", sorted(set(Code) - ELSEWHERE))
def test_every_refusal_of_the_inbox_is_documented(code: Code) -> None:
    assert f"| `{code}` |" in (DOCS / "inbox.md").read_text()


def test_kinds_diagram_and_outcomes_are_documented_from_the_tables_of_the_code() -> None:
    assert (DOCS / "kinds.md").read_text() == document()


@pytest.mark.parametrize("named", [*Reason, *Outcome])
def test_every_reason_and_outcome_has_a_meaning_in_words(named: str) -> None:
    assert f"`{named}`" in document()


POLICIES = (DOCS / "policies.md").read_text()


def test_every_setting_of_a_policy_is_documented_from_the_model() -> None:
    assert f"<!-- settings -->\n{table()}<!-- end of settings -->" in POLICIES


@pytest.mark.parametrize("code", [*BadYaml, *Misfit, *Contradicts])
def test_every_mistake_in_a_policy_is_documented(code: str) -> None:
    assert f"| `{code}` |" in POLICIES


def test_the_example_policy_is_good_and_gives_every_setting() -> None:
    (example,) = re.findall(r"<!-- example -->\n```yaml\n(.*?)```", POLICIES, re.DOTALL)
    settings = {name.rsplit(".", 1)[-1] for name in re.findall(r"^\| `(\S+)`", table(), re.MULTILINE)}

    assert check(example)[1] == []
    assert {name for name in settings if f"{name}:" not in example} == {"policy_version"}


def test_the_policy_in_the_readme_is_good() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (DOCS.parent / "README.md").read_text(), re.DOTALL)

    assert check(example)[1] == []


def test_the_readme_names_every_document() -> None:
    listed = set(re.findall(r"\]\(docs/([a-z-]+\.md)\)", (DOCS.parent / "README.md").read_text()))
    assert listed == {page.name for page in DOCS.glob("*.md")}


CHANGING_A_FACT = (DOCS / "changing-a-fact.md").read_text()


def test_every_fact_is_documented_with_its_version_its_release_and_its_meaning() -> None:
    lines = ["| fact | version | since | meaning |", "|---|---|---|---|"]
    for fact in sorted(FACTS, key=lambda fact: fact.name):
        meaning = " ".join((fact.__doc__ or "").split("\n\n")[0].split())
        lines.append(f"| `{fact.name}` | {fact.version} | {fact.since} | {meaning} |")

    assert CHANGING_A_FACT.endswith("\n## Every fact\n\n" + "\n".join(lines) + "\n")


def test_the_example_of_a_changed_fact_reads_what_was_written_before() -> None:
    names = {**vars(terms), **vars(fingerprint), "Fact": Fact, "Label": Label, "Data": Data, "Upcaster": Upcaster}
    names["__name__"] = __name__
    for mark in ("fact", "upcaster"):
        (example,) = re.findall(rf"<!-- {mark} -->\n +```python\n(.*?)```", CHANGING_A_FACT, re.DOTALL)
        exec(dedent(example), names)
    changed = names["ContainerRegistered"]
    codec = FactCodec(
        [*(fact for fact in FACTS if fact.name != changed.name), changed], {**UPCASTERS, **names["UPCASTERS"]}
    )

    read = codec.unseal(golden("lostfound.container.registered.v1")[-1].value)

    assert isinstance(read.fact, changed)
    assert read.fact.site == "not known"
