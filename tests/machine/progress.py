"""What brings cases nearer to their end, and time."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.machine.case_oracle.records import Case
from tests.machine.contacts import Contacts
from tests.machine.decisions import Decisions
from tests.machine.play import SOME
from tests.machine.reports import Reports


class Progress(Reports, Decisions, Contacts):
    """Brings cases on."""

    @rule(several=st.lists(SOME, min_size=1, max_size=6))
    @precondition(lambda self: self.open_cases())
    def go_on(self, several: list[int]) -> None:
        """What brings cases nearer to their end, whatever they wait for."""
        for which in several:
            if self.open_cases():
                self.tick()
                self.bring_on(self.pick(self.open_cases(), which), which)
                self.stands_as_it_must()

    @rule(which=SOME, several=st.lists(SOME, min_size=2, max_size=6))
    @precondition(lambda self: self.open_cases())
    def go_on_with_one(self, which: int, several: list[int]) -> None:
        """The same with one case."""
        case = self.pick(self.open_cases(), which)
        for number in several:
            if case.status != "closed":
                self.tick()
                self.bring_on(case, number)
                self.stands_as_it_must()

    def bring_on(self, case: Case, which: int) -> None:
        able = [name for name in ("cy", "bob", "ann", "dora") if name not in {case.first, case.holder, *case.reporters}]
        match case.status:
            case "awaiting_approval" | "waiting" if which % 7 == 1:
                self.advance(timedelta(days=3))
            case "awaiting_approval" | "waiting" | "awaiting_target" if which % 7 == 2:
                self.report_in(case.serial, case.generation, list(case.licences.items()), None, "check_in", True)
            case "awaiting_approval" | "escalated" if which % 7 == 3:
                self.give_evidence(case)
            case "awaiting_approval" | "escalated" if which % 13 == 4:
                self.bring_decision(case, "reject", able[0], False, {})
            case "escalated" if "cy" in able:
                self.bring_decision(case, "approve", "cy", False, {"goodwill": True, "condition": False})
            case "waiting":
                self.advance(timedelta(hours=49))
            case "watching" if which % 9 == 8:
                self.advance(timedelta(days=61))
            case "awaiting_approval" | "escalated":
                condition = which % 4 == 0 and case.row.recovery in ("next", "reissue")
                by = "bob" if "bob" in able and case.beyond else able[0]
                given = {"goodwill": bool(case.beyond) and which % 3 > 0, "condition": condition}
                self.bring_decision(case, "approve", by, which % 5 == 2, given)
            case "awaiting_target" if case.kind == "dongle" and which % 5 == 0:
                self.find(case.serial, "found", "crm")
            case "awaiting_target" if case.kind == "dongle":
                serial = self.number("N")
                self.register(serial, "dongle", case.holder)
            case "awaiting_target" if case.kind == "act":
                machine = self.machine(3 if case.row.recovery == "next" else 0)
                code = ("right", "right", "wrong", None)[which % 4]
                self.report_in(case.serial, None, [], machine, "activation", False, code=code)
            case "awaiting_target":
                self.set_access(case.serial)
            case "watching" if case.owes and which % 3 == 0 and not case.replacement_lost:
                self.lose_replacement(case, which)
            case "watching" if case.reason == "damaged" and which % 2:
                self.find(case.serial, "returned", "crm")
            case "watching" if case.condition and which % 2:
                self.bring_decision(case, "meet", able[0], False, {})
            case "watching" if which % 5 < 2:
                self.find(case.serial, "found", "holder")
            case "watching":
                self.report_in(case.serial, case.generation, list(case.licences.items()), None, "check_in", True)
            case "resurfaced":
                reinstates = bool(case.licences) and case.target is not None and not case.replacement_lost
                more = {"verdict": "found", "reinstate": reinstates and which % 6 > 0}
                self.bring_decision(case, "rule", able[0], False, more)
            case "reinstating" if case.target is None:  # it waits for others that block the container
                self.advance(timedelta(days=2))
            case "reinstating":
                assert case.target is not None
                self.report_in(case.target, None, list(case.issued.items()), None, "check_in", True)
            case "stuck":
                self.mend()
                self.bring_decision(case, "give_up" if which % 7 == 0 else "resume", able[0], False, {})

    def register_a_dongle(self, holder: str) -> None:
        self.tick()
        if len(self.oracle.containers) < 14:
            serial = self.number("N")
            self.register(serial, "dongle", holder)

    @rule(
        by=st.sampled_from(
            [timedelta(hours=1), timedelta(hours=13), timedelta(days=2), timedelta(days=9), timedelta(days=31)]
        )
    )
    def advance(self, by: timedelta) -> None:
        until = self.world.now + by
        self.world.advance(by)
        self.settle()
        self.oracle.now = until - by
        self.oracle.advance(until)
        self.oracle.offer()
        self.oracle.release()

    def mend(self) -> None:
        self.world.mend()
        self.oracle.broken.clear()
        self.settle()
