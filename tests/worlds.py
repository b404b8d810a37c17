"""Logs as the writers would write them: the facts of many containers and cases, each stream in its order."""

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from events.backend_facts import (
    CaseAddressed,
    ContactRefused,
    ContainerContacted,
    ContainerRegistered,
    HolderFlagged,
    LicenceIssued,
    LicenceSuperseded,
    MeasureOrdered,
    MeasureUnconfirmable,
    PolicyAdopted,
    VendorAdded,
)
from events.case_facts import BackendFacts, CaseFact, LicenceInScope, LossReported
from events.codec import FactCodec
from events.envelope import Head, Sealed, case_stream, container_stream, record_key
from events.fact import Fact
from events.lease import Interval, Lease, Unit
from events.log_records import LogRecord, Position
from events.measure_subject import Subject
from events.ports.loss_cases import DecisionOrder, Sighting
from events.terms import (
    Action,
    Aim,
    CaseId,
    Cause,
    HolderId,
    Kind,
    Measure,
    Mode,
    ProductId,
    QuotaSubject,
    Reason,
    Reporter,
    Role,
    Scope,
    Serial,
    Undecided,
    VendorId,
    Verdict,
)
from workflows.case import CaseState, fold_all
from workflows.commands import Assessed, Blocked, Command, Decide, NoTarget, Offered, Replaced, Report, Sighted
from workflows.decider import decide
from workflows.policy import Approval, Policy, Quota, Rule

CODEC = FactCodec()
CRM = Reporter(role=Role.BACK_OFFICE, name="crm")
MANUAL, QUOTA, EYES, PLAIN = (ProductId(name) for name in ("cad", "cam", "plm", "erp"))
"""Products: a supervisor decides; policy does until a quota is used up; two supervisors do; policy does at once."""
COUNTED = ProductId("sim")
"""Policy decides until another quota is used up, in a pot of its own."""
POLICY = Policy(
    supervisors=("ann", "bob", "eve"),
    rules=(
        Rule(products=(MANUAL,), mode=Mode.MANUAL),
        Rule(
            products=(QUOTA,),
            mode=Mode.HYBRID,
            quota=Quota(per=QuotaSubject.HOLDER, recoveries=1, goodwill=("bob",)),
            wait_hours=24,
        ),
        Rule(products=(COUNTED,), mode=Mode.HYBRID, quota=Quota(per=QuotaSubject.CONTAINER, recoveries=2, pot="sim")),
        Rule(
            products=(EYES,),
            mode=Mode.MANUAL,
            approval=Approval(due_hours=48, remind_hours=24, undecided=Undecided.ESCALATE, escalate_to=("bob", "eve")),
            four_eyes_above_cents=0,
            wait_hours=24,
        ),
        Rule(),
    ),
)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = Lease(check_in=Interval(unit=Unit.MONTH, count=1), grace_days=7)
STEPS = 9
"""How many steps a whole loss takes in `World.lose`."""


