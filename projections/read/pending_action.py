"""What an open case waits for, whose turn it is, and until when. Pure; shown wherever somebody decides."""

from collections.abc import Sequence
from typing import assert_never

from events.terms import Action, Instant, PersonId, Target, Value
from workflows.authority import may_decide
from workflows.case import CaseState
from workflows.case_life import STAGES, Party
from workflows.policy import Policy, loss_of

HOLDER_DOES = {
    Target.EMPTY_CONTAINER: "an empty container",
    Target.OTHER_CONTAINER: "another container",
    Target.ACTIVATION: "an activation",
    Target.SAME_CONTAINER: "new access data",
}


class PendingAction(Value):
    """What is awaited, such as `approval`; `by` whom (holders, supervisors or a container by name; none: time alone),
    and `until` when, if ever."""

    what: str
    by: tuple[str, ...] = ()
    until: Instant | None = None


def pending_action(state: CaseState, supervisors: Sequence[PersonId], policy: Policy) -> PendingAction | None:
    """What a case waits for; None where it is at work, or over. `supervisors` are those of the policy in force,
    `policy` is the one that the case was decided under."""

    stage = STAGES[state.status]
    wait = next((one for one in stage.waits if one.when is None or getattr(state, one.when)), None)
    if wait is None:
        return None
    by: tuple[str, ...]
    match wait.by:
        case Action() as action:
            by = tuple(one for one in supervisors if may_decide(state, action, one, supervisors, policy))
        case Party.HOLDER:
            by = (str(state.holder),) if state.holder else ()
        case Party.REPLACEMENT:
            by = (str(state.target),)
        case None:
            by = ()
        case _:
            assert_never(wait.by)
    target = HOLDER_DOES[loss_of(state.report).target(state.report.scope)]
    what = wait.what.format(condition=state.condition, target=target)
    return PendingAction(what=what, by=by, until=getattr(state, wait.until) if wait.until else None)
