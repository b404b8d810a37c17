"""Who may decide on a case: one question with one answer, that decisions, views and explanations ask."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import Code
from events.ports.licensing_backend import Reservation
from events.terms import Action, Kind, Mode, PersonId, Reason, Status, Undecided
from portal.policy_file.reader import check
from projections.read.pending_action import pending_action
from tests.unit.facts import NOW
from tests.unit.journey import REPORTED, after, assessed, decision, elapsed
from workflows.authority import may_decide, why_not
from workflows.case import CaseState
from workflows.decider import decide
from workflows.explanation import Supposed, explain
from workflows.policy import Approval, Policy, Quota, Rule

ANN, BOB, CY = (PersonId(name) for name in ("ann", "bob", "cy"))
EVERYBODY = (ANN, BOB, CY)


def escalating(to: tuple[PersonId, ...], **more: Any) -> Policy:
    approval = Approval(due_hours=48, undecided=Undecided.ESCALATE, escalate_to=to)
    return Policy(
        supervisors=EVERYBODY, rules=(Rule.model_validate({"mode": Mode.MANUAL, "approval": approval} | more),)
    )


def escalated(policy: Policy, *commands: Any, **more: Any) -> CaseState:
    state, _ = after(REPORTED, assessed(policy, **more), elapsed(48, policy), *commands)
    assert state.status is Status.ESCALATED
    return state


def able(state: CaseState, action: Action, policy: Policy, listed: tuple[PersonId, ...] = EVERYBODY) -> set[str]:
    return {name for name in EVERYBODY if may_decide(state, action, name, listed, policy)}


def test_of_a_case_that_was_escalated_those_decide_to_whom_it_was() -> None:
    policy = escalating((CY,))
    state = escalated(policy)

    assert {action: able(state, action, policy) for action in Action} == {action: {CY} for action in Action}
    assert why_not(state, Action.REJECT, ANN, EVERYBODY, policy) is Code.NOT_ESCALATED_TO


def test_where_nobody_of_them_may_every_supervisor_who_otherwise_may_may() -> None:
    policy = escalating((CY,))
    state = escalated(policy)
    own = state.model_copy(update={"reporters": (*state.reporters, CY)})

    assert able(state, Action.REJECT, policy, listed=(ANN, BOB)) == {ANN, BOB}
    assert why_not(state, Action.REJECT, CY, (ANN, BOB), policy) is Code.NOT_A_SUPERVISOR
    assert able(own, Action.APPROVE, policy) == {ANN, BOB}
    assert able(state, Action.REJECT, policy, listed=()) == set()


def test_one_person_escalated_to_is_not_the_second_of_four_eyes_and_another_one_is() -> None:
    policy = escalating((CY,), four_eyes_above_cents=0)
    state = escalated(policy, decision(Action.APPROVE, by="cy", policy=policy))

    assert state.first_approval == CY
    assert able(state, Action.APPROVE, policy) == {ANN, BOB}
    assert able(state, Action.REJECT, policy) == {CY}
    approved, _ = after(
        REPORTED,
        assessed(policy),
        elapsed(48, policy),
        decision(Action.APPROVE, by="cy", policy=policy),
        decision(Action.APPROVE, "D-2", by="ann", policy=policy),
    )
    assert approved.status is Status.BLOCKING


def test_beyond_the_quota_those_approve_who_may_grant_goodwill_though_it_was_escalated_to_others() -> None:
    quota = Quota(recoveries=1, goodwill=(BOB,))
    policy = escalating((CY,), mode=Mode.HYBRID, quota=quota)
    state = escalated(policy, reservation=Reservation(at=NOW, ordinal=None, limit=1))

    assert able(state, Action.APPROVE, policy) == {BOB}
    assert why_not(state, Action.APPROVE, ANN, EVERYBODY, policy) is Code.NO_GOODWILL
    assert able(state, Action.REJECT, policy) == {CY}


@given(
    to=st.sets(st.sampled_from(EVERYBODY)),
    listed=st.sets(st.sampled_from(EVERYBODY)),
    reporter=st.sampled_from([*EVERYBODY, "crm"]),
    by=st.sampled_from(EVERYBODY),
    four_eyes=st.booleans(),
    first=st.sampled_from([None, *EVERYBODY]),
)
def test_what_is_awaited_from_whom_is_what_a_decision_is_taken_from(
    to: set[PersonId], listed: set[PersonId], reporter: str, by: PersonId, four_eyes: bool, first: PersonId | None
) -> None:
    policy = escalating(tuple(sorted(to)), four_eyes_above_cents=0 if four_eyes else None)
    state = escalated(policy).model_copy(
        update={"reporters": (reporter,), "first_approval": first if four_eyes else None}
    )
    supervisors = tuple(sorted(listed))
    waits = pending_action(state, supervisors, policy)
    order = decision(Action.APPROVE, by=by, on=state.material, policy=policy)

    (fact, *_) = decide(state, order.model_copy(update={"supervisors": supervisors}))

    assert waits is not None
    assert (by in waits.by) is (fact.name != "decision.denied")
    if listed - {reporter} - {state.first_approval}:
        assert waits.by, "somebody is left who may decide"


@given(
    mode=st.sampled_from([Mode.MANUAL, Mode.HYBRID]),
    goodwill=st.sets(st.sampled_from(EVERYBODY)),
    listed=st.sets(st.sampled_from(EVERYBODY)),
    by=st.sampled_from(EVERYBODY),
)
def test_view_explanation_and_decision_ask_one_may_decide(
    mode: Mode, goodwill: set[PersonId], listed: set[PersonId], by: PersonId
) -> None:
    supervisors = tuple(sorted(listed))
    quota = None if mode is Mode.MANUAL else Quota(recoveries=0, goodwill=tuple(sorted(goodwill)))
    policy = Policy(supervisors=supervisors, rules=(Rule(mode=mode, quota=quota),))
    beyond = Reservation(at=NOW, ordinal=None, limit=0) if quota else None
    state, _ = after(REPORTED, assessed(policy, reservation=beyond))
    may = {one for one in EVERYBODY if may_decide(state, Action.APPROVE, one, supervisors, policy)}
    order = decision(Action.APPROVE, by=by, on=state.material, policy=policy, goodwill=state.beyond_quota)

    waits = pending_action(state, supervisors, policy)
    explained = explain(policy, Supposed(kind=Kind.DONGLE, reason=Reason.LOST), NOW)
    (fact, *_) = decide(state, order.model_copy(update={"supervisors": supervisors}))

    assert waits is not None
    assert set(waits.by) == set(explained.may_approve) == may
    assert (fact.name != "decision.denied") is (by in may)


@pytest.mark.parametrize(("to", "codes"), [("[cy]", ["four_eyes_of_one"]), ("[cy, ann]", [])])
def test_a_policy_that_escalates_four_eyes_to_one_person_contradicts_itself(to: str, codes: list[str]) -> None:
    approval = f"{{due_hours: 1, undecided: escalate, escalate_to: {to}}}"
    text = f"supervisors: [ann, bob, cy]\nrules: [{{mode: manual, four_eyes_above_cents: 0, approval: {approval}}}]"

    assert [one.code for one in check(text)[1]] == codes
