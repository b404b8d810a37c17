"""Activities that fail, crash, or come late, and messages that come twice."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from events.ports.licensing_backend import Withdrawal
from events.ports.loss_cases import ConfirmedDecision
from events.terms import CaseId
from tests.machine.case_oracle.records import Case, must
from tests.machine.play import SOME
from tests.machine.progress import Progress

ACTIVITIES = ("assess", "reserve", "block", "issue", "withdraw", "reinstate", "close", "keep")
FINAL = ("block", "issue", "withdraw", "reinstate")
"""The deeds of which a failure for good makes a case stuck."""


class Faults(Progress):
    """Makes trouble."""

    @rule(which=SOME, activity=st.sampled_from(ACTIVITIES), times=st.integers(1, 2))
    def have_trouble(self, which: int, activity: str, times: int) -> None:
        """Faults of every kind, one rule, so that they leave room for what goes well."""
        match which % 8:
            case 0 | 1:
                self.fail_in_passing(activity, times)
            case 2 if not self.passing and not self.open_cases("reinstating") and activity in FINAL:
                self.fail_for_good(activity)
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

    def fail_in_passing(self, activity: str, times: int) -> None:
        if not self.oracle.broken:
            self.world.break_activity(activity, times)
            self.passing += times + 1

    def fail_for_good(self, activity: str) -> None:
        self.world.break_activity(activity, None)
        self.oracle.broken.add(activity)

    def crash(self, case: Case) -> None:
        """An action done again changes nothing; one that found no target or recovery left may find one now, so those
        are left out."""
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
