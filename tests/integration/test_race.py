"""Contact, block, reserve and issue at once on one container, over and over: blocking and renewing never cross."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from random import Random

import pytest
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from events.backend_facts import (
    ContactRefused,
    ContainerContacted,
    LicenceIssued,
    LicenceRenewed,
    LicenceSuperseded,
    MeasureOrdered,
    RecoveryReserved,
)
from events.errors import RefusalError
from events.fact import Fact
from events.ports.licensing_backend import (
    BlockOrder,
    CaseKey,
    Issued,
    IssueOrder,
    MeasureToOrder,
    NoTargetFound,
    QuotaOrder,
    ReserveOrder,
)
from events.terms import CaseId, LicenceId, Measure, Serial
from tests.integration.stock import NOW, WEEKLY, Stock

pytestmark = pytest.mark.integration

ROUNDS = 2000
AT_ONCE = 6
MEASURES = (Measure.BLACKLISTING,)


async def test_contact_block_reserve_and_issue_of_one_container_2000_times(stock: Stock) -> None:
    rounds = iter(range(ROUNDS))
    await _prepare(stock)

    async def work() -> None:
        for number in rounds:
            await _round(stock, number)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    facts = await stock.all_facts()

    assert crossed(facts) == []
    assert not two_effective(facts)
    by_kind = {kind: sum(isinstance(fact, kind) for fact in facts) for kind in (MeasureOrdered, RecoveryReserved)}
    assert set(by_kind.values()) == {ROUNDS}
    assert sum(isinstance(fact, LicenceIssued) and fact.case is not None for fact in facts) == ROUNDS
    contacts = {kind: sum(isinstance(fact, kind) for fact in facts) for kind in (ContainerContacted, ContactRefused)}
    assert all(count > ROUNDS / 20 for count in contacts.values()), contacts  # each went both ways


PREPARE = (
    "insert into backend.containers (vendor, serial, kind, holder, licences)"
    " select %(vendor)s, role || '-' || n, 'dongle', 'h-' || n, (role = 'lost')::int"
    " from generate_series(0, %(last)s) n, unnest(array['lost', 'spare']) role",
    "insert into backend.licences (vendor, licence, generation, serial, product, ticket, value_cents, lease, issued,"
    " first_issued, expires, status_index)"
    " select %(vendor)s, 'L-' || n, 1, 'lost-' || n, 'cad', 'T-1', 0, %(lease)s, %(now)s, %(now)s, %(now)s, n"
    " from generate_series(0, %(last)s) n",
    "insert into backend.streams (vendor, stream, sequence, hash)"
    " select %(vendor)s, 'container/' || role || '-' || n, 0, ''"
    " from generate_series(0, %(last)s) n, unnest(array['lost', 'spare']) role",
    "insert into backend.cases (vendor, case_id, serial, holder)"
    " select %(vendor)s, 'case-' || n, 'lost-' || n, 'h-' || n from generate_series(0, %(last)s) n",
    "insert into backend.claims (vendor, subject, generation, serial, case_id)"
    " select %(vendor)s, 'licence/L-' || n, 1, 'lost-' || n, 'case-' || n from generate_series(0, %(last)s) n",
)
"""The inventory and the claims of all rounds, which would take longer than the race when told one by one."""


async def _prepare(stock: Stock) -> None:
    lease = Jsonb(WEEKLY.model_dump(mode="json"))
    async with await AsyncConnection.connect(stock.settings.dsn) as connection:
        for statement in PREPARE:
            await connection.execute(
                statement, {"vendor": stock.vendor, "last": ROUNDS - 1, "lease": lease, "now": NOW}
            )
        await connection.execute("analyze")


async def _round(stock: Stock, number: int) -> None:
    backend = stock.backend
    key = CaseKey(vendor=stock.vendor, case=CaseId(f"case-{number}"), serial=Serial(f"lost-{number}"))
    order = IssueOrder(key=key, measures=MEASURES)
    one = QuotaOrder(subjects=(f"holder/h-{number}",), limit=1, term_days=365)
    quota = ReserveOrder(key=key, quotas=(one,), received=NOW)
    measures = tuple(MeasureToOrder(measure=measure) for measure in MEASURES)

    answers: list[Issued | NoTargetFound] = []

    async def issue() -> None:
        with suppress(RefusalError):  # it came before the block
            answers.append(await backend.issue(order))

    calls: list[Callable[[], Awaitable[object]]] = [
        partial(stock.contact, key.serial),
        partial(backend.block, BlockOrder(key=key, measures=measures)),
        partial(backend.reserve, quota),
        issue,
    ]
    Random(number).shuffle(calls)
    await asyncio.gather(*(call() for call in calls))
    answer = answers[0] if answers else await backend.issue(order)
    assert isinstance(answer, Issued)
    assert (answer.target, answer.licences[0].generation) == (f"spare-{number}", 2)


def crossed(facts: list[Fact]) -> list[LicenceRenewed]:
    """The leases that were renewed after their container was blocked, in the outbox's order."""
    blocked: set[Serial] = set()
    wrong = []
    for fact in facts:
        if isinstance(fact, MeasureOrdered):
            blocked.add(fact.serial)
        elif isinstance(fact, LicenceRenewed) and fact.serial in blocked:
            wrong.append(fact)
    return wrong


def two_effective(facts: list[Fact]) -> list[LicenceId]:
    """The licences of which, in the outbox's order, a generation was issued or renewed beside the effective one, which
    is the first before anything was issued."""
    effective: dict[LicenceId, int | None] = {}
    wrong = []
    for fact in facts:
        if isinstance(fact, LicenceSuperseded):
            wrong += [] if effective.get(fact.licence, 1) == fact.generation else [fact.licence]
            effective[fact.licence] = None
        elif isinstance(fact, LicenceIssued):
            wrong += [] if effective.get(fact.licence, 1) is None else [fact.licence]
            effective[fact.licence] = fact.generation
        elif isinstance(fact, LicenceRenewed) and effective.get(fact.licence, 1) != fact.generation:
            wrong.append(fact.licence)
    return wrong
