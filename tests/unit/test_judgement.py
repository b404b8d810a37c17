"""What becomes of a contact, from what the backend knows."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.licensing.activation_code_rules import Fetched
from activities.licensing.judgement import (
    RETURNED,
    Activation,
    Awaiting,
    Judgement,
    Known,
    Refused,
    answer_of,
    code_after,
    facts_of,
    filed_again,
    given_back,
    judge,
    must_be_returnable,
    number_taken,
    renewals,
    renewed_at,
    return_facts,
    said_to_cases,
)
from activities.licensing.measure_rules import Standing
from events.backend_facts import ActivationReturned, MeasureConfirmed
from events.errors import Code, NotYetKnownError, RefusalError
from events.lease import Interval, Lease, Unit
from events.measure_subject import Subject
from events.ports.licensing_backend import CaseKey, ContactAnswer
from events.ports.loss_cases import Offer, Settled, Sighting
from events.statements import ContactStatement, DeactivationStatement
from events.terms import ActivationBy, Aim, Cause, Contact, Kind, Match, Measure, MeasureState
from tests.unit.contacts import (
    BLACKLISTED,
    BLOCKED,
    CASE,
    GOOD,
    MACHINE,
    NOW,
    OTHER,
    OTHER_MACHINE,
    WITHDRAWN,
    act,
    contact,
    known,
    licence,
)

L2_BLACKLISTED = Standing(
    CASE.case, Measure.BLACKLISTING, Subject(Aim.LICENCE, "L-2", 1), CASE.serial, MeasureState.ORDERED, 1
)


def contact_of(serial: str) -> Judgement:
    """A container shows the first generation of a licence that was lost from 3-1, and says that it is removed."""
    return judge(
        known(licence("3-2", 2), measures=(WITHDRAWN, BLACKLISTED), serial=serial),
        contact(("L-1", 1), serial=serial, confirms=True),
    )


def test_the_container_itself_confirms_that_a_licence_was_removed_from_it() -> None:
    judgement = contact_of("3-1")

    assert judgement.confirmed == (WITHDRAWN, BLACKLISTED)


def test_another_container_is_refused_and_told_but_confirms_nothing_for_the_lost_one() -> None:
    judgement = contact_of("3-9")

    assert judgement.refused is not None
    assert judgement.announced == (WITHDRAWN, BLACKLISTED)
    assert (judgement.delivered, judgement.confirmed) == ((), ())


def test_a_licence_whose_contract_has_ended_is_refused_and_what_else_is_held_goes_on() -> None:
    here = known(licence("3-1", 1, ended=NOW), licence("3-1", 1, "L-2"))

    judgement = judge(here, contact())

    assert judgement.refused == Refused(Code.ENDED)
    assert [one.licence for one in judgement.served] == ["L-2"]


def test_of_several_codes_the_one_that_blocks_counts_first_and_the_end_of_a_contract_last() -> None:
    elsewhere = licence("3-2", 2, "L-3")
    ended = licence("3-1", 1, ended=NOW)

    superseded = judge(known(ended, elsewhere), contact(("L-3", 1)))
    blocked = judge(known(ended, licence("3-1", 1, "L-2"), measures=(L2_BLACKLISTED,)), contact())

    assert superseded.refused is not None
    assert blocked.refused is not None
    assert (superseded.refused.code, blocked.refused.code) == (Code.SUPERSEDED, Code.BLOCKED)


# Check-ins.


def test_what_is_in_the_container_may_go_on_and_a_newer_generation_is_given_its_file_anew() -> None:
    here, newer, away = licence("3-1", 1), licence("3-1", 3, "L-2"), licence("3-2", 1, "L-3")
    judgement = judge(known(here, newer, away), contact(("L-1", 1), ("L-2", 2)))

    assert judgement == Judgement(served=(here, newer), anew=frozenset({"L-2"}))


def test_a_generation_that_was_superseded_elsewhere_is_refused_as_a_sighting_for_the_case_that_did_it() -> None:
    away, here = licence("3-2", 2), licence("3-1", 1, "L-2")
    judgement = judge(known(away, here, superseded={("L-1", 1): OTHER}), contact(("L-1", 1), ("L-2", 1)))
    current = judge(known(away, here, superseded={("L-1", 1): OTHER}), contact(("L-1", 2)))

    assert (judgement.refused, judgement.served) == (Refused(Code.SUPERSEDED, (OTHER,)), (here,))
    assert (judgement.announced, judgement.delivered, judgement.confirmed) == ((), (), ())
    assert current == Judgement(served=(here,))


@pytest.mark.parametrize("presented", [("L-9", 1), ("L-1", 2)])
def test_a_licence_that_is_not_known_yet_may_be_stated_later(presented: tuple[str, int]) -> None:
    with pytest.raises(NotYetKnownError) as caught:
        judge(known(licence("3-1", 1)), contact(presented))

    assert caught.value.code == Code.UNKNOWN_LICENCE
    assert str(caught.value) == f"no licence {presented[0]} of generation {presented[1]} is known here"
    assert caught.value.parameters == {"licences": presented[0], "generation": presented[1]}


def test_a_blocked_container_is_refused_and_its_licences_are_not_looked_at() -> None:
    judgement = judge(known(licence("3-1", 1), measures=(BLOCKED,)), contact(("L-1", 1)))

    assert judgement == Judgement(
        refused=Refused(Code.BLOCKED, (CASE,)), announced=(BLOCKED,), delivered=(BLOCKED,), confirmed=(BLOCKED,)
    )


@pytest.mark.parametrize("presented", [("L-1", 1), ("L-2", 1)])
def test_a_blocked_licence_is_refused_whether_or_not_it_is_presented_and_the_others_go_on(presented: Any) -> None:
    other = licence("3-1", 1, "L-2")
    judgement = judge(known(licence("3-1", 1), other, measures=(BLACKLISTED,)), contact(presented))

    assert judgement.refused == Refused(Code.BLOCKED, (CASE,))
    assert (judgement.served, judgement.announced) == ((other,), (BLACKLISTED,))


def test_a_blocked_licence_that_another_container_holds_is_refused_here_too() -> None:
    judgement = judge(known(licence("3-2", 1), measures=(BLACKLISTED,), serial="3-9"), contact(("L-1", 1)))

    assert judgement.refused == Refused(Code.BLOCKED, (CASE,))


def test_of_several_refusals_a_block_is_told_first_with_all_cases_each_once() -> None:
    again = replace(BLACKLISTED, measure=Measure.WITHDRAWAL)
    gone = licence("3-2", 2, "L-2")
    superseded = {("L-2", 1): OTHER}
    blocked = known(gone, licence("3-1", 1), measures=(BLACKLISTED, again), superseded=superseded)

    assert judge(blocked, contact(("L-2", 1))).refused == Refused(Code.BLOCKED, (OTHER, CASE))


@pytest.mark.parametrize(
    ("measure", "state", "announced", "delivered", "confirmed"),
    [
        (Measure.BLACKLISTING, MeasureState.ORDERED, True, True, True),
        (Measure.BLACKLISTING, MeasureState.DELIVERED, True, False, True),
        (Measure.BLACKLISTING, MeasureState.CONFIRMED, True, False, False),
        (Measure.WITHDRAWAL, MeasureState.ORDERED, True, True, False),
        (Measure.WITHDRAWAL, MeasureState.DELIVERED, True, False, True),
        (Measure.WITHDRAWAL, MeasureState.CONFIRMED, False, False, False),
        (Measure.DEACTIVATION, MeasureState.ORDERED, True, True, False),
        (Measure.DEACTIVATION, MeasureState.DELIVERED, True, False, False),
    ],
)
def test_a_measure_is_told_delivered_and_confirmed_as_far_as_it_has_come(
    measure: Measure, state: MeasureState, announced: bool, delivered: bool, confirmed: bool
) -> None:
    standing = replace(BLOCKED, measure=measure, state=state)
    judgement = judge(known(licence("3-1", 1), measures=(standing,)), contact(confirms=True))
    silent = judge(known(licence("3-1", 1), measures=(standing,)), contact())

    assert (bool(judgement.announced), bool(judgement.delivered), bool(judgement.confirmed)) == (
        announced,
        delivered,
        confirmed,
    )
    assert bool(silent.confirmed) == (confirmed and measure is Measure.BLACKLISTING)


def test_a_container_is_told_of_licences_that_were_taken_out_of_it_and_of_no_other_measure() -> None:
    gone = replace(WITHDRAWN, subject=Subject.parse("licence/L-9/1"), state=MeasureState.ORDERED)
    moved = replace(gone, subject=Subject.parse("licence/L-2/1"))
    measures = (
        gone,
        moved,
        replace(gone, subject=Subject.parse("licence/L-1/7")),
        replace(gone, serial="3-7"),
        replace(BLOCKED, subject=Subject.parse("container/3-1/9")),
    )
    judgement = judge(known(licence("3-1", 1), licence("3-2", 1, "L-2"), measures=measures), contact())

    assert judgement.announced == judgement.delivered == (gone, moved)
    assert (judgement.refused, judgement.confirmed) == (None, ())


def test_a_licence_that_was_taken_out_is_no_longer_confirmed_by_a_container_that_does_not_show_it() -> None:
    moved = known(licence("3-2", 2), measures=(BLACKLISTED,))

    assert judge(moved, contact()).announced == judge(moved, contact()).delivered == (BLACKLISTED,)
    assert judge(moved, contact()).confirmed == ()
    assert judge(moved, contact(("L-1", 1))).confirmed == (BLACKLISTED,)


def test_a_blocked_container_is_told_that_and_nothing_of_what_it_still_holds() -> None:
    judgement = judge(known(licence("3-1", 1), measures=(BLOCKED, BLACKLISTED)), contact())

    assert judgement.announced == (BLOCKED,)


# Generations of a container.


def test_a_generation_that_the_container_has_not_reached_may_be_stated_later() -> None:
    with pytest.raises(NotYetKnownError, match="the newest generation of container 3-1 is 2") as caught:
        judge(act(), contact(generation=3))

    assert caught.value.code == Code.GENERATION_CONFLICT
    assert caught.value.parameters == {"serial": "3-1", "generation": 2}


def test_an_activation_that_was_superseded_is_refused_but_not_on_the_machine_of_the_current_one() -> None:
    assert judge(act(), contact(generation=1)).refused == Refused(Code.SUPERSEDED, (CASE,))
    assert judge(act(activations={}), contact(generation=1)).refused == Refused(Code.SUPERSEDED)
    assert judge(act(), contact(generation=1, fingerprint=OTHER_MACHINE)).refused is not None
    assert judge(act(), contact(generation=1, fingerprint=MACHINE)).refused is None
    assert judge(act(), contact(generation=2)).refused is None


def test_an_activation_that_was_given_back_is_refused_and_is_no_sighting() -> None:
    assert judge(act(returned=2), contact(generation=2)).refused == Refused(RETURNED)
    assert judge(act(returned=1), contact(generation=2)).refused is None


def test_access_data_are_blocked_by_their_generation() -> None:
    old = Standing("case-1", Measure.BLACKLISTING, Subject(Aim.ACCESS_DATA, "3-1", 1), "3-1", MeasureState.ORDERED)
    cloud = known(licence("3-1", 1), measures=(old,), kind=Kind.CLOUD, generation=2)

    assert judge(cloud, contact(generation=1)).refused == Refused(Code.BLOCKED, (CASE,))
    assert judge(cloud, contact(generation=2)) == Judgement(served=(licence("3-1", 1),))


# Which generation a contact is of.


@pytest.mark.parametrize("kind", Kind)
def test_above_the_first_generation_an_act_or_cloud_container_names_its_own(kind: Kind) -> None:
    missing = Judgement(refused=Refused(Code.GENERATION_MISSING))
    first, second = ({"kind": kind, "generation": number, "fingerprint": None} for number in (1, 2))

    assert judge(known(**first), contact()).refused is None
    assert judge(known(**second), contact(generation=2)).refused is None
    assert judge(known(**second), contact()) == (Judgement() if kind is Kind.DONGLE else missing)


# What comes of it.

WEEKLY = Lease(check_in=Interval(unit=Unit.WEEK, count=1), grace_days=2).model_dump(mode="json")
DAY = timedelta(days=1)


def test_a_file_is_renewed_for_its_lease_from_now_and_never_beyond_its_stop_gap() -> None:
    weekly = licence("3-1", 1, lease=WEEKLY, issued=NOW - 5 * DAY, expires=NOW + 4 * DAY)
    bridge = replace(weekly, ends=NOW + 6 * DAY)
    later = replace(weekly, issued=NOW + DAY)

    assert renewed_at(weekly, NOW) == replace(weekly, issued=NOW, expires=NOW + 9 * DAY)
    assert renewed_at(bridge, NOW) == replace(bridge, issued=NOW, expires=NOW + 6 * DAY)
    assert renewed_at(bridge, NOW + 6 * DAY) is None
    assert renewed_at(later, NOW) == replace(weekly, issued=NOW + DAY, expires=NOW + 10 * DAY)
    assert renewed_at(licence("3-1", 1), NOW) is renewed_at(licence("3-1", 1, ends=NOW + DAY), NOW) is None


def test_the_answer_says_what_is_ordered_but_no_removal_that_was_just_confirmed() -> None:
    refused = Judgement(
        refused=Refused(Code.BLOCKED, (CASE,)), announced=(WITHDRAWN, BLOCKED), confirmed=(WITHDRAWN, BLOCKED)
    )
    answer = answer_of(refused, (), (OTHER,))
    good = answer_of(Judgement(awaiting=(CASE,)), ("a file",), ())

    assert answer.model_dump() == {
        "refused": True,
        "code": "blocked",
        "cases": (CASE.model_dump(),),
        "awaiting": (),
        "settled": (OTHER.model_dump(),),
        "ordered": ({"case": "case-1", "measure": Measure.BLACKLISTING, "subject": Subject.parse("container/3-1/1")},),
        "files": (),
        "position": None,
    }
    assert (good.refused, good.code, good.cases, good.awaiting) == (False, None, (), (CASE,))
    assert good.files == ("a file",)


def test_a_contact_makes_facts_of_how_it_went_what_was_renewed_and_how_far_measures_have_come() -> None:
    renewed = licence("3-1", 2, expires=NOW + DAY)
    refused = Judgement(refused=Refused(Code.BLOCKED, (CASE,)), delivered=(BLOCKED,), confirmed=(WITHDRAWN,))
    about = {"case": "case-1", "serial": "3-1"}
    contacted = {"contact": "C-1", "serial": "3-1", "occurred": NOW, "how": Contact.SIGN_IN}
    good = facts_of(contact(how=Contact.SIGN_IN), Judgement(), [renewed], {"L-1": "a file"})
    bad = facts_of(contact(how=Contact.SIGN_IN), refused, [], {})

    assert [(fact.name, fact.model_dump()) for fact in good] == [
        ("container.contacted", contacted),
        (
            "licence.renewed",
            {
                **{"licence": "L-1", "generation": 2, "serial": "3-1"},
                **{"issued": NOW, "expires": NOW + DAY, "file": "a file"},
            },
        ),
    ]
    assert [(fact.name, fact.model_dump()) for fact in bad] == [
        ("contact.refused", {**contacted, "cases": ("case-1",), "code": "blocked", "part": 1, "parts": 1}),
        ("measure.delivered", {**about, "measure": "blacklisting", "subject": Subject.parse("container/3-1/1")}),
        (
            "measure.confirmed",
            {**about, "measure": "withdrawal", "subject": Subject.parse("licence/L-1/1"), "by": "contact/C-1"},
        ),
    ]


# Whatever it shows.

SERIALS, LICENCES = st.sampled_from(["3-1", "3-2"]), st.sampled_from(["L-1", "L-2", "L-3"])
SMALL = st.integers(1, 4)
MACHINES = st.dictionaries(st.sampled_from(["board", "disk", "nic"]), st.sampled_from(["a", "b"]), min_size=1)
CASES = st.sampled_from([CASE, OTHER])


@st.composite
def standing(draw: st.DrawFn) -> Standing:
    """A measure on anything."""
    aim = draw(st.sampled_from(Aim))
    name = draw(LICENCES if aim is Aim.LICENCE else SERIALS)
    kind, state = draw(st.sampled_from(Measure)), draw(st.sampled_from(MeasureState))
    return Standing(draw(CASES).case, kind, Subject(aim, name, draw(SMALL)), draw(SERIALS), state)


def waiting_cases() -> st.SearchStrategy[Awaiting]:
    """A case that waits for a machine."""
    match, by = st.none() | st.sampled_from(Match), st.sampled_from(ActivationBy)
    return st.builds(Awaiting, CASES, SMALL, match, by, st.none() | MACHINES)


@st.composite
def anything_known(draw: st.DrawFn) -> Known:
    """What the backend may know of the container 3-1."""
    names = draw(st.sets(LICENCES))
    return known(
        *(licence(draw(SERIALS), draw(SMALL), name) for name in sorted(names)),
        measures=tuple(draw(st.lists(standing(), max_size=4))),
        kind=draw(st.sampled_from(Kind)),
        generation=draw(SMALL),
        fingerprint=draw(st.none() | MACHINES),
        returned=draw(st.integers(0, 3)),
        superseded=draw(st.dictionaries(st.tuples(LICENCES, SMALL), CASES)),
        activations=draw(st.dictionaries(SMALL, st.builds(Activation, MACHINES, st.none() | CASES))),
        stolen=tuple(draw(st.lists(st.tuples(CASES, SMALL), max_size=2))),
        awaiting=tuple(draw(st.lists(waiting_cases(), max_size=2))),
        code=draw(st.none() | st.just(GOOD)),
    )


@st.composite
def any_contact(draw: st.DrawFn) -> ContactStatement:
    """Any contact of the container 3-1, of licences that the inventory knows and of others."""
    how = draw(st.sampled_from(Contact))
    return contact(
        *draw(st.lists(st.tuples(st.sampled_from(["L-1", "L-2", "L-3", "L-9"]), SMALL), max_size=4)),
        how=how,
        generation=draw(st.none() | SMALL),
        fingerprint=draw(MACHINES if how is Contact.ACTIVATION else st.none() | MACHINES),
        confirms=draw(st.booleans()),
        activation_code=draw(st.none() | st.just(GOOD) | st.text(min_size=1, max_size=64)),
    )


@settings(max_examples=10 * settings.default.max_examples)
@given(known=anything_known(), statement=any_contact())
def test_whatever_is_shown_a_contact_is_judged_or_refused_in_words(known: Known, statement: ContactStatement) -> None:
    try:
        judgement = judge(known, statement)
    except RefusalError:
        return
    assert isinstance(judgement, Judgement)


def test_a_blocked_container_that_shows_an_unknown_licence_is_refused_as_blocked_at_once() -> None:
    judgement = judge(known(licence("3-1", 1), measures=(BLOCKED,)), contact(("L-9", 7), ("L-1", 1)))

    assert judgement.refused == Refused(Code.BLOCKED, (CASE,))
    assert judgement.confirmed == (BLOCKED,)


# What is given back, and what is kept of a contact.


@pytest.mark.parametrize("kind", [Kind.DONGLE, Kind.CLOUD])
def test_only_an_activation_that_there_is_or_was_is_given_back(kind: Kind) -> None:
    for generation in (1, 2):
        must_be_returnable(act().container, generation)
    with pytest.raises(NotYetKnownError, match="the newest generation of container 3-1 is 2") as unknown:
        must_be_returnable(act().container, 3)
    with pytest.raises(RefusalError, match=f"container 3-1 is of kind {kind}; only one of kind act") as mismatch:
        must_be_returnable(known(kind=kind).container, 1)

    assert unknown.value.code is Code.GENERATION_CONFLICT
    assert unknown.value.parameters == {"serial": "3-1", "generation": 2}
    assert mismatch.value.code is Code.KIND_MISMATCH
    assert mismatch.value.parameters == {"serial": "3-1", "kind": kind}


def test_a_return_confirms_the_deactivations_of_its_generation_that_are_still_to_be_confirmed() -> None:
    statement = DeactivationStatement(contact="C-2", serial="3-1", generation=1, occurred=NOW)
    states = (MeasureState.ORDERED, MeasureState.DELIVERED, MeasureState.CONFIRMED, MeasureState.LIFTED)
    several = [replace(BLOCKED, measure=Measure.DEACTIVATION, state=state) for state in states]
    confirmed = given_back(statement, [*((one, 1) for one in several), (several[0], 2), (BLOCKED, 1)])

    assert confirmed == several[:2]
    assert return_facts(statement, confirmed[:1], "a.b.c") == [
        ActivationReturned(contact="C-2", serial="3-1", generation=1, receipt="a.b.c"),
        MeasureConfirmed(
            case="case-1", measure=Measure.DEACTIVATION, subject=BLOCKED.subject, serial="3-1", by="receipt/C-2"
        ),
    ]


def test_a_number_that_a_return_has_is_none_of_a_contact() -> None:
    refusal = number_taken("C-2", "3-1")

    assert str(refusal).startswith("contact number C-2 was used before, by container 3-1")
    assert refusal.code is Code.CONTRADICTS_INVENTORY
    assert refusal.parameters == {"number": "C-2", "serial": "3-1"}


def test_a_code_is_spent_by_the_activation_that_needed_it_and_tried_by_a_wrong_one_only() -> None:
    fetched = Fetched(number=1, case_id="case-1", wrong=0)
    wrong, missing = (Refused(code) for code in (Code.ACTIVATION_CODE_WRONG, Code.ACTIVATION_CODE_MISSING))

    assert code_after(fetched, Judgement(awaiting=(CASE,), spends_code=True)) == replace(fetched, case_id=None)
    assert code_after(fetched, Judgement(refused=wrong)) == replace(fetched, wrong=1)
    assert code_after(fetched, Judgement(refused=missing)) == code_after(fetched, Judgement()) == fetched


def test_what_a_contact_renews_is_not_filed_again_and_the_rest_only_where_it_is_to_be() -> None:
    weekly = Lease(check_in=Interval(unit=Unit.WEEK)).model_dump()
    due, free, other = (
        licence("3-1", 1, name, lease=lease) for name, lease in zip("abc", (weekly, {}, {}), strict=True)
    )
    judgement = Judgement(served=(due, free, other), anew=frozenset({"a", "b"}))
    later = NOW + timedelta(days=2)
    renewed = renewals(judgement, later)

    assert renewed == [replace(due, issued=later, expires=later + timedelta(days=7))]
    assert filed_again(judgement, renewed) == [free]


def test_a_contact_says_to_each_case_what_it_is_for_it_in_the_order_of_cases() -> None:
    third = CaseKey(vendor="acme", case="case-0", serial="3-1")
    answer = ContactAnswer(refused=False, cases=(OTHER,), awaiting=(CASE,), settled=(third,))

    assert said_to_cases(contact(), answer) == [
        (third, Settled()),
        (CASE, Offer(serial="3-1")),
        (OTHER, Sighting(statement="contact/C-1", cause=Cause.SIGHTING, occurred=NOW)),
    ]


def test_once_no_check_in_is_asked_for_the_next_file_is_the_last() -> None:
    file_out = licence("3-1", 1, expires=NOW + timedelta(days=3))
    stop_gap = licence("3-1", 1, expires=NOW + timedelta(days=3), ends=NOW + timedelta(days=3))

    last = renewed_at(file_out, NOW)

    assert last is not None
    assert last.expires is None
    assert renewed_at(last, NOW) is None
    assert renewed_at(stop_gap, NOW) is None
