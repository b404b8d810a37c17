"""Whose case a report is."""

from dataclasses import replace
from datetime import timedelta

import pytest

from activities.licensing import claim_rules
from activities.licensing.claim_rules import (
    Claimed,
    Joins,
    Opens,
    Rest,
    is_blocking,
    licences_blocked,
    may_turn_up,
    measures_ordered,
    must_be_of_kind,
    must_be_rightful,
    products_blocked,
    recovered_from,
    recovery_of,
    rest_of,
    said_otherwise,
)
from activities.licensing.containers import Container
from events.errors import Code, NotYetKnownError, RefusalError
from events.loss_table import Loss
from events.ports.licensing_backend import MeasureToOrder
from events.sizes import PRODUCTS_KNOWN
from events.statements import FoundStatement, LossStatement, ReturnStatement
from events.terms import (
    CaseId,
    Kind,
    LicenceId,
    Measure,
    Outcome,
    PersonId,
    ProductId,
    Reason,
    Reporter,
    Role,
    Scope,
    Serial,
)
from tests.unit.facts import NOW
from workflows.policy import Mode, Policy, Rule, canonical

A, B, C = CaseId("case-a"), CaseId("case-b"), CaseId("case-c")
HERE = {LicenceId("L-1"): 1, LicenceId("L-2"): 3}
WHOLE = ("container/S", 1)
BLOCKED = ("blacklisting/container/S", 1)
BLACKLISTED = (Measure.BLACKLISTING,)
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


def whose(
    stated: LossStatement,
    container: Container,
    here: dict[LicenceId, int],
    claimed: list[Claimed],
    *measures: Measure,
) -> Joins | Opens:
    """Whose case a report is, where the vendor's rule orders these measures, or what the table of losses does."""
    row = Loss.of(stated.kind, stated.reason)
    assert row is not None
    return claim_rules.whose(stated, container, here, claimed, measures or row.measures)


def claims(
    case: CaseId, *things: tuple[str, int], kind: Kind = Kind.DONGLE, reason: Reason = Reason.LOST, **more: object
):  # type: ignore[no-untyped-def]
    row = Loss.of(kind, reason)
    assert row is not None
    return [Claimed(name, number, case, NOW, row.recovery, **more) for name, number in things]  # type: ignore[arg-type]


def test_a_loss_of_the_whole_container_claims_it_with_all_its_licences_and_the_blocking() -> None:
    assert whose(loss(), container(), HERE, []) == Opens((BLOCKED, WHOLE, ONE, TWO))
    assert whose(loss(Reason.DAMAGED), container(), HERE, []) == Opens((("withdrawal/container/S", 1), WHOLE, ONE, TWO))
    assert whose(loss(Reason.LOST, "L-2"), container(), HERE, []) == Opens((("blacklisting/licence/L-2", 3), TWO))


def test_a_report_of_what_one_case_claims_joins_it() -> None:
    whole = claims(A, BLOCKED, WHOLE, ONE, TWO)

    for reason, licences in ((Reason.LOST, ()), (Reason.STOLEN, ()), (Reason.DAMAGED, ()), (Reason.LOST, ("L-1",))):
        assert whose(loss(reason, *licences), container(), HERE, whole) == Joins(A)


def test_a_report_of_what_an_open_and_a_closed_case_claim_joins_the_open_one() -> None:
    watched = claims(A, BLOCKED, closed=True, outcome=Outcome.LOST_FOR_EVER)
    broken = claims(B, ("withdrawal/container/S", 1), WHOLE, ONE, TWO, reason=Reason.DAMAGED)

    assert whose(loss(Reason.STOLEN), container(), HERE, [*watched, *broken]) == Joins(B)


def test_a_wider_report_opens_a_case_for_what_is_unclaimed_beside_the_one_that_it_meets() -> None:
    one = claims(A, ("blacklisting/licence/L-1", 1), ONE)

    assert whose(loss(), container(), HERE, one) == Opens((BLOCKED, WHOLE, TWO), beside=(A,))
    assert whose(loss(Reason.LOST, "L-1", "L-2"), container(), HERE, one) == Opens(
        (("blacklisting/licence/L-2", 3), TWO), beside=(A,)
    )


