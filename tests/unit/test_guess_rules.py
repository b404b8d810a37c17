"""Wrong passwords: how many a container takes, from whom, and that nobody who guesses keeps the holder out."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.licensing.guess_rules import INTERVAL, ORIGINS_LIMIT, TRIES, Guesses
from activities.licensing.guesses import ORIGIN_LENGTH_LIMIT, named
from activities.licensing.signing import SigningKeys
from events.errors import Code, RefusalError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOME = "home"
ORIGINS = st.none() | st.sampled_from([HOME, "office", "a thief's", "another"])
GAPS = st.timedeltas(timedelta(), 2 * INTERVAL)
EVENTS = st.lists(st.tuples(ORIGINS, GAPS), max_size=60)


def guess(guesses: Guesses, several: list[tuple[str | None, timedelta]], at: datetime) -> tuple[Guesses, datetime, int]:
    """Wrong guesses, each so long after the one before; how many of them were compared."""
    compared = 0
    for origin, gap in several:
        at += gap
        guesses = guesses.bounded(at)
        if guesses.may_guess(origin, at):
            guesses, compared = guesses.after_wrong(origin, at), compared + 1
    return guesses, at, compared


@given(several=st.lists(st.tuples(st.none() | st.sampled_from(["a", "b", "c"]), GAPS), max_size=60))
def test_strangers_together_get_a_few_guesses_and_then_one_a_minute(
    several: list[tuple[str | None, timedelta]],
) -> None:
    _, at, compared = guess(Guesses(), several, NOW)

    assert compared <= TRIES + (at - NOW) / INTERVAL


@given(strangers=EVENTS)
def test_whoever_guesses_the_holder_gets_in_from_a_known_origin(strangers: list[tuple[str | None, timedelta]]) -> None:
    known = Guesses().after_right(HOME)
    others = [(origin, gap) for origin, gap in strangers if origin != HOME]

    guesses, at, _ = guess(known, others, NOW)

    assert guesses.may_guess(HOME, at)


@given(several=EVENTS)
def test_what_is_not_compared_puts_nothing_off(several: list[tuple[str | None, timedelta]]) -> None:
    guesses, at, _ = guess(Guesses().after_right(HOME), several, NOW)

    for origin in (None, HOME, "another"):
        assert guesses.may_guess(origin, at + INTERVAL)


def test_a_known_origin_has_guesses_of_its_own_and_no_more_than_strangers() -> None:
    known = Guesses().after_right(HOME)

    guesses, _, compared = guess(known, [(HOME, SECOND)] * 20, NOW)

    assert compared == TRIES
    assert not guesses.may_guess(HOME, NOW + 20 * SECOND)
    assert guesses.may_guess(None, NOW + 20 * SECOND)
    assert guesses.after_right(HOME).may_guess(HOME, NOW + 20 * SECOND)


def test_who_signs_in_gives_strangers_no_guesses_back() -> None:
    guesses, at, _ = guess(Guesses(), [(None, SECOND)] * TRIES, NOW)

    assert not guesses.after_right(HOME).may_guess(None, at)
    assert not guesses.after_right(None).may_guess(None, at)
    assert guesses.after_right(HOME).may_guess(HOME, at)


def test_time_gives_all_guesses_back() -> None:
    guesses, at, _ = guess(Guesses(), [(None, SECOND)] * 20, NOW)

    assert guess(guesses, [(None, timedelta())] * 20, at + TRIES * INTERVAL)[2] == TRIES


@given(several=EVENTS)
def test_of_new_access_data_nothing_was_guessed_and_known_origins_stay_known(
    several: list[tuple[str | None, timedelta]],
) -> None:
    guesses, at, _ = guess(Guesses().after_right(HOME), several, NOW)
    anew = guesses.after_new_access()

    assert guess(anew, [(None, timedelta())] * 20, at)[2] == guess(anew, [(HOME, timedelta())] * 20, at)[2] == TRIES


@given(back=st.timedeltas(timedelta(), timedelta(days=4000)), several=EVENTS)
def test_a_clock_that_was_ahead_locks_nobody_out_for_longer_than_any_other(
    back: timedelta, several: list[tuple[str | None, timedelta]]
) -> None:
    guesses, _, _ = guess(Guesses().after_right(HOME), several, NOW + back)

    for origin in (None, HOME):
        assert guess(guesses, [(origin, INTERVAL)] * 10, NOW)[2] >= 9


@given(back=st.timedeltas(timedelta(), timedelta(days=4000)), several=EVENTS)
def test_a_clock_that_was_ahead_gives_no_guess_back(
    back: timedelta, several: list[tuple[str | None, timedelta]]
) -> None:
    """Whatever was guessed by that clock: turned back, it allows no more at once than it allowed before."""
    guesses, ahead, _ = guess(Guesses().after_right(HOME), several, NOW + back)

    for origin in (None, HOME):
        before = guess(guesses, [(origin, timedelta())] * 20, ahead)[2]
        assert guess(guesses, [(origin, timedelta())] * 20, ahead - back)[2] <= before


@given(several=st.lists(st.integers(0, 60), max_size=100))
def test_so_many_origins_are_known_as_signed_in_last(several: list[int]) -> None:
    guesses = Guesses()
    for number in several:
        guesses = guesses.after_right(f"o-{number}")

    last = list(dict.fromkeys(f"o-{number}" for number in reversed(several)))[:ORIGINS_LIMIT]
    assert [one.name for one in reversed(guesses.origins)] == last


@pytest.fixture
def keys(tmp_path: Path) -> SigningKeys:
    keys = SigningKeys(tmp_path / "keys")
    keys.create("acme")
    return keys


@pytest.mark.parametrize("origin", ["", "x" * (ORIGIN_LENGTH_LIMIT + 1)])
def test_an_origin_has_a_length(keys: SigningKeys, origin: str) -> None:
    with pytest.raises(RefusalError) as refused:
        named(keys, "acme", origin)

    assert refused.value.code is Code.INVALID_DATA


def test_what_a_door_says_of_an_origin_is_not_kept(keys: SigningKeys) -> None:
    known = named(keys, "acme", "203.0.113.7")

    assert known == named(keys, "acme", "203.0.113.7") != named(keys, "acme", "203.0.113.8")
    assert "203.0.113.7" not in str(known)
    assert len(str(known)) == 32
    assert named(keys, "acme", None) is None
