"""Access data of cloud containers: set once by a link, recognised when old, guarded against guessing, never told."""

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from argon2 import extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY

from activities.licensing.access_data import HASHER as HASHER_OF_THE_PRODUCT
from activities.licensing.access_rules import LINK_DAYS, RECOGNISED
from activities.licensing.guess_rules import INTERVAL, TRIES
from events.backend_facts import (
    AccessLapsed,
    AccessSet,
    ContactRefused,
    LicenceRenewed,
    MeasureConfirmed,
    MeasureFact,
    SessionsEnded,
)
from events.errors import Code, RefusalError
from events.ports.licensing_backend import BlockOrder, CloseOrder, Issued, MeasureToOrder, NoTargetFound, SignInAnswer
from events.terms import Aim, Contact, ContactId, Kind, Measure, Reason, Serial, Verdict
from tests.contract.stock import NOW, Stock
from tests.given import principal

CLOUD = Serial("cloud-1")
FIRST, SECOND = "the first long password", "the second long password"


async def set_up(stock: Stock, password: str = FIRST) -> None:
    await stock.container(CLOUD, "L-1", kind=Kind.CLOUD)
    await set_by_link(stock, password)


async def set_by_link(stock: Stock, password: str) -> str:
    link = await stock.backend.access_link(principal(stock.vendor), CLOUD)
    await stock.backend.set_access(stock.vendor, CLOUD, link.token, password, link.until - timedelta(days=1))
    return link.token


async def sign_in(
    stock: Stock, password: str, contact: str, seconds: float = 0, origin: str | None = None
) -> SignInAnswer:
    at = NOW + timedelta(hours=1, seconds=seconds)
    stock.clock.now = at
    return await stock.backend.sign_in(stock.vendor, ContactId(contact), CLOUD, password, at, origin)


def test_passwords_are_hashed_as_the_standard_recommends() -> None:
    assert extract_parameters(HASHER_OF_THE_PRODUCT.hash(FIRST)) == RFC_9106_LOW_MEMORY


async def test_a_link_is_the_same_when_asked_again_and_good_once(stock: Stock) -> None:
    await stock.container(CLOUD, kind=Kind.CLOUD)
    links = [await stock.backend.access_link(principal(stock.vendor), CLOUD) for _ in range(2)]
    token = await set_by_link(stock, FIRST)

    assert links[0] == links[1]
    with pytest.raises(RefusalError) as used:
        await stock.backend.set_access(stock.vendor, CLOUD, token, SECOND, NOW)
    with pytest.raises(RefusalError) as owed:
        await stock.backend.access_link(principal(stock.vendor), CLOUD)
    assert used.value.code is owed.value.code is Code.BAD_LINK
    assert (await sign_in(stock, FIRST, "C-1")).session


@pytest.mark.parametrize("late", [False, True])
async def test_a_wrong_or_old_link_sets_nothing(stock: Stock, late: bool) -> None:
    await stock.container(CLOUD, kind=Kind.CLOUD)
    link = await stock.backend.access_link(principal(stock.vendor), CLOUD)
    at = link.until + timedelta(days=LINK_DAYS) if late else link.until - timedelta(days=1)

    with pytest.raises(RefusalError) as refused:
        await stock.backend.set_access(stock.vendor, CLOUD, link.token if late else "guessed", FIRST, at)

    assert refused.value.code is Code.BAD_LINK


async def test_of_two_who_set_at_once_one_wins(stock: Stock) -> None:
    await stock.container(CLOUD, kind=Kind.CLOUD)
    link = await stock.backend.access_link(principal(stock.vendor), CLOUD)
    at = link.until - timedelta(days=1)

    answers = await asyncio.gather(
        *(stock.backend.set_access(stock.vendor, CLOUD, link.token, word, at) for word in (FIRST, SECOND)),
        return_exceptions=True,
    )

    assert sum(isinstance(answer, RefusalError) for answer in answers) == 1
    assert len([fact for fact in await stock.all_facts() if isinstance(fact, AccessSet)]) == 1


async def test_a_short_password_is_refused(stock: Stock) -> None:
    with pytest.raises(RefusalError) as refused:
        await set_up(stock, "short")

    assert refused.value.code is Code.INVALID_DATA


