"""Replacements in memory."""

from dataclasses import replace
from datetime import datetime

from activities.licensing.access_rules import renewal
from activities.licensing.claim_rules import resets_taken_over
from activities.licensing.containers import Container
from activities.licensing.lease_rules import first_notice
from activities.licensing.replacement import (
    CONTAINERS,
    all_ended,
    answer_for,
    end_of,
    left_of,
    may_issue,
    no_target,
    stated_of,
    successions,
)
from events.measure_life import blocks
from events.ports.licensing_backend import CaseKey, Issued, IssueOrder, NoTargetFound
from events.terms import Target, next_generation
from simulation.licensing.access_data import AccessData
from simulation.licensing.targets import Targets


class Issuance(Targets, AccessData):
    """Issues the next generation of what a case has lost."""

    def _replace(self, order: IssueOrder, at: datetime) -> Issued | NoTargetFound:
        key, case = order.key, self.cases[order.key.case]
        if done := case.issued.get(order.full):
            return done
        standing = {one.measure for one in self._measures_of(key) if blocks(one.state)}
        resets = resets_taken_over(key.case, self._all_claimed(key.serial))
        refused = may_issue(order, case.overtaken, resets, standing, at)
        if refused is not None:
            return refused
        lost = left_of(self._lost(key))
        if order.target is Target.SAME_CONTAINER:
            renewed = self._renew_access(order, at)
            if isinstance(renewed, NoTargetFound):
                case.awaits = Target.SAME_CONTAINER
                return renewed
            issued: Issued | None = renewed
        elif not lost:
            return all_ended(at)
        else:
            target = self._target(order, len(lost), at)
            issued = self._issue(order, target, at) if target else None
        case.awaits, case.match = (None, None) if issued else (order.target, order.match)
        case.activation = order.activation
        if issued is None:
            return no_target(lost, at)
        case.issued[order.full] = issued
        if order.target in CONTAINERS and not order.full:
            self._offer(key.serial)
        return issued

    def _renew_access(self, order: IssueOrder, at: datetime) -> Issued | NoTargetFound:
        key, case = order.key, self.cases[order.key.case]
        container = self.containers[key.serial]
        renewed = renewal(order, case.generation, container, self._accesses(key.serial), at)
        if renewed.offer:
            self._offer_access(key.serial, renewed.offer, at)
        if renewed.rotated:
            self.containers[key.serial] = replace(container, generation=next_generation(case.generation))
            self._resume_leases(key.serial)
            self._forget_guesses(key.serial)
            self._end_sessions(key, at)
        return renewed.answer

    def _issue(self, order: IssueOrder, target: Container, at: datetime) -> Issued:
        stop_gap = self.cases[order.key.case].issued[False] if order.full else None
        return self._next(order.key, stop_gap, target, at, end_of(order, at))

    def _next(
        self, key: CaseKey, last: Issued | None, target: Container, at: datetime, ends: datetime | None
    ) -> Issued:
        """The next generation of all licences of a case, or of none."""
        source = last.target if last else key.serial
        several = successions(left_of(self._lost(key)), last, self.licences, source, target.serial, at, ends)
        for one in several:
            licence = one.licence
            self.licences[licence.licence] = licence
            self.lease_next[licence.licence] = first_notice(licence.terms, at, licence.expires)
            self.superseded[licence.licence, one.superseded] = key
            self.issued_for[licence.licence, licence.generation] = (key.case, target.generation)
        files = {one.licence.licence: one.licence.licence for one in several}
        superseded, granted = stated_of(several, source, target, key.case, files)
        self._count(source, target.serial)
        self._state(source, at, superseded)
        self._state(target.serial, at, granted)
        return answer_for(several, target.serial, at)
