"""Claims in memory: what is known of a container is looked up, and what a report changes is set."""

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never

from activities.licensing import claim_changes
from activities.licensing.claim_changes import (
    STOPPING,
    CaseOpened,
    Change,
    ClaimsMade,
    Known,
    Made,
    Reported,
    ReportMoved,
    ResetEnded,
    Said,
    Stated,
    digest,
    repeated,
)
from activities.licensing.claim_rules import must_be_of_kind, recovered_from
from activities.licensing.containers import Container
from activities.licensing.message_rules import Speaker
from events.ports.licensing_backend import CaseKey, Claim
from events.ports.loss_cases import Joined
from events.principal import Principal
from events.statements import LossStatement
from events.terms import Kind
from simulation.licensing.access_data import AccessData
from simulation.licensing.records import Case, Claimed


class Claims(AccessData):
    """Claims what is lost for one case, and frees it again."""

    def claim(self, principal: Principal, statement: LossStatement, received: datetime) -> Claim:
        """Whose case a report is."""
        container = self.rightful(statement.serial, statement.reporter, received)
        must_be_of_kind(container, statement)
        if before := self.reports.get((statement.report, statement.reporter)):
            said, case, at = before
            of = self.cases[case]
            return repeated(statement, Reported(said, of.key, at, of.closed is not None))
        speaker = Speaker.of(principal, statement.reporter)
        report = statement.reported(speaker.door, received, container.holder)
        answer, changes = claim_changes.claim(self._known_of(container), report, speaker)
        self.reports[statement.report, statement.reporter] = digest(statement), answer.key.case, received
        self._write(changes)
        return answer

    def _known_of(self, container: Container) -> Known:
        """What is known of a container."""
        held = self._held(container.serial)
        open_ = [one for one in self.cases.values() if not one.closed]
        claimed = tuple(self._all_claimed(container.serial))
        held_now = [one for one in held if not one.ended or container.kind is Kind.CLOUD]
        of_products = held_now or [self.licences[name] for name in recovered_from(claimed)]
        return Known(
            self.vendor,
            container,
            licences={one.licence: one.generation for one in held if not one.ended},
            products={one.licence: one.product for one in of_products},
            policy=self.policies[-1],
            claimed=claimed,
            reports={one.key.case: one.reports for one in open_},
            issued_by={thing: one.key for one in open_ for thing in self._issued_for(one)},
            ended={one.licence: one.generation for one in held if one.ended},
        )

    def _write(self, changes: Iterable[Change]) -> None:
        """Set what a report changes, or the end of a case."""
        for change in changes:
            key = change.key
            match change:
                case CaseOpened(_, container, report):
                    self.cases[key.case] = Case(
                        key, container.holder, report.scope, container.generation, report.received, report.reason
                    )
                case ClaimsMade(claims=claims):
                    self.claims += [Claimed(name, generation, key.serial, key.case) for name, generation in claims]
                case ResetEnded(at=at):
                    self._end_link(key, at)
                    self._free(one for one in self.claims if one.case == key.case)
                case ReportMoved(report=report):
                    said, _, received = self.reports[report.report, report.reporter]
                    self.reports[report.report, report.reporter] = said, key.case, received
                case Said(_, content, _, speaker):
                    number = self._post(key, content, speaker)
                    if isinstance(content, STOPPING):
                        self.cases[key.case].overtaken = number or self.cases[key.case].overtaken
                case Stated(_, fact, at):
                    self._state(key.serial, at, [fact])
                case _:
                    assert_never(change)

    def _made_since(self, over: CaseKey, decided: datetime) -> list[tuple[int, Made]]:
        """The reports of a container that were received after a case of it was decided, and are other cases', by their
        place among all that was said."""
        return [
            (place, Made(content.report, name, number == 0, case.closed is not None, speaker))
            for name, case in self.cases.items()
            if case.key.serial == over.serial and name != over.case
            for number, (place, (content, speaker)) in enumerate(zip(case.places, case.messages, strict=True))
            if isinstance(content, Joined) and speaker and content.report.received > decided
            if self.reports[content.report.report, content.report.reporter][1] == name
        ]

    def _free(self, claims: Iterable[Claimed]) -> None:
        for one in claims:
            one.freed = True
