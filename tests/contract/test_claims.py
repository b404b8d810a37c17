"""Claims of single licences and of access data."""

from datetime import timedelta

import pytest

from events.backend_facts import CaseAddressed, MeasureOrdered
from events.errors import Code, NotYetKnownError, RefusalError
from events.lease import Lease
from events.measure_subject import Subject
from events.ports.licensing_backend import CaseOrder, CloseOrder, Issued, MeasureToOrder, NoTargetFound, ReinstateOrder
from events.ports.loss_cases import DecisionQuestion, Joined, Rejected
from events.statements import FoundStatement
from events.terms import Kind, Measure, Outcome, Reason, Reporter, Role, Serial
from tests.contract.stock import NOW, Stock
from tests.given import principal
from workflows.exposure import exposure
from workflows.policy import Policy, Rule, canonical

CRM = Reporter(role=Role.BACK_OFFICE, name="crm")
ANN = Reporter(role=Role.BACK_OFFICE, name="ann")


async def test_a_report_of_licences_claims_these_and_another_of_others_is_another_case(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2", "L-3")

    first = await stock.claim(stock.loss("D-1", "L-1", "L-2"))
    other = await stock.claim(stock.loss("D-1", "L-3"))
    overlapping = await stock.claim(stock.loss("D-1", "L-2"))
    whole = await stock.claim(stock.loss("D-1"))

    assert (overlapping, other == first) == (first, False)
    assert whole not in (first, other)
    assert await stock.claim(stock.loss("D-1")) == whole
    assert (await stock.backend.assess(whole)).facts.licences == ()  # the others recover them; it blocks and watches
    assert [item.licence for item in (await stock.backend.assess(first)).facts.licences] == ["L-1", "L-2"]


async def test_the_licences_are_part_of_what_a_report_said(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    statement = stock.loss("D-1", "L-1", "L-2")
    key = await stock.claim(statement)

    assert await stock.claim(statement.model_copy(update={"licences": ("L-2", "L-1")})) == key
    with pytest.raises(RefusalError) as refusal:
        await stock.claim(statement.model_copy(update={"licences": ("L-1",)}))
    assert refusal.value.code is Code.REPORT_ID_TAKEN


async def test_who_signed_in_at_an_issuer_reports_once_and_is_not_who_has_a_similar_name(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    statement = stock.loss("D-1")
    people = ("corp:auth0|" + "5" * 244, "corp:a/b", "corp:a")
    reports = [statement.model_copy(update={"reporter": Reporter(role=Role.BACK_OFFICE, name=name)}) for name in people]

    first = await stock.backend.claim(principal(stock.vendor, people[0]), reports[0], NOW)
    again = await stock.backend.claim(principal(stock.vendor, people[0]), reports[0], NOW)
    others = [await stock.backend.claim(principal(stock.vendor, "crm"), one, NOW) for one in reports[1:]]

    assert (first.answer, again.answer, again.key) == ("opened", "repeated", first.key)
    assert [one.answer for one in others] == ["joined", "joined"]
    joined = [one.report.reporter.name for one in await stock.contents(first.key) if isinstance(one, Joined)]
    assert joined == [*people]


async def test_a_licence_that_is_not_in_the_container_is_unknown_and_claims_nothing(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2", "L-2")

    with pytest.raises(NotYetKnownError, match="L-2") as refusal:
        await stock.claim(stock.loss("D-1", "L-1", "L-2"))

    assert refusal.value.code is Code.UNKNOWN_LICENCE
    found = FoundStatement(report="F-1", serial="D-1", reporter=CRM, occurred=NOW)
    with pytest.raises(NotYetKnownError) as nobody:
        await stock.backend.turn_up(principal(stock.vendor), found, NOW)
    assert nobody.value.code is Code.NO_CASE


async def test_the_loss_of_a_container_that_never_held_a_licence_claims_nothing_and_uses_no_number_up(
    stock: Stock,
) -> None:
    await stock.container("D-1")
    await stock.container("K-1", kind=Kind.CLOUD)
    statement = stock.loss("D-1")
    with pytest.raises(NotYetKnownError) as refusal:
        await stock.claim(statement)

    await stock.licence("L-1", "D-1")
    key = await stock.claim(statement.model_copy(update={"reason": Reason.STOLEN}))
    cloud = await stock.claim(stock.loss("K-1", kind=Kind.CLOUD, reason=Reason.STOLEN))

    assert refusal.value.code is Code.NO_LICENCE
    assert key.serial == "D-1"
    assert cloud.serial == "K-1"


async def test_the_loss_of_a_container_whose_licences_were_all_recovered_joins(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    order = await stock.lost("D-1")
    assert isinstance(await stock.backend.issue(order), Issued)

    assert await stock.claim(stock.loss("D-1")) == order.key


async def test_a_late_report_of_a_recovered_licence_joins_and_one_of_the_replacement_opens(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await stock.container("D-2", "L-3")
    order = await stock.lost("D-1", "L-1")
    assert isinstance(await stock.backend.issue(order), Issued)

    assert await stock.claim(stock.loss("D-1", "L-1")) == order.key
    assert await stock.claim(stock.loss("D-2", "L-1")) != order.key
    assert await stock.claim(stock.loss("D-1")) != order.key  # L-2 is still in it


async def test_a_second_loss_of_an_act_is_a_case_of_its_own(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    first = await stock.lost("A-1", kind=Kind.ACT, reason=Reason.HARDWARE_REPLACED)
    await stock.backend.issue(first)
    await stock.activate("A-1", {"board": "b5", "disk": "d5"})
    assert isinstance(await stock.backend.issue(first), Issued)

    second = await stock.lost("A-1", kind=Kind.ACT, reason=Reason.COMPUTER_STOLEN)

    assert second.key != first.key
    assert (await stock.contact("A-1", generation=2)).cases == (second.key,)


async def test_access_data_are_claimed_and_the_licences_stay(stock: Stock) -> None:
    await stock.container("K-1", "L-1", kind=Kind.CLOUD)
    statement = stock.loss("K-1", kind=Kind.CLOUD, reason=Reason.STOLEN)

    key = await stock.claim(statement)

    assert await stock.claim(stock.loss("K-1", kind=Kind.CLOUD, reason=Reason.FORGOTTEN)) == key
    assert [item.licence for item in (await stock.backend.assess(key)).facts.licences] == ["L-1"]


async def test_the_facts_say_until_when_a_licence_runs(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.licence("L-2", "D-1", lease=Lease(), borrowed_until=NOW)

    facts = (await stock.backend.assess(await stock.claim(stock.loss("D-1")))).facts

    assert [(item.expires is None, item.borrowed_until) for item in facts.licences] == [(False, None), (True, NOW)]


async def test_a_borrowed_licence_runs_to_the_end_of_its_loan(stock: Stock) -> None:
    until = NOW + timedelta(days=200)
    await stock.container("A-1", kind=Kind.ACT)
    await stock.licence("L-1", "A-1", borrowed_until=until)
    key = await stock.claim(stock.loss("A-1", reason=Reason.COMPUTER_STOLEN, kind=Kind.ACT))

    facts = (await stock.backend.assess(key)).facts

    assert exposure(facts.licences, {}).until == until
    assert exposure(facts.licences, {Subject.parse("container/A-1/1"): NOW}).until == NOW


async def test_a_theft_of_the_whole_container_blocks_it_while_the_case_of_one_licence_waits_for_a_person(
    stock: Stock,
) -> None:
    await stock.container("D-1", "L-1", "L-2")
    order = await stock.lost("D-1", "L-1")
    assert isinstance(await stock.backend.issue(order), NoTargetFound)

    theft = await stock.lost("D-1", reason=Reason.STOLEN)

    assert theft.key != order.key
    assert (await stock.contact("D-1")).refused
    assert [name for name, _ in await stock.messages(order.key)][:3] == ["report", "report", "overtaken"]
    await stock.container("D-2")
    late = order.model_copy(update={"number": 9, "taken": 2})
    unaware = await stock.backend.issue(late)
    assert isinstance(unaware, NoTargetFound)
    assert unaware.overtaken
    approved = order.model_copy(update={"number": 10, "taken": 3})
    assert not getattr(await stock.backend.issue(approved), "overtaken", False)


async def test_a_stolen_licence_after_the_same_hardware_is_blocked_by_a_case_of_its_own(stock: Stock) -> None:
    await stock.container("A-1", "L-1", "L-2", kind=Kind.ACT)
    same = await stock.lost("A-1", "L-1", kind=Kind.ACT, reason=Reason.SAME_HARDWARE)

    theft = await stock.lost("A-1", "L-1", kind=Kind.ACT, reason=Reason.COMPUTER_STOLEN)

    assert theft.key != same.key
    assert (await stock.contact("A-1")).refused
    ordered = {(one.case, one.measure, str(one.subject)) for one in await stock.facts(MeasureOrdered)}
    assert {(theft.key.case, measure, "licence/L-1/1") for measure in ("deactivation", "blacklisting")} <= ordered


async def test_a_stolen_computer_after_the_same_hardware_is_blocked_by_a_case_of_its_own(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    same = await stock.lost("A-1", kind=Kind.ACT, reason=Reason.SAME_HARDWARE)

    theft = await stock.lost("A-1", kind=Kind.ACT, reason=Reason.COMPUTER_STOLEN)
    again = await stock.claim(stock.loss("A-1", kind=Kind.ACT, reason=Reason.COMPUTER_STOLEN))
    milder = await stock.claim(stock.loss("A-1", kind=Kind.ACT, reason=Reason.SAME_HARDWARE))

    assert (theft.key == same.key, again, milder) == (False, theft.key, same.key)
    ordered = [(fact.case, fact.measure) for fact in await stock.facts(MeasureOrdered)]
    assert (theft.key.case, Measure.BLACKLISTING) in ordered
    assert (same.key.case, Measure.BLACKLISTING) not in ordered


async def test_stolen_access_data_end_an_open_reset_and_its_link(stock: Stock) -> None:
    await stock.container("K-1", "L-1", kind=Kind.CLOUD)
    reset = await stock.lost("K-1", kind=Kind.CLOUD, reason=Reason.FORGOTTEN)
    assert isinstance(await stock.backend.issue(reset), NoTargetFound)
    link = await stock.backend.access_link(principal(stock.vendor), Serial("K-1"))

    stock.pass_(timedelta(seconds=1))
    theft = await stock.lost("K-1", kind=Kind.CLOUD, reason=Reason.STOLEN)
    waits = await stock.backend.issue(theft)

    assert isinstance(waits, NoTargetFound)
    assert waits.overtaken
    with pytest.raises(RefusalError) as dead:
        await stock.backend.set_access(stock.vendor, Serial("K-1"), link.token, "a password long enough", NOW)
    assert dead.value.code is Code.BAD_LINK
    assert ("overtaken", 3) in await stock.messages(reset.key)
    over = CloseOrder(key=reset.key, recovered=False, lift=True, outcome=Outcome.CANCELLED, number=5, taken=3)
    await stock.backend.close(over)
    assert await stock.messages(theft.key) == [("report", 1), ("offer", 2)]
    assert isinstance(await stock.backend.issue(theft), Issued)
    ours = await stock.backend.access_link(principal(stock.vendor), Serial("K-1"))
    await stock.backend.set_access(stock.vendor, Serial("K-1"), ours.token, "a password long enough", NOW)


REJECTED = {"recovered": False, "lift": True, "outcome": Outcome.REJECTED}


async def test_a_theft_that_takes_over_a_rejected_reset_learns_of_the_rejection_before_it_recovers_anything(
    stock: Stock,
) -> None:
    """The reset was decided, and its close is on the way: what is stolen is blocked at once, and nothing is issued."""
    await stock.container("K-1", "L-1", kind=Kind.CLOUD)
    reset = await stock.claim(stock.loss("K-1", kind=Kind.CLOUD, reason=Reason.FORGOTTEN))
    theft = (await stock.lost("K-1", kind=Kind.CLOUD, reason=Reason.STOLEN)).model_copy(update={"number": 4})
    assert [one.measure for one in await stock.facts(MeasureOrdered)] == [Measure.BLACKLISTING]

    before = await stock.backend.issue(theft)
    await stock.backend.close(CloseOrder(key=reset, number=5, **REJECTED))
    after = await stock.backend.issue(theft.model_copy(update={"number": 4}))

    for answer in (before, after):
        assert isinstance(answer, NoTargetFound)
        assert answer.overtaken
    assert (await stock.contents(theft.key))[1:] == [Rejected(case=reset.case)]
    approved = theft.model_copy(update={"number": 8, "taken": 3})
    assert isinstance(await stock.backend.issue(approved), Issued)
    link = await stock.backend.access_link(principal(stock.vendor), Serial("K-1"))
    await stock.backend.set_access(stock.vendor, Serial("K-1"), link.token, "a password long enough", NOW)


async def test_a_second_theft_waits_for_a_rejected_reset_that_the_first_took_over(stock: Stock) -> None:
    await stock.container("K-1", "L-1", kind=Kind.CLOUD)
    reset = await stock.claim(stock.loss("K-1", kind=Kind.CLOUD, reason=Reason.FORGOTTEN))
    first = await stock.claim(stock.loss("K-1", kind=Kind.CLOUD, reason=Reason.STOLEN))
    await stock.backend.close(CloseOrder(key=first, recovered=False, lift=True, outcome=Outcome.CANCELLED, number=5))
    second = await stock.lost("K-1", kind=Kind.CLOUD, reason=Reason.STOLEN)

    waits = await stock.backend.issue(second)
    await stock.backend.close(CloseOrder(key=reset, number=5, **REJECTED))

    assert isinstance(waits, NoTargetFound)
    assert waits.overtaken
    assert (await stock.contents(second.key))[-1] == Rejected(case=reset.case)
    assert (await stock.opening(second.key)).rejected is None


async def test_who_took_nothing_over_is_told_nothing_of_a_rejection(stock: Stock) -> None:
    await stock.container("K-1", "L-1", kind=Kind.CLOUD)
    await stock.container("K-2", "L-2", kind=Kind.CLOUD)
    reset = await stock.claim(stock.loss("K-1", kind=Kind.CLOUD, reason=Reason.FORGOTTEN))
    other = await stock.claim(stock.loss("K-2", kind=Kind.CLOUD, reason=Reason.STOLEN))

    await stock.backend.close(CloseOrder(key=reset, number=5, **REJECTED))
    after = await stock.claim(stock.loss("K-1", kind=Kind.CLOUD, reason=Reason.STOLEN))

    for key in (other, after):
        assert await stock.messages(key) == [("report", 1)]
    assert (await stock.opening(after)).rejected == reset.case


async def test_what_a_case_that_was_given_up_blocked_is_blocked_anew_once_it_is_lost_again(stock: Stock) -> None:
    """Giving up lifts the measures of a case, also of one that had recovered what was lost."""
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    given_up = await stock.lost("D-1")
    assert isinstance(await stock.backend.issue(given_up), Issued)
    await stock.backend.close(CloseOrder(key=given_up.key, recovered=True, lift=True, outcome=Outcome.GIVEN_UP))
    assert (await stock.contact("D-1", contact="C-1")).refused is False

    theft = await stock.lost("D-1", reason=Reason.STOLEN)

    assert theft.key != given_up.key
    assert (await stock.opening(theft.key)).beside == given_up.key.case
    assert (await stock.contact("D-1", contact="C-2")).refused is True


async def test_a_reset_that_a_theft_ended_owes_no_new_link_before_it_is_closed(stock: Stock) -> None:
    await stock.container("K-1", "L-1", kind=Kind.CLOUD)
    first = await stock.backend.access_link(principal(stock.vendor), Serial("K-1"))
    await stock.backend.set_access(stock.vendor, Serial("K-1"), first.token, "a password long enough", NOW)
    reset = await stock.lost("K-1", kind=Kind.CLOUD, reason=Reason.FORGOTTEN)
    assert isinstance(await stock.backend.issue(reset), NoTargetFound)

    await stock.claim(stock.loss("K-1", kind=Kind.CLOUD, reason=Reason.STOLEN))

    with pytest.raises(RefusalError) as dead:
        await stock.backend.access_link(principal(stock.vendor), Serial("K-1"))
    assert dead.value.code is Code.BAD_LINK


async def test_a_new_case_names_the_former_and_policy_knows_how_that_ended(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    former = await stock.claim(stock.loss("D-1"))
    await stock.backend.close(CloseOrder(key=former, recovered=False, lift=True, outcome=Outcome.REJECTED))

    after = await stock.claim(stock.loss("D-1"))

    assert (await stock.opening(after)).former == former.case
    assert (await stock.backend.assess(after)).facts.former_outcome is Outcome.REJECTED
    assert (await stock.opening(former)).former is None


async def test_a_rejection_is_known_though_a_later_report_of_the_same_was_cancelled_until_one_was_approved(
    stock: Stock,
) -> None:
    await stock.container("D-1", "L-1")
    keys = []
    for minutes, outcome, approved in (
        (1, Outcome.REJECTED, False),
        (2, Outcome.CANCELLED, False),
        (3, Outcome.CANCELLED, True),
        (4, Outcome.CANCELLED, False),
    ):
        received = NOW + timedelta(minutes=minutes)
        key = (await stock.backend.claim(principal(stock.vendor), stock.loss("D-1"), received)).key
        order = CloseOrder(key=key, recovered=False, lift=True, outcome=outcome, approved=approved)
        await stock.backend.close(order)
        keys.append(key)

    openings = [await stock.opening(key) for key in keys]
    assert [one.rejected for one in openings] == [None, keys[0].case, keys[0].case, None]
    assert [one.former for one in openings] == [None, *(key.case for key in keys[:3])]


async def test_a_container_that_was_found_and_retired_stays_blocked_and_may_be_lost_again(stock: Stock) -> None:
    """Only the loss of the container is nobody's any more: what was recovered from it stays recovered, and what is put
    into it later is of a case of its own, which cannot put it back while the first one's measures stand."""
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    await stock.container("D-3")
    first = await stock.lost("D-1")
    assert isinstance(await stock.backend.issue(first), Issued)
    await stock.backend.close(CloseOrder(key=first.key, recovered=True, outcome=Outcome.FOUND, number=5))
    assert await stock.claim(stock.loss("D-1")) == first.key
    assert (await stock.contact("D-1")).refused is True
    await stock.licence("L-2", "D-1")

    second = await stock.lost("D-1", reason=Reason.STOLEN)
    issued = await stock.backend.issue(second)

    assert second.key != first.key
    assert isinstance(issued, Issued)
    assert (await stock.opening(second.key)).beside is None
    assert [item.licence for item in issued.licences] == ["L-2"]
    assert [await stock.serial_of(name) for name in ("L-1", "L-2")] == [("D-2", 2), (issued.target, 2)]
    assert (await stock.contact("D-1")).refused is True
    with pytest.raises(RefusalError) as refusal:
        await stock.backend.withdraw(CaseOrder(key=second.key, number=9))
    assert refusal.value.code is Code.BLOCKED


async def test_what_was_found_and_put_back_can_be_lost_again(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    order = await stock.lost("D-1")
    assert isinstance(await stock.backend.issue(order), Issued)
    await stock.backend.withdraw(CaseOrder(key=order.key, number=3))
    await stock.contact("D-2")
    await stock.contact("D-2", confirms=True)
    await stock.backend.reinstate(ReinstateOrder(key=order.key, number=4))
    await stock.backend.close(CloseOrder(key=order.key, recovered=True, outcome=Outcome.FOUND, number=5))

    second = await stock.claim(stock.loss("D-1"))

    assert second != order.key
    assert (await stock.opening(second)).former is None
    assert [item.licence for item in (await stock.backend.assess(second)).facts.licences] == ["L-1"]


async def test_a_theft_blocks_what_the_rule_for_its_loss_left_alone(stock: Stock) -> None:
    policy = Policy(rules=(Rule(reasons=(Reason.LOST,), measures=()), Rule()))
    await stock.backend.adopt_policy(stock.vendor, canonical(policy), NOW)
    await stock.container("D-1", "L-1")
    lost = await stock.claim(stock.loss("D-1"))

    theft = await stock.claim(stock.loss("D-1", reason=Reason.STOLEN))

    assert theft != lost


async def test_a_report_that_two_open_cases_are_about_reaches_both_and_is_of_one(stock: Stock) -> None:
    """Who reported may not decide: ann is a reporter of both, whichever case her report is of."""
    await stock.backend.adopt_policy(stock.vendor, {**canonical(Policy()), "supervisors": ["ann", "bob"]}, NOW)
    await stock.container("D-1", "L-1", "L-2")
    several = [await stock.claim(stock.loss("D-1", name)) for name in ("L-1", "L-2")]
    both = stock.loss("D-1", "L-1", "L-2").model_copy(update={"reporter": ANN})

    has = await stock.claim(both)

    (learns,) = set(several) - {has}
    for key, beside in ((has, None), (learns, has.case)):
        assert await stock.messages(key) == [("report", 1), ("report", 2)]
        _, told = await stock.contents(key)
        assert isinstance(told, Joined)
        assert (told.report.report, told.report.reporter, told.report.beside) == (both.report, ANN, beside)
        confirmed = await stock.backend.confirm_decision(DecisionQuestion(key=key, number=3))
        assert confirmed.reporters == ("ann",)
    assert await stock.claim(both) == has  # said again
    assert await stock.messages(learns) == [("report", 1), ("report", 2)]


async def test_who_reported_a_wider_loss_is_a_reporter_of_the_case_that_it_overtakes(stock: Stock) -> None:
    await stock.backend.adopt_policy(stock.vendor, {**canonical(Policy()), "supervisors": ["ann", "bob"]}, NOW)
    await stock.container("D-1", "L-1", "L-2")
    milder = await stock.claim(stock.loss("D-1", "L-1"))

    wider = await stock.claim(stock.loss("D-1").model_copy(update={"reporter": ANN}))

    assert wider != milder
    assert await stock.messages(milder) == [("report", 1), ("report", 2), ("overtaken", 3)]
    confirmed = await stock.backend.confirm_decision(DecisionQuestion(key=milder, number=4))
    assert confirmed.reporters == ("ann",)


async def test_what_a_case_only_learnt_of_is_not_claimed_for_again_when_it_closes_without_taking_it(
    stock: Stock,
) -> None:
    await stock.container("D-1", "L-1", "L-2")
    several = [await stock.claim(stock.loss("D-1", name)) for name in ("L-1", "L-2")]
    both = stock.loss("D-1", "L-1", "L-2")
    has = (await stock.backend.claim(principal(stock.vendor), both, NOW + timedelta(minutes=2))).key
    (learns,) = set(several) - {has}
    close = CloseOrder(key=learns, recovered=True, taken=1, decided=NOW + timedelta(minutes=1))

    await stock.backend.close(close.model_copy(update={"outcome": Outcome.RETIRED}))

    assert await stock.claim(both) == has
    assert await stock.facts(CaseAddressed) == []
    assert await stock.messages(has) == [("report", 1), ("report", 2)]


async def test_a_theft_of_which_the_rule_orders_a_withdrawal_alone_is_withdrawn_after_a_loss_that_ordered_nothing(
    stock: Stock,
) -> None:
    withdraws = Rule(reasons=(Reason.STOLEN,), measures=(MeasureToOrder(measure=Measure.WITHDRAWAL),))
    policy = Policy(rules=(Rule(reasons=(Reason.LOST,), measures=()), withdraws, Rule()))
    await stock.backend.adopt_policy(stock.vendor, canonical(policy), NOW)
    await stock.container("D-1", "L-1")
    lost = await stock.claim(stock.loss("D-1"))

    theft = await stock.claim(stock.loss("D-1", reason=Reason.STOLEN))
    again = await stock.claim(stock.loss("D-1", reason=Reason.STOLEN))
    milder = await stock.claim(stock.loss("D-1"))

    assert theft != lost
    assert (again, milder) == (theft, lost)
    assert ("overtaken", 3) in await stock.messages(lost)
    assert (await stock.opening(theft)).beside == lost.case


async def test_what_a_case_that_was_given_up_withdrew_is_withdrawn_anew_once_it_is_lost_again(stock: Stock) -> None:
    withdraws = Rule(kinds=(Kind.DONGLE,), measures=(MeasureToOrder(measure=Measure.WITHDRAWAL),))
    await stock.backend.adopt_policy(stock.vendor, canonical(Policy(rules=(withdraws, Rule()))), NOW)
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    given_up = await stock.claim(stock.loss("D-1"))
    await stock.backend.close(CloseOrder(key=given_up, recovered=True, lift=True, outcome=Outcome.GIVEN_UP))

    theft = await stock.claim(stock.loss("D-1", reason=Reason.STOLEN))

    assert theft != given_up


@pytest.mark.parametrize("before", [False, True])
async def test_who_reports_what_an_open_case_is_about_is_a_reporter_of_it_whatever_closed_case_was_about_the_same(
    stock: Stock, before: bool
) -> None:
    policy = canonical(Policy(supervisors=("ann", "bob")))
    await stock.backend.adopt_policy(stock.vendor, policy, NOW)
    await stock.container("D-1", "L-1")
    if before:
        await stock.container("D-2")
        old = await stock.lost("D-1")
        assert isinstance(await stock.backend.issue(old), Issued)
        over = CloseOrder(key=old.key, recovered=True, lift=False, outcome=Outcome.LOST_FOR_EVER)
        await stock.backend.close(over)
        await stock.licence("L-2", "D-1")
    key = await stock.claim(stock.loss("D-1"))
    joins = stock.loss("D-1").model_copy(update={"reporter": Reporter(role=Role.BACK_OFFICE, name="ann")})

    joined = await stock.claim(joins)
    confirmed = await stock.backend.confirm_decision(DecisionQuestion(key=key, number=9))

    assert joined == key
    assert confirmed.reporters == ("ann",)
    assert [name for name, _ in await stock.messages(key)] == ["report", "report"]


async def test_a_case_that_only_blocks_knows_the_products_of_what_it_blocks(stock: Stock) -> None:
    rules = (Rule(products=("cad",), measures=({"measure": "withdrawal"},)), Rule(measures=()))
    await stock.backend.adopt_policy(stock.vendor, canonical(Policy(supervisors=("ann",), rules=rules)), NOW)
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    damaged = await stock.lost("D-1", reason=Reason.DAMAGED, stop_gap_days=30)
    assert isinstance(await stock.backend.issue(damaged), Issued)
    rules = (Rule(products=("cad",)), Rule(measures=()))
    await stock.backend.adopt_policy(stock.vendor, canonical(Policy(supervisors=("ann",), rules=rules)), NOW)

    stolen = await stock.claim(stock.loss("D-1", reason=Reason.STOLEN))

    assert stolen != damaged.key
    facts = (await stock.backend.assess(stolen)).facts
    assert (facts.licences, facts.products) == ((), ("cad",))
    assert (await stock.backend.assess(damaged.key)).facts.products == ()