def test_a_report_that_asks_for_more_measures_opens_a_case_if_only_to_block() -> None:
    act = {"kind": Kind.ACT}
    off = ("deactivation/container/S", 1)
    same = claims(A, off, WHOLE, ONE, TWO, reason=Reason.SAME_HARDWARE, **act)

    theft = whose(loss(Reason.COMPUTER_STOLEN, **act), container(**act), HERE, same)
    again = whose(loss(Reason.COMPUTER_STOLEN, **act), container(**act), HERE, [*same, *claims(B, BLOCKED)])
    milder = whose(loss(Reason.SAME_HARDWARE, **act), container(**act), HERE, [*same, *claims(B, BLOCKED)])

    assert theft == Opens((BLOCKED,), beside=(A,))
    assert (again, milder) == (Joins(B, also=(A,)), Joins(A, also=(B,)))


def test_a_report_whose_measures_nobody_has_ordered_opens_a_case_that_orders_them() -> None:
    withdrawn, off = ("withdrawal/container/S", 1), ("deactivation/container/S", 1)
    nothing = claims(A, WHOLE, ONE, TWO)
    theft = loss(Reason.STOLEN)

    assert whose(theft, container(), HERE, nothing, Measure.WITHDRAWAL) == Opens((withdrawn,), beside=(A,))
    known = [*nothing, *claims(B, withdrawn)]
    assert whose(theft, container(), HERE, known, Measure.WITHDRAWAL) == Joins(B, also=(A,))
    assert whose(theft, container(), HERE, known, Measure.DEACTIVATION) == Opens((off,), beside=(A,))
    assert whose(theft, container(), HERE, known, Measure.WITHDRAWAL, Measure.BLACKLISTING) == Opens(
        (BLOCKED,), beside=(B, A)
    )


@pytest.mark.parametrize("measure", Measure)
def test_what_blocks_the_container_blocks_each_licence_and_what_is_blacklisted_is_blocked_by_every_measure(
    measure: Measure,
) -> None:
    for blocking in (BLOCKED, ("blacklisting/licence/L-1", 1), (f"{measure}/container/S", 1)):
        known = [*claims(A, ONE), *claims(B, blocking)]

        assert whose(loss(Reason.LOST, "L-1"), container(), HERE, known, measure) == Joins(B, also=(A,))


def test_a_case_claims_the_measures_of_the_vendors_rule_for_the_products_that_are_lost() -> None:
    withdraws = Rule(measures=(MeasureToOrder(measure=Measure.WITHDRAWAL),), reasons=(Reason.LOST,))
    policy = canonical(Policy(rules=(withdraws, Rule(products=(ProductId("cam"),), measures=()))))
    products = {LicenceId("L-1"): ProductId("cad"), LicenceId("L-2"): ProductId("cam")}

    assert measures_ordered(loss(Reason.LOST, "L-1"), products, policy) == {Measure.WITHDRAWAL}
    assert measures_ordered(loss(Reason.LOST, "L-2"), products, policy) == set()
    assert measures_ordered(loss(Reason.STOLEN), {}, policy) == {Measure.BLACKLISTING}
    assert measures_ordered(loss(Reason.DAMAGED), products, {"rules": "none"}) == {Measure.WITHDRAWAL}


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

    assert rest_of(loss(), container(), HERE, [*freed, *wider], B, A, BLACKLISTED) == Rest((ONE,), frozenset({B}))
    assert rest_of(loss(), container(), HERE, [*freed, *wider, *claims(C, ONE)], B, A, BLACKLISTED) == Rest(
        (), frozenset({B, C})
    )
    others = [replace(one, case=C) for one in freed]
    assert rest_of(loss(), container(), HERE, [*others, *wider], B, A, BLACKLISTED) == Rest((), frozenset({B}))
    known = [replace(one, freed=True, closed=True) for one in [*wider, *claims(B, ONE)]]
    assert rest_of(loss(), container(), HERE, [*freed, *known], B, A, BLACKLISTED) == Rest(())
    assert rest_of(loss(Reason.LOST, "L-2"), container(), HERE, [*freed, *wider], B, A, BLACKLISTED).claims == ()
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


def test_the_loss_of_an_emptied_container_is_of_the_case_that_recovered_the_latest_generation() -> None:
    earlier, later = claims(A, ONE), claims(B, TWO)
    over = claims(B, TWO, closed=True, outcome=Outcome.LOST_FOR_EVER)
    freed = claims(A, ONE, freed=True, closed=True, outcome=Outcome.REJECTED)

    assert whose(loss(), container(), {}, [*earlier, *later]) == Joins(B, also=(A,))
    assert whose(loss(), container(), {}, [*earlier, *over]) == Joins(B, also=(A,))
    assert whose(loss(), container(), {}, over) == Joins(B)
    with pytest.raises(NotYetKnownError):
        whose(loss(), container(), {}, freed)


