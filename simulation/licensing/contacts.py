"""Contacts in memory: containers that report in, are activated, or are given back."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import TypeVar

from activities.licensing.activation_code_rules import (
    TRIES,
    Fetched,
    fetch,
    must_be_activated_by_code,
    none_awaits,
    written,
)
from activities.licensing.containers import Container, must_be_theirs
from activities.licensing.judgement import (
    Activation,
    Awaiting,
    Known,
    answer_of,
    code_after,
    facts_of,
    filed_again,
    given_back,
    judge,
    must_be_returnable,
    number_taken,
    renewals,
    return_facts,
    said_to_cases,
)
from activities.licensing.lease_rules import first_notice
from activities.licensing.triage import asking, match_of, triage
from events.measure_life import in_effect
from events.measure_subject import Subject
from events.ports.licensing_backend import ActivationCode, ContactAnswer, ReceiptAnswer, Triage
from events.ports.loss_cases import Settled
from events.principal import Principal
from events.statements import ContactStatement, DeactivationStatement
from events.terms import ActivationBy, Aim, ContactId, MeasureState, Reason, Serial, Target
from simulation.licensing.records import Tables

Said = TypeVar("Said", ContactAnswer, ReceiptAnswer)
RECEIPT = "a receipt"
"""Stands for every signed receipt. For the file of a licence stands its name."""


class Contacts(Tables):
    """Serves or refuses a container."""

    def activation_code(self, principal: Principal, serial: Serial) -> ActivationCode:
        """The code by which a machine is bound for the cases that wait for one; the same until it is used."""
        must_be_activated_by_code(must_be_theirs(self._container(serial), principal))
        waiting = [
            (case.received, case.key.case)
            for case in self.cases.values()
            if (case.key.serial, case.awaits, case.activation) == (serial, Target.ACTIVATION, ActivationBy.CODE)
        ]
        cases = tuple(case for _, case in sorted(waiting))
        if not cases:
            raise none_awaits(serial)
        self.codes[serial] = fetched = fetch(self.codes.get(serial), cases)
        return ActivationCode(code=self._code(serial, fetched), cases=cases, tries_left=TRIES - fetched.wrong)

    def _code(self, serial: Serial, fetched: Fetched) -> str:
        return written(sha256(f"{self.vendor}/{serial}/{fetched.number}/{fetched.case_id}".encode()).digest())

    def contact(
        self, statement: ContactStatement, at: datetime, processed: datetime, by_password: bool = False
    ) -> ContactAnswer:
        """Serve or refuse a container that reports in."""
        container = self._container(statement.serial)
        number = (statement.serial, statement.contact, by_password)
        if known := self._said_before(number, ContactAnswer):
            return known
        judgement = judge(self._known(container, statement, processed), statement)
        for key in judgement.awaiting:
            self.pending[key.case] = statement.fingerprint or {}
        if fetched := code_after(self.codes.get(statement.serial), judgement):
            self.codes[statement.serial] = fetched
        self.containers[statement.serial] = replace(container, last_contact=max(container.last_contact or at, at))
        renewed = renewals(judgement, at)
        for item in renewed:
            self.licences[item.licence] = replace(item, lease_stage=None)
            self.lease_next[item.licence] = first_notice(item.terms, item.issued, item.expires)
        self._state(
            statement.serial,
            at,
            facts_of(statement, judgement, renewed, {item.licence: item.licence for item in renewed}),
        )
        filed = [item.licence for item in (*renewed, *filed_again(judgement, renewed))]
        for standing in judgement.delivered:
            self._move(standing, MeasureState.DELIVERED)
        for standing in judgement.confirmed:
            self._move(standing, MeasureState.CONFIRMED)
        answer = answer_of(judgement, tuple(sorted(filed)), self._settled(judgement.confirmed))
        self.contacts[number] = answer
        for key, content in said_to_cases(statement, answer):
            self._post(key, content)
        return answer

    def return_activation(self, statement: DeactivationStatement, at: datetime) -> ReceiptAnswer:
        """Take an activation back."""
        serial = statement.serial
        container = self._container(serial)
        number = (serial, statement.contact, False)
        if before := self._said_before(number, ReceiptAnswer):
            return before
        must_be_returnable(container, statement.generation)
        self.containers[serial] = replace(container, returned=max(container.returned, statement.generation))
        here = (one.standing for one in self.measures.values() if one.standing.serial == serial)
        confirmed = given_back(statement, [(one, self.cases[one.case_id].generation) for one in here])
        self._state(serial, at, return_facts(statement, confirmed, RECEIPT))
        for standing in confirmed:
            self._move(standing, MeasureState.CONFIRMED)
        answer = ReceiptAnswer(receipt=RECEIPT, settled=self._settled(confirmed))
        self.contacts[number] = answer
        for key in answer.settled:
            self._post(key, Settled())
        return answer

    def _said_before(self, number: tuple[Serial, ContactId, bool], kind: type[Said]) -> Said | None:
        """The answer that this number had, or `RefusalError` where it was that of something else."""
        answer = self.contacts.get(number)
        if answer is not None and not isinstance(answer, kind):
            raise number_taken(number[1], number[0])
        return answer

    def triage(self, principal: Principal, serial: Serial, shown: Mapping[str, str], at: datetime) -> Triage:
        """What can be done on a machine, before a loss is reported."""
        container = self._container(serial)
        must_be_theirs(container, principal, self.acts_for(principal.subject, container, at))
        known = self._known(container, asking(serial, shown), at)
        return triage(known, shown, match_of(self.policies[-1], known))

    def _known(self, container: Container, statement: ContactStatement, at: datetime) -> Known:
        presented = {item.licence for item in statement.licences}
        subjects = {Subject(Aim.LICENCE, item.licence, item.generation) for item in statement.licences}
        measures = sorted(
            (
                one
                for one in self.measures.values()
                if (one.standing.serial == container.serial or one.standing.subject in subjects)
                and in_effect(one.standing.state, one.ordered, one.effective, at)
            ),
            key=lambda one: (one.ordered, one.standing.case_id, one.standing.measure, str(one.standing.subject)),
        )
        here = [case for case in self.cases.values() if case.key.serial == container.serial]
        code = self.codes.get(container.serial)
        return Known(
            vendor=self.vendor,
            container=container,
            licences={
                one.licence: one
                for one in sorted(self.licences.values(), key=lambda one: one.licence)
                if one.serial == container.serial or one.licence in presented
            },
            measures=tuple(one.standing for one in measures),
            superseded={name: key for name, key in self.superseded.items() if name[0] in presented},
            activations={
                **{g: one for (serial, g), one in self.activations.items() if serial == container.serial},
                **{
                    g: Activation({}, self.cases[one.case_id].key if one.case_id else None)
                    for (serial, g), one in self.access.items()
                    if serial == container.serial
                },
            },
            stolen=tuple(
                (case.key, case.generation)
                for case in here
                if case.reason is Reason.COMPUTER_STOLEN and not case.closed
            ),
            awaiting=tuple(
                Awaiting(case.key, case.generation, case.match, case.activation, self.pending.get(case.key.case))
                for case in here
                if case.awaits is Target.ACTIVATION
            ),
            code=self._code(container.serial, code) if code and code.is_good else None,
        )
