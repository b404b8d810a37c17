"""The nine invariants, on every interleaving that Hypothesis finds: the product in memory against the oracle."""

import json
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar
from unittest import TestCase

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import ValidationError

from audit.invariants import check
from events.errors import RefusalError
from events.ports.licensing_backend import Withdrawal
from events.ports.loss_cases import ConfirmedDecision
from events.terms import CaseId, Kind, Reason, Reporter, Role, Scope
from simulation.stage import OpenStage, in_memory
from simulation.world import BEGIN, World
from tests.machine.auditor import Auditor
from tests.machine.case_oracle.oracle import Oracle
from tests.machine.case_oracle.records import TABLE, UNDECIDED, Case, must
from tests.machine.policies import POLICIES, SUPERVISORS
from workflows.policy import Policy

SOAK = os.environ.get("LOSTFOUND_SOAK") == "1"
RUNS = 10_000
SOAK_PARTS = 20
"""What was tried is remembered until a test ends: all runs in one took five gigabytes."""
SOME = st.integers(0, 30)
"""Picks one of several."""
MACHINE = {"board": "b1", "disk": "d1", "nic": "n1", "cpu": "c1"}
MACHINES = (MACHINE, MACHINE | {"disk": "d2"}, MACHINE | {"disk": "d2", "nic": "n2"})
BACK_OFFICE = ("back_office", "crm")
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
DEEDS = ("assess", "reserve", "block", "issue", "withdraw", "reinstate", "close", "keep")
FINAL = ("block", "issue", "withdraw", "reinstate")
"""The deeds of which a failure for good makes a case stuck."""
VERDICTS = ("found", "damaged", "used_after_loss", "clone", "fraud")


