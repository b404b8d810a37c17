"""What an open case waits for, whose turn it is, and until when. Pure; shown wherever somebody decides."""

from collections.abc import Sequence

from events.terms import Action, Instant, PersonId, Status, Target, Value, Watch
from workflows.authority import may_decide
from workflows.case import CaseState
from workflows.policy import Policy, loss_of

HOLDER_DOES = {
    Target.EMPTY_CONTAINER: "an empty container",
    Target.OTHER_CONTAINER: "another container",
    Target.ACTIVATION: "an activation",
    Target.SAME_CONTAINER: "new access data",
}


class Awaited(Value):
    """What is awaited, such as `approval`; `by` whom (holders, supervisors or a container by name; none: time alone),
    and `until` when, if ever."""

    what: str
    by: tuple[str, ...] = ()
    until: Instant | None = None


def awaited(state: CaseState, supervisors: Sequence[PersonId], policy: Policy) -> Awaited | None:
    """What a case waits for; None where it is at work, or over. `supervisors` are those of the policy in force,
    `policy` is the one that the case was decided under."""

    def able(action: Action) -> tuple[str, ...]:
        return tuple(one for one in supervisors if may_decide(state, action, one, supervisors, policy))

    holder = (str(state.holder),) if state.holder else ()
    match state.status:
        case Status.AWAITING_APPROVAL | Status.ESCALATED:
            missing = [name for name in state.asked if name not in (*state.report.evidence, *state.evidence)]
            what = "a second approval" if state.first_approval else "an approval"
            what += f"; evidence was asked for: {', '.join(missing)}" if missing else ""
            return Awaited(what=what, by=able(Action.APPROVE), until=state.due)
        case Status.WAITING:
            return Awaited(what="the end of the waiting period", until=state.waits_until)
        case Status.AWAITING_TARGET:
            what = HOLDER_DOES[loss_of(state.report).target(state.report.scope)]
            return Awaited(what=what, by=holder, until=state.lapses)
        case Status.WATCHING if state.condition is not None:
            return Awaited(what=f"the condition: {state.condition}", by=able(Action.MEET), until=state.watch_until)
        case Status.WATCHING if loss_of(state.report).watch is Watch.UNTIL_RETURNED:
            return Awaited(what="the return of the damaged container", by=holder, until=state.watch_until)
        case Status.WATCHING:
            return Awaited(what="the end of the watch", until=state.watch_until)
        case Status.RESURFACED:
            return Awaited(what="a verdict", by=able(Action.RULE))
        case Status.REINSTATING if state.target is not None and not state.withdrawn:
            return Awaited(what="the removal of the replacement", by=(str(state.target),))
        case Status.REINSTATING if state.release_until is not None:
            return Awaited(what="the end of other cases on the container", until=state.release_until)
        case Status.STUCK:
            return Awaited(what="a decision to resume it or give it up", by=able(Action.GIVE_UP))
        case _:
            return None
