"""Contacts: who is served, who is refused, and what becomes of measures by it."""

from datetime import timedelta

import pytest

from events.backend_facts import (
    ActivationReturned,
    ContactRefused,
    ContainerActivated,
    ContainerContacted,
    LicenceIssued,
    LicenceRenewed,
    LicenceSuperseded,
    MeasureConfirmed,
    MeasureDelivered,
    MeasureFact,
    MeasureLifted,
    MeasureOrdered,
    MeasureUnconfirmable,
)
from events.errors import Code, NotYetKnownError, RefusalError
from events.lease import Lease
from events.ports.licensing_backend import CloseOrder, Issued, NoTargetFound
from events.statements import DeactivationStatement
from events.terms import Contact, Kind, Match, Measure, Reason
from tests.contract.stock import NEW, NOW, OLD, WEEKLY, Stock


async def test_a_contact_said_again_is_answered_as_before_and_every_container_has_numbers_of_its_own(
    stock: Stock,
) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    first = await stock.contact("D-1", contact="C-same")
    before = await stock.all_facts()

    assert await stock.contact("D-1", contact="C-same", days=3) == first
    assert await stock.all_facts() == before
    assert not (await stock.contact("D-2", contact="C-same")).refused
    assert [(fact.serial, fact.contact) for fact in await stock.facts(ContainerContacted)] == [
        ("D-1", "C-same"),
        ("D-2", "C-same"),
    ]


