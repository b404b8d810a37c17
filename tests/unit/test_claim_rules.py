"""Whose case a report is."""

from dataclasses import replace
from datetime import timedelta

import pytest

from activities.licensing.claim_rules import Claimed, Joins, Opens, Rest, licences_blocked, rest_of, whose
from activities.licensing.containers import Container
from events.errors import Code, NotYetKnownError
from events.loss_table import Loss
from events.statements import LossStatement
from events.terms import CaseId, Kind, LicenceId, Outcome, Reason, Reporter, Role, Scope, Serial
from tests.unit.facts import NOW

A, B, C = CaseId("case-a"), CaseId("case-b"), CaseId("case-c")
HERE = {LicenceId("L-1"): 1, LicenceId("L-2"): 3}
WHOLE = ("container/S", 1)
BLOCKED = ("blacklisting/container/S", 1)
ONE, TWO = ("licence/L-1", 1), ("licence/L-2", 3)
ACCESS, ACCESS_BLOCKED = ("access_data/S", 1), ("blacklisting/access_data/S", 1)


def container(kind: Kind = Kind.DONGLE, generation: int = 1) -> Container:
    return Container(Serial("S"), kind, "h-1", 0, None, generation, None, 0)  # type: ignore[arg-type]


def loss(reason: Reason = Reason.LOST, *licences: str, kind: Kind = Kind.DONGLE) -> LossStatement:
    return LossStatement(
        report="R-1",
        serial="S",
        kind=kind,
        reason=reason,
        scope=Scope.LICENCES if licences else Scope.CONTAINER,
        licences=licences,
        reporter=Reporter(role=Role.BACK_OFFICE, name="crm"),
        occurred=NOW,
    )


def claims(
    case: CaseId, *things: tuple[str, int], kind: Kind = Kind.DONGLE, reason: Reason = Reason.LOST, **more: object
):  # type: ignore[no-untyped-def]
    row = Loss.of(kind, reason)
    assert row is not None
    return [Claimed(name, number, case, NOW, row.recovery, **more) for name, number in things]  # type: ignore[arg-type]


def test_a_loss_of_the_whole_container_claims_it_with_all_its_licences_and_the_blocking() -> None:
    assert whose(loss(), container(), HERE, []) == Opens((BLOCKED, WHOLE, ONE, TWO))
    assert whose(loss(Reason.DAMAGED), container(), HERE, []) == Opens((WHOLE, ONE, TWO))
    assert whose(loss(Reason.LOST, "L-2"), container(), HERE, []) == Opens((("blacklisting/licence/L-2", 3), TWO))


def test_a_report_of_what_one_case_claims_joins_it() -> None:
    whole = claims(A, BLOCKED, WHOLE, ONE, TWO)

    for reason, licences in ((Reason.LOST, ()), (Reason.STOLEN, ()), (Reason.DAMAGED, ()), (Reason.LOST, ("L-1",))):
        assert whose(loss(reason, *licences), container(), HERE, whole) == Joins(A)


def test_a_report_of_what_an_open_and_a_closed_case_claim_joins_the_open_one() -> None:
    watched = claims(A, BLOCKED, closed=True, outcome=Outcome.LOST_FOR_EVER)
    broken = claims(B, WHOLE, ONE, TWO, reason=Reason.DAMAGED)

    assert whose(loss(Reason.STOLEN), container(), HERE, [*watched, *broken]) == Joins(B)


def test_a_wider_report_opens_a_case_for_what_is_unclaimed_beside_the_one_that_it_meets() -> None:
    one = claims(A, ("blacklisting/licence/L-1", 1), ONE)

    assert whose(loss(), container(), HERE, one) == Opens((BLOCKED, WHOLE, TWO), beside=(A,))
    assert whose(loss(Reason.LOST, "L-1", "L-2"), container(), HERE, one) == Opens(
        (("blacklisting/licence/L-2", 3), TWO), beside=(A,)
    )


