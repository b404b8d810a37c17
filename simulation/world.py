"""One vendor in memory: what doors take, a clock that only moves when it is told to, and faults at will."""

from collections import defaultdict
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from activities.licensing.containers import Container
from events.case_facts import CaseFact, CaseStreamFact, LossReported
from events.codec import FactCodec
from events.envelope import Head, Recorded, case_stream, record_key
from events.errors import Code, RefusalError
from events.lease import Lease
from events.ports.licensing_backend import CaseKey, ContactAnswer, ReceiptAnswer
from events.ports.loss_cases import DecisionOrder, Joined, Message
from events.principal import Principal, PrincipalRole
from events.statements import (
    ContactStatement,
    ContainerStatement,
    DeactivationStatement,
    DelegationStatement,
    EvidenceStatement,
    FoundStatement,
    InventoryChange,
    LicenceChangeStatement,
    LicenceEndStatement,
    LicenceStatement,
    LossStatement,
    ReturnStatement,
    RevocationStatement,
)
from events.terms import CaseId, Kind, LicenceId, PersonId, Reason, Reporter, Scope, Serial, VendorId
from simulation.memory_case import CaseParts, PassingFailureError, RunningCase
from simulation.stage import OpenStage, in_memory
from workflows.case import CaseState, fold_all
from workflows.policy import Policy, canonical

Answer = TypeVar("Answer")
BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
DOOR = "in memory"
PASSWORD = "a password that nobody guesses"
SAID_KEPT = 50
TRIES = 5


