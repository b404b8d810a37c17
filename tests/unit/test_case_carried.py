"""A case that an older release carried into a new history believes what its facts in the log say."""

import base64
import json
from pathlib import Path
from typing import NamedTuple, cast

import pytest

from events.case_facts import CaseFact
from events.ports.loss_cases import Sighting
from events.terms import CaseId, Cause, PersonId, ReportId, Status
from tests.unit.facts import NOW, report
from tests.workflow.golden import CODEC, HISTORIES, SAVED, golden
from workflows.case import LATER_FIELDS, CaseState, fold, fold_all, with_later_fields
from workflows.divergence import must_be_as_carried
from workflows.loss_case import Snapshot

SNAPSHOTS = HISTORIES.parent / "snapshots"
CARRIED = [*sorted(SNAPSHOTS.glob("*.json")), *sorted(HISTORIES.glob("*/policy_asked_again.json"))]
"""Snapshots that are kept by themselves, and saved histories that begin with one."""
TURNED_UP = (Status.RESURFACED, Status.REINSTATING, Status.CLOSED)


class Carried(NamedTuple):
    """What a case knew when it went on in a new history, and the facts that the log has of it."""

    snapshot: Snapshot
    facts: list[CaseFact]


def carried(path: Path) -> Carried:
    kept = json.loads(path.read_text())
    if path.parent == SNAPSHOTS:
        facts = [cast(CaseFact, CODEC.read(type_, data)) for _, type_, _, data in kept["facts"]]
        return Carried(Snapshot.model_validate(kept["snapshot"]), facts)
    begun = kept["events"][0]["workflowExecutionStartedEventAttributes"]["input"]["payloads"][1]["data"]
    return Carried(
        Snapshot.model_validate_json(base64.b64decode(begun)), [cast(CaseFact, one.fact) for one in golden(path)]
    )


@pytest.mark.parametrize("path", CARRIED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_case_that_an_older_release_carried_on_believes_what_the_log_says(path: Path) -> None:
    snapshot, facts = carried(path)
    begun, log_says = snapshot.state, fold_all(facts[: snapshot.state.sequence])
    assert log_says is not None
    must_be_as_carried(CaseId("c-1"), begun.sequence, begun, snapshot.digest)  # each field that was carried

    assert with_later_fields(begun) == log_says


def test_each_field_that_some_release_did_not_carry_has_a_value_by_those_that_it_carried() -> None:
    known = [carried(path).snapshot.state.model_fields_set for path in CARRIED]

    assert {name for name in CaseState.model_fields if any(name not in one for one in known)} == LATER_FIELDS.keys()


@pytest.mark.parametrize("path", SAVED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_carried_on_after_any_fact_a_case_never_believes_in_an_approval_that_nobody_gave(path: Path) -> None:
    state = None
    for one in golden(path):
        state = fold(state, cast(CaseFact, one.fact))
        this, older = (CaseState.model_validate_json(state.model_dump_json(exclude=e)) for e in (set(), {"approved"}))

        assert with_later_fields(this) == state
        assert with_later_fields(older) == state or (state.approved and state.status in TURNED_UP)


def older(state: CaseState, *later: str) -> CaseState:
    """A state that a release carried on which did not know these fields."""
    return CaseState.model_validate(state.model_dump(exclude=set(later)))


STUCK = CaseState(
    status=Status.STUCK,
    report=report(),
    reports=(ReportId("R-1"),),
    reporters=(PersonId("crm"),),
    rules_version=2,
    stuck=(Status.AWAITING_APPROVAL, "busy", "it failed"),
)


def test_what_an_older_release_had_found_while_a_case_was_stuck_is_what_that_case_missed() -> None:
    found = STUCK.model_copy(update={"found": ("found/F-1", NOW)})

    assert with_later_fields(older(found, "missed")).missed == (
        Sighting(statement="found/F-1", cause=Cause.FOUND, occurred=NOW),
    )
    assert with_later_fields(older(STUCK, "missed")).missed == ()


@pytest.mark.parametrize(
    ("changes", "unheard"),
    [
        ({}, True),
        ({"rules_version": 1}, False),
        ({"evidence": ()}, False),
        ({"stuck": (Status.WATCHING, "busy", "it failed")}, False),
        ({"status": Status.AWAITING_APPROVAL, "stuck": None}, False),
    ],
    ids=["stuck there", "the first rules", "no evidence", "stuck elsewhere", "not stuck"],
)
def test_evidence_may_be_unheard_where_an_older_release_carried_a_case_on_that_was_stuck_before_its_approval(
    changes: dict[str, object], unheard: bool
) -> None:
    state = STUCK.model_copy(update={"evidence": ("photo",), **changes})

    assert with_later_fields(older(state, "unheard")).unheard is unheard
