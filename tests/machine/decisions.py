"""Decisions by supervisors and by others, and evidence."""

import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from events.terms import CaseId, Reporter, Role
from tests.machine.case_oracle.records import UNDECIDED, Case, must
from tests.machine.play import BACK_OFFICE, SOME, Play
from tests.machine.policies import SUPERVISORS

VERDICTS = ("found", "damaged", "used_after_loss", "clone", "fraud")


class Decisions(Play):
    """Decides."""

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

    @rule(which=SOME, names=st.sampled_from([("police_report",), ("photo",)]), by=st.booleans())
    @precondition(lambda self: self.reports)
    def bring_evidence(self, which: int, names: tuple[str, ...], by: bool) -> None:
        self.tick()
        report = self.pick(self.reports[-3:], which)
        number = self.number("E")
        reporter = (
            Reporter(role=Role.HOLDER, name="h-2")
            if not by and which > 25
            else Reporter(role=Role.BACK_OFFICE, name="crm")
        )
        refusal = self.refused(lambda: self.world.evidence(number, report["report"], report["serial"], reporter, names))
        if reporter.name == "h-2":
            must(refusal is not None and refusal.code == "unknown_container", "a stranger brings evidence")
            return
        must(refusal is None, f"evidence is refused with {refusal}")
        cases = self.oracle.cases_of(report["report"], report["serial"], BACK_OFFICE)
        self.say(lambda: self.evidence(cases, number, names))

    def give_evidence(self, case: Case) -> None:
        made = (made for made, (_, name) in self.oracle.reports.items() if name == case.name)
        by, report = next(made, case.opened_by)
        if not self.oracle.may_speak(by, case.holder):
            return
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

    def is_addressed(self, case: Case, statement: str, code: str | None) -> None:
        facts = [one.fact for one in self.new if one.fact.name == "case.addressed" and one.fact.case == case.name]
        must([(one.statement, one.code) for one in facts] == [(statement, code)], f"{statement} is answered by {facts}")