@pytest.mark.parametrize("reason", [Reason.FORGOTTEN, Reason.STOLEN])
async def test_access_data_that_were_good_before_are_not_set_again(stock: Stock, reason: Reason) -> None:
    words = [f"long password number {number}" for number in range(RECOGNISED + 1)]
    await set_up(stock, words[0])
    for word in words[1:]:
        await stock.backend.issue(await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.STOLEN))
        await set_by_link(stock, word)
    await stock.backend.issue(await stock.lost(CLOUD, kind=Kind.CLOUD, reason=reason))

    for word in words:  # also one that is recognised no more
        with pytest.raises(RefusalError) as refused:
            await set_by_link(stock, word)
        assert refused.value.code is Code.INVALID_DATA
    await set_by_link(stock, FIRST)

    assert [(await sign_in(stock, word, word[-1])).session for word in words] == [None] * len(words)
    assert (await sign_in(stock, FIRST, "C-1")).session


async def test_a_wrong_link_does_not_say_whether_a_password_was_good_before(stock: Stock) -> None:
    await set_up(stock)
    await stock.backend.issue(await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.STOLEN))

    with pytest.raises(RefusalError) as refused:
        await stock.backend.set_access(stock.vendor, CLOUD, "guessed", FIRST, NOW)

    assert refused.value.code is Code.BAD_LINK


async def test_forgotten_waits_for_the_holder_and_leaves_the_old_good_until_then(stock: Stock) -> None:
    await set_up(stock)
    order = await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.FORGOTTEN)

    assert isinstance(await stock.backend.issue(order), NoTargetFound)
    assert (await sign_in(stock, FIRST, "C-1")).session
    await set_by_link(stock, SECOND)
    answer = await stock.backend.issue(order)

    assert isinstance(answer, Issued)
    assert await stock.backend.issue(order) == answer
    old = await sign_in(stock, FIRST, "C-2")
    assert (old.session, old.code, old.cases) == (None, Code.SUPERSEDED, (order.key,))
    assert (await sign_in(stock, SECOND, "C-3")).session


async def test_stolen_ends_all_sessions_and_the_old_access_data_are_a_sighting(stock: Stock) -> None:
    await set_up(stock)
    await sign_in(stock, FIRST, "C-1")
    order = await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.STOLEN)
    answer = await stock.backend.issue(order)
    old = await sign_in(stock, FIRST, "C-2")
    again = await sign_in(stock, FIRST, "C-2")
    await set_by_link(stock, SECOND)

    assert isinstance(answer, Issued)
    assert await stock.backend.issue(order) == answer
    assert (old.session, old.code, old.cases) == (None, Code.BLOCKED, (order.key,))
    assert again == old
    assert (await sign_in(stock, SECOND, "C-3")).session
    facts = await stock.all_facts()
    assert [fact.sessions for fact in facts if isinstance(fact, SessionsEnded)] == [1]
    assert sum(isinstance(fact, ContactRefused) for fact in facts) == 1
    assert sum(isinstance(fact, MeasureConfirmed) for fact in facts) == 1


HALF = "\ud800" * 12
"""Halves of surrogate pairs, as JSON can bring them: no text in UTF-8."""


async def test_what_is_no_text_is_no_password_and_no_link(stock: Stock) -> None:
    with pytest.raises(RefusalError) as refused:
        await set_up(stock, HALF)
    with pytest.raises(RefusalError) as wrong:
        await stock.backend.set_access(stock.vendor, CLOUD, HALF, FIRST, NOW)
    await set_by_link(stock, FIRST)

    assert (refused.value.code, wrong.value.code) == (Code.INVALID_DATA, Code.BAD_LINK)
    for number, guess in enumerate((HALF, "x" * 1_000_000)):
        assert (await sign_in(stock, guess, f"C-{number}")).code == Code.BAD_ACCESS_DATA
    assert (await sign_in(stock, FIRST, "C-right")).session


@pytest.mark.parametrize("typed", ["", "a name", "a\0b", HALF, "x" * 81, "C-1\n"])
async def test_what_is_no_name_is_no_contacts_number_and_no_known_serial(stock: Stock, typed: str) -> None:
    await set_up(stock)
    for password in (FIRST, SECOND):
        with pytest.raises(RefusalError) as refused:
            await sign_in(stock, password, typed)
        assert refused.value.code is Code.INVALID_DATA
        refused.value.sentence.encode()

    serial = Serial(typed)
    for call in (
        stock.backend.access_link(principal(stock.vendor), serial),
        stock.backend.activation_code(principal(stock.vendor), serial),
        stock.backend.set_access(stock.vendor, serial, "guessed", FIRST, NOW),
        stock.backend.sign_in(stock.vendor, ContactId("C-1"), serial, FIRST, NOW),
    ):
        with pytest.raises(RefusalError) as unknown:
            await call
        assert unknown.value.code is Code.UNKNOWN_CONTAINER
        unknown.value.sentence.encode()


