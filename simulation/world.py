"""One vendor in memory: what doors take, a clock that only moves when it is told to, and faults at will."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from events.backend_facts import PolicyAdopted, VendorAdded
from events.case_facts import CaseFact, CaseStreamFact, LossReported
from events.cases import DecisionOrder, Joined, Message
from events.catalogue import AnyFact
from events.envelope import Head, Recorded, case_stream, container_stream, record_key, seal
from events.errors import Code, RefusalError
from events.inbox import (
    ContactStatement,
    ContainerStatement,
    EvidenceStatement,
    FoundStatement,
    LicenceStatement,
    LossStatement,
    ReturnStatement,
)
from events.licensing import CaseKey, ContactAnswer, ReceiptAnswer
from events.terms import CaseId, ContactId, Kind, Lease, LicenceId, Reason, Reporter, Role, Scope, Serial, VendorId
from simulation.backend import MemoryBackend
from simulation.case import Ground, PassingFailureError, RunningCase
from workflows.case import CaseState, fold_all
from workflows.policy import Policy, canonical

Answer = TypeVar("Answer")
BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
DOOR = "in memory"
SAID_KEPT = 50
TRIES = 5


class World:
    """The product of one vendor. What is said twice is done once; `facts` is its log."""

    def __init__(self, policy: Policy, vendor: str = "acme") -> None:
        self.now = BEGIN
        self.policy = policy
        self.vendor = VendorId(vendor)
        self.facts: list[Recorded] = []
        self.backend = MemoryBackend(self.vendor, self._state)
        self._running: dict[CaseId, RunningCase] = {}
        self._delivered: dict[CaseId, int] = defaultdict(int)
        self._heads: dict[str, Head] = defaultdict(Head)
        self._broken: dict[str, int | None] = {}
        self._said: list[Callable[[], object]] = []
        numbered = {**canonical(policy), "policy_version": policy.policy_version}
        adopted = PolicyAdopted(policy_version=policy.policy_version, policy=numbered)
        self._record("vendor", None, self.now, [VendorAdded(issuer=f"urn:lostfound:{vendor}"), adopted])

    @property
    def cases(self) -> dict[CaseId, CaseState]:
        """Where each case stands."""
        return {name: case.state for name, case in self._running.items() if case.state is not None}

    def effective(self, licence: str) -> list[int]:
        """The generations of a licence that the backend would renew now."""
        return self.backend.effective(LicenceId(licence), self.now)

    # What is stated.

    def register(self, serial: str, kind: Kind, holder: str, fingerprint: dict[str, str] | None = None) -> None:
        """A container of the vendor's inventory."""
        stated = ContainerStatement(serial=serial, kind=kind, holder=holder, fingerprint=fingerprint)
        self._say(lambda: self.backend.register(stated, self.now))

    def licence(
        self,
        licence: str,
        serial: str,
        product: str = "cad",
        value_cents: int = 0,
        lease: Lease | None = None,
        borrowed_until: datetime | None = None,
        issued: datetime | None = None,
    ) -> None:
        """A licence of the vendor's own issue."""
        stated = LicenceStatement(
            licence=licence,
            serial=serial,
            product=product,
            ticket=f"T-{licence}",
            value_cents=value_cents,
            lease=lease or Lease(),
            borrowed_until=borrowed_until,
            issued=issued or self.now,
        )
        self._say(lambda: self.backend.issue_own(stated, self.now))

    def report(
        self,
        report: str,
        serial: str,
        kind: Kind,
        reason: Reason,
        reporter: Reporter,
        scope: Scope = Scope.CONTAINER,
        licences: tuple[str, ...] = (),
        occurred: datetime | None = None,
        evidence: tuple[str, ...] = (),
    ) -> CaseId:
        """A loss report; its case. Raises RefusalError."""
        stated = LossStatement(
            report=report,
            serial=serial,
            kind=kind,
            reason=reason,
            scope=scope,
            licences=licences,
            reporter=reporter,
            occurred=occurred or self.now,
            evidence=evidence,
        )
        return self._say(lambda: self.backend.claim(stated, DOOR, self.now)).key.case

    def decide(self, case: CaseId, action: str, by: str, decision: str, **more: Any) -> None:
        """A supervisor's decision, made on the last material fact unless it says otherwise. Raises RefusalError."""
        known = self._running[case].state
        assert known is not None
        order = DecisionOrder.model_validate(
            {"decision": decision, "action": action, "by": by, "on": known.material} | more
        )
        self._say(lambda: self._decide(case, order))

    def contact(self, contact: str, serial: str, **more: Any) -> ContactAnswer:
        """A container reports in. Raises RefusalError."""
        stated = ContactStatement.model_validate({"contact": contact, "serial": serial, "occurred": self.now} | more)
        return self._say(lambda: self.backend.contact(stated, self.now))

    def activation_code(self, serial: str) -> str:
        """The code by which a machine is activated for the cases that wait for one. Raises RefusalError."""
        return self.backend.activation_code(Serial(serial))

    def return_activation(self, contact: str, serial: str, generation: int) -> ReceiptAnswer:
        """The holder gives an activation back. Raises RefusalError."""
        number = ContactId(contact)
        return self._say(lambda: self.backend.return_activation(number, Serial(serial), generation, self.now))

    def set_access(self, serial: str) -> None:
        """The holder sets the access data that are owed. Raises RefusalError."""
        self.backend.set_access(Serial(serial), self.now)
        self._deliver()

    def found(self, report: str, serial: str, reporter: Reporter) -> None:
        """Somebody has a lost container in hand. Raises RefusalError."""
        self._turn_up(FoundStatement(report=report, serial=serial, reporter=reporter, occurred=self.now))

    def returned(self, report: str, serial: str, reporter: Reporter) -> None:
        """The vendor has a container back. Raises RefusalError."""
        if reporter.role is not Role.BACK_OFFICE:
            raise RefusalError(Code.INVALID_DATA, "only a back-office system can say that a container is back")
        self._turn_up(ReturnStatement(report=report, serial=serial, reporter=reporter, occurred=self.now))

    def evidence(self, statement: str, report: str, serial: str, reporter: Reporter, evidence: tuple[str, ...]) -> None:
        """Evidence for a loss. Raises RefusalError."""
        stated = EvidenceStatement(
            statement=statement, report=report, serial=serial, reporter=reporter, evidence=evidence, occurred=self.now
        )
        self._say(lambda: self.backend.give_evidence(stated, DOOR, self.now))

    # Time and faults.

    def advance(self, by: timedelta) -> None:
        """Let time pass; alarms ring in their order."""
        until = self.now + by
        while True:
            due = [(case.alarm, name) for name, case in self._running.items() if case.alarm and case.alarm <= until]
            if not due:
                break
            at, name = min(due)
            self.now = max(self.now, at)
            before = self._running[name].state
            self._running[name].go_on()
            if self._running[name].state is before:
                break
        self.now = until
        for case in list(self._running.values()):
            case.go_on()
        self._deliver()

    def crash(self, case: CaseId) -> None:
        """The worker forgets a case, learns it again from the log, and does its last deed once more."""
        running = self._running[case]
        stream = case_stream(case)
        facts = [one.fact for one in self.facts if one.stream == stream]
        refolded = fold_all([fact for fact in facts if isinstance(fact, CaseStreamFact)])
        assert refolded == running.state, "the log does not say what the case knew"
        running.state = refolded
        if running.again is not None:
            running.again()
        running.go_on()
        self._deliver()

    def order_late(self, case: CaseId, which: int) -> tuple[object, object]:
        """An order of a case that it had an answer to comes once more, however long ago it was; that answer, and the
        one now. Raises RefusalError."""
        orders = self._running[case].done
        order, answer = orders[which % len(orders)]
        return answer, order()

    def redeliver(self, count: int) -> None:
        """The last statements arrive again, and so do the last messages of every case."""
        for said in self._said[-count:]:
            try:
                said()
            except RefusalError:
                continue
        self._deliver(again=count)

    def break_deed(self, name: str, times: int | None) -> None:
        """Have a deed fail so often in passing, or for good: None."""
        self._broken[name] = times

    def mend(self) -> None:
        """Have every deed work again."""
        self._broken.clear()
        for case in list(self._running.values()):
            case.go_on()
        self._deliver()

    # Within.

    def _say(self, said: Callable[[], Answer]) -> Answer:
        answer = said()
        self._said = [*self._said, said][-SAID_KEPT:]
        self._deliver()
        return answer

    def _deliver(self, again: int = 0) -> None:
        """Bring the cases the messages that they were not brought yet, and the last ones again."""
        moved = True
        while moved:
            moved = False
            for name, case in list(self.backend.cases.items()):
                first = max(0, self._delivered[name] - again)
                messages = [
                    Message(number=number, content=content)
                    for number, (content, _) in enumerate(case.messages, 1)
                    if number > first
                ]
                moved = moved or len(case.messages) > self._delivered[name]
                self._delivered[name] = len(case.messages)
                for message in messages:
                    self._bring(case.key, message)
            again = 0

    def _bring(self, key: CaseKey, message: Message) -> None:
        if message.number > 1:
            self._running[key.case].receive(message)
        elif key.case not in self._running:
            assert isinstance(message.content, Joined)
            ground = Ground(lambda: self.now, self._append, self._deed, self.backend, self.policy)
            self._running[key.case] = RunningCase(key, ground, message.content)
            self._running[key.case].go_on()

    def _decide(self, case: CaseId, order: DecisionOrder) -> None:
        accepted = self.backend.accept_decision(case, order, DOOR, self.now)
        if accepted.refused:
            raise RefusalError(accepted.refused, f"{order.by} may not {order.action}")
        self._deliver()
        running = self._running[case]
        for _ in range(TRIES):  # who decides waits while an activity that failed in passing is tried again
            if running.pending.taken < (accepted.number or 0):
                running.go_on()
        if running.pending.taken < (accepted.number or 0):
            raise RefusalError(Code.NOTHING_TO_DECIDE, f"{case} was over before it took what {order.by} decided")
        denial = running.state.denial_of(order.decision) if running.state else None
        if denial:
            raise RefusalError(Code(denial), f"{order.by} may not {order.action}")

    def _turn_up(self, stated: FoundStatement | ReturnStatement) -> None:
        self._say(lambda: self.backend.turn_up(stated, DOOR, self.now))

    def _deed(self, name: str) -> None:
        if name not in self._broken:
            return
        times = self._broken[name]
        if times is None:
            if name in ("block", "issue", "withdraw", "reinstate"):
                raise RefusalError(Code.GENERATION_CONFLICT, f"{name} is broken for good")
            raise PassingFailureError(name)
        if times > 0:
            self._broken[name] = times - 1
            raise PassingFailureError(name)

    def _append(self, key: CaseKey, facts: list[CaseFact]) -> None:
        self._record(case_stream(key.case), key.serial, self.now, facts)

    def _state(self, serial: str, at: datetime, facts: Any) -> None:
        self._record(container_stream(Serial(serial)), Serial(serial), at, facts)

    def _record(self, stream: str, serial: Serial | None, at: datetime, facts: Any) -> None:
        key = record_key(self.vendor, serial)
        fact: AnyFact
        for fact in facts:
            head = self._heads[stream]
            sealed = seal(self.vendor, stream, key, head, at, fact)
            hashes = bytes.fromhex(head.hash), bytes.fromhex(sealed.head.hash)
            data = fact.model_dump(mode="json") if isinstance(fact, LossReported) else {}
            self.facts.append(Recorded(self.vendor, stream, sealed.head.sequence, *hashes, at, fact, data))
            self._heads[stream] = sealed.head
