"""The driver of a case: what it does one step after the other, and what answers and messages become. Pure.

`workflows.steps` says what to do next. The durable case and the simulation perform what the driver yields, each in its
own way, and send back what that is answered.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeVar, assert_never, cast

from events.case_facts import BackendFacts, CaseFact, LicenceInScope
from events.errors import Code
from events.ports.licensing_backend import (
    Assessment,
    CaseKey,
    Issued,
    NoTargetFound,
    Reservation,
    ScopeOrder,
    Withdrawal,
)
from events.ports.licensing_backend import Done as Ordered
from events.ports.loss_cases import (
    ConfirmedDecision,
    DecisionOrder,
    DecisionQuestion,
    Evidence,
    Joined,
    Message,
    Offer,
    Overtaken,
    Rejected,
    ReplacementGone,
    Settled,
    Sighting,
)
from events.terms import Instant, Status
from workflows import commands
from workflows.case import CaseState, fold_all
from workflows.commands import Command, Failed, Held
from workflows.decider import decide
from workflows.pending import Pending
from workflows.policy import Policy, read_policy
from workflows.steps import (
    AskPolicy,
    AskScope,
    Assess,
    Block,
    Confirm,
    Issue,
    Keep,
    Question,
    Reinstate,
    Request,
    Reserve,
    Rest,
    Step,
    Withdraw,
    keep_order,
    next_step,
    policy_needed,
    reserve_order,
)

SIGHTINGS_AT_ONCE: Final = 100
"""So many sightings that arrived together are appended together."""


def reservation_for(
    state: CaseState, key: CaseKey, facts: BackendFacts | None, policy: Policy, evidence: Evidence | None = None
) -> Reserve | None:
    """What a quota must set aside before policy may decide on these facts, with this evidence too; None where it is not
    asked."""
    more = evidence.evidence if evidence else ()
    order = reserve_order(state, key, policy, facts, more) if facts else None
    return Reserve(order) if order else None


def assessed(
    assessment: Assessment, facts: BackendFacts, policy: Policy, reservation: Reservation | None
) -> commands.Assessed:
    """What an assessment becomes; `facts` are its own with all licences, `policy` is the one that it names."""
    at = reservation.at if reservation else assessment.at
    inline = assessment.licences is None
    return commands.Assessed(at=at, facts=facts, policy=policy, reservation=reservation, inline=inline)


def question_on_policy(state: CaseState, key: CaseKey, policy: Policy) -> Reserve | None:
    """What must be asked once a case knows its policy again: the quota, where it has still to hear evidence."""
    return reservation_for(state, key, state.facts, policy) if state.unheard else None


def command_after(request: Request, answer: object, policy: Policy) -> Command | None:
    """What an answer of the backend becomes; None where the case waits for the message that will bring more."""
    match request, answer:
        case Block(), Ordered(at=at):
            return commands.Blocked(at=at, policy=policy)
        case Issue(), Issued(target=target, at=at):
            return commands.Replaced(target=target, at=at, policy=policy)
        case Issue(), NoTargetFound(overtaken=True):
            return None  # the message that says so is on its way
        case Issue(), NoTargetFound(ended=True):
            return commands.NothingLeft()
        case Issue(), NoTargetFound(at=at, tickets=tickets):
            return commands.NoTarget(at=at, tickets=tickets)
        case Withdraw(), Withdrawal(confirmed=confirmed):
            return commands.Withdrawn() if confirmed else None
        case Reinstate(), Issued(target=target):
            return commands.Reinstated(serial=target)
        case _:
            raise TypeError(f"{request.activity} is never answered with {type(answer).__name__}")


def not_before(last: Instant | None, command: Command | None, state: CaseState) -> Command | None:
    """What a step became, no earlier than the last fact of the case: the backend answers what it is asked again with
    the time of its first answer, and what the case then waits for would be over."""
    if last is None or state.rules_version < 2:
        return command
    match command:
        case commands.Assessed(at=at) | commands.Blocked(at=at) | commands.NoTarget(at=at) | commands.Replaced(at=at):
            return command.model_copy(update={"at": max(at, last)})
        case _:
            return command


def command_after_failure(
    request: Request, code: str, cause: str, at: Instant, stated: object = None
) -> Command | None:
    """What it becomes that the backend refused something, or failed at it, for good. None where the case goes on
    without an answer: then nobody is known to have accepted a decision, or the person who is waited for decides.
    `at` is now; `stated` is the time that the refusal says, by the backend's clock, if it does."""
    match request:
        case Reserve() | Confirm():
            return None
        case Reinstate() if code == Code.RELEASE_AWAITED:
            refused = datetime.fromisoformat(stated) if isinstance(stated, str) else None
            return Held(cause=cause, at=at, refused=refused)
        case _:
            return Failed(code=code, cause=cause)


