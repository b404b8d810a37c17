"""Un-loss on a real PostgreSQL: the replacement is withdrawn, then the original holds the licences again."""

import asyncio

import pytest

from events.backend_facts import (
    ContainerReinstated,
    HolderFlagged,
    LicenceIssued,
    MeasureConfirmed,
    MeasureLifted,
    MeasureOrdered,
)
from events.errors import Code, NotYetKnownError, RefusalError
from events.licensing import CaseKey, CloseOrder, Issued, IssueOrder, ReinstateOrder
from events.terms import Kind, Reason, Reporter, Role, Verdict
from tests.integration.stock import NEW, OLD, Stock

pytestmark = pytest.mark.integration

CRM = Reporter(role=Role.BACK_OFFICE, name="crm")


async def replaced(stock: Stock, **more: object) -> IssueOrder:
    """A dongle with two licences is lost, and replaced."""
    await stock.container("D-1", "L-1", "L-2")
    await stock.container("D-2")
    order = await stock.lost("D-1")
    assert isinstance(await stock.backend.issue(order), Issued)
    return order


async def withdrawn(stock: Stock, order: IssueOrder, serial: str = "D-2") -> ReinstateOrder:
    """The replacement is withdrawn, and its container says that it is removed."""
    await stock.backend.withdraw(order.key)
    await stock.contact(serial)
    await stock.contact(serial, confirms=True)
    return ReinstateOrder(key=order.key, licences=order.licences)


async def test_a_replacement_is_withdrawn_at_its_containers_contacts_and_the_case_is_told(stock: Stock) -> None:
    order = await replaced(stock)

    first = await stock.backend.withdraw(order.key)
    again = await stock.backend.withdraw(order.key)
    told = await stock.contact("D-2")
    confirmed = await stock.contact("D-2", contact="C-9", confirms=True)
    repeated = await stock.contact("D-2", contact="C-9", confirms=True)

    assert (first.confirmed, again.confirmed, told.settled) == (False, False, ())
    assert [one.subject for one in told.ordered] == ["licence/L-1/2", "licence/L-2/2"]
    assert confirmed.settled == (order.key,)
    assert repeated == confirmed
    assert (await stock.backend.withdraw(order.key)).confirmed
    ordered = [fact for fact in await stock.facts(MeasureOrdered) if fact.serial == "D-2"]
    assert len(ordered) == len([fact for fact in await stock.facts(MeasureConfirmed) if fact.serial == "D-2"]) == 2


async def test_the_original_holds_the_licences_again_and_is_served(stock: Stock) -> None:
    order = await replaced(stock)
    await stock.contact("D-1")  # refused, and so its blacklisting is confirmed
    reinstate = await withdrawn(stock, order)

    done = await stock.backend.reinstate(reinstate)

    assert await stock.backend.reinstate(reinstate) == done
    assert (done.target, {item.generation for item in done.licences}) == ("D-1", {3})
    assert await stock.serial_of("L-1") == ("D-1", 3)
    (raised,) = await stock.facts(ContainerReinstated)
    assert raised.generation == 2
    served = await stock.contact("D-1")
    assert (served.refused, len(served.files)) == (False, 2)
    assert (await stock.contact("D-2", ("L-1", 2))).refused
    issued = await stock.facts(LicenceIssued)
    assert [fact.file is not None for fact in issued if fact.generation == 3] == [True, True]


async def test_nothing_is_reinstated_before_the_replacement_is_removed(stock: Stock) -> None:
    order = await replaced(stock)
    await stock.backend.withdraw(order.key)
    await stock.contact("D-2")

    with pytest.raises(RefusalError) as refusal:
        await stock.backend.reinstate(ReinstateOrder(key=order.key, licences=order.licences))

    assert refusal.value.code is Code.GENERATION_CONFLICT
    assert await stock.serial_of("L-1") == ("D-2", 2)


