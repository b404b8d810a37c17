"""One vendor in memory: what doors take, a clock that only moves when it is told to, and faults at will."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from events.backend_facts import PolicyAdopted, VendorAdded
from events.case_facts import CaseFact
from events.cases import DecisionOrder, Evidence, Sighting
from events.envelope import Head, Recorded, case_stream, container_stream, record_key, seal
from events.errors import Code, NotYetKnownError, RefusalError
from events.fact import Fact
from events.inbox import ContactStatement, ContainerStatement, LicenceStatement, LossStatement
from events.licensing import CaseKey, ContactAnswer, ReceiptAnswer
from events.terms import CaseId, Cause, Kind, Lease, LicenceId, Reason, Reporter, Role, Scope, Serial, VendorId
from simulation.backend import MemoryBackend
from simulation.case import Ground, PassingFailureError, RunningCase
from workflows.case import CaseState, fold_all
from workflows.commands import LoseReplacement, Report, Settled
from workflows.policy import Policy

Answer = TypeVar("Answer")
BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
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
        self._heads: dict[str, Head] = defaultdict(Head)
        self._broken: dict[str, int | None] = {}
        self._said: list[Callable[[], object]] = []
        text = policy.model_dump_json()
        adopted = PolicyAdopted(policy_version=policy.policy_version, policy=text)
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
        self._say(lambda: self._register(stated))

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
        return self._say(lambda: self._report(stated))

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
        return self._say(lambda: self._contact(stated))

    def activation_code(self, serial: str) -> str:
        """The code by which a machine is activated for the cases that wait for one. Raises RefusalError."""
        return self.backend.activation_code(Serial(serial))

    def return_activation(self, contact: str, serial: str, generation: int) -> ReceiptAnswer:
        """The holder gives an activation back. Raises RefusalError."""
        return self._say(lambda: self._return(contact, Serial(serial), generation))

    def set_access(self, serial: str) -> None:
        """The holder sets the access data that are owed. Raises RefusalError."""
        for key in self.backend.set_access(Serial(serial), self.now):
            self._running[key.case].offer(Serial(serial))

    def found(self, report: str, serial: str, reporter: Reporter) -> None:
        """Somebody has a lost container in hand. Raises RefusalError."""
        self._say(lambda: self._turned_up(report, Serial(serial), reporter, Cause.FOUND))

    def returned(self, report: str, serial: str, reporter: Reporter) -> None:
        """The vendor has a container back. Raises RefusalError."""
        self._say(lambda: self._turned_up(report, Serial(serial), reporter, Cause.RETURNED))

    def evidence(self, statement: str, report: str, serial: str, reporter: Reporter, evidence: tuple[str, ...]) -> None:
        """Evidence for a loss. Raises RefusalError."""
        self._say(lambda: self._evidence(statement, report, Serial(serial), reporter, evidence))

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
        for case in self._running.values():
            case.go_on()

    def crash(self, case: CaseId) -> None:
        """The worker forgets a case, learns it again from the log, and does its last deed once more."""
        running = self._running[case]
        stream = case_stream(case)
        facts = [one.fact for one in self.facts if one.stream == stream]
        refolded = fold_all([fact for fact in facts if isinstance(fact, CaseFact)])
        assert refolded == running.state, "the log does not say what the case knew"
        running.state = refolded
        if running.again is not None:
            running.again()
        running.go_on()

    def order_late(self, case: CaseId, which: int) -> tuple[object, object]:
        """An order of a case that it had an answer to comes once more, however long ago it was; that answer, and the
        one now. Raises RefusalError."""
        orders = self._running[case].done
        order, answer = orders[which % len(orders)]
        return answer, order()

    def redeliver(self, count: int) -> None:
        """The last statements arrive again."""
        for said in self._said[-count:]:
            try:
                said()
            except RefusalError:
                continue

    def break_deed(self, name: str, times: int | None) -> None:
        """Have a deed fail so often in passing, or for good: None."""
        self._broken[name] = times

    def mend(self) -> None:
        """Have every deed work again."""
        self._broken.clear()
        for case in self._running.values():
            case.go_on()

    # Within.

    def _say(self, said: Callable[[], Answer]) -> Answer:
        answer = said()
        self._said = [*self._said, said][-SAID_KEPT:]
        return answer

    def _register(self, stated: ContainerStatement) -> None:
        for key in self.backend.register(stated, self.now):
            self._running[key.case].offer(stated.serial)

    def _report(self, stated: LossStatement) -> CaseId:
        claim = self.backend.claim(stated, self.now)
        name = claim.key.case
        if not claim.closed:
            report = stated.reported("in memory", claim.received)
            ground = Ground(lambda: self.now, self._append, self._deed, self.backend, self.policy)
            self._running.setdefault(name, RunningCase(claim.key, ground)).bring(Report(report=report))
        for key in claim.tells:
            self._running[key.case].bring(LoseReplacement(to=name))
        return name

    def _decide(self, case: CaseId, order: DecisionOrder) -> None:
        running = self._running[case]
        running.bring(order)
        for _ in range(TRIES):  # who decides waits while a deed that failed in passing is tried again
            if order in running.mail:
                running.go_on()
        denial = running.state.denial_of(order.decision) if running.state else None
        if denial:
            raise RefusalError(Code(denial), f"{order.by} may not {order.action}")

    def _contact(self, stated: ContactStatement) -> ContactAnswer:
        answer = self.backend.contact(stated, self.now)
        for key, ordinal in zip(answer.cases, answer.ordinals, strict=True):
            self._sight(key, f"contact/{stated.contact}", Cause.SIGHTING, stated.occurred, ordinal)
        for key in answer.awaiting:
            self._running[key.case].offer(stated.serial)
        for key in answer.settled:
            self._running[key.case].bring(Settled())
        return answer

    def _return(self, contact: str, serial: Serial, generation: int) -> ReceiptAnswer:
        answer = self.backend.return_activation(contact, serial, generation, self.now)  # type: ignore[arg-type]
        for key in answer.settled:
            self._running[key.case].bring(Settled())
        return answer

    def _turned_up(self, report: str, serial: Serial, reporter: Reporter, cause: Cause) -> None:
        if cause is Cause.RETURNED and reporter.role is not Role.BACK_OFFICE:
            raise NotYetKnownError(Code.UNKNOWN_CONTAINER, f"no container {serial} is known here")
        cases = self.backend.open_cases(serial, reporter)
        if not cases:
            raise NotYetKnownError(Code.NO_CASE, f"no case looks for container {serial}")
        for key in cases:
            self._sight(key, f"{cause}/{report}", cause, self.now, None)

    def _evidence(
        self, statement: str, report: str, serial: Serial, reporter: Reporter, names: tuple[str, ...]
    ) -> None:
        self.backend.rightful(serial, reporter)
        known = self.backend.reports.get(report)
        if known is None or self.backend.cases[known[1]].key.serial != serial:
            raise NotYetKnownError(Code.NO_CASE, f"no report {report} is known of container {serial}")
        brought = Evidence.model_validate(
            {"statement": f"evidence/{statement}", "by": reporter.name, "evidence": names}
        )
        self._running[known[1]].bring(brought)

    def _sight(self, key: CaseKey, statement: str, cause: Cause, occurred: datetime, ordinal: int | None) -> None:
        sighting = Sighting(statement=statement, cause=cause, occurred=occurred, ordinal=ordinal)
        self._running[key.case].bring(sighting)

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
        fact: Fact
        for fact in facts:
            head = self._heads[stream]
            sealed = seal(self.vendor, stream, key, head, at, fact)
            hashes = bytes.fromhex(head.hash), bytes.fromhex(sealed.head.hash)
            self.facts.append(Recorded(self.vendor, stream, sealed.head.sequence, *hashes, at, fact, {}))
            self._heads[stream] = sealed.head
