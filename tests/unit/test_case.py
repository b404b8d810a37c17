"""The loss case: decided and folded by one table."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.catalogue import CaseFact, LossReported, TargetOffered, WatchBegun
from events.errors import Code
from events.ports import DecisionOrder, Sighting
from events.terms import Action, Cause, Decision, DecisionId, Kind, Mode, Outcome, Reason, Status, Verdict
from tests.unit.facts import NOW, facts, licence, names, report
from workflows.case import (
    TRANSITIONS,
    Assessed,
    Blocked,
    CaseState,
    Command,
    Decide,
    Failed,
    NoTarget,
    Offered,
    Replaced,
    Report,
    Sighted,
    UnexpectedFactError,
    WaitOver,
    WatchOver,
    decide,
    fold,
    fold_all,
)
from workflows.policy import Policy, Rule

POLICY = Policy(policy_version=7, rules=(Rule(watch_days=30),))
MANUAL = Policy(rules=(Rule(mode=Mode.MANUAL),))


def after(*commands: Command) -> tuple[CaseState, list[CaseFact]]:
    state: CaseState | None = None
    written: list[CaseFact] = []
    for command in commands:
        made = decide(state, command)
        state = fold_all(made, state)
        written += made
    assert state is not None
    return state, written


UNTIL = NOW + timedelta(days=30)
REPORTED = Report(report=report())
ASSESSED = Assessed(facts=facts(licence()), policy=POLICY, reservation=None)
BLOCKED = Blocked()
REPLACED = Replaced(target="3-2", at=NOW, watch_until=UNTIL)
NO_TARGET = NoTarget(tickets=("T-1",))
OFFERED = Offered(serial="3-2")
NEEDS_APPROVAL = Assessed(facts=facts(licence()), policy=MANUAL, reservation=None)


def decision(action: Action, name: str = "D-1", by: str = "ann", listed: bool = True, **more: Any) -> Decide:
    return Decide(order=DecisionOrder(decision=name, action=action, by=by, why="as I see it", **more), listed=listed)


def sighted(statement: str = "contact/1") -> Sighted:
    return Sighted(sighting=Sighting(statement=statement, cause=Cause.SIGHTING, occurred=NOW))


SIGHTED = sighted()
RETURNED = Sighted(sighting=Sighting(statement="returned/1", cause=Cause.RETURNED, occurred=NOW))
DAMAGED = Report(report=report(reason=Reason.DAMAGED))
FORGOTTEN = Report(report=report(kind=Kind.CLOUD, reason=Reason.FORGOTTEN))
FAILED = Failed(code="generation_conflict", cause="licence L-1 is no longer at generation 1 in 3-1")
RULED = decision(Action.RULE, name="D-2", verdict=Verdict.CLONE)


def test_a_lost_dongle_is_replaced_at_once_and_watched_for_as_long_as_policy_says() -> None:
    state, _ = after(REPORTED, ASSESSED, BLOCKED, REPLACED)

    assert state.status is Status.WATCHING
    assert state.target == "3-2"
    assert state.watch_until == UNTIL


def test_the_end_of_the_watch_closes_the_case_as_lost_for_ever() -> None:
    state, _ = after(REPORTED, ASSESSED, BLOCKED, REPLACED, WatchOver())

    assert (state.status, state.outcome) == (Status.CLOSED, Outcome.LOST_FOR_EVER)


def test_without_an_empty_container_the_case_waits_and_an_offer_resumes_it() -> None:
    waiting, _ = after(REPORTED, ASSESSED, BLOCKED, NO_TARGET)
    again, _ = after(REPORTED, ASSESSED, BLOCKED, NO_TARGET, OFFERED, NO_TARGET)
    resumed, written = after(REPORTED, ASSESSED, BLOCKED, NO_TARGET, OFFERED, REPLACED)

    assert waiting.status is again.status is Status.AWAITING_TARGET
    assert resumed.status is Status.WATCHING
    assert sum(isinstance(fact, TargetOffered) for fact in written) == 1


def test_an_offer_to_a_case_that_does_not_wait_changes_nothing() -> None:
    state, _ = after(REPORTED, ASSESSED, BLOCKED)

    assert decide(state, OFFERED) == []


def test_an_empty_container_is_refused_with_the_reason_in_words() -> None:
    state, _ = after(REPORTED, Assessed(facts=facts(), policy=POLICY, reservation=None))

    assert (state.status, state.outcome, state.decision) == (Status.CLOSED, Outcome.REFUSED, Decision.REFUSED)
    assert state.reasons == ("container 3-1 holds no licence that could be replaced",)


def test_the_decision_keeps_the_policy_version_and_the_facts_that_it_rests_on() -> None:
    _, written = after(REPORTED, ASSESSED)

    decided = written[-1].model_dump()
    assert decided["policy_version"] == 7
    assert decided["facts"] == facts(licence()).model_dump()


@given(st.lists(names, min_size=1, max_size=8))
def test_a_report_counts_once_however_often_it_comes(ids: list[str]) -> None:
    state, written = after(*(Report(report=report(report=name)) for name in ids))

    assert state.reports == tuple(dict.fromkeys(ids))
    assert len(written) == len(set(ids))


@given(st.integers(0, 4))
def test_a_further_report_joins_an_open_case_and_leaves_it_where_it_is(steps: int) -> None:
    path: list[Command] = [ASSESSED, BLOCKED, NO_TARGET, OFFERED, REPLACED]
    before, _ = after(REPORTED, *path[:steps])

    joined = fold_all(decide(before, Report(report=report(report="R-2"))), before)

    assert joined is not None
    assert joined.status is before.status
    assert joined.reports == ("R-1", "R-2")


def test_a_closed_case_learns_nothing_more() -> None:
    closed, _ = after(REPORTED, ASSESSED, BLOCKED, REPLACED, WatchOver())

    assert decide(closed, Report(report=report(report="R-2"))) == []


def test_a_manual_case_waits_for_a_supervisor_and_goes_on_when_approved() -> None:
    waiting, _ = after(REPORTED, NEEDS_APPROVAL)
    approved, _ = after(REPORTED, NEEDS_APPROVAL, decision(Action.APPROVE))

    assert waiting.status is Status.AWAITING_APPROVAL
    assert (approved.status, approved.decided_by) == (Status.BLOCKING, "ann")


def test_a_rejected_case_is_closed() -> None:
    state, _ = after(REPORTED, NEEDS_APPROVAL, decision(Action.REJECT))

    assert (state.status, state.outcome) == (Status.CLOSED, Outcome.REJECTED)


@pytest.mark.parametrize(
    ("attempt", "code"),
    [
        (decision(Action.APPROVE, listed=False), Code.NOT_A_SUPERVISOR),
        (decision(Action.APPROVE, by="crm"), Code.OWN_CASE),
        (decision(Action.APPROVE, by="h-1"), Code.OWN_CASE),
        (decision(Action.RULE, verdict=Verdict.FOUND), Code.NOTHING_TO_DECIDE),
    ],
)
def test_who_may_not_decide_is_denied_and_the_attempt_is_in_the_history(attempt: Decide, code: Code) -> None:
    state, written = after(REPORTED, NEEDS_APPROVAL, attempt)

    assert state.status is Status.AWAITING_APPROVAL
    assert state.denial_of(attempt.order.decision) == code
    assert written[-1].model_dump(include={"by", "code"}) == {"by": attempt.order.by, "code": code}


def test_the_same_decision_again_changes_nothing() -> None:
    once, written = after(REPORTED, NEEDS_APPROVAL, decision(Action.APPROVE))
    twice, again = after(REPORTED, NEEDS_APPROVAL, decision(Action.APPROVE), decision(Action.APPROVE))

    assert (once, written) == (twice, again)


def test_nothing_is_decided_twice() -> None:
    state, _ = after(REPORTED, NEEDS_APPROVAL, decision(Action.APPROVE), decision(Action.REJECT, name="D-2"))

    assert state.status is Status.BLOCKING
    assert state.denial_of(DecisionId("D-2")) == Code.NOTHING_TO_DECIDE


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_sighting_during_the_watch_resurfaces_and_a_verdict_closes(verdict: Verdict) -> None:
    resurfaced, _ = after(REPORTED, ASSESSED, BLOCKED, REPLACED, SIGHTED)
    closed, _ = after(
        REPORTED, ASSESSED, BLOCKED, REPLACED, SIGHTED, sighted("contact/2"), decision(Action.RULE, verdict=verdict)
    )

    assert (resurfaced.status, resurfaced.sightings) == (Status.RESURFACED, 1)
    assert (closed.status, closed.outcome, closed.sightings) == (Status.CLOSED, Outcome(verdict), 2)


def test_a_sighting_before_the_watch_is_kept_and_decides_nothing() -> None:
    state, written = after(REPORTED, NEEDS_APPROVAL, SIGHTED, SIGHTED)

    assert (state.status, state.sightings) == (Status.AWAITING_APPROVAL, 1)
    assert sum(fact.name == "case.sighted" for fact in written) == 1


def test_a_damaged_dongle_that_comes_back_earns_the_full_replacement() -> None:
    bridged, _ = after(DAMAGED, ASSESSED, BLOCKED, REPLACED)
    owed, _ = after(DAMAGED, ASSESSED, BLOCKED, REPLACED, RETURNED)
    closed, _ = after(DAMAGED, ASSESSED, BLOCKED, REPLACED, RETURNED, RETURNED, REPLACED)

    assert [bridged.status, owed.status] == [Status.WATCHING, Status.REPLACING]
    assert (closed.status, closed.outcome, closed.recovered) == (Status.CLOSED, Outcome.RETURNED, True)


def test_a_damaged_dongle_that_came_back_before_the_stop_gap_owes_nothing() -> None:
    owed, _ = after(DAMAGED, NEEDS_APPROVAL, RETURNED, decision(Action.APPROVE), BLOCKED, REPLACED)

    assert (owed.status, owed.returned) == (Status.REPLACING, "returned/1")


def test_a_damaged_dongle_that_never_comes_back_lapses() -> None:
    state, _ = after(DAMAGED, ASSESSED, BLOCKED, REPLACED, WatchOver())

    assert (state.status, state.outcome) == (Status.CLOSED, Outcome.LAPSED)


def test_forgotten_access_data_are_restored_once_their_holder_sets_them_and_nothing_is_watched() -> None:
    waiting, _ = after(FORGOTTEN, ASSESSED, BLOCKED, NO_TARGET)
    restored, _ = after(FORGOTTEN, ASSESSED, BLOCKED, NO_TARGET, OFFERED, REPLACED)
    lapsed, _ = after(FORGOTTEN, ASSESSED, BLOCKED, NO_TARGET, WaitOver())

    assert waiting.status is Status.AWAITING_TARGET
    assert (restored.outcome, restored.recovered) == (Outcome.RESTORED, True)
    assert (lapsed.outcome, lapsed.recovered) == (Outcome.LAPSED, False)


def test_a_parcel_that_returns_what_was_lost_is_a_resurfacing() -> None:
    state, _ = after(REPORTED, ASSESSED, BLOCKED, REPLACED, RETURNED)

    assert state.status is Status.RESURFACED


def test_what_fails_for_good_is_stuck_with_its_cause_until_it_is_resumed_or_given_up() -> None:
    stuck, _ = after(REPORTED, ASSESSED, BLOCKED, FAILED)
    resumed, _ = after(REPORTED, ASSESSED, BLOCKED, FAILED, decision(Action.RESUME))
    given_up, _ = after(REPORTED, ASSESSED, BLOCKED, FAILED, decision(Action.GIVE_UP))

    assert (stuck.status, stuck.stuck) == (Status.STUCK, (Status.REPLACING, FAILED.code, FAILED.cause))
    assert (resumed.status, resumed.stuck) == (Status.REPLACING, None)
    assert (given_up.status, given_up.outcome, given_up.recovered) == (Status.CLOSED, Outcome.GIVEN_UP, False)


def test_who_tries_to_decide_a_closed_case_is_denied_and_the_attempt_is_in_the_history() -> None:
    state, written = after(REPORTED, NEEDS_APPROVAL, decision(Action.REJECT), decision(Action.APPROVE, name="D-2"))

    assert state.status is Status.CLOSED
    assert written[-1].model_dump()["code"] == Code.NOTHING_TO_DECIDE


def test_every_transition_of_the_table_is_taken_by_some_journey() -> None:
    journeys: list[list[Command]] = [
        [REPORTED, NEEDS_APPROVAL, decision(Action.REJECT)],
        [REPORTED, NEEDS_APPROVAL, decision(Action.APPROVE), BLOCKED, REPLACED, SIGHTED, RULED],
        [REPORTED, Assessed(facts=facts(), policy=POLICY, reservation=None)],
        [REPORTED, ASSESSED, BLOCKED, NO_TARGET, OFFERED, REPLACED, WatchOver()],
        [DAMAGED, ASSESSED, BLOCKED, REPLACED, RETURNED, REPLACED],
        [DAMAGED, ASSESSED, BLOCKED, REPLACED, SIGHTED, RETURNED, REPLACED],
        [FORGOTTEN, ASSESSED, BLOCKED, NO_TARGET, WaitOver()],
        [REPORTED, ASSESSED, FAILED, decision(Action.RESUME), BLOCKED, FAILED, decision(Action.RESUME, "D-2")],
        [REPORTED, ASSESSED, FAILED, decision(Action.GIVE_UP)],
    ]
    taken = set()
    for journey in journeys:
        state: CaseState | None = None
        for command in journey:
            for fact in decide(state, command):
                taken.add((state.status if state else None, fact.trigger))
                state = fold(state, fact)

    assert taken == set(TRANSITIONS)


@given(status=st.sampled_from([None, *Status]), data=st.data())
def test_a_fact_that_the_table_does_not_know_is_an_error(status: Status | None, data: st.DataObject) -> None:
    made: dict[str, CaseFact] = {
        "loss.reported": LossReported(**report(report="R-9").model_dump()),
        "watch.begun": WatchBegun(target="3-2", until=NOW),
        "target.offered": TargetOffered(serial="3-2"),
    }
    fact = made[data.draw(st.sampled_from(sorted(made)))]
    state = None if status is None else CaseState(status=status, report=report(), reports=("R-1",), reporters=("crm",))
    joins = isinstance(fact, LossReported) and status is not None and status is not Status.CLOSED

    if joins or (status, fact.trigger) in TRANSITIONS:
        assert fold(state, fact)
    else:
        with pytest.raises(UnexpectedFactError):
            fold(state, fact)