def test_what_was_recovered_from_a_container_that_holds_more_or_is_cloud_is_no_part_of_a_new_loss_of_it() -> None:
    cloud, theft = container(Kind.CLOUD), loss(Reason.STOLEN, kind=Kind.CLOUD)

    assert whose(loss(), container(), {LicenceId("L-9"): 1}, claims(A, ONE)) == Opens(
        (BLOCKED, WHOLE, ("licence/L-9", 1))
    )
    assert whose(theft, cloud, {}, claims(A, ONE)) == Opens((ACCESS_BLOCKED, ACCESS))


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
    assert licences_blocked([("withdrawal/licence/L-1", 1), ("deactivation/licence/L-2", 3)]) == [
        ("L-1", 1),
        ("L-2", 3),
    ]
    assert licences_blocked([WHOLE, BLOCKED, ACCESS, ACCESS_BLOCKED]) == []


HOLDER, STRANGER, OFFICE = (
    Reporter(role=role, name=PersonId(name))
    for role, name in ((Role.HOLDER, "h-1"), (Role.HOLDER, "h-2"), (Role.BACK_OFFICE, "crm"))
)


def test_to_whoever_is_not_its_holder_nor_of_the_back_office_a_container_is_unknown() -> None:
    for reporter in (HOLDER, OFFICE):
        assert must_be_rightful(container(), reporter) == container()
    with pytest.raises(NotYetKnownError, match="no container S is known here") as unknown:
        must_be_rightful(container(), STRANGER)
    assert unknown.value.code is Code.UNKNOWN_CONTAINER


def test_to_a_delegate_a_container_is_known_where_it_is_delegated_and_to_a_stranger_it_is_not_even_then() -> None:
    delegate = Reporter(role=Role.DELEGATE, name=PersonId("seller"))
    said = {**FoundStatement.example, "serial": "S", "reporter": delegate.model_dump()}
    found, back = FoundStatement.model_validate(said), ReturnStatement.model_validate(said)

    assert must_be_rightful(container(), delegate, delegated=True) == container()
    may_turn_up(container(), found, delegated=True)
    for reporter, delegated in ((delegate, False), (STRANGER, True)):
        with pytest.raises(NotYetKnownError, match="no container S is known here"):
            must_be_rightful(container(), reporter, delegated)
    for stated in (found, back):
        with pytest.raises(NotYetKnownError):
            may_turn_up(container(), stated)
    with pytest.raises(RefusalError, match="only a back-office system"):
        may_turn_up(container(), back, delegated=True)


def test_only_the_back_office_says_that_a_container_is_back_and_its_holder_that_it_is_found() -> None:
    found, back = (
        {
            reporter.name: kind.model_validate({**kind.example, "serial": "S", "reporter": reporter.model_dump()})
            for reporter in (HOLDER, STRANGER, OFFICE)
        }
        for kind in (FoundStatement, ReturnStatement)
    )

    for allowed in (found["h-1"], found["crm"], back["crm"]):
        may_turn_up(container(), allowed)
    for strange in (found["h-2"], back["h-2"]):
        with pytest.raises(NotYetKnownError):
            may_turn_up(container(), strange)
    with pytest.raises(RefusalError, match=r"^only a back-office system can say that a container is back$") as refusal:
        may_turn_up(container(), back["h-1"])
    assert refusal.value.code is Code.INVALID_DATA


def test_a_container_of_another_kind_than_reported_is_refused_with_both_kinds() -> None:
    must_be_of_kind(container(), loss())
    with pytest.raises(RefusalError, match="container S is of kind act, not dongle") as refusal:
        must_be_of_kind(container(Kind.ACT), loss())
    assert refusal.value.code is Code.KIND_MISMATCH
    assert refusal.value.parameters == {"serial": "S", "kind": Kind.ACT, "reported": Kind.DONGLE}


