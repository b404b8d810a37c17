"""The life of a case, as data that the code, the views, the documentation and its diagram read: what a case does or
waits for in each status, who is awaited, when it looks again by itself, what may be decided, and how it may end."""

from enum import StrEnum
from typing import NamedTuple

from events.terms import Action, Outcome, Status


class Party(StrEnum):
    """Who is awaited, other than supervisors."""

    HOLDER = "the holder"
    REPLACEMENT = "the container that holds the replacement"


class Wait(NamedTuple):
    """Something that a case waits for: from `by` (supervisors who may take this action, another party, or None: it is a
    matter of time), until the instant in the field `until` of its state. It is so while the field or property `when` of
    the state is true; the first that is so counts. `what` may name fields of the state in braces."""

    what: str
    by: Action | Party | None = None
    until: str | None = None
    when: str | None = None


class Cancel(StrEnum):
    """Whether a case may be cancelled."""

    YES = "yes"
    TOO_LATE = "too late: say that it was found"
    NO = "no"


class Stage(NamedTuple):
    """A status of a case: what the case does there by itself, and what it waits for. It looks again by itself at the
    first of the instants in the fields `alarms` of its state. `actions` are what supervisors may decide there, besides
    a cancel; `outcomes` are the ends that it may come to from there."""

    does: str | None = None
    waits: tuple[Wait, ...] = ()
    alarms: tuple[str, ...] = ()
    actions: tuple[Action, ...] = ()
    cancel: Cancel = Cancel.NO
    outcomes: tuple[Outcome, ...] = ()


VERDICTS = (Outcome.FOUND, Outcome.DAMAGED, Outcome.USED_AFTER_LOSS, Outcome.CLONE, Outcome.FRAUD)
"""The ends that a verdict makes."""

APPROVALS = (
    Wait("a second approval", Action.APPROVE, "due", when="standing_approval"),
    Wait("an approval", Action.APPROVE, "due"),
)

STAGES: dict[Status, Stage] = {
    Status.REPORTED: Stage(
        does="asks the backend what it knows, and has policy decide",
        outcomes=(Outcome.REFUSED,),
    ),
    Status.AWAITING_APPROVAL: Stage(
        waits=APPROVALS,
        alarms=("remind", "due"),
        actions=(Action.APPROVE, Action.REJECT, Action.ASK),
        cancel=Cancel.YES,
        outcomes=(Outcome.REJECTED, Outcome.CANCELLED),
    ),
    Status.ESCALATED: Stage(
        waits=APPROVALS,
        actions=(Action.APPROVE, Action.REJECT, Action.ASK),
        cancel=Cancel.YES,
        outcomes=(Outcome.REJECTED, Outcome.CANCELLED),
    ),
    Status.BLOCKING: Stage(does="has the measures ordered"),
    Status.WAITING: Stage(
        waits=(Wait("the end of the waiting period", until="waits_until"),),
        alarms=("waits_until",),
        cancel=Cancel.YES,
        outcomes=(Outcome.CANCELLED,),
    ),
    Status.REPLACING: Stage(
        does="has the replacement issued",
        cancel=Cancel.TOO_LATE,
        outcomes=(Outcome.RESTORED, Outcome.RETURNED, Outcome.LAPSED, Outcome.CANCELLED),
    ),
    Status.AWAITING_TARGET: Stage(
        waits=(Wait("{target}", Party.HOLDER, "lapses"),),
        alarms=("lapses",),
        cancel=Cancel.TOO_LATE,
        outcomes=(Outcome.LAPSED, Outcome.CANCELLED),
    ),
    Status.WATCHING: Stage(
        waits=(
            Wait("the condition: {condition}", Action.MEET, "watch_until", when="condition"),
            Wait("the return of the damaged container", Party.HOLDER, "watch_until", when="owes_return"),
            Wait("the end of the watch", until="watch_until"),
        ),
        alarms=("watch_until",),
        actions=(Action.MEET,),
        cancel=Cancel.TOO_LATE,
        outcomes=(Outcome.RETIRED, Outcome.LAPSED, Outcome.LOST_FOR_EVER),
    ),
    Status.RESURFACED: Stage(
        waits=(Wait("a verdict", Action.RULE),),
        actions=(Action.RULE,),
        cancel=Cancel.TOO_LATE,
        outcomes=(*VERDICTS, Outcome.CANCELLED),
    ),
    Status.REINSTATING: Stage(
        does="has the replacement withdrawn, its measures lifted, and the original reinstated",
        waits=(
            Wait("the removal of the replacement", Party.REPLACEMENT, when="withdraws"),
            Wait("the end of other cases on the container", until="release_until", when="release_until"),
        ),
        alarms=("release_until",),
        actions=(Action.RULE,),
        cancel=Cancel.TOO_LATE,
        outcomes=VERDICTS,
    ),
    Status.STUCK: Stage(
        waits=(Wait("a decision to resume it or give it up", Action.GIVE_UP),),
        actions=(Action.RULE, Action.RESUME, Action.GIVE_UP),
        outcomes=(Outcome.GIVEN_UP, *VERDICTS, Outcome.CANCELLED),
    ),
    Status.CLOSED: Stage(),
}

