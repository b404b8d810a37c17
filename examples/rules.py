"""What must become of the sample vendor's cases, worked out from what is stated and decided, by rules of its own.

Cases of one holder are counted and not named: which of a holder's reports takes the last of a quota depends on the
order in which they arrive, how many do does not.
"""

from collections import Counter, defaultdict
from typing import Any

OPEN = ("awaiting_approval", "awaiting_target", "watching", "resurfaced")
LOSSES = {
    *(("dongle", "lost"), ("dongle", "stolen"), ("dongle", "damaged")),
    *(("act", "same_hardware"), ("act", "hardware_replaced"), ("act", "computer_stolen")),
    *(("cloud", "forgotten"), ("cloud", "stolen")),
}
WAITS = {*(pair for pair in LOSSES if pair[0] == "act"), ("cloud", "forgotten")}
"""What is recovered once a machine asks for it, or the holder sets new access data."""


class Case:
    """A container that was reported lost."""

    def __init__(self, holder: str, status: str, reason: str) -> None:
        self.holder = holder
        self.status = status
        self.reason = reason
        self.reports: list[str] = []
        self.reporters: list[str] = []


class World:
    """What is known, statement by statement."""

    def __init__(self, policy: dict[str, Any]) -> None:
        self.policy = policy
        self.containers: dict[str, dict[str, Any]] = {}
        self.products: dict[str, list[str]] = defaultdict(list)
        self.contacted: set[str] = set()
        self.said: dict[str, tuple[Any, ...]] = {}
        self.cases: list[Case] = []
        self.claims: dict[str, Case] = {}
        self.recoveries: Counter[tuple[str, bool]] = Counter()
        """By holder, and whether on the same hardware, which is counted by itself."""
        self.dead_letters: Counter[str] = Counter()

    def mode(self, serial: str) -> dict[str, Any]:
        """The strictest rule of a container's products."""
        found = [
            next(rule for rule in self.policy["rules"] if product in rule.get("products", [product]))
            for product in self.products[serial]
        ]
        return max(found, key=lambda rule: ["automatic", "hybrid", "manual"].index(rule["mode"]))

    def reported(self, said: dict[str, Any]) -> None:
        """A loss report."""
        serial, reporter = said["serial"], said["reporter"]
        known = self.containers.get(serial)
        if (said["kind"], said["reason"]) not in LOSSES:
            self.dead_letters["invalid_loss"] += 1
        elif known is None or (reporter["role"] == "holder" and reporter["name"] != known["holder"]):
            self.dead_letters["unknown_container"] += 1
        elif known["kind"] != said["kind"]:
            self.dead_letters["kind_mismatch"] += 1
        elif said["report"] in self.said:
            self.dead_letters["report_id_taken"] += self.said[said["report"]] != (serial, said["kind"], said["reason"])
        elif not self.products[serial]:
            self.dead_letters["no_licence"] += 1
        else:
            self.said[said["report"]] = (serial, said["kind"], said["reason"])
            case = self.claims.get(serial)
            if case is None:
                case = Case(known["holder"], self.opened(said, known["holder"]), said["reason"])
                self.cases.append(case)
                if case.status in OPEN:
                    self.claims[serial] = case
            case.reports.append(said["report"])
            case.reporters.append(reporter["name"])

    def opened(self, said: dict[str, Any], holder: str) -> str:
        """Where a new case comes to rest; there is an empty dongle for each that is lost."""
        serial = said["serial"]
        rule = self.mode(serial)
        if rule["mode"] == "manual" or (rule["mode"] == "hybrid" and serial in self.contacted):
            return "awaiting_approval"
        if rule["mode"] == "hybrid":
            counted = holder, said["reason"] == "same_hardware"
            if self.recoveries[counted] == rule["quota"]["recoveries"]:
                return "awaiting_approval"
            self.recoveries[counted] += 1
        return "awaiting_target" if (said["kind"], said["reason"]) in WAITS else "watching"

    def sighted(self, serial: str, by: str) -> None:
        """The container turned up: at a contact only a blocked one counts, found it must be looked for."""
        case = self.claims.get(serial)
        if case is None and by == "found":
            self.dead_letters["no_case"] += 1
        elif case is not None and case.status == "awaiting_approval" and by == "found":
            case.status = "closed: cancelled"
            del self.claims[serial]
        elif case is not None and case.status == "watching":
            case.status = "resurfaced"

    def activated(self, serial: str, shown: dict[str, str]) -> None:
        """A machine asks to be bound: the same one where that is what was claimed, with its code any where it was
        replaced."""
        case, known = self.claims[serial], self.containers[serial]["fingerprint"]
        if case.reason != "same_hardware" or shown == known:
            case.status = "watching"

    def decided(self, decision: dict[str, Any]) -> str:
        """What a supervisor is answered."""
        case = next(case for case in self.cases if decision["report"] in case.reports)
        if case.status.startswith("closed"):
            return "nothing_to_decide"
        if decision["by"] not in self.policy["supervisors"]:
            return "not_a_supervisor"
        if decision["by"] in (case.holder, *case.reporters):
            return "own_case"
        needed = "resurfaced" if decision["action"] == "rule" else "awaiting_approval"
        if case.status != needed:
            return "nothing_to_decide"
        ends = {"approve": "watching", "reject": "closed: rejected", "rule": f"closed: {decision['verdict']}"}
        case.status = ends[decision["action"]]
        if decision["action"] == "reject":
            self.claims = {serial: one for serial, one in self.claims.items() if one is not case}
        return "taken"

    def state(self, name: str, said: dict[str, Any]) -> None:
        """One statement."""
        serial = said["serial"]
        match name:
            case "container.registered":
                self.containers[serial] = said
            case "licence.issued":
                self.products[serial].append(said["product"])
            case "loss.reported":
                self.reported(said)
            case "container.contacted" if said.get("how") == "activation":
                self.activated(serial, said["fingerprint"])
            case "container.returned":
                case = self.claims[serial]
                case.status = "closed: returned" if case.reason == "damaged" else "resurfaced"
            case "container.contacted":
                self.contacted.add(serial)
                self.sighted(serial, "contact")
            case "container.found":
                self.sighted(serial, "found")

    def holders(self) -> dict[str, dict[str, int]]:
        """How many of each holder's cases stand where."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for case in self.cases:
            counts[case.holder][case.status] += 1
        return {holder: dict(sorted(count.items())) for holder, count in sorted(counts.items())}


def expected(
    policy: dict[str, Any], statements: list[dict[str, Any]], decisions: list[dict[str, Any]], waves: int
) -> dict[str, Any]:
    """After each wave the holders' cases; the answers to decisions; and what is set aside as not to be handled."""
    world = World(policy)
    after, answers = [], {}
    for wave in range(waves):
        for row in statements:
            if row["wave"] == wave:
                name = row["event"]["type"].removeprefix("lostfound.inbox.").removesuffix(".v1")
                world.state(name, row["event"]["data"])
        for decision in decisions:
            if decision["wave"] == wave:
                answers[decision["decision"]] = world.decided(decision)
        after.append(world.holders())
    outcomes = Counter(case.status for case in world.cases)
    return {"after": after, "decisions": answers, "dead_letters": dict(world.dead_letters), "outcomes": dict(outcomes)}
