"""Which machine a contact is of, and which one a container is bound to."""

from dataclasses import replace
from typing import Any

import pytest

from activities.licensing.judgement import Activation, Awaiting, Judgement, Known, Refused, bound_already, judge
from activities.licensing.measure_rules import Standing
from events.errors import Code, RefusalError
from events.measure_subject import Subject
from events.ports.licensing_backend import CaseKey
from events.terms import ActivationBy, Contact, Kind, Match, Measure, MeasureState
from tests.unit.contacts import (
    BLACKLISTED,
    BLOCKED,
    CASE,
    GOOD,
    MACHINE,
    OTHER,
    OTHER_MACHINE,
    act,
    activation,
    contact,
    known,
    licence,
)

# Activations.


@pytest.mark.parametrize("kind", [Kind.DONGLE, Kind.CLOUD])
def test_only_an_act_is_activated(kind: Kind) -> None:
    sentence = f"container 3-1 is of kind {kind}; only one of kind act can be activated"
    with pytest.raises(RefusalError, match=sentence) as caught:
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
    "fields",
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
    machine: dict[str, str], fields: dict[str, Any]
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
    shown = contact(("L-9", 3), fingerprint=machine, **fields)

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
    assert judgement.announced == judgement.confirmed == (of_licence,)


@pytest.mark.parametrize("fields", [{}, {"generation": 1}, {"fingerprint": {"board": "b7"}}])
def test_a_contact_of_the_generation_that_a_theft_is_about_is_of_the_stolen_machine(fields: dict[str, Any]) -> None:
    stolen = act(generation=1, activations={1: Activation(MACHINE, None)}, stolen=((CASE, 1),))

    assert judge(stolen, contact(**fields)).refused == Refused(Code.MACHINE_STOLEN, (CASE,))
    assert judge(stolen, contact(**fields)).served == ()


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

    assert old.announced == old.confirmed == (OF_OLD,)
    assert new.announced == new.confirmed == (OF_NEW,)


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


def test_above_the_first_generation_a_machine_is_known_by_its_fingerprint() -> None:
    unknown = judge(act(), contact(fingerprint={"board": "b3"}))

    assert judge(act(), contact(fingerprint=MACHINE)).refused is None
    assert unknown == Judgement(refused=Refused(Code.FINGERPRINT_MISMATCH))
    assert judge(act(generation=1), contact(fingerprint={"board": "b3"})).refused is None


def test_above_the_first_generation_a_stranger_that_names_the_current_one_gets_and_confirms_nothing() -> None:
    shown = contact(fingerprint={"board": "b3"}, generation=2, confirms=True)
    removed = act(measures=(OF_NEW,))
    blocked = act(measures=(replace(OF_NEW, subject=Subject.parse("container/3-1/2")),))

    assert judge(act(), shown) == Judgement(refused=Refused(Code.FINGERPRINT_MISMATCH))
    assert judge(removed, shown) == Judgement(refused=Refused(Code.FINGERPRINT_MISMATCH))
    assert judge(blocked, shown) == Judgement(refused=Refused(Code.BLOCKED, (CASE,)))
    assert judge(act(), shown.model_copy(update={"generation": 1})).refused == Refused(Code.SUPERSEDED, (CASE,))
    assert judge(act(stolen=((OTHER, 2),)), shown).refused == Refused(Code.MACHINE_STOLEN, (OTHER,))
    assert judge(act(), contact(generation=2)).refused is None
    assert judge(act(generation=1), contact(fingerprint={"board": "b3"}, generation=1)).refused is None


def with_code(*awaiting: Awaiting, code: str | None = GOOD) -> Known:
    waiting = awaiting or (Awaiting(CASE, 2, None, ActivationBy.CODE),)
    return act(awaiting=waiting, code=code)


@pytest.mark.parametrize("typed", [GOOD, "7k3qf m02zt", "7K3QFMO2ZT", " 7K3QF--M02ZT "])
def test_a_machine_is_bound_with_the_right_code_however_it_is_typed(typed: str) -> None:
    statement = contact(how=Contact.ACTIVATION, fingerprint={"board": "b3"}, activation_code=typed)

    assert judge(with_code(), statement) == Judgement(awaiting=(CASE,), spends_code=True)


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
    statement = contact(how=Contact.ACTIVATION, fingerprint={"board": "b3"}, activation_code=GOOD)

    assert judge(waiting, activation({"board": "b3"})).refused == Refused(Code.ACTIVATION_CODE_MISSING)
    assert judge(waiting, statement) == Judgement(awaiting=(CASE, OTHER), spends_code=True)


def test_no_code_is_written_where_somebody_could_read_it() -> None:
    statement = contact(how=Contact.ACTIVATION, fingerprint={"board": "b3"}, activation_code=GOOD)

    assert GOOD not in f"{statement!r} {statement} {statement.model_dump_json()} {with_code()!r}"