@dataclass
class World:
    """What was written so far, by stream."""

    streams: dict[tuple[VendorId, str], list[Sealed]] = field(default_factory=lambda: defaultdict(list))
    at: datetime = NOW

    def say(self, vendor: VendorId, stream: str, serial: Serial | None, *facts: Fact) -> None:
        """State facts in a stream."""
        written = self.streams[vendor, stream]
        for fact in facts:
            self.at += timedelta(milliseconds=7)
            head = written[-1].head if written else Head()
            written.append(CODEC.seal(vendor, stream, record_key(vendor, serial), head, self.at, fact))

    def add_vendor(self, vendor: VendorId) -> None:
        """A vendor with a policy."""
        policy = PolicyAdopted(policy_version=1, policy=POLICY.model_dump_json())
        self.say(vendor, "vendor", None, VendorAdded(issuer=f"urn:lostfound:{vendor}"), policy)

    def lose(self, vendor: VendorId, number: int, steps: int = STEPS, waits: bool = False, again: bool = False) -> None:
        """A container with two licences is lost and replaced into another; `steps` says how far it gets.

        `waits`: at first there is no target; `again`: a second report joins.
        """
        spare = Serial(f"4-{number}")
        life = Life(self, vendor, CaseId(f"c-{number}"), Serial(f"3-{number}"), HolderId(f"h-{number}"), MANUAL)
        lost, case = life.serial, life.case
        names = (f"L-{number}a", f"L-{number}b")
        told(
            steps,
            lambda: life.registers(lost),
            lambda: life.backend(lost, *(life.licence(name, 1, lost) for name in names)),
            lambda: life.reports(f"R-{number}"),
            lambda: (
                life.backend(lost, ContainerContacted(contact=f"C-{number}", serial=lost, occurred=self.at)),
                life.assessed(*names),
                life.sighted("contact/0"),
                life.decides("D-0", Action.APPROVE, by="mallory"),
                life.decides("D-1", Action.APPROVE),
            ),
            lambda: life.orders(Measure.BLACKLISTING),
            lambda: (
                life.blocked(),
                life.command(*([NoTarget(at=self.at, tickets=(f"T-{number}",))] * waits)),
            ),
            lambda: (life.registers(spare), life.command(*([Offered(serial=spare)] * waits))),
            lambda: (
                life.replaces(spare, *names),
                life.reports(f"R-{number}-2") if again else None,
            ),
            lambda: (
                life.backend(
                    lost, ContactRefused(contact=f"C-{number}-2", serial=lost, occurred=self.at, cases=(case,))
                ),
                life.sighted("contact/2"),
                life.decides("D-2", Action.RULE, verdict=Verdict.CLONE),
                life.backend(
                    lost,
                    HolderFlagged(holder=life.holder, serial=lost, case=case, verdict=Verdict.CLONE),
                    MeasureUnconfirmable.model_validate(life.measure(Measure.BLACKLISTING)),
                    CaseAddressed(
                        case=case,
                        serial=lost,
                        statement="decision/D-3",
                        by="ann",
                        role=None,
                        door="command line",
                        received=self.at,
                        code="nothing_to_decide",
                    ),
                ),
            ),
        )


