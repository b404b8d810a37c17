"""What becomes of containers and licences as their vendor says, and what that means for the cases about them."""

import asyncio
from datetime import datetime, timedelta

import pytest

from events.backend_facts import (
    ContactRefused,
    LeaseFact,
    LicenceChanged,
    LicenceEnded,
    LicenceIssued,
    LicenceRenewed,
    RecoveryFreed,
)
from events.errors import Code, NotYetKnownError, RefusalError
from events.lease import Interval, Lease, Unit
from events.ports.licensing_backend import (
    Advice,
    CaseKey,
    CloseOrder,
    Issued,
    NoTargetFound,
    QuotaOrder,
    ReinstateOrder,
    ReserveOrder,
)
from events.ports.loss_cases import Offer
from events.statements import LicenceChangeStatement, LicenceEndStatement
from events.terms import Contact, Kind, LicenceId, Outcome, Reason, Serial
from tests.contract.stock import NOW, OLD, Stock
from tests.given import principal

DAY = timedelta(days=1)


async def ends(stock: Stock, licence: str, revision: int = 1, ended: datetime = NOW) -> None:
    statement = LicenceEndStatement(licence=licence, revision=revision, ended=ended)
    await stock.backend.change_inventory(stock.vendor, statement, NOW)


async def refusal(stock: Stock, *licences: str, serial: str = "D-1", **more: object) -> Code:
    with pytest.raises(RefusalError) as error:
        await stock.claim(stock.loss(serial, *licences, **more))  # type: ignore[arg-type]
    return error.value.code


async def effective(stock: Stock, licence: str) -> list[int]:
    return (await stock.observer.effective(stock.vendor, NOW))[LicenceId(licence)]


