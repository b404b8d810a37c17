"""Leases in memory: what they come to, and which licences would be renewed."""

from dataclasses import replace
from datetime import datetime

from activities.licensing.lease_rules import put_off, swept
from events.fact import Fact
from events.terms import LicenceId
from simulation.licensing.records import Tables


class Leases(Tables):
    """Sweeps leases."""

    def sweep_leases(self, now: datetime, limit: int, processed: datetime) -> int:
        """State what leases have come to by `now`, at most `limit` times; how often it was."""
        due = [(at, name) for name, at in self.lease_next.items() if at is not None and at <= now]
        left = limit
        for serial in dict.fromkeys(self.licences[name].serial for _, name in sorted(due)):
            here = [self.licences[name] for _, name in sorted(due) if self.licences[name].serial == serial]
            container, at = self.containers[serial], max(now, processed)
            off = put_off(container, here, {one.subject for one in self._in_effect(at)})
            self.lease_next |= dict.fromkeys(off)
            facts: list[Fact] = []
            for licence in here:
                if licence.licence not in off and left > 0:
                    found = swept(licence, now, left)
                    self.lease_next[licence.licence] = found.following
                    self.licences[licence.licence] = replace(licence, lease_stage=found.stage)
                    facts += found.facts
                    left -= len(found.facts)
            self._state(serial, now, facts)
        return limit - left

    def effective(self, licence: LicenceId, at: datetime) -> list[int]:
        """The generations of a licence that would be renewed now."""
        known = self.licences[licence]
        blocked = {one.subject for one in self._in_effect(at)}
        return [] if put_off(self.containers[known.serial], [known], blocked) else [known.generation]
