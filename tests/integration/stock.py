"""A vendor's stock in a real backend, and the words in which the tests of contacts, measures and leases are told."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from psycopg import AsyncConnection

from activities.backend import EmbeddedBackend
from events.case_facts import LossReported
from events.envelope import unseal
from events.fact import Fact
from events.inbox import ContactStatement, ContainerStatement, LicenceStatement, LossStatement, Presented
from events.licensing import BlockOrder, CaseKey, CaseOrder, ContactAnswer, IssueOrder, MeasureToOrder
from events.terms import (
    Contact,
    Interval,
    Kind,
    Lease,
    LicenceId,
    Loss,
    Reason,
    Reporter,
    Role,
    Scope,
    Serial,
    Unit,
    Value,
    VendorId,
)
from infra.settings import Settings

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEEKLY = Lease(check_in=Interval(unit=Unit.WEEK), grace_days=3)
OLD = {"board": "b1", "disk": "d1", "cpu": "c1"}
NEW = {"board": "b2", "disk": "d2", "cpu": "c2"}

AnyFact = TypeVar("AnyFact", bound=Fact)
AnyOrder = TypeVar("AnyOrder", bound=Value)


@dataclass
class SetClock:
    """A clock that a test sets."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Stock:
    """One vendor's containers; every statement is given a number of its own. Guesses are counted by `clock`."""

    backend: EmbeddedBackend
    settings: Settings
    vendor: VendorId
    clock: SetClock = field(default_factory=lambda: SetClock(NOW))
    numbers: count = field(default_factory=lambda: count(1))  # type: ignore[type-arg]

    async def container(self, serial: str, *licences: str, kind: Kind = Kind.DONGLE, lease: Lease = WEEKLY) -> None:
        """A container of the one holder, with these licences."""
        fingerprint = OLD if kind is Kind.ACT else None
        stated = ContainerStatement(serial=serial, kind=kind, holder="h-1", fingerprint=fingerprint)
        await self.backend.register_container(self.vendor, stated, NOW)
        for name in licences:
            await self.licence(name, serial, lease)

    async def licence(self, name: str, serial: str, lease: Lease = WEEKLY, **more: Any) -> None:
        """A licence of a product `cad`."""
        stated = LicenceStatement(
            licence=name, serial=serial, product="cad", ticket=f"T-{name}", issued=NOW, lease=lease, **more
        )
        await self.backend.register_licence(self.vendor, stated, NOW)

    def loss(
        self, serial: str, *licences: str, reason: Reason = Reason.LOST, kind: Kind = Kind.DONGLE
    ) -> LossStatement:
        """A report of the container, or of these licences in it."""
        return LossStatement(
            report=f"R-{next(self.numbers)}",
            serial=serial,
            kind=kind,
            reason=reason,
            scope=Scope.LICENCES if licences else Scope.CONTAINER,
            licences=licences,
            reporter=Reporter(role=Role.BACK_OFFICE, name="crm"),
            occurred=NOW,
        )

    async def claim(self, stated: LossStatement) -> CaseKey:
        """The case of a report."""
        return (await self.backend.claim(self.vendor, stated, "a test", NOW)).key

    async def lost(
        self,
        serial: str,
        *licences: str,
        reason: Reason = Reason.LOST,
        kind: Kind = Kind.DONGLE,
        delay_hours: int = 0,
        **more: Any,
    ) -> IssueOrder:
        """A loss that is claimed and blocked as its row says; the order for its replacement."""
        loss = self.loss(serial, *licences, reason=reason, kind=kind)
        return await self.ordered(loss, delay_hours, **more)

    async def ordered(self, loss: LossStatement, delay_hours: int = 0, **more: Any) -> IssueOrder:
        """This loss, claimed and blocked as its row says; the order for its replacement."""
        key = await self.claim(loss)
        row = Loss.of(loss.kind, loss.reason)
        assert row is not None
        await self.backend.assess(key)
        measures = tuple(MeasureToOrder(measure=measure, delay_hours=delay_hours) for measure in row.measures)
        await self.backend.block(BlockOrder(key=key, measures=measures, aim=row.aim(loss.scope)))
        return IssueOrder(
            key=key,
            measures=row.measures,
            recovery=row.recovery,
            target=row.target(loss.scope),
            **more,
        )

    def next(self, key: CaseKey) -> CaseOrder:
        """The next order of a case."""
        return CaseOrder(key=key, number=next(self.numbers))

    def anew(self, order: AnyOrder) -> AnyOrder:
        """The same ordered anew, which is not the same order again."""
        return order.model_copy(update={"number": next(self.numbers)})

    async def contact(self, serial: str, *presented: tuple[str, int], contact: str = "", **more: Any) -> ContactAnswer:
        """A contact of the container, `days` after the beginning."""
        received = NOW + timedelta(days=more.pop("days", 1))
        stated = ContactStatement(
            contact=contact or f"c{next(self.numbers)}",
            serial=serial,
            occurred=received,
            licences=tuple(Presented(licence=LicenceId(name), generation=number) for name, number in presented),
            **more,
        )
        return await self.backend.contact(self.vendor, stated, received)

    async def activate(self, serial: str, fingerprint: dict[str, str], **more: Any) -> ContactAnswer:
        """A machine asks to be bound to."""
        return await self.contact(serial, how=Contact.ACTIVATION, fingerprint=fingerprint, **more)

    async def facts(self, kind: type[AnyFact]) -> list[AnyFact]:
        """All facts of a kind that the backend stated of this vendor, in their order."""
        return [fact for fact in await self.all_facts() if isinstance(fact, kind)]

    async def all_facts(self) -> list[Fact]:
        """All facts that the backend stated of this vendor, in their order; no relay runs in these tests."""
        async with await AsyncConnection.connect(self.settings.dsn) as connection:
            cursor = await connection.execute(
                "select value from backend.outbox where key like %s order by id", (f"{self.vendor}/%".encode(),)
            )
            return [unseal(row[0]).fact for row in await cursor.fetchall()]

    async def opening(self, key: CaseKey) -> LossReported:
        """The report that opened a case."""
        async with await AsyncConnection.connect(self.settings.dsn) as connection:
            cursor = await connection.execute(
                "select content -> 'report' from backend.messages where vendor = %s and case_id = %s and number = 1",
                (key.vendor, key.case),
            )
            (report,) = await cursor.fetchone() or (None,)
            return LossReported.model_validate(report)

    async def messages(self, key: CaseKey) -> list[tuple[str, int]]:
        """What was said to a case: each message's type and number; none is delivered in these tests."""
        async with await AsyncConnection.connect(self.settings.dsn) as connection:
            cursor = await connection.execute(
                "select content ->> 'type', number from backend.messages"
                " where vendor = %s and case_id = %s order by number",
                (key.vendor, key.case),
            )
            return [(name, number) for name, number in await cursor.fetchall()]

    async def serial_of(self, licence: str) -> tuple[Serial, int]:
        """Where a licence is, and its generation."""
        async with await AsyncConnection.connect(self.settings.dsn) as connection:
            cursor = await connection.execute(
                "select serial, generation from backend.licences where vendor = %s and licence = %s",
                (self.vendor, licence),
            )
            row = await cursor.fetchone()
            assert row is not None
            return row[0], row[1]

    async def ordered_ahead(self) -> None:
        """All measures were ordered on a machine whose clock is an hour ahead."""
        async with await AsyncConnection.connect(self.settings.dsn) as connection:
            await connection.execute(
                "update backend.measures set ordered = ordered + interval '1 hour',"
                " effective = effective + interval '1 hour' where vendor = %s",
                (self.vendor,),
            )

    async def take_effect(self) -> None:
        """The delays of all measures are over."""
        async with await AsyncConnection.connect(self.settings.dsn) as connection:
            await connection.execute(
                "update backend.measures set effective = ordered where vendor = %s", (self.vendor,)
            )
