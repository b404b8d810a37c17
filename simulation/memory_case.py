"""A case without Temporal: the same driver, one step after the other, over a backend in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from events.case_facts import CaseFact
from events.errors import RefusalError
from events.ports.licensing_backend import CaseKey, LicensingBackend
from events.ports.loss_cases import Joined, Message
from simulation.stage import Wait
from workflows.case import CaseState, fold_all
from workflows.commands import Command, Elapsed, Report
from workflows.decider import decide
from workflows.driver import (
    assessed,
    command_after,
    command_after_failure,
    command_of,
    must_wait,
    question_before,
    reservation_for,
)
from workflows.pending import Pending
from workflows.policy import Policy, read_policy
from workflows.steps import Assess, End, Question, Request, Rest, Step, next_step


class PassingFailureError(Exception):
    """An activity failed in a way that trying again may mend."""


@dataclass
class CaseParts:
    """What a case stands on: the clock, the log, and the backend behind activities that may fail."""

    now: Callable[[], datetime]
    append: Callable[[CaseKey, list[CaseFact]], None]
    before: Callable[[str], None]
    """Called before each activity, by its name; raises what the activity then fails with."""
    backend: LicensingBackend
    ask: Wait
    """Waits for what the backend answers."""


@dataclass
class RunningCase:
    """A case that takes what arrives for it, one at a time."""

    key: CaseKey
    parts: CaseParts
    opening: Joined
    state: CaseState | None = None
    policy: Policy = field(default_factory=Policy)
    pending: Pending = field(default_factory=lambda: Pending(1))
    folded_at: datetime | None = None
    again: Callable[[], object] | None = None
    """The last activity, to be done once more."""
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
        return self.state.alarm if self.state else None

    def go_on(self) -> None:
        """Do what there is to do; an activity that fails in passing is left for the next time."""
        if self.state is None:
            self._take(Report(report=self.opening.report))
        try:
            while self._do(self._next()):
                pass
        except PassingFailureError:
            return

    @property
    def _known(self) -> CaseState:
        assert self.state is not None
        return self.state

    def _next(self) -> Step:
        return next_step(self._known, self.key, self.policy, self.pending.taken, self.folded_at)

    def _do(self, step: Step) -> bool:
        """Do a step; False when nothing is left to do for now."""
        if isinstance(step, End):
            if not self.over:
                self._ask(step)
                self.over = True
            return False
        command = None if isinstance(step, Rest) else self._perform(step)
        if command is not None:
            self._take(command)
        return self._rest(step) if must_wait(step, command, self._next) else True

    def _perform(self, step: Request) -> Command | None:
        try:
            return self._assess(step) if isinstance(step, Assess) else command_after(step, self._ask(step), self.policy)
        except RefusalError as refusal:
            self.again = None  # it would be refused again
            return self._failed(step, refusal)

    def _assess(self, step: Assess) -> Command:
        assessment = self._ask(step)
        facts, policy = assessment.facts, read_policy(assessment.policy)
        reserve = reservation_for(self._known, self.key, facts, policy)
        command = assessed(assessment, facts, policy, self._ask(reserve) if reserve else None)
        self.policy = policy
        return command

    def _rest(self, step: Step) -> bool:
        if self.pending.first():
            while (message := self.pending.first()) and type(self._next()) is type(step):
                if command := self._command(message):
                    self._take(command)
                    self.pending.take()
                else:
                    self.pending.discard()
            return True
        alarm = self.alarm
        if alarm is not None and self.parts.now() >= alarm and self._next() == step:
            self._take(Elapsed(at=self.parts.now(), policy=self.policy))
            return True
        return False

    def _command(self, message: Message) -> Command | None:
        question = question_before(message, self._known, self.key, self.policy)
        return command_of(message, self._answer(question) if question else None, self.policy, self.parts.now())

    def _answer(self, question: Question) -> object:
        try:
            return self._ask(question)
        except RefusalError as refusal:
            self.again = None
            if failed := self._failed(question, refusal):
                self._take(failed)
            return None

    def _failed(self, request: Request, refusal: RefusalError) -> Command | None:
        stated = refusal.parameters.get("at")
        return command_after_failure(request, refusal.code, refusal.sentence, self.parts.now(), stated)

    def _take(self, command: Command) -> None:
        facts = decide(self.state, command)
        self.parts.append(self.key, facts)
        if facts:
            self.folded_at = self.parts.now()
        self.state = fold_all(facts, self.state)

    def _ask(self, request: Request) -> Any:
        def asked() -> Any:
            return self.parts.ask(getattr(self.parts.backend, request.activity)(request.order))

        self.again = None
        self.parts.before(request.activity)
        self.again = asked
        answer = asked()
        self.done.append((asked, answer))
        return answer
