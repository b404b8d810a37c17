"""Saved histories and their golden facts: what the case appended while its history was made.

`histories/RELEASE/NAME.json` is a history of that release, `histories/RELEASE/facts/NAME.json` are its facts. Those in
`histories` itself are from before releases had folders, when an append was answered without a digest.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from temporalio import workflow
from temporalio.worker import (
    Interceptor,
    StartActivityInput,
    StartLocalActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from events.codec import FactCodec
from events.fact import Fact
from events.ports.case_activities import AppendOrder

CODEC = FactCodec()
HISTORIES = Path(__file__).parent / "histories"
SAVED = sorted(path for path in HISTORIES.rglob("*.json") if path.parent.name != "facts")


class DatedFact(NamedTuple):
    """A fact in the stream of a case: its number and time of record."""

    sequence: int
    fact: Fact
    recorded: datetime


def as_golden(facts: list[DatedFact]) -> str:
    """Facts as they are kept, one a line."""
    lines = [
        json.dumps([sequence, fact.type(), recorded.isoformat(), fact.model_dump(mode="json")], ensure_ascii=False)
        for sequence, fact, recorded in facts
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def golden(history: Path) -> list[DatedFact]:
    """The facts of a saved history."""
    kept = json.loads((history.parent / "facts" / history.name).read_text())
    return [
        DatedFact(sequence, CODEC.read(type_, data), datetime.fromisoformat(recorded))
        for sequence, type_, recorded, data in kept
    ]


class Appends(Interceptor):
    """What the workflows of a worker or replayer have appended. It needs a runner without sandbox."""

    def __init__(self) -> None:
        self.orders: list[AppendOrder] = []

    @property
    def facts(self) -> list[DatedFact]:
        """The facts of all orders, each number once, as it was first ordered."""
        found: dict[int, DatedFact] = {}
        for order in self.orders:
            for sequence, (type_, data, recorded) in enumerate(order.facts, start=order.sequence + 1):
                fact = CODEC.read(type_, data)
                found.setdefault(sequence, DatedFact(sequence, fact, recorded))
        return list(found.values())

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        orders = self.orders

        class Outbound(WorkflowOutboundInterceptor):
            def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
                _keep(input)
                return super().start_activity(input)

            def start_local_activity(self, input: StartLocalActivityInput) -> workflow.ActivityHandle[Any]:
                _keep(input)
                return super().start_local_activity(input)

        class Inbound(WorkflowInboundInterceptor):
            def init(self, outbound: WorkflowOutboundInterceptor) -> None:
                super().init(Outbound(outbound))

        def _keep(input: StartActivityInput | StartLocalActivityInput) -> None:
            if input.activity == "append":
                orders.append(input.args[0])

        return Inbound
