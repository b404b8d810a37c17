"""What an open case waits for, whose turn it is, and until when. Pure; shown wherever somebody decides."""

from events.terms import Instant, Status, Target, Value, Watch
from workflows.case import CaseState
from workflows.policy import loss_of

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


def awaited(state: CaseState, supervisors: list[str]) -> Awaited | None:
    """What a case waits for; None where it is at work, or over. `supervisors` are those of the policy in force."""
    allowed = tuple(name for name in supervisors if name not in (state.holder, *state.reporters))
    holder = (str(state.holder),) if state.holder else ()
    match state.status:
        case Status.AWAITING_APPROVAL | Status.ESCALATED:
            escalated = tuple(map(str, state.escalated_to)) if state.status is Status.ESCALATED else None
            by = tuple(name for name in escalated or allowed if name != state.first_approval)
            missing = [name for name in state.asked if name not in (*state.report.evidence, *state.evidence)]
            what = "a second approval" if state.first_approval else "an approval"
            what += f"; evidence was asked for: {', '.join(missing)}" if missing else ""
            return Awaited(what=what, by=by, until=state.due)
        case Status.WAITING:
            return Awaited(what="the end of the waiting period", until=state.waits_until)
        case Status.AWAITING_TARGET:
            what = HOLDER_DOES[loss_of(state.report).target(state.report.scope)]
            return Awaited(what=what, by=holder, until=state.lapses)
        case Status.WATCHING if state.condition is not None:
            return Awaited(what=f"the condition: {state.condition}", by=allowed, until=state.watch_until)
        case Status.WATCHING if loss_of(state.report).watch is Watch.UNTIL_RETURNED:
            return Awaited(what="the return of the damaged container", by=holder, until=state.watch_until)
        case Status.WATCHING:
            return Awaited(what="the end of the watch", until=state.watch_until)
        case Status.RESURFACED:
            return Awaited(what="a verdict", by=allowed)
        case Status.REINSTATING if state.target is not None and not state.withdrawn:
            return Awaited(what="the removal of the replacement", by=(str(state.target),))
        case Status.STUCK:
            return Awaited(what="a word to resume it or give it up", by=allowed)
        case _:
            return None
