"""The nine invariants as an auditor checks them: on the log alone, fact by fact, knowing only the vendor's policy."""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from events.envelope import Recorded
from tests.machine.case_oracle.records import STANDING, must

IMMATERIAL = ("case.sighted", "decision.denied", "approval.reminded", "release.awaited")
ENDS = ("confirmed", "unconfirmable", "lifted")
MOVES = {
    ("ordered", None),
    ("ordered", "lifted"),
    ("delivered", "ordered"),
    *(("confirmed", before) for before in ("ordered", "delivered")),
    *(("unconfirmable", before) for before in ("ordered", "delivered")),
    *(("lifted", before) for before in ("ordered", "delivered")),
}
"""What a measure comes to, and from where."""
ORDINALS = ("recovery.reserved", "recovery.freed")


class Auditor:
    """Reads the log once. `asked` answers which measures (measure, subject) the policy asks for in a case."""

    def __init__(self, vendor: str, policy: dict[str, Any], asked: Callable[[str], set[tuple[str, str]]]) -> None:
        self.vendor, self.policy, self.asked = vendor, policy, asked
        self.streams: dict[str, list[Recorded]] = defaultdict(list)
        self.read = 0
        self.last: Recorded | None = None
        self.generation: dict[str, int] = {}
        self.effective: dict[str, set[int]] = defaultdict(set)
        self.superseded: dict[tuple[str, int], str] = {}
        self.holders: dict[str, str] = {}
        self.delegations: dict[str, Any] = {}
        self.revoked: dict[str, datetime] = {}
        self.measures: dict[tuple[str, str, str], str] = {}
        self.reports: dict[str, str] = {}
        self.received: dict[str, datetime] = {}
        self.reporters: dict[str, set[str]] = defaultdict(set)
        self.decided: dict[str, Any] = {}
        self.granted: dict[str, Any] = {}
        self.first: dict[str, str] = {}
        self.reserved: dict[str, list[Any]] = {}
        self.tells: set[str] = set()
        self.closed: dict[str, str] = {}
        self.ended: set[str] = set()

    def of(self, case: str) -> list[Recorded]:
        """The facts of a case, in their order."""
        return self.streams[f"case/{case}"]

    def material(self, case: str) -> list[int]:
        """The numbers of its material facts; that it was found or came back is one too while the case is stuck."""
        numbers, stuck = [], False
        for one in self.of(case):
            stuck = one.fact.name == "case.stuck" or (stuck and one.fact.name not in ("case.resumed", "case.given_up"))
            if one.fact.name not in IMMATERIAL or (stuck and getattr(one.fact, "cause", None) in ("found", "returned")):
                numbers.append(one.sequence)
        return numbers

    def audit(self, log: list[Recorded]) -> list[Recorded]:
        """Check what was added to the log since the last time; what it is."""
        must(len(log) >= self.read, "facts were deleted")
        if self.last is not None:
            must(log[self.read - 1] is self.last, "a fact of the past was changed")
        added = log[self.read :]
        for one in added:
            self._audit(one)
            self.last = one
        self.read = len(log)
        return added

    def _audit(self, one: Recorded) -> None:
        must(one.vendor == self.vendor, f"a fact of {one.vendor} in the log of {self.vendor}")
        stream = self.streams[one.stream]
        head = (stream[-1].sequence, stream[-1].hash) if stream else (0, b"")
        must((one.sequence - 1, one.previous_hash) == head, f"{one.stream} is not chained at {one.sequence}")
        must(self.last is None or one.recorded >= self.last.recorded, "the log's clock went back")
        stream.append(one)
        fact = one.fact
        check = getattr(self, "_" + fact.name.replace(".", "_"), None)
        if check:
            check(one.stream.removeprefix("case/"), fact)
        elif fact.name.startswith("measure."):
            self._measure(fact)

    # What the backend did.

    def _delegation_given(self, _: str, fact: Any) -> None:
        must(fact.delegation not in self.delegations, f"{fact.delegation} is given twice")
        self.delegations[fact.delegation] = fact

    def _delegation_revoked(self, _: str, fact: Any) -> None:
        must(fact.delegation not in self.revoked, f"{fact.delegation} is revoked twice")
        self.revoked[fact.delegation] = fact.received

    def _container_registered(self, _: str, fact: Any) -> None:
        self.holders[fact.serial] = fact.holder

    def _licence_issued(self, _: str, fact: Any) -> None:
        must(fact.licence not in self.ended, f"{fact.licence} is issued, and its contract is over")
        effective = self.effective[fact.licence]
        effective.add(fact.generation)
        must(len(effective) == 1, f"{fact.licence} is effective at generations {effective} at once")
        must(fact.generation == self.generation.get(fact.licence, 0) + 1, f"{fact.licence} skips a generation")
        self.generation[fact.licence] = fact.generation
        must(
            fact.holder == self.holders[fact.serial],
            f"{fact.licence} is issued to {fact.holder}, who has no {fact.serial}",
        )
        if fact.case is None:
            return
        self._is_blocked(fact.case)
        self._is_granted(fact.case)
        must(
            self.holders[self.of(fact.case)[0].fact.serial] == fact.holder, f"{fact.case} is replaced to another holder"
        )  # type: ignore[attr-defined]
        reinstates = self.granted.get(fact.case) == "reinstate"
        must(reinstates or fact.case not in self.tells, f"{fact.case} is issued though its replacement is lost")

    def _licence_ended(self, _: str, fact: Any) -> None:
        must(self.effective[fact.licence] == {fact.generation}, f"{fact.licence} ends at {fact.generation}")
        self.ended.add(fact.licence)

    def _licence_renewed(self, _: str, fact: Any) -> None:
        must(fact.licence not in self.ended, f"{fact.licence} is renewed, and its contract is over")

    def _licence_superseded(self, _: str, fact: Any) -> None:
        claim = (fact.licence, fact.generation)
        must(claim not in self.superseded, f"{claim} is superseded twice")
        must(fact.generation in self.effective[fact.licence], f"{claim} is superseded and was not effective")
        self.superseded[claim] = fact.case
        self.effective[fact.licence].discard(fact.generation)

    def _access_offered(self, _: str, fact: Any) -> None:
        if fact.case is not None:
            self._is_blocked(fact.case)
            self._is_granted(fact.case)

    def _is_blocked(self, case: str) -> None:
        if self.granted.get(case) == "reinstate":
            return
        for measure, subject in self.asked(case):
            state = self.measures.get((case, measure, subject))
            must(state in STANDING, f"{case} is replaced while {measure} of {subject} is {state}")

    def _is_granted(self, case: str) -> None:
        must(self.granted.get(case), f"{case} is replaced, and neither policy nor a person said so")

    def _measure(self, fact: Any) -> None:
        key = (fact.case, str(fact.measure), str(fact.subject))
        state = fact.name.removeprefix("measure.")
        must((state, self.measures.get(key)) in MOVES, f"{key} goes from {self.measures.get(key)} to {state}")
        self.measures[key] = state

    def _recovery_reserved(self, _: str, fact: Any) -> None:
        kept = self.reserved.setdefault(fact.case, [])
        report: Any = self.of(fact.case)[0].fact
        own = [(self._pot(report, quota), quota["recoveries"], quota["term_days"]) for quota in self._possible(report)]
        told = (fact.pot, fact.limit, fact.term_days)
        must(told in own, f"{fact.case} is set aside by the quota {told}, and the policy has {own}")
        must(1 <= fact.ordinal <= fact.limit, f"recovery {fact.ordinal} of {fact.limit}")
        must(fact not in kept, f"{fact.case} has a recovery set aside twice")
        kept.append(fact)
        for subject in fact.subjects:
            self._within_limit(fact, subject)

    def _within_limit(self, fact: Any, subject: str) -> None:
        """Of all terms, however they lie, none holds more cases that count for this subject than this one's limit; two
        that one quota counts in one term have different numbers."""
        term = timedelta(days=fact.term_days)
        held = {
            case: [one for one in facts if one.pot == fact.pot and subject in one.subjects]
            for case, facts in self.reserved.items()
        }
        for first in (case for case, facts in held.items() if facts):
            begin = self.received[first]
            within = [case for case, facts in held.items() if facts and begin <= self.received[case] < begin + term]
            allowed = len(within) <= fact.limit or fact.case not in within
            must(allowed, f"{subject} has {len(within)} recoveries in a term, and {fact.limit} are allowed")
            numbers = {
                (case, one.ordinal)
                for case in within
                for one in held[case]
                if len(one.subjects) == 1 and one.term_days == fact.term_days
            }
            several = len({number for _, number in numbers}) == len(numbers)
            must(several, f"{subject} has recoveries {sorted(numbers)} in one term")

    def _possible(self, report: Any) -> list[dict[str, Any]]:
        """The quotas of all rules that a loss of some product may be under."""
        return [
            rule["quota"]
            for rule in self.policy["rules"]
            if rule.get("quota")
            and report.kind in (rule.get("kinds") or [report.kind])
            and report.reason in (rule.get("reasons") or [report.reason])
        ]

    def _pot(self, report: Any, quota: dict[str, Any]) -> str:
        usual = "same_hardware" if report.reason == "same_hardware" else "recoveries"
        return str(quota.get("pot", usual))

    def _owed(self, case: str) -> set[tuple[str, int, int, str]]:
        """What a case must count for: pot, limit and term of each quota that what it lost is under, and the subject."""
        facts: list[Any] = [one.fact for one in self.of(case)]
        report, owed = facts[0], set()
        for item in {item for fact in facts if fact.name == "scope.known" for item in fact.licences}:
            best: tuple[list[bool], int] = ([], 0)
            chosen: dict[str, Any] = {}
            for number, rule in enumerate(self.policy["rules"]):
                asked = (("products", item.product), ("kinds", report.kind), ("reasons", report.reason))
                if any(rule.get(name) and value not in rule[name] for name, value in asked):
                    continue
                rank = ([bool(rule.get(name)) for name, _ in asked], -number)
                if not chosen or rank > best:
                    best, chosen = rank, rule
            if quota := chosen.get("quota"):
                per = quota.get("per", "holder")
                of = {"holder": self.holders[report.serial], "container": report.serial}
                of |= {"licence": item.licence, "product": item.product}
                pot = self._pot(report, quota)
                owed.add((pot, quota["recoveries"], quota["term_days"], f"{per}/{of[per]}"))
        return owed

    def _counts(self, case: str) -> None:
        """A case that recovers something within its quotas counts in every one of them, and in no other."""
        kept = {
            (one.pot, one.limit, one.term_days, subject)
            for one in self.reserved.get(case, ())
            for subject in one.subjects
        }
        owed = self._owed(case)
        must(kept == owed, f"{case} counts for {kept} and must for {owed}")

    def _recovery_freed(self, _: str, fact: Any) -> None:
        must(fact.case in self.reserved, f"{fact.case} frees what it never had")
        del self.reserved[fact.case]

    # What cases said.

    def _loss_reported(self, case: str, fact: Any) -> None:
        number = f"{fact.reporter.role} {fact.reporter.name} {fact.report}"
        opens = len(self.of(case)) == 1
        if not opens and fact.rejected:  # what it took over turned out to be rejected: its own report, once more
            first, over = self.of(case)[0].fact, self.of(fact.rejected)
            must((fact.report, fact.reporter) == (first.report, first.reporter), f"{case} names {fact.rejected}")
            must(over[-1].fact.outcome == "rejected" and over[0].fact.reason == "forgotten", f"{case} names {over[-1]}")
            return
        learns = not opens and fact.beside  # the case beside it has the report
        first = case if learns else self.reports.setdefault(number, case)
        if first != case or not opens:
            further = opens and fact.beside == first and fact.former in self.closed
            known = any(
                one.fact.name == "loss.reported"
                and one.fact.report == fact.report
                and one.fact.reporter == fact.reporter
                and (learns or one.sequence == 1 or not one.fact.beside)
                for one in self.of(case)[:-1]
            )
            must(not known and (first == case or further), f"report {number} is in {case} and in {first}")
        self.received.setdefault(case, fact.received)
        self.reporters[case].add(fact.reporter.name)
        holder = self.holders[fact.serial]
        if fact.reporter.role == "delegate":
            must(fact.on_behalf_of == holder, f"{fact.reporter} claims {fact.serial} for {fact.on_behalf_of}")
            must(self._acts_for(fact.reporter.name, holder, fact.received), f"{fact.reporter} claims {fact.serial}")
            return
        must(fact.on_behalf_of is None, f"{fact.reporter} claims {fact.serial} for {fact.on_behalf_of}")
        must(
            fact.reporter.role == "back_office" or fact.reporter.name == holder, f"{fact.reporter} claims {fact.serial}"
        )

    def _acts_for(self, name: str, holder: str, at: datetime) -> bool:
        """Whether a delegation was given, and was neither over nor revoked when something was received."""
        return any(
            one.delegate == name
            and holder in one.holders
            and at < one.until
            and at < self.revoked.get(number, one.until)
            for number, one in self.delegations.items()
        )

    def _case_decided(self, case: str, fact: Any) -> None:
        must(fact.policy_version == self.policy.get("policy_version", 1), "decided under another policy version")
        must(fact.reasons, f"{case} is decided without a reason")
        self.first.pop(case, None)
        self.decided[case] = fact
        self.granted[case] = None
        if fact.decision == "automatic":
            self._counts(case)
            self.granted[case] = "automatic"

    def _approval_given(self, case: str, fact: Any) -> None:
        self._allowed(case, fact.by)
        self.first[case] = fact.by

    def _case_approved(self, case: str, fact: Any) -> None:
        self._allowed(case, fact.by)
        decided = self.decided[case]
        if decided.four_eyes:
            first = self.first.get(case)
            must(first not in (None, fact.by, *self.reporters[case]), f"{case} is approved by one person alone")
        if decided.limit is not None and case not in self.reserved:
            must(fact.goodwill and fact.why, f"{case} is beyond the quota, and nobody took that on")
        else:
            self._counts(case)
        self.granted[case] = "approved"

    def _allowed(self, case: str, by: str) -> None:
        holder = self.holders[self.of(case)[0].fact.serial]  # type: ignore[attr-defined]
        must(by in self.policy["supervisors"], f"{by} approves {case} and is no supervisor")
        must(by != holder and by not in self.reporters[case], f"{by} approves {case}, their own")

    def _replacing_begun(self, case: str, _: Any) -> None:
        self._is_blocked(case)
        self._is_granted(case)

    def _waiting_begun(self, case: str, _: Any) -> None:
        self._is_granted(case)

    def _case_ruled(self, case: str, fact: Any) -> None:
        if fact.reinstate:
            must(fact.by in self.policy["supervisors"], f"{fact.by} reinstates {case}")
            self.granted[case] = "reinstate"
        must(fact.by or fact.verdict in ("found", "damaged"), f"nobody ruled {fact.verdict} on {case}")

    def _replacement_withdrawn(self, case: str, _: Any) -> None:
        current = {
            f"licence/{name}/{number}"
            for (name, old), by in self.superseded.items()
            if by == case and (number := old + 1) == self.generation[name] and name not in self.ended
        }
        for subject in current:
            state = self.measures.get((case, "withdrawal", subject))
            must(state == "confirmed", f"{subject} of {case} counts as withdrawn and is {state}")

    def _case_reinstated(self, case: str, fact: Any) -> None:
        must(self.granted.get(case) == "reinstate", f"{case} is reinstated, and nobody ruled so")
        must(case not in self.tells, f"{case} is reinstated though its replacement is lost")

    def _replacement_lost(self, case: str, _: Any) -> None:
        self.tells.add(case)
        if self.granted.get(case) == "reinstate":
            self.granted[case] = None

    def _case_closed(self, case: str, fact: Any) -> None:
        must(case not in self.closed, f"{case} ends twice")
        self.closed[case] = fact.outcome

    def over(self) -> None:
        """Every ordered measure of a case that is over has ended."""
        for (case, measure, subject), state in self.measures.items():
            must(case not in self.closed or state in ENDS, f"{measure} of {subject} is {state} though {case} is over")
