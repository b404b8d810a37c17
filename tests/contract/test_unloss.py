"""Un-loss: a replacement withdrawn or kept, an original reinstated, a replacement lost too."""

import asyncio
from typing import Any

import pytest

from events.backend_facts import (
    ContainerReinstated,
    HolderFlagged,
    LicenceIssued,
    LicenceSuperseded,
    MeasureConfirmed,
    MeasureLifted,
    MeasureOrdered,
    MeasureUnconfirmable,
)
from events.errors import Code, NotYetKnownError, RefusalError
from events.ports.licensing_backend import (
    CaseKey,
    CaseOrder,
    CloseOrder,
    Issued,
    IssueOrder,
    QuotaOrder,
    ReinstateOrder,
    ReserveOrder,
)
from events.statements import DeactivationStatement, EvidenceStatement, FoundStatement, ReturnStatement
from events.terms import RECOVERIES, Kind, Measure, Outcome, Reason, Reporter, Role, Verdict
from tests.contract.stock import NEW, NOW, OLD, Stock
from tests.given import principal

CRM = Reporter(role=Role.BACK_OFFICE, name="crm")


async def replaced(stock: Stock) -> IssueOrder:
    """L-1 was lost with D-1 and is now in D-2, at generation 2."""
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    order = await stock.lost("D-1")
    assert isinstance(await stock.backend.issue(order), Issued)
    return order


def reinstating(stock: Stock, order: IssueOrder) -> ReinstateOrder:
    return ReinstateOrder(key=order.key, number=next(stock.numbers))


async def withdrawn(stock: Stock, key: CaseKey, serial: str, **more: Any) -> None:
    """The replacement is ordered back and its container says that it is gone."""
    await stock.backend.withdraw(stock.next(key))
    await stock.contact(serial, **more)
    assert key in (await stock.contact(serial, confirms=True, **more)).settled
    assert (await stock.backend.withdraw(stock.next(key))).confirmed


async def test_a_replacement_is_withdrawn_at_the_contacts_of_its_container(stock: Stock) -> None:
    order = await replaced(stock)

    asked = await stock.backend.withdraw(stock.next(order.key))
    assert not (await stock.backend.withdraw(stock.next(order.key))).confirmed
    (ordered,) = [fact for fact in await stock.facts(MeasureOrdered) if fact.measure is Measure.WITHDRAWAL]
    answer = await stock.contact("D-2")
    gone = await stock.contact("D-2", contact="C-gone", confirms=True)

    assert (ordered.serial, str(ordered.subject)) == ("D-2", "licence/L-1/2")
    assert (answer.refused, answer.files, answer.settled) == (True, (), ())
    assert [key.case for key in answer.cases] == [order.key.case]
    assert gone.settled == (order.key,)
    assert await stock.contact("D-2", contact="C-gone", confirms=True) == gone
    assert (asked.confirmed, (await stock.backend.withdraw(stock.next(order.key))).confirmed) == (False, True)


