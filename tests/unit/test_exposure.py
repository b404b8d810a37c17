"""Exposure: the latest end of what was lost, which measures only ever shorten."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from events.measure_subject import Subject
from events.terms import Aim
from tests.unit.facts import NOW, licence
from workflows.exposure import exposure

SOON, LATER = NOW + timedelta(days=7), NOW + timedelta(days=30)
days = st.integers(-100, 100).map(lambda number: NOW + timedelta(days=number))


def test_a_file_that_nothing_limits_is_exposed_for_ever() -> None:
    found = exposure([licence(1, expires=SOON), licence(2)], {})

    assert (found.for_ever, found.until) == (True, None)


def test_the_latest_end_of_lease_and_loan_counts() -> None:
    found = exposure([licence(1, expires=SOON), licence(2, expires=SOON, borrowed_until=LATER)], {})

    assert (found.for_ever, found.until) == (False, LATER)


def test_a_confirmed_measure_on_the_container_ends_all_of_it() -> None:
    found = exposure([licence(1), licence(2, expires=LATER)], {Subject(Aim.CONTAINER, "3-1", 1): SOON})

    assert found.until == SOON


def test_a_confirmed_measure_on_one_licence_ends_that_one() -> None:
    found = exposure([licence(1), licence(2, expires=LATER)], {Subject(Aim.LICENCE, "L-1", 1): SOON})

    assert [one.until for one in found.licences] == [SOON, LATER]


def test_without_licences_nothing_is_exposed() -> None:
    assert exposure([], {}).model_dump() == {"for_ever": False, "until": None, "licences": ()}


@given(
    ends=st.lists(st.none() | days, min_size=1, max_size=4),
    confirmed=st.dictionaries(st.sampled_from([1, 2, 3, 4]), days, max_size=4),
    another=days,
)
def test_one_more_confirmed_measure_never_lengthens_it(
    ends: list[datetime | None], confirmed: dict[int, datetime], another: datetime
) -> None:
    lost = [licence(number, expires=end) for number, end in enumerate(ends, start=1)]
    before = {Subject(Aim.LICENCE, f"L-{number}", 1): at for number, at in confirmed.items()}
    long = exposure(lost, before)
    short = exposure(lost, {**before, Subject(Aim.CONTAINER, "3-1", 1): another})

    assert long.for_ever or (not short.for_ever and (short.until or NOW) <= (long.until or NOW))
    assert not short.for_ever
