"""What a case does next, from its state alone: the activity with all that the backend must know, or a rest."""

from typing import Any

import pytest

from events.ports.licensing_backend import CaseKey, CaseOrder, CloseOrder, QuotaOrder
from events.terms import (
    SAME_HARDWARE,
    Action,
    ActivationBy,
    Aim,
    Kind,
    Match,
    Measure,
    Mode,
    QuotaSubject,
    Reason,
    Recovery,
    Scope,
    Target,
    Verdict,
)
from tests.unit.facts import NOW, facts, licence, report
from tests.unit.journey import (
    BLOCKED,
    CONDITIONAL,
    DAMAGED,
    ELAPSED,
    ESCALATING,
    FAILED,
    FORGOTTEN,
    FOUND,
    HOUR,
    MANUAL,
    NEEDS_APPROVAL,
    NO_TARGET,
    POLICY,
    PROVEN,
    QUOTA,
    REINSTATE,
    REPLACED,
    REPORTED,
    RETURNED,
    RULED,
    SIGHTED,
    UNTIL,
    WAITS,
    WATCHED,
    after,
    assessed,
    decision,
    elapsed,
)
from workflows.commands import Blocked, Command, NoTarget, Report, Withdrawn
from workflows.decider import ENROLMENT
from workflows.limits import Limits
from workflows.policy import Policy, Quota, Rule
from workflows.steps import (
    Assess,
    Block,
    End,
    Issue,
    Reinstate,
    Rest,
    Step,
    Withdraw,
    next_step,
    policy_needed,
    reserve_order,
)

KEY = CaseKey(vendor="acme", case="c-1", serial="3-1")


def step_after(*journey: Command, policy: Policy = POLICY) -> Step:
    return next_step(after(*journey)[0], KEY, policy)


@pytest.mark.parametrize(
    ("journey", "alarm"),
    [
        ((REPORTED, NEEDS_APPROVAL), NOW + 24 * HOUR),
        ((REPORTED, NEEDS_APPROVAL, elapsed(24, MANUAL)), NOW + 48 * HOUR),
        ((REPORTED, NEEDS_APPROVAL, elapsed(24, MANUAL), elapsed(48, MANUAL)), None),
        ((REPORTED, assessed(ESCALATING), elapsed(48, ESCALATING)), None),
        ((REPORTED, assessed(WAITS), Blocked(at=NOW, policy=WAITS)), NOW + 24 * HOUR),
        ((REPORTED, assessed(), BLOCKED, NO_TARGET), None),
        ((FORGOTTEN, assessed(), BLOCKED, NoTarget(at=NOW, tickets=())), NOW + ENROLMENT[1]),
        (WATCHED, UNTIL),
        ((*WATCHED, SIGHTED), None),
        ((REPORTED, assessed(), FAILED), None),
    ],
)
def test_a_case_that_waits_rests_until_the_next_thing_is_due(journey: tuple[Command, ...], alarm: Any) -> None:
    assert step_after(*journey) == Rest(alarm)


@pytest.mark.parametrize(
    ("said", "aim", "measures"),
    [
        (report(), Aim.CONTAINER, [Measure.BLACKLISTING]),
        (report(scope=Scope.LICENCES, licences=("L-1",)), Aim.LICENCE, [Measure.BLACKLISTING]),
        (report(kind=Kind.CLOUD, reason=Reason.STOLEN), Aim.ACCESS_DATA, [Measure.BLACKLISTING]),
        (
            report(kind=Kind.ACT, reason=Reason.HARDWARE_REPLACED),
            Aim.CONTAINER,
            [Measure.DEACTIVATION, Measure.BLACKLISTING],
        ),
    ],
)
def test_what_is_lost_is_blocked_by_the_measures_of_its_rule(said: Any, aim: Aim, measures: list[Measure]) -> None:
    step = step_after(Report(report=said), assessed())

    assert isinstance(step, Block)
    assert (step.order.key, step.order.aim) == (KEY, aim)
    assert [ordered.measure for ordered in step.order.measures] == measures


def test_measures_are_ordered_with_the_delays_of_the_rule() -> None:
    late = Policy(rules=(Rule.model_validate({"measures": [{"measure": "deactivation", "delay_hours": 5}]}),))
    step = step_after(REPORTED, assessed(late), policy=late)

    assert isinstance(step, Block)
    assert [(one.measure, one.delay_hours) for one in step.order.measures] == [(Measure.DEACTIVATION, 5)]


NEXT, REISSUE, BRIDGE = Recovery.NEXT_GENERATION, Recovery.REISSUE, Recovery.STOP_GAP
SAME = report(kind=Kind.ACT, reason=Reason.SAME_HARDWARE)
MET = (REPORTED, NEEDS_APPROVAL, CONDITIONAL, BLOCKED, REPLACED, decision(Action.MEET, "D-2"))