async def test_the_number_of_a_contact_is_not_that_of_a_return_of_the_same_activation(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    await stock.contact("A-1", contact="C-same")
    statement = DeactivationStatement(contact="C-same", serial="A-1", generation=1, occurred=NOW)

    with pytest.raises(RefusalError) as refusal:
        await stock.backend.return_activation(stock.vendor, statement, NOW)

    assert refusal.value.code is Code.CONTRADICTS_INVENTORY


async def test_a_blocked_container_is_told_once_locked_and_refused(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    order = await stock.lost("D-1")

    first = await stock.contact("D-1", contact="C-1")
    second = await stock.contact("D-1")

    for answer in (first, second):
        assert (answer.refused, answer.code, answer.cases, answer.files) == (True, Code.BLOCKED, (order.key,), ())
        assert [(item.measure, str(item.subject)) for item in answer.ordered] == [
            (Measure.BLACKLISTING, "container/D-1/1")
        ]
    assert [type(fact) for fact in await stock.facts(MeasureFact)] == [
        MeasureOrdered,
        MeasureDelivered,
        MeasureConfirmed,
    ]
    assert [fact.by for fact in await stock.facts(MeasureConfirmed)] == ["contact/C-1"]
    assert not await stock.facts(LicenceRenewed)
    assert [fact.cases for fact in await stock.facts(ContactRefused)] == [(order.key.case,)] * 2


async def test_a_delayed_measure_blocks_from_its_time_on(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    order = await stock.lost("D-1", delay_hours=24)
    (ordered,) = await stock.facts(MeasureOrdered)

    served = await stock.contact("D-1")
    stock.pass_(timedelta(hours=24))
    refused = await stock.contact("D-1")

    assert ordered.effective == NOW + timedelta(hours=24)
    assert (served.refused, len(served.files)) == (False, 1)
    assert (refused.refused, refused.cases) == (True, (order.key,))
    assert len(await stock.facts(ContainerContacted)) == 1


async def test_a_measure_without_delay_blocks_whatever_the_clock_says(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    stock.pass_(timedelta(hours=1))  # on a machine whose clock is ahead
    await stock.lost("D-1")
    stock.pass_(timedelta(hours=-1))

    assert (await stock.contact("D-1")).refused


async def test_a_withdrawal_is_confirmed_by_a_later_contact_that_says_so(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.lost("D-1", reason=Reason.DAMAGED)

    answer = await stock.contact("D-1", confirms=True)
    assert [item.measure for item in answer.ordered] == [Measure.WITHDRAWAL]
    assert not await stock.facts(MeasureConfirmed)
    removed = await stock.contact("D-1", contact="C-2", confirms=True)
    later = await stock.contact("D-1", confirms=True)

    assert (removed.refused, removed.ordered, later.ordered) == (True, (), ())
    assert [fact.by for fact in await stock.facts(MeasureConfirmed)] == ["contact/C-2"]


async def test_single_licences_are_blocked_and_the_container_is_served_for_the_rest(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    order = await stock.lost("D-1", "L-1")

    answer = await stock.contact("D-1")

    assert len(answer.files) == 1
    assert [fact.licence for fact in await stock.facts(LicenceRenewed)] == ["L-2"]
    assert (answer.refused, answer.code, answer.cases) == (True, Code.BLOCKED, (order.key,))
    assert {str(fact.subject) for fact in await stock.facts(MeasureFact)} == {"licence/L-1/1"}
    assert [fact.by.split("/")[0] for fact in await stock.facts(MeasureConfirmed)] == ["contact"]


async def test_a_superseded_generation_is_a_sighting_wherever_it_turns_up(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await stock.container("D-2", "L-9")
    order = await stock.lost("D-1", "L-1")
    issued = await stock.backend.issue(order)
    assert isinstance(issued, Issued)
    assert issued.target == "D-2"

    quiet = await stock.contact("D-1")
    seen = await stock.contact("D-1", ("L-1", 1), ("L-2", 1))
    elsewhere = await stock.contact("D-2", ("L-1", 1))

    assert (quiet.refused, [str(item.subject) for item in quiet.ordered]) == (False, ["licence/L-1/1"])
    assert (seen.refused, seen.cases, len(seen.files)) == (True, (order.key,), 1)
    assert (elsewhere.refused, len(elsewhere.files)) == (False, 2)  # it holds the current one
    with pytest.raises(NotYetKnownError) as refusal:
        await stock.contact("D-1", ("L-1", 7))
    assert refusal.value.code is Code.UNKNOWN_LICENCE


async def test_a_closed_case_leaves_its_measures_standing_or_lifts_them(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2", "L-2")
    kept, lifted = await stock.lost("D-1"), await stock.lost("D-2")

    for _ in range(2):
        await stock.backend.close(CloseOrder(key=kept.key, recovered=True))
        await stock.backend.close(CloseOrder(key=lifted.key, recovered=False, lift=True))

    assert [str(fact.subject) for fact in await stock.facts(MeasureUnconfirmable)] == ["container/D-1/1"]
    assert [str(fact.subject) for fact in await stock.facts(MeasureLifted)] == ["container/D-2/1"]
    assert ((await stock.contact("D-1")).refused, (await stock.contact("D-2")).refused) == (True, False)


async def test_what_was_confirmed_is_not_lifted(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    order = await stock.lost("D-1")
    await stock.contact("D-1")

    await stock.backend.close(CloseOrder(key=order.key, recovered=False, lift=True))

    assert not await stock.facts(MeasureLifted)
    assert (await stock.contact("D-1")).refused


async def test_an_act_is_bound_to_the_machine_that_its_case_waited_for(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    early = await stock.activate("A-1", NEW)
    order = await stock.lost("A-1", kind=Kind.ACT, reason=Reason.HARDWARE_REPLACED)

    waits = await stock.backend.issue(order)
    stolen = await stock.activate("A-1", OLD)
    asked = await stock.activate("A-1", NEW)
    issued = [await stock.backend.issue(order) for _ in range(2)]

    assert (early.code, early.cases, stolen.cases) == (Code.FINGERPRINT_MISMATCH, (), (order.key,))
    assert isinstance(waits, NoTargetFound)
    assert (asked.refused, asked.awaiting) == (False, (order.key,))
    assert isinstance(issued[0], Issued)
    assert (issued[0].target, issued[0].licences[0].generation) == ("A-1", 2)
    assert issued[0] == issued[1]
    assert [(fact.generation, fact.fingerprint) for fact in await stock.facts(ContainerActivated)] == [(2, NEW)]
    assert [(fact.serial, fact.generation) for fact in await stock.facts(LicenceSuperseded)] == [("A-1", 1)]

    current = await stock.contact("A-1", ("L-1", 1), fingerprint=NEW, generation=1)
    activated = await stock.activate("A-1", NEW)
    old = await stock.contact("A-1", fingerprint=OLD, generation=1)
    old_machine = await stock.activate("A-1", OLD)
    assert (current.refused, len(current.files), len(activated.files)) == (False, 1, 1)
    assert (old.refused, old.cases, old_machine.cases) == (True, (order.key,), (order.key,))


async def test_a_reissue_takes_the_known_machine_only(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    order = await stock.lost("A-1", kind=Kind.ACT, reason=Reason.SAME_HARDWARE, match=Match.MOST)
    assert isinstance(await stock.backend.issue(order), NoTargetFound)

    other = await stock.activate("A-1", NEW)
    still = await stock.backend.issue(order)
    same = await stock.activate("A-1", {**OLD, "disk": "d9"})
    issued = await stock.backend.issue(order)

    assert (other.refused, other.code, other.cases) == (True, Code.FINGERPRINT_MISMATCH, ())
    assert isinstance(still, NoTargetFound)
    assert same.awaiting == (order.key,)
    assert isinstance(issued, Issued)
    assert not (await stock.contact("A-1", fingerprint={**OLD, "disk": "d9"}, generation=1)).refused
    assert (await stock.contact("A-1", fingerprint=OLD, generation=2)).cases == (order.key,)


async def test_a_returned_activation_gets_one_receipt_and_is_not_renewed(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    order = await stock.lost("A-1", kind=Kind.ACT, reason=Reason.COMPUTER_STOLEN)
    statement = DeactivationStatement(contact="C-1", serial="A-1", generation=1, occurred=NOW)

    answers = [await stock.backend.return_activation(stock.vendor, statement, NOW) for _ in range(2)]

    assert answers[0] == answers[1]
    assert len(await stock.facts(ActivationReturned)) == 1
    confirmed = await stock.facts(MeasureConfirmed)
    assert [(fact.measure, fact.by) for fact in confirmed] == [(Measure.DEACTIVATION, "receipt/C-1")]
    await stock.backend.close(CloseOrder(key=order.key, recovered=False, lift=True))
    assert (await stock.contact("A-1")).refused


async def test_an_activation_that_was_given_back_without_a_loss_is_refused(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    statement = DeactivationStatement(contact="C-1", serial="A-1", generation=1, occurred=NOW)
    await stock.backend.return_activation(stock.vendor, statement, NOW)

    answer = await stock.contact("A-1", how=Contact.CHECK_IN)

    assert (answer.refused, answer.code, answer.cases) == (True, "returned", ())
    assert await stock.observer.effective(stock.vendor, NOW) == {"L-1": []}


async def test_what_is_bound_again_after_an_activation_was_given_back_is_effective(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    statement = DeactivationStatement(contact="C-1", serial="A-1", generation=1, occurred=NOW)
    await stock.backend.return_activation(stock.vendor, statement, NOW)
    order = await stock.lost("A-1", kind=Kind.ACT, reason=Reason.HARDWARE_REPLACED)
    await stock.backend.issue(order)
    await stock.activate("A-1", NEW)

    assert isinstance(await stock.backend.issue(stock.anew(order)), Issued)

    assert await stock.observer.effective(stock.vendor, NOW) == {"L-1": [2]}


async def test_a_stop_gap_is_limited_and_the_full_licence_follows_it(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await stock.licence("L-3", "D-1", lease=Lease())
    await stock.container("D-2")
    order = await stock.lost("D-1", reason=Reason.DAMAGED, stop_gap_days=5)

    gap = [await stock.backend.issue(order) for _ in range(2)]
    full = [await stock.backend.issue(order.model_copy(update={"full": True, "number": 1})) for _ in range(2)]

    assert (gap[0], full[0]) == (gap[1], full[1])
    issued = [fact for fact in await stock.facts(LicenceIssued) if fact.case]
    assert [(fact.licence, fact.generation, fact.stop_gap, fact.serial) for fact in issued] == [
        *((f"L-{number}", 2, True, "D-2") for number in (1, 2, 3)),
        *((f"L-{number}", 3, False, "D-2") for number in (1, 2, 3)),
    ]
    assert all(fact.expires == fact.issued + timedelta(days=5) for fact in issued[:3])
    assert [fact.expires for fact in issued[3:]] == [
        *(WEEKLY.expiry(fact.issued) for fact in issued[3:5]),
        None,
    ]
    assert [(fact.serial, fact.generation) for fact in await stock.facts(LicenceSuperseded)] == [
        *[("D-1", 1)] * 3,
        *[("D-2", 2)] * 3,
    ]


async def test_a_stop_gap_is_not_renewed_beyond_its_end(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    await stock.backend.issue(await stock.lost("D-1", reason=Reason.DAMAGED, stop_gap_days=12))
    (issued,) = (fact for fact in await stock.facts(LicenceIssued) if fact.case)

    days = (issued.issued - NOW).days
    assert len((await stock.contact("D-2", days=days + 8)).files) == 1
    assert (await stock.contact("D-2", days=days + 13)).files == ()

    (renewed,) = await stock.facts(LicenceRenewed)
    assert renewed.expires == issued.issued + timedelta(days=12)


async def test_single_licences_go_to_a_container_in_use_and_to_none_that_is_lost(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await stock.container("D-2", "L-3")
    await stock.container("D-3")
    await stock.container("D-4", "L-4")
    await stock.lost("D-2")
    order = await stock.lost("D-1", "L-2")

    issued = await stock.backend.issue(order)

    assert isinstance(issued, Issued)
    assert issued.target == "D-4"
    assert (await stock.serial_of("L-1"), await stock.serial_of("L-2")) == (("D-1", 1), ("D-4", 2))