async def test_what_was_found_before_anything_was_issued_only_loses_its_measures(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    order = await stock.lost("D-1")
    await stock.contact("D-1")
    reinstate = ReinstateOrder(key=order.key, licences=order.licences)

    done = await stock.backend.reinstate(reinstate)
    again = await stock.backend.reinstate(reinstate)

    assert done.licences == again.licences
    assert len(await stock.facts(ContainerReinstated)) == 1
    assert not (await stock.contact("D-1")).refused


async def test_an_activation_is_bound_to_its_old_machine_again(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    order = await stock.lost("A-1", reason=Reason.COMPUTER_STOLEN, kind=Kind.ACT)
    await stock.backend.issue(order)
    await stock.activate("A-1", NEW)
    assert isinstance(await stock.backend.issue(order), Issued)
    await stock.backend.withdraw(order.key)
    await stock.activate("A-1", NEW)
    await stock.contact("A-1", fingerprint=NEW, confirms=True)

    await stock.backend.reinstate(ReinstateOrder(key=order.key, licences=order.licences))

    assert await stock.serial_of("L-1") == ("A-1", 3)
    assert not (await stock.activate("A-1", OLD)).refused
    assert (await stock.activate("A-1", NEW)).refused


async def test_a_replacement_lost_in_turn_tells_the_first_case_which_then_reinstates_nothing(stock: Stock) -> None:
    order = await replaced(stock)
    stated = stock.loss("D-2")

    claim = await stock.backend.claim(stock.vendor, stated, "a test", order.key and stated.occurred)
    again = await stock.backend.claim(stock.vendor, stated, "a test", stated.occurred)

    assert claim.tells == again.tells == (order.key,)
    assert claim.key != order.key
    reinstate = await withdrawn(stock, order)
    with pytest.raises(RefusalError) as refusal:
        await stock.backend.reinstate(reinstate)
    assert refusal.value.code is Code.REPLACEMENT_LOST


async def test_a_stop_gap_that_was_lost_in_turn_is_not_made_full(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    order = await stock.lost("D-1", reason=Reason.DAMAGED, stop_gap_days=30)
    assert isinstance(await stock.backend.issue(order), Issued)
    await stock.claim(stock.loss("D-2"))

    with pytest.raises(RefusalError) as refusal:
        await stock.backend.issue(order.model_copy(update={"full": True}))

    assert refusal.value.code is Code.REPLACEMENT_LOST
    assert await stock.serial_of("L-1") == ("D-2", 2)


async def test_reinstating_and_losing_the_replacement_at_once_leaves_one_effective_generation(stock: Stock) -> None:
    for number in range(20):
        first, second = f"E-{number}-1", f"E-{number}-2"
        await stock.container(first, f"M-{number}")
        await stock.container(second)
        order = await stock.lost(first)
        issued = await stock.backend.issue(order)
        assert isinstance(issued, Issued)
        reinstate = await withdrawn(stock, order, issued.target)
        stated = stock.loss(issued.target)

        ends = await asyncio.gather(
            stock.backend.reinstate(reinstate),
            stock.backend.claim(stock.vendor, stated, "a test", stated.occurred),
            return_exceptions=True,
        )

        lost = isinstance(ends[0], RefusalError)
        assert await stock.serial_of(f"M-{number}") == ((issued.target, 2) if lost else (first, 3))


async def test_an_order_to_withdraw_is_lifted_when_the_original_is_retired(stock: Stock) -> None:
    order = await replaced(stock)
    await stock.backend.withdraw(order.key)
    await stock.contact("D-2")

    await stock.backend.keep(order.key)
    served = await stock.contact("D-2")
    await stock.backend.withdraw(order.key)
    await stock.backend.close(CloseOrder(key=order.key, recovered=True, flag=Verdict.FRAUD))
    await stock.backend.close(CloseOrder(key=order.key, recovered=True, flag=Verdict.FRAUD))

    assert not served.refused
    assert not (await stock.contact("D-2")).refused
    lifted = [fact.subject for fact in await stock.facts(MeasureLifted)]
    assert lifted == ["licence/L-1/2", "licence/L-2/2"] * 2
    (flagged,) = await stock.facts(HolderFlagged)
    assert (flagged.holder, flagged.verdict) == ("h-1", Verdict.FRAUD)
    await stock.container("D-5", "L-5")
    other = await stock.claim(stock.loss("D-5"))
    assert (await stock.backend.assess(other)).facts.flagged


async def test_refused_contacts_are_counted_for_their_case_and_a_repeated_one_is_not(stock: Stock) -> None:
    order = await replaced(stock)

    first = await stock.contact("D-1", contact="C-1")
    second = await stock.contact("D-1", contact="C-2")
    again = await stock.contact("D-1", contact="C-1")

    assert first.cases == second.cases == (order.key,)
    assert (first.ordinals, second.ordinals, again.ordinals) == ((1,), (2,), (1,))


async def test_who_has_no_right_to_a_container_finds_no_case_of_it(stock: Stock) -> None:
    order = await replaced(stock)

    async def cases(reporter: Reporter) -> list[CaseKey]:
        return list(await stock.backend.open_cases(stock.vendor, order.key.serial, reporter))

    assert await cases(CRM) == await cases(Reporter(role=Role.HOLDER, name="h-1")) == [order.key]
    with pytest.raises(NotYetKnownError) as refusal:
        await cases(Reporter(role=Role.HOLDER, name="h-2"))
    assert refusal.value.code is Code.UNKNOWN_CONTAINER