def must_wait(step: Step, command: Command | None, following: Callable[[], Step]) -> bool:
    """Whether a case waits for a message after a step that became this command, before it does the `following` one."""
    return command is None or (isinstance(command, Held) and following() == step)


def question_before(message: Message, state: CaseState, key: CaseKey, policy: Policy) -> Question | None:
    """What must be asked, or done, before a message is taken; None where nothing must."""
    match message.content:
        case DecisionOrder():
            return Confirm(DecisionQuestion(key=key, number=message.number))
        case Evidence() as evidence:
            return reservation_for(state, key, state.facts, policy, evidence)
        case ReplacementGone() if state.status is Status.REINSTATING:
            return Keep(keep_order(state, key))
        case _:
            return None


def accepted_at(message: Message, now: Instant) -> Instant:
    """When a message was accepted, by the backend's clock. What a case states is counted from that: `now`, Temporal's,
    may be another time when a workflow task is worked out anew. It stands in where an older release brought it."""
    return message.accepted or now


def command_of(message: Message, answer: object, policy: Policy | None, now: Instant) -> Command | None:
    """What a message becomes, once its question has this answer (None: there is no question, or no answer); `policy` is
    None where it is to be asked for. None where no door has accepted what it says."""
    at = accepted_at(message, now)
    known = policy is not None
    policy = policy or Policy()
    match message.content:
        case DecisionOrder() as order:
            if answer is None:  # nobody can say who may decide: the attempt is denied, and recorded
                return commands.Decide(order=order, supervisors=(), at=at, policy=policy, policy_known=known)
            assert isinstance(answer, ConfirmedDecision)
            if answer.order is None:
                return None
            people = {"supervisors": answer.supervisors, "reporters": answer.reporters}
            return commands.Decide(order=answer.order, at=at, policy=policy, policy_known=known, **people)
        case Evidence() as evidence:
            assert answer is None or isinstance(answer, Reservation)
            return commands.Bring(evidence=evidence, at=at, policy=policy, reservation=answer)
        case Sighting() as sighting:
            return commands.Sighted(sighting=sighting, at=at, policy=policy)
        case ReplacementGone(to=to):
            return commands.LoseReplacement(to=to)
        case Joined(report=report):
            return commands.Report(report=report)
        case Overtaken(by=by):
            return commands.Overtaken(by=by, at=at, policy=policy)
        case Rejected(case=case):
            return commands.Rejected(case=case, at=at, policy=policy)
        case Offer(serial=serial):
            return commands.Offered(serial=serial)
        case Settled():
            return commands.Settled()
        case _:
            assert_never(message.content)


