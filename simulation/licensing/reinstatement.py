"""Un-loss in memory: the replacement is withdrawn, or kept, and the original reinstated."""

from datetime import datetime

from activities.licensing.containers import Container
from activities.licensing.release import Other, Release, must_be_free, taken_along
from activities.licensing.replacement import (
    as_claimed,
    is_withdrawn,
    left_of,
    may_release,
    must_be_nobodys,
    must_be_withdrawable,
    reinstatement,
    subjects_of,
    to_be_kept,
    withdrawals,
)
from events.backend_facts import ContainerReinstated
from events.measure_life import OPEN, blocks
from events.measure_subject import Subject
from events.ports.licensing_backend import CaseKey, Done, Issued, IssuedLicence, ReinstateOrder, Withdrawal
from events.ports.loss_cases import Offer
from events.terms import Aim, CaseId, Kind, Measure, MeasureState
from simulation.licensing.issuance import Issuance


class Reinstatement(Issuance):
    """Undoes a loss, as far as that may be."""

    def _release(self, key: CaseKey, at: datetime) -> None:
        """Lift the measures of the case, once nothing stands in the way of that."""
        case, container = self.cases[key.case], self._container(key.serial)
        last = case.last
        if not may_release(container, last, self._measures_of(key)):
            return
        if last:
            must_be_nobodys(self._claimed_by(key, last))
        else:
            must_be_free(key.serial, self._others(key, container, moved=False), at, begun=False)
        self._end([one for one in self._of(key.case) if one.standing.state in OPEN], MeasureState.LIFTED, at)
        if case.release is not Release.LIFTED:
            case.release = Release.LIFTED
            self._wake(key)

    def _wake(self, key: CaseKey) -> None:
        """Say to the other cases that have lifted their measures on the container that this one has too, or is over."""
        for name, other in sorted(self.cases.items()):
            waits = other.key.serial == key.serial and name != key.case and other.release is Release.LIFTED
            if waits and other.closed is None:
                self._post(other.key, Offer(serial=key.serial))

    def _others(self, key: CaseKey, container: Container, moved: bool) -> list[Other]:
        """The other cases of which a measure stands on the container or, where they have not `moved`, on the licences
        that stay as they are in it; where they have, those of which a replacement would be taken along."""
        here = {Subject(Aim.CONTAINER, key.serial, container.generation)}
        here |= set() if moved else set(as_claimed(self._lost(key)))
        names = {
            one.standing.case_id
            for one in self.measures.values()
            if one.standing.subject in here and blocks(one.standing.state)
        }
        standing = [self._other(name) for name in names - {key.case}]
        if not moved or container.kind is not Kind.ACT:
            return standing
        replaced = [
            (self._other(case), generation)
            for one in self._held(key.serial)
            for case, generation in [self.issued_for.get((one.licence, one.generation), (key.case, 0))]
            if case != key.case
        ]
        machines = {number: one.fingerprint for (name, number), one in self.activations.items() if name == key.serial}
        return [*standing, *taken_along(self.cases[key.case].generation, replaced, machines)]

    def _other(self, name: CaseId) -> Other:
        return Other(name, self.cases[name].release, self.cases[name].closed is not None)

    def _withdraw(self, key: CaseKey, at: datetime) -> Withdrawal:
        case, container = self.cases[key.case], self._container(key.serial)
        others = self._others(key, container, moved=True)
        last = must_be_withdrawable(key.case, key.serial, case.last, self._measures_of(key), others, at)
        ordered = {one.subject for one in withdrawals(last, self._measures_of(key))}
        target = (last.target, self._container(last.target).generation)
        self._state(
            last.target,
            at,
            [
                self._order(key.case, target, Measure.WITHDRAWAL, aimed, at, at)
                for aimed in subjects_of(last)
                if aimed not in ordered and not case.closed
            ],
        )
        standing = withdrawals(last, self._measures_of(key))
        times = [one.ordered for one in self._of(key.case) if one.standing in standing]
        return Withdrawal(at=max(times, default=at), confirmed=is_withdrawn(last, standing))

    def _keep(self, key: CaseKey, at: datetime) -> Done:
        kept = to_be_kept(self.cases[key.case].last, self._measures_of(key))
        self._end([one for one in self._of(key.case) if one.standing in kept], MeasureState.LIFTED, at)
        case = self.cases[key.case]
        case.release = None if case.release is Release.ASKED else case.release
        return Done(at=at)

    def _reinstate(self, order: ReinstateOrder, at: datetime) -> Issued:
        key, case = order.key, self.cases[order.key.case]
        if case.reinstated:
            return case.reinstated
        container, lost, last = self._container(key.serial), self._lost(key), case.last
        stands = {one.standing.subject for one in self.measures.values() if blocks(one.standing.state)}
        how = reinstatement(
            *(container, case.generation, last, self._measures_of(key)),
            *(self._others(key, container, moved=last is not None), len(left_of(lost)), at),
            lost_to=self._claimed_by(key, last) if last else None,
            blocked=Subject(Aim.CONTAINER, key.serial, container.generation) in stands,
            locked=bool(stands & set(as_claimed(lost))),
        )
        if how.raised:
            container = self._raise(key, self.activations.get((key.serial, case.generation)))
            again = ContainerReinstated(serial=key.serial, generation=container.generation, case=key.case)
            self._state(key.serial, at, [again])
        if how.as_they_are:
            licences = tuple(IssuedLicence(licence=one.licence, generation=one.generation) for one in lost)
        else:
            licences = self._next(key, last, container, at, None).licences
        case.reinstated = Issued(at=at, target=key.serial, licences=licences)
        self._offer(key.serial, *([last.target] if last else []))
        return case.reinstated
