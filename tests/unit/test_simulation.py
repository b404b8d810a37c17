"""Whole random journeys in memory breach nothing, the views take their log, and the same seed gives the same ones."""

from datetime import timedelta

import pytest

from activities.licensing import containers
from audit.invariants import check
from events.backend_facts import AccessLapsed, MeasureOrdered
from events.errors import Code, RefusalError
from events.log_records import Position
from events.terms import Kind, Outcome, Reason, Reporter, Role, Scope, Status, Undecided
from projections.batch_rows import Rows
from projections.folds import fold_fact
from projections.tables import CASES
from simulation.journeys import journey, simulate
from simulation.world import World
from workflows.policy import Approval, Policy, Rule


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
    monkeypatch.setattr(containers, "CONTAINER_LICENCES", 2)
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


OLD, NEW = {"board": "b1", "disk": "d1", "cpu": "c1"}, {"board": "b2", "disk": "d2", "cpu": "c2"}
CRM = Reporter(role=Role.BACK_OFFICE, name="crm")


def act(*licences: str) -> World:
    """A vendor with one act that holds these licences."""
    world = World(Policy(supervisors=("ann",)))
    world.register("A-1", Kind.ACT, "h-1", OLD)
    for name in licences:
        world.licence(name, "A-1")
    return world


def test_a_stolen_machine_gets_no_replacement_in_memory_and_the_holders_new_one_does() -> None:
    world = act("L-1")
    case = world.report("R-1", "A-1", Kind.ACT, Reason.COMPUTER_STOLEN, CRM)
    thief = {"fingerprint": {**OLD, "disk": "d9"}, "how": "activation"}
    right = world.activation_code("A-1")

    stolen = [world.contact("C-1", "A-1", **thief), world.contact("C-2", "A-1", **thief, activation_code=right)]
    asked = world.contact("C-3", "A-1", fingerprint=NEW, how="activation", activation_code=right)

    assert [(one.code, [key.case for key in one.cases]) for one in stolen] == [(Code.BLOCKED, [case])] * 2
    assert [key.case for key in asked.awaiting] == [case]
    assert world.cases[case].status is Status.WATCHING
    assert world.contact("C-4", "A-1").code == Code.GENERATION_MISSING
    assert world.contact("C-5", "A-1", **thief).code == Code.BLOCKED


def test_a_licence_in_the_cloud_is_not_effective_in_memory_while_its_access_data_are_blocked() -> None:
    world = World(Policy(rules=(Rule(wait_hours=24),)))
    world.register("C-1", Kind.CLOUD, "h-1")
    world.licence("L-1", "C-1")
    world.report("R-1", "C-1", Kind.CLOUD, Reason.STOLEN, CRM)
    blocked = world.effective()["L-1"]
    world.advance(timedelta(hours=25))
    rotated = world.effective()["L-1"]

    old, new = (world.contact(f"C-{number}", "C-1", how="sign_in", generation=number) for number in (1, 2))
    assert (blocked, rotated) == ([], [1])
    assert (old.code, new.refused) == (Code.BLOCKED, False)


def test_one_activation_serves_all_open_cases_in_memory_that_wait_for_one() -> None:
    world = act("L-1", "L-2")
    cases = [
        world.report(f"R-{name}", "A-1", Kind.ACT, Reason.HARDWARE_REPLACED, CRM, Scope.LICENCES, (name,))
        for name in ("L-1", "L-2")
    ]

    code = world.activation_code("A-1")
    asked = world.contact("C-1", "A-1", fingerprint=NEW, how="activation", activation_code=code)

    assert [key.case for key in asked.awaiting] == cases
    assert [world.cases[case].status for case in cases] == [Status.WATCHING] * 2
    assert world.effective() == {"L-1": [2], "L-2": [2]}
    assert [one.generation for one in world.containers] == [2]


def test_a_code_in_memory_is_dead_after_five_wrong_ones_and_once_its_case_is_closed() -> None:
    world = act("L-1")
    case = world.report("R-1", "A-1", Kind.ACT, Reason.HARDWARE_REPLACED, CRM)
    asks = {"fingerprint": NEW, "how": "activation"}
    first = world.activation_code("A-1")
    wrong = [world.contact(f"C-{number}", "A-1", **asks, activation_code="00000-00000").code for number in range(5)]
    late = world.contact("C-5", "A-1", **asks, activation_code=first)
    second = world.activation_code("A-1")
    world.found("F-1", "A-1", CRM)
    world.decide(case, "rule", "ann", "D-1", verdict="fraud")

    assert wrong == [late.code] * 5 == [Code.ACTIVATION_CODE_WRONG] * 5
    assert first != second
    with pytest.raises(RefusalError) as refused:
        world.activation_code("A-1")
    assert refused.value.code is Code.NO_CASE


@pytest.mark.parametrize("others", [(), (Rule(measures=()),)], ids=["no other rule", "another rule"])
def test_a_theft_of_what_was_replaced_in_a_milder_case_is_under_the_rule_of_its_product(
    others: tuple[Rule, ...],
) -> None:
    world = World(Policy(supervisors=("ann",), rules=(Rule(products=("cad",)), *others)))
    world.register("D-1", Kind.DONGLE, "h-1")
    world.register("D-2", Kind.DONGLE, "h-1")
    world.licence("L-1", "D-1")
    crm = Reporter(role=Role.BACK_OFFICE, name="crm")
    damaged = world.report("R-1", "D-1", Kind.DONGLE, Reason.DAMAGED, crm)

    stolen = world.report("R-2", "D-1", Kind.DONGLE, Reason.STOLEN, crm)

    assert stolen != damaged
    assert world.cases[stolen].status is Status.WATCHING
    ordered = [one.fact for one in world.facts if isinstance(one.fact, MeasureOrdered)]
    assert [(one.case, one.measure) for one in ordered if one.measure == "blacklisting"] == [(stolen, "blacklisting")]
    assert check(world.facts) == []


def test_a_case_that_is_resumed_and_goes_to_a_person_waits_for_them_as_long_as_policy_says() -> None:
    crm = Reporter(role=Role.BACK_OFFICE, name="crm")
    approval = Approval(due_hours=48, undecided=Undecided.REJECT)
    world = World(Policy(supervisors=("ann",), rules=(Rule(approval=approval),)))
    world.register("D-1", Kind.DONGLE, "h-1")
    world.register("D-2", Kind.DONGLE, "h-1")
    world.licence("L-1", "D-1")
    world.break_activity("issue", None)
    case = world.report("R-1", "D-1", Kind.DONGLE, Reason.DAMAGED, crm)
    world.advance(timedelta(days=10))
    world.report("R-2", "D-1", Kind.DONGLE, Reason.STOLEN, crm)
    world.mend()

    world.decide(case, "resume", "ann", "D-1", why="it is mended")

    state = world.cases[case]
    assert (state.status, state.due) == (Status.AWAITING_APPROVAL, world.now + timedelta(hours=48))
