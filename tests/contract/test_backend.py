"""Claims, measures and generations under races and repetition."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from events.backend_facts import ContainerRegistered, LicenceIssued, LicenceSuperseded, MeasureOrdered
from events.envelope import Recorded
from events.errors import Code, NotYetKnownError, RefusalError
from events.ports.licensing_backend import (
    BlockOrder,
    CloseOrder,
    Issued,
    IssueOrder,
    LicensingBackend,
    MeasureToOrder,
    NoTargetFound,
)
from events.ports.loss_cases import DecisionOrder
from events.statements import ContainerStatement, LicenceStatement, LossStatement
from events.terms import Kind, Measure, Reason, Reporter, Role, VendorId
from tests.contract.stock import Stock
from tests.given import principal, supervisor
from workflows.policy import Policy, canonical

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DOOR = "a test"


@pytest.fixture
def backend(stock: Stock) -> LicensingBackend:
    return stock.backend


def container(serial: str, holder: str = "h-1") -> ContainerStatement:
    return ContainerStatement(serial=serial, kind=Kind.DONGLE, holder=holder)


def licence(number: int, serial: str) -> LicenceStatement:
    return LicenceStatement(licence=f"L-{number}", serial=serial, product="cad", ticket=f"T-{number}", issued=NOW)


def loss(report: str, serial: str = "lost", reason: Reason = Reason.LOST) -> LossStatement:
    return LossStatement(
        report=report,
        serial=serial,
        kind=Kind.DONGLE,
        reason=reason,
        reporter=Reporter(role=Role.BACK_OFFICE, name="crm"),
        occurred=NOW,
    )


async def stocked(backend: LicensingBackend, vendor: VendorId, licences: int = 2, spare: bool = True) -> None:
    await backend.register_container(vendor, container("lost"), NOW)
    for number in range(1, licences + 1):
        await backend.register_licence(vendor, licence(number, "lost"), NOW)
    if spare:
        await backend.register_container(vendor, container("spare"), NOW)


def to_order(measures: tuple[Measure, ...]) -> tuple[MeasureToOrder, ...]:
    return tuple(MeasureToOrder(measure=measure) for measure in measures)


async def blocked(backend: LicensingBackend, vendor: VendorId, report: str = "R-1") -> IssueOrder:
    key = (await backend.claim(principal(vendor, door=DOOR), loss(report), NOW)).key
    measures = (Measure.BLACKLISTING,)
    await backend.block(BlockOrder(key=key, measures=to_order(measures)))
    return IssueOrder(key=key, measures=measures)


async def vendor_facts(stock: Stock) -> list[Recorded]:
    """The vendor's facts, in their order."""
    return [one for one in await stock.observer.recorded(0) if one.vendor == stock.vendor]


async def test_no_container_is_taken_in_whose_holder_is_called_by_an_address(stock: Stock) -> None:
    addressed = ContainerStatement(serial="D-1", kind=Kind.DONGLE, holder="ann@example.com")

    with pytest.raises(RefusalError) as refusal:
        await stock.backend.register_container(stock.vendor, addressed, NOW)
    assert refusal.value.code is Code.HOLDER_IS_AN_ADDRESS

    await stock.container("D-1")
    assert [fact.holder for fact in await stock.facts(ContainerRegistered)] == ["h-1"]


async def test_the_same_report_five_times_at_once_is_one_case(backend: LicensingBackend, vendor: VendorId) -> None:
    await stocked(backend, vendor)

    claims = await asyncio.gather(*(backend.claim(principal(vendor, door=DOOR), loss("R-1"), NOW) for _ in range(5)))

    assert len({claim.key for claim in claims}) == 1
    assert Counter(claim.answer for claim in claims) == {"opened": 1, "repeated": 4}


