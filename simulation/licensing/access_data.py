"""The access data of cloud containers, in memory."""

from dataclasses import replace
from datetime import datetime
from hashlib import sha256

from activities.licensing.access_rules import (
    Access,
    former,
    handed_out,
    lapsing,
    link_name,
    must_be_a_password,
    must_be_another,
    must_be_cloud,
    owed,
    taken,
)
from activities.licensing.containers import must_be_theirs
from events.backend_facts import AccessLapsed, AccessOffered, AccessSet, SessionsEnded
from events.ports.licensing_backend import AccessLink, CaseKey
from events.ports.loss_cases import Offer
from events.principal import Principal
from events.terms import CaseId, Serial, Target
from simulation.licensing.records import Tables


class AccessData(Tables):
    """Offers and sets access data, and ends what hangs on the old ones."""

    def access_link(self, principal: Principal, serial: Serial, at: datetime) -> AccessLink:
        """The link by which the holder sets the access data that are owed."""
        container = must_be_cloud(must_be_theirs(self._container(serial), principal))
        found, anew = handed_out(container, self._accesses(serial), at)
        if anew:
            self._offer_access(serial, found, at)
        return AccessLink(token=self._token(serial, found), generation=found.generation, until=found.until)

    def set_access(self, serial: Serial, token: str, password: str, at: datetime) -> None:
        """The holder sets the access data that are owed, which the cases that waited for them are offered."""
        must_be_a_password(password)
        container = must_be_cloud(self._container(serial))
        accesses = self._accesses(serial)
        found = owed(container, accesses)
        found = taken(found, self._token(serial, found) if found else "", token, at)
        must_be_another(password in [one.password for one in former(found, accesses)])
        self.access[serial, found.generation] = replace(found, password=password, set_at=at)
        if found.generation > container.generation:
            self.containers[serial] = replace(container, generation=found.generation)
            self._resume_leases(serial)
        self._forget_guesses(serial)
        self._state(serial, at, [AccessSet(serial=serial, generation=found.generation)])
        waiting = [one.key for one in self.cases.values() if one.key.serial == serial]
        for key in sorted(waiting, key=lambda key: key.case):
            if self.cases[key.case].awaits is Target.SAME_CONTAINER:
                self._post(key, Offer(serial=serial))

    def _accesses(self, serial: Serial) -> list[Access]:
        """All generations of access data that a container has and had."""

        def ended(case: CaseId | None) -> bool:
            freed = any(one.freed for one in self.claims if one.case == case)
            return case is not None and (self.cases[case].closed is not None or freed)

        return [replace(one, ended=ended(one.case_id)) for (name, _), one in self.access.items() if name == serial]

    def _offer_access(self, serial: Serial, offered: Access, at: datetime) -> None:
        self.access[serial, offered.generation] = offered
        fact = AccessOffered(serial=serial, generation=offered.generation, case=offered.case_id, until=offered.until)
        self._state(serial, at, [fact])

    def _end_link(self, key: CaseKey, at: datetime) -> None:
        """The link that a case offered sets nothing any more."""
        ended = lapsing(self._accesses(key.serial), key.case, at)
        self.access |= {(key.serial, one.generation): one for one in ended}
        lapsed = [AccessLapsed(serial=key.serial, generation=one.generation, case=key.case) for one in ended]
        self._state(key.serial, at, lapsed)

    def _forget_guesses(self, serial: Serial) -> None:
        self.guesses[serial] = self.guesses[serial].after_new_access()

    def _end_sessions(self, key: CaseKey, at: datetime) -> None:
        if ended := self.sessions.pop(key.serial, {}):
            self._state(key.serial, at, [SessionsEnded(serial=key.serial, case=key.case, sessions=len(ended))])

    def _token(self, serial: Serial, access: Access) -> str:
        return self._secret(link_name(serial, access))

    def _secret(self, name: str) -> str:
        return sha256(f"{self.vendor}/{name}".encode()).hexdigest()
