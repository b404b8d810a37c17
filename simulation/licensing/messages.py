"""What is said to a case, in memory: finds, evidence and decisions."""

from collections.abc import Sequence
from datetime import datetime

from activities.licensing import claim_rules
from activities.licensing.message_rules import (
    Speaker,
    confirmed_decision,
    decider,
    evidence,
    evidence_said,
    no_case_of,
    no_report,
    number_taken,
    unknown_case,
)
from events.errors import Code
from events.evidence import EvidenceFile
from events.ports.licensing_backend import CaseKey
from events.ports.loss_cases import (
    AcceptedDecision,
    ConfirmedDecision,
    DecisionContent,
    DecisionOrder,
    DecisionQuestion,
    Joined,
    Sighting,
)
from events.principal import Principal
from events.statements import EvidenceStatement, FoundStatement, ReturnStatement
from events.terms import CaseId, Cause, PersonId, Reporter
from simulation.licensing.records import Tables


class Messages(Tables):
    """Accepts messages to cases."""

    def turn_up(
        self, principal: Principal, statement: FoundStatement | ReturnStatement, received: datetime
    ) -> list[CaseKey]:
        """Say to every open case of a container that it turned up."""
        cause = Cause.FOUND if isinstance(statement, FoundStatement) else Cause.RETURNED
        container = self._container(statement.serial)
        claim_rules.may_turn_up(container, statement, self.delegated(statement.reporter, container, received))
        content = Sighting(statement=f"{cause}/{statement.report}", cause=cause, occurred=statement.occurred)
        cases = [one for one in self.cases.values() if one.key.serial == statement.serial]
        if not cases:
            raise no_case_of(statement.serial)
        if not self._first_said(statement.reporter, content.statement, statement.serial):
            return []
        speaker = Speaker.of(principal, statement.reporter)
        if keys := [one.key for one in cases if not one.closed]:
            for key in keys:
                self._post(key, content, speaker)
            return keys
        last = max(cases, key=lambda one: (one.closed or received, one.key.case))
        self._address(last.key, content, speaker, received)
        return []

    def give_evidence(
        self, principal: Principal, statement: EvidenceStatement, received: datetime, files: Sequence[EvidenceFile]
    ) -> CaseKey:
        """Bring evidence to the case of a report."""
        reporter, author = statement.reporter, statement.report_by or statement.reporter
        container = self.rightful(statement.serial, reporter, received)
        fitting = [
            (who == author, at, case, who)
            for (report, who), (_, case, at) in self.reports.items()
            if report == statement.report and self.cases[case].key.serial == statement.serial
            if who == author or statement.report_by is None
        ]
        if not fitting:
            raise no_report(statement)
        _, _, name, who = max(fitting, key=lambda one: one[:3])
        key = self.cases[name].key
        content = evidence(statement, files, container.holder)
        if self._first_said(reporter, content.statement, evidence_said(statement)):
            speaker = Speaker.of(principal, reporter)
            for one in sorted([key, *self._further(key, statement.report, who)], key=lambda key: key.case):
                if not self._post(one, content, speaker):
                    self._address(one, content, speaker, received)
        return key

    def _further(self, key: CaseKey, report: str, reporter: Reporter) -> list[CaseKey]:
        """The further cases that a report of a case opened."""
        return [
            one.key
            for one in self.cases.values()
            if one.key.serial == key.serial and one.key != key
            for opening, _ in one.messages[:1]
            if isinstance(opening, Joined) and (opening.report.report, opening.report.reporter) == (report, reporter)
        ]

    def _first_said(self, reporter: Reporter, statement: str, said: str) -> bool:
        before = self.statements.get((statement, reporter))
        if before is not None and before != said:
            raise number_taken(statement)
        self.statements[statement, reporter] = said
        return before is None

    def accept_decision(
        self, principal: Principal, case: CaseId, content: DecisionContent, at: datetime
    ) -> AcceptedDecision:
        """Take a decision in as a message to its case."""
        if case not in self.cases:
            raise unknown_case(case)
        key, order, speaker = self.cases[case].key, DecisionOrder.of(principal, content), decider(principal)
        if known := self.decisions.get((case, order.decision)):
            number, before = known
            if before.model_copy(update={"on": order.on}) == order:
                return AcceptedDecision(key=key, number=number, on=before.on)
            refused = Code.DECISION_ID_TAKEN
        elif taken := self._post(key, order, speaker):
            self.decisions[case, order.decision] = taken, order
            return AcceptedDecision(key=key, number=taken, on=order.on)
        else:
            refused = Code.NOTHING_TO_DECIDE
        self._address(key, order, speaker, at, refused)
        return AcceptedDecision(key=key, number=None, on=order.on, refused=refused)

    def confirm_decision(self, question: DecisionQuestion, _: datetime) -> ConfirmedDecision:
        """What a door brought under a number, and whom the policy in force lists as supervisors."""
        known = {number: order for (case, _), (number, order) in self.decisions.items() if case == question.key.case}
        reported = self.reporters(question.key.case)
        return confirmed_decision(known.get(question.number), self.policies[-1], reported)

    def reporters(self, case: CaseId) -> set[PersonId]:
        """Who reported the loss of a case."""
        has = {who.name for (_, who), (_, of, _) in self.reports.items() if of == case}
        return has | {who.name for _, who in self.cases[case].reports}
