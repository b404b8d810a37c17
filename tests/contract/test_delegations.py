"""A delegate acts for the holders that a delegation names, until it ends or is revoked."""

from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest

from activities.licensing.containers import unknown_container
from events.backend_facts import DelegationGiven, DelegationRevoked
from events.errors import Code, RefusalError
from events.ports.loss_cases import DecisionQuestion, Evidence, Joined
from events.principal import Principal, PrincipalRole
from events.statements import (
    DelegationStatement,
    EvidenceStatement,
    FoundStatement,
    LossStatement,
    ReturnStatement,
    RevocationStatement,
)
from events.stream_position import StreamPosition
from events.terms import Kind, Reporter, Role, Serial
from tests.contract.stock import NEW, NOW, Stock
from tests.given import principal
from workflows.policy import Policy, canonical

DAY = timedelta(days=1)
SELLER = "corp:seller|7"
DELEGATE = Reporter(role=Role.DELEGATE, name=SELLER)
FOR_H1 = DelegationStatement(delegation="G-1", delegate=SELLER, holders=("h-1",), until=NOW + 9 * DAY)
OVER = RevocationStatement(delegation="G-1")


def seller(stock: Stock) -> Principal:
    return principal(stock.vendor, SELLER, PrincipalRole.DELEGATE)


async def give(stock: Stock, **other: Any) -> StreamPosition:
    stated = FOR_H1.model_copy(update=other)
    return await stock.backend.take_delegation(principal(stock.vendor), stated, NOW)


async def revoke(stock: Stock, days: int = 0) -> StreamPosition:
    return await stock.backend.take_delegation(principal(stock.vendor), OVER, NOW + days * DAY)


def loss(stock: Stock) -> LossStatement:
    return stock.loss("D-1").model_copy(update={"reporter": DELEGATE})


async def is_unknown(asked: Awaitable[object]) -> bool:
    """Whether the answer is that of an unknown container."""
    with pytest.raises(RefusalError) as refusal:
        await asked
    return refusal.value.code is Code.UNKNOWN_CONTAINER and refusal.value.args == unknown_container(Serial("D-1")).args


