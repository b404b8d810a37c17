"""When a replacement may be issued, ordered back, and put back into the original."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from activities.licensing.containers import Container, Licence, LostLicence
from activities.licensing.measure_rules import Standing
from activities.licensing.release import Other, Release
from activities.licensing.replacement import (
    Reinstatement,
    Wanted,
    end_of,
    is_reinstated,
    is_withdrawn,
    may_issue,
    may_release,
    may_take,
    must_be_nobodys,
    must_be_withdrawable,
    must_take_the_full,
    preference,
    reinstatement,
    successions,
    to_be_kept,
    to_be_ordered_again,
    withdrawals,
)
from events.errors import Code, RefusalError
from events.measure_subject import Subject
from events.ports.licensing_backend import CaseKey, CloseOrder, Issued, IssuedLicence, IssueOrder, NoTargetFound
from events.sizes import CONTAINER_LICENCES
from events.terms import (
    CaseId,
    HolderId,
    Kind,
    LicenceId,
    Measure,
    MeasureState,
    Outcome,
    Serial,
    Target,
    Ticket,
    VendorId,
)
from tests.unit.facts import NOW

CASE, THIEF = CaseId("case-1"), CaseId("case-2")
KEY = CaseKey(vendor=VendorId("acme"), case=CASE, serial=Serial("D-1"))
D1, D2 = Serial("D-1"), Serial("D-2")
L1, L2 = LicenceId("L-1"), LicenceId("L-2")
LATER = NOW + timedelta(days=3)
WEEKLY = {"check_in": {"unit": "week", "count": 1}, "grace_days": 3}
LOST = [LostLicence(L1, 1, Ticket("T-1")), LostLicence(L2, 4, Ticket("T-2"))]
NEW = Issued(
    at=NOW,
    target=D2,
    licences=(IssuedLicence(licence=L1, generation=2), IssuedLicence(licence=L2, generation=5)),
)


def container(serial: Serial = D1, kind: Kind = Kind.DONGLE, licences: int = 0, generation: int = 1) -> Container:
    return Container(serial, kind, HolderId("h-1"), licences, None, generation, None, 0)


def licence(name: LicenceId, generation: int, serial: Serial = D1, **changes: Any) -> Licence:
    plain = Licence(
        licence=name,
        generation=generation,
        serial=serial,
        product="cad",  # type: ignore[arg-type]
        ticket="T-1",  # type: ignore[arg-type]
        value_cents=0,
        lease=WEEKLY,
        issued=NOW,
        expires=NOW + timedelta(days=10),
        borrowed_until=NOW + timedelta(days=30),
        ends=None,
        status_index=7,
        lease_stage="due",
        first_issued=NOW,
    )
    return replace(plain, **changes)


def order(**changes: Any) -> IssueOrder:
    return IssueOrder(**{"key": KEY, "measures": (), **changes})


def back(name: str, state: MeasureState, measure: Measure = Measure.WITHDRAWAL) -> Standing:
    """An order of the case that aims at a generation of a licence in the replacement's container."""
    return Standing(CASE, measure, Subject.parse(f"licence/{name}"), D2, state)


def lost(state: MeasureState, measure: Measure = Measure.BLACKLISTING) -> Standing:
    return Standing(CASE, measure, Subject.parse("container/D-1/1"), D1, state)


CONFIRMED = [back("L-1/2", MeasureState.CONFIRMED), back("L-2/5", MeasureState.CONFIRMED)]


