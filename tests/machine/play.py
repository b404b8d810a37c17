"""How the product and the oracle are kept together: both are told the same, and compared after every step."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from audit.invariants import check
from events.errors import RefusalError
from events.terms import CaseId, Kind
from simulation.stage import OpenStage, in_memory
from simulation.world import World
from tests.machine.auditor import Auditor
from tests.machine.case_oracle.oracle import Oracle
from tests.machine.case_oracle.records import Case, must
from tests.machine.policies import POLICIES
from workflows.policy import Policy

SOME = st.integers(0, 30)
"""Picks one of several."""
MACHINE = {"board": "b1", "disk": "d1", "nic": "n1", "cpu": "c1"}
MACHINES = (MACHINE, MACHINE | {"disk": "d2"}, MACHINE | {"disk": "d2", "nic": "n2"})
BACK_OFFICE = ("back_office", "crm")
DELEGATE = ("delegate", "corp:seller|7")
INVENTORY: tuple[tuple[str, str, str, tuple[tuple[str, str, int], ...]], ...] = (
    ("D-1", "dongle", "h-1", (("L-1", "cad", 90_000), ("L-2", "cam", 90_000))),
    ("D-2", "dongle", "h-1", (("L-3", "cad", 40_000),)),
    ("D-3", "dongle", "h-1", ()),
    ("D-4", "dongle", "dora", (("L-4", "cad", 400_000),)),
    ("A-1", "act", "h-1", (("L-5", "cad", 90_000), ("L-6", "cam", 20_000))),
    ("A-2", "act", "dora", (("L-7", "cad", 10_000),)),
    ("C-1", "cloud", "h-1", (("L-8", "cad", 200_000), ("L-9", "cam", 10_000))),
)
SERIALS = [serial for serial, *_ in INVENTORY]
NAMES = [name for _, _, _, held in INVENTORY for name, _, _ in held]


class Play(RuleBasedStateMachine):
    """Tells the product and the oracle."""

    stage: ClassVar[OpenStage] = staticmethod(in_memory)

    @initialize(name=st.sampled_from(sorted(POLICIES)))
    def begin(self, name: str) -> None:
        self.policy = POLICIES[name]
        self.world = World(Policy.model_validate(self.policy), stage=self.stage)
        self.oracle = Oracle(self.policy, self.choose)
        self.oracle.now = self.world.now
        self.auditor = Auditor("acme", self.policy, self.asked)
        self.kinds: dict[str, str] = {}
        self.holders: dict[str, str] = {}
        self.new: list[Any] = []
        self.numbers = 0
        self.said: list[Callable[[], None]] = []
        self.reports: list[dict[str, Any]] = []
        self.passing = 0
        for serial, kind, holder, held in INVENTORY:
            self.register(serial, kind, holder)
            for licence, product, value in held:
                self.world.licence(licence, serial, product=product, value_cents=value)
                self.oracle.licence(licence, serial, product, value)
                self.said.append(lambda: None)
        self.settle()

    def register(self, serial: str, kind: str, holder: str) -> None:
        machine = MACHINE if kind == "act" else None
        self.kinds[serial], self.holders[serial] = kind, holder
        self.world.register(serial, Kind(kind), holder, machine)
        self.new = self.world.facts[self.auditor.read :]
        self.say(lambda: self.oracle.register(serial, kind, holder, machine))

    def say(self, oracle: Callable[[], None]) -> None:
        """The product was told; tell the oracle too, and again when it is delivered again."""
        self.said.append(oracle)
        self.settle(oracle)

    def settle(self, oracle: Callable[[], None] | None = None) -> None:
        """Let deeds that failed in passing be tried again, then have the log audited and the oracle follow."""
        for _ in range(self.passing):
            self.world.advance(timedelta())
        if self.passing:
            self.passing = 0
            self.world.mend()
        self.new = self.auditor.audit(self.world.facts)
        self.oracle.now = self.world.now
        if oracle:
            oracle()
            self.oracle.offer()
            self.oracle.release()

    def tick(self) -> None:
        self.world.now += timedelta(seconds=1)
        self.oracle.now = self.world.now

    def number(self, prefix: str) -> str:
        self.numbers += 1
        return f"{prefix}-{self.numbers}"

    def choose(self, question: str, case: str) -> Any:
        """What the product did where the domain leaves a choice."""
        facts = [one.fact for one in self.new if one.stream == f"case/{case}"]
        match question:
            case "target":
                issued = [f for one in self.new if (f := one.fact).name == "licence.issued" and f.case == case]
                return issued[0].serial if issued else None
            case "lapses":
                return next((fact.until for fact in facts if fact.name == "target.awaited"), None)
            case "settled":
                return any(fact.name == "case.settled" for fact in facts)
            case "decided anew":
                return any(fact.name == "case.decided" for fact in facts)
            case "further":
                opening = [one for one in self.new if one.fact.name == "loss.reported" and one.sequence == 1]
                after = [one.stream for one in opening if one.fact.former == case and one.fact.beside]
                return after[0].removeprefix("case/") if after else None
        raise AssertionError(question)

    def asked(self, case: str) -> set[tuple[str, str]]:
        """What the policy asks to have ordered in a case."""
        known = self.oracle.cases.get(case)
        if known is None:  # it was opened and replaced in one go
            return set()
        return {(name, subject) for name, _ in self.oracle.asked(known) for subject in self.oracle.subjects(known)}

    def refused(self, command: Callable[[], Any]) -> RefusalError | None:
        try:
            command()
        except RefusalError as refusal:
            return refusal
        return None

    def open_cases(self, *statuses: str) -> list[Case]:
        return [
            case
            for case in self.oracle.cases.values()
            if (case.status in statuses if statuses else case.status != "closed")
        ]

    def pick(self, several: list[Any], which: int) -> Any:
        return several[which % len(several)]

    @invariant()
    def stands_as_it_must(self) -> None:
        if self.passing or not hasattr(self, "world"):
            return
        self.auditor.audit(self.world.facts)
        self.auditor.over()
        states = self.world.cases
        must(set(states) == set(self.oracle.cases), "there are other cases")
        for name, case in self.oracle.cases.items():
            state = states[CaseId(name)]
            stands = (str(state.status), state.outcome and str(state.outcome), state.target)
            why = f"{stands} for {state.reasons}"
            must(stands == (case.status, case.outcome, case.target), f"{name} stands at {why}, must at {case}")
            measures = {
                (measure, subject): at for (of, measure, subject), at in self.auditor.measures.items() if of == name
            }
            expected = {key: order.state for key, order in case.measures.items()}
            must(measures == expected, f"the measures of {name} are {measures}, must be {expected}")
        effectives = self.world.effective()
        for licence in self.oracle.licences.values():
            container = self.oracle.containers[licence.serial]
            effective = effectives[licence.name]
            must(len(effective) <= 1, f"{licence.name} is effective at generations {effective}")
            aim = "access_data" if container.kind == "cloud" else "container"
            blocked = self.oracle.is_blocked(
                f"{aim}/{licence.serial}/{container.generation}", self.oracle.now
            ) | self.oracle.is_blocked(f"licence/{licence.name}/{licence.generation}", self.oracle.now)
            given_back = container.returned >= container.generation
            due = [] if blocked or given_back or licence.ended else [licence.generation]
            must(effective == due, f"{licence.name} is effective at {effective}, must be at {due}")
            must(
                self.auditor.effective[licence.name] == {licence.generation},
                f"the log says otherwise of {licence.name}",
            )

    def teardown(self) -> None:
        """What `lostfound audit invariants` judges of the whole history."""
        if hasattr(self, "world") and not self.passing:
            breaches = check(self.world.facts)
            must(not breaches, f"the log breaches {breaches[:3]}")
