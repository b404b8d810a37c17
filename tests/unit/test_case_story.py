"""Who decided that may not, and a fact that cannot follow, are named."""

import pytest

from events.backend_facts import PolicyAdopted
from events.case_facts import CaseClosed
from events.envelope import case_stream, record_key
from events.terms import Action, Measure, Outcome, Verdict
from tests.unit.lives import ACME, DAY, LOST, SPARE, approves, breaches_of, decided, named, started, superseded
from tests.worlds import CODEC, EYES, MANUAL, PLAIN, POLICY
from workflows.commands import Elapsed


@pytest.mark.parametrize("by", ["mallory", "h-1", "crm"])
def test_5_an_approval_by_whom_policy_does_not_list_or_by_whom_it_profits_is_named(by: str) -> None:
    life = started(MANUAL)
    policy = POLICY.model_copy(update={"supervisors": ("ann", "h-1", "crm")})
    life.world.say(ACME, "vendor", None, PolicyAdopted(policy_version=2, policy=policy.model_dump_json()))
    life.assessed("L-1")
    approves(life, by)

    assert named(breaches_of(life.world)) == [(5, "case c-1")]


def test_5_who_is_no_longer_listed_is_named_but_not_at_the_instant_of_the_change() -> None:
    life = started(MANUAL)
    life.assessed("L-1")
    policy = POLICY.model_copy(update={"supervisors": ("bob",)})
    life.world.say(ACME, "vendor", None, PolicyAdopted(policy_version=2, policy=policy.model_dump_json()))
    at_once = life.world.at
    approves(life, "ann")
    assert breaches_of(life.world) == []
    life.orders(Measure.BLACKLISTING)
    life.blocked()
    life.replaces(SPARE, "L-1")
    life.sighted("contact/1")
    life.world.at = at_once + DAY
    life.decides("D-2", Action.RULE, verdict=Verdict.FOUND, reinstate=True)

    assert named(breaches_of(life.world)) == [(5, "case c-1")]


@pytest.mark.parametrize("first", [None, "bob"])
def test_5_one_supervisor_where_two_must_is_named(first: str | None) -> None:
    life = started(EYES)
    life.assessed("L-1")
    if first:
        life.decides("D-1", Action.APPROVE, by=first)
    approves(life, "bob", "D-2")

    assert named(breaches_of(life.world)) == [(5, "case c-1")]


def test_5_who_decides_a_case_that_was_escalated_to_others_is_named() -> None:
    life = started(EYES)
    life.assessed("L-1")
    life.command(*(Elapsed(at=life.world.at + hours * DAY, policy=POLICY) for hours in (1.5, 2.5)))
    life.decides("D-1", Action.APPROVE, by="bob")
    approves(life, "ann", "D-2")

    assert named(breaches_of(life.world)) == [(5, "case c-1")]


def test_5_a_replacement_that_nobody_approved_is_named() -> None:
    life = started(MANUAL)
    life.assessed("L-1")
    life.orders(Measure.BLACKLISTING)
    life.backend(LOST, superseded(life, 1, LOST))
    life.backend(SPARE, life.licence("L-1", 2, SPARE, case=life.case))

    assert named(breaches_of(life.world)) == [(5, "case c-1")]


def test_5_a_decision_of_policy_that_needed_a_person_is_named() -> None:
    life = started(MANUAL)
    other = started(PLAIN)
    other.assessed("L-1")
    assert other.state is not None
    assert other.state.facts is not None
    facts = other.state.facts
    manual = tuple(item.model_copy(update={"product": MANUAL}) for item in facts.licences)
    life.case_says([decided(facts=facts.model_copy(update={"licences": manual}))])

    assert named(breaches_of(life.world)) == [(5, "case c-1")]


def test_8_a_fact_that_cannot_follow_is_named() -> None:
    life = started()
    stream = life.world.streams[ACME, "case/c-1"]
    late = CaseClosed(outcome=Outcome.REFUSED)
    for fact in (late, late):
        head = stream[-1].head
        stream.append(CODEC.seal(ACME, case_stream(life.case), record_key(ACME, LOST), head, life.world.at, fact))

    assert named(breaches_of(life.world)) == [(8, "case c-1")]