class World:
    """The product of one vendor. What is said twice is done once; `facts` is its log."""

    def __init__(self, policy: Policy, vendor: str = "acme", stage: OpenStage = in_memory) -> None:
        self.now = BEGIN
        self.vendor = VendorId(vendor)
        self.facts: list[Recorded] = []
        self.stage = stage(lambda: self.now)
        self._seen = 0
        self._codec = FactCodec()
        self._running: dict[CaseId, RunningCase] = {}
        self._delivered: dict[CaseId, int] = defaultdict(int)
        self._heads: dict[str, Head] = defaultdict(Head)
        self._broken: dict[str, int | None] = {}
        self._said: list[Callable[[], object]] = []
        self._ask(self.stage.backend.add_vendor(self.vendor, canonical(policy), self.now))
        version, _ = self._ask(self.stage.backend.policy_in_force(self.vendor))
        self.policy = policy.model_copy(update={"policy_version": version})

    @property
    def cases(self) -> dict[CaseId, CaseState]:
        """Where each case stands."""
        return {name: case.state for name, case in self._running.items() if case.state is not None}

    @property
    def containers(self) -> list[Container]:
        """The containers of the inventory."""
        return self.stage.wait(self.stage.observer.containers(self.vendor))

    def effective(self) -> dict[LicenceId, list[int]]:
        """The generations of each licence that the backend would renew now."""
        return self.stage.wait(self.stage.observer.effective(self.vendor, self.now))

    # What is stated.

    def register(self, serial: str, kind: Kind, holder: str, fingerprint: dict[str, str] | None = None) -> None:
        """A container of the vendor's inventory."""
        statement = ContainerStatement(serial=serial, kind=kind, holder=holder, fingerprint=fingerprint)
        self._say(lambda: self.stage.backend.register_container(self.vendor, statement, self.now))

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
        statement = LicenceStatement(
            licence=licence,
            serial=serial,
            product=product,
            ticket=f"T-{licence}",
            value_cents=value_cents,
            lease=lease or Lease(),
            borrowed_until=borrowed_until,
            issued=issued or self.now,
        )
        self._say(lambda: self.stage.backend.register_licence(self.vendor, statement, self.now))

    def delegate(self, delegation: str, delegate: str, holders: tuple[str, ...], until: datetime) -> None:
        """Somebody is to act for these holders. Raises RefusalError."""
        statement = DelegationStatement(delegation=delegation, delegate=delegate, holders=holders, until=until)
        self._say(lambda: self.stage.backend.take_delegation(self._at_the_door(), statement, self.now))

    def revoke(self, delegation: str) -> None:
        """A delegation is over."""
        statement = RevocationStatement(delegation=delegation)
        self._say(lambda: self.stage.backend.take_delegation(self._at_the_door(), statement, self.now))

    def change_licence(self, **said: Any) -> None:
        """A licence has other terms. Raises RefusalError."""
        self._change(LicenceChangeStatement.model_validate(said))

    def end_licence(self, licence: str, revision: int, ended: datetime) -> None:
        """The contract of a licence is over. Raises RefusalError."""
        self._change(LicenceEndStatement(licence=licence, revision=revision, ended=ended))

    def _change(self, statement: InventoryChange) -> None:
        self._say(lambda: self.stage.backend.change_inventory(self.vendor, statement, self.now))

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
        statement = LossStatement(
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
        return self._say(lambda: self.stage.backend.claim(self._at_the_door(), statement, self.now)).key.case

    def decide(self, case: CaseId, action: str, by: str, decision: str, **more: Any) -> None:
        """A supervisor's decision, made on the last material fact unless it says otherwise. Raises RefusalError."""
        known = self._running[case].state
        assert known is not None
        order = DecisionOrder.model_validate(
            {"decision": decision, "action": action, "by": by, "on": known.material} | more
        )
        self._repeatable(lambda: self._decide(case, order))

    def contact(self, contact: str, serial: str, **more: Any) -> ContactAnswer:
        """A container reports in; the answer, with the licences in place of their files. Raises RefusalError."""
        statement = ContactStatement.model_validate({"contact": contact, "serial": serial, "occurred": self.now} | more)
        answer = self._say(lambda: self.stage.backend.contact(self.vendor, statement, self.now))
        return answer.model_copy(update={"files": tuple(map(self.stage.observer.licence_of, answer.files))})

    def activation_code(self, serial: str) -> str:
        """The code by which a machine is activated for the cases that wait for one. Raises RefusalError."""
        return self._ask(self.stage.backend.activation_code(self._at_the_door(), Serial(serial))).code

    def return_activation(self, contact: str, serial: str, generation: int) -> ReceiptAnswer:
        """The holder gives an activation back. Raises RefusalError."""
        statement = DeactivationStatement(contact=contact, serial=serial, generation=generation, occurred=self.now)
        return self._say(lambda: self.stage.backend.return_activation(self.vendor, statement, self.now))

    def set_access(self, serial: str) -> None:
        """The holder sets the access data that are owed. Raises RefusalError."""
        link = self._ask(self.stage.backend.access_link(self._at_the_door(), Serial(serial)))
        password = f"{PASSWORD} {link.generation}"
        self._ask(self.stage.backend.set_access(self.vendor, Serial(serial), link.token, password, self.now))
        self._deliver()

    def found(self, report: str, serial: str, reporter: Reporter) -> None:
        """Somebody has a lost container in hand. Raises RefusalError."""
        self._turn_up(FoundStatement(report=report, serial=serial, reporter=reporter, occurred=self.now))

    def returned(self, report: str, serial: str, reporter: Reporter) -> None:
        """The vendor has a container back. Raises RefusalError."""
        self._turn_up(ReturnStatement(report=report, serial=serial, reporter=reporter, occurred=self.now))

    def evidence(self, statement: str, report: str, serial: str, reporter: Reporter, evidence: tuple[str, ...]) -> None:
        """Evidence for a loss. Raises RefusalError."""
        given = EvidenceStatement(
            statement=statement, report=report, serial=serial, reporter=reporter, evidence=evidence, occurred=self.now
        )
        self._say(lambda: self.stage.backend.give_evidence(self._at_the_door(), given, self.now))

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
        """The worker forgets a case, learns it again from the log, and does its last activity once more."""
        running = self._running[case]
        stream = case_stream(case)
        facts = [one.fact for one in self.facts if one.stream == stream]
        refolded = fold_all([fact for fact in facts if isinstance(fact, CaseStreamFact)])
        assert refolded == running.state, "the log does not say what the case knew"
        running.driver.state = refolded
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

    def break_activity(self, name: str, times: int | None) -> None:
        """Have an activity fail so often in passing, or for good: None."""
        self._broken[name] = times

    def mend(self) -> None:
        """Have every activity work again."""
        self._broken.clear()
        for case in list(self._running.values()):
            case.go_on()
        self._deliver()

    # Within.

    def _ask(self, asked: Coroutine[Any, Any, Answer]) -> Answer:
        """What the backend answers; what it states meanwhile comes into the log, also where it refuses."""
        try:
            return self.stage.wait(asked)
        finally:
            recorded = self.stage.wait(self.stage.observer.recorded(self._seen))
            self._seen += len(recorded)
            self.facts += [one if isinstance(one.fact, LossReported) else one._replace(data={}) for one in recorded]

    def _say(self, said: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        return self._repeatable(lambda: self._ask(said()))

    def _repeatable(self, said: Callable[[], Answer]) -> Answer:
        answer = said()
        self._said = [*self._said, said][-SAID_KEPT:]
        self._deliver()
        return answer

    def _deliver(self, again: int = 0) -> None:
        """Bring the cases the messages that they were not brought yet, and the last ones again."""
        moved = True
        while moved:
            moved = False
            for key, contents in self.stage.wait(self.stage.observer.messages(self.vendor)):
                first = max(0, self._delivered[key.case] - again)
                moved = moved or len(contents) > self._delivered[key.case]
                self._delivered[key.case] = len(contents)
                for number, content in enumerate(contents[first:], first + 1):
                    self._bring(key, Message(number=number, content=content))
            again = 0

    def _bring(self, key: CaseKey, message: Message) -> None:
        if message.number > 1:
            self._running[key.case].receive(message)
        elif key.case not in self._running:
            assert isinstance(message.content, Joined)
            parts = CaseParts(lambda: self.now, self._append, self._before_activity, self.stage.backend, self._ask)
            self._running[key.case] = RunningCase(key, parts, message.content)
            self._running[key.case].go_on()

    def _at_the_door(self, by: str = "crm", role: PrincipalRole = PrincipalRole.BACK_OFFICE) -> Principal:
        return Principal(vendor=self.vendor, subject=PersonId(by), roles=(role,), door=DOOR)

    def _decide(self, case: CaseId, order: DecisionOrder) -> None:
        who = self._at_the_door(order.by, PrincipalRole.SUPERVISOR)
        accepted = self._ask(self.stage.backend.accept_decision(who, case, order, self.now))
        if accepted.refused:
            raise _denied(accepted.refused, case, order)
        self._deliver()
        running = self._running[case]
        for _ in range(TRIES):  # who decides waits while an activity that failed in passing is tried again
            if running.pending.taken < (accepted.number or 0):
                running.go_on()
        if running.pending.taken < (accepted.number or 0):
            raise _denied(Code.NOTHING_TO_DECIDE, case, order)
        denial = running.state.denial_of(order.decision) if running.state else None
        if denial:
            raise _denied(Code(denial), case, order)

    def _turn_up(self, statement: FoundStatement | ReturnStatement) -> None:
        self._say(lambda: self.stage.backend.turn_up(self._at_the_door(), statement, self.now))

    def _before_activity(self, name: str) -> None:
        if name not in self._broken:
            return
        times = self._broken[name]
        if times is None:
            if name in ("block", "issue", "withdraw", "reinstate"):
                raise RefusalError(Code.GENERATION_CONFLICT, f"{name} is broken for good", activity=name)
            raise PassingFailureError(name)
        if times > 0:
            self._broken[name] = times - 1
            raise PassingFailureError(name)

    def _append(self, key: CaseKey, facts: list[CaseFact]) -> None:
        stream = case_stream(key.case)
        for fact in facts:
            head = self._heads[stream]
            sealed = self._codec.seal(self.vendor, stream, record_key(self.vendor, key.serial), head, self.now, fact)
            hashes = bytes.fromhex(head.hash), bytes.fromhex(sealed.head.hash)
            data = fact.model_dump(mode="json") if isinstance(fact, LossReported) else {}
            self.facts.append(Recorded(self.vendor, stream, sealed.head.sequence, *hashes, self.now, fact, data))
            self._heads[stream] = sealed.head


def _denied(code: Code, case: CaseId, order: DecisionOrder) -> RefusalError:
    sentence = f"{order.by} may not {order.action} case {case}"
    return RefusalError(code, sentence, by=order.by, action=order.action, case=case)
