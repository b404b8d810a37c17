"""A case without Temporal: the same steps and decisions, one after the other, over a backend in memory."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar, cast

from events.case_facts import BackendFacts, CaseFact
from events.cases import DecisionOrder, Evidence, Sighting
from events.errors import RefusalError
from events.licensing import CaseKey, Issued, Reservation
from events.terms import EvidenceName, Serial, Status
from simulation.backend import MemoryBackend
from workflows.case import CaseState, fold_all
from workflows.commands import (
    Assessed,
    Blocked,
    Bring,
    Command,
    Decide,
    Elapsed,
    Failed,
    LoseReplacement,
    NoTarget,
    Offered,
    Reinstated,
    Replaced,
    Report,
    Settled,
    Sighted,
    Withdrawn,
)
from workflows.deciding import decide
from workflows.policy import Policy
from workflows.steps import Block, End, Issue, Reinstate, Rest, Step, Withdraw, keep_order, next_step, reserve_order

Answer = TypeVar("Answer")
Content = Report | DecisionOrder | Sighting | Evidence | Settled | LoseReplacement


class PassingFailureError(Exception):
    """A deed failed in a way that trying again may mend."""


@dataclass
class Ground:
    """What a case stands on: the clock, the log, the backend behind deeds that may fail, and the policy in force."""

    now: Callable[[], datetime]
    append: Callable[[CaseKey, list[CaseFact]], None]
    deed: Callable[[str], None]
    """Called before each deed, by its name; raises what the deed then fails with."""
    backend: MemoryBackend
    policy: Policy


@dataclass
class RunningCase:
    """A case that takes what arrives for it, one at a time."""

    key: CaseKey
    ground: Ground
    state: CaseState | None = None
    policy: Policy | None = None
    mail: deque[Content] = field(default_factory=deque)
    offers: list[Serial] = field(default_factory=list)
    again: Callable[[], object] | None = None
    """The last deed, to be done once more."""
    done: list[tuple[Callable[[], object], object]] = field(default_factory=list)
    """Everything that was ordered, and what was answered last."""
    over: bool = False

    def bring(self, content: Content) -> None:
        """Something arrives."""
        self.mail.append(content)
        self.go_on()

    def offer(self, serial: Serial) -> None:
        """A container arrives that may take the replacement."""
        self.offers.append(serial)
        self.go_on()

    @property
    def alarm(self) -> datetime | None:
        """When it looks again though nothing arrives."""
        step = self._next() if self.state is not None and self.policy is not None else None
        return step.alarm if isinstance(step, Rest) else None

    def go_on(self) -> None:
        """Do what there is to do; a deed that fails in passing is left for the next time."""
        try:
            if self.policy is None:
                self._open()
            while self.policy is not None and self._do(self._next()):
                pass
        except PassingFailureError:
            return

    def _next(self) -> Step:
        assert self.state is not None
        assert self.policy is not None
        return next_step(self.state, self.key, self.policy)

    def _open(self) -> None:
        if self.state is None:
            opening = next((one for one in self.mail if isinstance(one, Report)), None)
            if opening is None:
                return
            self.mail.remove(opening)
            self._take(opening)
        assessment = self._deed("assess", lambda: self.ground.backend.assess(self.key, self.ground.now()))
        policy, facts = self.ground.policy, assessment.facts
        reservation = self._reserve(policy, facts)
        at = reservation.at if reservation else assessment.at
        self._take(Assessed(at=at, facts=facts, policy=policy, reservation=reservation))
        self.policy = policy

    def _do(self, step: Step) -> bool:
        """Do a step; False when nothing is left to do for now."""
        backend, at = self.ground.backend, self.ground.now()
        match step:
            case Rest(alarm=alarm):
                return self._rest(step, alarm)
            case Block():
                if done := self._tried("block", lambda: backend.block(step.order, at)):
                    self._take(Blocked(at=done.at, policy=cast(Policy, self.policy)))
            case Issue():
                answer = self._tried("issue", lambda: backend.issue(step.order, at))
                if isinstance(answer, Issued):
                    self._take(Replaced(target=answer.target, at=answer.at, policy=cast(Policy, self.policy)))
                elif answer is not None:
                    self._take(NoTarget(at=answer.at, tickets=answer.tickets))
            case Withdraw():
                withdrawal = self._tried("withdraw", lambda: backend.withdraw(step.order, at))
                if withdrawal is None:
                    return True
                if not withdrawal.confirmed:
                    return self._rest(step, None)
                self._take(Withdrawn())
            case Reinstate():
                if reinstated := self._tried("reinstate", lambda: backend.reinstate(step.order, at)):
                    self._take(Reinstated(serial=reinstated.target))
            case End():
                if not self.over:
                    self._deed("close", lambda: backend.close(step.order, at))
                    self.over = True
                return self._rest(step, None)
        return True

    def _rest(self, step: Step, alarm: datetime | None) -> bool:
        if self.mail:
            while self.mail and type(self._next()) is type(step):
                command = self._command(self.mail[0])
                self.mail.popleft()
                self._take(command)
            return True
        assert self.state is not None
        if self.offers and self.state.status is Status.AWAITING_TARGET:
            self._take(Offered(serial=self.offers.pop(0)))
            return True
        if alarm is not None and self.ground.now() >= alarm:
            self._take(Elapsed(at=self.ground.now(), policy=cast(Policy, self.policy)))
            return True
        return False

    def _command(self, content: Content) -> Command:
        state, policy = cast(CaseState, self.state), cast(Policy, self.policy)
        match content:
            case DecisionOrder():
                return Decide(order=content, supervisors=self.ground.policy.supervisors, policy=policy)
            case Sighting():
                return Sighted(sighting=content, at=self.ground.now(), policy=policy)
            case Evidence():
                reservation = self._reserve(policy, state.facts, content.evidence) if state.facts else None
                return Bring(evidence=content, at=self.ground.now(), policy=policy, reservation=reservation)
            case LoseReplacement() if state.status is Status.REINSTATING:
                order = keep_order(state, self.key)
                self._deed("keep", lambda: self.ground.backend.keep(order, self.ground.now()))
                return content
            case _:
                return content

    def _reserve(
        self, policy: Policy, facts: BackendFacts, evidence: tuple[EvidenceName, ...] = ()
    ) -> Reservation | None:
        order = reserve_order(cast(CaseState, self.state), self.key, policy, facts, evidence)
        if order is None:
            return None
        return self._deed("reserve", lambda: self.ground.backend.reserve(order, self.ground.now()))

    def _take(self, command: Command) -> None:
        facts = decide(self.state, command)
        self.ground.append(self.key, facts)
        self.state = fold_all(facts, self.state)

    def _deed(self, name: str, deed: Callable[[], Answer]) -> Answer:
        self.again = None
        self.ground.deed(name)
        self.again = deed
        answer = deed()
        self.done.append((deed, answer))
        return answer

    def _tried(self, name: str, deed: Callable[[], Answer]) -> Answer | None:
        """The answer; a refusal makes the case stuck."""
        try:
            return self._deed(name, deed)
        except RefusalError as refusal:
            self._take(Failed(code=refusal.code, cause=refusal.sentence))
            return None
