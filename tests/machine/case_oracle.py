"""What must become of what is stated, by the rules of the domain alone, in plain Python that shares only words with
the product. Where the domain leaves a choice, the oracle allows several answers, and then adopts the one it is shown.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Claim = tuple[str, int]
"""A licence, or a container (of one of kind cloud: its access data), and a generation of it."""


@dataclass(frozen=True)
class Row:
    """A row of the table of losses."""

    scopes: tuple[str, ...]
    recovery: str
    measures: tuple[str, ...]


BOTH, WHOLE = ("container", "licences"), ("container",)
TABLE = {
    ("dongle", "lost"): Row(BOTH, "next", ("blacklisting",)),
    ("dongle", "stolen"): Row(WHOLE, "next", ("blacklisting",)),
    ("dongle", "damaged"): Row(BOTH, "stop_gap", ("withdrawal",)),
    ("act", "same_hardware"): Row(BOTH, "reissue", ("deactivation",)),
    ("act", "hardware_replaced"): Row(BOTH, "next", ("deactivation", "blacklisting")),
    ("act", "computer_stolen"): Row(BOTH, "next", ("deactivation", "blacklisting")),
    ("cloud", "forgotten"): Row(WHOLE, "reset", ()),
    ("cloud", "stolen"): Row(WHOLE, "rotation", ("blacklisting",)),
}
WITHOUT_RECOVERY = ("refused", "rejected", "cancelled", "given_up", "lapsed")
UNDECIDED = ("awaiting_approval", "escalated")
LIFTING = ("refused", "rejected", "cancelled", "given_up")
STANDING = ("ordered", "delivered", "confirmed", "unconfirmable")


class BrokenError(AssertionError):
    """The product did what the domain forbids, or left out what it demands."""


def must(holds: object, sentence: str) -> None:
    """Say what is broken where it does not hold."""
    if not holds:
        raise BrokenError(sentence)


@dataclass
class Container:
    """A container as the vendor's inventory has it."""

    serial: str
    kind: str
    holder: str
    fingerprint: dict[str, str] | None
    generation: int = 1
    last_contact: datetime | None = None
    returned: int = 0
    code: str | None = None
    """The activation code that is good now, and how many wrong ones were tried since it was fetched."""
    code_for: str | None = None
    wrong_codes: int = 0
    machines: dict[int, dict[str, str]] = field(default_factory=dict)


@dataclass
class Licence:
    """A licence and where its current generation is."""

    name: str
    serial: str
    product: str
    value: int
    generation: int = 1
    made_by: str | None = None
    made_at: int = 1
    """The case that this generation is of, and the generation of its container when it came to be."""


@dataclass
class Order:
    """A blocking measure that was ordered."""

    effective: datetime
    state: str = "ordered"
    bound: int = 1
    """The generation of its container of which the machine has what it is about."""