@pytest.mark.parametrize("target", [Target.EMPTY_CONTAINER, Target.OTHER_CONTAINER])
def test_a_target_is_another_container_of_the_same_holder_and_kind_that_nothing_blocks(target: Target) -> None:
    wanted = Wanted(target, HolderId("h-1"), Kind.DONGLE, D1)
    fine = container(D2)
    others = [
        container(D1),
        container(D2, Kind.ACT),
        replace(fine, holder=HolderId("h-2")),
        replace(fine, licences=CONTAINER_LICENCES),
    ]

    assert may_take(fine, wanted, blocked=False, lost=False)
    assert may_take(replace(fine, licences=1), wanted, blocked=False, lost=False) is (target is Target.OTHER_CONTAINER)
    assert not any(may_take(other, wanted, blocked=False, lost=False) for other in others)
    assert not may_take(fine, wanted, blocked=True, lost=False)
    assert not may_take(fine, wanted, blocked=False, lost=True)


def test_of_several_targets_one_in_use_is_taken_first_and_then_the_first_by_name() -> None:
    several = [container(Serial("A")), container(Serial("C"), licences=1), container(Serial("B"), licences=2)]

    assert [one.serial for one in sorted(several, key=preference)] == ["B", "C", "A"]


def test_nothing_is_issued_before_every_measure_of_the_order_stands_and_the_missing_are_named() -> None:
    measures = (Measure.WITHDRAWAL, Measure.DEACTIVATION, Measure.BLACKLISTING)

    assert may_issue(order(measures=measures), None, (), measures, NOW) is None
    with pytest.raises(RefusalError, match="case case-1 before blacklisting, withdrawal is ordered") as refusal:
        may_issue(order(measures=measures), None, (), [Measure.DEACTIVATION], NOW)
    assert refusal.value.code is Code.NOT_BLOCKED
    assert refusal.value.parameters == {"case": CASE, "measures": "blacklisting, withdrawal"}


def test_nothing_is_issued_before_the_case_has_learnt_of_a_wider_loss() -> None:
    waits = NoTargetFound(at=NOW, tickets=(), overtaken=True)

    assert may_issue(order(measures=(Measure.WITHDRAWAL,), taken=4), 5, (), [], NOW) == waits
    assert may_issue(order(taken=5), 5, (), [], NOW) is None


def test_nothing_is_issued_while_a_reset_that_was_taken_over_is_not_closed() -> None:
    waits = NoTargetFound(at=NOW, tickets=(), overtaken=True)

    assert may_issue(order(taken=5), None, {CaseId("reset")}, [], NOW) == waits
    assert may_issue(order(taken=5), None, (), [], NOW) is None


def test_no_full_replacement_follows_a_stop_gap_whose_container_is_blocked() -> None:
    must_take_the_full(container(D2), blocked=False)
    with pytest.raises(RefusalError, match="container D-2, which holds the stop-gap, is blocked") as refusal:
        must_take_the_full(container(D2), blocked=True)
    assert refusal.value.code is Code.BLOCKED
    assert refusal.value.parameters == {"serial": D2}


def test_a_replacement_that_is_another_cases_loss_is_refused_with_that_case() -> None:
    must_be_nobodys(None)
    with pytest.raises(RefusalError, match="reported lost too, in case case-2") as refusal:
        must_be_nobodys(THIEF)
    assert refusal.value.code is Code.REPLACEMENT_LOST
    assert refusal.value.parameters == {"case": THIEF}


@pytest.mark.parametrize(
    ("days", "full", "ends"), [(None, False, None), (5, False, NOW + timedelta(days=5)), (5, True, None)]
)
def test_a_stop_gap_ends_and_the_full_replacement_does_not(days: int | None, full: bool, ends: datetime | None) -> None:
    assert end_of(order(stop_gap_days=days, full=full), NOW) == ends


@pytest.mark.parametrize("ends", [None, LATER + timedelta(days=5)])
def test_a_replacement_is_the_next_generation_issued_now_lent_to_nobody_and_due_anew(ends: datetime | None) -> None:
    held = {L1: licence(L1, 1), L2: licence(L2, 4)}

    found = successions(LOST, None, held, D1, D2, LATER, ends)

    assert [(one.superseded, one.licence.licence, one.licence.generation) for one in found] == [(1, L1, 2), (4, L2, 5)]
    for one in found:
        assert (one.licence.serial, one.licence.issued, one.licence.ends) == (D2, LATER, ends)
        assert one.licence.expires == LATER + (timedelta(days=10) if ends is None else timedelta(days=5))
        assert (one.licence.borrowed_until, one.licence.lease_stage) == (None, None)
        assert one.licence.first_issued == NOW


