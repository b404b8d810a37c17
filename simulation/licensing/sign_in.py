"""Signing in to cloud containers, in memory."""

from dataclasses import replace
from datetime import datetime

from activities.licensing.access_rules import (
    SignIn,
    SignInKnown,
    compared,
    contact_of,
    contacted,
    judge_sign_in,
    must_be_cloud,
    refused_sign_in,
    signed_in,
    superseded_by,
)
from activities.licensing.containers import Container
from activities.licensing.judgement import refusal_facts
from activities.licensing.message_rules import sighting
from events.measure_subject import Subject
from events.ports.licensing_backend import ContactAnswer, SignInAnswer
from events.terms import Aim, ContactId, Reporter, Role, Serial
from simulation.licensing.access_data import AccessData
from simulation.licensing.contacts import Contacts


class SignIns(Contacts, AccessData):
    """Serves or refuses a sign-in."""

    def sign_in(
        self, contact: ContactId, serial: Serial, password: str, at: datetime, origin: str | None, processed: datetime
    ) -> SignInAnswer:
        """Sign in to a cloud container."""
        attempt = SignIn(self.vendor, contact, serial, origin, at)
        container = must_be_cloud(self._container(serial))
        if self.guesses[serial].may_guess(origin, processed):
            same = (one for one in compared(container, self._accesses(serial)) if one.password == password)
            attempt = replace(attempt, compared=True, generation=next((one.generation for one in same), None))
        known = self._sign_in_known(attempt, container, processed)
        judgement = judge_sign_in(attempt, known)
        if judgement.refused:
            kept, refused = refused_sign_in(attempt, judgement.refused)
            self.contacts[serial, contact, True] = kept
            self._state(serial, at, [refused])
        replayed = (f"contact/{contact}", Reporter(role=Role.HOLDER, name=serial))
        if judgement.replayed and replayed not in self.statements:
            self.statements[replayed] = ""
            cases = judgement.replayed.cases
            said = refusal_facts(contacted(attempt), [key.case for key in cases], judgement.replayed.code)
            self._state(serial, at, said)
            for key in sorted(cases, key=lambda key: key.case):
                self._post(key, sighting(contact, at))
        answer = judgement.answer
        if answer is None:
            answer = signed_in(self.contact(contact_of(attempt), at, processed, by_password=True), known.session)
            if answer.session is None:
                return answer
            self.sessions[serial][known.session] = attempt.generation or 0
        self.guesses[serial] = judgement.guesses
        return answer

    def _sign_in_known(self, attempt: SignIn, container: Container, processed: datetime) -> SignInKnown:
        session = self._secret(f"session/{attempt.serial}/{attempt.contact}")
        blocks = Subject(Aim.ACCESS_DATA, attempt.serial, attempt.generation or 0)
        blockers = [one.key(self.vendor) for one in self._in_effect(processed) if one.subject == blocks]
        return SignInKnown(
            session=session,
            now=processed,
            guesses=self.guesses[attempt.serial],
            before=self._said_before((attempt.serial, attempt.contact, True), ContactAnswer),
            opened=self.sessions[attempt.serial].get(session),
            blocked_by=tuple(dict.fromkeys(blockers)),
            superseded_by=superseded_by(attempt, container, self._accesses(attempt.serial)),
        )