@dataclass
class Case:
    """A loss."""

    name: str
    serial: str
    kind: str
    reason: str
    scope: str
    holder: str
    generation: int
    received: datetime
    occurred: datetime
    reporter: tuple[str, str]
    lost: frozenset[Claim]
    """What it says is lost and no other case said before: licences, and the container where all of it is gone."""
    barred: frozenset[Claim]
    """What it is to block and no other case is."""
    last_contact: datetime | None
    losses: list[datetime]
    blamed: bool
    beside: bool
    """Whether other cases hold a part of what its report said."""
    former: str | None
    """The last case of the same loss that recovered nothing."""
    opened_by: tuple[tuple[str, str], str]
    """Who reported it, and under which number."""
    rejected: bool = False
    """Whether a case of the same loss was rejected before, and none approved since."""
    reporters: set[str] = field(default_factory=set)
    evidence: set[str] = field(default_factory=set)
    status: str = "reported"
    outcome: str | None = None
    why: frozenset[str] = frozenset()
    beyond: bool = False
    four_eyes: bool = False
    first: str | None = None
    due: datetime | None = None
    escalated_to: tuple[str, ...] = ()
    condition_days: int | None = None
    condition: bool = False
    waits_until: datetime | None = None
    lapses: datetime | None = None
    activates: bool = False
    """Whether the backend takes the next machine that asks for it, be the case held up meanwhile or not."""
    target: str | None = None
    issued: dict[str, int] = field(default_factory=dict)
    recovered: bool = False
    back: bool = False
    watch_until: datetime | None = None
    settled: bool = False
    replacement_lost: bool = False
    overtaken: bool = False
    """Whether that was so and no person has decided since."""
    widened: bool = False
    """Whether more was reported lost, or more was asked to be blocked, in another case since."""
    withdrawn: bool = False
    stuck_in: str | None = None
    found: bool = False
    """Whether it was found while the case was stuck, and nobody has resumed it since."""
    undoing: bool = False
    """Whether somebody asked for its un-loss."""
    gave_back: bool = False
    release_until: datetime | None = None
    """Whether its measures are lifted for that, as far as they can be."""
    freed: bool = False
    closing: bool = False
    """Whether it was decided, and the backend does not know that it is over: it holds what it held."""
    approved: bool = False
    """Whether a person has approved it since policy last decided."""
    over: bool = False
    decisions: dict[str, bool] = field(default_factory=dict)
    measures: dict[tuple[str, str], Order] = field(default_factory=dict)
    """By measure and subject, in the order in which they were ordered."""

    @property
    def row(self) -> Row:
        return TABLE[self.kind, self.reason]

    @property
    def licences(self) -> dict[str, int]:
        """What it is to replace; those of a cloud container stay where they are."""
        return {name: number for name, number in sorted(self.lost) if name != self.serial}

    @property
    def only_watches(self) -> bool:
        """Whether other cases replace all that was lost, and this one blocks and watches."""
        return self.kind != "cloud" and not self.licences

    @property
    def owes(self) -> bool:
        return not self.only_watches and (self.condition or self.reason == "damaged")

    @property
    def got_nothing(self) -> bool:
        """Whether it ended, nothing was recovered for it, and nothing is its own any more."""
        keeps = any(map(self.holds, self.lost)) or any(map(self.bars, self.barred))
        return self.outcome in WITHOUT_RECOVERY and not self.closing and not keeps

    def holds(self, claim: Claim) -> bool:
        """Whether the loss of this is its own; a container that was found may be lost again."""
        if self.closing:
            return claim in self.lost
        return claim in self.lost and not self.freed and (self.outcome != "found" or claim[0] != self.serial)

    def bars(self, claim: Claim) -> bool:
        """Whether the blocking of this is its own."""
        if self.closing:
            return claim in self.barred
        return claim in self.barred and not self.freed and self.outcome not in ("found", "given_up")


@dataclass(frozen=True)
class Meets:
    """What of a report is nobody's yet, the cases that have the rest, those that took some of it away from there, the
    last case of the same that recovered nothing, whether one was rejected and none approved since, the licences that
    were never there, and the resets that are over if the report opens a case, and what is then taken over from them.
    """

    lost: frozenset[Claim]
    barred: frozenset[Claim]
    cases: set[str]
    gone: set[str]
    former: str | None
    rejected: bool
    unknown: set[str]
    resets: set[str]
    taken_over: frozenset[Claim]


