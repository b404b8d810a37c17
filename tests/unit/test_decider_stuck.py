"""Whatever happens to a case while it is stuck takes effect once it is resumed, as if it had happened then."""

from datetime import timedelta
from itertools import product

import pytest

from events.case_facts import CaseFact
from events.terms import Action, Mode, Outcome, Reason, Status, Verdict
from tests.unit.facts import NOW, report
from tests.unit.journey import (
    ESCALATING,
    FAILED,
    FOUND,
    LATER,
    NO_TARGET,
    OFFERED,
    OVERTAKEN,
    REPLACED,
    RETURNED,
    after,
    assessed,
    decision,
    elapsed,
    evidence,
    sighted,
    step,
)
from workflows.case import CaseState, fold_all
from workflows.case_life import RESTING, STAGES
from workflows.commands import (
    Assessed,
    Blocked,
    Command,
    Elapsed,
    LoseReplacement,
    PolicyKnown,
    Replaced,
    Report,
    Settled,
)
from workflows.decider import decide
from workflows.limits import Limits
from workflows.policy import Policy, Resurfaced, Rule

Story = tuple[Command, ...]
LIMITS = Limits(evidence=("police_report",), contact_after_loss=True)
HYBRID = Policy(rules=(Rule(mode=Mode.HYBRID, limits=LIMITS, approval=ESCALATING.rules[0].approval),))
WAITING = Policy(rules=(HYBRID.rules[0].model_copy(update={"wait_hours": 24}),))
PROVEN = {"evidence": ("police_report",)}
RESUME = decision(Action.RESUME, "D-9", policy=HYBRID)
BLOCKED = Blocked(at=NOW, policy=HYBRID)
LATE = sighted("contact/9", policy=HYBRID, occurred=NOW + timedelta(hours=1))
REINSTATING = (REPLACED, FOUND, decision(Action.RULE, "D-8", policy=HYBRID, verdict=Verdict.FOUND, reinstate=True))


def opened(version: int = 2, reason: Reason = Reason.LOST, **more: object) -> Report:
    return Report(report=report(reason=reason, rules_version=version, **{**PROVEN, **more}))


UNPROVEN = opened(evidence=())
DAMAGED = opened(reason=Reason.DAMAGED)
APPROVED = assessed(HYBRID)
UNDECIDED = (UNPROVEN, APPROVED)
ESCALATED = (*UNDECIDED, elapsed(24, HYBRID), elapsed(48, HYBRID))

STORIES: dict[str, tuple[Story, Story]] = {
    "reported": ((opened(),), (APPROVED, BLOCKED, REPLACED)),
    "reported, then waiting": ((opened(),), (assessed(WAITING), Blocked(at=NOW, policy=WAITING))),
    "blocking": ((opened(), APPROVED), (BLOCKED, REPLACED)),
    "blocking, then waiting": ((opened(), assessed(WAITING)), (Blocked(at=NOW, policy=WAITING),)),
    "replacing": ((opened(), APPROVED, BLOCKED), (BLOCKED, REPLACED)),
    "replacing what is damaged": ((DAMAGED, APPROVED, BLOCKED), (BLOCKED, REPLACED)),
    "replacing in full": ((DAMAGED, APPROVED, BLOCKED, REPLACED, RETURNED), (BLOCKED,)),
    "reinstating": ((opened(), APPROVED, BLOCKED, *REINSTATING), ()),
    "awaiting approval": (UNDECIDED, ()),
    "escalated": (ESCALATED, ()),
    "waiting": ((opened(), assessed(WAITING), Blocked(at=NOW, policy=WAITING)), ()),
    "awaiting a target": ((opened(), APPROVED, BLOCKED, NO_TARGET), ()),
    "watching": ((opened(), APPROVED, BLOCKED, REPLACED), ()),
    "watching until it returns": ((DAMAGED, APPROVED, BLOCKED, REPLACED), ()),
    "resurfaced": ((opened(), APPROVED, BLOCKED, REPLACED, FOUND), ()),
    "resurfaced, and owes": ((DAMAGED, APPROVED, BLOCKED, REPLACED, FOUND), ()),
}
"""Where a case is stuck, and what becomes of it once it is resumed until it rests."""

HAPPENINGS: dict[str, Command] = {
    "report": Report(report=report(report="R-2")),
    "evidence": evidence("police_report", policy=HYBRID),
    "contact": LATE,
    "found": FOUND,
    "returned": RETURNED.model_copy(update={"policy": HYBRID}),
    "offer": OFFERED,
    "settled": Settled(),
    "overtaken": OVERTAKEN.model_copy(update={"policy": HYBRID}),
    "replacement lost": LoseReplacement(to="case-2"),
}

CANCELS = (Status.CLOSED, Outcome.CANCELLED)
A_PERSON = (Status.AWAITING_APPROVAL, None)
RESURFACES = (Status.RESURFACED, None)
OTHERWISE: dict[tuple[str, str], tuple[Status, Outcome | None]] = {
    # Found before anything was issued, it needs no replacement; else it has resurfaced, before more is issued.
    **{(place, "found"): CANCELS for place in ("reported", "blocking", "replacing", "replacing what is damaged")},
    **{(f"{place}, then waiting", "found"): CANCELS for place in ("reported", "blocking")},
    ("replacing in full", "found"): RESURFACES,
    # A contact before the replacement has policy decide again, and a wider loss sends the case to a person.
    **{(place, "contact"): A_PERSON for place in ("reported", "blocking", "replacing", "replacing what is damaged")},
    **{(place, "overtaken"): A_PERSON for place in ("reported", "reported, then waiting", "blocking")},
    **{(place, "overtaken"): A_PERSON for place in ("replacing", "replacing what is damaged", "replacing in full")},
    # What is back already, and what is on its way back, is no sighting.
    **{("replacing in full", what): (Status.REPLACING, None) for what in ("contact", "returned")},
    # Who lost the replacement too gets neither another one nor the original.
    **{(place, "replacement lost"): (Status.STUCK, None) for place in ("replacing in full", "reinstating")},
}
"""Where what happens while a case is stuck comes to something else than what happens when it rests next."""


