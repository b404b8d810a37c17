"""A loss that is two cases, and what goes to somebody else, are named."""

from datetime import datetime, timedelta
from typing import Any

from audit.invariants import check
from events.backend_facts import ContainerRegistered, DelegationGiven, DelegationRevoked
from events.case_facts import CaseApproved, LossWidened, ReplacingBegun
from events.envelope import case_stream
from events.fact import Fact
from events.terms import Action, CaseId, Decision, HolderId, Kind, Measure, Reporter, Role
from tests.breaches import reported_after_a_rejection
from tests.unit.facts import report
from tests.unit.lives import ACME, LOST, OTHER, SPARE, breaches_of, decided, named, replaced, started
from tests.worlds import CODEC, MANUAL, NOW, Life, World


def test_3_a_new_case_after_one_that_was_rejected_names_it_as_the_former() -> None:
    world, named_world = World(), World()
    reported_after_a_rejection(world, ACME, None)
    reported_after_a_rejection(named_world, ACME, CaseId("acme-1"))
    records = [CODEC.unseal(record.value) for stream in world.streams.values() for record in stream]
    older = [one._replace(data={name: said for name, said in one.data.items() if name != "former"}) for one in records]

    assert named(check(records)) == [(3, "case acme-2")]
    assert breaches_of(named_world) == []
    assert check(older) == []  # the field was not there yet


def test_3_a_report_in_two_cases_is_named() -> None:
    life = replaced()
    other = Life(life.world, ACME, CaseId("c-2"), LOST, life.holder)
    other.reports("R-1")

    assert named(breaches_of(life.world)) == [(3, "case c-2")]


def test_3_a_case_that_only_learns_of_a_report_names_the_one_that_has_it() -> None:
    life = replaced()
    other = Life(life.world, ACME, CaseId("c-2"), LOST, life.holder)
    other.reports("R-2")
    other.reports("R-1", beside=life.case)

    assert named(breaches_of(life.world)) == []


def test_3_two_open_cases_on_one_generation_that_do_not_know_each_other_are_named() -> None:
    life = started(MANUAL)
    life.assessed("L-1")
    other = Life(life.world, ACME, CaseId("c-2"), LOST, life.holder, MANUAL)
    other.reports("R-2")
    other.assessed("L-1")

    assert named(breaches_of(life.world)) == [(3, "case c-2")]


def test_3_cases_that_follow_each_other_at_once_breach_nothing_though_the_clocks_overlap() -> None:
    life = started(MANUAL)
    life.assessed("L-1")
    life.decides("D-1", Action.REJECT)
    life.world.at -= timedelta(seconds=0.5)
    other = Life(life.world, ACME, CaseId("c-2"), LOST, life.holder, MANUAL)
    other.reports("R-2", life.case)
    other.assessed("L-1")

    assert breaches_of(life.world) == []


def overtaken(approved: bool = False, rules_version: int = 1) -> Life:
    """A case that a wider loss overtook, and that issued then, after a person approved it or all the same."""
    life = started()
    if rules_version > 1:
        life = Life(life.world, ACME, CaseId("c-1"), LOST, life.holder)
        life.world.streams.pop((ACME, case_stream(life.case)))
        life.reports("R-1", rules_version=rules_version)
    life.assessed("L-1")
    life.orders(Measure.BLACKLISTING)
    life.case_says([LossWidened(case=CaseId("c-2"))])
    life.case_says([ReplacingBegun()])
    if approved and life.state:
        life.case_says([decided(decision=Decision.NEEDS_APPROVAL, facts=life.state.facts)])
        life.case_says([CaseApproved(decision="D-1", by="ann", why="so be it"), ReplacingBegun()])
    life.replaces(SPARE, "L-1")
    return life


def told(life: Life) -> list[tuple[int, str]]:
    """The breaches of invariant 3; that nobody has reported the wider loss is one of 9."""
    return [(one.invariant, one.sentence) for one in breaches_of(life.world) if one.invariant == 3]


def test_3_a_milder_case_that_issued_without_a_person_is_named() -> None:
    sentence = "it issued though case c-2 is about a wider loss, and nobody has approved it since"

    assert told(overtaken()) == [(3, sentence)]
    assert told(overtaken(rules_version=2)) == [(3, sentence)]


def test_3_a_milder_case_that_a_person_approved_since_or_that_had_issued_before_breaches_nothing() -> None:
    late = replaced()
    late.case_says([LossWidened(case=CaseId("c-2"))])

    assert told(overtaken(approved=True)) == told(late) == []


SELLER = Reporter(role=Role.DELEGATE, name="seller")
SAID: dict[str, Any] = {"by": "crm", "on_behalf_of": None, "door": "inbox"}


def delegated(*facts: Fact, on_behalf_of: str = "h-1") -> list[tuple[int, str]]:
    """What the audit names of a delegate's report, where these facts about delegations are in the log."""
    world = World()
    world.add_vendor(ACME)
    life = Life(world, ACME, CaseId("c-1"), LOST, HolderId("h-1"))
    life.registers(LOST)
    world.say(ACME, "vendor", None, *facts)
    life.reports("R-1", reporter=SELLER, on_behalf_of=on_behalf_of)
    return [one for one in named(breaches_of(world)) if one[0] == 4]


def given(received: datetime = NOW, **other: Any) -> DelegationGiven:
    fields = {"delegation": "G-1", "delegate": "seller", "holders": ("h-1",), "until": NOW + timedelta(days=9)}
    return DelegationGiven(received=received, **{**fields, **SAID, **other})


def revoked(received: datetime) -> DelegationRevoked:
    return DelegationRevoked(delegation="G-1", received=received, **SAID)


def test_4_a_report_by_a_delegate_has_a_delegation_that_stands_for_the_holder() -> None:
    day = timedelta(days=1)
    breach = [(4, "case c-1")]

    assert delegated(given()) == []
    assert delegated(revoked(NOW + day), given()) == []
    assert delegated() == breach
    assert delegated(given(holders=("h-2",))) == breach
    assert delegated(given(delegate="eve")) == breach
    assert delegated(given(until=NOW)) == breach
    assert delegated(given(NOW - 2 * day), revoked(NOW - day)) == breach
    assert delegated(revoked(NOW), given(NOW + day)) == breach
    assert delegated(given(), on_behalf_of="h-2") == breach


def test_4_a_replacement_to_somebody_else_is_named() -> None:
    life = started()
    life.backend(OTHER, ContainerRegistered(serial=OTHER, kind=Kind.DONGLE, holder="h-9"))
    life.assessed("L-1")
    life.orders(Measure.BLACKLISTING)
    life.blocked()
    life.replaces(OTHER, "L-1")

    assert named(breaches_of(life.world)) == [(4, "case c-1")]


def test_4_a_report_by_a_holder_of_another_container_is_named() -> None:
    life = replaced()
    by = Reporter(role=Role.HOLDER, name="h-9")
    life.case_says([report(report="R-2", serial=LOST, reporter=by)])

    assert named(breaches_of(life.world)) == [(4, "case c-1")]