@pytest.mark.parametrize(
    ("journey", "recovery", "target", "match", "stop_gap_days", "full"),
    [
        ((REPORTED, assessed(), BLOCKED), NEXT, Target.EMPTY_CONTAINER, None, None, False),
        ((Report(report=SAME), assessed(), BLOCKED), REISSUE, Target.ACTIVATION, Match.MOST, None, False),
        ((DAMAGED, assessed(), BLOCKED), BRIDGE, Target.EMPTY_CONTAINER, None, 30, False),
        ((DAMAGED, assessed(), BLOCKED, REPLACED, RETURNED), BRIDGE, Target.EMPTY_CONTAINER, None, 30, True),
        ((REPORTED, NEEDS_APPROVAL, CONDITIONAL, BLOCKED), NEXT, Target.EMPTY_CONTAINER, None, 14, False),
        (MET, NEXT, Target.EMPTY_CONTAINER, None, 14, True),
    ],
)
def test_the_replacement_is_issued_as_the_loss_and_its_rule_say(
    journey: tuple[Command, ...], recovery: Recovery, target: Target, match: Any, stop_gap_days: Any, full: bool
) -> None:
    step = step_after(*journey)

    assert isinstance(step, Issue)
    assert step.order.key == KEY
    assert (step.order.recovery, step.order.target, step.order.match) == (recovery, target, match)
    assert (step.order.stop_gap_days, step.order.full) == (stop_gap_days, full)
    assert step.order.measures


def test_an_original_is_reinstated_after_what_replaced_it_is_withdrawn() -> None:
    found = decision(Action.RULE, verdict=Verdict.FOUND)
    back = next_step(after(*WATCHED, FOUND, REINSTATE, Withdrawn())[0], KEY, POLICY)

    assert step_after(*WATCHED, FOUND, REINSTATE) == Withdraw(CaseOrder(key=KEY, number=7))
    assert isinstance(back, Reinstate)
    assert back.order.key == KEY
    assert step_after(REPORTED, assessed(), BLOCKED, NO_TARGET, FOUND, found) == Reinstate(
        back.order.model_copy(update={"number": 7})
    )


@pytest.mark.parametrize(
    ("journey", "recovered", "lift", "flag"),
    [
        ((*WATCHED, ELAPSED), True, False, None),
        ((*WATCHED, SIGHTED, RULED), True, False, Verdict.CLONE),
        ((*WATCHED, FOUND, decision(Action.RULE, verdict=Verdict.FRAUD)), True, False, Verdict.FRAUD),
        ((*WATCHED, FOUND, decision(Action.RULE, verdict=Verdict.DAMAGED)), True, False, None),
        ((REPORTED, NEEDS_APPROVAL, decision(Action.REJECT)), False, True, None),
        ((REPORTED, NEEDS_APPROVAL, decision(Action.CANCEL)), False, True, None),
        ((REPORTED, assessed(), FAILED, decision(Action.GIVE_UP)), False, True, None),
    ],
)
def test_a_case_that_is_over_lifts_what_stands_for_nothing_and_flags_whom_a_verdict_blames(
    journey: tuple[Command, ...], recovered: bool, lift: bool, flag: Verdict | None
) -> None:
    state, _ = after(*journey)
    step = next_step(state, KEY, POLICY, 7, NOW)

    assert isinstance(step, End)
    number = state.material
    ends = {"recovered": recovered, "lift": lift, "flag": flag}
    assert step.order == CloseOrder(key=KEY, **ends, number=number, taken=7, decided=NOW, outcome=state.outcome)


def test_a_quota_is_asked_before_policy_decides_and_again_while_a_supervisor_is_waited_for() -> None:
    reported, waiting = after(REPORTED)[0], after(REPORTED, assessed(PROVEN))[0]
    proof = Rule(mode=Mode.HYBRID, quota=Quota(recoveries=2, term_days=90), limits=Limits(evidence=("police_report",)))
    both = Policy(rules=(proof,))
    order = reserve_order(reported, KEY, QUOTA, facts(licence()))
    proven = reserve_order(waiting, KEY, both, facts(licence()), ("police_report",))

    assert order
    assert order.key == KEY
    assert order.quotas == (QuotaOrder(subjects=("holder/h-1",), limit=1, term_days=365),)
    assert order.received == REPORTED.report.received
    assert reserve_order(waiting, KEY, both, facts(licence())) is None
    assert proven
    assert proven.quotas == (QuotaOrder(subjects=("holder/h-1",), limit=2, term_days=90),)
    assert reserve_order(reported, KEY, POLICY, facts(licence())) is None
    assert reserve_order(after(*WATCHED)[0], KEY, QUOTA, facts(licence())) is None