async def test_the_end_of_a_case_by_fraud_states_the_same_in_the_same_order_on_both_backends(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    order = await stock.lost("D-1")
    quota = QuotaOrder(pot=RECOVERIES, subjects=("holder/h-1",), limit=2, term_days=30)
    await stock.backend.reserve(ReserveOrder(key=order.key, quotas=(quota,), received=NOW))
    before = len(await stock.all_facts())

    close = CloseOrder(key=order.key, recovered=False, outcome=Outcome.FRAUD, flag=Verdict.FRAUD)
    await stock.backend.close(stock.anew(close))

    names = [fact.name for fact in await stock.all_facts()]
    assert names[before:] == ["measure.unconfirmable", "holder.flagged", "recovery.freed"]


async def test_a_replacement_that_is_kept_is_served_again_and_can_be_withdrawn_anew(stock: Stock) -> None:
    order = await replaced(stock)
    await stock.backend.withdraw(stock.next(order.key))

    await stock.backend.keep(stock.next(order.key))
    await stock.backend.keep(stock.next(order.key))

    assert [str(fact.subject) for fact in await stock.facts(MeasureLifted)] == ["licence/L-1/2"]
    assert not (await stock.contact("D-2")).refused
    await withdrawn(stock, order.key, "D-2")
    await stock.backend.keep(stock.next(order.key))
    assert (await stock.backend.withdraw(stock.next(order.key))).confirmed


async def test_a_found_original_is_reinstated_once_its_replacement_is_gone(stock: Stock) -> None:
    order = await replaced(stock)
    await stock.contact("D-1")  # locked: confirmed, and not to be lifted
    with pytest.raises(RefusalError) as refusal:
        await stock.backend.reinstate(reinstating(stock, order))
    assert refusal.value.code is Code.GENERATION_CONFLICT
    await withdrawn(stock, order.key, "D-2")

    done = await stock.backend.reinstate(reinstating(stock, order))
    before = await stock.all_facts()

    assert await stock.backend.reinstate(reinstating(stock, order)) == done
    assert await stock.all_facts() == before
    assert [(item.licence, item.generation) for item in done.licences] == [("L-1", 3)]
    assert await stock.serial_of("L-1") == ("D-1", 3)
    assert [fact.generation for fact in await stock.facts(ContainerReinstated)] == [2]
    assert [(f.serial, f.generation) for f in await stock.facts(LicenceSuperseded)] == [("D-1", 1), ("D-2", 2)]
    assert [f.generation for f in await stock.facts(LicenceIssued) if f.serial == "D-1"][-1] == 3
    assert not (await stock.contact("D-1")).refused
    assert (await stock.contact("D-2", ("L-1", 2))).refused
    assert await stock.claim(stock.loss("D-1")) != order.key


async def test_a_replacement_is_withdrawn_though_what_was_damaged_never_confirmed_its_own_withdrawal(
    stock: Stock,
) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    order = await stock.lost("D-1", reason=Reason.DAMAGED, stop_gap_days=30)
    assert isinstance(await stock.backend.issue(order), Issued)

    await withdrawn(stock, order.key, "D-2")

    open_ = await stock.backend.reinstate(reinstating(stock, order))
    assert (open_.target, await stock.serial_of("L-1")) == ("D-1", ("D-1", 3))


async def test_what_was_damaged_is_settled_though_its_replacement_is_still_to_be_withdrawn(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    order = await stock.lost("D-1", reason=Reason.DAMAGED, stop_gap_days=30)
    await stock.backend.issue(order)
    await stock.backend.withdraw(stock.next(order.key))

    await stock.contact("D-1")

    assert (await stock.contact("D-1", confirms=True)).settled == (order.key,)


async def test_an_original_found_before_anything_was_issued_keeps_its_generation(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    order = await stock.lost("D-1")

    done = await stock.backend.reinstate(reinstating(stock, order))

    assert [item.generation for item in done.licences] == [1]
    assert (len(await stock.facts(MeasureLifted)), await stock.facts(ContainerReinstated)) == (1, [])
    assert not (await stock.contact("D-1")).refused
    assert (await stock.backend.reinstate(reinstating(stock, order))).licences == done.licences


async def test_a_locked_licence_found_before_anything_was_issued_is_issued_anew(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    order = await stock.lost("D-1", "L-1")
    await stock.contact("D-1")

    done = await stock.backend.reinstate(reinstating(stock, order))

    assert [item.generation for item in done.licences] == [2]
    assert await stock.backend.reinstate(reinstating(stock, order)) == done
    answer = await stock.contact("D-1")
    assert (answer.refused, len(answer.files)) == (False, 2)


async def test_a_licence_that_another_case_blocks_stays_lost_until_that_case_is_undone_too(stock: Stock) -> None:
    await stock.container("A-1", "L-1", "L-2", kind=Kind.ACT)
    same = await stock.lost("A-1", "L-1", kind=Kind.ACT, reason=Reason.SAME_HARDWARE)
    theft = await stock.lost("A-1", "L-1", kind=Kind.ACT, reason=Reason.COMPUTER_STOLEN)

    with pytest.raises(RefusalError) as refusal:
        await stock.backend.reinstate(reinstating(stock, same))
    assert (refusal.value.code, theft.key.case in refusal.value.sentence) == (Code.BLOCKED, True)
    await stock.backend.reinstate(reinstating(stock, theft))
    done = await stock.backend.reinstate(reinstating(stock, same))

    assert [item.generation for item in done.licences] == [1]
    await stock.backend.close(CloseOrder(key=theft.key, number=next(stock.numbers), recovered=True, lift=False))
    assert not (await stock.contact("A-1")).refused


async def test_a_reinstated_activation_is_bound_to_its_old_machine_again(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    order = await stock.lost("A-1", kind=Kind.ACT, reason=Reason.HARDWARE_REPLACED)
    await stock.backend.issue(order)
    await stock.activate("A-1", NEW)
    assert isinstance(await stock.backend.issue(order), Issued)
    await withdrawn(stock, order.key, "A-1", fingerprint=NEW)

    await stock.backend.reinstate(reinstating(stock, order))

    assert [fact.generation for fact in await stock.facts(ContainerReinstated)] == [3]
    assert not (await stock.contact("A-1", fingerprint=OLD)).refused
    assert (await stock.contact("A-1", fingerprint=NEW, generation=2)).code == Code.SUPERSEDED


async def test_access_data_are_not_reinstated(stock: Stock) -> None:
    await stock.container("K-1", "L-9", kind=Kind.CLOUD)
    cloud = await stock.lost("K-1", kind=Kind.CLOUD, reason=Reason.STOLEN)

    with pytest.raises(RefusalError) as refusal:
        await stock.backend.reinstate(reinstating(stock, cloud))

    assert refusal.value.code is Code.NOTHING_TO_DECIDE


async def test_a_replacement_lost_in_turn_is_a_case_that_tells_the_first(stock: Stock) -> None:
    order = await replaced(stock)
    statement = stock.loss("D-2")

    second = await stock.backend.claim(principal(stock.vendor), statement, NOW)
    again = await stock.backend.claim(principal(stock.vendor), statement, NOW)

    assert (again.key, again.answer) == (second.key, "repeated")
    assert await stock.messages(order.key) == [("report", 1), ("replacement_gone", 2)]
    await withdrawn(stock, order.key, "D-2")
    with pytest.raises(RefusalError) as refusal:
        await stock.backend.reinstate(reinstating(stock, order))
    assert refusal.value.code is Code.REPLACEMENT_LOST


async def test_a_stop_gap_that_was_lost_in_turn_is_not_made_full(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    order = await stock.lost("D-1", reason=Reason.DAMAGED, stop_gap_days=30)
    assert isinstance(await stock.backend.issue(order), Issued)
    await stock.claim(stock.loss("D-2"))

    with pytest.raises(RefusalError) as refusal:
        await stock.backend.issue(order.model_copy(update={"full": True, "number": 1}))

    assert refusal.value.code is Code.REPLACEMENT_LOST
    assert await stock.serial_of("L-1") == ("D-2", 2)


@pytest.mark.parametrize("turn", range(5))
async def test_of_reinstating_and_losing_the_replacement_one_is_done(stock: Stock, turn: int) -> None:
    order = await replaced(stock)
    await withdrawn(stock, order.key, "D-2")

    done, claim = await asyncio.gather(
        stock.backend.reinstate(reinstating(stock, order)),
        stock.backend.claim(principal(stock.vendor), stock.loss("D-2"), NOW),
        return_exceptions=True,
    )

    gone = [name for name, _ in await stock.messages(order.key) if name == "replacement_gone"]
    if isinstance(done, Issued):
        assert isinstance(claim, NotYetKnownError)  # nothing is in D-2 any more that could be lost
        assert (gone, await stock.serial_of("L-1")) == ([], ("D-1", 3))
    else:
        assert not isinstance(claim, BaseException)
        assert isinstance(done, RefusalError)
        assert done.code is Code.REPLACEMENT_LOST
        assert (gone, await stock.serial_of("L-1")) == (["replacement_gone"], ("D-2", 2))


async def test_a_closed_case_lifts_its_withdrawal_and_flags_its_holder_once(stock: Stock) -> None:
    order = await replaced(stock)
    await stock.backend.withdraw(stock.next(order.key))
    close = stock.anew(CloseOrder(key=order.key, recovered=True, flag=Verdict.FRAUD))

    assert await stock.backend.close(close) == await stock.backend.close(close)

    assert [str(fact.subject) for fact in await stock.facts(MeasureLifted)] == ["licence/L-1/2"]
    assert [str(fact.subject) for fact in await stock.facts(MeasureUnconfirmable)] == ["container/D-1/1"]
    assert [(fact.holder, fact.verdict) for fact in await stock.facts(HolderFlagged)] == [("h-1", Verdict.FRAUD)]
    later = await stock.claim(stock.loss("D-2"))
    assert (await stock.backend.assess(later)).facts.flagged


async def test_an_order_to_withdraw_that_comes_after_the_end_of_its_case_orders_nothing(stock: Stock) -> None:
    order = await replaced(stock)
    late = stock.next(order.key)
    await stock.backend.close(stock.anew(CloseOrder(key=order.key, recovered=True)))

    for number in (late.number, next(stock.numbers)):
        with pytest.raises(RefusalError) as refusal:
            await stock.backend.withdraw(late.model_copy(update={"number": number}))
        assert refusal.value.code is Code.TOO_LATE
    assert not (await stock.contact("D-2")).refused


async def test_a_refused_contact_is_said_to_each_case_that_it_concerns_and_once(stock: Stock) -> None:
    order = await replaced(stock)

    first = await stock.contact("D-1", contact="C-1")
    again = await stock.contact("D-1", contact="C-1")
    await stock.contact("D-1")

    assert again == first
    assert await stock.messages(order.key) == [("report", 1), ("sighting", 2), ("sighting", 3)]
    assert (first.cases, first.settled) == ((order.key,), ())  # a blacklisting that is met is a sighting


async def test_a_receipt_settles_a_case_for_the_repeat_too(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    order = await stock.lost("A-1", kind=Kind.ACT, reason=Reason.SAME_HARDWARE)
    statement = DeactivationStatement(contact="C-1", serial="A-1", generation=1, occurred=NOW)

    answer = await stock.backend.return_activation(stock.vendor, statement, NOW)

    assert len(await stock.facts(MeasureConfirmed)) == 1
    assert answer.settled == (order.key,)
    assert await stock.backend.return_activation(stock.vendor, statement, NOW) == answer


async def test_only_the_rightful_speak_to_the_cases_of_a_container(stock: Stock) -> None:
    order = await replaced(stock)
    stranger = Reporter(role=Role.HOLDER, name="h-2")
    found = FoundStatement(report="F-1", serial="D-1", reporter=CRM, occurred=NOW)
    reported = stock.loss("D-1")
    assert await stock.claim(reported) == order.key
    evidence = EvidenceStatement(
        statement="E-1", report=reported.report, serial="D-1", reporter=CRM, evidence=("photo",), occurred=NOW
    )

    assert await stock.backend.turn_up(principal(stock.vendor), found, NOW) == [order.key]
    assert await stock.backend.give_evidence(principal(stock.vendor), evidence, NOW) == order.key
    for refused in (
        stock.backend.turn_up(principal(stock.vendor), found.model_copy(update={"reporter": stranger}), NOW),
        stock.backend.give_evidence(principal(stock.vendor), evidence.model_copy(update={"reporter": stranger}), NOW),
    ):
        with pytest.raises(NotYetKnownError) as refusal:
            await refused
        assert refusal.value.code is Code.UNKNOWN_CONTAINER
    other = evidence.model_copy(update={"report": "R-none", "statement": "E-2"})
    with pytest.raises(NotYetKnownError) as unknown:
        await stock.backend.give_evidence(principal(stock.vendor), other, NOW)
    assert unknown.value.code is Code.NO_CASE
    assert [name for name, _ in await stock.messages(order.key)] == ["report", "report", "sighting", "evidence"]


async def two_cases(stock: Stock) -> tuple[IssueOrder, IssueOrder]:
    """D-1 was lost with L-1, which is in D-2 now; then L-9 was put into it, and it was lost again: L-9 is in D-3."""
    first = await replaced(stock)
    await stock.licence("L-9", "D-1")
    await stock.container("D-3")
    second = await stock.lost("D-1")
    assert second.key != first.key
    answer = await stock.backend.issue(second)
    assert isinstance(answer, Issued)
    assert answer.target == "D-3"
    return first, second


async def test_nothing_is_withdrawn_while_a_case_stands_on_the_container_that_nobody_lifts(stock: Stock) -> None:
    first, second = await two_cases(stock)
    before = await stock.all_facts()

    for _ in range(2):
        with pytest.raises(RefusalError, match=f"container D-1 is blocked by case {second.key.case} too") as refusal:
            await stock.backend.withdraw(stock.next(first.key))
        assert refusal.value.code is Code.BLOCKED

    assert await stock.all_facts() == before
    assert not (await stock.contact("D-2")).refused


@pytest.mark.parametrize("locked", [False, True])
async def test_two_cases_on_one_container_are_both_reinstated(stock: Stock, locked: bool) -> None:
    first, second = await two_cases(stock)
    if locked:
        await stock.contact("D-1")  # both measures are confirmed, and not to be lifted
    with pytest.raises(RefusalError):
        await stock.backend.withdraw(stock.next(first.key))
    await withdrawn(stock, second.key, "D-3")
    with pytest.raises(RefusalError, match=first.key.case):
        await stock.backend.reinstate(reinstating(stock, second))
    await withdrawn(stock, first.key, "D-2")

    assert (await stock.backend.reinstate(reinstating(stock, first))).target == "D-1"
    assert (await stock.backend.reinstate(reinstating(stock, second))).target == "D-1"

    assert [await stock.serial_of(name) for name in ("L-1", "L-9")] == [("D-1", 3), ("D-1", 3)]
    served = await stock.contact("D-1")
    assert (served.refused, len(served.files)) == (False, 2)


@pytest.mark.parametrize("locked", [False, True])
async def test_of_two_cases_one_is_given_up_and_the_other_is_reinstated_and_served(stock: Stock, locked: bool) -> None:
    first, second = await two_cases(stock)
    if locked:
        await stock.contact("D-1")
    with pytest.raises(RefusalError):
        await stock.backend.withdraw(stock.next(first.key))
    await withdrawn(stock, second.key, "D-3")
    with pytest.raises(RefusalError):
        await stock.backend.reinstate(reinstating(stock, second))
    await stock.backend.close(stock.anew(CloseOrder(key=first.key, recovered=True, lift=True)))

    await stock.backend.reinstate(reinstating(stock, second))

    assert await stock.serial_of("L-9") == ("D-1", 3)
    assert not (await stock.contact("D-1")).refused
    assert not (await stock.contact("D-2")).refused


async def test_two_cases_that_replaced_into_each_others_container_are_not_in_each_others_way(stock: Stock) -> None:
    """Each has the lock on its own container and wants that of the other."""
    for serial, licence in (("D-1", "L-1"), ("D-2", "L-2")):
        await stock.container(serial, licence)
    cases = [await stock.lost("D-1", "L-1"), await stock.lost("D-2", "L-2")]
    for case, target in zip(cases, ("D-2", "D-1"), strict=True):
        issued = await stock.backend.issue(case)
        assert isinstance(issued, Issued)
        assert issued.target == target

    for number in range(100, 110):  # a deadlock would be an error of one of the two
        orders = [CaseOrder(key=case.key, number=number) for case in cases]
        await asyncio.gather(*map(stock.backend.withdraw, orders))


async def test_keeping_a_replacement_lifts_the_orders_to_withdraw_it_and_nothing_else(stock: Stock) -> None:
    order = await replaced(stock)
    await stock.backend.withdraw(stock.next(order.key))

    await stock.backend.keep(stock.next(order.key))

    lifted = [(fact.measure, str(fact.subject)) for fact in await stock.facts(MeasureLifted)]
    assert lifted == [(Measure.WITHDRAWAL, "licence/L-1/2")]
    assert (await stock.contact("D-1")).refused
    assert not (await stock.contact("D-2")).refused


async def test_nothing_is_withdrawn_of_a_case_that_issued_nothing(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    order = await stock.lost("D-1")

    with pytest.raises(RefusalError) as refusal:
        await stock.backend.withdraw(stock.next(order.key))

    assert refusal.value.code is Code.NOTHING_TO_DECIDE


@pytest.mark.parametrize(
    ("role", "name", "code"),
    [(Role.HOLDER, "h-1", Code.INVALID_DATA), (Role.HOLDER, "h-2", Code.UNKNOWN_CONTAINER)],
)
async def test_only_the_back_office_says_that_a_container_is_back_and_a_stranger_learns_of_none(
    stock: Stock, role: Role, name: str, code: Code
) -> None:
    await stock.container("D-1", "L-1")
    key = await stock.claim(stock.loss("D-1"))
    statement = ReturnStatement(report="B-1", serial="D-1", reporter=Reporter(role=role, name=name), occurred=NOW)

    with pytest.raises(RefusalError) as refusal:
        await stock.backend.turn_up(principal(stock.vendor), statement, NOW)
    said = await stock.messages(key)
    keys = await stock.backend.turn_up(principal(stock.vendor), statement.model_copy(update={"reporter": CRM}), NOW)

    assert (refusal.value.code, said, keys) == (code, [("report", 1)], [key])


async def two_replaced(stock: Stock, reason: Reason) -> tuple[IssueOrder, IssueOrder]:
    """Two licences of an act were lost, and one machine was activated for both."""
    await stock.container("A-1", "L-1", "L-2", kind=Kind.ACT)
    one = await stock.lost("A-1", "L-1", kind=Kind.ACT, reason=Reason.HARDWARE_REPLACED)
    two = await stock.lost("A-1", "L-2", kind=Kind.ACT, reason=reason)
    for order in (one, two):
        await stock.backend.issue(order)
    await stock.activate("A-1", NEW)
    for order in (one, two):
        assert isinstance(await stock.backend.issue(stock.anew(order)), Issued)
    return one, two


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("reason", [Reason.HARDWARE_REPLACED, Reason.COMPUTER_STOLEN])
async def test_un_loss_takes_no_replacement_of_another_case_along_to_the_old_machine(
    stock: Stock, reason: Reason, closed: bool
) -> None:
    one, two = await two_replaced(stock, reason)
    if closed:
        await stock.backend.close(stock.anew(CloseOrder(key=two.key, recovered=True)))

    with pytest.raises(RefusalError, match=two.key.case) as refusal:
        await stock.backend.withdraw(stock.next(one.key))

    assert refusal.value.code is Code.BLOCKED
    new = await stock.contact("A-1", fingerprint=NEW)
    assert (new.refused, new.ordered, len(new.files)) == (False, (), 2)


async def test_un_loss_of_all_that_is_on_the_new_machine_binds_the_old_one_again(stock: Stock) -> None:
    one, two = await two_replaced(stock, Reason.HARDWARE_REPLACED)
    with pytest.raises(RefusalError):
        await stock.backend.withdraw(stock.next(one.key))
    await withdrawn(stock, two.key, "A-1", fingerprint=NEW)
    with pytest.raises(RefusalError, match=one.key.case) as refusal:
        await stock.backend.reinstate(reinstating(stock, two))
    assert refusal.value.code is Code.RELEASE_AWAITED
    assert refusal.value.parameters["at"] == stock.clock.now.isoformat()
    await withdrawn(stock, one.key, "A-1", fingerprint=NEW)

    await stock.backend.reinstate(reinstating(stock, one))
    await stock.backend.reinstate(reinstating(stock, two))

    assert [await stock.serial_of(name) for name in ("L-1", "L-2")] == [("A-1", 3), ("A-1", 3)]
    old = await stock.contact("A-1", fingerprint=OLD)
    assert (old.refused, len(old.files)) == (False, 2)
    assert (await stock.contact("A-1", fingerprint=NEW)).code == Code.SUPERSEDED
