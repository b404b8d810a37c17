"""Activations: which machine a container is bound to, with which code, and for which cases."""

from datetime import timedelta
from typing import Any

import pytest

from activities.licensing.activation_code_rules import TRIES
from events.backend_facts import ContactRefused, ContainerActivated, LicenceIssued
from events.errors import Code, RefusalError
from events.fact import Fact
from events.ports.licensing_backend import (
    Advice,
    BlockOrder,
    CloseOrder,
    Issued,
    IssueOrder,
    MeasureToOrder,
    NoTargetFound,
)
from events.principal import Principal, PrincipalRole
from events.statements import DelegationStatement
from events.terms import ActivationBy, Aim, Kind, Measure, Reason, Recovery, Target
from tests.contract.stock import NEW, NOW, OLD, Stock
from tests.given import principal

BY_CODE = {"activation": ActivationBy.CODE}
THIEF = {**OLD, "disk": "d9"}
OTHER = {"board": "b7", "disk": "d7", "cpu": "c7"}


async def awaiting(stock: Stock, *licences: str, reason: Reason = Reason.COMPUTER_STOLEN, **more: Any) -> IssueOrder:
    """A loss of A-1 that is blocked and waits for a machine."""
    order = await stock.lost("A-1", *licences, kind=Kind.ACT, reason=reason, **{**BY_CODE, **more})
    assert isinstance(await stock.backend.issue(order), NoTargetFound)
    return order


async def code(stock: Stock) -> str:
    return (await stock.backend.activation_code(principal(stock.vendor), "A-1")).code


