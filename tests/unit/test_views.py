"""What views say beyond the rows: whether a container is blocked at an instant, and what a case waits for."""

from datetime import timedelta
from typing import Any

import pytest

from events.measure_subject import Subject
from events.terms import Action, CaseId, Cause, HolderId, Measure, Serial, Status, VendorId, Verdict
from projections.read.pending_action import PendingAction, pending_action
from projections.read.views import MeasureView, container_status
from tests.worlds import EYES, MANUAL, NOW, PLAIN, POLICY, Life, World
from workflows.commands import Elapsed, NoTarget

LATER = NOW + timedelta(hours=1)
WHOLE, ACCESS = Subject.parse("container/3-1/1"), Subject.parse("access_data/3-1/2")
SUPERVISORS = ["ann", "bob", "eve"]


def against(subject: Subject | str, **more: Any) -> MeasureView:
    return MeasureView.model_validate(
        {
            "serial": "3-1",
            "case_id": "c-1",
            "measure": "blacklisting",
            "subject": subject,
            "ordered": NOW,
            "effective": NOW,
            "state": "ordered",
            "delivered": None,
            "ended": None,
            "confirmed_by": None,
        }
        | more
    )


@pytest.mark.parametrize(
    ("measure", "status"),
    [
        (against(WHOLE), "blocked"),
        (against(WHOLE, state="confirmed"), "blocked"),
        (against(WHOLE, state="lifted"), "good"),
        (against(WHOLE, effective=LATER), "good"),
        (against("container/3-1/0"), "good"),
        (against("licence/L-1/1"), "good"),
        (against(ACCESS), "access data blocked"),
        (against("access_data/3-1/1"), "good"),
    ],
)
def test_a_container_is_blocked_from_the_time_of_effect_of_a_measure_on_it(measure: MeasureView, status: str) -> None:
    assert container_status([measure], WHOLE, ACCESS, NOW) == status


def test_a_delayed_measure_blocks_once_its_time_has_come() -> None:
    assert container_status([against(WHOLE, effective=LATER)], WHOLE, ACCESS, LATER) == "blocked"


def life(product: Any = PLAIN) -> Life:
    started = Life(World(), VendorId("acme"), CaseId("c-1"), Serial("3-1"), HolderId("h-1"), product)
    started.reports("R-1")
    started.assessed("L-1")
    return started


def waits(case: Life) -> PendingAction | None:
    assert case.state is not None
    return pending_action(case.state, SUPERVISORS, POLICY)


def test_an_approval_is_awaited_from_the_supervisors_by_its_due_time_with_the_evidence_that_was_asked_for() -> None:
    case = life(EYES)
    assert case.state is not None
    due = case.state.due
    case.decides("D-1", Action.ASK, evidence=("photo",))

    assert waits(case) == PendingAction(
        what="an approval; evidence was asked for: photo", by=("ann", "bob", "eve"), until=due
    )


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
