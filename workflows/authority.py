"""Who may decide on a case: one question with one answer, for decisions, views, pages and explanations. Pure."""

from collections.abc import Collection

from events.errors import Code
from events.terms import Action, PersonId, Status
from workflows.case import CaseState
from workflows.policy import Policy, may_approve_beyond


def may_decide(
    state: CaseState, action: Action, person: PersonId, supervisors: Collection[PersonId], policy: Policy
) -> bool:
    """Whether a person may take this action on a case, if it can be taken at all. `supervisors` are those whom the
    vendor lists now, `policy` is the one that the case was decided under."""
    return why_not(state, action, person, supervisors, policy) is None


def why_not(
    state: CaseState, action: Action, person: PersonId, supervisors: Collection[PersonId], policy: Policy
) -> Code | None:
    """Why a person may not take this action on a case; None where they may.

    Of a case that was escalated those decide whom it was escalated to. Where none of them may, whoever else may, may.
    """
    if code := _apart_from_escalation(state, action, person, supervisors, policy):
        return code
    if state.status is not Status.ESCALATED or person in state.escalated_to:
        return None
    others = (_apart_from_escalation(state, action, one, supervisors, policy) for one in state.escalated_to)
    return Code.NOT_ESCALATED_TO if None in others else None


def _apart_from_escalation(
    state: CaseState, action: Action, person: PersonId, supervisors: Collection[PersonId], policy: Policy
) -> Code | None:
    if person not in supervisors:
        return Code.NOT_A_SUPERVISOR
    if person in (state.holder, *state.reporters):
        return Code.OWN_CASE
    if action is not Action.APPROVE:
        return None
    if person == state.standing_approval:
        return Code.SAME_SUPERVISOR
    return Code.NO_GOODWILL if state.beyond_quota and not may_grant_goodwill(state, person, policy) else None


def may_grant_goodwill(state: CaseState, person: PersonId, policy: Policy) -> bool:
    """Whether a person may approve a case that is beyond one of its quotas."""
    return state.facts is None or may_approve_beyond(person, state.report, state.facts, policy, state.quotas)
