"""Random journeys of whole cases through the product in memory, and the invariants judged on the log they leave."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from random import Random
from typing import Any

from pydantic import BaseModel

from audit.breach import Breach
from audit.invariants import check
from events.errors import RefusalError
from events.lease import Interval, Lease, Unit
from events.loss_table import LOSSES, Loss
from events.terms import Action, CaseId, Contact, Kind, Mode, Reporter, Role, Scope, Status, Undecided, Verdict
from simulation.world import World
from workflows.limits import Limits, Losses
from workflows.policy import Approval, Policy, Quota, Resurfaced, Rule

CASES_PER_VENDOR = 25
MOVES = (4, 12)
SUPERVISORS = ("ann", "bob", "carol")
CRM = Reporter(role=Role.BACK_OFFICE, name="crm")
LEASES = (
    Lease(),
    Lease(check_in=Interval(unit=Unit.WEEK), grace_days=3),
    Lease(check_in=Interval(unit=Unit.YEAR), grace_days=30),
)
WAITING = Approval(due_hours=72, remind_hours=24, undecided=Undecided.ESCALATE, escalate_to=("carol",))
POLICIES = (
    Policy(supervisors=SUPERVISORS),
    Policy(
        supervisors=SUPERVISORS, rules=(Rule(wait_hours=48, watch_days=90, resurfaced=Resurfaced(found=Verdict.FOUND)),)
    ),
    Policy(supervisors=SUPERVISORS, rules=(Rule(mode=Mode.MANUAL, approval=WAITING, four_eyes_above_cents=50_000),)),
    Policy(
        supervisors=SUPERVISORS,
        rules=(
            Rule(
                mode=Mode.HYBRID,
                quota=Quota(recoveries=1, term_days=365, goodwill=("ann",)),
                limits=Limits(evidence=("police_report",), losses=Losses(more_than=3)),
                approval=Approval(due_hours=240, undecided=Undecided.REJECT),
                wait_hours=12,
            ),
        ),
    ),
)
ADVANCES = (timedelta(hours=1), timedelta(hours=30), timedelta(days=8), timedelta(days=45))
END = timedelta(days=800)


class Simulated(BaseModel):
    """What became of it: how many cases, facts and outcomes (or where an open case stands), and what was breached."""

    cases: int
    events: int
    outcomes: dict[str, int]
    violations: list[dict[str, Any]]


def simulate(seed: int, cases: int, done: Callable[[int], None] = lambda _: None) -> Simulated:
    """Whole journeys of so many cases. The same seed gives the same journeys; `done` is told how many are over."""
    result = Simulated(cases=0, events=0, outcomes={}, violations=[])
    outcomes: Counter[str] = Counter()
    number = 0
    while result.cases < cases:
        world = journey(seed, number, min(CASES_PER_VENDOR, cases - result.cases))
        outcomes.update(str(state.outcome or state.status) for state in world.cases.values())
        result.cases += len(world.cases)
        result.events += len(world.facts)
        result.violations += [_document(breach, seed) for breach in check(world.facts)]
        number += 1
        done(result.cases)
    return result.model_copy(update={"outcomes": dict(sorted(outcomes.items()))})


def journey(seed: int, number: int, cases: int) -> World:
    """One vendor's cases, side by side, to their ends."""
    return _Vendor(Random(f"{seed}/{number}"), number).run(cases)


def _document(breach: Breach, seed: int) -> dict[str, Any]:
    return {name: one for name, one in asdict(breach).items() if name != "since"} | {"seed": seed}


