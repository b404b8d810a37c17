"""The life of a case as data: it agrees with itself, with the state that it names fields of, and with the steps."""

import pytest

from events.ports.licensing_backend import CaseKey
from events.terms import Action, Outcome, Status
from tests.unit.facts import NOW, facts, licence, report
from workflows.case import CaseState
from workflows.case_life import DECIDABLE, STAGES, TRANSITIONS, Cancel, Wait
from workflows.policy import Policy
from workflows.steps import End, Rest, next_step

WAITS = [(status, wait) for status, stage in STAGES.items() for wait in stage.waits]


def test_every_status_is_in_the_table_and_reached_by_some_fact() -> None:
    assert set(STAGES) == set(Status)
    assert {None, *STAGES} - {Status.CLOSED} == {status for status, _ in TRANSITIONS}
    assert set(TRANSITIONS.values()) == set(Status)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.CLOSED])
def test_an_open_case_does_something_or_waits_and_rests_where_it_only_waits(status: Status) -> None:
    state = CaseState(status=status, report=report(), reports=("R-1",), reporters=("crm",), facts=facts(licence()))
    key = CaseKey(vendor="acme", case="c-1", serial=state.report.serial)
    step, stage = next_step(state, key, Policy()), STAGES[status]

    assert stage.does or stage.waits
    assert isinstance(step, Rest) is (stage.does is None)
    assert not isinstance(step, End)


@pytest.mark.parametrize(("status", "wait"), WAITS)
def test_what_is_awaited_names_what_the_state_knows_and_who_may_decide(status: Status, wait: Wait) -> None:
    known = {*CaseState.model_fields, *dir(CaseState)}

    assert {name for name in (wait.until, wait.when) if name} <= known
    assert not isinstance(wait.by, Action) or wait.by in STAGES[status].actions
    assert wait.what.format(condition="it", target="it")


@pytest.mark.parametrize("status", Status)
def test_a_case_looks_again_at_the_first_of_its_alarms(status: Status) -> None:
    names = STAGES[status].alarms
    state = CaseState(status=status, report=report(), reports=("R-1",), reporters=("crm",))

    assert set(names) <= set(CaseState.model_fields)
    assert state.alarm is None
    for name in names:
        assert state.model_copy(update={name: NOW}).alarm == NOW


def test_only_before_its_replacement_is_begun_a_case_may_be_cancelled() -> None:
    assert DECIDABLE[Action.CANCEL] == (Status.AWAITING_APPROVAL, Status.ESCALATED, Status.WAITING)
    late = {status for status, stage in STAGES.items() if stage.cancel is Cancel.TOO_LATE}
    assert late == {
        *(Status.REPLACING, Status.AWAITING_TARGET, Status.WATCHING, Status.RESURFACED, Status.REINSTATING),
    }


def test_every_action_can_be_taken_and_every_end_reached_somewhere() -> None:
    assert all(DECIDABLE[action] for action in Action)
    assert {outcome for stage in STAGES.values() for outcome in stage.outcomes} == set(Outcome)
