"""A case without Temporal: the same steps and decisions, one after the other, over a backend in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar, cast

from events.case_facts import BackendFacts, CaseFact
from events.cases import (
    DecisionOrder,
    DecisionQuestion,
    Evidence,
    Joined,
    Message,
    Offer,
    Overtaken,
    ReplacementGone,
    Settled,
    Sighting,
)
from events.errors import Code, RefusalError
from events.licensing import CaseKey, Issued, LicensingBackend, Reservation
from events.terms import EvidenceName, Status
from simulation.stage import Wait
from workflows.case import CaseState, fold_all
from workflows.commands import (
    Assessed,
    Blocked,
    Bring,
    Command,
    Decide,
    Elapsed,
    Failed,
    Held,
    LoseReplacement,
    NoTarget,
    Offered,
    Reinstated,
    Replaced,
    Report,
    Sighted,
    Withdrawn,
)
from workflows.commands import Overtaken as LossOvertaken
from workflows.commands import Settled as MeasuresSettled
from workflows.deciding import decide
from workflows.pending import Pending
from workflows.policy import Policy
from workflows.steps import (
    Assess,
    Block,
    End,
    Issue,
    Reinstate,
    Rest,
    Step,
    Withdraw,
    keep_order,
    next_step,
    reserve_order,
)

Answer = TypeVar("Answer")


class PassingFailureError(Exception):
    """A deed failed in a way that trying again may mend."""


@dataclass
class Ground:
    """What a case stands on: the clock, the log, the backend behind deeds that may fail, and the policy in force."""

    now: Callable[[], datetime]
    append: Callable[[CaseKey, list[CaseFact]], None]
    deed: Callable[[str], None]
    """Called before each deed, by its name; raises what the deed then fails with."""
    backend: LicensingBackend
    ask: Wait
    """Waits for what the backend answers."""
    policy: Policy


@dataclass
class RunningCase:
    """A case that takes what arrives for it, one at a time."""

    key: CaseKey
    ground: Ground
    opening: Joined
    state: CaseState | None = None
    policy: Policy | None = None
    pending: Pending = field(default_factory=lambda: Pending(1))
    folded_at: datetime | None = None
    again: Callable[[], object] | None = None
    """The last deed, to be done once more."""
    done: list[tuple[Callable[[], object], object]] = field(default_factory=list)
    """Everything that was ordered, and what was answered last."""
    over: bool = False

    def receive(self, message: Message) -> None:
        """A message arrives, perhaps again."""
        self.pending.add(message)
        self.go_on()

    @property
    def alarm(self) -> datetime | None:
        """When it looks again though nothing arrives."""
        step = self._next() if self.state is not None and self.policy is not None else None
        if isinstance(step, Reinstate) and self.state is not None:
            return self.state.release_until
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
        return next_step(self.state, self.key, self.policy, self.pending.taken, self.folded_at)

    def _open(self) -> None:
        if self.state is None:
            self._take(Report(report=self.opening.report))
        self._assess()

    def _assess(self) -> None:
        """Ask the backend what it knows, and have policy decide; a refusal makes the case stuck."""
        try:
            assessment = self._deed("assess", lambda: self.ground.ask(self.ground.backend.assess(self.key)))
            policy, facts = self.ground.policy, assessment.facts
            reservation = self._reserve(policy, facts)
        except RefusalError as refusal:
            self.policy = Policy()
            self._take(Failed(code=refusal.code, cause=refusal.sentence))
            return
        at = reservation.at if reservation else assessment.at
        self._take(Assessed(at=at, facts=facts, policy=policy, reservation=reservation))
        self.policy = policy

    def _do(self, step: Step) -> bool:
        """Do a step; False when nothing is left to do for now."""
        backend, ask = self.ground.backend, self.ground.ask
        match step:
            case Assess():
                self._assess()
            case Rest(alarm=alarm):
                return self._rest(step, alarm)
            case Block():
                if done := self._tried("block", lambda: ask(backend.block(step.order))):
                    self._take(Blocked(at=done.at, policy=cast(Policy, self.policy)))
            case Issue():
                answer = self._tried("issue", lambda: ask(backend.issue(step.order)))
                if isinstance(answer, Issued):
                    self._take(Replaced(target=answer.target, at=answer.at, policy=cast(Policy, self.policy)))
                elif answer is not None and answer.overtaken:
                    return self._rest(step, None)
                elif answer is not None:
                    self._take(NoTarget(at=answer.at, tickets=answer.tickets))
            case Withdraw():
                withdrawal = self._tried("withdraw", lambda: ask(backend.withdraw(step.order)))
                if withdrawal is None:
                    return True
                if not withdrawal.confirmed:
                    return self._rest(step, None)
                self._take(Withdrawn())
            case Reinstate():
                return self._reinstate(step)
            case End():
                if not self.over:
                    self._deed("close", lambda: ask(backend.close(step.order)))
                    self.over = True
                return False
        return True

    def _reinstate(self, step: Reinstate) -> bool:
        try:
            answer = self._deed("reinstate", lambda: self.ground.ask(self.ground.backend.reinstate(step.order)))
        except RefusalError as refusal:
            self.again = None
            if refusal.code is Code.RELEASE_AWAITED:
                self._take(Held(cause=refusal.sentence, at=self.ground.now()))
            else:
                self._take(Failed(code=refusal.code, cause=refusal.sentence))
            return self._rest(step, None) if self._next() == step else True
        self._take(Reinstated(serial=answer.target))
        return True

    def _rest(self, step: Step, alarm: datetime | None) -> bool:
        if self.pending.first():
            while (message := self.pending.first()) and type(self._next()) is type(step):
                self._take(self._command(message))
                self.pending.take()
            return True
        if alarm is not None and self.ground.now() >= alarm:
            self._take(Elapsed(at=self.ground.now(), policy=cast(Policy, self.policy)))
            return True
        return False

    def _command(self, message: Message) -> Command:
        state, policy = cast(CaseState, self.state), cast(Policy, self.policy)
        match message.content:
            case DecisionOrder() as order:
                question = DecisionQuestion(key=self.key, number=message.number)
                confirmed = self.ground.ask(self.ground.backend.confirm_decision(question))
                people = {"supervisors": confirmed.supervisors, "reporters": confirmed.reporters}
                return Decide(order=order, policy=policy, **people)
            case Sighting() as sighting:
                return Sighted(sighting=sighting, at=self.ground.now(), policy=policy)
            case Evidence() as evidence:
                try:
                    reservation = self._reserve(policy, state.facts, evidence.evidence) if state.facts else None
                except RefusalError:  # the person who is waited for decides without
                    reservation = None
                return Bring(evidence=evidence, at=self.ground.now(), policy=policy, reservation=reservation)
            case ReplacementGone(to=to):
                if state.status is Status.REINSTATING:
                    keep = keep_order(state, self.key)
                    self._tried("keep", lambda: self.ground.ask(self.ground.backend.keep(keep)))
                return LoseReplacement(to=to)
            case Joined(report=report):
                return Report(report=report)
            case Overtaken(by=by):
                return LossOvertaken(by=by, at=self.ground.now(), policy=policy)
            case Offer(serial=serial):
                return Offered(serial=serial)
            case Settled():
                return MeasuresSettled()

    def _reserve(
        self, policy: Policy, facts: BackendFacts, evidence: tuple[EvidenceName, ...] = ()
    ) -> Reservation | None:
        order = reserve_order(cast(CaseState, self.state), self.key, policy, facts, evidence)
        if order is None:
            return None
        return self._deed("reserve", lambda: self.ground.ask(self.ground.backend.reserve(order)))

    def _take(self, command: Command) -> None:
        facts = decide(self.state, command)
        self.ground.append(self.key, facts)
        if facts:
            self.folded_at = self.ground.now()
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
            self.again = None  # it would be refused again
            self._take(Failed(code=refusal.code, cause=refusal.sentence))
            return None
