"""Policy: a vendor's rules as data, and the decision as a pure function of them."""

from typing import Annotated

from pydantic import Field

from events.catalogue import BackendFacts, CaseDecided, LossReported
from events.terms import Measure, Value, Verdict


class Policy(Value):
    """One version of a vendor's rules. A case keeps the version that it was decided under."""

    policy_version: Annotated[int, Field(ge=1)] = 1
    measures: tuple[Measure, ...] = (Measure.BLACKLISTING,)
    watch_days: Annotated[int, Field(ge=1, le=3660)] = 365


def decide_report(report: LossReported, facts: BackendFacts, policy: Policy) -> CaseDecided:
    """What policy says of a report, with its reasons in words."""

    def decided(verdict: Verdict, *reasons: str) -> CaseDecided:
        return CaseDecided(verdict=verdict, reasons=reasons, policy_version=policy.policy_version, facts=facts)

    if not facts.licences:
        return decided(Verdict.REFUSED, f"container {facts.serial} holds no licence that could be replaced")
    return decided(
        Verdict.AUTOMATIC, f"policy version {policy.policy_version} replaces a {report.reason} {report.kind} at once"
    )