class LossMachine(RuleBasedStateMachine):
    """Says things to the product and to the oracle, and compares."""

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

    @rule(licence=st.sampled_from(NAMES), other=st.sampled_from(["", "", "product", "value_cents", "serial"]))
    def state_inventory_again(self, licence: str, other: str) -> None:
        """The vendor says again what it said first, or something else, whatever became of it meanwhile."""
        serial, kind, holder, held = next(row for row in INVENTORY if licence in {name for name, *_ in row[3]})
        product, value = next((product, value) for name, product, value in held if name == licence)
        told: dict[str, Any] = {"serial": serial, "product": product, "value_cents": value}
        different = {"product": "other", "value_cents": value + 1, "serial": "D-3"}
        before = len(self.world.facts)
        told |= {other: different[other]} if other else {}
        refusal = self.refused(lambda: self.world.licence(licence, issued=BEGIN, **told))
        must((refusal is None) is (not other), f"{licence} with another {other or 'nothing'}: {refusal}")
        machine = MACHINE if kind == "act" else None
        refusal = self.refused(
            lambda: self.world.register(serial, Kind(kind), "somebody" if other else holder, machine)
        )
        must((refusal is None) is (not other), f"{serial} of another holder: {refusal}")
        must(not other or len(self.world.facts) == before, f"{licence} stated otherwise leaves facts")
        if not other:
            self.said.append(lambda: None)
            self.say(lambda: self.oracle.register(serial, kind, holder, machine))

    # How the two are kept together.

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

    def number(self, letter: str) -> str:
        self.numbers += 1
        return f"{letter}-{self.numbers}"

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

    def refused(self, told: Callable[[], Any]) -> RefusalError | None:
        try:
            told()
        except RefusalError as refusal:
            return refusal
        return None

    def open_cases(self, *statuses: str) -> list[Case]:
        return [
            case
            for case in self.oracle.cases.values()
            if (case.status in statuses if statuses else case.status != "closed")
        ]

    # Reports.

    @rule(
        serial=st.sampled_from(SERIALS),
        reason=SOME,
        by=st.sampled_from(["holder", "holder", "crm", "crm", "ann", "other", "kind"]),
        part=st.booleans(),
        names=st.sets(st.sampled_from(NAMES), max_size=2),
        hours=st.sampled_from([0, 0, 30, 24 * 40]),
        evidence=st.booleans(),
    )
    def report(
        self, serial: str, reason: int, by: str, part: bool, names: set[str], hours: int, evidence: bool
    ) -> None:
        self.tick()
        kind = (
            self.kinds[serial]
            if by != "kind"
            else {"dongle": "act", "act": "cloud", "cloud": "dongle"}[self.kinds[serial]]
        )
        reasons = [reason for of, reason in TABLE if of == kind]
        holder = self.holders[serial]
        reporter = {
            "holder": ("holder", holder),
            "other": ("holder", "dora" if holder == "h-1" else "h-1"),
            "ann": ("back_office", "ann"),
        }.get(by, BACK_OFFICE)
        known = [one.name for one in self.oracle.licences.values() if one.serial == serial]
        self.state_loss(
            report=self.number("R"),
            serial=serial,
            kind=kind,
            reason=reasons[reason % len(reasons)],
            by=reporter,
            scope="licences"
            if part and "licences" in TABLE[kind, reasons[reason % len(reasons)]].scopes
            else "container",
            names=sorted(names) if reason > 20 else known[: 1 + reason % 2] or sorted(names),
            occurred=self.world.now - timedelta(hours=hours),
            evidence=("police_report",) if evidence else (),
        )

    @rule(serial=st.sampled_from(SERIALS), reason=SOME, by=st.booleans(), evidence=st.booleans())
    def report_what_is_lost(self, serial: str, reason: int, by: bool, evidence: bool) -> None:
        """By its holder or a back-office system, and all of it."""
        self.tick()
        reasons = [reason for of, reason in TABLE if of == self.kinds[serial]]
        self.state_loss(
            report=self.number("R"),
            serial=serial,
            kind=self.kinds[serial],
            reason=reasons[reason % len(reasons)],
            by=("holder", self.holders[serial]) if by else BACK_OFFICE,
            scope="container",
            names=(),
            occurred=self.world.now,
            evidence=("police_report",) if evidence else (),
        )

    @rule(several=st.lists(st.sampled_from(["hardware_replaced", "computer_stolen", "same_hardware"]), min_size=2))
    def report_each_licence_of_an_act(self, several: list[str]) -> None:
        """Cases on one container that wait for a machine at the same time."""
        held = [one.name for one in self.oracle.licences.values() if one.serial == "A-1"]
        for name, reason in zip(held, several, strict=False):
            self.tick()
            self.state_loss(
                report=self.number("R"),
                serial="A-1",
                kind="act",
                reason=reason,
                by=BACK_OFFICE,
                scope="licences",
                names=(name,),
                occurred=self.world.now,
                evidence=("police_report",),
            )

    @rule(reason=SOME)
    @precondition(lambda self: any(case.target for case in self.open_cases()))
    def report_the_replacement_lost(self, reason: int) -> None:
        """What was issued is lost in turn."""
        self.tick()
        case = self.pick([case for case in self.open_cases() if case.target], reason)
        self.lose_replacement(case, reason)

    def lose_replacement(self, case: Case, reason: int) -> None:
        assert case.target is not None
        kind = self.kinds[case.target]
        reasons = [of for name, of in TABLE if name == kind]
        self.state_loss(
            report=self.number("R"),
            serial=case.target,
            kind=kind,
            reason=reasons[reason % len(reasons)],
            by=BACK_OFFICE,
            scope="container",
            names=(),
            occurred=self.world.now,
            evidence=("police_report",),
        )

    @rule(which=SOME, reason=SOME, part=st.sampled_from([False, False, True]))
    @precondition(lambda self: self.open_cases())
    def report_more(self, which: int, reason: int, part: bool) -> None:
        """What a case is about already is lost otherwise, or more of it."""
        self.tick()
        case = self.pick(self.open_cases(), which)
        reasons = [of for kind, of in TABLE if kind == case.kind and of != case.reason]
        named = reasons[reason % len(reasons)]
        held = [one.name for one in self.oracle.licences.values() if one.serial == case.serial]
        self.state_loss(
            report=self.number("R"),
            serial=case.serial,
            kind=case.kind,
            reason=named,
            by=BACK_OFFICE,
            scope="licences" if part and held and "licences" in TABLE[case.kind, named].scopes else "container",
            names=held[:1] if part else (),
            occurred=self.world.now,
            evidence=("police_report",),
        )

    @rule(which=SOME, how=st.sampled_from(["report", "evidence", "found", "returned", "approve", "give_up"]))
    @precondition(lambda self: len(self.open_cases()) < len(self.oracle.cases))
    def speak_to_a_closed_case(self, which: int, how: str) -> None:
        """A case that is over answers, and nothing becomes of it."""
        self.tick()
        case = self.pick([case for case in self.oracle.cases.values() if case.status == "closed"], which)
        match how:
            case "report":
                self.state_loss(**self.of_the_same(case))
            case "evidence":
                if any(of == case.name for _, of in self.oracle.reports.values()):
                    self.give_evidence(case)
            case "found" | "returned":
                self.find(case.serial, how, "crm")
            case _:
                self.bring_decision(case, how, "ann", False, {"goodwill": False, "condition": False})

    def of_the_same(self, case: Case) -> dict[str, Any]:
        """A report of what a case is about, by the back office."""
        return {
            **{"report": self.number("R"), "serial": case.serial, "kind": case.kind, "reason": case.reason},
            **{"by": BACK_OFFICE, "scope": case.scope, "names": tuple(name for name, _ in sorted(case.lost))},
            **{"occurred": self.world.now, "evidence": ("police_report",)},
        }

    def answers(self, statement: str, case: Case | None) -> None:
        """A report to a case is a fact: its own while it is open, else the backend's; said again, it is none."""
        told = [
            one
            for one in self.new
            if (one.fact.name == "case.addressed" and one.fact.statement == statement)
            or (one.fact.name == "loss.reported" and f"report/{one.fact.report}" == statement)
        ]
        if case is None:
            must(not told, f"{statement} was said before, and is said to be new")
            return
        name = "case.addressed" if case.status == "closed" else "loss.reported"
        must([one.fact.name for one in told] == [name], f"{statement} to {case.name} is answered by {told}")
        of = told[0].fact.case if case.status == "closed" else told[0].stream.removeprefix("case/")
        must(of == case.name, f"{statement} is answered for {of}, and was said to {case.name}")

    @rule(
        which=SOME,
        action=st.sampled_from(["reject", "reject", "cancel"]),
        said=st.sampled_from(["report", "wider", "wider", "found", "evidence", "decision"]),
        reason=SOME,
    )
    @precondition(
        lambda self: self.open_cases(*UNDECIDED, "stuck", "resurfaced") and not self.oracle.broken and not self.passing
    )
    def speak_while_a_case_closes(self, which: int, action: str, said: str, reason: int) -> None:
        """A case was decided, and what is said to it comes before the backend knows that it is over."""
        self.tick()
        case = self.pick(self.open_cases(*UNDECIDED, "stuck", "resurfaced"), which)
        action = {"stuck": "give_up", "resurfaced": "rule"}.get(case.status, action)
        more: dict[str, Any] = {"verdict": "found", "reinstate": False} if action == "rule" else {}
        told = self.wider_than(case, reason) if said == "wider" else self.of_the_same(case)
        names = tuple(told["names"]) if told["scope"] == "licences" else ()
        about = (told["report"], told["serial"], told["kind"], told["reason"], told["by"], told["scope"], names)
        number, material = self.number("V"), self.auditor.material(case.name)[-1]
        by = next((one for one in SUPERVISORS if not any(self.oracle.denials(case, action, one, False, more))), None)
        meets = self.oracle.answers(*about)
        fits = {"report": meets == ("joined", {case.name}), "wider": case.name in meets[1]}.get(said, True)
        if by is None or not fits or (action == "rule" and case.target is None):
            return
        self.world.break_activity("close", 1)
        self.world.decide(CaseId(case.name), action, by, number, why="as I see it", on=material, **more)
        self.said.append(lambda: None)
        self.oracle.decide(case, action, by, number, more)
        must(case.status == "closed", f"{case.name} is {case.status} after {action}")
        self.settle()
        self.tick()
        before = set(self.world.cases)
        reporter, late = Reporter(role=Role(BACK_OFFICE[0]), name=BACK_OFFICE[1]), self.number("S")
        match said:
            case "report" | "wider":
                case.closing = True
                answer, _ = self.oracle.answers(*about)
                first = self.world.report(
                    told["report"],
                    case.serial,
                    Kind(case.kind),
                    Reason(told["reason"]),
                    reporter,
                    scope=Scope(told["scope"]),
                    licences=names,
                    occurred=told["occurred"],
                    evidence=told["evidence"],
                )
                self.world.advance(timedelta())  # a case that was told nothing is closed all the same
                opened = set(self.world.cases) - before
                self.reports.append(told)
                self.new = self.world.facts[self.auditor.read :]
                if first == case.name:  # it joined what it was said to, which the backend then learnt to be over
                    must(answer == "joined", f"{about} joins {case.name}, and something of it is nobody's")
                    case.closing = False
                    answer, allowed = self.oracle.answers(*about)
                    must(len(opened) == (answer == "opened"), f"{about} after {action} of {case.name} opens {opened}")
                    of = next(iter(opened), None) or next(iter(allowed))
                    self.say(lambda: self.oracle.report(of, *about, told["occurred"], told["evidence"]))
                else:
                    must((first in opened) == (answer == "opened"), f"{about} is answered with {first}")
                    self.say(lambda: self.comes_between(first, case, about, told))
                for name in opened:
                    former = self.auditor.of(name)[0].fact.former
                    must(former == self.oracle.cases[name].former, f"{name} names {former} as the former")
            case "found":
                self.world.found(late, case.serial, reporter)
                self.say(self.found(case.serial, f"found/{late}"))
                self.is_addressed(case, f"found/{late}", None)
            case "evidence":
                made = (made for made, (_, name) in self.oracle.reports.items() if name == case.name)
                who, report = next(made, case.opened_by)
                speaker = Reporter(role=Role(who[0]), name=who[1])
                self.world.evidence(late, report, case.serial, speaker, ("photo",))
                cases = self.oracle.cases_of(report, case.serial, who)
                self.say(lambda: self.evidence(cases, late, ("photo",)))
                self.is_addressed(case, f"evidence/{late}", None)
            case "decision":
                on = self.auditor.material(case.name)[-1] + 2
                refusal = self.refused(
                    lambda: self.world.decide(CaseId(case.name), "approve", by, late, why="as I see it", on=on)
                )
                must(refusal is not None and refusal.code == "nothing_to_decide", f"{late} is answered {refusal}")
                self.settle(lambda: None)  # the case is closed by now, and others waited for that
                self.is_addressed(case, f"decision/{late}", "nothing_to_decide")

    def comes_between(self, first: str, case: Case, about: tuple[Any, ...], told: dict[str, Any]) -> None:
        """A report that meets a case which is decided and not closed is another case's; then that one is closed."""
        self.oracle.report(first, *about, told["occurred"], told["evidence"])
        if case.closing:
            self.oracle.closed(case, about, told["occurred"], told["evidence"])

    def wider_than(self, case: Case, reason: int) -> dict[str, Any]:
        """A report by the back office of more than a case is about, or by which more is to be blocked."""
        reasons = [of for kind, of in TABLE if kind == case.kind]
        named = reasons[reason % len(reasons)]
        held = [one.name for one in self.oracle.licences.values() if one.serial == case.serial]
        part = reason % 3 == 0 and held and "licences" in TABLE[case.kind, named].scopes
        return {
            **{"report": self.number("R"), "serial": case.serial, "kind": case.kind, "reason": named},
            **{"by": BACK_OFFICE, "scope": "licences" if part else "container", "names": tuple(held) if part else ()},
            **{"occurred": self.world.now, "evidence": ("police_report",)},
        }

    def is_addressed(self, case: Case, statement: str, code: str | None) -> None:
        told = [one.fact for one in self.new if one.fact.name == "case.addressed" and one.fact.case == case.name]
        must([(one.statement, one.code) for one in told] == [(statement, code)], f"{statement} is answered by {told}")

    @rule(which=SOME, how=st.sampled_from(["same", "same", "evidence", "by another", "other"]))
    @precondition(lambda self: self.reports)
    def report_again(self, which: int, how: str) -> None:
        """The same number again; `other`: it says something else."""
        told = dict(self.pick(self.reports, which))
        if how == "evidence":
            told["evidence"] = ("photo",)
        elif how == "by another":
            told["by"] = ("holder", self.holders[told["serial"]])
        elif how == "other":
            reasons = [reason for kind, reason in TABLE if kind == told["kind"] and reason != told["reason"]]
            told |= {"reason": reasons[0], "scope": "container", "names": ()}
        self.state_loss(**told)

    def state_loss(self, **told: Any) -> None:
        names = tuple(told["names"]) if told["scope"] == "licences" else ()
        if told["scope"] == "licences" and not names:
            return
        about = (told["report"], told["serial"], told["kind"], told["reason"], told["by"], told["scope"], names)
        answer, allowed = self.oracle.answers(*about)
        before = len(self.world.facts), set(self.world.cases)
        cases: list[CaseId] = []

        def tell() -> None:
            cases.append(
                self.world.report(
                    told["report"],
                    told["serial"],
                    Kind(told["kind"]),
                    Reason(told["reason"]),
                    Reporter(role=Role(told["by"][0]), name=told["by"][1]),
                    scope=Scope(told["scope"]),
                    licences=names,
                    occurred=told["occurred"],
                    evidence=tuple(told["evidence"]),
                )
            )

        refusal = self.refused(tell)
        if answer == "refused":
            must(refusal is not None, f"{about} is taken, and must be refused with one of {allowed}")
            assert refusal is not None
            must(refusal.code in allowed, f"{about} is refused with {refusal.code}, not with one of {allowed}")
            must(len(self.world.facts) == before[0], "a refused report leaves facts")
            if "unknown_container" in allowed:
                unknown = self.refused(
                    lambda: self.world.report(
                        "R-0", "X-0", Kind.DONGLE, Reason.LOST, Reporter(role=Role.HOLDER, name="h-1")
                    )
                )
                assert unknown is not None
                same = str(unknown).replace("X-0", told["serial"]) == str(refusal)
                must(same and unknown.code == refusal.code, f"{refusal} tells that the container is known")
            return
        must(refusal is None, f"{about} is refused with {refusal}, and must be taken")
        (case,) = cases
        if answer == "joined":
            must(case in allowed, f"{about} is answered with {case}, not with one of {allowed}")
        else:
            must(case not in before[1], f"{about} joins {case}, and something of it is nobody's")
        self.reports.append(told)
        arguments = (told["occurred"], told["evidence"])
        known = (told["by"], told["report"]) in self.oracle.reports
        self.say(lambda: self.oracle.report(case, *about, *arguments))
        if answer == "joined":
            self.answers(f"report/{told['report']}", None if known else self.oracle.cases[case])
        if answer == "opened":
            opening, former = self.auditor.of(case)[0].fact, self.oracle.cases[case].former
            must(opening.former == former, f"{case} names {opening.former} as the former, not {former}")
            must(opening.beside in (allowed or {None}), f"{case} is beside {opening.beside}, not one of {allowed}")

    @rule(kind=st.sampled_from(Kind), reason=st.sampled_from(Reason), scope=st.sampled_from(Scope))
    def report_what_is_no_loss(self, kind: Kind, reason: Reason, scope: Scope) -> None:
        row = TABLE.get((kind, reason))
        if row and scope in row.scopes:
            return
        crm = Reporter(role=Role.BACK_OFFICE, name="crm")
        names = ("L-1",) if scope == "licences" else ()
        with pytest.raises(ValidationError) as error:
            self.world.report("R-0", "D-1", kind, reason, crm, scope=scope, licences=names)
        valid = [f"{kind}/{reason}/{scope}" for (kind, reason), row in TABLE.items() for scope in row.scopes]
        must(all(one in str(error.value) for one in valid), "the refusal does not list what is valid")

    @rule(which=SOME, names=st.sampled_from([("police_report",), ("photo",)]), by=st.booleans())
    @precondition(lambda self: self.reports)
    def bring_evidence(self, which: int, names: tuple[str, ...], by: bool) -> None:
        self.tick()
        told = self.pick(self.reports[-3:], which)
        number = self.number("E")
        reporter = (
            Reporter(role=Role.HOLDER, name="h-2")
            if not by and which > 25
            else Reporter(role=Role.BACK_OFFICE, name="crm")
        )
        refusal = self.refused(lambda: self.world.evidence(number, told["report"], told["serial"], reporter, names))
        if reporter.name == "h-2":
            must(refusal is not None and refusal.code == "unknown_container", "a stranger brings evidence")
            return
        must(refusal is None, f"evidence is refused with {refusal}")
        cases = self.oracle.cases_of(told["report"], told["serial"], BACK_OFFICE)
        self.say(lambda: self.evidence(cases, number, names))

    # Decisions.

    @rule(
        which=SOME,
        action=st.sampled_from(["approve", "approve", "reject", "ask", "meet", "cancel", "rule", "resume", "give_up"]),
        by=st.sampled_from([*SUPERVISORS, *SUPERVISORS, "eve", "crm", "h-1"]),
        goodwill=st.booleans(),
        condition=st.booleans(),
        verdict=st.sampled_from(VERDICTS),
        reinstate=st.booleans(),
        stale=st.sampled_from([False, False, False, True]),
    )
    @precondition(lambda self: self.oracle.cases)
    def decide(self, which: int, action: str, by: str, stale: bool, **more: Any) -> None:
        self.tick()
        self.bring_decision(
            self.pick(self.open_cases() or list(self.oracle.cases.values()), which), action, by, stale, more
        )

    @rule(
        which=SOME,
        by=st.sampled_from(SUPERVISORS),
        goodwill=st.booleans(),
        condition=st.sampled_from([False, False, True]),
    )
    @precondition(lambda self: self.open_cases(*UNDECIDED))
    def approve(self, which: int, by: str, goodwill: bool, condition: bool) -> None:
        self.tick()
        case = self.pick(self.open_cases(*UNDECIDED), which)
        self.bring_decision(case, "approve", by, False, {"goodwill": goodwill, "condition": condition})

    @rule(
        which=SOME,
        by=st.sampled_from(SUPERVISORS),
        verdict=st.sampled_from(["found", *VERDICTS]),
        reinstate=st.booleans(),
    )
    @precondition(lambda self: self.open_cases("resurfaced", "reinstating"))
    def give_verdict(self, which: int, by: str, verdict: str, reinstate: bool) -> None:
        self.tick()
        case = self.pick(self.open_cases("resurfaced", "reinstating"), which)
        self.bring_decision(case, "rule", by, False, {"verdict": verdict, "reinstate": reinstate})

    def bring_decision(self, case: Case, action: str, by: str, stale: bool, given: dict[str, Any]) -> None:
        number = self.number("V")
        more: dict[str, Any] = {}
        if action == "approve":
            more["goodwill"] = given["goodwill"]
            if given["condition"]:
                more |= {"condition": "the report of the police", "condition_days": 10}
        elif action == "ask":
            more["evidence"] = ("police_report",)
        elif action == "rule":
            more["verdict"] = given["verdict"]
            more["reinstate"] = given["reinstate"] and given["verdict"] == "found"
        material = self.auditor.material(case.name)
        stale = stale and len(material) > 1
        on = material[-2] if stale else material[-1]
        deny, may = self.oracle.denials(case, action, by, stale, more)
        name = CaseId(case.name)
        refusal = self.refused(lambda: self.world.decide(name, action, by, number, why="as I see it", on=on, **more))
        if refusal is None:
            must(not deny, f"{by} may {action} {case.name}, in spite of {deny}")
        else:
            must(
                refusal.code in deny | may,
                f"{by} may not {action} {case.name} for {refusal.code}; allowed: {deny | may}",
            )
        self.settle()
        denied = [one.fact for one in self.new if one.fact.name == "decision.denied"]
        if refusal is not None:
            data = [json.loads(one.fact.model_dump_json()) for one in self.new]
            named = [one.get("decision") or one.get("statement", "").removeprefix("decision/") for one in data]
            must(named == [number], f"the denied {number} is not in the history")
            answers = "case.addressed" if case.status == "closed" else "decision.denied"
            must([one.fact.name for one in self.new] == [answers], f"{number} is not denied where it should be")
            must(len(self.new) == 1, f"the denied {number} changed something")
            self.settle()
            return
        must(not denied, f"{number} is denied though it was taken")
        self.said.append(lambda: None)
        self.oracle.decide(case, action, by, number, more)
        self.oracle.offer()
        self.oracle.release()

    # What turns up.

    @rule(
        serial=st.sampled_from(SERIALS),
        shown=st.sampled_from(["none", "none", "current", "former", "later"]),
        presents=st.sampled_from(["nothing", "held", "former", "later", "elsewhere"]),
        machine=st.sampled_from([None, 0, 1, 2, 3]),
        activation=st.booleans(),
        code=st.sampled_from([None, "right", "right", "wrong"]),
        confirms=st.booleans(),
        hours=st.sampled_from([0, 0, 1000]),
    )
    def contact(
        self,
        serial: str,
        shown: str,
        presents: str,
        machine: int | None,
        activation: bool,
        code: str | None,
        confirms: bool,
        hours: int,
    ) -> None:
        self.tick()
        container = self.oracle.containers[serial]
        generation = {
            "none": None,
            "current": container.generation,
            "former": max(1, container.generation - 1),
            "later": container.generation + 1,
        }[shown]
        shift = {"former": -1, "later": 1}.get(presents, 0)
        presented = [
            (one.name, max(1, one.generation + shift))
            for one in self.oracle.licences.values()
            if presents != "nothing" and (one.serial == serial) == (presents not in ("elsewhere", "former"))
        ][:2]
        activates = activation and machine is not None and self.kinds[serial] != "cloud"
        self.report_in(
            serial,
            None if activates else generation,
            presented,
            self.machine(machine) if machine is not None and (self.kinds[serial] == "act" or activates) else None,
            "activation" if activates else "check_in",
            confirms,
            hours,
            code,
        )

    def code(self, serial: str) -> str | None:
        """The activation code of a container, if one is to be had."""
        codes: list[str] = []
        refusal = self.refused(lambda: codes.append(self.world.activation_code(serial)))
        refused = "no_case" if self.kinds[serial] == "act" else "kind_mismatch"
        must(refusal is None or refusal.code == refused, f"the code of {serial} is refused with {refusal}")
        self.oracle.fetch_code(serial, codes[0] if codes else None)
        return codes[0] if codes else None

    def machine(self, number: int) -> dict[str, str]:
        if number < len(MACHINES):
            return MACHINES[number]
        self.numbers += 1
        return dict.fromkeys(MACHINE, f"x{self.numbers}")

    def report_in(
        self,
        serial: str,
        generation: int | None,
        presented: list[tuple[str, int]],
        fingerprint: dict[str, str] | None,
        how: str,
        confirms: bool,
        hours: int = 0,
        code: str | None = None,
    ) -> None:
        number = self.number("C")
        occurred = self.world.now - timedelta(hours=hours)
        activates = how == "activation"
        sees = self.oracle.sees(serial, generation, presented, fingerprint, how)
        awaits = self.oracle.awaits(serial, fingerprint or {}) if activates and self.kinds[serial] == "act" else []
        answers: list[Any] = []
        brought = "00000-00000" if activates and code == "wrong" else None
        if activates and code == "right" and self.kinds[serial] == "act":
            brought = self.code(serial)
        more: dict[str, Any] = {"how": how, "confirms": confirms, "occurred": occurred}
        more["licences"] = [{"licence": name, "generation": number} for name, number in presented]
        more |= {"generation": generation} if generation else {}
        more |= {"fingerprint": fingerprint} if fingerprint else {}
        more |= {"activation_code": brought} if brought else {}
        refusal = self.refused(lambda: answers.append(self.world.contact(number, serial, **more)))
        if (activates and self.kinds[serial] != "act") or (sees is None and not awaits):
            codes = ("kind_mismatch", "generation_conflict", "unknown_licence")
            if refusal is None:  # it was refused or served by its container alone, before its licences were looked at
                must(sees is None and answers[0].refused, f"{number} makes no sense, and is served")
                self.after_contact(number, serial, answers[0], [], fingerprint, occurred, None)
                return
            must(refusal.code in codes, f"{number} makes no sense, and is refused with {refusal.code}")
            return
        must(refusal is None, f"{number} is refused with {refusal}")
        answer = answers[0]
        if awaits and (denied := self.oracle.refuses_code(serial, awaits, fingerprint or {}, brought)):
            said = (answer.code, answer.cases, answer.awaiting, answer.files)
            must(said == (denied, (), (), ()), f"{number} is answered with {said}, and must be refused with {denied}")
            awaits = []
        elif awaits or answer.awaiting:
            named = {key.case for key in answer.awaiting}
            must(named == {case.name for case in awaits}, f"{number} activates for {named}, and not for {awaits}")
            must(not answer.refused, f"the activation {number} is refused")
        elif sees is not None:
            refused, cases, judged = sees
            must(answer.refused == refused, f"{number} is {'not ' if refused else ''}refused: {answer}")
            named = {key.case for key in answer.cases}
            must(named <= cases, f"{number} is a sighting for {named}, and may only be one for {cases}")
            if not activates and not presented:
                whole = {one for one in cases if self.stands_against(one, serial, judged)}
                must(whole <= named, f"{number} is no sighting for {whole - named}")
            held = {one.name for one in self.oracle.licences.values() if one.serial == serial}
            must(set(answer.files) <= held, f"{number} gets files of what {serial} does not hold")
            if not activates and judged is not None and self.kinds[serial] == "act":
                stolen = self.oracle.calls_stolen(serial, judged)
                must(stolen <= named, f"{number} is of a stolen machine and no sighting for {stolen - named}")
            good = not any(self.oracle.is_blocked(self.oracle.named(name), self.oracle.now) for name in answer.files)
            must(good, f"{number} gets files of what is blocked")
            whole = self.oracle.is_blocked(f"container/{serial}/{generation}", self.oracle.now)
            must(fingerprint or not (whole and answer.files), f"{serial} is blocked and gets files")
        judged = sees[2] if sees is not None and not awaits else None
        self.after_contact(number, serial, answer, awaits, fingerprint, occurred, judged)

    def stands_against(self, case: str, serial: str, shown: int | None) -> bool:
        aim = "access_data" if self.kinds[serial] == "cloud" else "container"
        return case in self.oracle.is_blocked(f"{aim}/{serial}/{shown}", self.oracle.now)

    def after_contact(
        self,
        number: str,
        serial: str,
        answer: Any,
        awaits: list[Case],
        fingerprint: Any,
        occurred: Any,
        judged: int | None,
    ) -> None:
        def oracle() -> None:
            confirmed = self.adopt_measures(serial, judged)
            if number not in self.oracle.contacts:
                self.oracle.contact(number, serial)
            for key in answer.cases:
                self.oracle.sight(self.oracle.cases[key.case], f"contact/{number}", "sighting", occurred)
            for case in awaits:
                if case.activates:
                    self.oracle.bind(case, fingerprint)
            for name in dict.fromkeys([*confirmed, *(key.case for key in answer.settled)]):
                self.oracle.confirm(self.oracle.cases[name])

        self.say(oracle)

    def adopt_measures(self, serial: str, machine: int | None = None) -> list[str]:
        """Take over how far measures have come; the cases of which one was confirmed. Only the machine that has what a
        measure is about brings it further."""
        confirmed = []
        for one in self.new:
            if one.fact.name in ("measure.delivered", "measure.confirmed"):
                fact = one.fact
                must(fact.serial == serial, f"a measure on {fact.serial} moves at a contact of {serial}")
                order = self.oracle.cases[fact.case].measures[fact.measure, str(fact.subject)]
                must(order.effective <= self.oracle.now, f"{fact} before it takes effect")
                must(self.oracle.is_of(serial, order, machine), f"{fact} by machine {machine}, and not {order.bound}")
                order.state = fact.name.removeprefix("measure.")
                if order.state == "confirmed":
                    confirmed.append(fact.case)
        self.new = [one for one in self.new if one.fact.name not in ("measure.delivered", "measure.confirmed")]
        return confirmed

    @rule(serial=st.sampled_from(["A-1", "A-2", "D-1"]), back=st.integers(-1, 1))
    def return_activation(self, serial: str, back: int) -> None:
        self.tick()
        container = self.oracle.containers[serial]
        generation = max(1, container.generation - back)
        number = self.number("C")
        answers: list[Any] = []
        refusal = self.refused(lambda: answers.append(self.world.return_activation(number, serial, generation)))
        if self.kinds[serial] != "act" or generation > container.generation:
            must(refusal is not None and refusal.code in ("kind_mismatch", "generation_conflict"), f"{refusal}")
            return
        must(refusal is None, f"{refusal}")

        def oracle() -> None:
            container.returned = max(container.returned, generation)
            for name in dict.fromkeys([*self.adopt_measures(serial), *(key.case for key in answers[0].settled)]):
                self.oracle.confirm(self.oracle.cases[name])

        self.say(oracle)

    @rule(
        serial=st.sampled_from(SERIALS),
        cause=st.sampled_from(["found", "returned"]),
        by=st.sampled_from(["holder", "crm", "other"]),
    )
    def turn_up(self, serial: str, cause: str, by: str) -> None:
        self.tick()
        self.find(serial, cause, by)

    def find(self, serial: str, cause: str, by: str) -> None:
        number = self.number("F")
        other = "dora" if self.holders[serial] == "h-1" else "h-1"
        role, name = {"holder": ("holder", self.holders[serial]), "other": ("holder", other)}.get(by, BACK_OFFICE)
        reporter = Reporter(role=Role(role), name=name)
        before = len(self.world.facts)
        told = self.world.found if cause == "found" else self.world.returned
        refusal = self.refused(lambda: told(number, serial, reporter))
        if by == "other" or (cause == "returned" and by != "crm"):
            code = "unknown_container" if by == "other" else "invalid_data"
            must(refusal is not None and refusal.code == code, f"{name} says {cause} of {serial}: {refusal}")
            must(len(self.world.facts) == before, "a stranger's find leaves facts")
            return
        if not any(case.serial == serial for case in self.open_cases()):
            closed = any(case.serial == serial for case in self.oracle.cases.values())
            left = [one.fact.name for one in self.world.facts[before:]]
            must(left == ["case.addressed"] * closed, f"what no case looks for leaves {left}")
            must((refusal.code if refusal else None) == (None if closed else "no_case"), f"of {serial}: {refusal}")
        else:
            must(refusal is None, f"{cause} is refused with {refusal}")
        if refusal is not None:
            return

        self.say(self.found(serial, f"{cause}/{number}"))

    def found(self, serial: str, statement: str) -> Callable[[], None]:
        """What turned up reaches the cases that are open now, however often it is said again."""
        cases = [case for case in self.open_cases() if case.serial == serial]

        def oracle() -> None:
            for case in cases:
                self.oracle.sight(case, statement, statement.partition("/")[0], self.oracle.now)

        return oracle

    @rule(which=SOME, back=st.integers(0, 40))
    @precondition(lambda self: self.oracle.cases)
    def order_late(self, which: int, back: int) -> None:
        """An attempt at an earlier order was frozen and goes on now: nothing changes, and the answer is as before."""
        name = self.pick(list(self.world.cases), which)
        before = len(self.world.facts)
        answer, late = self.world.order_late(name, -1 - back)
        must(len(self.world.facts) == before, f"a late order of {name} left facts")
        if isinstance(late, ConfirmedDecision):  # a question: who may decide is answered as it is now
            return
        if isinstance(late, Withdrawal) and late.confirmed:
            late = late.model_copy(update={"confirmed": False}) if answer != late else late
        must(late == answer, f"a late order of {name} is answered {late}, and was answered {answer}")

    # On with it.

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
                given = {"goodwill": case.beyond and which % 3 > 0, "condition": condition}
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

    def give_evidence(self, case: Case) -> None:
        made = (made for made, (_, name) in self.oracle.reports.items() if name == case.name)
        by, report = next(made, case.opened_by)
        number = self.number("E")
        self.world.evidence(number, report, case.serial, Reporter(role=Role(by[0]), name=by[1]), ("police_report",))
        cases = self.oracle.cases_of(report, case.serial, by)
        over = [one for one in cases if one.status == "closed"]
        self.say(lambda: self.evidence(cases, number, ("police_report",)))
        for one in over:
            self.is_addressed(one, f"evidence/{number}", None)

    def evidence(self, cases: list[Case], number: str, names: tuple[str, ...]) -> None:
        for case in sorted(cases, key=lambda case: case.name):
            self.oracle.give_evidence(case, number, names)

    def set_access(self, serial: str) -> None:
        self.world.set_access(serial)
        self.settle(lambda: self.oracle.set_access(serial))

    def register_a_dongle(self, holder: str) -> None:
        self.tick()
        if len(self.oracle.containers) < 14:
            serial = self.number("N")
            self.register(serial, "dongle", holder)

    # Time and faults.

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

    @rule(which=SOME, deed=st.sampled_from(DEEDS), times=st.integers(1, 2))
    def have_trouble(self, which: int, deed: str, times: int) -> None:
        """Faults of every kind, one rule, so that they leave room for what goes well."""
        match which % 8:
            case 0 | 1:
                self.fail_in_passing(deed, times)
            case 2 if not self.passing and not self.open_cases("reinstating") and deed in FINAL:
                self.fail_for_good(deed)
            case 3 if self.oracle.broken:
                self.mend()
            case 4:
                self.register_a_dongle("dora" if times == 1 else "h-1")
            case 5 | 6 if crashing := [
                case for case in self.oracle.cases.values() if case.status != "awaiting_target" and not case.beyond
            ]:
                self.crash(self.pick(crashing, which // 8))
            case 7:
                self.redeliver(which // 8 + times)

    def fail_in_passing(self, deed: str, times: int) -> None:
        if not self.oracle.broken:
            self.world.break_activity(deed, times)
            self.passing += times + 1

    def fail_for_good(self, deed: str) -> None:
        self.world.break_activity(deed, None)
        self.oracle.broken.add(deed)

    def mend(self) -> None:
        self.world.mend()
        self.oracle.broken.clear()
        self.settle()

    def crash(self, case: Case) -> None:
        """A deed done again changes nothing; one that found no target or recovery left may find one now, so those are
        left out."""
        before = len(self.world.facts)
        self.world.crash(CaseId(case.name))
        must(len(self.world.facts) == before, "a crash adds facts")

    def redeliver(self, count: int) -> None:
        self.tick()
        self.world.redeliver(count)
        self.settle()
        for oracle in self.said[-count:]:
            oracle()
        self.oracle.offer()
        self.oracle.release()

    def pick(self, several: list[Any], which: int) -> Any:
        return several[which % len(several)]

    # What holds after every step.

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
            due = [] if blocked or given_back else [licence.generation]
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


def machine(of: type[LossMachine] = LossMachine, **more: Any) -> type[TestCase]:
    """A machine as a test."""
    chosen = settings(
        stateful_step_count=60, deadline=None, print_blob=True, suppress_health_check=list(HealthCheck), **more
    )
    return type("Losses", (of.TestCase,), {"settings": chosen})


if SOAK:  # others every time
    each = {"max_examples": RUNS // SOAK_PARTS, "derandomize": False}
    globals().update({f"TestLosses{part}": machine(**each) for part in range(SOAK_PARTS)})
else:
    TestLosses = machine(max_examples=2 * settings.default.max_examples, derandomize=True)