async def test_a_delegate_reports_for_a_holder_and_the_report_names_both(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await give(stock)

    claimed = await stock.backend.claim(seller(stock), loss(stock), NOW)

    report = (await stock.opening(claimed.key)).model_dump(include={"reporter", "on_behalf_of"})
    assert report == {"reporter": DELEGATE.model_dump(), "on_behalf_of": "h-1"}
    (given,) = await stock.facts(DelegationGiven)
    assert (given.delegate, given.holders, given.by) == (SELLER, ("h-1",), "crm")


async def test_who_is_no_delegate_reports_for_nobody(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    claimed = await stock.claim(stock.loss("D-1"))

    assert (await stock.opening(claimed)).on_behalf_of is None


async def test_a_delegate_gives_evidence_and_says_that_it_is_found_and_tries_a_machine(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await stock.container("A-1", "L-2", kind=Kind.ACT)
    await give(stock)
    report = loss(stock)
    key = (await stock.backend.claim(seller(stock), report, NOW)).key
    given = EvidenceStatement(
        **{"statement": "E-1", "report": report.report, "serial": "D-1", "reporter": DELEGATE, "occurred": NOW},
        evidence=("police_report",),
    )
    found = FoundStatement(report="F-1", serial="D-1", reporter=DELEGATE, occurred=NOW)

    assert await stock.backend.give_evidence(seller(stock), given, NOW) == key
    assert await stock.backend.turn_up(seller(stock), found, NOW) == [key]
    assert (await stock.backend.triage(seller(stock), Serial("A-1"), NEW)).changed
    _, evidence, sighting = await stock.contents(key)
    assert isinstance(evidence, Evidence)
    assert (evidence.by, evidence.on_behalf_of, sighting.type) == (SELLER, "h-1", "sighting")


@pytest.mark.parametrize("why", ["never given", "revoked", "ended", "another holder", "another person", "given late"])
async def test_without_a_delegation_that_stands_the_container_is_unknown_to_a_delegate(stock: Stock, why: str) -> None:
    await stock.container("D-1", "L-1")
    report = stock.loss("D-1")
    await stock.claim(report)
    match why:
        case "revoked":
            await give(stock)
            await revoke(stock)
        case "ended":
            await give(stock, until=NOW)
        case "another holder":
            await give(stock, holders=("h-2",))
        case "another person":
            await give(stock, delegate="corp:seller")
        case "given late":
            await revoke(stock)
            await give(stock)
    who, said = seller(stock), {"serial": "D-1", "reporter": DELEGATE, "occurred": NOW}
    evidence = EvidenceStatement.model_validate(
        {**said, "statement": "E-1", "report": report.report, "evidence": ("photo",)}
    )

    assert await is_unknown(stock.backend.claim(who, loss(stock), NOW))
    assert await is_unknown(stock.backend.give_evidence(who, evidence, NOW))
    for turned_up in (FoundStatement, ReturnStatement):
        stated = turned_up.model_validate({**said, "report": "F-1"})
        assert await is_unknown(stock.backend.turn_up(who, stated, NOW))


async def test_a_machine_is_unknown_to_a_delegate_without_a_delegation(stock: Stock) -> None:
    await stock.container("D-1", "L-1", kind=Kind.ACT)

    assert await is_unknown(stock.backend.triage(seller(stock), Serial("D-1"), NEW))


async def test_a_delegation_of_one_vendor_is_none_of_another(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    other = principal(f"{stock.vendor}-x")
    await stock.backend.add_vendor(other.vendor, canonical(Policy()), NOW)
    await stock.backend.take_delegation(other, FOR_H1, NOW)

    assert await is_unknown(stock.backend.claim(seller(stock), loss(stock), NOW))


async def test_a_delegation_is_given_and_revoked_once_however_often_it_is_said(stock: Stock) -> None:
    first = await give(stock)
    again = await give(stock)
    with pytest.raises(RefusalError) as refused:
        await give(stock, holders=("h-1", "h-2"))
    ends = [await revoke(stock, days) for days in (1, 2)]

    assert (again, ends) == (first, [StreamPosition("vendor", first.sequence + 1)] * 2)
    assert refused.value.code is Code.REPORT_ID_TAKEN
    assert len(await stock.facts(DelegationGiven)) == 1
    assert [fact.received for fact in await stock.facts(DelegationRevoked)] == [NOW + DAY]


async def test_a_delegate_reports_what_came_in_before_the_revocation_and_the_same_again_is_of_its_case(
    stock: Stock,
) -> None:
    await stock.container("D-1", "L-1")
    await give(stock)
    await revoke(stock, days=1)
    report = loss(stock)

    claimed = await stock.backend.claim(seller(stock), report, NOW)

    assert (await stock.backend.claim(seller(stock), report, NOW)).key == claimed.key
    assert await is_unknown(stock.backend.claim(seller(stock), loss(stock), NOW + DAY))


async def test_a_delegate_who_reported_is_a_reporter(stock: Stock) -> None:
    await stock.container("D-1", "L-1")
    await give(stock)
    await stock.backend.adopt_policy(stock.vendor, canonical(Policy(supervisors=(SELLER, "ann"))), NOW)
    key = (await stock.backend.claim(seller(stock), loss(stock), NOW)).key

    confirmed = await stock.backend.confirm_decision(DecisionQuestion(key=key, number=1))

    assert (confirmed.supervisors, confirmed.reporters) == ((SELLER, "ann"), (SELLER,))
    assert isinstance((await stock.contents(key))[0], Joined)


async def test_the_back_office_reports_for_a_delegate_only_what_that_may(stock: Stock) -> None:
    await stock.container("D-1", "L-1")

    assert await is_unknown(stock.backend.claim(principal(stock.vendor), loss(stock), NOW))
    await give(stock)
    claimed = await stock.backend.claim(principal(stock.vendor), loss(stock), NOW)
    assert claimed.answer == "opened"
