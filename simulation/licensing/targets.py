"""Where a replacement goes, in memory."""

from datetime import datetime

from activities.licensing.containers import Container
from activities.licensing.judgement import Activation, bound_already
from activities.licensing.replacement import (
    CONTAINERS,
    Wanted,
    may_take,
    must_be_nobodys,
    must_take_the_full,
    preference,
)
from events.backend_facts import ContainerActivated
from events.ports.licensing_backend import CaseKey, Issued, IssueOrder
from events.ports.loss_cases import Offer
from events.terms import Aim, CaseId, Serial, Target
from simulation.licensing.records import Tables


class Targets(Tables):
    """Finds a target, and offers one to the cases that wait."""

    def _target(self, order: IssueOrder, licences: int, at: datetime) -> Container | None:
        key = order.key
        lost = self.containers[key.serial]
        case = self.cases[key.case]
        if order.full:
            stop_gap = self.containers[case.issued[False].target]
            must_take_the_full(stop_gap, self._is_blocked(stop_gap))
            must_be_nobodys(self._claimed_by(key, case.issued[False]))
            return stop_gap
        if order.target is Target.ACTIVATION:
            shown = self.pending.pop(key.case, None)
            if shown is None:
                return None
            if bound_already(lost, case.generation, shown):
                return lost
            bound = self._raise(key, Activation(shown, key))
            activated = ContainerActivated(
                serial=key.serial, generation=bound.generation, fingerprint=shown, case=key.case
            )
            self._state(key.serial, at, [activated])
            return bound
        wanted = Wanted(order.target, case.holder, lost.kind, lost.serial, licences)
        fitting = [one for one in self.containers.values() if self._may_take(one, wanted)]
        return min(fitting, key=preference, default=None)

    def _may_take(self, container: Container, wanted: Wanted) -> bool:
        return may_take(container, wanted, blocked=self._is_blocked(container), lost=self._is_lost(container))

    def _offer(self, *serials: Serial) -> None:
        """Say to the waiting cases that these containers may take their replacements, as far as they may."""
        for case in list(self.cases.values()):
            if case.awaits in CONTAINERS and not case.closed:
                lost = self.containers[case.key.serial]
                wanted = Wanted(case.awaits, case.holder, lost.kind, lost.serial)
                for serial in serials:
                    if self._may_take(self.containers[serial], wanted):
                        self._post(case.key, Offer(serial=serial))

    def _claimed_by(self, key: CaseKey, last: Issued) -> CaseId | None:
        """Another case that has lost one of these generations by now."""
        names = {(f"{Aim.LICENCE}/{item.licence}", item.generation) for item in last.licences}
        others = {one.case for one in self.claims if not one.freed and (one.subject, one.generation) in names}
        return min(others - {key.case}, default=None)