def test_the_quotas_of_all_rules_are_asked_each_for_its_own_licences_the_strictest_rules_first() -> None:
    cad = Rule(products=("cad",), mode=Mode.HYBRID, quota=Quota(per=QuotaSubject.LICENCE, recoveries=2, pot="cad"))
    plm = Rule(products=("plm",), mode=Mode.HYBRID, quota=Quota(per=QuotaSubject.PRODUCT, recoveries=1, term_days=30))
    others = Rule(mode=Mode.MANUAL)
    known = facts(licence(1), licence(2), licence(3, product="plm"), licence(4, product="erp"))
    second = after(Report(report=report(rules_version=2)))[0]

    order = reserve_order(second, KEY, Policy(rules=(cad, plm, others)), known)

    assert order
    assert order.quotas == (
        QuotaOrder(subjects=("product/plm",), limit=1, term_days=30),
        QuotaOrder(pot="cad", subjects=("licence/L-1", "licence/L-2"), limit=2, term_days=365),
    )


def test_under_the_first_rules_the_strictest_rules_quota_alone_is_asked_for_all_licences() -> None:
    cad = Rule(products=("cad",), mode=Mode.HYBRID, quota=Quota(recoveries=2))
    plm = Rule(products=("plm",), mode=Mode.HYBRID, quota=Quota(per=QuotaSubject.PRODUCT, recoveries=1))
    both = facts(licence(1), licence(2, product="plm"))

    order = reserve_order(after(REPORTED)[0], KEY, Policy(rules=(cad, plm)), both)

    assert order
    assert order.quotas == (QuotaOrder(subjects=("product/cad", "product/plm"), limit=1, term_days=365),)


def test_a_case_that_was_reported_is_assessed_and_again_once_what_failed_is_resumed() -> None:
    assert step_after(REPORTED) == Assess(KEY)
    assert step_after(REPORTED, FAILED) == Rest()
    assert step_after(REPORTED, FAILED, decision(Action.RESUME)) == Assess(KEY)


def test_every_order_says_after_which_fact_and_which_message_it_is_given() -> None:
    """The backend tells by it an order that comes again from one that comes late."""
    decided, blocked = after(REPORTED, assessed())[0], after(REPORTED, assessed(), BLOCKED)[0]
    reported = after(REPORTED, Report(report=report(report="R-2")))[0]
    block, issue = next_step(decided, KEY, POLICY), next_step(blocked, KEY, POLICY, 7)
    first = next_step(blocked, KEY, POLICY)
    reserve = reserve_order(reported, KEY, QUOTA, facts(licence()))

    assert isinstance(block, Block)
    assert isinstance(issue, Issue)
    assert isinstance(first, Issue)
    assert reserve
    assert (block.order.number, reserve.number) == (decided.material, reported.sequence) == (3, 2)
    assert (issue.order.number, issue.order.taken, first.order.taken) == (blocked.material, 7, 1)


@pytest.mark.parametrize(
    ("reason", "activation"),
    [(Reason.COMPUTER_STOLEN, ActivationBy.CODE), (Reason.SAME_HARDWARE, ActivationBy.ANY)],
)
def test_a_machine_must_bring_what_the_rule_says(reason: Reason, activation: ActivationBy) -> None:
    act = Report(report=report(kind=Kind.ACT, reason=reason))
    anyhow = Policy(rules=(Rule(activation=ActivationBy.ANY),))
    by_default, as_ruled = (step_after(act, assessed(policy), BLOCKED, policy=policy) for policy in (POLICY, anyhow))

    assert isinstance(by_default, Issue)
    assert isinstance(as_ruled, Issue)
    assert (by_default.order.activation, as_ruled.order.activation) == (activation, ActivationBy.ANY)


def test_a_quota_is_asked_in_the_pot_of_the_reason() -> None:
    order = reserve_order(after(Report(report=SAME))[0], KEY, QUOTA, facts(licence(), kind=Kind.ACT))

    assert order
    assert [quota.pot for quota in order.quotas] == [SAME_HARDWARE]


@pytest.mark.parametrize(("journey", "approved"), [(WATCHED, False), (MET[:2], True)])
def test_a_case_that_is_over_says_whether_a_person_had_approved_it(
    journey: tuple[Command, ...], approved: bool
) -> None:
    agreed = (decision(Action.APPROVE), BLOCKED, REPLACED) if approved else ()
    step = step_after(*journey, *agreed, ELAPSED)

    assert isinstance(step, End)
    assert step.order.approved is approved


@pytest.mark.parametrize(
    ("journey", "needed"),
    [
        ((REPORTED,), False),
        ((REPORTED, assessed()), True),
        (WATCHED, True),
        ((REPORTED, assessed(), FAILED), False),
        ((*WATCHED, ELAPSED), False),
    ],
)
def test_a_policy_is_asked_for_once_a_case_was_decided_and_unless_it_is_stuck_or_over(
    journey: tuple[Command, ...], needed: bool
) -> None:
    assert policy_needed(after(*journey)[0]) is needed
