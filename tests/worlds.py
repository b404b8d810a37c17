"""Logs as the writers would write them: the facts of many containers and cases, each stream in its order."""

import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from events.catalogue import (
    AccessOffered,
    AccessSet,
    ActivationReturned,
    BackendFacts,
    ContactRefused,
    ContainerActivated,
    ContainerContacted,
    ContainerRegistered,
    Fact,
    LeaseDueSoon,
    LeaseLapsed,
    LeaseOverdue,
    LicenceInScope,
    LicenceIssued,
    LicenceRenewed,
    LicenceSuperseded,
    LossReported,
    MeasureConfirmed,
    MeasureDelivered,
    MeasureLifted,
    MeasureOrdered,
    MeasureUnconfirmable,
    PolicyAdopted,
    RecoveryFreed,
    RecoveryReserved,
    SessionsEnded,
    VendorAdded,
)
from events.envelope import Head, Sealed, case_stream, container_stream, record_key, seal
from events.log import LogRecord, Position
from events.ports import DecisionOrder, Sighting
from events.terms import (
    Action,
    Aim,
    CaseId,
    Cause,
    Interval,
    Kind,
    Lease,
    Measure,
    Mode,
    Reason,
    Reporter,
    Role,
    Scope,
    Serial,
    Unit,
    VendorId,
    Verdict,
    subject,
)
from workflows.case import (
    Assessed,
    Blocked,
    CaseState,
    Command,
    Decide,
    Failed,
    NoTarget,
    Offered,
    Replaced,
    Report,
    Sighted,
    decide,
    fold_all,
)
from workflows.policy import Policy, Rule

