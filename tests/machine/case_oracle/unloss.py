"""The original is put back: what is withdrawn for that, and who stands in its way."""

from datetime import timedelta

from tests.machine.case_oracle.records import Case, Order
from tests.machine.case_oracle.replacement import Replacement


class Unloss(Replacement):
    """Undoes a loss."""

    def release(self) -> None:
        """No un-loss waits for other cases once these have lifted what they could, or are over."""
        for case in self.cases.values():
            if case.status != "reinstating" or case.release_until is None:
                continue
            others = self._in_the_way(case)
            if not others or any(other.status == "closed" for other in others):
                self._withdraw(case)
                self.release()
                return

    def _in_the_way(self, case: Case) -> list[Case]:
        """The other cases whose measures stand on the container, or on the licences that are still as they were lost,
        and who have not lifted what they could."""
        here = f"container/{case.serial}/{self.containers[case.serial].generation}"
        lost = [f"licence/{name}/{number}" for name, number in case.licences.items() if case.target is None]
        others = {name for subject in (here, *lost) for name in self.is_blocked(subject, None, case.name)}
        if case.target is not None:
            others |= self._taken_along(case)
        return [self.cases[name] for name in sorted(others) if not self.cases[name].gave_back]

    def _taken_along(self, case: Case) -> set[str]:
        """The other cases that gave the holder something on a later machine, from which it would be torn were the
        container bound to the old one again."""
        machines = self.containers[case.serial].machines
        return {
            one.made_by
            for one in self.licences.values()
            if one.serial == case.serial and one.made_by != case.name and one.made_at > case.generation
            if machines.get(one.made_at) != machines.get(case.generation)
            if one.made_by is not None
        }

    def _withdraw(self, case: Case) -> None:
        """Reinstate the original, after its replacement is withdrawn."""
        case.status = "reinstating"
        if case.target is not None and not case.withdrawn:
            if self._fails(case, "withdraw"):
                return
            names = [("withdrawal", f"licence/{name}/{number}") for name, number in case.issued.items()]
            case.undoing = True
            begun = any(name in case.measures and case.measures[name].state != "lifted" for name in names)
            if not begun and any(not other.undoing for other in self._in_the_way(case)):
                case.stuck_in, case.status = "reinstating", "stuck"
                return
            for name in names:
                order = case.measures.get(name)
                if order is None or order.state == "lifted":
                    case.measures.pop(name, None)
                    case.measures[name] = Order(self.now, bound=self.containers[case.target].generation)
            if any(case.measures[name].state != "confirmed" for name in names):
                return
            case.withdrawn = True
        if self._fails(case, "reinstate"):
            return
        container = self.containers[case.serial]
        here = f"container/{case.serial}/{container.generation}"
        claimed = {
            claim for other in self.cases.values() if other is not case and not other.freed for claim in other.lost
        }
        now = {name: case.issued.get(name, number) for name, number in case.licences.items()}
        moved = any(self.licences[name].generation != now[name] for name in self.to_replace(case))
        case.undoing = True
        untouched = case.target is None and any(not other.undoing for other in self._in_the_way(case))
        if untouched or moved or claimed & set(now.items()) or case.replacement_lost:
            case.stuck_in, case.status = "reinstating", "stuck"
            return
        for order in case.measures.values():
            if order.state in ("ordered", "delivered"):
                order.state = "lifted"
        case.gave_back = True
        if others := self._in_the_way(case):
            if any(other.status == "closed" for other in others):
                case.stuck_in, case.status = "reinstating", "stuck"
            case.release_until = case.release_until or self.now + timedelta(days=7)
            return
        replaced = case.target is not None
        left = self.to_replace(case)
        if replaced and not left:  # there is nothing to put back
            case.stuck_in, case.status = "reinstating", "stuck"
            return
        if self.is_blocked(here, None) or (replaced and container.generation != case.generation):
            container.generation += 1
            if machine := container.machines.get(case.generation):
                container.fingerprint = container.machines[container.generation] = machine
        locked = any(self.is_blocked(f"licence/{name}/{number}", None) for name, number in now.items())
        if replaced or locked:  # a confirmed measure is not undone: the original is the next generation
            for name, number in ((name, now[name]) for name in left):
                self.superseded[name, number] = case.name
                self.licences[name].generation, self.licences[name].serial = number + 1, case.serial
                self.licences[name].made_by, self.licences[name].made_at = case.name, container.generation
        self._close(case, "found", reinstated=True)
