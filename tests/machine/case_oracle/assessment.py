"""Policy decides a case, and decides it again."""

from tests.machine.case_oracle.records import Case, must
from tests.machine.case_oracle.unloss import Unloss


class Assessment(Unloss):
    """Sends a case to a person, or on."""

    def _assess(self, case: Case) -> None:
        must(not case.only_watches or case.beside, f"{case.name} is of nothing at all")
        case.judged = {name: (self.licences[name].product, self.licences[name].value) for name in self._names(case)}
        case.why = self._limits(case, case.evidence)
        if self._quotas(case):
            case.beyond = self._reserve(case)
            case.why |= {f"quota of rule {number}" for number in case.beyond}
        if case.why:
            self._await_approval(case)
        else:
            self._block(case)
