"""Whose case a report is, and what the case is about."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tests.machine.case_oracle.assessment import Assessment
from tests.machine.case_oracle.records import UNDECIDED, Case, Container, Meets, must


class Reports(Assessment):
    """Takes reports."""

    def answers(
        self, report: str, serial: str, kind: str, reason: str, by: tuple[str, str], scope: str, names: Iterable[str]
    ) -> tuple[str, set[str]]:
        """What a report may be answered with: `refused` and the codes, `joined` and the cases, or `opened`."""
        container = self.containers.get(serial)
        if container is None or not self.may_speak(by, container.holder):
            return "refused", {"unknown_container"}
        codes = set()
        if container.kind != kind:
            codes.add("kind_mismatch")
        said = (serial, kind, reason, scope, tuple(sorted(set(names))))
        if (by, report) in self.reports and self.reports[by, report][0] != said:
            codes.add("report_id_taken")
        if codes:
            return "refused", codes
        if (by, report) in self.reports:
            return "joined", {self.reports[by, report][1]}
        meets = self._meets(container, reason, scope, names)
        if meets.unknown:
            return "refused", {"unknown_licence"}
        if not meets.lost and not meets.barred:
            found = meets.cases | meets.gone
            return ("joined", found) if found else ("refused", {"licence_ended"})
        here = [one for one in self.licences.values() if one.serial == serial]
        empty = kind != "cloud" and all(one.ended for one in here)
        if empty and not meets.cases:
            return ("joined", meets.gone) if meets.gone else ("refused", {"licence_ended" if here else "no_licence"})
        return "opened", meets.cases | meets.gone

    def case_of(self, report: str, serial: str, by: tuple[str, str]) -> "Case":
        """Whose case a report's number means: the speaker's own, or else the last one made of this container."""
        named = [
            (who == by, place, case)
            for place, ((who, number), (said, case)) in enumerate(self.reports.items())
            if number == report and said[0] == serial
        ]
        return self.cases[max(named)[2]]

    def cases_of(self, report: str, serial: str, by: tuple[str, str]) -> "list[Case]":
        """The same, and the further cases that this report opened."""
        first = self.case_of(report, serial, by)
        made = max(
            (who == by, place, who)
            for place, ((who, number), (said, _)) in enumerate(self.reports.items())
            if number == report and said[0] == serial
        )
        return [first, *(one for one in self.cases.values() if one is not first and one.opened_by == (made[2], report))]

    def _meets(self, container: Container, reason: str, scope: str, names: Iterable[str]) -> "Meets":
        """What of a report is nobody's yet, and whose the rest is."""
        here = {one.name: one.generation for one in self.licences.values() if one.serial == container.serial}
        whole = container.serial, container.generation
        lost = {whole} if container.kind == "cloud" else {whole, *here.items()}
        if scope == "licences":
            lost = {(name, here[name]) for name in names if name in here}
        ordered = {measure for measure, _ in self._measures(container.kind, reason)}
        barred = {(measure, claim) for measure in ordered for claim in ({whole} if scope == "container" else lost)}
        cases = [case for case in self.cases.values() if case.serial == container.serial]
        losers = {claim: {case.name for case in cases if case.holds(claim)} for claim in lost}
        barring = {bar: {one.name for one in cases if one.spares(bar, whole)} for bar in barred}
        missing = set(names) - set(here) if scope == "licences" else set()
        over = {name for name in here if self.licences[name].ended}
        emptied = scope == "container" and here.keys() <= over and container.kind != "cloud"
        gone = {
            case.name
            for case in cases
            if (not case.freed or case.closing) and (set(case.licences) & missing or (emptied and case.licences))
        }
        found = [case for case in cases if case.got_nothing and (case.lost & lost or case.barred & barred)]
        met = set().union(*losers.values(), *barring.values())
        resets = {
            name
            for name in met
            if self.cases[name].row.recovery == "reset" and (self.cases[name].closing or not self.cases[name].outcome)
        }
        return Meets(
            lost=frozenset(claim for claim, of in losers.items() if not of and claim[0] not in over),
            barred=frozenset(bar for bar, of in barring.items() if not of and bar[1][0] not in over),
            cases=met,
            gone=gone,
            former=max(found, key=lambda case: (case.received, case.name)).name if found else None,
            rejected=self._was_rejected(lost, barred),
            unknown=missing - {name for case in cases if not case.freed or case.closing for name in case.licences},
            resets=resets,
            taken_over=frozenset(claim for claim, of in losers.items() if of & resets),
        )

    def report(
        self,
        case: str,
        report: str,
        serial: str,
        kind: str,
        reason: str,
        by: tuple[str, str],
        scope: str,
        names: Iterable[str],
        occurred: datetime,
        evidence: Iterable[str],
    ) -> None:
        """A report was taken into this case: one of those that `answers` allows."""
        known = (by, report) in self.reports
        self.reports.setdefault((by, report), ((serial, kind, reason, scope, tuple(sorted(set(names)))), case))
        container = self.containers[serial]
        meets = self._meets(container, reason, scope, names)
        if not known:  # whoever reports a loss decides on no case that is about it
            for name in meets.cases | meets.gone:
                if self.cases[name].status != "closed":
                    self.cases[name].reporters.add(by[1])
        if case not in self.cases:
            new = Case(
                *(case, serial, kind, reason, scope, container.holder, container.generation),
                *(self.now, occurred, by, meets.lost | meets.taken_over, meets.barred, container.last_contact),
                *(self._losses(container.holder), container.holder in self.blamed),
                *(bool(meets.cases | meets.gone), meets.former, (by, report)),
            )
            new.rejected = meets.rejected
            new.products = self._products(serial, scope, names)
            new.evidence |= set(evidence)
            self.cases[case] = new
            self._tell(new)
            for other in meets.resets:
                self.cases[other].freed = True
            for other in [one for one in self.cases if one in meets.cases | meets.gone]:
                self._widen(self.cases[other])
        of = self.cases[case]
        if not known and of.status != "closed":
            of.reporters.add(by[1])
        self._tell(of)
        if of.status == "reported":
            self._assess(of)

    def closed(self, case: Case, made: tuple[Any, ...], occurred: datetime, evidence: Iterable[str]) -> None:
        """The backend knows that a case is over. Of a report that was made since it was decided, and that met it, a
        further case is about what it held of that, unless somebody else has that by then, or there is only something to
        block and the report opened a case that can. The further case is adopted by the name that it was given."""
        report, serial, kind, reason, by, scope, names = made
        container = self.containers[serial]
        before = self._meets(container, reason, scope, names)
        thieves = [one for one in self.cases.values() if case in self._taken_over(one) and one.status != "closed"]
        case.closing = False
        for theft in thieves:
            self._reset_is_over(theft, case)
        after = self._meets(container, reason, scope, names)
        own = self.cases[self.reports[by, report][1]]
        lost = case.lost & (after.lost - before.lost - own.lost)
        barred = case.barred & (after.barred - before.barred - own.barred)
        if not lost and not barred:
            return
        recovers = kind == "cloud" or any(name != serial for name, _ in lost)
        if not recovers and own.opened_by == (by, report) and own.status != "closed":
            own.lost, own.barred = own.lost | lost, own.barred | barred
            return
        name = self.choice("further", case.name)
        must(name, f"{report} of {serial} came after {case.name} was decided, and nobody claims {lost | barred} for it")
        new = Case(
            *(name, serial, kind, reason, scope, container.holder, container.generation),
            *(self.now, occurred, by, lost, barred, container.last_contact),
            *(self._losses(container.holder), container.holder in self.blamed, True, case.name, (by, report)),
        )
        new.rejected = self._was_rejected(lost, barred)
        new.products = self._products(serial, scope, names)
        new.evidence |= set(evidence)
        new.reporters.add(by[1])
        self.cases[name] = new
        self._assess(new)

    def _reset_is_over(self, theft: Case, reset: Case) -> None:
        """A theft that took a reset over goes on; to a person, if somebody had rejected that."""
        if reset.outcome == "rejected" and theft.status in (*UNDECIDED, "waiting", "replacing"):
            theft.rejected = True
            self._again(theft, ask_quota=False)
        if theft.status == "replacing":
            self._issue(theft)

    def _losses(self, holder: str) -> list[datetime]:
        return [case.received for case in self.cases.values() if case.holder == holder]

    def _widen(self, case: Case) -> None:
        """More than this case is about was reported lost, or more is to be blocked: it goes to a person before anything
        is issued for it; a reset of access data is over."""
        if case.status == "closed":
            return
        case.widened = case.overtaken = True
        if case.row.recovery == "reset":
            self._close(case, "cancelled")
        elif case.target is None and case.status in ("waiting", "awaiting_target"):
            case.why = frozenset({"widened"})
            self._await_approval(case)

    def _tell(self, case: Case) -> None:
        """The cases that issued what this one says is lost."""
        for other in self.cases.values():
            lost = case.lost & set(other.issued.items())
            if other is not case and other.status != "closed" and lost and not other.replacement_lost:
                other.replacement_lost = True
                if other.status == "reinstating":
                    self._keep(other)
                    other.status = "resurfaced"
