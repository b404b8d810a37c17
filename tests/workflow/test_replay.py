"""Saved histories replay with today's workflow: whole, and cut off wherever another worker may have taken the case up.

`LOSTFOUND_SAVE_HISTORIES=1 make test` saves them anew; do that only for a change that no running case can meet.
"""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from events.terms import LOSSES, Outcome
from infra.converter import CONVERTER
from infra.roles.worker import workflow_runner
from workflows.loss_case import LossCase

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


@pytest.fixture
def replayer() -> Replayer:
    return Replayer(workflows=[LossCase], data_converter=CONVERTER, workflow_runner=workflow_runner())


def test_there_is_a_history_of_every_end() -> None:
    assert {path.stem for path in HISTORIES} >= {*Outcome, "awaited_target", "joined", "approved"}


def test_there_is_a_history_of_every_row_of_the_table_of_losses() -> None:
    rows = {f"row_{loss.kind}_{loss.reason}_{scope}" for loss in LOSSES for scope in loss.scopes}
    assert {path.stem for path in HISTORIES} >= rows


ROWS = [path for path in HISTORIES if path.stem.startswith("row_")]
ENDS = [path for path in HISTORIES if path not in ROWS]


@pytest.mark.parametrize("path", ROWS, ids=lambda path: path.stem)
async def test_the_history_of_a_row_replays(path: Path, replayer: Replayer) -> None:
    await replayer.replay_workflow(WorkflowHistory.from_json(path.stem, path.read_text()))


@pytest.mark.parametrize("path", ENDS, ids=lambda path: path.stem)
async def test_a_saved_history_replays_from_each_of_its_tasks(path: Path, replayer: Replayer) -> None:
    history = WorkflowHistory.from_json(path.stem, path.read_text())
    ends = [
        number
        for number, event in enumerate(history.events, start=1)
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
    ]
    assert len(ends) >= 2

    await replayer.replay_workflow(history)
    quick = Replayer(workflows=[LossCase], data_converter=CONVERTER, workflow_runner=UnsandboxedWorkflowRunner())

    async def prefixes() -> AsyncIterator[WorkflowHistory]:
        for end in ends:
            yield WorkflowHistory(path.stem, history.events[:end])

    await quick.replay_workflows(prefixes())


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_history_of_another_story_does_not_replay(path: Path, replayer: Replayer) -> None:
    told: dict[str, Any] = json.loads(path.read_text())
    for event in told["events"]:
        if marker := event.get("markerRecordedEventAttributes"):
            for payload in marker["details"]["data"]["payloads"]:
                done = base64.b64decode(payload["data"]).replace(b'_type":"assess"', b'_type":"issue"')
                payload["data"] = base64.b64encode(done).decode()

    with pytest.raises(Exception, match=r"[Nn]ondeterminism"):
        await replayer.replay_workflow(WorkflowHistory.from_json(path.stem, json.dumps(told)))
