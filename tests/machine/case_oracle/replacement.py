"""From a case that may go on to its end: it blocks, waits, replaces, watches and closes."""

from datetime import datetime, timedelta

from tests.machine.case_oracle.records import LIFTING, UNDECIDED, Case, Order, must
from tests.machine.case_oracle.rules import Rules


class Replacement(Rules):
    """Carries a case on."""

    def _await_approval(self, case: Case) -> None:
        above = [rule.get("four_eyes_above_cents") for _, rule, _ in self._rules(case)]
        case.four_eyes = any(one is not None and self._value(case) > one for one in above)
        approval = self.rule(case).get("approval")
        case.due = self.now + timedelta(hours=approval["due_hours"]) if approval else None
        case.status, case.first, case.approved, case.overtaken = "awaiting_approval", None, False, False

    def _block(self, case: Case) -> None:
        case.status = "blocking"
        if self._fails(case, "block"):
            return
        for subject in self.subjects(case):
            for measure, delay in self.asked(case):
                effective = self.now + timedelta(hours=delay)
                case.measures.setdefault((measure, subject), Order(effective, bound=case.generation))
        if case.only_watches:
            days = self.rule(case)["stop_gap_days" if case.reason == "damaged" else "watch_days"]
            case.status, case.recovered, case.watch_until = "watching", True, self.now + timedelta(days=days)
            if case.settled:
                self._close(case, "retired")
            self._heed(case)
            return
        wait = timedelta(hours=self.rule(case).get("wait_hours", 0))
        if wait:
            case.waits_until = case.waits_until or self.now + wait
            if case.waits_until > self.now:
                case.status = "waiting"
                if case.overtaken:
                    case.why = frozenset({"widened"})
                    self._await_approval(case)
                self._heed(case)
                return
        case.status = "replacing"
        if case.overtaken:
            case.why = frozenset({"widened"})
            self._await_approval(case)
        self._heed(case)
        if case.status == "replacing":
            self._issue(case)

    def _fails(self, case: Case, action: str) -> bool:
        if action in self.broken:
            case.stuck_in, case.status = case.status, "stuck"
        return action in self.broken

    def _targets(self, case: Case) -> tuple[set[str], set[str]]:
        """The containers that may take a dongle's replacement, and those that must not be passed over."""
        may, fit = set(), set()
        for one in self.containers.values():
            empty = not any(licence.serial == one.serial for licence in self.licences.values())
            if (one.holder, one.kind) != (case.holder, case.kind) or one.serial == case.serial:
                continue
            if (case.scope == "container" and not empty) or self.is_blocked(
                f"container/{one.serial}/{one.generation}", None
            ):
                continue
            may.add(one.serial)
            lost = (
                other.serial == one.serial and other.scope == "container" and other.status != "closed"
                for other in self.cases.values()
            )
            if not any(lost):
                fit.add(one.serial)
        return may, fit

    def _issue(self, case: Case) -> None:
        """The replacement, where there is a target for it."""
        case.status = "replacing"
        if self._fails(case, "issue"):
            return
        container = self.containers[case.serial]
        full = case.target is not None
        if case.row.recovery in ("reset", "rotation"):
            if self._taken_over(case):
                return  # one that is not closed may have been rejected
            generation = case.generation + 1
            self.access.setdefault((case.serial, generation), False)
            if case.row.recovery == "reset" and not self.access[case.serial, generation]:
                case.status, case.lapses = "awaiting_target", self.choice("lapses", case.name)
                must(case.lapses, "who never sets the access data is waited for in vain")
                return
            container.generation = max(container.generation, generation)
            case.recovered = True
            case.target = case.serial if case.row.recovery == "rotation" else None
            self._replaced(case)
            return
        if not self.to_replace(case):
            self._close(case, "lapsed")
            return
        if full:
            target = case.target
            assert target is not None
            blocked = self.is_blocked(f"container/{target}/{self.containers[target].generation}", None)
            left = self.to_replace(case)
            moved = any(self.licences[name].generation != at for name, at in case.issued.items() if name in left)
            if case.replacement_lost or blocked or moved:
                case.stuck_in, case.status = case.status, "stuck"
                return
        elif case.kind == "act":
            shown = self.pending.pop(case.name, None)
            case.activates = shown is None
            if shown is None:
                case.status, case.missed, case.seen = "awaiting_target", [], None
                return
            if container.generation == case.generation or container.fingerprint != shown:
                container.generation += 1
                container.fingerprint = container.machines[container.generation] = shown
            target = case.serial
        else:
            may, fit = self._targets(case)
            target = self.choice("target", case.name)
            if target is None:
                must(not fit, f"{case.name} waits, and {fit} could take its replacement")
                case.status, case.missed, case.seen = "awaiting_target", [], None
                return
            must(target in may, f"{target} takes the replacement of {case.name}, and only {may} may")
        for name, claimed in self.to_replace(case).items():
            licence = self.licences[name]
            before = case.issued.get(name, claimed)
            must(licence.generation == before, f"{name} is superseded twice: {licence.generation} is not {before}")
            self.superseded[name, before] = case.name
            licence.generation, licence.serial = before + 1, target
            licence.made_by, licence.made_at = case.name, self.containers[target].generation
            case.issued[name] = before + 1
        case.target, case.recovered = target, True
        self._replaced(case, full)

    def end(self, name: str) -> None:
        """The contract of a licence is over. A case that waits for something to take licences of which none is left to
        replace waits no longer."""
        self.licences[name].ended = True
        for case in self.cases.values():
            waits = case.status == "awaiting_target" and case.kind != "cloud" and name in case.licences
            if waits and not self.to_replace(case):
                self._issue(case)

    def _taken_over(self, case: Case) -> list[Case]:
        """The resets of which it has what they were about, and that are decided and not closed."""
        ended = (one for one in self.cases.values() if one.closing and one.freed and one.row.recovery == "reset")
        return [one for one in ended if one is not case and one.lost & case.lost]

    def _replaced(self, case: Case, full: bool = False) -> None:
        rule = self.rule(case)
        if case.row.recovery == "reset":
            self._close(case, "restored")
        elif case.reason == "damaged" and full:
            self._close(case, "returned")
        else:
            days = rule["stop_gap_days"] if case.reason == "damaged" else rule["watch_days"]
            case.watch_until = self.now + timedelta(days=(case.condition_days or days) if case.condition else days)
            case.status = "watching"
            if case.reason == "damaged" and case.back:
                self._issue(case)
            elif case.settled and not case.owes:
                self._close(case, "retired")
            else:
                self._heed(case)

    def _again(self, case: Case, ask_quota: bool) -> None:
        """Policy decides again, now that more is known."""
        why = self._limits(case, case.evidence)
        beyond = case.beyond
        if self._quotas(case):
            if ask_quota:
                beyond = self._reserve(case)
            why |= {f"quota of rule {number}" for number in beyond}
        undecided = case.status in UNDECIDED
        if why and not undecided:
            if why != case.why:
                case.why = why
                self._await_approval(case)
        elif why:
            if why != case.why or (ask_quota and self.choice("decided anew", case.name)):
                case.first = None
            case.why, case.beyond = why, beyond
        elif undecided and ask_quota and not case.widened:
            case.why, case.beyond = why, frozenset()
            self._block(case)

    def _suspect(self, case: Case, seen: datetime) -> None:
        """It was in use before anything was issued: policy decides again."""
        known = case.last_contact is not None and case.last_contact > case.occurred
        case.last_contact = max(seen, case.last_contact or seen)
        if not known or (case.widened and self.choice("decided anew", case.name)):
            self._again(case, ask_quota=False)

    def _heed(self, case: Case) -> None:
        """What turned up while the case was stuck counts where it next stands still, and before it issues anything."""
        if case.status in (*UNDECIDED, "waiting", "replacing") and case.target is None and case.seen is not None:
            self._suspect(case, case.seen)
        if case.status == "replacing":
            return
        for cause in case.missed:
            if case.status == "watching":
                self._resurface(case, cause)
        case.missed, case.seen = [], None

    def _resurface(self, case: Case, cause: str) -> None:
        """What was lost is back: policy rules, or a person."""
        case.status = "resurfaced"
        verdict = self.rule(case).get("resurfaced", {}).get(cause)
        if verdict and case.target is not None and cause != "sighting":
            self._close(case, verdict)

    def _close(self, case: Case, outcome: str, reinstated: bool = False) -> None:
        """The end: measures that were never confirmed are lifted or unconfirmable, and who recovered nothing claims
        nothing any more. What an un-loss lifted stands again, unless the original was put back."""
        self._keep(case)
        if case.gave_back and not reinstated and outcome not in LIFTING:
            own = {f"licence/{name}/{number}" for name, number in self.all_issued(case)}
            for (_, subject), order in case.measures.items():
                if order.state == "lifted" and subject not in own:
                    order.state, order.effective = "ordered", self.now
        if outcome in ("clone", "fraud"):
            self.blamed.add(case.holder)
        for order in case.measures.values():
            if order.state in ("ordered", "delivered"):
                order.state = "lifted" if outcome in LIFTING else "unconfirmable"
        case.undoing = case.gave_back = reinstated or outcome in LIFTING
        case.status, case.outcome, case.freed = "closed", outcome, not case.recovered
        container = self.containers[case.serial]
        if container.code_for == case.name:
            container.code = None

    def _keep(self, case: Case) -> None:
        """The replacement is not to be withdrawn any more."""
        case.undoing = case.gave_back
        own = {f"licence/{name}/{number}" for name, number in case.issued.items()}
        for (_, subject), order in case.measures.items():
            if subject in own and order.state in ("ordered", "delivered"):
                order.state = "lifted"

    def offer(self) -> None:
        """No case waits while a container could take its replacement, however that came to be: whichever case the
        product served first, the others follow."""
        waiting = [case for case in self.cases.values() if case.kind == "dongle" and case.status == "awaiting_target"]
        for case in sorted(waiting, key=lambda case: self.choice("target", case.name) is None):
            if self.choice("target", case.name) is not None or self._targets(case)[1]:
                self._issue(case)
                if case.status != "awaiting_target":
                    self.offer()
                    return
