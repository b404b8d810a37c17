"""A case without Temporal: the acts of its driver, performed over a backend in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from events.case_facts import CaseFact
from events.errors import RefusalError
from events.ports.licensing_backend import CaseKey, LicensingBackend
from events.ports.loss_cases import Joined, Message
from simulation.stage import Wait
from workflows.case import CaseState
from workflows.commands import Report
from workflows.decider import decide
from workflows.driver import Acts, Append, Ask, AwaitMessage, Driver, RequestFailedError
from workflows.pending import Pending
from workflows.steps import End, Request


class PassingFailureError(Exception):
    """An activity failed in a way that trying again may mend."""


class NothingToDoError(Exception):
    """The case rests: no message is there, and no alarm rings."""


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
    driver: Driver = field(init=False)
    again: Callable[[], object] | None = None
    """The last activity, to be done once more."""
    done: list[tuple[Callable[[], object], object]] = field(default_factory=list)
    """Everything that was ordered, and what was answered last."""
    over: bool = False

    def __post_init__(self) -> None:
        self.driver = Driver(self.key, self.parts.now, Pending(1))

    @property
    def state(self) -> CaseState | None:
        """Where it stands, once it was begun."""
        return self.driver.state

    @property
    def pending(self) -> Pending:
        """The messages to it."""
        return self.driver.pending

    @property
    def alarm(self) -> datetime | None:
        """When it looks again though nothing arrives."""
        return self.state.alarm if self.state else None

    def receive(self, message: Message) -> None:
        """A message arrives, perhaps again."""
        self.pending.add(message)
        self.go_on()

    def go_on(self) -> None:
        """Do what there is to do; an activity that fails in passing is left for the next time."""
        if self.state is None:
            self._append(decide(None, Report(report=self.opening.report)))
        try:
            while not isinstance(step := self.driver.next(), End):
                self._perform(self.driver.do(step))
            if not self.over:
                self._ask(step)
                self.over = True
        except (PassingFailureError, NothingToDoError):
            return

    def _perform(self, acts: Acts[None]) -> None:
        send, answer = acts.send, None
        while True:
            try:
                act = send(answer)
            except StopIteration:
                return
            send, answer = acts.send, None
            match act:
                case Ask(request=request):
                    try:
                        answer = self._ask(request)
                    except RefusalError as refusal:
                        self.again = None  # it would be refused again
                        stated = refusal.parameters.get("at")
                        send, answer = acts.throw, RequestFailedError(refusal.code, refusal.sentence, stated)
                case Append(facts=facts):
                    self._append(facts)
                case AwaitMessage(alarm=alarm):
                    if self.pending.first() is None and (alarm is None or self.parts.now() < alarm):
                        raise NothingToDoError

    def _append(self, facts: list[CaseFact]) -> None:
        self.parts.append(self.key, facts)
        if facts:
            self.driver.fold(facts, self.parts.now())

    def _ask(self, request: Request) -> Any:
        def asked() -> Any:
            return self.parts.ask(getattr(self.parts.backend, request.activity)(request.order))

        self.again = None
        self.parts.before(request.activity)
        self.again = asked
        answer = asked()
        self.done.append((asked, answer))
        return answer
