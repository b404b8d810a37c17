"""Whole random journeys in memory breach nothing, the views take their log, and the same seed gives the same ones."""

import pytest

from activities import rows as backend_rows
from events.backend_facts import AccessLapsed
from events.errors import Code, RefusalError
from events.log import Position
from events.terms import Kind, Outcome, Reason, Reporter, Role, Scope, Status
from projections.folds import fold_fact
from projections.invariants import check
from projections.rows import Rows
from projections.tables import CASES
from simulation.journeys import journey, simulate
from simulation.world import World
from workflows.policy import Policy


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


@pytest.mark.parametrize("number", range(40))
def test_the_log_of_a_journey_breaches_nothing_and_its_views_say_what_the_cases_know(number: int) -> None:
    world = journey(seed=11, number=number, cases=8)
    rows = Rows()

    for offset, fact in enumerate(world.facts):
        fold_fact(rows, Position(0, offset), fact._replace(data=fact.fact.model_dump(mode="json")))
    rows.finish()

    assert check(world.facts) == []
    assert {key[1]: row.status for key, row in rows.fresh[CASES].items()} == {
        case: state.status for case, state in world.cases.items()
    }


@pytest.mark.parametrize("verdict", ["fraud", "clone", "used_after_loss"])
def test_access_data_that_a_closed_case_owed_are_set_by_nobody(verdict: str) -> None:
    world = World(Policy(supervisors=("ann",)))
    world.register("C-1", Kind.CLOUD, "h-1")
    world.licence("L-1", "C-1")
    crm = Reporter(role=Role.BACK_OFFICE, name="crm")
    case = world.report("R-1", "C-1", Kind.CLOUD, Reason.STOLEN, crm)
    world.found("F-1", "C-1", crm)
    world.decide(case, "rule", "ann", "D-1", verdict=verdict)

    with pytest.raises(RefusalError) as refused:
        world.set_access("C-1")

    assert refused.value.code is Code.BAD_LINK
    assert [one.fact.case for one in world.facts if isinstance(one.fact, AccessLapsed)] == [case]


def test_a_container_in_memory_is_full_at_the_same_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend_rows, "CONTAINER_LICENCES", 2)
    world = World(Policy())
    for serial in ("D-1", "D-2"):
        world.register(serial, Kind.DONGLE, "h-1")
    for name in ("L-1", "L-2"):
        world.licence(name, "D-1")
    world.licence("L-3", "D-2")

    with pytest.raises(RefusalError, match="put this one into another container") as refused:
        world.licence("L-4", "D-1")
    case = world.report(
        "R-1",
        "D-1",
        Kind.DONGLE,
        Reason.LOST,
        Reporter(role=Role.BACK_OFFICE, name="crm"),
        Scope.LICENCES,
        ("L-1", "L-2"),
    )

    assert refused.value.code is Code.CONTAINER_FULL
    assert world.cases[case].status is Status.AWAITING_TARGET