def test_what_was_issued_last_is_followed_and_not_what_was_claimed() -> None:
    held = {L1: licence(L1, 2, D2), L2: licence(L2, 5, D2)}

    assert [one.superseded for one in successions(LOST, NEW, held, D2, D1, LATER)] == [2, 5]


@pytest.mark.parametrize("now", [None, licence(L1, 2), licence(L1, 1, D2)], ids=["gone", "superseded", "elsewhere"])
def test_a_generation_is_superseded_once_and_where_it_is(now: Licence | None) -> None:
    held = {L1: now} if now else {}

    with pytest.raises(RefusalError, match="licence L-1 is no longer at generation 1 in D-1") as refusal:
        successions(LOST[:1], None, held, D1, D2, LATER)

    assert refusal.value.code is Code.GENERATION_CONFLICT
    assert refusal.value.parameters == {"licence": L1, "generation": 1, "serial": D1}


def test_a_replacement_is_removed_once_its_container_has_confirmed_each_licence() -> None:
    first, second = CONFIRMED
    others = [
        lost(MeasureState.CONFIRMED, Measure.WITHDRAWAL),
        back("L-2/5", MeasureState.CONFIRMED, Measure.BLACKLISTING),
    ]

    assert is_withdrawn(NEW, [first, second])
    assert not is_withdrawn(NEW, [first, *others])
    assert not is_withdrawn(NEW, [first, back("L-2/5", MeasureState.DELIVERED)])


def test_only_orders_to_withdraw_the_replacement_that_still_stand_and_are_not_confirmed_are_lifted_to_keep_it() -> None:
    asked, gone = back("L-1/2", MeasureState.DELIVERED), back("L-2/5", MeasureState.CONFIRMED)
    others = [
        lost(MeasureState.ORDERED),
        lost(MeasureState.ORDERED, Measure.WITHDRAWAL),
        back("L-1/2", MeasureState.LIFTED),
    ]

    assert withdrawals(NEW, [*others, asked, gone]) == [asked, gone]
    assert to_be_kept(NEW, [*others, asked, gone]) == [asked]
    assert to_be_kept(None, [*others, asked, gone]) == []


def test_a_replacement_may_be_ordered_back_unless_others_are_in_the_way_of_the_first_order() -> None:
    stands, asked = Other(THIEF, None), Other(THIEF, Release.ASKED)
    ordered = [back("L-1/2", MeasureState.ORDERED)]

    assert must_be_withdrawable(CASE, D1, NEW, [], [asked], NOW) is NEW
    assert must_be_withdrawable(CASE, D1, NEW, ordered, [stands], NOW) is NEW
    with pytest.raises(RefusalError, match="container D-1 is blocked by case case-2") as blocked:
        must_be_withdrawable(CASE, D1, NEW, [], [stands], NOW)
    with pytest.raises(RefusalError, match="nothing was issued for case case-1 that") as nothing:
        must_be_withdrawable(CASE, D1, None, [], [], NOW)
    assert (blocked.value.code, nothing.value.code) == (Code.BLOCKED, Code.NOTHING_TO_DECIDE)
    assert nothing.value.parameters == {"case": CASE}


def test_measures_are_lifted_once_nothing_runs_in_place_of_the_original_and_never_for_access_data() -> None:
    assert may_release(container(), None, [])
    assert may_release(container(), NEW, CONFIRMED)
    assert not may_release(container(), NEW, CONFIRMED[:1])
    assert not may_release(container(kind=Kind.CLOUD), None, [])