async def test_two_reports_of_one_container_at_once_are_one_case(backend: LicensingBackend, vendor: VendorId) -> None:
    await stocked(backend, vendor)

    claims = await asyncio.gather(
        *(backend.claim(principal(vendor, door=DOOR), loss(f"R-{number}"), NOW) for number in range(10)),
    )

    assert len({claim.key for claim in claims}) == 1
    assert Counter(claim.answer for claim in claims) == {"opened": 1, "joined": 9}


async def test_a_report_after_the_replacement_joins_the_case_that_recovered_the_licence(
    backend: LicensingBackend, vendor: VendorId
) -> None:
    await stocked(backend, vendor)
    order = await blocked(backend, vendor)
    await backend.issue(order)

    late = await backend.claim(principal(vendor, door=DOOR), loss("R-late"), NOW)

    assert (late.key, late.answer) == (order.key, "joined")


async def test_a_report_of_the_replacement_opens_a_case_of_its_own(backend: LicensingBackend, vendor: VendorId) -> None:
    await stocked(backend, vendor)
    order = await blocked(backend, vendor)
    await backend.issue(order)

    second = await backend.claim(principal(vendor, door=DOOR), loss("R-2", serial="spare"), NOW)

    assert second.answer == "opened"
    assert second.key.case != order.key.case
    assert [item.generation for item in (await backend.assess(second.key)).facts.licences] == [2, 2]


async def test_a_case_that_recovered_nothing_frees_its_claims(backend: LicensingBackend, vendor: VendorId) -> None:
    await stocked(backend, vendor)
    first = await backend.claim(principal(vendor, door=DOOR), loss("R-1"), NOW)

    once = await backend.close(CloseOrder(key=first.key, recovered=False))
    again = await backend.close(CloseOrder(key=first.key, recovered=False))
    second = await backend.claim(principal(vendor, door=DOOR), loss("R-2"), NOW)

    assert once == again
    assert second.answer == "opened"
    repeated = await backend.claim(principal(vendor, door=DOOR), loss("R-1"), NOW)
    assert (repeated.key, repeated.closed, second.closed) == (first.key, True, False)


async def test_a_report_after_the_end_joins_the_case_that_recovered_the_licence_and_finds_it_closed(
    backend: LicensingBackend, vendor: VendorId
) -> None:
    await stocked(backend, vendor)
    order = await blocked(backend, vendor)
    await backend.issue(order)
    await backend.close(CloseOrder(key=order.key, recovered=True))

    late = await backend.claim(principal(vendor, door=DOOR), loss("R-late"), NOW)

    assert (late.key, late.answer, late.closed) == (order.key, "joined", True)


async def test_a_report_number_that_said_something_else_is_refused(backend: LicensingBackend, vendor: VendorId) -> None:
    await stocked(backend, vendor)
    await backend.claim(principal(vendor, door=DOOR), loss("R-1"), NOW)

    with pytest.raises(RefusalError, match="new number") as refusal:
        await backend.claim(principal(vendor, door=DOOR), loss("R-1", reason=Reason.STOLEN), NOW)
    assert refusal.value.code is Code.REPORT_ID_TAKEN


async def test_another_vendors_container_is_an_unknown_one(
    backend: LicensingBackend, stock: Stock, vendor: VendorId
) -> None:
    await stocked(backend, vendor)
    other = VendorId(f"{vendor}-x")
    await backend.add_vendor(other, Policy().model_dump(mode="json"), NOW)

    with pytest.raises(NotYetKnownError, match="no container lost") as refusal:
        await backend.claim(principal(other, door=DOOR), loss("R-1"), NOW)
    assert refusal.value.code is Code.UNKNOWN_CONTAINER


async def test_nothing_is_issued_before_its_measures_are_ordered(backend: LicensingBackend, vendor: VendorId) -> None:
    await stocked(backend, vendor)
    key = (await backend.claim(principal(vendor, door=DOOR), loss("R-1"), NOW)).key
    order = IssueOrder(key=key, measures=(Measure.BLACKLISTING,))

    with pytest.raises(RefusalError) as refusal:
        await backend.issue(order)
    assert refusal.value.code is Code.NOT_BLOCKED


