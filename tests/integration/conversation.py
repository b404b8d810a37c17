"""What is said to cases in tests, and cases that keep what they are brought."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from activities.delivery import Delivery
from events.case_facts import LossReported
from events.ports.loss_cases import AcceptedDecision, DecisionDenied, DecisionOrder, DecisionTaken, Message
from events.statements import FoundStatement, LossStatement
from events.terms import Action, CaseKey, Kind, Reason, Reporter, Role
from infra.wiring import open_pool
from tests.given import supervisor
from tests.integration.stock import NOW, Stock

CRM = Reporter(role=Role.BACK_OFFICE, name="crm")
MINUTE = timedelta(minutes=1)


def approval(decision: str = "D-1", by: str = "ann", on: int = 1, why: str = "") -> DecisionOrder:
    return DecisionOrder(decision=decision, action=Action.APPROVE, by=by, on=on, why=why)


def loss(report: str, serial: str, reporter: Reporter = CRM) -> LossStatement:
    return LossStatement(
        report=report, serial=serial, kind=Kind.DONGLE, reason=Reason.LOST, reporter=reporter, occurred=NOW
    )


def found(report: str, serial: str = "D-1") -> FoundStatement:
    return FoundStatement(report=report, serial=serial, reporter=CRM, occurred=NOW)


class Known:
    """Cases that keep what they are brought; `refuses` are those that fail to take anything."""

    def __init__(self, *refuses: CaseKey) -> None:
        self.brought: list[tuple[CaseKey, int]] = []
        self.refuses = {key.case for key in refuses}
        self.tried: list[CaseKey] = []

    async def start(self, key: CaseKey, report: LossReported) -> None:
        await self.send(key, [Message.model_validate({"number": 1, "content": {"type": "report", "report": report}})])

    async def send(self, key: CaseKey, messages: Sequence[Message]) -> None:
        self.tried.append(key)
        if key.case in self.refuses:
            raise ValueError("this one takes nothing")
        self.brought += [(key, message.number) for message in messages]

    async def is_running(self, key: CaseKey) -> bool:
        return key.case not in self.refuses

    async def answer(self, accepted: AcceptedDecision, order: DecisionOrder) -> DecisionTaken | DecisionDenied:
        raise AssertionError("nobody asks")

    def numbers(self, key: CaseKey) -> list[int]:
        return [number for case, number in self.brought if case == key]


@asynccontextmanager
async def delivering(stock: Stock, *several: Known) -> AsyncIterator[None]:
    async with open_pool(stock.settings, 4) as pool:
        async with pool.connection() as connection:  # what other tests left is for no case of these
            await connection.execute(
                "update backend.messages set delivered = now() where vendor <> %s and delivered is null",
                (stock.vendor,),
            )
        tasks = [asyncio.create_task(Delivery(pool, cases).run()) for cases in several]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def accepted(stock: Stock, key: CaseKey, *orders: DecisionOrder) -> list[AcceptedDecision]:
    return [
        await stock.backend.accept_decision(supervisor(stock.vendor, order.by), key.case, order, NOW)
        for order in orders
    ]


async def brought(cases: Known, key: CaseKey, count: int) -> bool | None:
    return len(set(cases.numbers(key))) >= count or None
