"""What the facts of a decision say: deadlines, recoveries that are kept, whose the loss is, and what a find ends."""

from datetime import timedelta

import pytest

from events.case_facts import CaseCancelled, CaseDecided, DecisionDenied, WatchBegun
from events.errors import Code
from events.ports.licensing_backend import Reservation
from events.sizes import SEALED_BYTES
from events.terms import Action, CaseId, Decision, Kind, Mode, Reason, Reporter, Role, Status
from simulation.world import World
from tests.unit.facts import NOW, facts, report
from tests.unit.journey import (
    ASSESSED,
    BESIDE,
    BLOCKED,
    FAILED,
    FORGOTTEN,
    FOUND,
    HOUR,
    LATER,
    MANUAL,
    NEEDS_APPROVAL,
    OVERTAKEN,
    POLICY,
    QUOTA,
    REPORTED,
    USED_UP,
    WAITS,
    after,
    assessed,
    decision,
    evidence,
    sighted,
    told,
)
from workflows.commands import Assessed, Blocked, Command, Rejected, Report
from workflows.limits import Limits
from workflows.policy import Policy, Rule

RESUME = decision(Action.RESUME)
NOTHING_LEFT = Assessed(at=NOW, facts=facts(), policy=POLICY, reservation=None)

CRM = Reporter(role=Role.BACK_OFFICE, name="crm")


def test_a_case_that_was_overtaken_is_decided_anew_with_the_recovery_that_it_has_and_with_its_own_deadlines() -> None:
    kept = assessed(QUOTA, Reservation(at=NOW, ordinal=1, limit=1))
    _, written = after(REPORTED, kept, FAILED, OVERTAKEN, RESUME, Blocked(at=LATER, policy=MANUAL))
    decided = written[-1]

    assert isinstance(decided, CaseDecided)
    assert (decided.ordinal, decided.limit) == (1, 1)
    assert (decided.remind, decided.due) == (LATER + 24 * HOUR, LATER + 48 * HOUR)


def test_a_reset_that_was_overtaken_is_cancelled_by_the_wider_case() -> None:
    _, written = after(FORGOTTEN, ASSESSED, BLOCKED, OVERTAKEN)

    assert written[-2] == CaseCancelled(statement="case/case-2", why="a wider loss of this container was reported")


def test_a_case_that_only_blocks_watches_for_as_long_as_its_rule_says() -> None:
    _, written = after(BESIDE, NOTHING_LEFT, Blocked(at=LATER, policy=POLICY))

    assert written[-1] == WatchBegun(target=None, until=LATER + timedelta(days=30))


def test_a_case_that_only_blocks_and_watches_needs_nobody_though_a_wider_loss_was_reported() -> None:
    state, _ = after(BESIDE, FAILED, OVERTAKEN, RESUME, NOTHING_LEFT)

    assert state.decision is Decision.AUTOMATIC
    assert after(REPORTED, FAILED, OVERTAKEN, RESUME, ASSESSED)[0].decision is Decision.NEEDS_APPROVAL


def test_of_a_case_that_was_overtaken_new_reasons_are_stated_too() -> None:
    policy = Policy(rules=(Rule(mode=Mode.HYBRID, limits=Limits(evidence=("police_report", "photo"))),))
    state, written = after(REPORTED, assessed(policy), OVERTAKEN, evidence("photo", policy=policy))

    assert state.status is Status.AWAITING_APPROVAL
    assert isinstance(written[-1], CaseDecided)
    assert "photo" not in " ".join(written[-1].reasons)


@pytest.mark.parametrize("journey", [(REPORTED,), (REPORTED, ASSESSED)])
def test_a_find_cancels_no_case_that_is_just_being_assessed_or_blocked(journey: tuple[Assessed, ...]) -> None:
    state, written = after(*journey, FOUND)

    assert told(written)[-1] == "case.sighted"
    assert state.status is not Status.CLOSED


def test_who_reported_the_loss_too_decides_nothing_though_the_case_has_not_taken_that_report() -> None:
    order = decision(Action.APPROVE).model_copy(update={"reporters": ("ann",)})
    _, written = after(REPORTED, NEEDS_APPROVAL, order)

    assert written[-1] == DecisionDenied(decision="D-1", action=Action.APPROVE, by="ann", code=Code.OWN_CASE)


