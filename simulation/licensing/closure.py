"""The end of a case in memory."""

from dataclasses import replace
from datetime import datetime

from activities.licensing.claim_changes import Made, answer_all, frees
from activities.licensing.message_rules import Left
from activities.licensing.release import Release
from activities.licensing.replacement import is_reinstated, to_be_ordered_again
from events.backend_facts import HolderFlagged, RecoveryFreed
from events.measure_life import OPEN
from events.ports.licensing_backend import CloseOrder, Done
from events.terms import MeasureState
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
        if order.flag and case.holder not in self.flagged:
            self.flagged.add(case.holder)
            flagged = HolderFlagged(holder=case.holder, serial=key.serial, case=key.case, verdict=order.flag)
            self._state(key.serial, at, [flagged])
        if order.lift:
            self._resume_leases(key.serial)
        self._free(one for one in self.claims if one.case == key.case and frees(order, one.subject))
        if not order.recovered and (reserved := self.reservations.get(key.case)) and not reserved.freed:
            reserved.freed = True
            self._state(key.serial, at, [RecoveryFreed(case=key.case, serial=key.serial)])
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
        """Answer for a case what was said since it was decided."""
        key, case = order.key, self.cases[order.key.case]
        left = (Left(content, speaker, at) for content, speaker in case.messages[order.taken :])
        said: list[tuple[int, Left | Made]] = [
            *self._made_since(key, order.decided or at),
            *zip(case.places[order.taken :], left, strict=True),
        ]
        in_order = [one for _, one in sorted(said, key=lambda one: one[0])]
        self._write(answer_all(self._known_of(self._container(key.serial)), order, in_order, at))