MANUAL = Policy(rules=(Rule(mode=Mode.MANUAL),))
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
            written.append(seal(vendor, stream, record_key(vendor, serial), head, self.at, fact))

    def add_vendor(self, vendor: VendorId) -> None:
        """A vendor with a policy."""
        policy = PolicyAdopted(policy_version=1, policy=Policy().model_dump_json())
        self.say(vendor, "vendor", None, VendorAdded(issuer=f"urn:lostfound:{vendor}"), policy)

    def lose(self, vendor: VendorId, number: int, steps: int = STEPS, waits: bool = False, again: bool = False) -> None:
        """A container with two licences is lost and replaced into another; `steps` says how far it gets.

        `waits`: at first there is no target; `again`: a second report joins.
        """
        lost, spare, holder = Serial(f"3-{number}"), Serial(f"4-{number}"), f"h-{number}"
        case = CaseId(f"c-{number}")
        state: CaseState | None = None

        def backend(serial: Serial, *facts: Fact) -> None:
            self.say(vendor, container_stream(serial), serial, *facts)

        def command(*commands: Command) -> None:
            nonlocal state
            for one in commands:
                facts = decide(state, one)
                state = fold_all(facts, state)
                self.say(vendor, case_stream(case), lost, *facts)

        def licence(generation: int, serial: Serial, name: str, **more: str) -> LicenceIssued:
            return LicenceIssued(
                **{
                    "licence": f"L-{number}{name}",
                    "generation": generation,
                    "serial": serial,
                    "holder": holder,
                    "product": "cad",
                    "ticket": f"T-{number}",
                    "value_cents": 10_000,
                    "lease": LEASE,
                    "issued": self.at,
                    "expires": LEASE.expiry(self.at),
                    **more,
                }
            )

        def superseded(name: str) -> LicenceSuperseded:
            return LicenceSuperseded(licence=f"L-{number}{name}", generation=1, serial=lost, case=case)

        scope = tuple(
            LicenceInScope(
                licence=f"L-{number}{name}", generation=1, product="cad", ticket=f"T-{number}", value_cents=10_000
            )
            for name in "ab"
        )
        facts = BackendFacts(serial=lost, kind=Kind.DONGLE, holder=holder, last_contact=None, licences=scope)
        story = [
            lambda: backend(lost, ContainerRegistered(serial=lost, kind=Kind.DONGLE, holder=holder)),
            lambda: backend(lost, licence(1, lost, "a"), licence(1, lost, "b")),
            lambda: command(Report(report=self._report(f"R-{number}", lost))),
            lambda: (
                backend(
                    lost,
                    ContainerContacted(contact=f"C-{number}", serial=lost, occurred=self.at),
                    RecoveryReserved(case=case, serial=lost, subjects=(f"holder/{holder}",), ordinal=1, limit=2),
                ),
                command(Assessed(facts=facts, policy=MANUAL, reservation=None)),
                command(Sighted(sighting=Sighting(statement="contact/0", cause=Cause.SIGHTING, occurred=self.at))),
                command(decision("D-0", Action.APPROVE, listed=False)),
                command(decision("D-1", Action.APPROVE)),
            ),
            lambda: backend(lost, MeasureOrdered(**measure(case, lost), effective=self.at)),
            lambda: command(Blocked(), *([NoTarget(tickets=(f"T-{number}",)), Offered(serial=spare)] * waits)),
            lambda: backend(spare, ContainerRegistered(serial=spare, kind=Kind.DONGLE, holder=holder)),
            lambda: (
                backend(lost, superseded("a"), superseded("b")),
                backend(spare, *(licence(2, spare, name, case=case, file='a "file"\t\\n') for name in "ab")),
                command(Replaced(target=spare, at=self.at, watch_until=self.at + timedelta(days=365))),
                command(*([Report(report=self._report(f"R-{number}-2", lost))] * again)),
            ),
            lambda: (
                backend(
                    lost,
                    ContactRefused(contact=f"C-{number}-2", serial=lost, occurred=self.at, cases=(case,)),
                    RecoveryFreed(case=case, serial=lost),
                ),
                command(Sighted(sighting=Sighting(statement="contact/2", cause=Cause.SIGHTING, occurred=self.at))),
                command(decision("D-2", Action.RULE, verdict=Verdict.CLONE)),
            ),
        ]
        for step in story[:steps]:
            step()

    def activate(self, vendor: VendorId, number: int, steps: int = STEPS) -> None:
        """An activation with a licence that is renewed, runs out, is blocked by two cases and then bound anew."""
        serial, case, other = Serial(f"6-{number}"), CaseId(f"a-{number}"), CaseId(f"b-{number}")
        name, at = {"licence": f"L-a{number}", "generation": 1, "serial": serial}, self.at
        lease = {**name, "due": at, "expires": at}
        machine = {"board": "b"}
        whole = {"measure": Measure.DEACTIVATION, "subject": subject(Aim.CONTAINER, serial, 1), "serial": serial}
        issued = LicenceIssued(
            **name,
            holder="h-a",
            product="cad",
            ticket="T-a",
            value_cents=1,
            lease=LEASE,
            issued=at,
            expires=at,
            borrowed_until=at,
        )
        story: list[list[Fact]] = [
            [ContainerRegistered(serial=serial, kind=Kind.ACT, holder="h-a", fingerprint=machine), issued],
            [LeaseDueSoon(**lease)],
            [LicenceRenewed(**name, issued=at, expires=None, file="a file"), LeaseOverdue(**lease)],
            [MeasureOrdered(case=case, **whole, effective=at), MeasureOrdered(case=other, **whole, effective=at)],
            [MeasureDelivered(case=case, **whole), MeasureLifted(case=other, **whole), LeaseLapsed(**lease)],
            [MeasureConfirmed(case=case, **whole, by="receipt/C-1")],
            [ActivationReturned(contact="C-1", serial=serial, generation=1, receipt="a receipt")],
            [ContainerActivated(serial=serial, generation=2, fingerprint=machine, case=case)],
            [MeasureOrdered(**measure(other, serial), effective=at), MeasureUnconfirmable(**measure(other, serial))],
        ]
        for step in story[:steps]:
            self.say(vendor, container_stream(serial), serial, *step)

    def open_access(self, vendor: VendorId, number: int, steps: int = STEPS) -> None:
        """A cloud container whose access data are set, rotated and set again."""
        serial, case = Serial(f"7-{number}"), CaseId(f"d-{number}")
        story: list[Fact] = [
            ContainerRegistered(serial=serial, kind=Kind.CLOUD, holder="h-c"),
            AccessOffered(serial=serial, generation=1, case=None, until=self.at),
            AccessSet(serial=serial, generation=1),
            SessionsEnded(serial=serial, case=case, sessions=3),
            AccessOffered(serial=serial, generation=2, case=case, until=self.at),
            AccessSet(serial=serial, generation=2),
            SessionsEnded(serial=serial, case=case, sessions=1),
        ]
        self.say(vendor, container_stream(serial), serial, *story[:steps])

    def mend(self, vendor: VendorId, number: int, steps: int = STEPS) -> None:
        """A damaged dongle: stuck twice, once resumed; it comes back, or the case is given up."""
        serial, case = Serial(f"8-{number}"), CaseId(f"m-{number}")
        facts = BackendFacts(
            serial=serial,
            kind=Kind.DONGLE,
            holder="h-0",
            last_contact=None,
            licences=(LicenceInScope(licence="L-0", generation=1, product="cad", ticket="T-0", value_cents=1),),
        )
        returned = Sighted(sighting=Sighting(statement="returned/1", cause=Cause.RETURNED, occurred=self.at))
        state: CaseState | None = None
        for one in (
            Report(report=self._report(f"R-m{number}", serial, Reason.DAMAGED)),
            Assessed(facts=facts, policy=Policy(), reservation=None),
            Failed(code="not_blocked", cause="a cause"),
            decision("D-1", Action.RESUME),
            Blocked(),
            Replaced(target=Serial(f"9-{number}"), at=self.at, watch_until=self.at),
            returned,
            Failed(code="generation_conflict", cause="a cause"),
            decision("D-2", Action.GIVE_UP),
        )[:steps]:
            made = decide(state, one)
            state = fold_all(made, state)
            self.say(vendor, case_stream(case), serial, *made)

    def reject(self, vendor: VendorId, number: int) -> None:
        """A container whose loss a supervisor rejects."""
        serial, case = Serial(f"5-{number}"), CaseId(f"r-{number}")
        facts = BackendFacts(
            serial=serial,
            kind=Kind.DONGLE,
            holder="h-0",
            last_contact=None,
            licences=(LicenceInScope(licence="L-0", generation=1, product="cad", ticket="T-0", value_cents=1),),
        )
        state: CaseState | None = None
        for one in (
            Report(report=self._report(f"R-r{number}", serial)),
            Assessed(facts=facts, policy=MANUAL, reservation=None),
            decision("D-1", Action.REJECT),
        ):
            made = decide(state, one)
            state = fold_all(made, state)
            self.say(vendor, case_stream(case), serial, *made)

    def _report(self, report: str, serial: Serial, reason: Reason = Reason.LOST) -> LossReported:
        return LossReported(
            report=report,
            serial=serial,
            kind=Kind.DONGLE,
            reason=reason,
            scope=Scope.CONTAINER,
            reporter=Reporter(role=Role.BACK_OFFICE, name="crm"),
            door="a test",
            occurred=self.at - timedelta(days=1),
            received=self.at,
        )


def measure(case: CaseId, serial: Serial) -> dict[str, Any]:
    """A case's blacklisting of a container."""
    aimed = subject(Aim.CONTAINER, serial, 1)
    return {"case": case, "measure": Measure.BLACKLISTING, "subject": aimed, "serial": serial}


def decision(name: str, action: Action, listed: bool = True, verdict: Verdict | None = None) -> Decide:
    """What a supervisor decides."""
    order = DecisionOrder(decision=name, action=action, by="ann", why="as I see it", verdict=verdict)
    return Decide(order=order, listed=listed)


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
