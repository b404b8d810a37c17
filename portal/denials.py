"""Why a decision was denied, in words that are true at every door."""

from typing import TYPE_CHECKING

from events.errors import Code, RefusalError
from events.ports.loss_cases import DecisionOrder
from events.terms import CaseId, Status

if TYPE_CHECKING:
    from projections.read.views import CaseLine

DENIALS = {
    Code.NOT_A_SUPERVISOR: "{by} is no supervisor of this vendor; its policy lists who is",
    Code.OWN_CASE: "{by} reported this loss or profits from it; another supervisor must decide",
    Code.NOTHING_TO_DECIDE: "the case does not wait for this decision",
    Code.STALE: "the case has moved on since the fact that this decision was made on",
    Code.SAME_SUPERVISOR: "{by} has approved it already; two different supervisors must",
    Code.NOT_ESCALATED_TO: "the case was escalated, and not to {by}",
    Code.BEYOND_QUOTA: "the quota is used up",
    Code.NO_GOODWILL: "{by} may not approve beyond the quota; the policy names who may",
    Code.NO_CONDITION: "no licence is issued for this loss, so nothing can be limited until a condition is met",
    Code.TOO_LATE: "the replacement is under way, so the loss cannot be cancelled; state instead that it is found",
    Code.REPLACEMENT_LOST: "the replacement was lost too, so the original can only be retired",
    Code.DECISION_ID_TAKEN: "number {decision} is another decision's on this case; give a new decision a new number",
}


def denied(code: Code, case: CaseId, order: DecisionOrder, known: "CaseLine | None" = None) -> RefusalError:
    """Why a decision on a case was denied; `known` is the case as the views show it."""
    if code is Code.STALE and known and order.on > known.material:
        return RefusalError(
            code,
            f"the case has no material fact {order.on} to decide on; its last one is {known.material}",
            case=case,
            by=order.by,
            decision=order.decision,
            on=order.on,
            material=known.material,
        )
    sentence = DENIALS.get(code, "it was denied ({code})").format(by=order.by, decision=order.decision, code=code)
    if code is Code.NOTHING_TO_DECIDE and order.reinstate and known and known.status == Status.RESURFACED:
        sentence = "nothing can be reinstated in this case, for no licence was replaced; rule found without that"
    return RefusalError(code, sentence, case=case, by=order.by, decision=order.decision, on=order.on)