class Oracle:
    """One vendor, by the rules. `policy` is the policy's file as data; `now` is set by who drives it.

    `choice` answers what the product chose where the domain leaves a choice: a question and the case's name.
    """

    def __init__(self, policy: dict[str, Any], choice: Callable[[str, str], Any]) -> None:
        self.policy = policy
        self.choice = choice
        self.now: datetime
        self.containers: dict[str, Container] = {}
        self.licences: dict[str, Licence] = {}
        self.cases: dict[str, Case] = {}
        self.reports: dict[tuple[tuple[str, str], str], tuple[tuple[Any, ...], str]] = {}
        self.reserved: dict[str, tuple[str, tuple[str, ...], datetime]] = {}
        """By case: the pot, what it counts for there, and when its report was received."""
        self.blamed: set[str] = set()
        """The holders whom a verdict spoke against."""
        self.contacts: set[str] = set()
        self.said: set[tuple[str, str]] = set()
        self.broken: set[str] = set()
        self.access: dict[tuple[str, int], bool] = {}
        self.pending: dict[str, dict[str, str]] = {}
        self.superseded: dict[Claim, str] = {}

    # The inventory.

    def register(self, serial: str, kind: str, holder: str, fingerprint: dict[str, str] | None) -> None:
        """A container, known from now on, and offered to the cases of its holder that wait for one."""
        if serial in self.containers:
            return
        self.containers[serial] = Container(serial, kind, holder, fingerprint)
        if fingerprint:
            self.containers[serial].machines[1] = fingerprint

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

    def licence(self, name: str, serial: str, product: str, value: int) -> None:
        """A licence of the vendor's own issue."""
        self.licences.setdefault(name, Licence(name, serial, product, value))

    # Reports.

    def answers(
        self, report: str, serial: str, kind: str, reason: str, by: tuple[str, str], scope: str, names: Iterable[str]
    ) -> tuple[str, set[str]]:
        """What a report may be answered with: `refused` and the codes, `joined` and the cases, or `opened`."""
        container = self.containers.get(serial)
        if container is None or (by[0] == "holder" and by[1] != container.holder):
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
            return "joined", meets.cases | meets.gone
        empty = kind != "cloud" and not any(one.serial == serial for one in self.licences.values())
        if empty and not meets.cases:
            return ("joined", meets.gone) if meets.gone else ("refused", {"no_licence"})
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
        row = TABLE[container.kind, reason]
        lost = {whole} if container.kind == "cloud" else {whole, *here.items()}
        if scope == "licences":
            lost = {(name, here[name]) for name in names if name in here}
        ordered = {measure for measure, _ in self._measures(container.kind, reason)} & set(row.measures)
        barred = ({whole} if scope == "container" else lost) if "blacklisting" in ordered else set()
        cases = [case for case in self.cases.values() if case.serial == container.serial]
        losers = {claim: {case.name for case in cases if case.holds(claim)} for claim in lost}
        blocks = {one.name for one in cases if one.bars(whole)}
        barring = {claim: {one.name for one in cases if one.bars(claim)} or blocks for claim in barred}
        missing = set(names) - set(here) if scope == "licences" else set()
        emptied = scope == "container" and not here and container.kind != "cloud"
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
            lost=frozenset(claim for claim, of in losers.items() if not of),
            barred=frozenset(claim for claim, of in barring.items() if not of),
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
        if case not in self.cases:
            meets = self._meets(container, reason, scope, names)
            new = Case(
                *(case, serial, kind, reason, scope, container.holder, container.generation),
                *(self.now, occurred, by, meets.lost | meets.taken_over, meets.barred, container.last_contact),
                *(self._losses(container.holder), container.holder in self.blamed),
                *(bool(meets.cases | meets.gone), meets.former, (by, report)),
            )
            new.rejected = meets.rejected
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
        case.closing = False
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
        new.evidence |= set(evidence)
        new.reporters.add(by[1])
        self.cases[name] = new
        self._assess(new)

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

    # What policy says.

    def rule(self, case: Case) -> dict[str, Any]:
        """The most specific rule; a person decides where there is none."""
        return self._rule(case.kind, case.reason)

    def _rule(self, kind: str, reason: str) -> dict[str, Any]:
        fitting = [
            rule
            for rule in self.policy["rules"]
            if kind in rule.get("kinds", [kind]) and reason in rule.get("reasons", [reason])
        ]
        return max(fitting, key=lambda rule: ("kinds" in rule, "reasons" in rule), default={"mode": "manual"})

    def _value(self, case: Case) -> int:
        cloud = [one for one in self.licences.values() if one.serial == case.serial]
        return sum(
            one.value for one in (cloud if case.kind == "cloud" else map(self.licences.get, case.licences)) if one
        )

    def _limits(self, case: Case, evidence: set[str]) -> frozenset[str]:
        """What sends a hybrid case to a person."""
        rule = self.rule(case)
        if rule.get("mode") == "manual":
            return frozenset({"manual"})
        found = set()
        if case.rejected and not rule.get("automatic_after_rejection"):
            found.add("rejected before")
        if rule.get("mode") != "hybrid":
            return frozenset(found)
        limits = rule.get("limits") or {}
        if "value_above_cents" in limits and self._value(case) > limits["value_above_cents"]:
            found.add("value")
        if losses := limits.get("losses"):
            start = case.received - timedelta(days=losses["term_days"])
            if sum(start < at <= case.received for at in case.losses) > losses["more_than"]:
                found.add("losses")
        if set(limits.get("evidence", ())) - evidence:
            found.add("evidence")
        if limits.get("holder_only") and case.reporter != ("holder", case.holder):
            found.add("reporter")
        if limits.get("contact_after_loss", True) and case.last_contact and case.last_contact > case.occurred:
            found.add("contact")
        if limits.get("flagged_holder", True) and case.blamed:
            found.add("blamed")
        return frozenset(found)

    def _was_rejected(self, lost: Iterable[Claim], barred: Iterable[Claim]) -> bool:
        """Whether somebody rejected a loss of any of this before, and nobody has approved one of that since."""
        for how, claims in (("lost", lost), ("barred", barred)):
            for claim in claims:
                past = [case for case in self.cases.values() if case.got_nothing and claim in getattr(case, how)]
                for case in sorted(past, key=lambda case: (case.received, case.name), reverse=True):
                    if case.outcome == "rejected":
                        return True
                    if case.approved:
                        break
        return False

    def _quota(self, case: Case) -> dict[str, Any] | None:
        """What counts the recoveries of a case, if it recovers anything."""
        return None if case.only_watches else self.rule(case).get("quota")

    def _reserve(self, case: Case) -> bool:
        """Whether the quota has one left for this case, or had."""
        if case.name in self.reserved:
            return True
        quota = self.rule(case)["quota"]
        products = sorted({self.licences[name].product for name in case.licences})
        if case.kind == "cloud":
            held = [one for one in self.licences.values() if one.serial == case.serial]
            products, names = sorted({one.product for one in held}), [one.name for one in held]
        else:
            names = list(case.licences)
        of = {"holder": [case.holder], "container": [case.serial], "licence": names, "product": products}
        subjects = tuple(of[quota.get("per", "holder")]) or (f"container {case.serial}",)
        term = timedelta(days=quota["term_days"])
        pot = quota.get("pot") or ("same_hardware" if case.reason == "same_hardware" else "recoveries")
        for subject in subjects:
            held_by = [
                at
                for other, (of_pot, others, at) in self.reserved.items()
                if of_pot == pot
                and subject in others
                and not self.cases[other].freed
                and abs(at - case.received) < term
            ]
            if len(held_by) >= quota["recoveries"]:
                return False
        self.reserved[case.name] = (pot, subjects, case.received)
        return True

    def _assess(self, case: Case) -> None:
        must(not case.only_watches or case.beside, f"{case.name} is of nothing at all")
        case.why = self._limits(case, case.evidence)
        if self._quota(case) and not self._reserve(case):
            case.beyond, case.why = True, case.why | {"quota"}
        if case.why:
            self._await_approval(case)
        else:
            self._block(case)

    def _await_approval(self, case: Case) -> None:
        rule = self.rule(case)
        above = rule.get("four_eyes_above_cents")
        case.four_eyes = above is not None and self._value(case) > above
        approval = rule.get("approval")
        case.due = self.now + timedelta(hours=approval["due_hours"]) if approval else None
        case.status, case.first, case.approved, case.overtaken = "awaiting_approval", None, False, False

    def _again(self, case: Case, ask_quota: bool) -> None:
        """Policy decides again, now that more is known."""
        why = self._limits(case, case.evidence)
        beyond = case.beyond
        if self._quota(case):
            if ask_quota:
                beyond = not self._reserve(case)
            if beyond:
                why |= {"quota"}
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
            case.why, case.beyond = why, False
            self._block(case)

    # Blocking, waiting, replacing.

    def subjects(self, case: Case) -> list[str]:
        """What its measures aim at."""
        if case.kind == "cloud":
            return [f"access_data/{case.serial}/{case.generation}"]
        if case.scope == "container":
            return [f"container/{case.serial}/{case.generation}"]
        return [f"licence/{name}/{generation}" for name, generation in sorted(case.lost | case.barred)]

    def asked(self, case: Case) -> list[tuple[str, int]]:
        """The measures of its policy in their order, with their delays in hours."""
        return self._measures(case.kind, case.reason)

    def _measures(self, kind: str, reason: str) -> list[tuple[str, int]]:
        asked, usual = self._rule(kind, reason).get("measures"), TABLE[kind, reason].measures
        if asked is None or not usual:
            return [(measure, 0) for measure in usual]
        return [(one, 0) if isinstance(one, str) else (one["measure"], one["delay_hours"]) for one in asked]

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
            return
        wait = timedelta(hours=self.rule(case).get("wait_hours", 0))
        if wait:
            case.waits_until = case.waits_until or self.now + wait
            if case.waits_until > self.now:
                case.status = "waiting"
                if case.overtaken:
                    case.why = frozenset({"widened"})
                    self._await_approval(case)
                return
        case.status = "replacing"
        if case.overtaken:
            case.why = frozenset({"widened"})
            self._await_approval(case)
            return
        self._issue(case)

    def _fails(self, case: Case, deed: str) -> bool:
        if deed in self.broken:
            case.stuck_in, case.status = case.status, "stuck"
        return deed in self.broken

    def is_blocked(self, subject: str, at: datetime | None, but: str | None = None) -> set[str]:
        """The cases whose measures stand against a subject, and are in effect at this time if one is given."""
        return {
            case.name
            for case in self.cases.values()
            for (_, aim), order in case.measures.items()
            if aim == subject and order.state in STANDING and (at is None or order.effective <= at)
            if case.name != but
        }

    def named(self, licence: str) -> str:
        """A licence's current generation, as measures aim at it."""
        return f"licence/{licence}/{self.licences[licence].generation}"

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
        if full:
            target = case.target
            assert target is not None
            blocked = self.is_blocked(f"container/{target}/{self.containers[target].generation}", None)
            moved = any(self.licences[name].generation != number for name, number in case.issued.items())
            if case.replacement_lost or blocked or moved:
                case.stuck_in, case.status = case.status, "stuck"
                return
        elif case.kind == "act":
            shown = self.pending.pop(case.name, None)
            case.activates = shown is None
            if shown is None:
                case.status = "awaiting_target"
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
                case.status = "awaiting_target"
                return
            must(target in may, f"{target} takes the replacement of {case.name}, and only {may} may")
        for name, claimed in case.licences.items():
            licence = self.licences[name]
            before = case.issued.get(name, claimed)
            must(licence.generation == before, f"{name} is superseded twice: {licence.generation} is not {before}")
            self.superseded[name, before] = case.name
            licence.generation, licence.serial = before + 1, target
            licence.made_by, licence.made_at = case.name, self.containers[target].generation
            case.issued[name] = before + 1
        case.target, case.recovered = target, True
        self._replaced(case, full)

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

    def all_issued(self, case: Case) -> set[Claim]:
        """What was issued for a case: a stop-gap, and what followed it."""
        return {
            (name, number) for name, last in case.issued.items() for number in range(case.licences[name] + 1, last + 1)
        }

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

    def _keep(self, case: Case) -> None:
        """The replacement is not to be withdrawn any more."""
        case.undoing = case.gave_back
        own = {f"licence/{name}/{number}" for name, number in case.issued.items()}
        for (_, subject), order in case.measures.items():
            if subject in own and order.state in ("ordered", "delivered"):
                order.state = "lifted"

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
        moved = any(self.licences[name].generation != number for name, number in now.items())
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
        if self.is_blocked(here, None) or (replaced and container.generation != case.generation):
            container.generation += 1
            if machine := container.machines.get(case.generation):
                container.fingerprint = container.machines[container.generation] = machine
        locked = any(self.is_blocked(f"licence/{name}/{number}", None) for name, number in now.items())
        if replaced or locked:  # a confirmed measure is not undone: the original is the next generation
            for name, number in now.items():
                self.superseded[name, number] = case.name
                self.licences[name].generation, self.licences[name].serial = number + 1, case.serial
                self.licences[name].made_by, self.licences[name].made_at = case.name, container.generation
        self._close(case, "found", reinstated=True)

    # Decisions.

    def denials(self, case: Case, action: str, by: str, stale: bool, more: dict[str, Any]) -> tuple[set[str], set[str]]:
        """Why a decision must be denied, and why it may be besides."""
        deny, may = set(), set()
        if by not in self.policy["supervisors"]:
            deny.add("not_a_supervisor")
        if by == case.holder or by in case.reporters:
            (deny if action == "approve" else may).add("own_case")
        stands = {
            **dict.fromkeys(("approve", "reject", "ask"), UNDECIDED),
            **{
                "meet": ("watching",),
                "cancel": (*UNDECIDED, "waiting"),
                "rule": ("resurfaced", "reinstating", "stuck"),
            },
            **dict.fromkeys(("resume", "give_up"), ("stuck",)),
        }[action]
        if case.status not in stands or (action == "meet" and not case.condition):
            deny |= {"nothing_to_decide"} | ({"too_late"} if action == "cancel" else set())
        if action == "rule":
            unreplaced = more["verdict"] == "found" and case.target is None
            if case.status == "reinstating" and unreplaced:  # it is being reinstated already
                deny.add("nothing_to_decide")
            if case.status == "stuck" and (case.stuck_in != "reinstating" or unreplaced or more.get("reinstate")):
                deny.add("nothing_to_decide")
        if stale:
            deny.add("stale")
        if case.status == "escalated" and by not in case.escalated_to and self._decides_instead(case, action):
            (deny if action == "approve" else may).add("not_escalated_to")
        goodwill = (self.rule(case).get("quota") or {}).get("goodwill") or self.policy["supervisors"]
        if action == "approve":
            if by == case.first:
                deny.add("same_supervisor")
            if case.beyond and not more.get("goodwill"):
                deny.add("beyond_quota")
            if more.get("goodwill") and by not in goodwill:
                deny.add("no_goodwill")
            if more.get("condition") and case.only_watches:
                deny.add("no_condition")
            elif more.get("condition") and case.row.recovery not in ("next", "reissue"):
                may.add("no_condition")
        if action == "cancel" and case.target is not None:  # a stop-gap was issued: it may be said to be found
            deny.add("too_late")
        needs = ("replacing", "reinstating")
        again = action == "meet" or (action == "resume" and case.stuck_in in needs and case.target is not None)
        if again and case.replacement_lost:
            deny.add("replacement_lost")
        if action == "rule" and more.get("reinstate"):
            if case.replacement_lost:
                deny.add("replacement_lost")
            if not case.licences or case.status == "reinstating":
                may.add("nothing_to_decide")
        return deny, may

    def _decides_instead(self, case: Case, action: str) -> bool:
        """Whether one of those whom a case was escalated to may decide it so; else whoever else may, may."""
        graces = (self.rule(case).get("quota") or {}).get("goodwill") if case.beyond else None
        return any(
            one in self.policy["supervisors"]
            and one not in {case.holder, *case.reporters}
            and (action != "approve" or (one != case.first and one in (graces or [one])))
            for one in case.escalated_to
        )

    def decide(self, case: Case, action: str, by: str, decision: str, more: dict[str, Any]) -> None:
        """A decision that was taken."""
        case.decisions[decision] = True
        match action:
            case "approve" if case.four_eyes and case.first is None:
                case.first = by
            case "approve":
                case.approved, case.overtaken = True, False
                case.condition = bool(more.get("condition"))
                case.condition_days = more.get("condition_days")
                self._block(case)
            case "reject":
                self._close(case, "rejected")
            case "cancel":
                self._close(case, "cancelled")
            case "meet":
                case.condition = False
                self._issue(case)
            case "rule":
                unreplaced = more["verdict"] == "found" and case.target is None and case.kind != "cloud"
                if more.get("reinstate") or unreplaced:
                    self._withdraw(case)
                else:
                    self._close(case, more["verdict"])
            case "resume":
                back, case.stuck_in, case.release_until = case.stuck_in, None, None
                if case.found:
                    case.found = False
                    self._resurface(case, "found")
                    return
                if back == "replacing" and case.overtaken:
                    back = "blocking"  # a person decides before anything is issued
                {"blocking": self._block, "replacing": self._issue, "reinstating": self._withdraw}[str(back)](case)
            case "give_up":
                self._close(case, "given_up")

    # What turns up.

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
            if licence.serial == serial and blockers:
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

    def sight(self, case: Case, statement: str, cause: str, occurred: datetime) -> None:
        """What was lost turned up."""
        if case.status == "closed" or (case.name, statement) in self.said:
            return
        self.said.add((case.name, statement))
        before = (*UNDECIDED, "waiting")
        case.back = case.back or cause == "returned"
        unissued = case.target is None and (case.status in before or case.stuck_in in ("blocking", "replacing"))
        if cause == "found" and unissued:
            self._close(case, "cancelled")
        elif cause == "found" and case.status == "stuck":
            case.found = case.stuck_in != "reinstating"
        elif cause == "sighting" and case.status in (*before, "awaiting_target"):
            known = case.last_contact is not None and case.last_contact > case.occurred
            case.last_contact = max(occurred, case.last_contact or occurred)
            if not known or (case.widened and self.choice("decided anew", case.name)):
                self._again(case, ask_quota=False)
        elif (
            cause == "returned"
            and case.reason == "damaged"
            and case.status in ("watching", "resurfaced")
            and not case.replacement_lost
            and not case.only_watches
        ):
            if case.overtaken:
                case.why = frozenset({"widened"})
                self._await_approval(case)
            else:
                self._issue(case)
        elif case.status == "watching" or (case.status in (*before, "awaiting_target") and cause == "found"):
            self._resurface(case, cause)

    def _resurface(self, case: Case, cause: str) -> None:
        """What was lost is back: policy rules, or a person."""
        case.status = "resurfaced"
        verdict = self.rule(case).get("resurfaced", {}).get(cause)
        if verdict and case.target is not None and cause != "sighting":
            self._close(case, verdict)

    def give_evidence(self, case: Case, statement: str, names: Iterable[str]) -> None:
        """Evidence for the loss."""
        if case.status == "closed" or (case.name, statement) in self.said:
            return
        self.said.add((case.name, statement))
        case.evidence |= set(names)
        if case.status in UNDECIDED:
            self._again(case, ask_quota=True)

    def confirm(self, case: Case) -> None:
        """A measure of the case was confirmed: it may be that nothing of what was lost can run any more, or that the
        replacement is withdrawn."""
        if case.status == "reinstating":
            self._withdraw(case)
        elif case.status != "closed" and self.choice("settled", case.name) and not case.settled:
            removed = any(
                all(
                    (one := case.measures.get((measure, own))) and one.state == "confirmed"
                    for own in self.subjects(case)
                )
                for measure in ("withdrawal", "deactivation")
            )
            must(removed, f"{case.name} is settled, and its measures are {case.measures}")
            case.settled = True
            if case.status == "watching" and not case.owes:
                self._close(case, "retired")

    # Time.

    def alarm(self, case: Case) -> datetime | None:
        """When something becomes of a case though nothing arrives."""
        return {
            "awaiting_approval": case.due,
            "waiting": case.waits_until,
            "awaiting_target": case.lapses,
            "watching": case.watch_until,
            "reinstating": case.release_until,
        }.get(case.status)

    def advance(self, until: datetime) -> None:
        """Time passes; what falls due does so in its order."""
        while True:
            due = [(at, case.name) for case in self.cases.values() if (at := self.alarm(case)) and at <= until]
            if not due:
                break
            at, name = min(due)
            self.now = max(self.now, at)
            self._elapsed(self.cases[name])
        self.now = until

    def _elapsed(self, case: Case) -> None:
        match case.status:
            case "awaiting_approval":
                approval = self.rule(case)["approval"]
                case.due = None
                undecided = approval.get("undecided", "keep_waiting")
                if undecided == "escalate":
                    case.status, case.escalated_to = "escalated", tuple(approval["escalate_to"])
                elif undecided == "reject":
                    self._close(case, "rejected")
            case "waiting":
                self._issue(case)
            case "awaiting_target":
                self._close(case, "lapsed")
            case "watching":
                self._close(case, "lapsed" if case.owes else "lost_for_ever")
            case "reinstating":
                case.stuck_in, case.status = "reinstating", "stuck"


def alike(known: dict[str, str], shown: dict[str, str], match: str) -> bool:
    """Whether a machine is the known one, by how many of its factors must be as they were."""
    same = sum(shown.get(factor) == value for factor, value in known.items())
    return same >= {"any": 1, "two": min(2, len(known)), "most": len(known) // 2 + 1, "all": len(known)}[match]
