"""Containers that report in, are given back, found or returned."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from events.terms import Reporter, Role
from tests.machine.case_oracle.records import Case, must
from tests.machine.play import BACK_OFFICE, DELEGATE, MACHINE, MACHINES, SERIALS, Play


class Contacts(Play):
    """Shows containers."""

    @rule(
        serial=st.sampled_from(SERIALS),
        shown=st.sampled_from(["none", "none", "current", "former", "later"]),
        presents=st.sampled_from(["nothing", "held", "former", "later", "elsewhere"]),
        machine=st.sampled_from([None, 0, 1, 2, 3]),
        activation=st.booleans(),
        code=st.sampled_from([None, "right", "right", "wrong"]),
        confirms=st.booleans(),
        hours=st.sampled_from([0, 0, 1000]),
    )
    def contact(
        self,
        serial: str,
        shown: str,
        presents: str,
        machine: int | None,
        activation: bool,
        code: str | None,
        confirms: bool,
        hours: int,
    ) -> None:
        self.tick()
        container = self.oracle.containers[serial]
        generation = {
            "none": None,
            "current": container.generation,
            "former": max(1, container.generation - 1),
            "later": container.generation + 1,
        }[shown]
        shift = {"former": -1, "later": 1}.get(presents, 0)
        presented = [
            (one.name, max(1, one.generation + shift))
            for one in self.oracle.licences.values()
            if presents != "nothing" and (one.serial == serial) == (presents not in ("elsewhere", "former"))
        ][:2]
        activates = activation and machine is not None and self.kinds[serial] != "cloud"
        self.report_in(
            serial,
            None if activates else generation,
            presented,
            self.machine(machine) if machine is not None and (self.kinds[serial] == "act" or activates) else None,
            "activation" if activates else "check_in",
            confirms,
            hours,
            code,
        )

    def code(self, serial: str) -> str | None:
        """The activation code of a container, if one is to be had."""
        codes: list[str] = []
        refusal = self.refused(lambda: codes.append(self.world.activation_code(serial)))
        refused = "no_case" if self.kinds[serial] == "act" else "kind_mismatch"
        must(refusal is None or refusal.code == refused, f"the code of {serial} is refused with {refusal}")
        self.oracle.fetch_code(serial, codes[0] if codes else None)
        return codes[0] if codes else None

    def machine(self, number: int) -> dict[str, str]:
        if number < len(MACHINES):
            return MACHINES[number]
        self.numbers += 1
        return dict.fromkeys(MACHINE, f"x{self.numbers}")

    def report_in(
        self,
        serial: str,
        generation: int | None,
        presented: list[tuple[str, int]],
        fingerprint: dict[str, str] | None,
        how: str,
        confirms: bool,
        hours: int = 0,
        code: str | None = None,
    ) -> None:
        number = self.number("C")
        occurred = self.world.now - timedelta(hours=hours)
        activates = how == "activation"
        sees = self.oracle.sees(serial, generation, presented, fingerprint, how)
        awaits = self.oracle.awaits(serial, fingerprint or {}) if activates and self.kinds[serial] == "act" else []
        answers: list[Any] = []
        brought = "00000-00000" if activates and code == "wrong" else None
        if activates and code == "right" and self.kinds[serial] == "act":
            brought = self.code(serial)
        more: dict[str, Any] = {"how": how, "confirms": confirms, "occurred": occurred}
        more["licences"] = [{"licence": name, "generation": number} for name, number in presented]
        more |= {"generation": generation} if generation else {}
        more |= {"fingerprint": fingerprint} if fingerprint else {}
        more |= {"activation_code": brought} if brought else {}
        refusal = self.refused(lambda: answers.append(self.world.contact(number, serial, **more)))
        if (activates and self.kinds[serial] != "act") or (sees is None and not awaits):
            codes = ("kind_mismatch", "generation_conflict", "unknown_licence")
            if refusal is None:  # it was refused or served by its container alone, before its licences were looked at
                must(sees is None and answers[0].refused, f"{number} makes no sense, and is served")
                self.after_contact(number, serial, answers[0], [], fingerprint, occurred, None)
                return
            must(refusal.code in codes, f"{number} makes no sense, and is refused with {refusal.code}")
            return
        must(refusal is None, f"{number} is refused with {refusal}")
        answer = answers[0]
        if awaits and (denied := self.oracle.refuses_code(serial, awaits, fingerprint or {}, brought)):
            said = (answer.code, answer.cases, answer.awaiting, answer.files)
            must(said == (denied, (), (), ()), f"{number} is answered with {said}, and must be refused with {denied}")
            awaits = []
        elif awaits or answer.awaiting:
            named = {key.case for key in answer.awaiting}
            must(named == {case.name for case in awaits}, f"{number} activates for {named}, and not for {awaits}")
            must(not answer.refused, f"the activation {number} is refused")
        elif sees is not None:
            refused, cases, judged = sees
            must(answer.refused == refused, f"{number} is {'not ' if refused else ''}refused: {answer}")
            named = {key.case for key in answer.cases}
            must(named <= cases, f"{number} is a sighting for {named}, and may only be one for {cases}")
            if not activates and not presented:
                whole = {one for one in cases if self.stands_against(one, serial, judged)}
                must(whole <= named, f"{number} is no sighting for {whole - named}")
            held = {one.name for one in self.oracle.licences.values() if one.serial == serial}
            must(set(answer.files) <= held, f"{number} gets files of what {serial} does not hold")
            if not activates and judged is not None and self.kinds[serial] == "act":
                stolen = self.oracle.calls_stolen(serial, judged)
                must(stolen <= named, f"{number} is of a stolen machine and no sighting for {stolen - named}")
            over = {name for name in answer.files if self.oracle.licences[name].ended}
            must(not over, f"{number} gets files of {over}, whose contracts are over")
            good = not any(self.oracle.is_blocked(self.oracle.named(name), self.oracle.now) for name in answer.files)
            must(good, f"{number} gets files of what is blocked")
            whole = self.oracle.is_blocked(f"container/{serial}/{generation}", self.oracle.now)
            must(fingerprint or not (whole and answer.files), f"{serial} is blocked and gets files")
        judged = sees[2] if sees is not None and not awaits else None
        self.after_contact(number, serial, answer, awaits, fingerprint, occurred, judged)

    def stands_against(self, case: str, serial: str, shown: int | None) -> bool:
        aim = "access_data" if self.kinds[serial] == "cloud" else "container"
        return case in self.oracle.is_blocked(f"{aim}/{serial}/{shown}", self.oracle.now)

    def after_contact(
        self,
        number: str,
        serial: str,
        answer: Any,
        awaits: list[Case],
        fingerprint: Any,
        occurred: Any,
        judged: int | None,
    ) -> None:
        def oracle() -> None:
            confirmed = self.adopt_measures(serial, judged)
            if number not in self.oracle.contacts:
                self.oracle.contact(number, serial)
            for key in answer.cases:
                self.oracle.sight(self.oracle.cases[key.case], f"contact/{number}", "sighting", occurred)
            for case in awaits:
                if case.activates:
                    self.oracle.bind(case, fingerprint)
            for name in dict.fromkeys([*confirmed, *(key.case for key in answer.settled)]):
                self.oracle.confirm(self.oracle.cases[name])

        self.say(oracle)

    def adopt_measures(self, serial: str, machine: int | None = None) -> list[str]:
        """Take over how far measures have come; the cases of which one was confirmed. Only the machine that has what a
        measure is about brings it further."""
        confirmed = []
        for one in self.new:
            if one.fact.name in ("measure.delivered", "measure.confirmed"):
                fact = one.fact
                must(fact.serial == serial, f"a measure on {fact.serial} moves at a contact of {serial}")
                order = self.oracle.cases[fact.case].measures[fact.measure, str(fact.subject)]
                must(order.effective <= self.oracle.now, f"{fact} before it takes effect")
                must(self.oracle.is_of(serial, order, machine), f"{fact} by machine {machine}, and not {order.bound}")
                order.state = fact.name.removeprefix("measure.")
                if order.state == "confirmed":
                    confirmed.append(fact.case)
        self.new = [one for one in self.new if one.fact.name not in ("measure.delivered", "measure.confirmed")]
        return confirmed

    @rule(serial=st.sampled_from(["A-1", "A-2", "D-1"]), back=st.integers(-1, 1))
    def return_activation(self, serial: str, back: int) -> None:
        self.tick()
        container = self.oracle.containers[serial]
        generation = max(1, container.generation - back)
        number = self.number("C")
        answers: list[Any] = []
        refusal = self.refused(lambda: answers.append(self.world.return_activation(number, serial, generation)))
        if self.kinds[serial] != "act" or generation > container.generation:
            must(refusal is not None and refusal.code in ("kind_mismatch", "generation_conflict"), f"{refusal}")
            return
        must(refusal is None, f"{refusal}")

        def oracle() -> None:
            container.returned = max(container.returned, generation)
            for name in dict.fromkeys([*self.adopt_measures(serial), *(key.case for key in answers[0].settled)]):
                self.oracle.confirm(self.oracle.cases[name])

        self.say(oracle)

    @rule(
        serial=st.sampled_from(SERIALS),
        cause=st.sampled_from(["found", "returned"]),
        by=st.sampled_from(["holder", "crm", "other"]),
    )
    def turn_up(self, serial: str, cause: str, by: str) -> None:
        self.tick()
        self.find(serial, cause, by)

    def find(self, serial: str, cause: str, by: str) -> None:
        number = self.number("F")
        other = "dora" if self.holders[serial] == "h-1" else "h-1"
        speakers = {"holder": ("holder", self.holders[serial]), "other": ("holder", other), "delegate": DELEGATE}
        role, name = speakers.get(by, BACK_OFFICE)
        stranger = not self.oracle.may_speak((role, name), self.holders[serial])
        reporter = Reporter(role=Role(role), name=name)
        before = len(self.world.facts)
        turn_up = self.world.found if cause == "found" else self.world.returned
        refusal = self.refused(lambda: turn_up(number, serial, reporter))
        if stranger or (cause == "returned" and by != "crm"):
            code = "unknown_container" if stranger else "invalid_data"
            must(refusal is not None and refusal.code == code, f"{name} says {cause} of {serial}: {refusal}")
            must(len(self.world.facts) == before, "a stranger's find leaves facts")
            return
        if not any(case.serial == serial for case in self.open_cases()):
            closed = any(case.serial == serial for case in self.oracle.cases.values())
            left = [one.fact.name for one in self.world.facts[before:]]
            must(left == ["case.addressed"] * closed, f"what no case looks for leaves {left}")
            must((refusal.code if refusal else None) == (None if closed else "no_case"), f"of {serial}: {refusal}")
        else:
            must(refusal is None, f"{cause} is refused with {refusal}")
        if refusal is not None:
            return

        self.say(self.found(serial, f"{cause}/{number}"))

    def found(self, serial: str, statement: str) -> Callable[[], None]:
        """What turned up reaches the cases that are open now, however often it is said again."""
        cases = [case for case in self.open_cases() if case.serial == serial]

        def oracle() -> None:
            for case in cases:
                self.oracle.sight(case, statement, statement.partition("/")[0], self.oracle.now)

        return oracle

    def set_access(self, serial: str) -> None:
        self.world.set_access(serial)
        self.settle(lambda: self.oracle.set_access(serial))