async def test_strangers_together_get_a_few_guesses_and_then_one_a_minute(stock: Stock) -> None:
    await set_up(stock)
    for number in range(TRIES):
        guess = await sign_in(stock, f"guess number {number}", f"C-{number}", origin=f"o-{number}")
        assert guess.code == Code.BAD_ACCESS_DATA

    seconds = INTERVAL.total_seconds()
    locked = await sign_in(stock, FIRST, "C-x", seconds=seconds - 1, origin="another")

    assert (locked.session, locked.code) == (None, Code.LOCKED_OUT)
    assert [fact.code for fact in await stock.facts(ContactRefused)][-1] == Code.LOCKED_OUT
    assert (await sign_in(stock, FIRST, "C-y", seconds=seconds + 1)).session


async def test_whoever_guesses_the_holder_gets_in_from_where_they_signed_in_before(stock: Stock) -> None:
    await set_up(stock)
    assert (await sign_in(stock, FIRST, "C-0", origin="home")).session
    for number in range(1, 30):  # a wrong one an hour kept the holder out for good
        await sign_in(stock, f"guess number {number}", f"C-{number}", seconds=number)

    from_home = await sign_in(stock, FIRST, "C-x", seconds=30, origin="home")
    from_elsewhere = await sign_in(stock, FIRST, "C-y", seconds=30, origin="elsewhere")

    assert from_home.session
    assert from_elsewhere.code == Code.LOCKED_OUT
    assert (await sign_in(stock, FIRST, "C-z", seconds=3600, origin="elsewhere")).session


async def test_guesses_that_a_clock_far_ahead_counted_lock_for_no_longer_than_others_and_give_none_back(
    stock: Stock,
) -> None:
    await set_up(stock)
    year, minutes = 365 * 86_400, INTERVAL.total_seconds()
    for number in range(TRIES + 1):
        await sign_in(stock, f"guess number {number}", f"C-{number}", seconds=year)

    at_once = [(await sign_in(stock, f"another {number}", f"D-{number}")).code for number in range(3)]
    then = await sign_in(stock, FIRST, "E-1", seconds=minutes)

    assert set(at_once) == {Code.LOCKED_OUT}
    assert then.session


async def test_of_new_access_data_nothing_was_guessed(stock: Stock) -> None:
    await set_up(stock)
    for number in range(TRIES + 1):
        locked = await sign_in(stock, f"guess number {number}", f"C-{number}")
    order = await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.STOLEN)
    await stock.backend.issue(order)
    await set_by_link(stock, SECOND)

    assert locked.code == Code.LOCKED_OUT
    assert (await sign_in(stock, SECOND, "C-x")).session


async def test_a_sign_in_is_a_contact_that_renews_leases_and_is_remembered(stock: Stock) -> None:
    await set_up(stock)

    answer = await sign_in(stock, FIRST, "C-1")

    assert len(answer.files) == 1
    assert await sign_in(stock, FIRST, "C-1") == answer
    assert [fact.file for fact in await stock.facts(LicenceRenewed)] == list(answer.files)
    order = await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.FORGOTTEN)
    assert (await stock.backend.assess(order.key)).facts.last_contact == NOW + timedelta(hours=1)


async def test_a_sign_in_is_judged_as_the_same_contact_is(stock: Stock) -> None:
    await set_up(stock)
    key = await stock.claim(stock.loss(CLOUD, kind=Kind.CLOUD, reason=Reason.STOLEN))
    measures = (MeasureToOrder(measure=Measure.WITHDRAWAL), MeasureToOrder(measure=Measure.BLACKLISTING))
    await stock.backend.block(BlockOrder(key=key, measures=measures, aim=Aim.ACCESS_DATA))

    signed_in = await sign_in(stock, FIRST, "C-1")
    states = [(fact.name, fact.measure) for fact in await stock.facts(MeasureFact)][2:]
    contacted = await stock.contact(CLOUD, generation=1, how=Contact.SIGN_IN)

    assert (signed_in.code, signed_in.cases) == (contacted.code, contacted.cases) == (Code.BLOCKED, (key,))
    assert await stock.messages(key) == [("report", 1), ("sighting", 2), ("sighting", 3)]
    assert states == [
        ("measure.delivered", Measure.BLACKLISTING),
        ("measure.delivered", Measure.WITHDRAWAL),
        ("measure.confirmed", Measure.BLACKLISTING),
    ]


