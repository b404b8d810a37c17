"""Sightings, evidence and confirmed measures, said to a case."""

from collections.abc import Iterable
from datetime import datetime

from tests.machine.case_oracle.assessment import Assessment
from tests.machine.case_oracle.records import UNDECIDED, Case, must


class Messages(Assessment):
    """Takes messages."""

    def sight(self, case: Case, statement: str, cause: str, occurred: datetime) -> None:
        """What was lost turned up."""
        if case.status == "closed" or (case.name, statement) in self.said:
            return
        self.said.add((case.name, statement))
        before = (*UNDECIDED, "waiting")
        case.back = case.back or cause == "returned"
        unissued = case.target is None and (case.status in before or case.stuck_in in ("blocking", "replacing"))
        if cause == "found" and unissued:
            self._close(case, "cancelled")
        elif case.status == "stuck":
            if cause not in case.missed:
                case.missed.append(cause)
            if cause == "sighting":
                case.seen = max(occurred, case.seen or occurred)
        elif cause == "sighting" and case.status in (*before, "awaiting_target"):
            self._suspect(case, occurred)
        elif (
            cause == "returned"
            and case.reason == "damaged"
            and case.status in ("watching", "resurfaced")
            and not case.replacement_lost
            and not case.only_watches
        ):
            if case.overtaken:
                case.why = frozenset({"widened"})
                self._await_approval(case)
            else:
                self._issue(case)
        elif case.status == "watching" or (case.status in (*before, "awaiting_target") and cause == "found"):
            self._resurface(case, cause)

    def give_evidence(self, case: Case, statement: str, names: Iterable[str]) -> None:
        """Evidence for the loss."""
        if case.status == "closed" or (case.name, statement) in self.said:
            return
        self.said.add((case.name, statement))
        case.evidence |= set(names)
        if case.status in UNDECIDED:
            self._again(case, ask_quota=True)

    def confirm(self, case: Case) -> None:
        """A measure of the case was confirmed: it may be that nothing of what was lost can run any more, or that the
        replacement is withdrawn."""
        if case.status == "reinstating":
            self._withdraw(case)
        elif case.status != "closed" and self.choice("settled", case.name) and not case.settled:
            removed = any(
                all(
                    (one := case.measures.get((measure, own))) and one.state == "confirmed"
                    for own in self.subjects(case)
                )
                for measure in ("withdrawal", "deactivation")
            )
            must(removed, f"{case.name} is settled, and its measures are {case.measures}")
            case.settled = True
            if case.status == "watching" and not case.owes:
                self._close(case, "retired")
