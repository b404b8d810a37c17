"""The product in memory, told at random what doors can be told: its log breaches nothing, and the views take it."""

import random
from datetime import timedelta

import pytest

from events.errors import NotYetKnownError, RefusalError
from events.log import Position
from events.terms import (
    LOSSES,
    Action,
    CaseId,
    Contact,
    Interval,
    Kind,
    Lease,
    Mode,
    QuotaSubject,
    Reporter,
    Role,
    Status,
    Undecided,
    Unit,
    Verdict,
)
from projections.folds import fold_fact
from projections.invariants import check
from projections.rows import Rows
from projections.tables import CASES
from simulation.world import World
from workflows.limits import Limits
from workflows.policy import Approval, Policy, Quota, Rule

POLICY = Policy(
    supervisors=("ann", "bob", "eve"),
    rules=(
        Rule(
            products=("cad",),
            mode=Mode.MANUAL,
            approval=Approval(due_hours=48, remind_hours=24, undecided=Undecided.ESCALATE, escalate_to=("bob", "eve")),
            four_eyes_above_cents=5000,
            wait_hours=12,
        ),
        Rule(
            products=("cam",),
            mode=Mode.HYBRID,
            quota=Quota(per=QuotaSubject.HOLDER, recoveries=1, goodwill=("bob",)),
        ),
        Rule(products=("plm",), mode=Mode.HYBRID, limits=Limits(evidence=("police_report",))),
        Rule(),
    ),
)
CRM = Reporter(role=Role.BACK_OFFICE, name="crm")
MACHINE = {"board": "b", "disk": "d", "cpu": "c"}
LIKELY = {
    Status.AWAITING_APPROVAL: Action.APPROVE,
    Status.ESCALATED: Action.APPROVE,
    Status.RESURFACED: Action.RULE,
    Status.WATCHING: Action.MEET,
}
STATEMENTS = 60


class Teller:
    """Says one thing after another, rather of what is lost already; what is refused is refused."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.world = World(POLICY)
        self.kinds: dict[str, Kind] = {}
        for number in range(8):
            kind = self.dice.choice([*[Kind.DONGLE] * 4, Kind.ACT, Kind.CLOUD])
            serial = f"3-{number}"
            self.kinds[serial] = kind
            self.world.register(serial, kind, f"h-{number % 2}", MACHINE if kind is Kind.ACT else None)
            if number < 4:
                product = self.dice.choice(["cad", "cam", "plm", "erp"])
                lease = Lease(check_in=Interval(unit=Unit.MONTH))
                self.world.licence(f"L-{number}", serial, product, self.dice.choice([100, 10_000]), lease)

    def tell(self, number: int) -> None:
        """Say something."""
        says = [self.report, self.decide, self.decide, self.contact, self.turn_up, self.pass_time, self.go_on]
        self.dice.choice(says)(number)

    def serial(self) -> str:
        known = {serial for case in self.world.cases.values() for serial in (case.report.serial, case.target) if serial}
        return self.dice.choice(sorted(known) if known and self.dice.random() < 0.6 else sorted(self.kinds))

    def report(self, number: int) -> None:
        serial = self.serial()
        reason = self.dice.choice([loss.reason for loss in LOSSES if loss.kind is self.kinds[serial]])
        by = self.dice.choice([CRM, Reporter(role=Role.HOLDER, name=self.dice.choice(["h-0", "h-1"]))])
        self.world.report(f"R-{number}", serial, self.kinds[serial], reason, by)

    def decide(self, number: int) -> None:
        if not self.world.cases:
            return
        case = CaseId(self.dice.choice(sorted(self.world.cases)))
        action = LIKELY.get(self.world.cases[case].status, self.dice.choice(list(Action)))
        verdict = self.dice.choice([Verdict.FOUND, *Verdict])
        more: dict[Action, dict[str, object]] = {
            Action.RULE: {"verdict": verdict, "reinstate": verdict is Verdict.FOUND},
            Action.ASK: {"evidence": ("police_report",)},
            Action.APPROVE: self.dice.choice(
                [{}, {}, {"goodwill": True, "why": "so"}, {"condition": "a report", "condition_days": 5}]
            ),
        }
        by = self.dice.choice(["ann", "bob", "eve", "mallory", "crm"])
        self.world.decide(case, action, by, f"D-{number}", **more.get(action, {}))

    def contact(self, number: int) -> None:
        serial = self.serial()
        if self.kinds[serial] is not Kind.CLOUD:
            self.world.contact(f"C-{number}", serial, confirms=self.dice.random() < 0.5)

    def turn_up(self, number: int) -> None:
        tell = self.dice.choice([self.world.found, self.world.returned])
        tell(f"F-{number}", self.serial(), CRM)

    def go_on(self, number: int) -> None:
        serial = self.serial()
        if self.kinds[serial] is Kind.CLOUD:
            self.world.set_access(serial)
        elif self.kinds[serial] is Kind.ACT:
            self.world.contact(f"A-{number}", serial, how=Contact.ACTIVATION, fingerprint=MACHINE)
        elif cases := list(self.world.cases.values()):
            case = self.dice.choice(cases)
            self.world.evidence(f"E-{number}", case.report.report, case.report.serial, CRM, ("police_report",))

    def pass_time(self, number: int) -> None:
        self.world.advance(timedelta(hours=self.dice.choice([1, 13, 30, 24 * 40, 24 * 400])))


@pytest.mark.parametrize("seed", range(100))
def test_whatever_is_said_the_log_breaches_nothing_and_the_views_say_what_the_cases_know(seed: int) -> None:
    teller = Teller(seed)
    for number in range(STATEMENTS):
        try:
            teller.tell(number)
        except (RefusalError, NotYetKnownError):
            continue
    rows = Rows()

    for number, fact in enumerate(teller.world.facts):
        fold_fact(rows, Position(0, number), fact._replace(data=fact.fact.model_dump(mode="json")))
    rows.finish()

    assert check(teller.world.facts) == []
    assert {key[1]: row.status for key, row in rows.fresh[CASES].items()} == {
        case: state.status for case, state in teller.world.cases.items()
    }
