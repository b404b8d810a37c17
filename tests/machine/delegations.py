"""Delegations are given, end and are revoked, in any order, and the delegate speaks."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.machine.case_oracle.records import TABLE, must
from tests.machine.contacts import Contacts
from tests.machine.play import DELEGATE, SERIALS, SOME
from tests.machine.reports import Reports

HOLDERS = st.sampled_from([("h-1",), ("dora",), ("h-1", "dora")])


class Delegations(Reports, Contacts):
    """Entrusts holders to a delegate, who reports what is lost and says what is found."""

    @rule(holders=HOLDERS, days=st.sampled_from([0, 3, 400]), revoked=st.sampled_from([False, False, False, True]))
    def give_a_delegation(self, holders: tuple[str, ...], days: int, revoked: bool) -> None:
        """It may end at once, and may have been revoked before."""
        self.tick()
        number = self.number("G")
        if revoked:
            self.world.revoke(number)
            self.say(lambda: self.oracle.revoke(number))
        until = self.world.now + timedelta(days=days)
        self.world.delegate(number, DELEGATE[1], holders, until)
        self.say(lambda: self.oracle.delegate(number, DELEGATE[1], holders, until))
        must([one.fact.name for one in self.new] == ["delegation.given"], f"{number} is given, and leaves {self.new}")
        refusal = self.refused(lambda: self.world.delegate(number, "eve", holders, until))
        must(refusal is not None and refusal.code == "report_id_taken", f"{number} is of another delegate: {refusal}")

    @rule(which=SOME)
    def revoke_a_delegation(self, which: int) -> None:
        if not self.oracle.delegations:
            return
        self.tick()
        number = self.pick(list(self.oracle.delegations), which)
        new = number not in self.oracle.revoked
        self.world.revoke(number)
        self.say(lambda: self.oracle.revoke(number))
        left = [one.fact.name for one in self.new]
        must(left == ["delegation.revoked"] * new, f"{number} is revoked, and leaves {left}")

    @rule(days=st.sampled_from([1, 4]))
    def pass_days(self, days: int) -> None:
        """Delegations end meanwhile."""
        until = self.world.now + timedelta(days=days)
        self.world.advance(timedelta(days=days))
        self.settle()
        self.oracle.now = until - timedelta(days=days)
        self.oracle.advance(until)
        self.oracle.offer()
        self.oracle.release()

    @rule(serial=st.sampled_from(SERIALS), reason=SOME)
    def report_as_a_delegate(self, serial: str, reason: int) -> None:
        """For whoever holds it, whether they are entrusted or not."""
        self.tick()
        reasons = [reason for of, reason in TABLE if of == self.kinds[serial]]
        self.state_loss(
            report=self.number("R"),
            serial=serial,
            kind=self.kinds[serial],
            reason=reasons[reason % len(reasons)],
            by=DELEGATE,
            scope="container",
            names=(),
            occurred=self.world.now,
            evidence=("police_report",),
        )

    @rule(serial=st.sampled_from(SERIALS), cause=st.sampled_from(["found", "found", "returned"]))
    def say_as_a_delegate_that_it_turned_up(self, serial: str, cause: str) -> None:
        self.tick()
        self.find(serial, cause, "delegate")
