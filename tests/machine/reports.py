"""Reports of losses, of every kind and by everybody."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from pydantic import ValidationError

from events.terms import CaseId, Kind, Reason, Reporter, Role, Scope
from simulation.world import BEGIN
from tests.machine.case_oracle.records import TABLE, Case, must
from tests.machine.play import BACK_OFFICE, INVENTORY, MACHINE, NAMES, SERIALS, SOME, Play


class Reports(Play):
    """Reports losses."""

    @rule(licence=st.sampled_from(NAMES), other=st.sampled_from(["", "", "product", "value_cents", "serial"]))
    def state_inventory_again(self, licence: str, other: str) -> None:
        """The vendor says again what it said first, or something else, whatever became of it meanwhile."""
        serial, kind, holder, held = next(row for row in INVENTORY if licence in {name for name, *_ in row[3]})
        product, value = next((product, value) for name, product, value in held if name == licence)
        fields: dict[str, Any] = {"serial": serial, "product": product, "value_cents": value}
        different = {"product": "other", "value_cents": value + 1, "serial": "D-3"}
        before = len(self.world.facts)
        fields |= {other: different[other]} if other else {}
        refusal = self.refused(lambda: self.world.licence(licence, issued=BEGIN, **fields))
        must((refusal is None) is (not other), f"{licence} with another {other or 'nothing'}: {refusal}")
        machine = MACHINE if kind == "act" else None
        refusal = self.refused(
            lambda: self.world.register(serial, Kind(kind), "somebody" if other else holder, machine)
        )
        must((refusal is None) is (not other), f"{serial} of another holder: {refusal}")
        must(not other or len(self.world.facts) == before, f"{licence} stated otherwise leaves facts")
        if not other:
            self.said.append(lambda: None)
            self.say(lambda: self.oracle.register(serial, kind, holder, machine))

    @rule(
        serial=st.sampled_from(SERIALS),
        reason=SOME,
        by=st.sampled_from(["holder", "holder", "crm", "crm", "ann", "other", "kind"]),
        part=st.booleans(),
        names=st.sets(st.sampled_from(NAMES), max_size=2),
        hours=st.sampled_from([0, 0, 30, 24 * 40]),
        evidence=st.booleans(),
    )
    def report(
        self, serial: str, reason: int, by: str, part: bool, names: set[str], hours: int, evidence: bool
    ) -> None:
        self.tick()
        kind = (
            self.kinds[serial]
            if by != "kind"
            else {"dongle": "act", "act": "cloud", "cloud": "dongle"}[self.kinds[serial]]
        )
        reasons = [reason for of, reason in TABLE if of == kind]
        holder = self.holders[serial]
        reporter = {
            "holder": ("holder", holder),
            "other": ("holder", "dora" if holder == "h-1" else "h-1"),
            "ann": ("back_office", "ann"),
        }.get(by, BACK_OFFICE)
        known = [one.name for one in self.oracle.licences.values() if one.serial == serial]
        self.state_loss(
            report=self.number("R"),
            serial=serial,
            kind=kind,
            reason=reasons[reason % len(reasons)],
            by=reporter,
            scope="licences"
            if part and "licences" in TABLE[kind, reasons[reason % len(reasons)]].scopes
            else "container",
            names=sorted(names) if reason > 20 else known[: 1 + reason % 2] or sorted(names),
            occurred=self.world.now - timedelta(hours=hours),
            evidence=("police_report",) if evidence else (),
        )

    @rule(serial=st.sampled_from(SERIALS), reason=SOME, by=st.booleans(), evidence=st.booleans())
    def report_what_is_lost(self, serial: str, reason: int, by: bool, evidence: bool) -> None:
        """By its holder or a back-office system, and all of it."""
        self.tick()
        reasons = [reason for of, reason in TABLE if of == self.kinds[serial]]
        self.state_loss(
            report=self.number("R"),
            serial=serial,
            kind=self.kinds[serial],
            reason=reasons[reason % len(reasons)],
            by=("holder", self.holders[serial]) if by else BACK_OFFICE,
            scope="container",
            names=(),
            occurred=self.world.now,
            evidence=("police_report",) if evidence else (),
        )

    @rule(several=st.lists(st.sampled_from(["hardware_replaced", "computer_stolen", "same_hardware"]), min_size=2))
    def report_each_licence_of_an_act(self, several: list[str]) -> None:
        """Cases on one container that wait for a machine at the same time."""
        held = [one.name for one in self.oracle.licences.values() if one.serial == "A-1"]
        for name, reason in zip(held, several, strict=False):
            self.tick()
            self.state_loss(
                report=self.number("R"),
                serial="A-1",
                kind="act",
                reason=reason,
                by=BACK_OFFICE,
                scope="licences",
                names=(name,),
                occurred=self.world.now,
                evidence=("police_report",),
            )

    @rule(reason=SOME)
    @precondition(lambda self: any(case.target for case in self.open_cases()))
    def report_the_replacement_lost(self, reason: int) -> None:
        """What was issued is lost in turn."""
        self.tick()
        case = self.pick([case for case in self.open_cases() if case.target], reason)
        self.lose_replacement(case, reason)

    def lose_replacement(self, case: Case, reason: int) -> None:
        assert case.target is not None
        kind = self.kinds[case.target]
        reasons = [of for name, of in TABLE if name == kind]
        self.state_loss(
            report=self.number("R"),
            serial=case.target,
            kind=kind,
            reason=reasons[reason % len(reasons)],
            by=BACK_OFFICE,
            scope="container",
            names=(),
            occurred=self.world.now,
            evidence=("police_report",),
        )

    @rule(which=SOME, reason=SOME, part=st.sampled_from([False, False, True]))
    @precondition(lambda self: self.open_cases())
    def report_more(self, which: int, reason: int, part: bool) -> None:
        """What a case is about already is lost otherwise, or more of it."""
        self.tick()
        case = self.pick(self.open_cases(), which)
        reasons = [of for kind, of in TABLE if kind == case.kind and of != case.reason]
        named = reasons[reason % len(reasons)]
        held = [one.name for one in self.oracle.licences.values() if one.serial == case.serial]
        self.state_loss(
            report=self.number("R"),
            serial=case.serial,
            kind=case.kind,
            reason=named,
            by=BACK_OFFICE,
            scope="licences" if part and held and "licences" in TABLE[case.kind, named].scopes else "container",
            names=held[:1] if part else (),
            occurred=self.world.now,
            evidence=("police_report",),
        )

    def of_the_same(self, case: Case) -> dict[str, Any]:
        """A report of what a case is about, by the back office."""
        return {
            **{"report": self.number("R"), "serial": case.serial, "kind": case.kind, "reason": case.reason},
            **{"by": BACK_OFFICE, "scope": case.scope, "names": tuple(name for name, _ in sorted(case.lost))},
            **{"occurred": self.world.now, "evidence": ("police_report",)},
        }

    def answers(self, statement: str, case: Case | None, learning: set[str]) -> None:
        """A report to a case is a fact: its own while it is open, else the backend's; said again, it is none. The other
        open cases that it meets learn of it."""
        answers = [
            one
            for one in self.new
            if (one.fact.name == "case.addressed" and one.fact.statement == statement)
            or (one.fact.name == "loss.reported" and f"report/{one.fact.report}" == statement)
        ]
        learnt = [one for one in answers if one.fact.name == "loss.reported" and one.fact.beside and one.sequence > 1]
        answers = [one for one in answers if one not in learnt]
        heard = sorted((one.stream.removeprefix("case/"), one.fact.beside) for one in learnt)
        due = sorted((name, case.name) for name in learning) if case else []
        must(heard == due, f"{heard} learn of {statement}, and must be {due}")
        if case is None:
            must(not answers, f"{statement} was said before, and is said to be new")
            return
        name = "case.addressed" if case.status == "closed" else "loss.reported"
        must([one.fact.name for one in answers] == [name], f"{statement} to {case.name} is answered by {answers}")
        of = answers[0].fact.case if case.status == "closed" else answers[0].stream.removeprefix("case/")
        must(of == case.name, f"{statement} is answered for {of}, and was said to {case.name}")

    @rule(which=SOME, how=st.sampled_from(["same", "same", "evidence", "by another", "other"]))
    @precondition(lambda self: self.reports)
    def report_again(self, which: int, how: str) -> None:
        """The same number again; `other`: it says something else."""
        loss = dict(self.pick(self.reports, which))
        if how == "evidence":
            loss["evidence"] = ("photo",)
        elif how == "by another":
            loss["by"] = ("holder", self.holders[loss["serial"]])
        elif how == "other":
            reasons = [reason for kind, reason in TABLE if kind == loss["kind"] and reason != loss["reason"]]
            loss |= {"reason": reasons[0], "scope": "container", "names": ()}
        self.state_loss(**loss)

    def state_loss(self, **loss: Any) -> None:
        names = tuple(loss["names"]) if loss["scope"] == "licences" else ()
        if loss["scope"] == "licences" and not names:
            return
        about = (loss["report"], loss["serial"], loss["kind"], loss["reason"], loss["by"], loss["scope"], names)
        answer, allowed = self.oracle.answers(*about)
        before = len(self.world.facts), set(self.world.cases)
        cases: list[CaseId] = []

        def tell() -> None:
            cases.append(
                self.world.report(
                    loss["report"],
                    loss["serial"],
                    Kind(loss["kind"]),
                    Reason(loss["reason"]),
                    Reporter(role=Role(loss["by"][0]), name=loss["by"][1]),
                    scope=Scope(loss["scope"]),
                    licences=names,
                    occurred=loss["occurred"],
                    evidence=tuple(loss["evidence"]),
                )
            )

        refusal = self.refused(tell)
        if answer == "refused":
            must(refusal is not None, f"{about} is taken, and must be refused with one of {allowed}")
            assert refusal is not None
            must(refusal.code in allowed, f"{about} is refused with {refusal.code}, not with one of {allowed}")
            must(len(self.world.facts) == before[0], "a refused report leaves facts")
            if "unknown_container" in allowed:
                unknown = self.refused(
                    lambda: self.world.report(
                        "R-0", "X-0", Kind.DONGLE, Reason.LOST, Reporter(role=Role.HOLDER, name="h-1")
                    )
                )
                assert unknown is not None
                same = str(unknown).replace("X-0", loss["serial"]) == str(refusal)
                must(same and unknown.code == refusal.code, f"{refusal} tells that the container is known")
            return
        must(refusal is None, f"{about} is refused with {refusal}, and must be taken")
        (case,) = cases
        if answer == "joined":
            must(case in allowed, f"{about} is answered with {case}, not with one of {allowed}")
        else:
            must(case not in before[1], f"{about} joins {case}, and something of it is nobody's")
        self.reports.append(loss)
        arguments = (loss["occurred"], loss["evidence"])
        known = (loss["by"], loss["report"]) in self.oracle.reports
        met = {one.name for one in self.open_cases() if one.name in allowed}
        self.say(lambda: self.oracle.report(case, *about, *arguments))
        if answer == "joined":
            self.answers(f"report/{loss['report']}", None if known else self.oracle.cases[case], met - {case})
        if answer == "opened":
            opening, former = self.auditor.of(case)[0].fact, self.oracle.cases[case].former
            acts_for = self.holders[loss["serial"]] if loss["by"][0] == "delegate" else None
            must(opening.on_behalf_of == acts_for, f"{case} is reported for {opening.on_behalf_of}, not {acts_for}")
            must(opening.former == former, f"{case} names {opening.former} as the former, not {former}")
            must(opening.beside in (allowed or {None}), f"{case} is beside {opening.beside}, not one of {allowed}")

    @rule(kind=st.sampled_from(Kind), reason=st.sampled_from(Reason), scope=st.sampled_from(Scope))
    def report_what_is_no_loss(self, kind: Kind, reason: Reason, scope: Scope) -> None:
        row = TABLE.get((kind, reason))
        if row and scope in row.scopes:
            return
        crm = Reporter(role=Role.BACK_OFFICE, name="crm")
        names = ("L-1",) if scope == "licences" else ()
        with pytest.raises(ValidationError) as error:
            self.world.report("R-0", "D-1", kind, reason, crm, scope=scope, licences=names)
        valid = [f"{kind}/{reason}/{scope}" for (kind, reason), row in TABLE.items() for scope in row.scopes]
        must(all(one in str(error.value) for one in valid), "the refusal does not list what is valid")