@dataclass
class Life:
    """One case that is being written, and what the backend does for it."""

    world: World
    vendor: VendorId
    case: CaseId
    serial: Serial
    holder: HolderId
    product: ProductId = PLAIN
    kind: Kind = Kind.DONGLE
    reason: Reason = Reason.LOST
    aim: Aim = Aim.CONTAINER
    generation: int = 1
    state: CaseState | None = None

    def backend(self, serial: Serial, *facts: Fact) -> None:
        """The backend states facts of a container."""
        self.world.say(self.vendor, container_stream(serial), serial, *facts)

    def case_says(self, facts: Sequence[CaseFact]) -> None:
        """The case states facts."""
        self.state = fold_all(facts, self.state)
        self.world.say(self.vendor, case_stream(self.case), self.serial, *facts)

    def command(self, *commands: Command) -> None:
        """The case takes commands."""
        for one in commands:
            self.case_says(decide(self.state, one))

    def registers(self, *serials: Serial) -> None:
        """Containers of the holder come into the inventory."""
        for serial in serials:
            self.backend(serial, ContainerRegistered(serial=serial, kind=self.kind, holder=self.holder))

    def licence(self, name: str, generation: int, serial: Serial, **more: Any) -> LicenceIssued:
        """A generation of a licence."""
        at = self.world.at
        plain = {"product": self.product, "ticket": f"T-{name}", "value_cents": 10_000, "holder": self.holder}
        dated = {"lease": LEASE, "issued": at, "expires": LEASE.expiry(at)}
        return LicenceIssued.model_validate(
            {"licence": name, "generation": generation, "serial": serial} | plain | dated | more
        )

    def measure(self, measure: Measure) -> dict[str, Any]:
        """A measure of the case against what is lost."""
        aimed = Subject(self.aim, self.serial, self.generation)
        return {"case": self.case, "measure": measure, "subject": aimed, "serial": self.serial}

    def orders(self, *measures: Measure) -> None:
        """The backend orders measures against what is lost."""
        at = self.world.at
        self.backend(
            self.serial, *(MeasureOrdered.model_validate({**self.measure(one), "effective": at}) for one in measures)
        )

    def reports(
        self,
        report: str,
        former: CaseId | None = None,
        rules_version: int = 1,
        beside: CaseId | None = None,
        reporter: Reporter = CRM,
        on_behalf_of: HolderId | None = None,
    ) -> None:
        """A loss report reaches the case."""
        stated = LossReported(
            report=report,
            serial=self.serial,
            kind=self.kind,
            reason=self.reason,
            scope=Scope.CONTAINER,
            reporter=reporter,
            on_behalf_of=on_behalf_of,
            door="a test",
            occurred=self.world.at - timedelta(days=1),
            received=self.world.at,
            former=former,
            rules_version=rules_version,
            beside=beside,
        )
        self.command(Report(report=stated))

    def assessed(self, *names: str, generation: int = 1, **more: Any) -> None:
        """Policy decides, on these licences."""
        scope = tuple(
            LicenceInScope(
                licence=name, generation=generation, product=self.product, ticket=f"T-{name}", value_cents=10_000
            )
            for name in names
        )
        facts = BackendFacts(serial=self.serial, kind=self.kind, holder=self.holder, last_contact=None, licences=scope)
        given = {"at": self.world.at, "facts": facts, "policy": POLICY, "reservation": None}
        self.command(Assessed.model_validate(given | more))

    def decides(self, name: str, action: Action, by: str = "ann", **more: Any) -> None:
        """Somebody decides, on the last material fact."""
        assert self.state is not None
        told = {"decision": name, "action": action, "by": by, "why": "as I see it", "on": self.state.material}
        order = DecisionOrder.model_validate(told | more)
        self.command(Decide(order=order, supervisors=POLICY.supervisors, at=self.world.at, policy=POLICY))

    def sighted(self, statement: str, cause: Cause = Cause.SIGHTING) -> None:
        """The lost container turns up."""
        sighting = Sighting(statement=statement, cause=cause, occurred=self.world.at)
        self.command(Sighted(sighting=sighting, at=sighting.occurred, policy=POLICY))

    def blocked(self) -> None:
        """The measures are ordered."""
        self.command(Blocked(at=self.world.at, policy=POLICY))

    def replaces(self, target: Serial, *names: str, old: int = 1, source: Serial | None = None, **more: Any) -> None:
        """The next generation is issued, and the case goes on."""
        source = source or self.serial
        ended = (LicenceSuperseded(licence=name, generation=old, serial=source, case=self.case) for name in names)
        self.backend(source, *ended)
        granted = {"case": self.case, "file": 'a "file"\t\\n'} | more
        self.backend(target, *(self.licence(name, old + 1, target, **granted) for name in names))
        self.command(Replaced(target=target, at=self.world.at, policy=POLICY))


def told(steps: int, *story: Callable[[], object]) -> None:
    """Tell the first steps of a story."""
    for step in story[:steps]:
        step()


def partition_of(key: bytes, partitions: int) -> int:
    """A partition for a key."""
    return zlib.crc32(key) % partitions


def as_log(records: Iterable[Sealed], partitions: int) -> list[LogRecord]:
    """The records as a broker would give them that got them in this order."""
    offsets: dict[int, int] = defaultdict(int)
    log: list[LogRecord] = []
    for record in records:
        partition = partition_of(record.key, partitions)
        log.append(LogRecord(Position(partition, offsets[partition]), record.key, record.value))
        offsets[partition] += 1
    return log


def interleaved(streams: Sequence[Sequence[Sealed]], order: Iterable[int]) -> list[Sealed]:
    """The records of all streams; `order` names, again and again, the stream whose turn it is, modulo those left."""
    left = [list(stream) for stream in streams if stream]
    merged: list[Sealed] = []
    turns = iter(order)
    while left:
        stream = left[next(turns, 0) % len(left)]
        merged.append(stream.pop(0))
        left = [stream for stream in left if stream]
    return merged
