"""What policy says of a case: its rule, limits, quota and measures."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from tests.machine.case_oracle.records import TABLE, Case, Claim
from tests.machine.case_oracle.stock import Known


class Rules(Known):
    """Reads the policy."""

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
