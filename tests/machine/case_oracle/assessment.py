"""Policy decides a case, and decides it again."""

from tests.machine.case_oracle.records import UNDECIDED, Case, must
from tests.machine.case_oracle.unloss import Unloss


class Assessment(Unloss):
    """Sends a case to a person, or on."""

    def _assess(self, case: Case) -> None:
        must(not case.only_watches or case.beside, f"{case.name} is of nothing at all")
        case.why = self._limits(case, case.evidence)
        if self._quotas(case):
            case.beyond = self._reserve(case)
            case.why |= {f"quota of rule {number}" for number in case.beyond}
        if case.why:
            self._await_approval(case)
        else:
            self._block(case)

    def _again(self, case: Case, ask_quota: bool) -> None:
        """Policy decides again, now that more is known."""
        why = self._limits(case, case.evidence)
        beyond = case.beyond
        if self._quotas(case):
            if ask_quota:
                beyond = self._reserve(case)
            why |= {f"quota of rule {number}" for number in beyond}
        undecided = case.status in UNDECIDED
        if why and not undecided:
            if why != case.why:
                case.why = why
                self._await_approval(case)
        elif why:
            if why != case.why or (ask_quota and self.choice("decided anew", case.name)):
                case.first = None
            case.why, case.beyond = why, beyond
        elif undecided and ask_quota and not case.widened:
            case.why, case.beyond = why, frozenset()
            self._block(case)