async def test_a_replacement_is_issued_once_however_often_it_is_asked_for(
    backend: LicensingBackend, stock: Stock, vendor: VendorId
) -> None:
    await stocked(backend, vendor, licences=3)
    order = await blocked(backend, vendor)

    answers = await asyncio.gather(*(backend.issue(order) for _ in range(8)))

    assert isinstance(answers[0], Issued)
    assert all(answer == answers[0] for answer in answers)
    assert [(item.licence, item.generation) for item in answers[0].licences] == [("L-1", 2), ("L-2", 2), ("L-3", 2)]
    facts = [recorded.fact for recorded in await vendor_facts(stock)]
    replaced = [fact for fact in facts if isinstance(fact, LicenceIssued) and fact.case]
    assert len(replaced) == sum(isinstance(fact, LicenceSuperseded) for fact in facts) == 3
    assert {fact.serial for fact in replaced} == {"spare"}
    assert all(fact.file for fact in replaced)


async def test_measures_are_stated_once_and_before_the_issue(
    backend: LicensingBackend, stock: Stock, vendor: VendorId
) -> None:
    await stocked(backend, vendor)
    order = await blocked(backend, vendor)
    await backend.block(BlockOrder(key=order.key, measures=to_order(order.measures)))
    await backend.issue(order)

    names = [recorded.fact.name for recorded in await vendor_facts(stock)]

    assert names.count(MeasureOrdered.name) == 1
    assert names.index(MeasureOrdered.name) < names.index(LicenceSuperseded.name)


async def test_a_target_registered_during_the_search_is_found_or_offered(
    backend: LicensingBackend, stock: Stock, vendor: VendorId
) -> None:
    for attempt in range(30):
        holder, lost, spare = f"h{attempt}", f"lost{attempt}", f"spare{attempt}"
        await backend.register_container(vendor, container(lost, holder), NOW)
        await backend.register_licence(vendor, licence(attempt, lost), NOW)
        key = (await backend.claim(principal(vendor, door=DOOR), loss(f"R-{attempt}", lost), NOW)).key
        await backend.block(BlockOrder(key=key, measures=to_order((Measure.BLACKLISTING,))))
        order = IssueOrder(key=key, measures=(Measure.BLACKLISTING,))

        answer, _ = await asyncio.gather(
            backend.issue(order), backend.register_container(vendor, container(spare, holder), NOW)
        )

        offers = ["report"] if isinstance(answer, Issued) else ["report", "offer"]
        assert [name for name, _ in await stock.messages(key)] == offers


async def test_two_cases_of_one_holder_never_share_a_target(backend: LicensingBackend, vendor: VendorId) -> None:
    orders = []
    for number in (1, 2):
        serial = f"lost{number}"
        await backend.register_container(vendor, container(serial), NOW)
        await backend.register_licence(vendor, licence(number, serial), NOW)
        key = (await backend.claim(principal(vendor, door=DOOR), loss(f"R-{number}", serial), NOW)).key
        await backend.block(BlockOrder(key=key, measures=to_order((Measure.BLACKLISTING,))))
        orders.append(IssueOrder(key=key, measures=(Measure.BLACKLISTING,)))
    await backend.register_container(vendor, container("spare"), NOW)

    answers = await asyncio.gather(*(backend.issue(order) for order in orders))

    assert {type(answer) for answer in answers} == {Issued, NoTargetFound}


async def test_every_stream_of_the_outbox_counts_and_chains(
    backend: LicensingBackend, stock: Stock, vendor: VendorId
) -> None:
    await stocked(backend, vendor, licences=3)
    await backend.issue(await blocked(backend, vendor))

    heads: dict[str, tuple[int, bytes]] = {}
    for recorded in await vendor_facts(stock):
        sequence, digest = heads.get(recorded.stream, (0, b""))
        assert (recorded.sequence, recorded.previous_hash) == (sequence + 1, digest)
        heads[recorded.stream] = (recorded.sequence, recorded.hash)
    assert set(heads) == {"vendor", "container/lost", "container/spare"}