def test_a_report_that_asks_for_more_measures_opens_a_case_if_only_to_block() -> None:
    act = {"kind": Kind.ACT}
    same = claims(A, WHOLE, ONE, TWO, reason=Reason.SAME_HARDWARE, **act)

    theft = whose(loss(Reason.COMPUTER_STOLEN, **act), container(**act), HERE, same)
    again = whose(loss(Reason.COMPUTER_STOLEN, **act), container(**act), HERE, [*same, *claims(B, BLOCKED)])
    milder = whose(loss(Reason.SAME_HARDWARE, **act), container(**act), HERE, [*same, *claims(B, BLOCKED)])

    assert theft == Opens((BLOCKED,), beside=(A,))
    assert (again, milder) == (Joins(B), Joins(A))


def test_stolen_access_data_end_an_open_reset_and_take_over_what_it_claims() -> None:
    cloud = {"kind": Kind.CLOUD}
    reset = claims(A, ACCESS, reason=Reason.FORGOTTEN, **cloud)
    rotated = claims(A, ACCESS_BLOCKED, ACCESS, reason=Reason.STOLEN, **cloud)

    theft = whose(loss(Reason.STOLEN, **cloud), container(**cloud), HERE, reset)

    assert theft == Opens((ACCESS, ACCESS_BLOCKED), beside=(A,), ends=(A,))
    assert whose(loss(Reason.FORGOTTEN, **cloud), container(**cloud), HERE, rotated) == Joins(A)
    assert whose(loss(Reason.FORGOTTEN, **cloud), container(**cloud), HERE, reset) == Joins(A)


def test_a_new_case_names_the_former_that_recovered_nothing() -> None:
    ended = {"freed": True, "closed": True, "outcome": Outcome.REJECTED}
    earlier = [Claimed(name, number, A, NOW - timedelta(days=1), **ended) for name, number in (BLOCKED, WHOLE, ONE)]
    later = [Claimed(*ONE, B, NOW, **{**ended, "outcome": Outcome.CANCELLED})]
    found = [Claimed(*WHOLE, B, NOW, **{**ended, "outcome": Outcome.FOUND})]

    assert whose(loss(), container(), HERE, earlier) == Opens((BLOCKED, WHOLE, ONE, TWO), former=A, rejected=A)
    assert whose(loss(), container(), HERE, [*earlier, *later]) == Opens(
        (BLOCKED, WHOLE, ONE, TWO), former=B, rejected=A
    )
    assert whose(loss(), container(), HERE, found) == Opens((BLOCKED, WHOLE, ONE, TWO))
    assert whose(loss(), container(generation=2), HERE, earlier[:2]) == Opens(
        (("blacklisting/container/S", 2), ("container/S", 2), ONE, TWO)
    )


def ended(case: CaseId, days: int, outcome: Outcome, *things: tuple[str, int], approved: bool = False) -> list[Claimed]:
    """A case that was reported after so many days and recovered nothing."""
    fields = {"freed": True, "closed": True, "outcome": outcome, "approved": approved}
    return [Claimed(name, number, case, NOW + timedelta(days=days), **fields) for name, number in things or (ONE,)]


def test_a_rejection_counts_however_reports_after_it_ended_until_one_is_approved() -> None:
    def rejected(*more: list[Claimed]) -> CaseId | None:
        found = whose(loss(), container(), HERE, [one for several in more for one in several])
        assert isinstance(found, Opens)
        return found.rejected

    first = ended(A, 1, Outcome.REJECTED)
    cancelled, refused = ended(B, 2, Outcome.CANCELLED), ended(C, 3, Outcome.REFUSED)

    assert rejected(first) == A
    assert rejected(first, cancelled, refused) == A
    assert rejected(first, ended(B, 2, Outcome.REJECTED)) == B
    assert rejected(first, ended(B, 2, Outcome.CANCELLED, approved=True), refused) is None
    assert rejected(first, ended(B, 2, Outcome.CANCELLED, TWO, approved=True)) == A  # of another licence
    assert rejected(ended(B, 0, Outcome.GIVEN_UP, approved=True), first) == A
    assert rejected(cancelled, refused) is None


