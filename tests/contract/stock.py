"""A vendor's stock in a backend, and the words in which the tests of backends are told."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from events.case_facts import LossReported
from events.fact import Fact
from events.lease import Interval, Lease, Unit
from events.loss_table import Loss
from events.ports.licensing_backend import (
    BlockOrder,
    CaseKey,
    CaseOrder,
    ContactAnswer,
    IssueOrder,
    LicensingBackend,
    MeasureToOrder,
)
from events.ports.loss_cases import Content, Joined
from events.statements import ContactStatement, ContainerStatement, LicenceStatement, LossStatement, Presented
from events.terms import Contact, Kind, LicenceId, Reason, Reporter, Role, Scope, Serial, Value, VendorId
from simulation.stage import Observer
from tests.given import principal

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEEKLY = Lease(check_in=Interval(unit=Unit.WEEK), grace_days=3)
OLD = {"board": "b1", "disk": "d1", "cpu": "c1"}
NEW = {"board": "b2", "disk": "d2", "cpu": "c2"}

AnyFact = TypeVar("AnyFact", bound=Fact)
AnyOrder = TypeVar("AnyOrder", bound=Value)


class SetClock:
    """A clock that says what it was set to."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Stock:
    """One vendor's containers; every statement is given a number of its own."""

    backend: LicensingBackend
    observer: Observer
    vendor: VendorId
    clock: SetClock
    numbers: count = field(default_factory=lambda: count(1))  # type: ignore[type-arg]

    async def container(self, serial: str, *licences: str, kind: Kind = Kind.DONGLE, lease: Lease = WEEKLY) -> None:
        """A container of the one holder, with these licences."""
        fingerprint = OLD if kind is Kind.ACT else None
        statement = ContainerStatement(serial=serial, kind=kind, holder="h-1", fingerprint=fingerprint)
        await self.backend.register_container(self.vendor, statement, NOW)
        for name in licences:
            await self.licence(name, serial, lease)

    async def licence(self, name: str, serial: str, lease: Lease = WEEKLY, **more: Any) -> None:
        """A licence of a product `cad`."""
        statement = LicenceStatement(
            licence=name, serial=serial, product="cad", ticket=f"T-{name}", issued=NOW, lease=lease, **more
        )
        await self.backend.register_licence(self.vendor, statement, NOW)

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

    async def claim(self, statement: LossStatement) -> CaseKey:
        """The case of a report."""
        return (await self.backend.claim(principal(self.vendor), statement, NOW)).key

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
        statement = ContactStatement(
            contact=contact or f"c{next(self.numbers)}",
            serial=serial,
            occurred=received,
            licences=tuple(Presented(licence=LicenceId(name), generation=number) for name, number in presented),
            **more,
        )
        return await self.backend.contact(self.vendor, statement, received)

    async def activate(self, serial: str, fingerprint: dict[str, str], **more: Any) -> ContactAnswer:
        """A machine asks to be bound to."""
        return await self.contact(serial, how=Contact.ACTIVATION, fingerprint=fingerprint, **more)

    async def facts(self, kind: type[AnyFact]) -> list[AnyFact]:
        """All facts of a kind that the backend stated of this vendor, in their order."""
        return [fact for fact in await self.all_facts() if isinstance(fact, kind)]

    async def all_facts(self) -> list[Fact]:
        """All facts that the backend stated of this vendor, in their order."""
        return [one.fact for one in await self.observer.recorded(0) if one.vendor == self.vendor]

    async def contents(self, key: CaseKey) -> list[Content]:
        """What was said to a case, in order; none of it is delivered in these tests."""
        said = dict(await self.observer.messages(self.vendor))
        return said[key]

    async def opening(self, key: CaseKey) -> LossReported:
        """The report that opened a case."""
        first = (await self.contents(key))[0]
        assert isinstance(first, Joined)
        return first.report

    async def messages(self, key: CaseKey) -> list[tuple[str, int]]:
        """What was said to a case: each message's type and number."""
        return [(content.type, number) for number, content in enumerate(await self.contents(key), 1)]

    async def serial_of(self, licence: str) -> tuple[Serial, int]:
        """Where a licence is, and its generation."""
        (found,) = [one for one in await self.observer.licences(self.vendor) if one.licence == licence]
        return found.serial, found.generation

    def pass_(self, time: timedelta) -> None:
        """Let time pass for the backend; what doors say of the time is theirs."""
        self.clock.now += time
