"""Claims in memory: whose case a report is, and what is freed of it."""

from datetime import datetime
from uuid import uuid5

from activities.licensing import claim_rules
from activities.licensing.claims import Made, digest, further_case, statement_of
from activities.licensing.containers import Container
from activities.licensing.message_rules import Speaker
from events.case_facts import LossReported
from events.envelope import NAMESPACE
from events.ports.licensing_backend import CaseKey, Claim
from events.ports.loss_cases import REPORTS_LIMIT, Joined, Overtaken, ReplacementGone
from events.statements import LossStatement
from events.terms import CaseId, Serial
from simulation.licensing.access_data import AccessData
from simulation.licensing.records import Case, Claimed


class Claims(AccessData):
    """Claims what is lost for one case, and frees it again."""

    def claim(self, stated: LossStatement, door: str, received: datetime) -> Claim:
        """Whose case a report is."""
        container = self.rightful(stated.serial, stated.reporter)
        claim_rules.must_be_of_kind(container, stated)
        if known := self.reports.get((stated.report, stated.reporter)):
            said, case, at = known
            if said != digest(stated):
                raise claim_rules.said_otherwise(stated.report)
            of = self.cases[case]
            return Claim(key=of.key, received=at, closed=of.closed is not None, answer="repeated")
        return self._claim(container, stated, door, received)

    def _claim(self, container: Container, stated: LossStatement, door: str, received: datetime) -> Claim:
        reporter = stated.reporter
        case = CaseId(str(uuid5(NAMESPACE, f"{self.vendor}/report/{reporter.role}/{reporter.name}/{stated.report}")))
        found = self._whose(container, stated)
        report = stated.reported(door, received)
        if isinstance(found, claim_rules.Joins):
            self.reports[stated.report, reporter] = (digest(stated), found.case, received)
            of = self.cases[found.case]
            speaker = Speaker(reporter.name, reporter.role, door)
            reports = sum(of.key.case == one for _, one, _ in self.reports.values())
            if reports > REPORTS_LIMIT or not self._post(of.key, Joined(report=report), speaker):
                self._address(of.key, Joined(report=report), speaker, received)
            return Claim(key=of.key, received=received, closed=of.closed is not None, answer="joined")
        self.reports[stated.report, reporter] = (digest(stated), case, received)
        key = CaseKey(vendor=self.vendor, case=case, serial=stated.serial)
        self._open(container, key, report, found)
        for other in self._replaced_by(self.cases[case]):
            self._post(other, ReplacementGone(to=case))
        for name in found.beside:
            self._overtake(name, case)
        return Claim(key=key, received=received, answer="opened")

    def _whose(self, container: Container, stated: LossStatement) -> claim_rules.Joins | claim_rules.Opens:
        here = {one.licence: one.generation for one in self._held(stated.serial)}
        claimed = self._all_claimed(stated.serial)
        return claim_rules.whose(stated, container, here, claimed, blacklists=self._blacklists(stated))

    def _blacklists(self, stated: LossStatement) -> bool:
        products = {one.licence: one.product for one in self._held(stated.serial)}
        return claim_rules.orders_blacklisting(stated, products, self.policies[-1])

    def _open(self, container: Container, key: CaseKey, report: LossReported, found: claim_rules.Opens) -> None:
        """Open a case with the report that is its first message."""
        self.cases[key.case] = Case(
            key, container.holder, report.scope, container.generation, report.received, report.reason
        )
        for ended in found.ends:
            self._free(ended)
            self._end_link(self.cases[ended].key, report.received)
        self.claims += [Claimed(name, generation, key.serial, key.case) for name, generation in found.claims]
        beside = found.beside[0] if found.beside else None
        told = {"former": found.former, "beside": beside, "rejected": found.rejected}
        speaker = Speaker(report.reporter.name, report.reporter.role, report.door)
        self._post(key, Joined(report=report.model_copy(update=told)), speaker)

    def _overtake(self, name: CaseId, by: CaseId) -> None:
        """Say to a case, if it is open, that a wider loss was reported."""
        case = self.cases[name]
        case.overtaken = self._post(case.key, Overtaken(by=by)) or case.overtaken

    def _claim_rest(self, over: CaseKey, made: Made) -> tuple[CaseKey | None, claim_rules.Rest]:
        """Claim for a report that is another case's what a case that is over has freed of it."""
        stated = statement_of(made.report)
        container = self._container(stated.serial)
        here = {one.licence: one.generation for one in self._held(stated.serial)}
        claimed = self._all_claimed(stated.serial)
        blacklists = self._blacklists(stated)
        rest = claim_rules.rest_of(stated, container, here, claimed, made.case, over.case, blacklists=blacklists)
        if not rest.claims:
            return None, rest
        if made.opened and not made.closed and not rest.recovers:
            self.claims += [Claimed(name, generation, over.serial, made.case) for name, generation in rest.claims]
            return None, rest
        key = over.model_copy(update={"case": further_case(over, made.report)})
        rejected = claim_rules.rejection(rest.claims, claimed)
        found = claim_rules.Opens(rest.claims, former=over.case, beside=(made.case,), rejected=rejected)
        self._open(container, key, made.report, found)
        return key, rest

    def _made_since(self, over: CaseKey, decided: datetime) -> list[tuple[int, Made]]:
        """The reports of a container that were received after a case of it was decided, and are other cases', by their
        place among all that was said."""
        return sorted(
            (
                (place, Made(content.report, name, number == 0, case.closed is not None))
                for name, case in self.cases.items()
                if case.key.serial == over.serial and name != over.case
                for number, (place, (content, _)) in enumerate(zip(case.places, case.messages, strict=True))
                if isinstance(content, Joined) and content.report.received > decided
                if self.reports[content.report.report, content.report.reporter][1] == name
            ),
            key=lambda one: one[0],
        )

    def _all_claimed(self, serial: Serial) -> list[claim_rules.Claimed]:
        """All that cases of a container claim or claimed."""
        kind = self.containers[serial].kind
        return [
            claim_rules.Claimed(
                *(
                    one.subject,
                    one.generation,
                    one.case,
                    case.received,
                    claim_rules.recovery_of(kind, case.reason),
                    one.freed,
                ),
                *(case.closed is not None, case.outcome, case.approved),
            )
            for one in sorted(self.claims, key=lambda one: (-one.generation, one.subject))
            if one.serial == serial
            for case in [self.cases[one.case]]
        ]

    def _replaced_by(self, case: Case) -> tuple[CaseKey, ...]:
        """The open cases that issued what this one claims."""
        claimed = {(one.subject, one.generation) for one in self.claims if one.case == case.key.case}
        return tuple(
            other.key
            for other in self.cases.values()
            if other is not case and not other.closed and claimed & set(self._issued_for(other))
        )

    def _free(self, case: CaseId, but: str = " ", only: str = "") -> None:
        """Free the claims of a case, but those on this, or only those."""
        for claim in self.claims:
            if claim.case == case and not claim.subject.startswith(f"{but}/") and claim.subject.startswith(only):
                claim.freed = True
