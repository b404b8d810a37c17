"""What a case waits for, and who can give it."""

from datetime import timedelta
from typing import Any

from events.terms import Action, CaseId, Cause, HolderId, Measure, Serial, Status, VendorId, Verdict
from projections.read.pending_action import PendingAction, pending_action
from tests.worlds import EYES, MANUAL, NOW, PLAIN, POLICY, Life, World
from workflows.commands import Elapsed, NoTarget

SUPERVISORS = ["ann", "bob", "eve"]


def life(product: Any = PLAIN) -> Life:
    started = Life(World(), VendorId("acme"), CaseId("c-1"), Serial("3-1"), HolderId("h-1"), product)
    started.reports("R-1")
    started.assessed("L-1")
    return started


def waits(case: Life) -> PendingAction | None:
    assert case.state is not None
    return pending_action(case.state, SUPERVISORS, POLICY)


def test_an_approval_is_awaited_from_the_supervisors_by_its_due_time_and_not_the_evidence_that_they_asked_for() -> None:
    case = life(EYES)
    assert case.state is not None
    due = case.state.due
    case.decides("D-1", Action.ASK, evidence=("photo",))

    assert waits(case) == PendingAction(what="an approval", by=("ann", "bob", "eve"), until=due)


def test_a_second_approval_is_awaited_from_those_whom_the_case_was_escalated_to_but_not_from_the_first() -> None:
    case = life(EYES)
    case.command(*(Elapsed(at=NOW + timedelta(hours=hours), policy=POLICY) for hours in (25, 49)))
    case.decides("D-1", Action.APPROVE, by="bob")

    assert waits(case) == PendingAction(what="a second approval", by=("eve",))


def test_a_condition_is_awaited_until_its_stop_gap_ends() -> None:
    case = life(MANUAL)
    case.decides("D-1", Action.APPROVE, condition="the police report", condition_days=14)
    case.blocked()
    case.replaces(Serial("3-2"), "L-1", stop_gap=True)

    found = waits(case)

    assert found is not None
    assert (found.what, found.by) == ("the condition: the police report", tuple(SUPERVISORS))
    assert case.state is not None
    assert found.until == case.state.watch_until


def test_what_is_awaited_follows_the_case_to_its_end() -> None:
    case = life()
    seen: list[tuple[Status, str | None]] = []

    def look() -> None:
        found = waits(case)
        assert case.state is not None
        seen.append((case.state.status, found.what if found else None))

    case.orders(Measure.BLACKLISTING)
    look()
    case.blocked()
    case.command(NoTarget(at=NOW, tickets=("T-1",)))
    look()
    case.sighted("found/1", Cause.FOUND)
    look()
    case.decides("D-1", Action.RULE, verdict=Verdict.CLONE)
    look()

    assert seen == [
        (Status.BLOCKING, None),
        (Status.AWAITING_TARGET, "an empty container"),
        (Status.RESURFACED, "a verdict"),
        (Status.CLOSED, None),
    ]
