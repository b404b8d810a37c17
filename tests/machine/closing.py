"""What is said to a case that is over, or about to be."""

from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from events.terms import CaseId, Kind, Reason, Reporter, Role, Scope
from tests.machine.case_oracle.records import TABLE, UNDECIDED, Case, must
from tests.machine.contacts import Contacts
from tests.machine.decisions import Decisions
from tests.machine.play import BACK_OFFICE, SOME
from tests.machine.policies import SUPERVISORS
from tests.machine.reports import Reports


class Closing(Reports, Decisions, Contacts):
    """Speaks to cases at their end."""

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
        loss = self.wider_than(case, reason) if said == "wider" else self.of_the_same(case)
        names = tuple(loss["names"]) if loss["scope"] == "licences" else ()
        about = (loss["report"], loss["serial"], loss["kind"], loss["reason"], loss["by"], loss["scope"], names)
        number, material = self.number("V"), self.auditor.material(case.name)[-1]
        by = next((one for one in SUPERVISORS if not any(self.oracle.denials(case, action, one, False, more))), None)
        meets = self.oracle.answers(*about)
        made = (made for made, (_, name) in self.oracle.reports.items() if name == case.name)
        who, of_report = next(made, case.opened_by)
        fits = {
            "report": meets == ("joined", {case.name}),
            "wider": case.name in meets[1],
            "evidence": self.oracle.may_speak(who, case.holder),
        }.get(said, True)
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
                    loss["report"],
                    case.serial,
                    Kind(case.kind),
                    Reason(loss["reason"]),
                    reporter,
                    scope=Scope(loss["scope"]),
                    licences=names,
                    occurred=loss["occurred"],
                    evidence=loss["evidence"],
                )
                self.world.advance(timedelta())  # a case that was told nothing is closed all the same
                opened = set(self.world.cases) - before
                self.reports.append(loss)
                self.new = self.world.facts[self.auditor.read :]
                if first == case.name:  # it joined what it was said to, which the backend then learnt to be over
                    must(answer == "joined", f"{about} joins {case.name}, and something of it is nobody's")
                    case.closing = False
                    answer, allowed = self.oracle.answers(*about)
                    must(len(opened) == (answer == "opened"), f"{about} after {action} of {case.name} opens {opened}")
                    if answer == "refused":  # all that it says has ended: the case that is over has it
                        must(allowed == {"licence_ended"}, f"{about} after {action} of {case.name}: {allowed}")
                        allowed = {case.name}
                    of = next(iter(opened), None) or next(iter(allowed))
                    self.say(lambda: self.oracle.report(of, *about, loss["occurred"], loss["evidence"]))
                else:
                    must((first in opened) == (answer == "opened"), f"{about} is answered with {first}")
                    self.say(lambda: self.comes_between(first, case, about, loss))
                for name in opened:
                    former = self.auditor.of(name)[0].fact.former
                    must(former == self.oracle.cases[name].former, f"{name} names {former} as the former")
            case "found":
                self.world.found(late, case.serial, reporter)
                self.say(self.found(case.serial, f"found/{late}"))
                self.is_addressed(case, f"found/{late}", None)
            case "evidence":
                speaker = Reporter(role=Role(who[0]), name=who[1])
                self.world.evidence(late, of_report, case.serial, speaker, ("photo",))
                cases = self.oracle.cases_of(of_report, case.serial, who)
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

    def comes_between(self, first: str, case: Case, about: tuple[Any, ...], loss: dict[str, Any]) -> None:
        """A report that meets a case which is decided and not closed is another case's; then that one is closed."""
        self.oracle.report(first, *about, loss["occurred"], loss["evidence"])
        if case.closing:
            self.oracle.closed(case, about, loss["occurred"], loss["evidence"])

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