@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_an_original_is_back_only_where_it_was_found_and_nothing_is_missing(outcome: Outcome | None) -> None:
    found = outcome is Outcome.FOUND

    assert is_reinstated(outcome, None, None) is found
    assert is_reinstated(outcome, NEW, NEW) is found
    assert not is_reinstated(outcome, NEW, None)


def test_measures_that_an_un_loss_has_lifted_stand_again_where_the_case_ends_with_another_verdict() -> None:
    lifted, stands = lost(MeasureState.LIFTED), lost(MeasureState.CONFIRMED, Measure.WITHDRAWAL)
    measures = [lifted, stands, back("L-1/2", MeasureState.LIFTED), back("L-2/5", MeasureState.CONFIRMED)]
    verdict = CloseOrder(key=KEY, recovered=True, outcome=Outcome.FRAUD)

    assert to_be_ordered_again(verdict, False, [NEW], measures) == [lifted]
    assert to_be_ordered_again(verdict, True, [NEW], measures) == []
    assert to_be_ordered_again(verdict.model_copy(update={"lift": True}), False, [NEW], measures) == []
    assert to_be_ordered_again(verdict.model_copy(update={"outcome": None}), False, [NEW], measures) == []


def reinstated(original: Container, last: Issued | None = NEW, **changes: Any) -> Reinstatement:
    known = {"measures": CONFIRMED, "others": (), "licences": 2, "lost_to": None, "blocked": False, "locked": False}
    known |= changes
    measures, others, licences = (known.pop(name) for name in ("measures", "others", "licences"))
    return reinstatement(original, 1, last, measures, others, licences, NOW, **known)


def test_what_is_blocked_or_was_bound_anew_comes_back_at_a_generation_of_its_own() -> None:
    assert not reinstated(container()).raised
    assert reinstated(container(), blocked=True).raised
    assert reinstated(container(generation=2)).raised
    assert not reinstated(container(generation=2), None).raised
    assert reinstated(container(), None, blocked=True).raised


def test_licences_return_as_they_are_only_where_nothing_was_issued_and_none_is_locked() -> None:
    assert reinstated(container(), None).as_they_are
    assert not reinstated(container(), None, locked=True).as_they_are
    assert not reinstated(container()).as_they_are


def test_an_original_is_not_reinstated_before_its_replacement_is_removed_nor_into_what_is_full() -> None:
    full = container(licences=CONTAINER_LICENCES - 1)
    here = NEW.model_copy(update={"target": D1})

    with pytest.raises(RefusalError, match="the replacement in D-2 is not withdrawn yet") as early:
        reinstated(container(), measures=CONFIRMED[:1])
    with pytest.raises(RefusalError, match="container D-1 holds") as no_room:
        reinstated(full)
    with pytest.raises(RefusalError, match="container D-1 is a cloud container, and those are never replaced") as cloud:
        reinstated(container(kind=Kind.CLOUD), None)

    assert early.value.code is Code.GENERATION_CONFLICT
    assert no_room.value.code is Code.CONTAINER_FULL
    assert cloud.value.code is Code.NOTHING_TO_DECIDE
    assert (early.value.parameters, cloud.value.parameters) == ({"serial": D2}, {"serial": D1})
    assert reinstated(full, here) == reinstated(full, None, locked=True) == Reinstatement(False, as_they_are=False)


def test_an_original_is_not_reinstated_while_its_replacement_is_lost_or_another_case_stands_in_the_way() -> None:
    with pytest.raises(RefusalError) as taken:
        reinstated(container(), lost_to=THIEF)
    with pytest.raises(RefusalError, match="container D-1 is blocked by case case-2") as awaited:
        reinstated(container(), others=[Other(THIEF, Release.ASKED)])

    assert taken.value.code is Code.REPLACEMENT_LOST
    assert awaited.value.code is Code.RELEASE_AWAITED
    assert reinstated(container(), others=[Other(THIEF, Release.LIFTED)]) == reinstated(container())