def test_a_case_of_many_licences_states_a_decision_that_fits_when_more_is_known() -> None:
    limits = Limits(evidence=("police_report",), value_above_cents=0)
    world = World(Policy(supervisors=("ann",), rules=(Rule(mode=Mode.HYBRID, limits=limits),)))
    world.register("D-1", Kind.DONGLE, "h-1")
    for number in range(900):
        world.licence(f"L-{number:04}-{'x' * 40}", "D-1", value_cents=100)
    case = world.report("R-1", "D-1", Kind.DONGLE, Reason.STOLEN, CRM)
    assert world.cases[case].status is Status.AWAITING_APPROVAL
    before = len(world.facts)
    world.advance(timedelta(days=1))

    world.evidence("E-1", "R-1", "D-1", CRM, ("police_report",))

    stated = [one.fact for one in world.facts[before:]]
    assert any(isinstance(fact, CaseDecided) for fact in stated)
    assert max(len(fact.model_dump_json()) for fact in stated) < SEALED_BYTES
    assert len(world.cases[case].licences) == 900


THEFT = report(kind=Kind.CLOUD, reason=Reason.STOLEN, beside="reset", rules_version=2)
REJECTED = Rejected(case=CaseId("reset"), at=NOW, policy=POLICY)
BEFORE = ("an earlier report of this loss was rejected, in case reset",)
AFTER_A_REJECTION = Policy(rules=(Rule(wait_hours=24, automatic_after_rejection=True),))


@pytest.mark.parametrize(
    "journey",
    [
        (ASSESSED, BLOCKED),
        (assessed(WAITS), Blocked(at=NOW, policy=WAITS)),
        (USED_UP,),
        (ASSESSED, FAILED, REJECTED, decision(Action.RESUME, policy=POLICY), BLOCKED),
        (ASSESSED, BLOCKED, FAILED, REJECTED, decision(Action.RESUME, policy=POLICY)),
        (FAILED, REJECTED, decision(Action.RESUME, policy=POLICY), ASSESSED),
    ],
    ids=["replacing", "waiting", "undecided", "stuck blocking", "stuck replacing", "stuck before it was assessed"],
)
def test_a_theft_that_took_over_a_rejected_reset_names_it_and_goes_to_a_person(journey: tuple[Command, ...]) -> None:
    stuck = REJECTED in journey

    state, written = after(Report(report=THEFT), *journey, *(() if stuck else (REJECTED,)))

    restated = THEFT.model_copy(update={"former": "reset", "rejected": "reset"})
    assert written.count(restated) == 1
    assert (state.report, state.status) == (restated, Status.AWAITING_APPROVAL)
    assert state.reasons[:1] == BEFORE
    assert (state.reports, state.target) == (("R-1",), None)


def test_a_theft_goes_on_where_policy_decides_after_a_rejection_too_or_a_person_knew_of_it() -> None:
    by_policy = REJECTED.model_copy(update={"policy": AFTER_A_REJECTION})
    waits = Blocked(at=NOW, policy=AFTER_A_REJECTION)

    state, written = after(Report(report=THEFT), assessed(AFTER_A_REJECTION), waits, by_policy)
    approved, _ = after(Report(report=THEFT), ASSESSED, BLOCKED, REJECTED, decision(Action.APPROVE), BLOCKED)

    assert (state.status, state.report.rejected, told(written[-1:])) == (Status.WAITING, "reset", ["loss.reported"])
    assert (approved.status, approved.approved) == (Status.REPLACING, True)


def test_a_theft_that_is_over_learns_nothing_of_a_rejection() -> None:
    state, written = after(Report(report=THEFT), NEEDS_APPROVAL, decision(Action.REJECT), REJECTED)

    assert (state.report, told(written[-1:])) == (THEFT, ["case.closed"])


def test_a_decision_that_is_made_anew_while_a_person_is_waited_for_does_not_list_the_licences_again() -> None:
    """There may be thousands; they stand before the first decision."""
    state, written = after(Report(report=report(rules_version=2)), USED_UP, sighted(policy=QUOTA, occurred=LATER))

    assert isinstance(written[-1], CaseDecided)
    assert (written[-1].facts.licences, [one.licence for one in state.licences]) == ((), ["L-1"])
