"""The end of a case in memory."""

from dataclasses import replace
from datetime import datetime

from activities.licensing import claim_rules
from activities.licensing.claims import Made, statement_of
from activities.licensing.closure import goes_on_to
from activities.licensing.message_rules import Speaker
from activities.licensing.release import Release
from activities.licensing.replacement import is_reinstated, to_be_ordered_again
from events.backend_facts import HolderFlagged, RecoveryFreed
from events.errors import Code
from events.measure_life import OPEN
from events.ports.licensing_backend import CaseKey, Claim, CloseOrder, Done
from events.ports.loss_cases import Content, DecisionOrder, Joined
from events.terms import Aim, Measure, MeasureState, Outcome, PersonId
from simulation.licensing.claims import Claims
from simulation.licensing.reinstatement import Reinstatement


class Closure(Claims, Reinstatement):
    """Ends a case, and answers for it what it did not take."""

    def _close(self, order: CloseOrder, at: datetime) -> Done:
        key, case = order.key, self.cases[order.key.case]
        case.awaits = None
        if (fetched := self.codes.get(key.serial)) and fetched.case_id == key.case:
            self.codes[key.serial] = replace(fetched, case_id=None)
        self._keep(key, at)
        given_back = self._stand_again(order, at)
        left = [one for one in self._of(key.case) if one.standing.state in OPEN]
        self._end(left, MeasureState.LIFTED if order.lift else MeasureState.UNCONFIRMABLE, at)
        self._end_link(key, at)
        if not order.recovered:
            self._free(key.case)
            freed = [one for one in self.reservations if one.case == key.case and not one.freed]
            for one in freed:
                one.freed = True
            self._state(key.serial, at, [RecoveryFreed(case=key.case, serial=key.serial)] if freed else [])
        elif order.outcome is Outcome.FOUND:
            self._free(key.case, but=Aim.LICENCE)
        elif order.lift:
            self._free(key.case, only=Measure.BLACKLISTING)
        if order.lift:
            self._resume_leases(key.serial)
        if order.flag and case.holder not in self.flagged:
            self.flagged.add(case.holder)
            flagged = HolderFlagged(holder=case.holder, serial=key.serial, case=key.case, verdict=order.flag)
            self._state(key.serial, at, [flagged])
        case.closed, case.outcome, case.approved = at, order.outcome, order.approved
        case.release = Release.LIFTED if given_back else None
        self._answer_all(order, at)
        self._offer(key.serial)
        self._wake(key)
        return Done(at=at)

    def _stand_again(self, order: CloseOrder, at: datetime) -> bool:
        """Order the measures again that an un-loss lifted, where its case does not reinstate the original; whether what
        it lifted stays so."""
        key, case = order.key, self.cases[order.key.case]
        if case.release is not Release.LIFTED or order.lift:
            return order.lift
        reinstated = is_reinstated(order.outcome, case.last, case.reinstated)
        again = to_be_ordered_again(order, reinstated, case.issued.values(), self._measures_of(key))
        again.sort(key=lambda one: (str(one.subject), one.measure))
        facts = [
            self._order(key.case, (key.serial, one.container_generation), one.measure, one.subject, at, at)
            for one in again
        ]
        self._state(key.serial, at, facts)
        return reinstated

    def _answer_all(self, order: CloseOrder, at: datetime) -> None:
        """Answer for a case what was said since it was decided: to it, and in reports of which it claimed a part."""
        key, case = order.key, self.cases[order.key.case]
        anew: dict[CaseKey, set[PersonId]] = {}
        said: list[tuple[int, tuple[Content, Speaker | None] | Made]] = [
            *self._made_since(key, order.decided or at),
            *zip(case.places[order.taken :], case.messages[order.taken :], strict=True),
        ]
        for _, one in sorted(said, key=lambda one: one[0]):
            if isinstance(one, Made):
                further, rest = self._claim_rest(key, one)
                for other in sorted(other.case for other in anew if one.opened and other.case in rest.cases):
                    self._overtake(other, one.case)
                anew |= {further: set()} if further else {}
                continue
            content, speaker = one
            if speaker is None:
                continue
            again = self._answer(order, content, speaker, at)
            if again is not None and (again.answer == "opened" or again.key in anew):
                anew.setdefault(again.key, set()).add(speaker.by)
            for key_of_new in goes_on_to(content, anew):
                self._post(key_of_new, content, speaker)

    def _answer(self, order: CloseOrder, content: Content, speaker: Speaker, at: datetime) -> Claim | None:
        """Answer for a case what it did not take; what is claimed anew for a report."""
        if isinstance(content, Joined) and content.report.received > (order.decided or at):
            stated = statement_of(content.report)
            container = self._container(stated.serial)
            if self._whose(container, stated) != claim_rules.Joins(order.key.case):
                return self._claim(container, stated, content.report.door, content.report.received)
        code = Code.NOTHING_TO_DECIDE if isinstance(content, DecisionOrder) else None
        self._address(order.key, content, speaker, at, code)
        return None