DECIDABLE: dict[Action, tuple[Status, ...]] = {
    action: tuple(
        status
        for status, stage in STAGES.items()
        if action in stage.actions or (action is Action.CANCEL and stage.cancel is Cancel.YES)
    )
    for action in Action
}
"""Where a case must stand for each action."""

UNDECIDED = DECIDABLE[Action.APPROVE]
"""Where a case waits for an approval."""

CANCELLABLE = DECIDABLE[Action.CANCEL]
"""Where a case rests before its replacement is begun."""

TOO_LATE = tuple(status for status, stage in STAGES.items() if stage.cancel is Cancel.TOO_LATE)
"""Where it is too late to cancel a case: its holder may say that the container was found."""

UNDER_WAY = tuple(status for status, stage in STAGES.items() if stage.does and not stage.waits)
"""Where a case goes on without waiting for anybody."""

RESTING = tuple(status for status, stage in STAGES.items() if stage.waits and not stage.does and status != Status.STUCK)
"""Where a case does nothing but wait. It is stuck there if it goes on in a new history and cannot read its policy."""

TRANSITIONS: dict[tuple[Status | None, str], Status] = {
    (None, "loss.reported"): Status.REPORTED,
    (Status.REPORTED, "scope.known"): Status.REPORTED,
    (Status.REPORTED, "quotas.asked"): Status.REPORTED,
    (Status.REPORTED, "case.decided:automatic"): Status.BLOCKING,
    (Status.REPORTED, "case.decided:refused"): Status.REPORTED,
    (Status.REPORTED, "case.decided:needs_approval"): Status.AWAITING_APPROVAL,
    (Status.REPORTED, "case.stuck"): Status.STUCK,
    (Status.AWAITING_APPROVAL, "quotas.asked"): Status.AWAITING_APPROVAL,
    (Status.AWAITING_APPROVAL, "case.decided:automatic"): Status.BLOCKING,
    (Status.AWAITING_APPROVAL, "case.decided:needs_approval"): Status.AWAITING_APPROVAL,
    (Status.AWAITING_APPROVAL, "approval.reminded"): Status.AWAITING_APPROVAL,
    (Status.AWAITING_APPROVAL, "approval.overdue:keep_waiting"): Status.AWAITING_APPROVAL,
    (Status.AWAITING_APPROVAL, "approval.overdue:escalate"): Status.ESCALATED,
    (Status.AWAITING_APPROVAL, "approval.overdue:reject"): Status.AWAITING_APPROVAL,
    (Status.AWAITING_APPROVAL, "approval.given"): Status.AWAITING_APPROVAL,
    (Status.AWAITING_APPROVAL, "evidence.asked"): Status.AWAITING_APPROVAL,
    (Status.AWAITING_APPROVAL, "case.approved"): Status.BLOCKING,
    (Status.AWAITING_APPROVAL, "case.rejected"): Status.AWAITING_APPROVAL,
    (Status.AWAITING_APPROVAL, "case.cancelled"): Status.AWAITING_APPROVAL,
    (Status.AWAITING_APPROVAL, "case.resurfaced"): Status.RESURFACED,
    (Status.ESCALATED, "quotas.asked"): Status.ESCALATED,
    (Status.ESCALATED, "case.decided:automatic"): Status.BLOCKING,
    (Status.ESCALATED, "case.decided:needs_approval"): Status.ESCALATED,
    (Status.ESCALATED, "approval.given"): Status.ESCALATED,
    (Status.ESCALATED, "evidence.asked"): Status.ESCALATED,
    (Status.ESCALATED, "case.approved"): Status.BLOCKING,
    (Status.ESCALATED, "case.rejected"): Status.ESCALATED,
    (Status.ESCALATED, "case.cancelled"): Status.ESCALATED,
    (Status.ESCALATED, "case.resurfaced"): Status.RESURFACED,
    (Status.BLOCKING, "waiting.begun"): Status.WAITING,
    (Status.BLOCKING, "replacing.begun"): Status.REPLACING,
    (Status.BLOCKING, "watch.begun"): Status.WATCHING,
    (Status.BLOCKING, "case.stuck"): Status.STUCK,
    (Status.WAITING, "case.decided:needs_approval"): Status.AWAITING_APPROVAL,
    (Status.WAITING, "replacing.begun"): Status.REPLACING,
    (Status.WAITING, "case.cancelled"): Status.WAITING,
    (Status.WAITING, "case.resurfaced"): Status.RESURFACED,
    (Status.REPLACING, "target.awaited"): Status.AWAITING_TARGET,
    (Status.REPLACING, "case.decided:needs_approval"): Status.AWAITING_APPROVAL,
    (Status.REPLACING, "case.cancelled"): Status.REPLACING,
    (Status.REPLACING, "watch.begun"): Status.WATCHING,
    (Status.REPLACING, "case.stuck"): Status.STUCK,
    (Status.AWAITING_TARGET, "case.decided:needs_approval"): Status.AWAITING_APPROVAL,
    (Status.AWAITING_TARGET, "target.awaited"): Status.AWAITING_TARGET,
    (Status.AWAITING_TARGET, "target.offered"): Status.REPLACING,
    (Status.AWAITING_TARGET, "case.cancelled"): Status.AWAITING_TARGET,
    (Status.AWAITING_TARGET, "case.resurfaced"): Status.RESURFACED,
    (Status.WATCHING, "case.resurfaced"): Status.RESURFACED,
    (Status.WATCHING, "case.returned"): Status.REPLACING,
    (Status.WATCHING, "condition.met"): Status.REPLACING,
    (Status.RESURFACED, "case.returned"): Status.REPLACING,
    (Status.RESURFACED, "case.cancelled"): Status.RESURFACED,
    (Status.RESURFACED, "case.ruled"): Status.RESURFACED,
    (Status.RESURFACED, "case.ruled:reinstate"): Status.REINSTATING,
    (Status.REINSTATING, "replacement.lost"): Status.RESURFACED,
    (Status.REINSTATING, "replacement.withdrawn"): Status.REINSTATING,
    (Status.REINSTATING, "release.awaited"): Status.REINSTATING,
    (Status.REINSTATING, "case.ruled"): Status.REINSTATING,
    (Status.REINSTATING, "case.reinstated"): Status.REINSTATING,
    (Status.REINSTATING, "case.stuck"): Status.STUCK,
    (Status.STUCK, "case.resumed:reported"): Status.REPORTED,
    (Status.STUCK, "case.resumed:blocking"): Status.BLOCKING,
    (Status.STUCK, "case.resumed:replacing"): Status.REPLACING,
    (Status.STUCK, "case.resumed:reinstating"): Status.REINSTATING,
    (Status.STUCK, "target.offered"): Status.STUCK,
    (Status.STUCK, "case.ruled"): Status.STUCK,
    (Status.STUCK, "case.given_up"): Status.STUCK,
    (Status.STUCK, "case.cancelled"): Status.STUCK,
    **{(status, "case.stuck"): Status.STUCK for status in RESTING},
    **{(Status.STUCK, f"case.resumed:{status}"): status for status in RESTING},
    **{(status, "case.closed"): Status.CLOSED for status, stage in STAGES.items() if stage.outcomes},
}
"""Where each fact takes a case."""

STAYING = (
    "loss.widened",
    "loss.reported",
    "decision.denied",
    "case.sighted",
    "evidence.given",
    "replacement.lost",
    "case.settled",
)
"""Facts that leave every open case where it is, where the table does not say otherwise."""

DENIED = "decision.denied"
"""The one fact that a closed case still takes: an attempt to decide it."""

IMMATERIAL = frozenset({DENIED, "case.sighted", "approval.reminded", "release.awaited"})
"""The names of the facts that make no decision stale."""
