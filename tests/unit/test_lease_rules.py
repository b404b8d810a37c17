"""When a check-in is due, and what is stated of a lease of which none came."""

from datetime import timedelta
from typing import Any

import pytest

from activities.licensing.containers import Container, Licence
from activities.licensing.lease_rules import expiry, first_notice, put_off, stages, subjects_of, swept
from events.backend_facts import LeaseDueSoon, LeaseLapsed, LeaseOverdue
from events.lease import Interval, Lease, Unit
from events.measure_subject import Subject
from events.terms import Kind
from tests.unit.facts import NOW

DAY = timedelta(days=1)
WEEKLY = Lease(check_in=Interval(unit=Unit.WEEK), grace_days=3)
NAMES = ["due_soon", "overdue", "lapsed"]


def licence(stage: str | None = None, number: int = 1, **changes: Any) -> Licence:
    """A licence that must check in every week, with three days of grace."""
    known: dict[str, Any] = {
        **{"licence": f"L-{number}", "generation": 2, "serial": "3-1", "product": "cad", "ticket": "T-1"},
        **{"value_cents": 0, "lease": WEEKLY.model_dump(), "issued": NOW, "expires": NOW + 10 * DAY},
        **{"borrowed_until": None, "ends": None, "status_index": None, "first_issued": NOW},
    }
    return Licence(lease_stage=stage, **{**known, **changes})


def container(kind: Kind = Kind.ACT, generation: int = 2, returned: int = 0) -> Container:
    return Container("3-1", kind, "h-1", 2, None, generation, None, returned)  # type: ignore[arg-type]


def test_a_file_ends_with_its_lease_and_no_later_than_the_stop_gap_that_it_is() -> None:
    assert expiry(WEEKLY, NOW, None) == expiry(WEEKLY, NOW, NOW + 11 * DAY) == NOW + 10 * DAY
    assert expiry(WEEKLY, NOW, NOW + 9 * DAY) == NOW + 9 * DAY
    assert expiry(Lease(), NOW, NOW + 9 * DAY) == NOW + 9 * DAY
    assert expiry(Lease(), NOW, None) is None


@pytest.mark.parametrize(
    ("weeks", "ends", "begins"),
    [
        (1, 10, (5.25, 7, 10)),
        (1, 6, (4.5, 6, 6)),  # it ends before its check-in
        (4, 31, (21, 28, 31)),
        (5, 38, (28, 35, 38)),  # not a quarter before, which is more than a week
    ],
)
def test_a_check_in_is_soon_due_in_its_last_quarter_and_at_most_a_week_before(
    weeks: int, ends: int, begins: tuple[float, ...]
) -> None:
    lease = Lease(check_in=Interval(unit=Unit.WEEK, count=weeks), grace_days=3)

    found = stages(lease, NOW, NOW + ends * DAY)

    assert [(one.name, one.begins) for one in found] == [
        (name, NOW + days * DAY) for name, days in zip(NAMES, begins, strict=True)
    ]
    assert [one.fact for one in found] == [LeaseDueSoon, LeaseOverdue, LeaseLapsed]
    assert first_notice(lease, NOW, NOW + ends * DAY) == found[0].begins


def test_nothing_is_stated_where_no_check_in_is_asked_for_or_nothing_ends() -> None:
    assert stages(Lease(), NOW, NOW + DAY) == stages(WEEKLY, NOW, None) == ()
    assert first_notice(Lease(), NOW, NOW + DAY) is None
    assert swept(licence(lease={}), NOW + 30 * DAY, 9).facts == ()


@pytest.mark.parametrize(
    ("stage", "days", "most", "reached", "last", "following"),
    [
        (None, 5.25, 9, [LeaseDueSoon], "due_soon", 7),
        (None, 5, 9, [], None, 5.25),
        ("due_soon", 6, 9, [], "due_soon", 7),
        ("due_soon", 30, 9, [LeaseOverdue, LeaseLapsed], "lapsed", None),
        (None, 30, 2, [LeaseDueSoon, LeaseOverdue], "overdue", 10),
        ("lapsed", 30, 9, [], "lapsed", None),
        ("of another release", 30, 9, [], "of another release", None),
    ],
)
def test_each_stage_that_a_lease_has_come_to_is_stated_once_and_in_bounds(
    stage: str | None, days: float, most: int, reached: list[type], last: str | None, following: float | None
) -> None:
    found = swept(licence(stage), NOW + days * DAY, most)

    assert [type(fact) for fact in found.facts] == reached
    assert (found.stage, found.following) == (last, None if following is None else NOW + following * DAY)
    for fact in found.facts:
        assert (fact.licence, fact.generation, fact.serial) == ("L-1", 2, "3-1")
        assert (fact.due, fact.expires) == (NOW + 7 * DAY, NOW + 10 * DAY)


@pytest.mark.parametrize(
    ("kind", "way_in"),
    [(Kind.DONGLE, "container/3-1/2"), (Kind.ACT, "container/3-1/2"), (Kind.CLOUD, "access_data/3-1/2")],
)
def test_what_is_blocked_with_its_container_or_by_itself_is_put_off(kind: Kind, way_in: str) -> None:
    first, second = licence(), licence(number=2)
    whole, one = Subject.parse(way_in), Subject.parse("licence/L-2/2")
    here = container(kind)

    assert subjects_of(here, [first, second]) == [whole, Subject.parse("licence/L-1/2"), one]
    assert put_off(here, [first, second], [whole]) == {"L-1", "L-2"}
    assert put_off(here, [first, second], [one]) == {"L-2"}
    assert put_off(here, [first, second], [Subject.parse("licence/L-2/1")]) == set()


@pytest.mark.parametrize(("returned", "gone"), [(0, False), (1, False), (2, True), (3, True)])
def test_of_an_activation_that_was_given_back_no_lease_is_looked_at(returned: int, gone: bool) -> None:
    assert put_off(container(returned=returned), [licence()], []) == ({"L-1"} if gone else set())