def goes(story: Story, state: CaseState | None = None) -> tuple[CaseState, list[CaseFact]]:
    """A case after a story; an answer of the backend that it does not ask for is left out."""
    written: list[CaseFact] = []
    for command in story:
        if state is not None and state.status is not ASKS.get(type(command), state.status):
            continue
        made = step(state, command)
        written += made
        state = fold_all(made, state)
    assert state is not None
    return state, written


LEARNT = {"reports", "evidence", "decision", "reasons", "target", "watch_until", "overtaken", "replacement_lost"}
RESTS = [place for place, (before, _) in STORIES.items() if after(*before)[0].status in RESTING]
ASKS = {Assessed: Status.REPORTED, Blocked: Status.BLOCKING, Replaced: Status.REPLACING}


@pytest.mark.parametrize(("place", "what"), list(product(STORIES, HAPPENINGS)))
def test_what_happens_while_a_case_is_stuck_takes_effect_once_it_is_resumed(place: str, what: str) -> None:
    before, rest = STORIES[place]
    happens = HAPPENINGS[what]

    meanwhile, _ = goes((*before, FAILED, happens, RESUME, *rest))
    then, _ = goes((*before, FAILED, RESUME, *rest, happens))

    expected = OTHERWISE.get((place, what), (then.status, then.outcome))
    assert (meanwhile.status, meanwhile.outcome) == expected
    if (place, what) not in OTHERWISE:
        assert meanwhile.model_dump(include=LEARNT) == then.model_dump(include=LEARNT)


@pytest.mark.parametrize("place", STORIES)
def test_an_alarm_that_fell_due_while_a_case_was_stuck_rings_once_it_is_resumed(place: str) -> None:
    before, rest = STORIES[place]
    alarm = Elapsed(at=LATER, policy=HYBRID)

    stuck, _ = goes((*before, FAILED, alarm))
    rung, _ = goes((*before, FAILED, alarm, RESUME, *rest, alarm))
    never, _ = goes((*before, *rest, alarm))

    assert (stuck.status, stuck.alarm) == (Status.STUCK, None)
    assert (rung.status, rung.outcome, rung.alarm) == (never.status, never.outcome, never.alarm)


def test_a_case_may_be_stuck_wherever_it_does_something_or_rests() -> None:
    places = {goes(before)[0].status for before, _ in STORIES.values()}

    assert places == set(STAGES) - {Status.STUCK, Status.CLOSED}


@pytest.mark.parametrize("what", ["evidence", "contact", "returned", "offer", "settled", "overtaken"])
@pytest.mark.parametrize("place", RESTS)
def test_where_the_policy_is_asked_for_first_it_takes_effect_once_that_is_known(place: str, what: str) -> None:
    before, _ = STORIES[place]
    blind = RESUME.model_copy(update={"policy": Policy(), "policy_known": False})
    known = PolicyKnown(at=NOW, policy=HYBRID)

    meanwhile, _ = goes((*before, FAILED, HAPPENINGS[what], blind, known))
    then, _ = goes((*before, FAILED, RESUME, HAPPENINGS[what]))
    again, _ = goes((*before, FAILED, HAPPENINGS[what], blind, FAILED, blind, known))

    assert (meanwhile.status, meanwhile.outcome) == (then.status, then.outcome) == (again.status, again.outcome)
    assert decide(meanwhile, known) == []


def test_policy_rules_on_what_came_back_meanwhile_but_only_once_it_is_known() -> None:
    ruled = Policy(rules=(Rule(resurfaced=Resurfaced(returned=Verdict.DAMAGED)),))
    stuck = (*STORIES["watching"][0], FAILED, RETURNED)
    blind = RESUME.model_copy(update={"policy": ruled, "policy_known": False})

    resumed, _ = goes((*stuck, blind))
    closed, _ = goes((*stuck, blind, PolicyKnown(at=NOW, policy=ruled)))

    assert resumed.status is Status.WATCHING
    assert (closed.status, closed.outcome) == (Status.CLOSED, Outcome.DAMAGED)


def test_a_decision_made_before_something_was_said_meanwhile_is_stale_and_contacts_make_none() -> None:
    stuck, _ = goes((*STORIES["watching"][0], FAILED))
    returned, _ = goes((RETURNED,), stuck)
    seen, _ = goes((LATE,), stuck)

    assert (returned.material, seen.material) == (stuck.sequence + 1, stuck.material)


def test_what_turned_up_meanwhile_is_counted_once() -> None:
    for place in ("watching", "replacing", "awaiting a target"):
        before, rest = STORIES[place]
        state, _ = goes((*before, FAILED, LATE, LATE, RESUME, *rest))

        assert state.sightings == 2, place


def test_a_case_under_the_first_rules_goes_on_as_before() -> None:
    first = opened(1)
    for place in ("watching", "awaiting a target"):
        before = (first, *STORIES[place][0][1:])
        for what in ("contact", "returned", "offer"):
            stood, _ = goes(before)
            state, _ = goes((*before, FAILED, HAPPENINGS[what], RESUME))

            assert (state.status, state.missed, state.offered) == (stood.status, (), None)