class _Vendor:
    """One vendor, whose holders lose their containers."""

    def __init__(self, random: Random, number: int) -> None:
        self.random = random
        self.world = World(random.choice(POLICIES), f"simulated-{number}")
        self._numbers: Counter[str] = Counter()
        self._lost: dict[CaseId, Loss] = {}

    def run(self, cases: int) -> World:
        """Let so many cases be reported and go on, side by side, to their ends."""
        while len(self.world.cases) < cases:
            self._lose()
            for _ in range(self.random.randint(*MOVES) if self._lost else 0):
                self._try(self.random.choice((self._decide, self._contact, self._turn_up, self._pass, self._fault)))
        self.world.mend()
        self.world.advance(END)
        return self.world

    def _next(self, what: str) -> str:
        self._numbers[what] += 1
        return f"{what}-{self._numbers[what]}"

    def _try(self, move: Callable[[], None]) -> None:
        try:
            move()
        except RefusalError:
            return

    def _lose(self) -> None:
        loss = self.random.choice(LOSSES)
        serial, holder = self._next(str(loss.kind)), f"h-{self.random.randint(1, 8)}"
        fingerprint = {"board": serial, "disk": serial} if loss.kind is Kind.ACT else None
        self.world.register(serial, loss.kind, holder, fingerprint)
        licences = [self._next("L") for _ in range(self.random.randint(0, 3))]
        for name in licences:
            value = self.random.choice((1_000, 80_000))
            self.world.licence(name, serial, value_cents=value, lease=self.random.choice(LEASES))
        if loss.kind is not Kind.ACT and self.random.random() < 0.8:
            self.world.register(self._next("spare"), loss.kind, holder)
        some = tuple(licences[:1]) if Scope.LICENCES in loss.scopes and self.random.random() < 0.3 else ()
        reporter = self.random.choice((CRM, Reporter(role=Role.HOLDER, name=holder)))
        evidence = ("police_report",) if self.random.random() < 0.5 else ()
        try:
            case = self.world.report(
                self._next("R"),
                serial,
                loss.kind,
                loss.reason,
                reporter,
                Scope.LICENCES if some else Scope.CONTAINER,
                some,
                self.world.now - timedelta(hours=self.random.randint(0, 48)),
                evidence,
            )
        except RefusalError:
            return
        self._lost[case] = loss

    def _some_case(self) -> CaseId:
        return self.random.choice(list(self._lost))

    def _decide(self) -> None:
        case = self._some_case()
        state = self.world.cases[case]
        fitting = {
            Status.AWAITING_APPROVAL: (Action.APPROVE, Action.APPROVE, Action.REJECT, Action.ASK, Action.CANCEL),
            Status.ESCALATED: (Action.APPROVE, Action.REJECT),
            Status.WAITING: (Action.CANCEL,),
            Status.WATCHING: (Action.MEET,),
            Status.RESURFACED: (Action.RULE,),
            Status.REINSTATING: (Action.RULE,),
            Status.STUCK: (Action.RESUME, Action.GIVE_UP),
        }.get(state.status, (Action.APPROVE,))
        action = self.random.choice(fitting)
        more: dict[str, Any] = {"why": "as I see it"}
        if action is Action.RULE:
            more["verdict"] = self.random.choice(list(Verdict))
            more["reinstate"] = more["verdict"] is Verdict.FOUND and self.random.random() < 0.6
        elif action is Action.ASK:
            more["evidence"] = ("police_report",)
        elif action is Action.APPROVE:
            more["goodwill"] = state.beyond_quota
            if self.random.random() < 0.2:
                more |= {"condition": "a signed statement", "condition_days": 14}
        by = self.random.choice((*SUPERVISORS, "eve"))
        self.world.decide(case, action, by, self._next("D"), **more)

    def _contact(self) -> None:
        container = self.random.choice(self.world.containers)
        more: dict[str, Any] = {"confirms": self.random.random() < 0.7}
        if container.kind is Kind.ACT and self.random.random() < 0.6:
            machine = self.random.choice((container.serial, "another"))
            more |= {"how": Contact.ACTIVATION, "fingerprint": {"board": machine, "disk": machine}}
            with suppress(RefusalError):
                more["activation_code"] = self.world.activation_code(container.serial)
        elif container.kind is Kind.ACT:
            more |= {"generation": self.random.randint(1, container.generation)}
        elif container.kind is Kind.CLOUD:
            more |= {"how": Contact.SIGN_IN, "generation": self.random.randint(1, container.generation)}
        self.world.contact(self._next("C"), container.serial, **more)

    def _turn_up(self) -> None:
        serial = self.world.cases[self._some_case()].report.serial
        move = self.random.randint(1, 4)
        if move == 1:
            self.world.found(self._next("F"), serial, CRM)
        elif move == 2:
            self.world.returned(self._next("B"), serial, CRM)
        elif move == 3:
            self.world.set_access(serial)
        else:
            self.world.return_activation(self._next("C"), serial, 1)

    def _pass(self) -> None:
        self.world.advance(self.random.choice(ADVANCES))

    def _fault(self) -> None:
        match self.random.randint(1, 5):
            case 1:
                self.world.crash(self._some_case())
            case 2:
                self.world.redeliver(self.random.randint(1, 5))
            case 3:
                self.world.break_activity(self.random.choice(("block", "issue", "append")), 2)
            case 4:
                self.world.break_activity("issue", None)
            case _:
                self.world.mend()