def test_what_a_case_freed_of_a_report_is_claimed_once_and_only_by_a_report_that_is_of_nothing_of_it_yet() -> None:
    freed = [replace(one, freed=True, closed=True) for one in claims(A, ("blacklisting/licence/L-1", 1), ONE)]
    wider = claims(B, BLOCKED, WHOLE, TWO)

    assert rest_of(loss(), container(), HERE, [*freed, *wider], B, A) == Rest((ONE,), frozenset({B}))
    assert rest_of(loss(), container(), HERE, [*freed, *wider, *claims(C, ONE)], B, A) == Rest((), frozenset({B, C}))
    known = [replace(one, freed=True, closed=True) for one in [*wider, *claims(B, ONE)]]
    assert rest_of(loss(), container(), HERE, [*freed, *known], B, A) == Rest(())
    assert rest_of(loss(Reason.LOST, "L-2"), container(), HERE, [*freed, *wider], B, A).claims == ()
    assert not Rest((WHOLE, BLOCKED)).recovers
    assert Rest((ACCESS,)).recovers
    assert Rest((ONE,)).recovers


def test_a_case_that_was_given_up_after_it_recovered_something_is_no_former() -> None:
    fields = {"closed": True, "outcome": Outcome.GIVEN_UP}
    recovered = [*claims(A, BLOCKED, freed=True, **fields), *claims(A, WHOLE, ("licence/L-3", 1), **fields)]

    found = whose(loss(Reason.STOLEN), container(), HERE, recovered)

    assert found == Opens((BLOCKED, ONE, TWO), beside=(A,))


def test_what_was_recovered_from_here_is_still_of_the_case_that_recovered_it() -> None:
    done = claims(A, BLOCKED, WHOLE, ("licence/L-1", 1), ("licence/L-2", 3), closed=True, outcome=Outcome.LOST_FOR_EVER)

    assert whose(loss(), container(), {}, done) == Joins(A)
    assert whose(loss(Reason.LOST, "L-1"), container(), {}, done) == Joins(A)
    assert whose(loss(), container(), {LicenceId("L-9"): 1}, done) == Opens((("licence/L-9", 1),), beside=(A,))
    assert whose(loss(Reason.LOST, "L-1", "L-9"), container(), {LicenceId("L-9"): 1}, done) == Opens(
        (("licence/L-9", 1),), beside=(A,)
    )


def test_what_is_not_here_and_never_was_is_waited_for() -> None:
    with pytest.raises(NotYetKnownError) as unknown:
        whose(loss(Reason.LOST, "L-1", "L-9"), container(), HERE, [])
    with pytest.raises(NotYetKnownError) as empty:
        whose(loss(), container(), {}, [])

    assert (unknown.value.code, empty.value.code) == (Code.UNKNOWN_LICENCE, Code.NO_LICENCE)
    assert "L-9" in unknown.value.sentence
    assert whose(loss(Reason.STOLEN, kind=Kind.CLOUD), container(Kind.CLOUD), {}, []) == Opens((ACCESS_BLOCKED, ACCESS))


def test_a_case_that_claims_the_blocking_of_a_licence_blocks_it_though_another_replaces_it() -> None:
    claimed = [("blacklisting/licence/L-1", 1), ("blacklisting/licence/L-2", 3), TWO, WHOLE, BLOCKED]

    assert licences_blocked(claimed) == [("L-1", 1), ("L-2", 3)]
    assert licences_blocked([ONE, TWO]) == [("L-1", 1), ("L-2", 3)]
    assert licences_blocked([WHOLE, BLOCKED, ACCESS, ACCESS_BLOCKED]) == []
