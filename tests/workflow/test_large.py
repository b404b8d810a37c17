"""The largest container that may be: its loss goes all the way, on the very server that bounds what travels."""

from datetime import UTC, datetime

import pytest
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment

from activities.licensing import assessment, claims
from events.case_facts import CaseDecided, ScopeKnown
from events.envelope import case_stream
from events.lease import Interval, Lease, Unit
from events.ports.licensing_backend import CaseKey
from events.sizes import CONTAINER_LICENCES, LIST_PART, SCOPE_PAGE, SCOPE_PART
from events.statements import EvidenceStatement, FoundStatement, LossStatement
from events.terms import Kind, Reason, Reporter, Role, Scope, Status
from tests.given import principal
from tests.workflow.harness import Bench, eventually
from workflows import loss_case

pytestmark = pytest.mark.integration

PAYLOAD_BYTES = 2_000_000
"""What Temporal takes as one payload."""
YEARLY = Lease(check_in=Interval(unit=Unit.YEAR), grace_days=30)
CRM = Reporter(role=Role.BACK_OFFICE, name="crm")
STOCK = (
    "insert into backend.containers (vendor, serial, kind, holder, licences)"
    " values (%(vendor)s, 'lost', 'dongle', 'h-1', %(count)s)",
    "insert into backend.licences (vendor, licence, generation, serial, product, ticket, value_cents, lease, issued,"
    " first_issued, expires)"
    " select %(vendor)s, rpad('L-' || n || '-', 80, 'x'), 1, 'lost', rpad('P-' || n %% 50 || '-', 80, 'x'),"
    " rpad('T-' || n || '-', 80, 'x'), 100, %(lease)s, %(now)s, %(now)s, %(expires)s"
    " from generate_series(1, %(count)s) n",
    "insert into backend.streams (vendor, stream, sequence, hash) values (%(vendor)s, 'container/lost', 0, '')",
)
"""A container with so many licences, of names as long as may be; to state them one by one takes a minute."""


@pytest.fixture
def env(development: WorkflowEnvironment) -> WorkflowEnvironment:
    return development


async def stocked(bench: Bench, count: int) -> None:
    now = datetime.now(UTC)
    values = {"vendor": bench.vendor, "count": count, "now": now, "expires": YEARLY.expiry(now)}
    async with await AsyncConnection.connect(bench.settings.dsn) as connection:
        for statement in STOCK:
            await connection.execute(statement, {**values, "lease": Jsonb(YEARLY.model_dump(mode="json"))})
    await bench.container("spare")


async def test_a_loss_of_six_thousand_licences_is_blocked_issued_and_watched_for(bench: Bench) -> None:
    await stocked(bench, CONTAINER_LICENCES)

    key = await bench.report("R-1")
    state = await bench.until(key, Status.WATCHING, seconds=120)

    assert state.target == "spare"
    assert len(state.licences) == SCOPE_PAGE  # a query takes no more
    history = await bench.handle(key).fetch_history()
    assert max(event.ByteSize() for event in history.events) < PAYLOAD_BYTES
    assert not [one for one in history.events if one.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED]
    facts = [one.fact for one in await bench.facts(case_stream(key.case))]
    parts = [fact for fact in facts if isinstance(fact, ScopeKnown)]
    assert [part.part for part in parts] == list(range(1, CONTAINER_LICENCES // SCOPE_PART + 1))
    assert len({item.licence for part in parts for item in part.licences}) == CONTAINER_LICENCES
    assert next(fact.facts.licences for fact in facts if isinstance(fact, CaseDecided)) == ()


async def test_a_case_that_goes_on_in_a_new_history_learns_its_licences_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assessment, "SCOPE_PAGE", 2)
    monkeypatch.setattr(loss_case, "SCOPE_PAGE", 2)
    monkeypatch.setattr(loss_case, "HISTORY_LIMIT", 40)
    await stocked(bench, 5)
    key = await bench.report("R-1")
    await bench.until(key, Status.WATCHING)
    first = (await bench.handle(key).describe()).run_id

    for number in range(8):
        given = {"statement": f"E-{number}", "report": "R-1", "serial": "lost", "reporter": CRM, "evidence": ("photo",)}
        await bench.take(EvidenceStatement.model_validate({**given, "occurred": datetime.now(UTC)}))
        await eventually(lambda: _taken(bench, key))
    await bench.take(FoundStatement(report="F-1", serial="lost", reporter=CRM, occurred=datetime.now(UTC)))

    async def asked_again() -> int | None:
        """How many pages the case asked for in its next history."""
        if (await bench.handle(key).describe()).run_id == first:
            return None
        history = await bench.handle(key).fetch_history()
        names = [one.activity_task_scheduled_event_attributes.activity_type.name for one in history.events]
        return names.count("scope") if names.count("scope") == 2 else None

    assert await eventually(asked_again) == 2
    await bench.until(key, Status.RESURFACED)


async def test_long_reports_that_come_faster_than_a_case_takes_them_are_all_taken(bench: Bench) -> None:
    await stocked(bench, LIST_PART)
    names = tuple(f"L-{number}-".ljust(80, "x") for number in range(1, LIST_PART + 1))
    key = await bench.report("R-1", licences=names)
    await bench.until(key, Status.WATCHING)
    first = (await bench.handle(key).describe()).run_id
    loss = LossStatement(
        report="R-1",
        serial="lost",
        kind=Kind.DONGLE,
        reason=Reason.LOST,
        scope=Scope.LICENCES,
        licences=names,
        reporter=CRM,
        occurred=datetime.now(UTC),
    )
    reports = [f"J-{number}" for number in range(400)]  # together three times as long as one payload may be

    async with await AsyncConnection.connect(bench.settings.dsn) as connection:
        for report in reports:
            again = loss.model_copy(update={"report": report})
            await claims.claim(connection, principal(bench.vendor, door="test"), again, datetime.now(UTC))
    await eventually(lambda: _taken(bench, key), seconds=150)

    state = await bench.state(key)
    assert state is not None
    assert state.reports == ("R-1", *reports)
    assert (await bench.handle(key).describe()).run_id != first


async def _taken(bench: Bench, key: CaseKey) -> bool | None:
    return await bench.taken(key) or None