class RequestFailedError(Exception):
    """What was asked was refused, or failed for good; `stated` is the time that a refusal says."""

    def __init__(self, code: str, cause: str, stated: object = None) -> None:
        super().__init__(cause)
        self.code = code
        self.cause = cause
        self.stated = stated


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the backend, and send back its answer, or throw `RequestFailedError`."""

    request: Request


@dataclass(frozen=True, slots=True)
class Append:
    """Append what the case states, and fold it. With a time, the facts are a function of an answer that the backend
    keeps, and of that time: they need not be in the log before the case goes on."""

    facts: list[CaseFact]
    at: Instant | None = None


@dataclass(frozen=True, slots=True)
class AwaitMessage:
    """Wait until the next message is there, or until the alarm."""

    alarm: Instant | None


@dataclass(frozen=True, slots=True)
class Pause:
    """Here a case may go on in a new history: all that it has taken is folded."""


Act = Ask | Append | AwaitMessage | Pause
"""What is to be performed for a case."""
Result = TypeVar("Result")
Acts = Generator[Act, Any, Result]
"""Acts to be performed one after the other; each is sent what it is answered."""


@dataclass
class Driver:
    """A running case: what it knows, and what it does. The durable case and the simulation perform its acts, and do
    nothing else for it. `policy` is None where it has to be asked for; `folded_at` is the time of its last facts, which
    are no later than `since` where the case goes on in a new history."""

    key: CaseKey
    clock: Callable[[], Instant]
    pending: Pending
    state: CaseState | None = None
    policy: Policy | None = None
    folded_at: Instant | None = None
    since: Instant | None = None

    @property
    def known(self) -> CaseState:
        """The state, once the first report is in."""
        assert self.state is not None
        return self.state

    @property
    def rules(self) -> Policy:
        """The policy that the case was decided under; an empty one where it is not known."""
        return self.policy or Policy()

    def fold(self, facts: Sequence[CaseFact], at: Instant) -> Instant:
        """Know what was stated; its time, which is that of the last fact at least, where clocks differ."""
        self.state = fold_all(facts, self.state)
        if self.folded_at is not None and self.known.rules_version >= 2:
            at = max(at, self.folded_at)
        self.folded_at = at
        return at

    def next(self) -> Step:
        """What is to be done next."""
        if self.policy is None and policy_needed(self.known):
            return AskPolicy(self.key)
        return next_step(self.known, self.key, self.rules, self.pending.taken, self.folded_at)

    def do(self, step: Step) -> Acts[None]:
        """Do what is to be done next, or wait where there is nothing."""
        if isinstance(step, AskPolicy):
            yield from self._ask_policy(step)
            return
        command = None if isinstance(step, Rest) else (yield from self._perform(step))
        if isinstance(command, commands.Blocked | commands.Replaced):
            yield Append(decide(self.state, command), command.at)
        elif command is not None:
            yield self._take(command)
        if must_wait(step, command, self.next):
            yield from self._rest(step)

    def assess(self, state: CaseState) -> Acts[commands.Assessed]:
        """What the backend knows of a case that was reported, and the policy that it is decided under."""
        assessment = yield Ask(Assess(self.key))
        licences = yield from self.scope(assessment.facts.licences, assessment.licences or 0)
        facts, policy = assessment.facts.model_copy(update={"licences": licences}), read_policy(assessment.policy)
        reserve = reservation_for(state, self.key, facts, policy)
        reservation = (yield Ask(reserve)) if reserve else None
        self.policy = policy
        return assessed(assessment, facts, policy, reservation)

    def scope(self, licences: tuple[LicenceInScope, ...], count: int) -> Acts[tuple[LicenceInScope, ...]]:
        """All licences: those of a large container come page by page."""
        while len(licences) < count:
            page = yield Ask(AskScope(ScopeOrder(key=self.key, skip=len(licences))))
            assert page.licences, f"the backend knows {len(licences)} licences of {count}"
            licences += page.licences
        return licences

    def _perform(self, step: Request) -> Acts[Command | None]:
        """What a step becomes. What fails for good makes the case stuck until a supervisor resumes it, or gives up."""
        try:
            if isinstance(step, Assess):
                command: Command | None = yield from self.assess(self.known)
            else:
                command = command_after(step, (yield Ask(step)), self.rules)
        except RequestFailedError as error:
            return self._failed(step, error)
        return not_before(self.folded_at or self.since, command, self.known)

    def _ask_policy(self, step: AskPolicy) -> Acts[None]:
        try:
            policy = read_policy((yield Ask(step)).policy)
        except RequestFailedError as error:
            yield self._take(commands.Failed(code=error.code, cause=error.cause))
            return
        self.policy = policy
        question = question_on_policy(self.known, self.key, policy)
        answer = (yield from self._answer(question)) if question else None
        yield self._take(commands.PolicyKnown(at=self.clock(), policy=policy, reservation=answer))

    def _rest(self, step: Step) -> Acts[None]:
        """Wait until a message is there or the alarm rings, and take it."""
        alarm = self.known.alarm
        yield AwaitMessage(alarm)
        yield from self._take_messages(step)
        yield Pause()
        if alarm is not None and self.clock() >= alarm and self.next() == step:
            yield self._take(commands.Elapsed(at=self.clock(), policy=self.rules))

    def _take_messages(self, step: Step) -> Acts[None]:
        """Take messages until there are none, or until there is something else to do: after a crash this part runs
        again, and must see the same messages."""
        while (message := self.pending.first()) and type(self.next()) is type(step):
            yield Pause()
            if isinstance(message.content, Sighting):
                yield from self._take_sightings(step)
            elif command := (yield from self._command(message)):
                yield self._take(command)
                self.pending.take()
            else:  # no door has accepted it
                self.pending.discard()

    def _take_sightings(self, step: Step) -> Acts[None]:
        """Take as many sightings as have arrived one after the other, and append their facts together."""
        state, facts, count = self.known, list[CaseFact](), 0
        for message in islice(self.pending.in_order(), SIGHTINGS_AT_ONCE):
            rests = type(next_step(state, self.key, self.rules)) is type(step)
            if not isinstance(message.content, Sighting) or not rests:
                break
            at = accepted_at(message, self.clock())
            made = decide(state, commands.Sighted(sighting=message.content, at=at, policy=self.rules))
            state = cast(CaseState, fold_all(made, state))
            facts += made
            count += 1
        yield Append(facts)
        self.pending.take(count)

    def _command(self, message: Message) -> Acts[Command | None]:
        """What a message asks of the case; None where it is nothing that a door has accepted."""
        question = question_before(message, self.known, self.key, self.rules)
        answer = (yield from self._answer(question)) if question else None
        return command_of(message, answer, self.policy, self.clock())

    def _answer(self, question: Question) -> Acts[Any]:
        """What a question is answered; None where that fails for good."""
        try:
            return (yield Ask(question))
        except RequestFailedError as error:
            if failed := self._failed(question, error):
                yield self._take(failed)
            return None

    def _failed(self, request: Request, error: RequestFailedError) -> Command | None:
        return command_after_failure(request, error.code, error.cause, self.clock(), error.stated)

    def _take(self, command: Command) -> Append:
        return Append(decide(self.state, command))