async def test_a_stolen_machine_gets_no_replacement_and_the_holders_new_one_does(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    order = await awaiting(stock)
    right = await code(stock)

    stolen = [
        await stock.activate("A-1", THIEF),
        await stock.activate("A-1", THIEF, activation_code=right),
        await stock.contact("A-1", ("L-9", 5), fingerprint=THIEF, generation=9),
    ]
    asked = await stock.activate("A-1", NEW, activation_code=right)
    issued = await stock.backend.issue(order)
    later = await stock.contact("A-1", fingerprint=THIEF, generation=2)

    assert [(one.code, one.cases, one.awaiting, one.files) for one in stolen] == [
        (Code.BLOCKED, (order.key,), (), ())
    ] * 3
    assert (asked.refused, asked.awaiting) == (False, (order.key,))
    assert isinstance(issued, Issued)
    assert [fact.fingerprint for fact in await stock.facts(ContainerActivated)] == [NEW]
    assert (later.code, later.cases) == (Code.BLOCKED, (order.key,))
    assert len((await stock.contact("A-1", fingerprint=NEW)).files) == 1


async def test_a_machine_is_called_stolen_from_the_report_to_the_close_of_its_case(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    key = await stock.claim(stock.loss("A-1", kind=Kind.ACT, reason=Reason.COMPUTER_STOLEN))

    reported = await stock.contact("A-1", fingerprint=OLD)
    await stock.backend.close(CloseOrder(key=key, recovered=False, lift=True))

    assert (reported.code, reported.cases) == (Code.MACHINE_STOLEN, (key,))
    assert not (await stock.contact("A-1", fingerprint=OLD)).refused


async def test_without_its_generation_the_old_machine_gets_nothing_of_the_new_one(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    order = await awaiting(stock)
    await stock.activate("A-1", NEW, activation_code=await code(stock))
    await stock.backend.issue(order)

    answer = await stock.contact("A-1")

    assert (answer.code, answer.cases, answer.files) == (Code.GENERATION_MISSING, (), ())
    assert len((await stock.contact("A-1", generation=2)).files) == 1


async def test_a_machine_that_nobody_knows_gets_nothing_of_the_replacement_though_it_names_its_generation(
    stock: Stock,
) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    order = await awaiting(stock)
    await stock.activate("A-1", NEW, activation_code=await code(stock))
    await stock.backend.issue(order)

    answer = await stock.contact("A-1", ("L-1", 1), fingerprint=OTHER, generation=2)

    assert (answer.refused, answer.code, answer.cases, answer.files) == (True, Code.FINGERPRINT_MISMATCH, (), ())
    assert (await stock.contact("A-1", fingerprint=OTHER, generation=1)).cases == (order.key,)
    assert len((await stock.contact("A-1", fingerprint=NEW, generation=2)).files) == 1


async def test_one_activation_serves_all_open_cases_of_a_container_that_wait_for_one(stock: Stock) -> None:
    await stock.container("A-1", "L-1", "L-2", kind=Kind.ACT)
    first = await awaiting(stock, "L-1", reason=Reason.HARDWARE_REPLACED)
    second = await awaiting(stock, "L-2", reason=Reason.HARDWARE_REPLACED)

    asked = await stock.activate("A-1", NEW, activation_code=await code(stock))
    issued = [await stock.backend.issue(order) for order in (first, second, second)]

    assert set(asked.awaiting) == {first.key, second.key}
    assert [one.licences[0].licence for one in issued if isinstance(one, Issued)] == ["L-1", "L-2", "L-2"]
    assert [fact.generation for fact in await stock.facts(ContainerActivated)] == [2]
    files = (await stock.contact("A-1", ("L-1", 2), ("L-2", 2), fingerprint=NEW, generation=2)).files
    assert len(files) == 2


async def test_a_case_that_waits_later_is_served_by_the_machine_that_the_container_was_bound_to(stock: Stock) -> None:
    await stock.container("A-1", "L-1", "L-2", kind=Kind.ACT)
    second = await stock.lost("A-1", "L-2", kind=Kind.ACT, reason=Reason.HARDWARE_REPLACED)
    first = await awaiting(stock, "L-1", reason=Reason.HARDWARE_REPLACED, activation=ActivationBy.ANY)
    await stock.activate("A-1", NEW)
    await stock.backend.issue(first)
    assert isinstance(await stock.backend.issue(second), NoTargetFound)

    asked = await stock.activate("A-1", NEW)

    assert asked.awaiting == (second.key,)
    assert isinstance(await stock.backend.issue(second), Issued)
    assert [fact.generation for fact in await stock.facts(ContainerActivated)] == [2]


async def test_a_code_is_the_same_until_it_is_used_and_good_once(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    order = await awaiting(stock)
    codes = [await stock.backend.activation_code(principal(stock.vendor), "A-1") for _ in range(2)]
    right = codes[0].code

    missing = await stock.activate("A-1", NEW)
    asked = await stock.activate("A-1", NEW, activation_code=right.lower().replace("-", " "))
    other = await stock.activate("A-1", OTHER, activation_code=right)
    again = await stock.activate("A-1", NEW)

    assert codes[0] == codes[1]
    assert (codes[0].cases, codes[0].tries_left) == ((order.key.case,), TRIES)
    assert (missing.code, missing.cases) == (Code.ACTIVATION_CODE_MISSING, ())
    assert asked.awaiting == again.awaiting == (order.key,)
    assert (other.code, other.cases, other.awaiting) == (Code.ACTIVATION_CODE_WRONG, (), ())
    assert isinstance(await stock.backend.issue(order), Issued)
    assert [fact.fingerprint for fact in await stock.facts(ContainerActivated)] == [NEW]


async def test_after_five_wrong_codes_another_must_be_fetched(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    order = await awaiting(stock)
    right = await code(stock)
    for number in range(TRIES):
        assert (await stock.backend.activation_code(principal(stock.vendor), "A-1")).tries_left == TRIES - number
        for _ in range(2):  # a contact said again is one try
            wrong = await stock.activate("A-1", OTHER, activation_code="00000-00000", contact=f"C-{number}")
            assert (wrong.code, wrong.cases) == (Code.ACTIVATION_CODE_WRONG, ())

    late = await stock.activate("A-1", NEW, activation_code=right)
    another = await code(stock)

    assert late.code == Code.ACTIVATION_CODE_WRONG
    assert another != right
    assert (await stock.activate("A-1", NEW, activation_code=another)).awaiting == (order.key,)


async def test_a_code_is_dead_once_its_case_is_closed(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    order = await awaiting(stock)
    old = await code(stock)
    await stock.backend.close(CloseOrder(key=order.key, recovered=False, lift=True))

    with pytest.raises(RefusalError) as nobody:
        await code(stock)
    dead = await stock.activate("A-1", NEW, activation_code=old)
    again = await awaiting(stock)

    assert nobody.value.code is Code.NO_CASE
    assert (dead.code, dead.awaiting) == (Code.FINGERPRINT_MISMATCH, ())
    assert again.key != order.key
    assert (await stock.activate("A-1", NEW, activation_code=old)).code == Code.ACTIVATION_CODE_WRONG
    assert await code(stock) != old


async def test_a_code_is_had_only_where_a_case_waits_for_a_machine_with_one(stock: Stock) -> None:
    await stock.container("D-1", "L-2")
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    await awaiting(stock, reason=Reason.HARDWARE_REPLACED, activation=ActivationBy.ANY)

    with pytest.raises(RefusalError) as dongle:
        await stock.backend.activation_code(principal(stock.vendor), "D-1")
    with pytest.raises(RefusalError) as any_machine:
        await code(stock)

    assert (dongle.value.code, any_machine.value.code) == (Code.KIND_MISMATCH, Code.NO_CASE)
    assert (await stock.activate("A-1", NEW)).awaiting


async def test_no_code_is_in_any_fact(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    order = await awaiting(stock)
    right = await code(stock)
    await stock.activate("A-1", OTHER, activation_code="00000-00000")
    await stock.activate("A-1", NEW, activation_code=right)
    await stock.backend.issue(order)

    text = "".join(fact.model_dump_json() for fact in await stock.all_facts())

    assert right not in text
    assert "00000-00000" not in text
    assert [fact.code for fact in await stock.facts(ContactRefused)] == [Code.ACTIVATION_CODE_WRONG]
    assert [fact.generation for fact in await stock.facts(LicenceIssued)] == [1, 2]


# What only the machine itself says.


@pytest.mark.parametrize("shown", [{}, {"generation": 1}, {"fingerprint": OTHER}])
async def test_a_stolen_machine_that_leaves_its_fingerprint_out_is_a_sighting_too(
    stock: Stock, shown: dict[str, Any]
) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    key = await stock.claim(stock.loss("A-1", kind=Kind.ACT, reason=Reason.COMPUTER_STOLEN))

    answer = await stock.contact("A-1", **shown)

    assert (answer.code, answer.cases, answer.files) == (Code.MACHINE_STOLEN, (key,), ())


async def test_a_stolen_machine_is_not_told_of_the_withdrawal_of_the_replacement_and_confirms_it_not(
    stock: Stock,
) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    order = await awaiting(stock)
    await stock.activate("A-1", NEW, activation_code=await code(stock))
    assert isinstance(await stock.backend.issue(stock.anew(order)), Issued)
    await stock.backend.withdraw(stock.next(order.key))

    by_stolen = [await stock.contact("A-1", fingerprint=OLD, confirms=True) for _ in range(2)]
    still = await stock.backend.withdraw(stock.next(order.key))
    by_new = [await stock.contact("A-1", fingerprint=NEW, confirms=True) for _ in range(2)]

    assert {str(one.subject) for answer in by_stolen for one in answer.ordered} == {"container/A-1/1"}
    assert not still.confirmed
    assert [str(one.subject) for one in by_new[0].ordered] == ["licence/L-1/2"]
    assert by_new[1].settled == (order.key,)
    assert (await stock.backend.withdraw(stock.next(order.key))).confirmed


@pytest.mark.parametrize("shown", [{"generation": 1}, {"fingerprint": OLD}])
@pytest.mark.parametrize("measure", [Measure.WITHDRAWAL, Measure.DEACTIVATION])
async def test_after_an_activation_the_old_machine_is_told_what_is_ordered_for_single_licences_on_it(
    stock: Stock, measure: Measure, shown: dict[str, Any]
) -> None:
    await stock.container("A-1", "L-1", "L-2", kind=Kind.ACT)
    key = await stock.claim(stock.loss("A-1", "L-1", kind=Kind.ACT, reason=Reason.HARDWARE_REPLACED))
    await stock.backend.assess(key)
    await stock.backend.block(BlockOrder(key=key, measures=(MeasureToOrder(measure=measure),), aim=Aim.LICENCE))
    order = IssueOrder(key=key, measures=(measure,), recovery=Recovery.NEXT_GENERATION, target=Target.ACTIVATION)
    await stock.backend.issue(order)
    await stock.activate("A-1", NEW)
    assert isinstance(await stock.backend.issue(stock.anew(order)), Issued)

    by_new = await stock.contact("A-1", fingerprint=NEW, confirms=True)
    by_old = [await stock.contact("A-1", **shown) for _ in range(2)]
    removed = await stock.contact("A-1", confirms=True, **shown)

    assert (by_new.refused, by_new.ordered) == (False, ())
    assert [[str(one.subject) for one in answer.ordered] for answer in by_old] == [["licence/L-1/1"]] * 2
    assert removed.settled == ((key,) if measure is Measure.WITHDRAWAL else ())


def asks(stock: Stock, subject: str = "crm", role: PrincipalRole = PrincipalRole.BACK_OFFICE) -> Principal:
    return Principal(vendor=stock.vendor, subject=subject, roles=(role,), door="test")


async def test_a_code_is_fetched_by_the_holder_or_the_back_office_and_the_container_is_unknown_to_others(
    stock: Stock,
) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    await stock.container("K-1", "L-2", kind=Kind.CLOUD)
    await stock.backend.take_delegation(
        principal(stock.vendor),
        DelegationStatement(delegation="G-1", delegate="seller", holders=("h-1",), until=NOW + timedelta(days=9)),
        NOW,
    )
    holder = asks(stock, "h-1", PrincipalRole.HOLDER)
    by_issuer = asks(stock, "corp:auth0|5f", PrincipalRole.HOLDER).model_copy(update={"on_behalf_of": "h-1"})
    for others in (asks(stock, "h-2", PrincipalRole.HOLDER), asks(stock, "seller", PrincipalRole.DELEGATE)):
        for asked in (stock.backend.activation_code(others, "A-1"), stock.backend.access_link(others, "K-1")):
            with pytest.raises(RefusalError) as refused:
                await asked
            assert refused.value.code is Code.UNKNOWN_CONTAINER

    links = [await stock.backend.access_link(who, "K-1") for who in (holder, by_issuer, asks(stock))]
    assert len({link.token for link in links}) == 1
    for who in (holder, by_issuer, asks(stock)):
        with pytest.raises(RefusalError) as none:
            await stock.backend.activation_code(who, "A-1")
        assert none.value.code is not Code.UNKNOWN_CONTAINER


async def test_what_triage_advises_is_what_an_activation_comes_to_and_nothing_is_written(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    statement = await stock.facts(Fact)

    same = await stock.backend.triage(asks(stock), "A-1", OLD)
    other = await stock.backend.triage(asks(stock, "h-1", PrincipalRole.HOLDER), "A-1", NEW)

    assert (same.advice, same.changed) == (Advice.ACTIVATE, ())
    assert (other.advice, other.reason, other.same) == (Advice.REPORT, Reason.HARDWARE_REPLACED, ())
    assert await stock.facts(Fact) == statement
    assert not (await stock.activate("A-1", OLD)).refused
    assert (await stock.activate("A-1", NEW)).code == Code.FINGERPRINT_MISMATCH


async def test_triage_says_which_case_blocks_or_waits_for_the_machine(stock: Stock) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    order = await awaiting(stock)

    stolen = await stock.backend.triage(asks(stock), "A-1", THIEF)
    mine = await stock.backend.triage(asks(stock), "A-1", NEW)

    assert (stolen.advice, stolen.cases) == (Advice.SETTLE, (order.key.case,))
    assert (mine.advice, mine.code, mine.cases) == (
        Advice.ACTIVATE,
        Code.ACTIVATION_CODE_MISSING,
        (order.key.case,),
    )


@pytest.mark.parametrize("role", sorted(set(PrincipalRole) - {PrincipalRole.BACK_OFFICE}))
async def test_a_container_is_unknown_to_whom_triage_is_not_for(stock: Stock, role: PrincipalRole) -> None:
    await stock.container("A-1", "L-1", kind=Kind.ACT)
    with pytest.raises(RefusalError) as refused:
        await stock.backend.triage(asks(stock, "h-2", role), "A-1", OLD)
    with pytest.raises(RefusalError) as unknown:
        await stock.backend.triage(asks(stock, "h-2", role), "A-2", OLD)
    assert (refused.value.code, str(refused.value).replace("A-1", "A-2")) == (unknown.value.code, str(unknown.value))
