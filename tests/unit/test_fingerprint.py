"""How like the known machine another must be to count as the same hardware."""

import pytest

from events.fingerprint import matches
from events.terms import Match


@pytest.mark.parametrize(
    ("known", "needed"),
    [
        (1, {Match.ANY: 1, Match.TWO: 1, Match.MOST: 1, Match.ALL: 1}),
        (2, {Match.ANY: 1, Match.TWO: 2, Match.MOST: 2, Match.ALL: 2}),
        (3, {Match.ANY: 1, Match.TWO: 2, Match.MOST: 2, Match.ALL: 3}),
        (4, {Match.ANY: 1, Match.TWO: 2, Match.MOST: 3, Match.ALL: 4}),
        (5, {Match.ANY: 1, Match.TWO: 2, Match.MOST: 3, Match.ALL: 5}),
    ],
)
@pytest.mark.parametrize("match", Match)
def test_so_many_factors_must_be_as_they_were(match: Match, known: int, needed: dict[Match, int]) -> None:
    machine = {f"factor-{number}": "as it was" for number in range(known)}

    for same in range(known + 1):
        shown = {name: "as it was" if number < same else "another" for number, name in enumerate(machine)}
        assert matches(match, machine, shown) is (same >= needed[match])
        assert matches(match, machine, {**shown, "more": "as it was"}) is (same >= needed[match])


@pytest.mark.parametrize("match", Match)
def test_a_machine_that_nothing_is_known_of_is_no_other(match: Match) -> None:
    assert not matches(match, {}, {"board": "b1"})