async def test_old_access_data_of_which_nothing_is_blocked_are_a_sighting_all_the_same(stock: Stock) -> None:
    await set_up(stock)
    order = await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.STOLEN, delay_hours=24)
    await stock.backend.issue(order)

    old = await sign_in(stock, FIRST, "C-1")

    assert (old.session, old.code, old.cases) == (None, Code.SUPERSEDED, (order.key,))


async def test_a_sign_in_is_judged_as_every_contact_is_and_confirms_no_removal(stock: Stock) -> None:
    await set_up(stock)
    key = await stock.claim(stock.loss(CLOUD, kind=Kind.CLOUD, reason=Reason.STOLEN))
    removal = MeasureToOrder(measure=Measure.WITHDRAWAL)
    await stock.backend.block(BlockOrder(key=key, measures=(removal,), aim=Aim.ACCESS_DATA))

    answers = [await sign_in(stock, FIRST, f"C-{number}") for number in range(2)]

    assert [(answer.session, answer.code, answer.cases) for answer in answers] == [(None, Code.BLOCKED, (key,))] * 2
    names = [fact.name for fact in await stock.facts(MeasureFact)]
    assert names == ["measure.ordered", "measure.delivered"]
    assert not await stock.facts(MeasureConfirmed)


async def test_access_data_that_nobody_set_are_offered_anew_to_the_next_case(stock: Stock) -> None:
    await set_up(stock)
    lapsed = await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.FORGOTTEN)
    first = await stock.backend.issue(lapsed)
    await stock.backend.close(CloseOrder(key=lapsed.key, recovered=False))
    stock.pass_(timedelta(seconds=1))
    order = await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.FORGOTTEN)

    second = await stock.backend.issue(order)

    assert isinstance(first, NoTargetFound)
    assert isinstance(second, NoTargetFound)
    assert order.key != lapsed.key
    assert second.at > first.at
    assert await stock.backend.issue(order) == second


@pytest.mark.parametrize("days", [1, 30])
async def test_access_data_that_nobody_set_lapse_once_with_their_case_be_their_link_over_or_not(
    stock: Stock, days: int
) -> None:
    await set_up(stock)
    order = await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.FORGOTTEN)
    assert isinstance(await stock.backend.issue(order), NoTargetFound)
    stock.pass_(timedelta(days=days))

    await stock.backend.close(stock.anew(CloseOrder(key=order.key, recovered=False)))
    await stock.backend.close(stock.anew(CloseOrder(key=order.key, recovered=False)))

    assert [(fact.generation, fact.case) for fact in await stock.facts(AccessLapsed)] == [(2, order.key.case)]


async def test_a_delayed_blacklisting_leaves_no_session_open_after_the_rotation(stock: Stock) -> None:
    await set_up(stock)
    order = await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.STOLEN, delay_hours=24)
    between = await sign_in(stock, FIRST, "C-1", seconds=-3650 * 86_400)  # before it takes effect

    await stock.backend.issue(order)

    assert between.session
    assert [fact.sessions for fact in await stock.facts(SessionsEnded)] == [1]
    assert (await sign_in(stock, FIRST, "C-2")).session is None


async def test_no_secret_is_in_any_fact(stock: Stock) -> None:
    await set_up(stock)
    session = (await sign_in(stock, FIRST, "C-1")).session
    assert session

    text = "".join(fact.model_dump_json() for fact in await stock.all_facts())

    assert FIRST not in text
    assert session not in text
    assert "argon2" not in text


async def test_a_contact_number_that_was_served_gives_no_session_to_other_access_data(stock: Stock) -> None:
    await set_up(stock)
    await sign_in(stock, FIRST, "C-1")
    order = await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.STOLEN)
    await stock.backend.issue(order)
    await set_by_link(stock, SECOND)
    session = (await sign_in(stock, SECOND, "C-2")).session

    stolen = await sign_in(stock, FIRST, "C-2")

    assert session
    assert (stolen.session, stolen.code, stolen.cases) == (None, Code.BLOCKED, (order.key,))
    assert (await sign_in(stock, SECOND, "C-2")).session == session
    assert (await sign_in(stock, FIRST, "C-1")).session is None


async def test_guesses_at_once_are_locked_out_as_well(stock: Stock) -> None:
    await set_up(stock)

    answers = await asyncio.gather(
        *(sign_in(stock, f"guess number {number}", f"C-{number}") for number in range(TRIES * 3))
    )

    codes = Counter(answer.code for answer in answers)
    assert codes == {Code.BAD_ACCESS_DATA: TRIES, Code.LOCKED_OUT: TRIES * 2}


