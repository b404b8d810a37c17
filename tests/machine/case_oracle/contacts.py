"""What a contact is answered, by the machine that it comes from."""

from tests.machine.case_oracle.records import Case, Claim, Container, Order, alike, must
from tests.machine.case_oracle.replacement import Replacement


class Contacts(Replacement):
    """Takes contacts."""

    def machine_of(self, container: Container, fingerprint: dict[str, str] | None) -> int | None:
        """The generation of the known machine that a fingerprint belongs to: the one that it matches best, on a tie one
        that is superseded. A machine to which the container was bound more than once is of the last time."""
        if container.kind != "act" or not fingerprint:
            return None
        found: list[tuple[int, bool, int]] = []
        for number, machine in container.machines.items():
            later = any(one == machine for other, one in container.machines.items() if other > number)
            if not later and alike(machine, fingerprint, "most"):
                same = len(machine.items() & fingerprint.items())
                found.append((same, number != container.generation, number))
        return max(found)[2] if found else None

    def calls_stolen(self, serial: str, machine: int | None) -> set[str]:
        """The open cases that call the machine of this generation stolen."""
        known = self.containers[serial].machines
        return {
            case.name
            for case in self.cases.values()
            if (case.serial, case.reason) == (serial, "computer_stolen") and case.status != "closed"
            if machine is not None and known[case.generation] == known[machine]
        }

    def is_of(self, serial: str, order: Order, machine: int | None) -> bool:
        """Whether a machine has what an order is about; every container but an act is one machine of its own."""
        known = self.containers[serial].machines
        return machine is None or order.bound == machine or known.get(order.bound) == known.get(machine)

    def sees(
        self, serial: str, shown: int | None, presented: list[Claim], fingerprint: dict[str, str] | None, how: str
    ) -> tuple[bool, set[str], int | None] | None:
        """Whether a contact is refused, the cases that it is then a sighting for, and the generation that it is judged
        by; None where it makes no sense."""
        container = self.containers[serial]
        machine = self.machine_of(container, fingerprint)
        if self.calls_stolen(serial, machine):
            return self._stolen(serial, machine)
        if how == "activation":
            same = any(case.row.recovery == "reissue" for case in self.waiting(serial))
            if machine is None or (same and machine == container.generation):
                return True, set(), None
            generation = machine
        elif shown is not None and shown > container.generation:
            return None
        elif machine is not None:
            generation = machine
        elif shown is not None:
            generation = shown
        elif container.generation > 1 and container.kind != "dongle":
            return True, set(), None
        else:
            generation = container.generation
        if container.kind == "act" and self.calls_stolen(serial, generation):
            return self._stolen(serial, generation)
        aim = "access_data" if container.kind == "cloud" else "container"
        blocking = self.is_blocked(f"{aim}/{serial}/{generation}", self.now)
        if generation < container.generation:
            cases = {case.name for case in self.cases.values() if case.serial == serial}
            return True, blocking | cases, generation
        if blocking or generation <= container.returned:
            return True, blocking, generation
        if container.kind == "act" and container.generation > 1 and fingerprint and machine is None:
            return True, set(), None  # it names the machine that a case bound it to, and is another
        if any(name not in self.licences or number > self.licences[name].generation for name, number in presented):
            return None
        cases = set()
        refused = False
        for name, number in presented:
            licence = self.licences[name]
            blockers = self.is_blocked(f"licence/{name}/{number}", self.now)
            if licence.serial != serial and (number < licence.generation or blockers):
                refused = True
                cases |= blockers | ({self.superseded[name, number]} if (name, number) in self.superseded else set())
        for licence in self.licences.values():
            blockers = self.is_blocked(f"licence/{licence.name}/{licence.generation}", self.now)
            if licence.serial == serial and (blockers or licence.ended):
                refused = True
                cases |= blockers
        return refused, cases, generation

    def _stolen(self, serial: str, machine: int | None) -> tuple[bool, set[str], int | None]:
        """What becomes of a contact of a machine that open cases call stolen: a refusal, and a sighting for these and
        for all that stands against it."""
        cases = self.calls_stolen(serial, machine) | self.is_blocked(f"container/{serial}/{machine}", self.now)
        if machine != self.containers[serial].generation:
            cases |= {case.name for case in self.cases.values() if case.serial == serial}
        for licence in self.licences.values():
            if licence.serial == serial:
                cases |= self.is_blocked(self.named(licence.name), self.now)
        return True, cases, machine

    def waiting(self, serial: str) -> list[Case]:
        """The cases that wait for a machine to be activated."""
        cases = self.cases.values()
        return [case for case in cases if case.serial == serial and case.activates and case.status != "closed"]

    def by_code(self, case: Case) -> bool:
        """Whether a machine needs a code to be activated for a case."""
        default = "code" if case.reason in ("hardware_replaced", "computer_stolen") else "any"
        return bool(self.rule(case).get("activation", default) == "code")

    def awaits(self, serial: str, fingerprint: dict[str, str]) -> list[Case]:
        """The cases that an activation by this machine gives a target, if it brings the code where one is needed."""
        container = self.containers[serial]
        if self.calls_stolen(serial, self.machine_of(container, fingerprint)):
            return []
        fitting = []
        for case in self.waiting(serial):
            lost = container.machines[case.generation]
            if case.row.recovery == "reissue":
                fits = alike(lost, fingerprint, self.rule(case).get("match", "most"))
            else:
                fits = not alike(lost, fingerprint, "all")
            fitting += [case] if fits else []
        return fitting

    def refuses_code(
        self, serial: str, fitting: list[Case], fingerprint: dict[str, str], code: str | None
    ) -> str | None:
        """Why a machine is not bound for the cases that it fits, or None where it is."""
        container = self.containers[serial]
        if not any(self.by_code(case) and self.pending.get(case.name) != fingerprint for case in fitting):
            return None
        if code is None:
            return "activation_code_missing"
        if container.code is not None and container.code == code:
            container.code = None
            return None
        container.wrong_codes += 1
        if container.wrong_codes == 5:
            container.code = None
        return "activation_code_wrong"

    def fetch_code(self, serial: str, code: str | None) -> None:
        """A code was asked for: the one that is good still, another, or none where no case waits for one."""
        container = self.containers[serial]
        waiting = [case.name for case in self.waiting(serial) if self.by_code(case)]
        must((code is None) == (not waiting), f"the code of {serial} is {code}, and {waiting} wait for one")
        if code is None:
            return
        must(container.code in (None, code), f"the code of {serial} changes though it is good")
        if container.code is None:
            container.code, container.code_for, container.wrong_codes = code, waiting[0], 0

    def contact(self, contact: str, serial: str) -> None:
        """A contact that made sense was answered."""
        self.contacts.add(contact)
        self.containers[serial].last_contact = self.now

    def bind(self, case: Case, fingerprint: dict[str, str]) -> None:
        """A machine asked for the activation that a case waits for."""
        self.pending[case.name] = fingerprint
        if case.status == "awaiting_target":
            self._issue(case)

    def set_access(self, serial: str) -> None:
        """The holder set the access data that were owed."""
        owed = max(number for (name, number), done in self.access.items() if name == serial and not done)
        self.access[serial, owed] = True
        self.containers[serial].generation = max(self.containers[serial].generation, owed)
        for case in self.cases.values():
            if case.serial == serial and case.status == "awaiting_target" and case.generation + 1 == owed:
                self._issue(case)