async def test_a_licence_that_has_ended_is_not_effective(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")

    await ends(stock, "L-1")

    assert (await effective(stock, "L-1"), await effective(stock, "L-2")) == ([], [1])
    assert [(one.serial, one.generation, one.ended) for one in await stock.facts(LicenceEnded)] == [("D-1", 1, NOW)]


async def test_a_statement_that_comes_late_or_again_changes_nothing(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await ends(stock, "L-1", revision=5, ended=NOW - DAY)

    await ends(stock, "L-1", revision=5, ended=NOW - DAY)
    await ends(stock, "L-1", revision=4, ended=NOW)

    assert [one.revision for one in await stock.facts(LicenceEnded)] == [5]


async def test_a_later_revision_says_anew_when_it_ended(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await ends(stock, "L-1", revision=1)

    await ends(stock, "L-1", revision=3, ended=NOW - DAY)

    assert [(one.revision, one.ended) for one in await stock.facts(LicenceEnded)] == [(1, NOW), (3, NOW - DAY)]


async def test_the_same_revision_with_another_content_contradicts_the_inventory(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await ends(stock, "L-1")

    with pytest.raises(RefusalError) as error:
        await ends(stock, "L-1", ended=NOW - DAY)

    assert (error.value.code, error.value.parameters["fields"]) == (Code.CONTRADICTS_INVENTORY, "ended")


async def test_what_becomes_of_an_unknown_licence_may_be_said_again_later(stock: Stock) -> None:
    with pytest.raises(NotYetKnownError) as error:
        await ends(stock, "L-1")
    await stock.container("D-1", "L-1")
    await ends(stock, "L-1")

    assert error.value.code is Code.UNKNOWN_LICENCE
    assert await effective(stock, "L-1") == []


async def test_an_end_that_is_still_to_come_is_said_again_when_it_has_come(stock: Stock) -> None:
    await stock.container("D-1", "L-1")

    with pytest.raises(NotYetKnownError) as error:
        await ends(stock, "L-1", ended=NOW + DAY)
    before = await effective(stock, "L-1")
    stock.pass_(DAY)
    await ends(stock, "L-1", ended=NOW + DAY)

    assert (error.value.code, before) == (Code.LIES_AHEAD, [1])
    assert await effective(stock, "L-1") == []


async def test_a_contact_is_refused_for_it_which_is_no_sighting_and_the_rest_goes_on(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await ends(stock, "L-1")

    answer = await stock.contact("D-1")

    assert (answer.refused, answer.code, answer.cases) == (True, Code.ENDED, ())
    assert [stock.observer.licence_of(file) for file in answer.files] == ["L-2"]
    assert [one.licence for one in await stock.facts(LicenceRenewed)] == ["L-2"]
    assert [(one.code, one.cases) for one in await stock.facts(ContactRefused)] == [("ended", ())]


async def test_what_blocks_an_ended_licence_counts_first_and_is_a_sighting(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    order = await stock.lost("D-1", "L-1")
    await ends(stock, "L-1")

    answer = await stock.contact("D-1")

    assert (answer.code, answer.cases) == (Code.BLOCKED, (order.key,))


async def test_it_gives_no_notices_of_its_lease(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await ends(stock, "L-1")

    await stock.backend.sweep_leases(NOW + 30 * DAY, 10_000)

    assert {one.licence for one in await stock.facts(LeaseFact)} == {"L-2"}


async def test_a_report_claims_only_what_has_not_ended(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await stock.container("D-2")
    await ends(stock, "L-1")

    answer = await stock.backend.issue(await stock.lost("D-1"))

    assert isinstance(answer, Issued)
    assert [one.licence for one in answer.licences] == ["L-2"]
    assert await stock.serial_of("L-1") == ("D-1", 1)


async def test_a_report_of_what_has_ended_is_refused(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await ends(stock, "L-1")

    named = await refusal(stock, "L-1")
    await ends(stock, "L-2")

    assert (named, await refusal(stock), await refusal(stock, "L-1", "L-2")) == (Code.LICENCE_ENDED,) * 3


async def test_of_licences_that_are_named_only_those_that_have_not_ended_are_claimed(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2", "L-3")
    await stock.container("D-2")
    await ends(stock, "L-2")

    answer = await stock.backend.issue(await stock.lost("D-1", "L-1", "L-2"))

    assert isinstance(answer, Issued)
    assert [one.licence for one in answer.licences] == ["L-1"]


async def test_a_report_of_what_a_case_claimed_before_it_ended_joins_that_case(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    order = await stock.lost("D-1")
    await ends(stock, "L-1")

    assert await stock.claim(stock.loss("D-1")) == order.key
    assert await stock.claim(stock.loss("D-1", "L-1")) == order.key


async def test_the_access_data_of_a_cloud_container_are_replaced_whatever_has_ended(stock: Stock) -> None:
    await stock.container("C-1", "L-1", kind=Kind.CLOUD)
    await ends(stock, "L-1")

    answer = await stock.backend.issue(await stock.lost("C-1", kind=Kind.CLOUD, reason=Reason.STOLEN))

    assert isinstance(answer, Issued)


async def test_an_open_case_issues_only_what_has_not_ended(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await stock.container("D-2")
    order = await stock.lost("D-1")
    await ends(stock, "L-1")

    answer = await stock.backend.issue(order)

    assert isinstance(answer, Issued)
    assert [one.licence for one in answer.licences] == ["L-2"]
    assert await effective(stock, "L-1") == []


async def test_where_nothing_is_left_to_issue_the_answer_says_so(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    order = await stock.lost("D-1")
    await ends(stock, "L-1")

    answer = await stock.backend.issue(order)

    assert isinstance(answer, NoTargetFound)
    assert (answer.ended, answer.tickets) == (True, ())
    assert await stock.backend.issue(order) == answer


async def test_a_case_that_waits_in_vain_learns_of_it_and_no_other(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await stock.container("A-1", "L-3", kind=Kind.ACT)
    both = await stock.lost("D-1")
    machine = await stock.lost("A-1", kind=Kind.ACT, reason=Reason.HARDWARE_REPLACED)
    for order in (both, machine):
        await stock.backend.issue(order)

    await ends(stock, "L-1")
    first = [await stock.contents(order.key) for order in (both, machine)]
    await ends(stock, "L-2")

    assert [len(one) for one in first] == [1, 1]
    assert (await stock.contents(both.key))[1:] == [Offer(serial="D-1")]
    assert len(await stock.contents(machine.key)) == 1


async def test_the_ticket_of_an_ended_licence_is_not_owed(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    order = await stock.lost("D-1")
    await ends(stock, "L-1")

    answer = await stock.backend.issue(order)

    assert isinstance(answer, NoTargetFound)
    assert (answer.tickets, answer.ended) == (("T-L-2",), False)


async def test_a_stop_gap_that_has_ended_gets_no_full_replacement(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await stock.container("D-2")
    order = await stock.lost("D-1", reason=Reason.DAMAGED, stop_gap_days=20)
    await stock.backend.issue(order)
    await ends(stock, "L-1")

    full = await stock.backend.issue(stock.anew(order.model_copy(update={"full": True})))

    assert isinstance(full, Issued)
    assert [(one.licence, one.generation) for one in full.licences] == [("L-2", 3)]
    assert await stock.serial_of("L-1") == ("D-2", 2)


async def test_where_every_stop_gap_has_ended_nothing_follows(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    order = await stock.lost("D-1", reason=Reason.DAMAGED, stop_gap_days=20)
    await stock.backend.issue(order)
    await ends(stock, "L-1")

    full = await stock.backend.issue(stock.anew(order.model_copy(update={"full": True})))

    assert isinstance(full, NoTargetFound)
    assert full.ended


async def withdrawn(stock: Stock, ended: str) -> tuple[CaseKey, ReinstateOrder]:
    """A case whose replacement was withdrawn for its un-loss, and the order to reinstate; this licence has ended."""
    await stock.container("D-1", "L-1", "L-2")
    await stock.container("D-2")
    order = await stock.lost("D-1")
    issued = await stock.backend.issue(order)
    assert isinstance(issued, Issued)
    await ends(stock, ended)
    key = order.key
    await stock.backend.withdraw(stock.next(key))
    await stock.contact("D-2")
    await stock.contact("D-2", confirms=True)
    return key, ReinstateOrder(key=key, number=next(stock.numbers))


async def test_un_loss_reinstates_only_what_has_not_ended(stock: Stock) -> None:
    _, order = await withdrawn(stock, "L-1")

    back = await stock.backend.reinstate(order)

    assert [(one.licence, one.generation) for one in back.licences] == [("L-2", 3)]
    assert (await effective(stock, "L-1"), await effective(stock, "L-2")) == ([], [3])
    assert await stock.backend.reinstate(order) == back


async def test_un_loss_is_refused_where_everything_has_ended(stock: Stock) -> None:
    _, order = await withdrawn(stock, "L-1")
    await ends(stock, "L-2")

    with pytest.raises(RefusalError) as error:
        await stock.backend.reinstate(order)

    assert error.value.code is Code.LICENCE_ENDED


async def test_what_ended_before_anything_was_issued_stays_where_it_is_when_it_is_found(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    order = await stock.lost("D-1")
    await stock.backend.issue(order)
    await ends(stock, "L-1")

    back = await stock.backend.reinstate(ReinstateOrder(key=order.key, number=next(stock.numbers)))

    assert back.target == "D-1"
    assert (await stock.serial_of("L-1"), await effective(stock, "L-1")) == (("D-1", 1), [])


async def test_a_recovery_that_issued_nothing_is_freed(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    order = await stock.lost("D-1")
    quota = QuotaOrder(subjects=("holder/h-1",), limit=1, term_days=30)
    reserve = ReserveOrder(key=order.key, quotas=(quota,), received=NOW, number=next(stock.numbers))
    await stock.backend.reserve(reserve)
    await ends(stock, "L-1")
    await stock.backend.issue(stock.anew(order))

    number = next(stock.numbers)
    await stock.backend.close(CloseOrder(key=order.key, recovered=False, outcome=Outcome.LAPSED, number=number))

    assert [one.case for one in await stock.facts(RecoveryFreed)] == [order.key.case]


async def test_an_end_and_an_issue_at_the_same_instant_leave_one_of_two_histories(stock: Stock) -> None:
    await stock.container("D-1", "L-1", "L-2")
    await stock.container("D-2")
    order = await stock.lost("D-1")

    answer, _ = await asyncio.gather(stock.backend.issue(order), ends(stock, "L-1"))

    assert isinstance(answer, Issued)
    (fact,) = await stock.facts(LicenceEnded)
    issued = [one for one in await stock.facts(LicenceIssued) if one.licence == "L-1"]
    assert (fact.serial, fact.generation) == (issued[-1].serial, issued[-1].generation)
    assert await effective(stock, "L-1") == []


async def test_on_a_machine_whose_licence_has_ended_nothing_is_lost(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    await ends(stock, "L-1")

    found = await stock.backend.triage(principal(stock.vendor), Serial("A-1"), OLD)
    answer = await stock.contact("A-1", how=Contact.ACTIVATION, fingerprint=OLD)

    assert (found.advice, found.code) == (Advice.RENEW, answer.code) == (Advice.RENEW, Code.ENDED)


MONTHLY = Lease(check_in=Interval(unit=Unit.MONTH), grace_days=2)


async def changes(stock: Stock, licence: str, revision: int = 1, **terms: object) -> None:
    said = {"licence": licence, "revision": revision, "product": "cam", "value_cents": 700, "lease": MONTHLY} | terms
    await stock.backend.change_inventory(stock.vendor, LicenceChangeStatement.model_validate(said), NOW)


async def renewed_to(stock: Stock) -> list[datetime | None]:
    return [one.expires for one in await stock.facts(LicenceRenewed)]


async def test_the_next_file_of_a_licence_has_the_lease_that_it_has_then(stock: Stock) -> None:
    await stock.container("D-1", "L-1")

    await changes(stock, "L-1")
    before = await renewed_to(stock)
    await stock.contact("D-1", days=1)

    (fact,) = await stock.facts(LicenceChanged)
    assert (fact.product, fact.value_cents, fact.lease, fact.serial) == ("cam", 700, MONTHLY, "D-1")
    assert (before, await renewed_to(stock)) == ([], [MONTHLY.expiry(NOW + DAY)])


async def test_a_licence_without_a_check_in_gets_a_last_file_that_runs_for_ever(stock: Stock) -> None:
    await stock.container("D-1", "L-1")

    await changes(stock, "L-1", lease=Lease())
    for days in (1, 2):
        await stock.contact("D-1", days=days)

    assert await renewed_to(stock) == [None]


async def test_a_licence_that_is_to_check_in_from_now_on_does_so_from_its_next_contact(stock: Stock) -> None:
    await stock.container("D-1", lease=Lease())
    await stock.licence("L-1", "D-1", lease=Lease())

    await changes(stock, "L-1")
    await stock.contact("D-1", days=1)

    assert await renewed_to(stock) == [MONTHLY.expiry(NOW + DAY)]


async def test_of_changed_terms_the_latest_revision_counts(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await changes(stock, "L-1", revision=2)

    await changes(stock, "L-1", revision=1, product="plm")
    await changes(stock, "L-1", revision=2)
    with pytest.raises(RefusalError) as error:
        await changes(stock, "L-1", revision=2, product="plm")

    assert [one.revision for one in await stock.facts(LicenceChanged)] == [2]
    assert error.value.code is Code.CONTRADICTS_INVENTORY


async def test_the_revisions_of_each_type_are_counted_for_themselves(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await changes(stock, "L-1", revision=7)

    await ends(stock, "L-1", revision=1)

    assert await effective(stock, "L-1") == []


async def test_a_replacement_has_the_terms_as_they_are_when_it_is_issued(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("D-2")
    order = await stock.lost("D-1")
    await changes(stock, "L-1")

    await stock.backend.issue(order)

    issued = (await stock.facts(LicenceIssued))[-1]
    assert (issued.product, issued.value_cents, issued.lease) == ("cam", 700, MONTHLY)
    assert issued.expires == MONTHLY.expiry(issued.issued)


async def test_what_a_case_was_decided_on_and_is_exposed_to_stays_what_it_was(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    order = await stock.lost("D-1")
    before = await stock.backend.assess(order.key)

    await changes(stock, "L-1", lease=Lease(), borrowed_until=NOW + 900 * DAY)

    assert await stock.backend.assess(order.key) == before
    (licence,) = await stock.observer.licences(stock.vendor)
    assert licence.expires == before.facts.licences[0].expires
    assert licence.borrowed_until == NOW + 900 * DAY