def test_a_number_that_said_something_else_is_refused_by_itself() -> None:
    refusal = said_otherwise("R-1")

    assert str(refusal).startswith("report R-1 was made before and said something else")
    assert (refusal.code, refusal.parameters) == (Code.REPORT_ID_TAKEN, {"number": "R-1"})


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("L-8",), "container S does not hold the licence L-8"),
        (("L-9", "L-1", "L-8"), "container S does not hold the licences L-8, L-9"),
    ],
)
def test_licences_that_are_not_in_the_container_are_named_and_may_be_stated_later(
    names: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(NotYetKnownError) as refusal:
        whose(loss(Reason.LOST, *names), container(), HERE, [])

    assert str(refusal.value) == sentence
    assert refusal.value.parameters == {"serial": "S", "licences": sentence.split("licence")[1].lstrip("s ").strip()}


def test_the_loss_of_a_container_without_licences_may_be_reported_once_it_has_one() -> None:
    with pytest.raises(NotYetKnownError, match="container S holds no licence") as refusal:
        whose(loss(), container(), {}, [])

    assert (refusal.value.code, refusal.value.parameters) == (Code.NO_LICENCE, {"serial": "S"})


@pytest.mark.parametrize("kind", Kind)
def test_what_a_holder_gets_is_what_the_table_says_and_unknown_without_a_reason(kind: Kind) -> None:
    assert recovery_of(kind, None) is None
    for reason in Reason:
        row = Loss.of(kind, reason)
        assert recovery_of(kind, reason) is (row.recovery if row else None)


def test_what_is_claimed_to_be_blocked_is_told_from_what_is_claimed_to_be_recovered() -> None:
    assert all(is_blocking(name) for name, _ in (BLOCKED, ACCESS_BLOCKED))
    assert not any(is_blocking(name) for name, _ in (WHOLE, ONE, ACCESS))


ENDED = {LicenceId("L-1"): 1}
LEFT = {LicenceId("L-2"): 3}


def test_nothing_is_claimed_of_what_has_ended() -> None:
    whole = claim_rules.whose(loss(), container(), LEFT, [], BLACKLISTED, ENDED)
    named = claim_rules.whose(loss(Reason.LOST, "L-1", "L-2"), container(), LEFT, [], BLACKLISTED, ENDED)

    assert whole == Opens((BLOCKED, WHOLE, TWO))
    assert named == Opens((("blacklisting/licence/L-2", 3), TWO))


@pytest.mark.parametrize(
    ("stated", "here"), [(loss(), {}), (loss(Reason.LOST, "L-1"), {}), (loss(Reason.LOST, "L-1"), LEFT)]
)
def test_a_report_of_nothing_but_what_has_ended_is_refused(stated: LossStatement, here: dict[LicenceId, int]) -> None:
    with pytest.raises(RefusalError) as refusal:
        claim_rules.whose(stated, container(), here, [], BLACKLISTED, ENDED)

    assert (refusal.value.code, refusal.value.parameters) == (Code.LICENCE_ENDED, {"serial": "S"})


def test_a_report_of_what_has_ended_joins_the_case_that_claimed_it_before() -> None:
    claimed = [Claimed(*thing, A, NOW) for thing in (BLOCKED, WHOLE, ONE)]

    assert claim_rules.whose(loss(), container(), {}, claimed, BLACKLISTED, ENDED) == Joins(A)
    assert claim_rules.whose(loss(Reason.LOST, "L-1"), container(), {}, claimed, BLACKLISTED, ENDED) == Joins(A)


def test_the_access_data_of_a_cloud_container_are_claimed_whatever_has_ended() -> None:
    found = claim_rules.whose(loss(Reason.STOLEN, kind=Kind.CLOUD), container(Kind.CLOUD), {}, [], BLACKLISTED, ENDED)

    assert found == Opens((ACCESS_BLOCKED, ACCESS))


def test_policy_hears_of_a_product_for_each_rule_that_what_is_blocked_falls_under_the_strictest_rules_first() -> None:
    products = {LicenceId(f"L-{number}"): ProductId(f"p-{number:02}") for number in range(PRODUCTS_KNOWN + 5)}
    manual = Rule(products=(ProductId("p-24"),), mode=Mode.MANUAL)
    policy = canonical(Policy(rules=(manual, Rule(products=(ProductId("p-23"),)), Rule())))

    found = products_blocked(loss(Reason.STOLEN), products, policy)

    assert found[:3] == ("p-24", "p-00", "p-23")
    assert (len(found), found[3]) == (PRODUCTS_KNOWN, "p-01")
    assert products_blocked(loss(Reason.LOST, "L-3", "L-99"), products, policy) == ("p-03",)
    assert products_blocked(loss(Reason.STOLEN), products, {"rules": "none"})[:2] == ("p-00", "p-01")


def test_what_cases_recover_or_have_recovered_from_a_container_is_known_by_their_claims() -> None:
    freed = [Claimed("licence/L-9", 1, B, NOW, freed=True, closed=True)]

    assert recovered_from([*claims(A, TWO, WHOLE, BLOCKED, ONE), *claims(B, ("licence/L-1", 2)), *freed]) == [
        "L-1",
        "L-2",
    ]