@pytest.mark.parametrize("reason", [Reason.FORGOTTEN, Reason.STOLEN])
@pytest.mark.parametrize("closing", [{"recovered": False, "lift": True}, {"recovered": True, "flag": Verdict.FRAUD}])
async def test_the_link_of_a_case_that_is_closed_in_any_way_is_dead_from_the_close_on(
    stock: Stock, reason: Reason, closing: dict[str, Any]
) -> None:
    await set_up(stock)
    order = await stock.lost(CLOUD, kind=Kind.CLOUD, reason=reason)
    await stock.backend.issue(order)
    link = await stock.backend.access_link(principal(stock.vendor), CLOUD)
    for _ in range(2):
        await stock.backend.close(CloseOrder(key=order.key, **closing))

    with pytest.raises(RefusalError) as late:
        await stock.backend.set_access(stock.vendor, CLOUD, link.token, SECOND, link.until - timedelta(days=1))
    with pytest.raises(RefusalError) as anew:
        await stock.backend.access_link(principal(stock.vendor), CLOUD)
    with pytest.raises(RefusalError) as issued:
        await stock.backend.issue(order.model_copy(update={"measures": (), "number": 1}))

    assert late.value.code is anew.value.code is Code.BAD_LINK
    assert issued.value.code is Code.TOO_LATE
    assert [fact.case for fact in await stock.facts(AccessLapsed)] == [order.key.case]
    if reason is Reason.FORGOTTEN:
        assert (await sign_in(stock, FIRST, "C-1")).session


async def test_access_data_that_a_closed_case_owed_are_had_anew_by_another_case(stock: Stock) -> None:
    await set_up(stock)
    stolen = await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.STOLEN)
    await stock.backend.issue(stolen)
    dead = await stock.backend.access_link(principal(stock.vendor), CLOUD)
    await stock.backend.close(CloseOrder(key=stolen.key, recovered=True))
    order = await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.FORGOTTEN)
    await stock.backend.issue(order)

    token = await set_by_link(stock, SECOND)

    assert token != dead.token
    assert isinstance(await stock.backend.issue(order), Issued)
    assert (await sign_in(stock, SECOND, "C-1")).session


async def test_the_link_for_first_access_data_outlives_a_case(stock: Stock) -> None:
    await stock.container(CLOUD, "L-1", kind=Kind.CLOUD)
    first = await stock.backend.access_link(principal(stock.vendor), CLOUD)
    order = await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.FORGOTTEN)
    await stock.backend.issue(order)
    await stock.backend.close(CloseOrder(key=order.key, recovered=False))

    assert await stock.backend.access_link(principal(stock.vendor), CLOUD) == first


@pytest.mark.parametrize("serial", ["D-1", CLOUD, "K-2"])
async def test_a_stranger_who_guesses_uses_up_no_number_of_a_contact(stock: Stock, serial: str) -> None:
    await set_up(stock)
    await stock.container("D-1", "L-2")
    await stock.container("K-2", "L-3", kind=Kind.CLOUD)
    wrong = await sign_in(stock, "not the password", "C-100")

    answer = await stock.contact(serial, contact="C-100")

    assert (wrong.session, wrong.code) == (None, Code.BAD_ACCESS_DATA)
    assert (answer.refused, len(answer.files)) == (False, 1)
    assert await sign_in(stock, "not the password", "C-100") == wrong


async def test_superseded_access_data_are_a_sighting_and_a_fact_under_a_number_that_served_them_before(
    stock: Stock,
) -> None:
    await set_up(stock)
    assert (await sign_in(stock, FIRST, "C-1")).session
    order = await stock.lost(CLOUD, kind=Kind.CLOUD, reason=Reason.STOLEN, delay_hours=24)
    assert isinstance(await stock.backend.issue(order), Issued)
    stock.clock.now = NOW

    again = [await stock.backend.sign_in(stock.vendor, ContactId("C-1"), CLOUD, FIRST, NOW) for _ in range(2)]
    fresh = await stock.backend.sign_in(stock.vendor, ContactId("C-2"), CLOUD, FIRST, NOW)

    for answer in (*again, fresh):
        assert (answer.session, answer.code, answer.cases) == (None, Code.SUPERSEDED, (order.key,))
    assert [kind for kind, _ in await stock.messages(order.key)].count("sighting") == 2
    assert [(fact.contact, fact.code, fact.cases) for fact in await stock.facts(ContactRefused)] == [
        (number, Code.SUPERSEDED, (order.key.case,)) for number in ("C-1", "C-2")
    ]
