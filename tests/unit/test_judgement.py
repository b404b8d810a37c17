"""What becomes of a contact, from what the backend knows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from activities.licensing.activation_code_rules import Fetched
from activities.licensing.containers import Container, Licence
from activities.licensing.judgement import (
    RETURNED,
    Activation,
    Awaiting,
    Judgement,
    Known,
    Refused,
    answer_of,
    bound_already,
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

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CASE, OTHER = (CaseKey(vendor="acme", case=name, serial="3-1") for name in ("case-1", "case-2"))
WITHDRAWN = Standing("case-1", Measure.WITHDRAWAL, Subject.parse("licence/L-1/1"), "3-1", MeasureState.DELIVERED)
BLACKLISTED = Standing("case-1", Measure.BLACKLISTING, Subject.parse("licence/L-1/1"), "3-1", MeasureState.ORDERED)
BLOCKED = Standing("case-1", Measure.BLACKLISTING, Subject.parse("container/3-1/1"), "3-1", MeasureState.ORDERED)
MACHINE = {"board": "b1", "disk": "d1", "nic": "n1"}
OTHER_MACHINE = {"board": "b2", "disk": "d2", "nic": "n2"}


def licence(serial: str, generation: int, name: str = "L-1", **changes: Any) -> Licence:
    plain = Licence(
        licence=name,
        generation=generation,
        serial=serial,
        product="cad",
        ticket="T-1",
        value_cents=0,
        lease={},
        issued=NOW,
        expires=None,
        borrowed_until=None,
        ends=None,
        status_index=None,
        lease_stage=None,
        first_issued=NOW,
    )
    return replace(plain, **changes)


def known(*licences: Licence, measures: tuple[Standing, ...] = (), **more: Any) -> Known:
    """What is known of a container: a dongle at its first generation, if nothing else is said."""
    names = ("serial", "kind", "generation", "fingerprint", "returned")
    plain = {"serial": "3-1", "kind": Kind.DONGLE, "generation": 1, "fingerprint": None, "returned": 0}
    given = plain | {name: more.pop(name) for name in names if name in more}
    container = Container(holder="h-1", licences=len(licences), last_contact=None, **given)
    others = {"superseded": {}, "activations": {}} | more
    return Known("acme", container, {one.licence: one for one in licences}, measures, **others)


def contact(*presented: tuple[str, int], **more: Any) -> ContactStatement:
    shown = [{"licence": name, "generation": generation} for name, generation in presented]
    return ContactStatement.model_validate(
        {"contact": "C-1", "serial": "3-1", "occurred": NOW, "licences": shown} | more
    )


def activation(fingerprint: dict[str, str]) -> ContactStatement:
    return contact(how=Contact.ACTIVATION, fingerprint=fingerprint)


def act(**more: Any) -> Known:
    """An activation at its second generation, bound to `MACHINE` and before to the other one."""
    former = {1: Activation(OTHER_MACHINE, None), 2: Activation(MACHINE, CASE)}
    given = {"kind": Kind.ACT, "generation": 2, "fingerprint": MACHINE, "activations": former} | more
    return known(licence("3-1", 1), licence("9-9", 1, "L-2"), **given)


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
    assert judgement.told == (WITHDRAWN, BLACKLISTED)
    assert (judgement.delivered, judgement.confirmed) == ((), ())


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
    assert (judgement.told, judgement.delivered, judgement.confirmed) == ((), (), ())
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
        refused=Refused(Code.BLOCKED, (CASE,)), told=(BLOCKED,), delivered=(BLOCKED,), confirmed=(BLOCKED,)
    )


@pytest.mark.parametrize("presented", [("L-1", 1), ("L-2", 1)])
def test_a_blocked_licence_is_refused_whether_or_not_it_is_presented_and_the_others_go_on(presented: Any) -> None:
    other = licence("3-1", 1, "L-2")
    judgement = judge(known(licence("3-1", 1), other, measures=(BLACKLISTED,)), contact(presented))

    assert judgement.refused == Refused(Code.BLOCKED, (CASE,))
    assert (judgement.served, judgement.told) == ((other,), (BLACKLISTED,))


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
    ("measure", "state", "told", "delivered", "confirmed"),
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
    measure: Measure, state: MeasureState, told: bool, delivered: bool, confirmed: bool
) -> None:
    standing = replace(BLOCKED, measure=measure, state=state)
    judgement = judge(known(licence("3-1", 1), measures=(standing,)), contact(confirms=True))
    silent = judge(known(licence("3-1", 1), measures=(standing,)), contact())

    assert (bool(judgement.told), bool(judgement.delivered), bool(judgement.confirmed)) == (told, delivered, confirmed)
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

    assert judgement.told == judgement.delivered == (gone, moved)
    assert (judgement.refused, judgement.confirmed) == (None, ())


def test_a_licence_that_was_taken_out_is_no_longer_confirmed_by_a_container_that_does_not_show_it() -> None:
    moved = known(licence("3-2", 2), measures=(BLACKLISTED,))

    assert judge(moved, contact()).told == judge(moved, contact()).delivered == (BLACKLISTED,)
    assert judge(moved, contact()).confirmed == ()
    assert judge(moved, contact(("L-1", 1))).confirmed == (BLACKLISTED,)


def test_a_blocked_container_is_told_that_and_nothing_of_what_it_still_holds() -> None:
    judgement = judge(known(licence("3-1", 1), measures=(BLOCKED, BLACKLISTED)), contact())

    assert judgement.told == (BLOCKED,)


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


# Activations.


@pytest.mark.parametrize("kind", [Kind.DONGLE, Kind.CLOUD])
def test_only_an_act_is_activated(kind: Kind) -> None:
    told = f"container 3-1 is of kind {kind}; only one of kind act can be activated"
    with pytest.raises(RefusalError, match=told) as caught:
        judge(known(kind=kind), activation(MACHINE))

    assert caught.value.code == Code.KIND_MISMATCH
    assert caught.value.parameters == {"serial": "3-1", "kind": kind}


def test_the_machine_that_it_is_bound_to_gets_all_files_anew() -> None:
    judgement = judge(act(), activation(MACHINE | {"nic": "n9"}))

    assert judgement == Judgement(served=(licence("3-1", 1),), anew=frozenset({"L-1", "L-2"}))


def test_a_machine_that_it_was_bound_to_before_is_refused_as_superseded_and_any_other_for_its_fingerprint() -> None:
    other = judge(act(), activation({"board": "b3"}))

    assert judge(act(), activation(OTHER_MACHINE)).refused == Refused(Code.SUPERSEDED, (CASE,))
    assert other == Judgement(refused=Refused(Code.FINGERPRINT_MISMATCH))
    assert judge(act(activations={}), activation(OTHER_MACHINE)) == other
    assert judge(act(), activation({"board": "b1", "disk": "d2", "nic": "n9"})) == other
    assert judge(act(fingerprint=None, activations={}), activation(MACHINE)) == other


def test_of_the_former_machines_the_last_counts() -> None:
    twice = {1: Activation(OTHER_MACHINE, None), 2: Activation(OTHER_MACHINE, CASE), 3: Activation(MACHINE, OTHER)}
    judgement = judge(act(generation=3, activations=twice), activation(OTHER_MACHINE))

    assert judgement.refused == Refused(Code.SUPERSEDED, (OTHER,))


@pytest.mark.parametrize(
    ("match", "shown", "bound"),
    [
        (None, OTHER_MACHINE, True),
        (None, MACHINE | {"nic": "n9"}, True),
        (None, MACHINE, False),
        (Match.MOST, MACHINE | {"nic": "n9"}, True),
        (Match.ALL, MACHINE, True),
        (Match.ANY, {"nic": "n1"}, True),
    ],
)
def test_a_case_that_waits_for_a_machine_gets_one_that_is_as_it_asks(
    match: Match | None, shown: dict[str, str], bound: bool
) -> None:
    waiting = act(generation=1, awaiting=(Awaiting(CASE, 1, match),), activations={1: Activation(MACHINE, None)})
    judgement = judge(waiting, activation(shown))

    assert (judgement == Judgement(awaiting=(CASE,))) is bound


@pytest.mark.parametrize(("shown", "bound"), [({"board": "b1"}, True), ({"board": "b2", "disk": "d1"}, False)])
def test_where_two_factors_must_be_the_same_a_machine_that_is_known_by_one_is_the_same_by_that(
    shown: dict[str, str], bound: bool
) -> None:
    one = {"board": "b1"}
    waiting = act(
        generation=1,
        fingerprint=one,
        awaiting=(Awaiting(CASE, 1, Match.TWO),),
        activations={1: Activation(one, None)},
    )

    assert (judge(waiting, activation(shown)) == Judgement(awaiting=(CASE,))) is bound


def test_a_case_that_waits_for_the_same_machine_gets_no_other() -> None:
    mismatch = Judgement(refused=Refused(Code.FINGERPRINT_MISMATCH))

    def waiting(match: Match | None, **more: Any) -> Known:
        return act(awaiting=(Awaiting(CASE, 2, match),), **more)

    unbound: dict[str, Any] = {"fingerprint": None, "activations": {}}
    assert judge(waiting(Match.ALL), activation(MACHINE | {"nic": "n9"})) == mismatch
    assert judge(waiting(Match.ALL), activation(OTHER_MACHINE)).refused == Refused(Code.SUPERSEDED, (CASE,))
    assert judge(waiting(Match.ANY, **unbound), activation(MACHINE)) == mismatch
    assert judge(waiting(None, **unbound), activation(MACHINE)) == Judgement(awaiting=(CASE,))


def test_one_activation_serves_all_cases_that_wait_for_one() -> None:
    first, second = Awaiting(CASE, 2), Awaiting(OTHER, 2)
    later = Awaiting(OTHER, 1)  # the container was bound to the current machine after that case claimed it

    assert judge(act(awaiting=(first, second)), activation({"board": "b3"})).awaiting == (CASE, OTHER)
    assert judge(act(awaiting=(later,)), activation(MACHINE)).awaiting == (OTHER,)


def test_a_container_is_bound_once_to_a_machine_for_all_cases_that_waited() -> None:
    container = act().container

    assert bound_already(container, 1, MACHINE)
    assert not bound_already(container, 2, MACHINE)
    assert not bound_already(container, 1, OTHER_MACHINE)


# A machine that an open case calls stolen.

THIEF = {"board": "b1", "disk": "d1", "nic": "n9"}


@pytest.mark.parametrize(
    "stated",
    [
        {"how": Contact.ACTIVATION},
        {"how": Contact.ACTIVATION, "activation_code": "7K3QF-M02ZT"},
        {"generation": 1},
        {"generation": 2},
        {"generation": 9},
        {},
    ],
)
@pytest.mark.parametrize("machine", [MACHINE, THIEF])
def test_a_machine_that_an_open_case_calls_stolen_is_a_sighting_whatever_it_shows(
    machine: dict[str, str], stated: dict[str, Any]
) -> None:
    stolen = act(
        generation=1,
        activations={1: Activation(MACHINE, None)},
        stolen=((CASE, 1),),
        awaiting=(Awaiting(CASE, 1, None, ActivationBy.CODE),),
        code="7K3QF-M02ZT",
        measures=(BLOCKED,),
    )
    replaced = act(
        fingerprint=OTHER_MACHINE,
        activations={1: Activation(MACHINE, None), 2: Activation(OTHER_MACHINE, CASE)},
        stolen=((CASE, 1),),
    )
    shown = contact(("L-9", 3), fingerprint=machine, **stated)

    assert judge(stolen, shown).refused == Refused(Code.BLOCKED, (CASE,))
    assert judge(stolen, shown).confirmed == (BLOCKED,)
    assert judge(replace(stolen, measures=()), shown).refused == Refused(Code.MACHINE_STOLEN, (CASE,))
    assert judge(replaced, shown).refused == Refused(Code.SUPERSEDED, (CASE,))
    assert judge(replaced, shown).served == judge(stolen, shown).served == ()


def test_the_holders_new_machine_is_no_stolen_one_however_like_it_it_is() -> None:
    twin = MACHINE | {"nic": "n2"}
    bound = {1: Activation(MACHINE, None), 2: Activation(twin, CASE)}
    replaced = act(fingerprint=twin, activations=bound, stolen=((CASE, 1),))

    assert judge(replaced, contact(fingerprint=twin)).refused is None
    assert judge(replaced, contact(fingerprint=THIEF)).refused == Refused(Code.SUPERSEDED, (CASE,))


def test_a_machine_that_was_stolen_is_refused_with_what_is_blocked_in_the_container() -> None:
    of_licence = replace(BLACKLISTED, state=MeasureState.ORDERED)
    stolen = act(generation=1, activations={}, stolen=((OTHER, 1),), measures=(of_licence,))
    judgement = judge(stolen, contact(fingerprint=MACHINE))

    assert judgement.refused == Refused(Code.BLOCKED, (OTHER, CASE))
    assert judgement.told == judgement.confirmed == (of_licence,)


@pytest.mark.parametrize("stated", [{}, {"generation": 1}, {"fingerprint": {"board": "b7"}}])
def test_a_contact_of_the_generation_that_a_theft_is_about_is_of_the_stolen_machine(stated: dict[str, Any]) -> None:
    stolen = act(generation=1, activations={1: Activation(MACHINE, None)}, stolen=((CASE, 1),))

    assert judge(stolen, contact(**stated)).refused == Refused(Code.MACHINE_STOLEN, (CASE,))
    assert judge(stolen, contact(**stated)).served == ()


def test_a_superseded_generation_of_the_stolen_machine_is_a_sighting_though_no_machine_is_shown() -> None:
    replaced = act(stolen=((OTHER, 1),))

    assert judge(replaced, contact(generation=1)).refused == Refused(Code.SUPERSEDED, (CASE, OTHER))
    assert judge(replaced, contact(generation=2)).refused is None


def test_a_machine_that_was_stolen_is_the_same_at_every_generation_that_was_bound_to_it() -> None:
    again = {1: Activation(MACHINE, None), 2: Activation(OTHER_MACHINE, OTHER), 3: Activation(MACHINE, CASE)}
    bound = act(generation=3, activations=again, stolen=((OTHER, 1),))

    assert judge(bound, contact(fingerprint=MACHINE)).refused == Refused(Code.MACHINE_STOLEN, (OTHER,))


# What is on which machine.

OF_OLD, OF_NEW = (
    Standing(
        "case-1", Measure.WITHDRAWAL, Subject.parse(f"licence/L-1/{number}"), "3-1", MeasureState.DELIVERED, number
    )
    for number in (1, 2)
)


@pytest.mark.parametrize("stolen", [(), ((CASE, 1),)])
def test_a_machine_is_told_of_and_confirms_only_what_is_on_it(stolen: tuple[tuple[CaseKey, int], ...]) -> None:
    bound = replace(act(measures=(OF_OLD, OF_NEW), stolen=stolen), licences={"L-1": licence("3-1", 2)})
    old = judge(bound, contact(fingerprint=OTHER_MACHINE, confirms=True))
    new = judge(bound, contact(fingerprint=MACHINE, confirms=True))

    assert old.told == old.confirmed == (OF_OLD,)
    assert new.told == new.confirmed == (OF_NEW,)


def test_a_licence_that_was_lost_with_the_old_machine_and_is_not_replaced_is_not_removed_from_the_new_one() -> None:
    lost = replace(OF_OLD, subject=Subject.parse("licence/L-1/1"))
    bound = act(measures=(lost, replace(lost, measure=Measure.BLACKLISTING, state=MeasureState.ORDERED)))

    new = judge(bound, contact(fingerprint=MACHINE, confirms=True))
    old = judge(bound, contact(fingerprint=OTHER_MACHINE, confirms=True))

    assert (new.refused, new.delivered, new.confirmed) == (Refused(Code.BLOCKED, (CASE,)), (), ())
    assert old.confirmed == bound.measures


# Whose a fingerprint is.


@pytest.mark.parametrize(
    ("shown", "refused"),
    [
        (MACHINE, None),
        (MACHINE | {"nic": "n9"}, None),
        (MACHINE | {"disk": "d0"}, Refused(Code.SUPERSEDED, (CASE,))),  # nothing but the disk tells the two apart
        ({"board": "b1", "nic": "n1"}, Refused(Code.SUPERSEDED, (CASE,))),
        ({"board": "b1", "nic": "n1", "disk": "d7"}, Refused(Code.SUPERSEDED, (CASE,))),
        ({"board": "b7"}, Refused(Code.FINGERPRINT_MISMATCH)),
    ],
)
def test_a_fingerprint_belongs_to_the_machine_that_it_matches_best_and_on_a_tie_to_the_superseded_one(
    shown: dict[str, str], refused: Refused | None
) -> None:
    former = {1: Activation(MACHINE | {"disk": "d0"}, None), 2: Activation(MACHINE, CASE)}
    bound = act(activations=former)

    assert judge(bound, contact(fingerprint=shown)).refused == refused
    assert judge(bound, activation(shown)).refused == refused


def test_a_machine_that_the_container_was_bound_to_again_is_the_current_one() -> None:
    again = {1: Activation(MACHINE, None), 2: Activation(OTHER_MACHINE, OTHER), 3: Activation(MACHINE, CASE)}
    bound = act(generation=3, activations=again)

    assert judge(bound, contact(fingerprint=MACHINE, generation=1)).refused is None
    assert judge(bound, contact(fingerprint=OTHER_MACHINE)).refused == Refused(Code.SUPERSEDED, (CASE,))


def test_a_superseded_machine_that_names_the_current_generation_is_refused_all_the_same() -> None:
    assert judge(act(), contact(fingerprint=OTHER_MACHINE, generation=2)).refused == Refused(Code.SUPERSEDED, (CASE,))


# Which generation a contact is of.


@pytest.mark.parametrize("kind", Kind)
def test_above_the_first_generation_an_act_or_cloud_container_names_its_own(kind: Kind) -> None:
    missing = Judgement(refused=Refused(Code.GENERATION_MISSING))
    first, second = ({"kind": kind, "generation": number, "fingerprint": None} for number in (1, 2))

    assert judge(known(**first), contact()).refused is None
    assert judge(known(**second), contact(generation=2)).refused is None
    assert judge(known(**second), contact()) == (Judgement() if kind is Kind.DONGLE else missing)


def test_above_the_first_generation_a_machine_is_known_by_its_fingerprint() -> None:
    unknown = judge(act(), contact(fingerprint={"board": "b3"}))

    assert judge(act(), contact(fingerprint=MACHINE)).refused is None
    assert unknown == Judgement(refused=Refused(Code.FINGERPRINT_MISMATCH))
    assert judge(act(generation=1), contact(fingerprint={"board": "b3"})).refused is None


# Activation codes.

GOOD = "7K3QF-M02ZT"


def with_code(*awaiting: Awaiting, code: str | None = GOOD) -> Known:
    waiting = awaiting or (Awaiting(CASE, 2, None, ActivationBy.CODE),)
    return act(awaiting=waiting, code=code)


@pytest.mark.parametrize("typed", [GOOD, "7k3qf m02zt", "7K3QFMO2ZT", " 7K3QF--M02ZT "])
def test_a_machine_is_bound_with_the_right_code_however_it_is_typed(typed: str) -> None:
    stated = contact(how=Contact.ACTIVATION, fingerprint={"board": "b3"}, activation_code=typed)

    assert judge(with_code(), stated) == Judgement(awaiting=(CASE,), spends_code=True)


@pytest.mark.parametrize("code", [GOOD, None])
def test_without_a_code_or_with_a_wrong_one_a_machine_is_refused_and_is_no_sighting(code: str | None) -> None:
    def tried(**more: Any) -> Judgement:
        return judge(with_code(code=code), contact(how=Contact.ACTIVATION, fingerprint={"board": "b3"}, **more))

    assert tried() == Judgement(refused=Refused(Code.ACTIVATION_CODE_MISSING))
    assert tried(activation_code="7K3QF-M02ZS") == Judgement(refused=Refused(Code.ACTIVATION_CODE_WRONG))
    assert tried(activation_code="ſé\U0001d7d8") == Judgement(refused=Refused(Code.ACTIVATION_CODE_WRONG))
    assert (tried(activation_code=GOOD).refused is None) is (code is not None)


def test_a_machine_that_was_accepted_with_a_code_may_ask_again_and_no_other_comes_between() -> None:
    new = {"board": "b3"}
    waiting = with_code(Awaiting(CASE, 2, None, ActivationBy.CODE, shown=new), code=None)

    assert judge(waiting, activation(new)) == Judgement(awaiting=(CASE,))
    assert judge(waiting, activation({"board": "b4"})).refused == Refused(Code.ACTIVATION_CODE_MISSING)


def test_of_several_cases_that_wait_one_that_asks_for_a_code_asks_for_all() -> None:
    waiting = with_code(Awaiting(CASE, 2), Awaiting(OTHER, 2, None, ActivationBy.CODE))
    stated = contact(how=Contact.ACTIVATION, fingerprint={"board": "b3"}, activation_code=GOOD)

    assert judge(waiting, activation({"board": "b3"})).refused == Refused(Code.ACTIVATION_CODE_MISSING)
    assert judge(waiting, stated) == Judgement(awaiting=(CASE, OTHER), spends_code=True)


def test_no_code_is_written_where_somebody_could_read_it() -> None:
    stated = contact(how=Contact.ACTIVATION, fingerprint={"board": "b3"}, activation_code=GOOD)

    assert GOOD not in f"{stated!r} {stated} {stated.model_dump_json()} {with_code()!r}"


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
        refused=Refused(Code.BLOCKED, (CASE,)), told=(WITHDRAWN, BLOCKED), confirmed=(WITHDRAWN, BLOCKED)
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
@given(known=anything_known(), stated=any_contact())
def test_whatever_is_shown_a_contact_is_judged_or_refused_in_words(known: Known, stated: ContactStatement) -> None:
    try:
        judgement = judge(known, stated)
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
    stated = DeactivationStatement(contact="C-2", serial="3-1", generation=1, occurred=NOW)
    states = (MeasureState.ORDERED, MeasureState.DELIVERED, MeasureState.CONFIRMED, MeasureState.LIFTED)
    several = [replace(BLOCKED, measure=Measure.DEACTIVATION, state=state) for state in states]
    confirmed = given_back(stated, [*((one, 1) for one in several), (several[0], 2), (BLOCKED, 1)])

    assert confirmed == several[:2]
    assert return_facts(stated, confirmed[:1], "a.b.c") == [
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
