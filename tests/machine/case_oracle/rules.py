"""What policy says of a case: its rule, limits, quota and measures."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from tests.machine.case_oracle.records import TABLE, Bar, Case, Claim
from tests.machine.case_oracle.stock import Known

MODES = ("automatic", "hybrid", "manual")


def strictness(rule: dict[str, Any]) -> tuple[int, bool, int]:
    """By mode, then by how little its quota allows."""
    quota = rule.get("quota")
    return MODES.index(rule.get("mode", "automatic")), quota is not None, -quota["recoveries"] if quota else 0


class Rules(Known):
    """Reads the policy."""

    def rule(self, case: Case) -> dict[str, Any]:
        """The strictest rule for what was lost; a person decides where there is none."""
        return self._rules(case)[0][1]

    def _rules(self, case: Case) -> list[tuple[int, dict[str, Any], list[str]]]:
        """The rules for what was lost, the strictest first: of each its number and the licences under it."""
        found: dict[int, tuple[int, dict[str, Any], list[str]]] = {}
        of: list[tuple[str | None, str | None]] = [(name, self._product(case, name)) for name in self._names(case)]
        if case.only_watches:
            of = [(None, product) for product in case.products]
        for name, product in of or [(None, None)]:
            number, rule = self._rule_of(case.kind, case.reason, product)
            _, _, names = found.setdefault(number, (number, rule, []))
            names += [name] if name else []
        return sorted(found.values(), key=lambda one: strictness(one[1]), reverse=True)

    def _products(self, serial: str, scope: str, names: Iterable[str]) -> tuple[str, ...]:
        """The products of what is reported: of all that is in a container, or else of all that came out of it."""
        here = [one.name for one in self.licences.values() if one.serial == serial and not one.ended]
        cases = [case for case in self.cases.values() if case.serial == serial and (not case.freed or case.closing)]
        known = here or [name for case in cases for name in case.licences]
        lost = known if scope == "container" else [name for name in names if name in known]
        return tuple(sorted({self.licences[name].product for name in lost}))

    def _names(self, case: Case) -> list[str]:
        """The licences of a case; of cloud containers all that are there, for they stay."""
        if case.judged is not None:
            return sorted(case.judged)
        if case.kind == "cloud":
            return sorted(one.name for one in self.licences.values() if one.serial == case.serial)
        return sorted(case.licences)

    def _rule_of(self, kind: str, reason: str, product: str | None) -> tuple[int, dict[str, Any]]:
        """The most specific rule for a product, and its number."""
        fitting = [
            (number, rule)
            for number, rule in enumerate(self.policy["rules"])
            if kind in rule.get("kinds", [kind])
            and reason in rule.get("reasons", [reason])
            and product in rule.get("products", [product])
        ]
        names = ("products", "kinds", "reasons")
        return max(fitting, key=lambda one: [name in one[1] for name in names], default=(-1, {"mode": "manual"}))

    def _product(self, case: Case, name: str) -> str:
        return case.judged[name][0] if case.judged and name in case.judged else self.licences[name].product

    def _value(self, case: Case) -> int:
        return sum(value for _, value in (case.judged or {}).values())

    def _limits(self, case: Case, evidence: set[str]) -> frozenset[str]:
        """What sends a hybrid case to a person."""
        rules = [rule for _, rule, _ in self._rules(case)]
        if rules[0].get("mode") == "manual":
            return frozenset({"manual"})
        found = set()
        if case.rejected and not all(rule.get("automatic_after_rejection") for rule in rules):
            found.add("rejected before")
        return frozenset(found).union(*(self._limited(case, rule, evidence) for rule in rules))

    def _limited(self, case: Case, rule: dict[str, Any], evidence: set[str]) -> set[str]:
        found: set[str] = set()
        if rule.get("mode") != "hybrid":
            return found
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
        return found

    def _was_rejected(self, lost: Iterable[Claim], barred: Iterable[Bar]) -> bool:
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

    def _quotas(self, case: Case) -> list[tuple[int, dict[str, Any], list[str]]]:
        """What counts the recoveries of a case, if it recovers anything: of each its rule's number, and the licences
        under that rule."""
        rules = [] if case.only_watches else self._rules(case)
        return [(number, rule["quota"], names) for number, rule, names in rules if rule.get("quota")]

    def _reserve(self, case: Case) -> frozenset[int]:
        """Counts the case in each of its quotas, if all have one left; the rules whose quotas have none."""
        if case.name in self.reserved:
            return frozenset()
        counted, used_up = [], set()
        for number, quota, names in self._quotas(case):
            products = sorted({self._product(case, name) for name in names})
            of = {"holder": [case.holder], "container": [case.serial], "licence": names, "product": products}
            subjects = tuple(of[quota.get("per", "holder")]) or (f"container {case.serial}",)
            pot = quota.get("pot") or ("same_hardware" if case.reason == "same_hardware" else "recoveries")
            term = timedelta(days=quota["term_days"])
            if any(len(self._counted(case, pot, one, term)) >= quota["recoveries"] for one in subjects):
                used_up.add(number)
            counted += [(pot, one) for one in subjects]
        if not used_up:
            self.reserved[case.name] = (set(counted), case.received)
        return frozenset(used_up)

    def _counted(self, case: Case, pot: str, subject: str, term: timedelta) -> list[str]:
        """The other cases that count for a subject in a term around the report of this one."""
        return [
            other
            for other, (counted, at) in self.reserved.items()
            if (pot, subject) in counted and not self.cases[other].freed and abs(at - case.received) < term
        ]

    def grantors(self, case: Case) -> set[str]:
        """Who may approve it with goodwill: whom each quota that it is beyond lets, or whom one lets where there is
        nobody whom all let. Within all quotas it is the strictest's that says."""
        quotas = self._quotas(case)
        asked = [quota for number, quota, _ in quotas if number in case.beyond] or [one for _, one, _ in quotas[:1]]
        named = [set(quota["goodwill"]) for quota in asked if quota.get("goodwill")]
        everybody = set(self.policy["supervisors"])
        return everybody.intersection(*named) or set().union(*named)

    def subjects(self, case: Case) -> list[str]:
        """What its measures aim at."""
        if case.kind == "cloud":
            return [f"access_data/{case.serial}/{case.generation}"]
        if case.scope == "container":
            return [f"container/{case.serial}/{case.generation}"]
        claims = case.lost | {claim for _, claim in case.barred}
        return [f"licence/{name}/{generation}" for name, generation in sorted(claims)]

    def asked(self, case: Case) -> list[tuple[str, int]]:
        """The measures of its policy in their order, with their delays in hours."""
        return self._measures(case.kind, case.reason)

    def _measures(self, kind: str, reason: str) -> list[tuple[str, int]]:
        asked, usual = self._rule_of(kind, reason, None)[1].get("measures"), TABLE[kind, reason].measures
        if asked is None or not usual:
            return [(measure, 0) for measure in usual]
        return [(one, 0) if isinstance(one, str) else (one["measure"], one["delay_hours"]) for one in asked]
