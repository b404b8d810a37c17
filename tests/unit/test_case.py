"""The life of a loss case: decided and folded by one table."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.case_facts import (
    CaseClosed,
    CaseDecided,
    CaseFact,
    CaseRuled,
    CaseSighted,
    CaseStuck,
    DecisionDenied,
    EvidenceGiven,
    LossReported,
    TargetOffered,
    WatchBegun,
)
from events.errors import Code
from events.ports.loss_cases import Sighting
from events.rules import RULES_VERSION
from events.terms import (
    Action,
    Cause,
    Decision,
    DecisionId,
    Mode,
    Outcome,
    Reason,
    Status,
    Undecided,
    Verdict,
)
from tests.unit.facts import NOW, facts, licence, report
from tests.unit.journey import (
    ASSESSED,
    BESIDE,
    BLOCKED,
    CONDITIONAL,
    DAMAGED,
    DEAR,
    ELAPSED,
    ESCALATING,
    FAILED,
    FORGOTTEN,
    FOUND,
    HELD,
    LATER,
    NEEDS_APPROVAL,
    NO_TARGET,
    NOTHING_LEFT,
    OFFERED,
    OVERTAKEN,
    POLICY,
    PROVEN,
    REINSTATE,
    REPLACED,
    REPORTED,
    RETURNED,
    RULED,
    SIGHTED,
    TWO,
    UNTIL,
    WATCHED,
    after,
    assessed,
    decision,
    divided,
    elapsed,
    evidence,
    sighted,
    step,
    told,
)
from workflows.case import CaseState, UnexpectedFactError, fold, fold_all
from workflows.case_life import STAGES, TRANSITIONS
from workflows.commands import (
    Assessed,
    Blocked,
    Command,
    LoseReplacement,
    NoTarget,
    Reinstated,
    Report,
    Settled,
    Withdrawn,
)
from workflows.decider import RELEASE, decide
from workflows.limits import Limits
from workflows.policy import Approval, Policy, Rule


def test_a_lost_dongle_is_replaced_at_once_and_watched_for_as_long_as_policy_says() -> None:
    state, _ = after(REPORTED, ASSESSED, BLOCKED, REPLACED)

    assert state.status is Status.WATCHING
    assert state.target == "3-2"
    assert state.watch_until == UNTIL


def test_the_end_of_the_watch_closes_the_case_as_lost_for_ever() -> None:
    state, _ = after(REPORTED, ASSESSED, BLOCKED, REPLACED, ELAPSED)

    assert (state.status, state.outcome) == (Status.CLOSED, Outcome.LOST_FOR_EVER)


def test_where_no_contract_is_left_the_case_lapses_and_nothing_was_recovered_but_a_stop_gap() -> None:
    state, _ = after(REPORTED, ASSESSED, BLOCKED, NOTHING_LEFT)
    bridged, _ = after(DAMAGED, ASSESSED, BLOCKED, REPLACED, RETURNED, NOTHING_LEFT)

    assert (state.status, state.outcome, state.recovered) == (Status.CLOSED, Outcome.LAPSED, False)
    assert (bridged.outcome, bridged.recovered) == (Outcome.LAPSED, True)


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
    state, _ = after(REPORTED, Assessed(at=NOW, facts=facts(), policy=POLICY, reservation=None))

    assert (state.status, state.outcome, state.decision) == (Status.CLOSED, Outcome.REFUSED, Decision.REFUSED)
    assert state.reasons == ("container 3-1 holds no licence that could be replaced",)


def test_the_decision_keeps_the_policy_version_and_the_facts_that_it_rests_on() -> None:
    _, written = after(REPORTED, ASSESSED)

    decided = written[-1].model_dump()
    assert decided["policy_version"] == 7
    assert decided["facts"] == facts().model_dump()
    assert written[-2].model_dump() == {"part": 1, "parts": 1, "licences": (licence().model_dump(),)}


@given(st.integers(0, 4))
def test_a_further_report_joins_an_open_case_and_leaves_it_where_it_is(steps: int) -> None:
    path: list[Command] = [ASSESSED, BLOCKED, NO_TARGET, OFFERED, REPLACED]
    before, _ = after(REPORTED, *path[:steps])

    joined = fold_all(decide(before, Report(report=report(report="R-2"))), before)

    assert joined is not None
    assert joined.status is before.status
    assert joined.reports == ("R-1", "R-2")


def test_a_closed_case_learns_nothing_more() -> None:
    closed, _ = after(REPORTED, ASSESSED, BLOCKED, REPLACED, ELAPSED)

    assert decide(closed, Report(report=report(report="R-2"))) == []


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_sighting_during_the_watch_resurfaces_and_a_verdict_closes(verdict: Verdict) -> None:
    resurfaced, _ = after(REPORTED, ASSESSED, BLOCKED, REPLACED, SIGHTED)
    closed, _ = after(
        REPORTED, ASSESSED, BLOCKED, REPLACED, SIGHTED, sighted("contact/2"), decision(Action.RULE, verdict=verdict)
    )

    assert (resurfaced.status, resurfaced.sightings) == (Status.RESURFACED, 1)
    assert (closed.status, closed.outcome, closed.sightings) == (Status.CLOSED, Outcome(verdict), 2)


def test_a_sighting_before_the_watch_is_kept_and_decides_nothing() -> None:
    state, written = after(REPORTED, NEEDS_APPROVAL, SIGHTED)

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


def test_a_damaged_dongle_whose_licences_other_cases_replace_owes_nothing_when_it_comes_back() -> None:
    beside = Report(report=report(reason=Reason.DAMAGED, beside="case-1"))
    nothing = Assessed(at=NOW, facts=facts(), policy=POLICY, reservation=None)

    back, _ = after(beside, nothing, BLOCKED, RETURNED)
    never, _ = after(beside, nothing, BLOCKED, ELAPSED)

    assert (back.status, back.owes) == (Status.RESURFACED, False)
    assert (never.status, never.outcome) == (Status.CLOSED, Outcome.LOST_FOR_EVER)


def test_a_reset_of_access_data_that_turn_out_to_be_stolen_is_cancelled_wherever_it_stands() -> None:
    waits = (FORGOTTEN, ASSESSED, BLOCKED, NO_TARGET)
    for journey in ((FORGOTTEN, NEEDS_APPROVAL), waits, (*waits, FOUND), (FORGOTTEN, ASSESSED, BLOCKED, FAILED)):
        state, _ = after(*journey, OVERTAKEN)

        assert (state.status, state.outcome) == (Status.CLOSED, Outcome.CANCELLED)


def test_a_damaged_dongle_that_never_comes_back_lapses() -> None:
    state, _ = after(DAMAGED, ASSESSED, BLOCKED, REPLACED, ELAPSED)

    assert (state.status, state.outcome) == (Status.CLOSED, Outcome.LAPSED)


def test_forgotten_access_data_are_restored_once_their_holder_sets_them_and_nothing_is_watched() -> None:
    waiting, _ = after(FORGOTTEN, ASSESSED, BLOCKED, NO_TARGET)
    restored, _ = after(FORGOTTEN, ASSESSED, BLOCKED, NO_TARGET, OFFERED, REPLACED)
    lapsed, _ = after(FORGOTTEN, ASSESSED, BLOCKED, NO_TARGET, ELAPSED)

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


def test_a_case_can_be_cancelled_until_the_replacement_is_begun() -> None:
    waits = Policy(rules=(Rule(wait_hours=24),))
    waiting = (REPORTED, assessed(waits), Blocked(at=NOW, policy=waits))
    cancelled, _ = after(*waiting, decision(Action.CANCEL))
    found, _ = after(*waiting, FOUND)
    begun, _ = after(*waiting, ELAPSED, decision(Action.CANCEL))

    assert after(*waiting)[0].status is Status.WAITING
    assert (cancelled.outcome, found.outcome) == (Outcome.CANCELLED, Outcome.CANCELLED)
    assert (begun.status, begun.denial_of(DecisionId("D-1"))) == (Status.REPLACING, Code.TOO_LATE)


def test_a_contact_before_the_replacement_has_policy_decide_again() -> None:
    waits = Policy(rules=(Rule(mode=Mode.HYBRID, limits=Limits(contact_after_loss=True), wait_hours=24),))
    waiting = (REPORTED, assessed(waits, last_contact=None), Blocked(at=NOW, policy=waits))
    late = sighted(policy=waits, occurred=NOW + timedelta(hours=1))
    state, _ = after(*waiting, late)
    approved, _ = after(*waiting, late, decision(Action.APPROVE, policy=waits), Blocked(at=LATER, policy=waits))

    assert state.status is Status.AWAITING_APPROVAL
    assert "reported in" in state.reasons[0]
    assert approved.status is Status.REPLACING


def test_a_found_original_is_reinstated_once_its_replacement_is_withdrawn() -> None:
    ruled, _ = after(*WATCHED, FOUND, REINSTATE)
    done, written = after(*WATCHED, FOUND, REINSTATE, Settled(), Withdrawn(), Reinstated(serial="3-1"))

    assert ruled.status is Status.REINSTATING
    assert (done.status, done.outcome) == (Status.CLOSED, Outcome.FOUND)
    assert told(written)[-3:] == ["replacement.withdrawn", "case.reinstated", "case.closed"]


def test_an_un_loss_waits_for_other_cases_to_a_deadline_and_anew_once_it_is_resumed() -> None:
    waiting = (*WATCHED, FOUND, REINSTATE, Withdrawn(), HELD)
    late = HELD.model_copy(update={"at": NOW + RELEASE})
    state, written = after(*waiting, HELD.model_copy(update={"at": NOW + timedelta(days=1)}), SIGHTED)
    stuck, _ = after(*waiting, late)
    resumed, _ = after(*waiting, late, decision(Action.RESUME, "D-4"), late)

    assert (state.status, state.release_until) == (Status.REINSTATING, NOW + RELEASE)
    assert told(written).count("release.awaited") == 1
    assert stuck.stuck == (Status.REINSTATING, Code.BLOCKED, HELD.cause)
    assert (resumed.status, resumed.release_until) == (Status.REINSTATING, late.at + RELEASE)


def test_a_decision_on_an_un_loss_that_waits_is_not_stale() -> None:
    ruled, _ = after(*WATCHED, FOUND, REINSTATE, Withdrawn(), HELD, decision(Action.RULE, "D-4", verdict=Verdict.FOUND))

    assert ruled.outcome is Outcome.FOUND


def test_once_the_replacement_is_lost_too_the_original_can_only_be_retired() -> None:
    lost = LoseReplacement(to="other")
    denied, _ = after(*WATCHED, lost, FOUND, REINSTATE)
    turned, _ = after(*WATCHED, FOUND, REINSTATE, lost, lost)
    retired, _ = after(*WATCHED, lost, FOUND, decision(Action.RULE, verdict=Verdict.FOUND))

    assert denied.denial_of(DecisionId("D-3")) == Code.REPLACEMENT_LOST
    assert (turned.status, turned.replacement_lost) == (Status.RESURFACED, "other")
    assert retired.outcome is Outcome.FOUND


def test_what_is_found_before_anything_was_issued_goes_back_without_a_withdrawal() -> None:
    state, written = after(REPORTED, ASSESSED, BLOCKED, NO_TARGET, FOUND, decision(Action.RULE, verdict=Verdict.FOUND))

    assert state.status is Status.REINSTATING
    assert "replacement.withdrawn" not in told(written)


def test_once_every_measure_is_confirmed_the_watch_is_over() -> None:
    watching, _ = after(*WATCHED, Settled(), Settled())
    before, _ = after(REPORTED, ASSESSED, Settled(), BLOCKED, REPLACED)
    owed, _ = after(DAMAGED, ASSESSED, BLOCKED, REPLACED, Settled())

    assert watching.outcome is before.outcome is Outcome.RETIRED
    assert owed.status is Status.WATCHING


def test_every_transition_and_every_end_of_the_tables_is_taken_by_some_journey() -> None:
    waits = Policy(rules=(Rule(mode=Mode.HYBRID, limits=Limits(contact_after_loss=True), wait_hours=24),))
    waiting = (REPORTED, assessed(waits), Blocked(at=NOW, policy=waits))
    late = sighted("contact/9", policy=waits, occurred=LATER)
    quiet = Policy(rules=(Rule(mode=Mode.HYBRID, limits=Limits(contact_after_loss=True)),))
    proven = PROVEN.model_copy(
        update={"rules": (PROVEN.rules[0].model_copy(update={"approval": ESCALATING.rules[0].approval}),)}
    )
    asked = decision(Action.ASK, "D-9", evidence=("photo",))
    due = elapsed(48, ESCALATING)
    escalated = (REPORTED, assessed(ESCALATING), elapsed(24, ESCALATING), due)
    bob = {"by": "bob"}
    eyes = Policy(rules=(ESCALATING.rules[0].model_copy(update={"four_eyes_above_cents": 0}),))
    dear = Assessed(at=NOW, facts=facts(licence(value_cents=100)), policy=eyes, reservation=None)
    rejecting = Policy(rules=(Rule(mode=Mode.MANUAL, approval=Approval(due_hours=48, undecided=Undecided.REJECT)),))
    keeping = Policy(rules=(Rule(mode=Mode.MANUAL, approval=Approval(due_hours=48)),))
    ruled_anew = Report(report=report(reason=Reason.DAMAGED, rules_version=2))
    overtaken = (ruled_anew, ASSESSED, BLOCKED, REPLACED, OVERTAKEN)
    returned = RETURNED.model_copy(update={"policy": ESCALATING})
    anew, beyond = Report(report=report(rules_version=2)), divided((True, False))
    again = evidence("photo", policy=TWO).model_copy(update={"reservation": divided((False, True)).reservation})
    journeys: list[tuple[Command, ...]] = [
        (REPORTED, NEEDS_APPROVAL, asked, decision(Action.REJECT)),
        (REPORTED, NEEDS_APPROVAL, decision(Action.CANCEL)),
        (anew, beyond, again),
        (anew, beyond, elapsed(24, TWO), elapsed(48, TWO), again),
        (REPORTED, NEEDS_APPROVAL, decision(Action.APPROVE), BLOCKED, REPLACED, SIGHTED, RULED),
        (REPORTED, DEAR, decision(Action.APPROVE), decision(Action.APPROVE, "D-2", by="bob")),
        (REPORTED, assessed(rejecting), elapsed(48, rejecting)),
        (REPORTED, assessed(keeping), elapsed(48, keeping)),
        (*escalated, decision(Action.APPROVE, **bob)),
        (*escalated, decision(Action.ASK, evidence=("photo",), **bob), decision(Action.REJECT, "D-2", **bob)),
        (*escalated, decision(Action.CANCEL, **bob)),
        (REPORTED, dear, elapsed(24, eyes), elapsed(48, eyes), decision(Action.APPROVE, **bob)),
        (REPORTED, assessed(proven), evidence("police_report")),
        (REPORTED, assessed(quiet), late),
        (
            REPORTED,
            assessed(proven),
            elapsed(24, proven),
            elapsed(48, proven),
            evidence("police_report", policy=proven),
        ),
        (REPORTED, assessed(proven), sighted("contact/9", policy=proven, occurred=LATER)),
        (REPORTED, assessed(proven), *escalated[2:], sighted("contact/9", policy=proven, occurred=LATER)),
        (*waiting, late),
        (*waiting, FOUND),
        (*waiting, ELAPSED),
        (REPORTED, assessed(quiet), Blocked(at=NOW, policy=quiet), NO_TARGET, late),
        (REPORTED, Assessed(at=NOW, facts=facts(), policy=POLICY, reservation=None)),
        (REPORTED, ASSESSED, BLOCKED, NO_TARGET, OFFERED, REPLACED, ELAPSED),
        (REPORTED, ASSESSED, BLOCKED, NO_TARGET, OFFERED, NOTHING_LEFT),
        (REPORTED, ASSESSED, BLOCKED, NO_TARGET, FOUND, RULED),
        (REPORTED, ASSESSED, BLOCKED, NoTarget(at=NOW, tickets=tuple(f"T-{number}" for number in range(201)))),
        (DAMAGED, ASSESSED, BLOCKED, REPLACED, RETURNED, REPLACED),
        (DAMAGED, ASSESSED, BLOCKED, REPLACED, SIGHTED, RETURNED, REPLACED),
        (FORGOTTEN, ASSESSED, BLOCKED, NO_TARGET, ELAPSED),
        (REPORTED, NEEDS_APPROVAL, CONDITIONAL, BLOCKED, REPLACED, decision(Action.MEET, "D-2")),
        (*WATCHED, FOUND, REINSTATE, Withdrawn(), FAILED, decision(Action.RESUME, "D-4"), Reinstated(serial="3-1")),
        (*WATCHED, FOUND, REINSTATE, Withdrawn(), HELD, Reinstated(serial="3-1")),
        (*WATCHED, FOUND, REINSTATE, LoseReplacement(to="other")),
        (REPORTED, ASSESSED, BLOCKED, OVERTAKEN, decision(Action.APPROVE)),
        (REPORTED, ASSESSED, BLOCKED, NO_TARGET, OVERTAKEN),
        (FORGOTTEN, ASSESSED, BLOCKED, OVERTAKEN),
        (FORGOTTEN, ASSESSED, BLOCKED, NO_TARGET, OVERTAKEN),
        (FORGOTTEN, ASSESSED, BLOCKED, NO_TARGET, FOUND, OVERTAKEN),
        (FORGOTTEN, ASSESSED, BLOCKED, FAILED, OVERTAKEN),
        (BESIDE, Assessed(at=NOW, facts=facts(), policy=POLICY, reservation=None), BLOCKED, FOUND),
        (*WATCHED, FOUND, REINSTATE, decision(Action.RULE, "D-4", verdict=Verdict.FOUND)),
        (REPORTED, ASSESSED, FAILED, decision(Action.RESUME), BLOCKED, FAILED, decision(Action.RESUME, "D-2")),
        (REPORTED, ASSESSED, FAILED, decision(Action.GIVE_UP)),
        (REPORTED, FAILED, decision(Action.RESUME), ASSESSED),
        (*WATCHED, FOUND, REINSTATE, FAILED, decision(Action.RULE, "D-4", verdict=Verdict.FOUND)),
        (FORGOTTEN, ASSESSED, BLOCKED, REPLACED),
        (DAMAGED, ASSESSED, BLOCKED, REPLACED, ELAPSED),
        (*WATCHED, ELAPSED),
        (*WATCHED, Settled()),
        (ruled_anew, ASSESSED, BLOCKED, NO_TARGET, FAILED, OFFERED),
        (*overtaken, RETURNED, FOUND),
        (*overtaken, returned, elapsed(24, ESCALATING), due, FOUND),
        (*overtaken, RETURNED, decision(Action.APPROVE), Blocked(at=NOW, policy=waits), FOUND),
        *(
            (*WATCHED, FOUND, *undone, decision(Action.RULE, "D-4", verdict=verdict))
            for undone in ((), (REINSTATE,), (REINSTATE, FAILED))
            for verdict in Verdict
        ),
        *(
            (*there, FAILED, decision(Action.RESUME, **bob))  # its policy could not be read in a new history
            for there in (
                (REPORTED, NEEDS_APPROVAL),
                escalated,
                waiting,
                (REPORTED, ASSESSED, BLOCKED, NO_TARGET),
                WATCHED,
                (*WATCHED, SIGHTED),
            )
        ),
    ]
    taken, ends = set(), set()
    for journey in journeys:
        state: CaseState | None = None
        for command in journey:
            for fact in step(state, command):
                before = state.status if state else None
                state = fold(state, fact)
                if (before, fact.trigger) in TRANSITIONS:
                    taken.add((before, fact.trigger))
                if isinstance(fact, CaseClosed):
                    ends.add((before, fact.outcome))

    assert taken == set(TRANSITIONS)
    assert ends == {(status, outcome) for status, stage in STAGES.items() for outcome in stage.outcomes}


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("outcome", Outcome)
def test_a_case_ends_only_as_its_status_says_it_may(status: Status, outcome: Outcome) -> None:
    state = CaseState(status=status, report=report(), reports=("R-1",), reporters=("crm",))
    end = CaseClosed(outcome=outcome)

    if outcome in STAGES[status].outcomes:
        assert fold(state, end).outcome is outcome
    else:
        with pytest.raises(UnexpectedFactError):
            fold(state, end)


def test_a_find_of_what_is_being_reinstated_changes_nothing_while_nothing_was_issued() -> None:
    """It is on its way back already; another verdict retires it."""
    found = (REPORTED, ASSESSED, BLOCKED, NO_TARGET, FOUND, decision(Action.RULE, verdict=Verdict.FOUND), HELD)
    again, _ = after(*found, decision(Action.RULE, "D-2", verdict=Verdict.FOUND))
    retired, _ = after(*found, decision(Action.RULE, "D-2", verdict=Verdict.DAMAGED))

    assert (again.status, again.denial_of("D-2")) == (Status.REINSTATING, Code.NOTHING_TO_DECIDE)
    assert retired.outcome is Outcome.DAMAGED


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
        where = status or "a case that does not exist"
        with pytest.raises(UnexpectedFactError, match=rf"^{fact.trigger} in {where}$"):
            fold(state, fact)


def test_who_lost_the_stop_gap_too_gets_no_full_replacement_in_the_first_case() -> None:
    """What replaces the stop-gap is owed by the case that claims it."""
    state, written = after(DAMAGED, ASSESSED, BLOCKED, REPLACED, LoseReplacement(to="case-2"), RETURNED)

    assert state.status is Status.RESURFACED
    assert "case.returned" not in told(written)


def test_a_full_replacement_that_is_stuck_is_not_resumed_once_the_stop_gap_is_lost() -> None:
    stuck = (DAMAGED, ASSESSED, BLOCKED, REPLACED, RETURNED, FAILED, LoseReplacement(to="case-2"))
    state, _ = after(*stuck, decision(Action.RESUME))

    assert state.denial_of("D-1") == Code.REPLACEMENT_LOST
    assert state.status is Status.STUCK


def test_access_data_that_were_remembered_close_the_case_and_reinstate_nothing() -> None:
    ruled = decision(Action.RULE, verdict=Verdict.FOUND)
    state, written = after(FORGOTTEN, ASSESSED, BLOCKED, NO_TARGET, FOUND, ruled)

    assert (state.status, state.outcome) == (Status.CLOSED, Outcome.FOUND)
    assert not any(getattr(fact, "reinstate", False) for fact in written)


RESUME = decision(Action.RESUME)


@pytest.mark.parametrize(
    "journey",
    [
        (FAILED,),
        (ASSESSED, FAILED),
        (ASSESSED, BLOCKED, FAILED),
        (NEEDS_APPROVAL,),
        (ASSESSED, BLOCKED),
        (ASSESSED, BLOCKED, NO_TARGET),
        (ASSESSED, BLOCKED, NO_TARGET, FOUND),
    ],
)
def test_a_theft_ends_a_reset_wherever_it_stands(journey: tuple[Command, ...]) -> None:
    state, written = after(FORGOTTEN, *journey, OVERTAKEN)

    assert (state.status, state.outcome) == (Status.CLOSED, Outcome.CANCELLED)
    assert told(written)[-3:] == ["loss.widened", "case.cancelled", "case.closed"]


@pytest.mark.parametrize(
    "journey",
    [
        (FAILED, OVERTAKEN, RESUME, ASSESSED),
        (ASSESSED, FAILED, OVERTAKEN, RESUME, BLOCKED),
        (ASSESSED, BLOCKED, FAILED, OVERTAKEN, RESUME, BLOCKED),
        (ASSESSED, BLOCKED, OVERTAKEN),
        (ASSESSED, BLOCKED, NO_TARGET, OVERTAKEN),
    ],
)
def test_a_case_that_was_overtaken_goes_to_a_person_before_it_issues_also_where_it_was_stuck(
    journey: tuple[Command, ...],
) -> None:
    waiting, _ = after(REPORTED, *journey)
    approved, _ = after(REPORTED, *journey, decision(Action.APPROVE, "D-2"), BLOCKED)

    assert waiting.status is Status.AWAITING_APPROVAL
    assert waiting.reasons == ("a wider loss of this container was reported, in case case-2",)
    assert approved.status is Status.REPLACING


def test_a_case_that_was_approved_when_it_was_overtaken_goes_on_once_it_is_resumed() -> None:
    approved = (REPORTED, NEEDS_APPROVAL, OVERTAKEN, decision(Action.APPROVE, "D-2"))
    state, _ = after(*approved, BLOCKED, FAILED, RESUME)

    assert state.status is Status.REPLACING


def test_a_damaged_original_that_comes_back_before_its_stop_gap_goes_to_a_person_once_it_is_overtaken() -> None:
    found = (DAMAGED, ASSESSED, BLOCKED, NO_TARGET, FOUND)

    assert after(*found, RETURNED)[0].status is Status.REPLACING
    assert after(*found, OVERTAKEN, RETURNED)[0].status is Status.AWAITING_APPROVAL


def test_of_what_turns_up_while_it_is_stuck_a_case_keeps_the_last_of_each_cause_and_of_contacts_the_latest() -> None:
    def missed(*facts: CaseSighted) -> list[str]:
        state = fold_all(facts, stuck)
        assert state is not None
        return [one.statement for one in state.missed]

    def turned_up(name: str, cause: Cause, minutes: int = 0) -> CaseSighted:
        return CaseSighted(statement=name, cause=cause, occurred=NOW + timedelta(minutes=minutes))

    stuck, _ = after(Report(report=report(rules_version=RULES_VERSION)), ASSESSED, BLOCKED, REPLACED, FAILED)
    first, early, same = (turned_up(name, Cause.SIGHTING, at) for name, at in (("c/1", 2), ("c/2", 1), ("c/3", 2)))
    later = turned_up("c/4", Cause.SIGHTING, 3)
    found, again = turned_up("f/1", Cause.FOUND, 2), turned_up("f/2", Cause.FOUND, 1)
    returned = turned_up("r/1", Cause.RETURNED)

    assert missed(first, early, same) == ["c/1"]
    assert missed(first, later) == ["c/4"]
    assert missed(found, again) == ["f/2"]
    assert missed(first, found, returned, again) == ["c/1", "f/2", "r/1"]
    state = fold_all([first], stuck)
    assert state is not None
    assert state.missed == (Sighting(statement="c/1", cause=Cause.SIGHTING, occurred=first.occurred),)


def test_once_policy_has_decided_no_earlier_approval_counts_and_its_facts_have_the_licences() -> None:
    reported, _ = after(REPORTED)
    several = (licence(1), licence(2))
    earlier = {"scope": several, "first_approval": "ann", "overtaken": True, "approved": True}
    decided = CaseDecided(decision=Decision.AUTOMATIC, reasons=(), policy_version=7, facts=facts())

    state = fold(reported.model_copy(update=earlier), decided)

    assert (state.scope, state.first_approval, state.overtaken, state.approved) == ((), None, False, False)
    assert state.licences == several


@pytest.mark.parametrize(("journey", "kept"), [((NO_TARGET, FAILED), "3-2"), ((NO_TARGET,), None)])
def test_an_offer_is_kept_while_a_case_is_stuck_and_only_then(journey: tuple[Command, ...], kept: str | None) -> None:
    state, _ = after(REPORTED, ASSESSED, BLOCKED, *journey)

    offered = fold(state, TargetOffered(serial="3-2"))

    assert offered.offered == kept


def test_what_a_case_missed_is_over_once_it_goes_on_from_where_it_waits() -> None:
    waiting, _ = after(REPORTED, ASSESSED, BLOCKED, NO_TARGET)
    sighting = Sighting(statement="c/1", cause=Cause.SIGHTING, occurred=NOW)
    missed = waiting.model_copy(update={"missed": (sighting,), "offered": "3-3", "unheard": True})
    denied = DecisionDenied(decision="D-9", by="eve", action=Action.RESUME, code=Code.NOT_A_SUPERVISOR)

    def kept(state: CaseState, fact: CaseFact) -> tuple[object, ...]:
        found = fold(state, fact)
        return found.missed, found.offered, found.unheard

    for fact in (denied, CaseStuck(code="busy", cause="it failed")):
        assert kept(missed, fact) == ((sighting,), "3-3", True)
    assert kept(missed, TargetOffered(serial="3-2")) == ((), None, False)
    assert kept(waiting, TargetOffered(serial="3-2")) == ((), None, False)


@pytest.mark.parametrize(
    ("version", "journey", "unheard"),
    [
        (2, (NEEDS_APPROVAL, FAILED), True),
        (1, (NEEDS_APPROVAL, FAILED), False),
        (2, (NEEDS_APPROVAL,), False),
        (2, (ASSESSED, BLOCKED, FAILED), False),
    ],
)
def test_evidence_is_unheard_that_is_given_while_a_case_is_stuck_waiting_for_an_approval(
    version: int, journey: tuple[Command, ...], unheard: bool
) -> None:
    state, _ = after(Report(report=report(rules_version=version)), *journey)

    given = fold(state, EvidenceGiven(evidence=("photo",), by="ann", statement="evidence/E-1"))

    assert (given.unheard, given.evidence) == (unheard, ("photo",))


def test_a_verdict_ends_the_wait_for_other_cases() -> None:
    state, _ = after(REPORTED, ASSESSED, BLOCKED, REPLACED, SIGHTED)
    waits = state.model_copy(update={"release_until": NOW})

    ruled = fold(waits, CaseRuled(verdict=Verdict.FRAUD, why=""))

    assert (ruled.verdict, ruled.release_until) == (Verdict.FRAUD, None)


def test_a_case_that_cannot_end_so_names_the_end_and_where_it_stands() -> None:
    state, _ = after(REPORTED)

    with pytest.raises(UnexpectedFactError, match="as lost_for_ever in reported"):
        fold(state, CaseClosed(outcome=Outcome.LOST_FOR_EVER))
