"""All of the oracle, and time."""

from datetime import datetime

from tests.machine.case_oracle.contacts import Contacts
from tests.machine.case_oracle.decisions import Decisions
from tests.machine.case_oracle.messages import Messages
from tests.machine.case_oracle.records import Case
from tests.machine.case_oracle.reports import Reports


class Oracle(Reports, Decisions, Contacts, Messages):
    """Says what must become of one vendor's cases."""

    def alarm(self, case: Case) -> datetime | None:
        """When something becomes of a case though nothing arrives."""
        return {
            "awaiting_approval": case.due,
            "waiting": case.waits_until,
            "awaiting_target": case.lapses,
            "watching": case.watch_until,
            "reinstating": case.release_until,
        }.get(case.status)

    def advance(self, until: datetime) -> None:
        """Time passes; what falls due does so in its order."""
        while True:
            due = [(at, case.name) for case in self.cases.values() if (at := self.alarm(case)) and at <= until]
            if not due:
                break
            at, name = min(due)
            self.now = max(self.now, at)
            self._elapsed(self.cases[name])
        self.now = until

    def _elapsed(self, case: Case) -> None:
        match case.status:
            case "awaiting_approval":
                approval = self.rule(case)["approval"]
                case.due = None
                undecided = approval.get("undecided", "keep_waiting")
                if undecided == "escalate":
                    case.status, case.escalated_to = "escalated", tuple(approval["escalate_to"])
                elif undecided == "reject":
                    self._close(case, "rejected")
            case "waiting":
                self._issue(case)
            case "awaiting_target":
                self._close(case, "lapsed")
            case "watching":
                self._close(case, "lapsed" if case.owes else "lost_for_ever")
            case "reinstating":
                case.stuck_in, case.status = "reinstating", "stuck"