async def test_inventory_said_again_changes_nothing_and_a_contradiction_is_refused(
    backend: LicensingBackend, stock: Stock, vendor: VendorId
) -> None:
    await stocked(backend, vendor)
    before = await vendor_facts(stock)

    await stocked(backend, vendor)

    assert await vendor_facts(stock) == before
    with pytest.raises(RefusalError, match="container lost was stated before with another holder") as refusal:
        await backend.register_container(vendor, container("lost", holder="h-2"), NOW)
    assert refusal.value.code is Code.CONTRADICTS_INVENTORY


@pytest.mark.parametrize(
    "otherwise",
    [
        {"serial": "spare"},
        {"generation": 7},
        {"value_cents": 999},
        {"borrowed_until": NOW},
        {"product": "cam"},
        {"ticket": "T-9"},
        {"lease": {"grace_days": 3}},
        {"issued": NOW + timedelta(seconds=1)},
    ],
    ids=lambda otherwise: next(iter(otherwise)),
)
async def test_a_licence_stated_again_must_be_as_it_was_first_stated_before_and_after_its_replacement(
    backend: LicensingBackend, stock: Stock, vendor: VendorId, otherwise: dict[str, Any]
) -> None:
    await stocked(backend, vendor)
    again = LicenceStatement.model_validate(licence(1, "lost").model_dump() | otherwise)
    for _ in range(2):
        before = await vendor_facts(stock)
        with pytest.raises(RefusalError, match=f"licence L-1 was stated before with another {next(iter(otherwise))}"):
            await backend.register_licence(vendor, again, NOW)
        await backend.register_licence(vendor, licence(1, "lost"), NOW)
        assert await vendor_facts(stock) == before
        await backend.issue(await blocked(backend, vendor))


async def test_a_case_is_closed_once_whatever_closes_it_again(stock: Stock) -> None:
    await stocked(stock.backend, stock.vendor)
    order = await blocked(stock.backend, stock.vendor)
    first = await stock.backend.close(CloseOrder(key=order.key, recovered=True, number=5))
    before = await vendor_facts(stock)
    stock.pass_(timedelta(days=1))

    again = await stock.backend.close(CloseOrder(key=order.key, recovered=False, lift=True, number=6))

    assert again == first
    assert await vendor_facts(stock) == before
    assert (await stock.backend.claim(principal(stock.vendor, door=DOOR), loss("R-2"), NOW)).key == order.key


async def test_what_is_assessed_again_is_as_it_was_first_whatever_came_since(stock: Stock) -> None:
    await stocked(stock.backend, stock.vendor)
    key = (await stock.backend.claim(principal(stock.vendor, door=DOOR), loss("R-1"), NOW)).key
    first = await stock.backend.assess(key)
    stock.pass_(timedelta(days=1))
    await stock.backend.adopt_policy(stock.vendor, canonical(Policy(supervisors=("ann",))), NOW)
    await stock.backend.register_licence(stock.vendor, licence(9, "spare"), NOW)

    assert await stock.backend.assess(key) == first
    assert (await stock.backend.policy_in_force(stock.vendor))[0] == 2


async def test_another_vendors_case_is_an_unknown_one_to_whoever_decides(stock: Stock) -> None:
    await stocked(stock.backend, stock.vendor)
    key = (await stock.backend.claim(principal(stock.vendor, door=DOOR), loss("R-1"), NOW)).key
    other = VendorId(f"{stock.vendor}-x")
    await stock.backend.add_vendor(other, canonical(Policy()), NOW)
    order = DecisionOrder(decision="V-1", action="approve", by="ann", why="as I see it", on=1)

    with pytest.raises(RefusalError) as refusal:
        await stock.backend.accept_decision(supervisor(other, order.by, DOOR), key.case, order, NOW)

    assert refusal.value.code is Code.UNKNOWN_CASE
    assert await stock.messages(key) == [("report", 1)]
