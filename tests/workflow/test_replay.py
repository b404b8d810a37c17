"""Saved histories replay with today's workflow, whole and cut off wherever another worker may have taken the case up,
and come to the facts that their cases appended.

`LOSTFOUND_SAVE_HISTORIES=1 make test` saves those of this release anew. Those of a release that is out stay as they
are: see docs/changing-a-rule.md.
"""

import base64
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from events.loss_table import LOSSES
from events.terms import Outcome
from infra.converter import CONVERTER
from infra.roles.worker import workflow_runner
from tests.workflow.golden import HISTORIES, SAVED, Appends, golden
from workflows.loss_case import LossCase

RELEASE = HISTORIES / version("lostfound")
ENDS = {*Outcome, "awaited_target", "joined", "approved"}
ROWS = {f"row_{loss.kind}_{loss.reason}_{scope}" for loss in LOSSES for scope in loss.scopes}
every_history = pytest.mark.parametrize("path", SAVED, ids=lambda path: f"{path.parent.name}/{path.stem}")


def saved(path: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(path.stem, path.read_text())


def replayer_with(*appends: Appends) -> Replayer:
    """One without the sandbox: quicker, and what is appended can be looked at."""
    runner = UnsandboxedWorkflowRunner()
    return Replayer(workflows=[LossCase], data_converter=CONVERTER, workflow_runner=runner, interceptors=appends)


@pytest.fixture
def replayer() -> Replayer:
    return Replayer(workflows=[LossCase], data_converter=CONVERTER, workflow_runner=workflow_runner())


@pytest.mark.parametrize("folder", [HISTORIES, RELEASE], ids=["first", "this release"])
def test_there_is_a_history_of_every_end_and_of_every_row_of_the_table_of_losses(folder: Path) -> None:
    assert {path.stem for path in folder.glob("*.json")} >= ENDS | ROWS


@every_history
async def test_a_saved_history_comes_to_the_facts_that_its_case_appended(path: Path) -> None:
    appends = Appends()

    await replayer_with(appends).replay_workflow(saved(path))

    facts, begun = appends.facts, _input(path, 1)
    first = begun["state"]["sequence"] + 1 if "state" in begun else 1
    assert facts == golden(path)[first - 1 :]


@pytest.mark.parametrize("path", [path for path in SAVED if path.stem in ROWS], ids=lambda path: path.stem)
async def test_the_history_of_a_row_replays(path: Path, replayer: Replayer) -> None:
    await replayer.replay_workflow(saved(path))


@pytest.mark.parametrize("path", [path for path in SAVED if path.stem not in ROWS], ids=lambda path: path.stem)
async def test_a_saved_history_replays_from_each_of_its_tasks(path: Path, replayer: Replayer) -> None:
    history = saved(path)
    ends = [
        number
        for number, event in enumerate(history.events, start=1)
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
    ]
    assert len(ends) >= 2

    await replayer.replay_workflow(history)
    quick = replayer_with()

    async def prefixes() -> AsyncIterator[WorkflowHistory]:
        for end in ends:
            yield WorkflowHistory(path.stem, history.events[:end])

    await quick.replay_workflows(prefixes())


@every_history
async def test_a_history_of_another_story_does_not_replay(path: Path, replayer: Replayer) -> None:
    history: dict[str, Any] = json.loads(path.read_text())
    for event in history["events"]:
        if marker := event.get("markerRecordedEventAttributes"):
            for payload in marker["details"]["data"]["payloads"]:
                done = base64.b64decode(payload["data"]).replace(b'_type":"assess"', b'_type":"issue"')
                payload["data"] = base64.b64encode(done).decode()
        if scheduled := event.get("activityTaskScheduledEventAttributes"):
            of = scheduled["activityType"]
            of["name"] = of["name"].replace("assess", "issue")

    with pytest.raises(Exception, match=r"[Nn]ondeterminism"):
        await replayer.replay_workflow(WorkflowHistory.from_json(path.stem, json.dumps(history)))


async def test_a_rule_that_changed_fails_the_replay_and_names_case_fact_and_field(
    replayer: Replayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = RELEASE / "restored.json"
    await replayer.replay_workflow(saved(path))
    monkeypatch.setattr("workflows.decider.ENROLMENT", {1: timedelta(days=1)})

    with pytest.raises(RuntimeError) as failed:
        await replayer.replay_workflow(saved(path))

    case = _input(path, 0)["case"]
    assert f"case {case} believes something else than the log says" in str(failed.value)
    assert re.search(r"fact 5 \(lostfound\.target\.awaited\.v1\) differs in until;", str(failed.value))


async def test_a_rule_that_changed_comes_to_other_facts_than_a_history_from_before_digests_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workflows.decider.ENROLMENT", {1: timedelta(days=1)})
    appends, path = Appends(), HISTORIES / "restored.json"

    await replayer_with(appends).replay_workflow(saved(path))

    assert [one.sequence for one, kept in zip(appends.facts, golden(path), strict=True) if one != kept] == [5]


async def test_a_state_that_is_not_read_as_it_was_carried_fails_the_replay_and_names_the_field(
    replayer: Replayer,
) -> None:
    path = RELEASE / "policy_asked_again.json"
    history: dict[str, Any] = json.loads(path.read_text())
    payload = history["events"][0]["workflowExecutionStartedEventAttributes"]["input"]["payloads"][1]
    carried = json.loads(base64.b64decode(payload["data"]))
    carried["state"]["evidence"] = ["photo"]
    payload["data"] = base64.b64encode(json.dumps(carried).encode()).decode()

    with pytest.raises(RuntimeError, match=rf"its state after fact {carried['state']['sequence']} differs in evidence"):
        await replayer.replay_workflow(WorkflowHistory.from_json(path.stem, json.dumps(history)))


def _input(path: Path, argument: int) -> dict[str, Any]:
    """An argument that a saved history began with."""
    begun = json.loads(path.read_text())["events"][0]["workflowExecutionStartedEventAttributes"]
    found: dict[str, Any] = json.loads(base64.b64decode(begun["input"]["payloads"][argument]["data"]))
    return found
