"""Whole random journeys in memory breach nothing, and are the same for the same seed."""

from events.terms import Outcome, Status
from simulation.journeys import simulate


def test_journeys_breach_no_invariant_and_come_to_many_ends() -> None:
    result = simulate(seed=7, cases=200)

    assert result.violations == []
    assert result.cases == 200
    assert sum(result.outcomes.values()) == 200
    assert len(result.outcomes) > 10
    assert result.outcomes.keys() <= {*Outcome, *Status}


def test_the_same_seed_gives_the_same_journeys() -> None:
    assert simulate(seed=3, cases=30) == simulate(seed=3, cases=30)
    assert simulate(seed=3, cases=30) != simulate(seed=4, cases=30)
