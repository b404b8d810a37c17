"""What can be done on a machine before a loss is reported."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.licensing.containers import must_be_theirs
from activities.licensing.judgement import Activation, Awaiting, judge
from activities.licensing.triage import asking, match_of, triage
from events.errors import Code, NotYetKnownError, RefusalError
from events.ports.licensing_backend import Advice, Triage
from events.principal import PrincipalRole
from events.statements import ContactStatement
from events.terms import FIRST_INSTANT, ActivationBy, Contact, ContactId, Kind, Match, Reason, Serial, VendorId
from tests.given import principal
from tests.unit.contacts import BLOCKED, CASE, MACHINE, activation, known, licence
from tests.unit.facts import NOW

ACT = {"kind": Kind.ACT, "fingerprint": MACHINE}
NEW = {"board": "b9", "disk": "d9", "nic": "n9"}
ONE_LEFT = {"board": "b1", "disk": "d9", "nic": "n9"}


def test_the_machine_itself_activates_again_and_reports_nothing() -> None:
    found = triage(known(licence("3-1", 1), **ACT), MACHINE, Match.MOST)
    assert (found.advice, found.reason, found.code) == (Advice.ACTIVATE, None, None)
    assert (found.same, found.changed) == (("board", "disk", "nic"), ())


def test_a_machine_with_a_part_changed_activates_again() -> None:
    found = triage(known(licence("3-1", 1), **ACT), MACHINE | {"nic": "n9"}, Match.ALL)
    assert (found.advice, found.same, found.changed) == (Advice.ACTIVATE, ("board", "disk"), ("nic",))


@pytest.mark.parametrize(
    ("shown", "match", "reason"),
    [
        (ONE_LEFT, Match.ANY, Reason.SAME_HARDWARE),
        (ONE_LEFT, Match.TWO, Reason.HARDWARE_REPLACED),
        (NEW, Match.ANY, Reason.HARDWARE_REPLACED),
    ],
)
def test_which_loss_fits_is_the_policys_match(shown: dict[str, str], match: Match, reason: Reason) -> None:
    found = triage(known(licence("3-1", 1), **ACT), shown, match)
    assert (found.advice, found.reason, found.code) == (Advice.REPORT, reason, Code.FINGERPRINT_MISMATCH)


def test_an_activation_that_was_given_back_is_reported() -> None:
    found = triage(known(licence("3-1", 1), returned=1, **ACT), MACHINE, Match.MOST)
    assert (found.advice, found.reason, found.code) == (Advice.REPORT, Reason.SAME_HARDWARE, "returned")


def test_a_machine_that_another_took_the_place_of_is_reported_as_replaced() -> None:
    bound = {1: Activation(MACHINE, None), 2: Activation(NEW, CASE)}
    here = known(licence("3-1", 2), kind=Kind.ACT, fingerprint=NEW, generation=2, activations=bound)
    found = triage(here, MACHINE, Match.MOST)
    assert (found.advice, found.reason, found.code) == (Advice.REPORT, Reason.HARDWARE_REPLACED, Code.SUPERSEDED)
    assert found.cases == (CASE.case,)


def test_what_a_case_blocks_is_for_that_case_to_settle() -> None:
    found = triage(known(licence("3-1", 1), measures=(BLOCKED,), **ACT), MACHINE, Match.MOST)
    assert (found.advice, found.code, found.cases) == (Advice.SETTLE, Code.BLOCKED, (CASE.case,))


def test_the_machine_that_a_case_calls_stolen_is_for_that_case_to_settle() -> None:
    found = triage(known(licence("3-1", 1), stolen=((CASE, 1),), **ACT), MACHINE, Match.MOST)
    assert (found.advice, found.code, found.cases) == (Advice.SETTLE, Code.MACHINE_STOLEN, (CASE.case,))


def test_a_machine_that_a_case_waits_for_activates_with_its_code() -> None:
    waiting = known(licence("3-1", 1), awaiting=(Awaiting(CASE, 1, activation=ActivationBy.CODE),), **ACT)
    found = triage(waiting, NEW, Match.MOST)
    assert (found.advice, found.code, found.cases) == (Advice.ACTIVATE, Code.ACTIVATION_CODE_MISSING, (CASE.case,))


def test_a_machine_that_a_case_does_not_wait_for_reports_nothing_more() -> None:
    waiting = known(licence("3-1", 1), awaiting=(Awaiting(CASE, 1, Match.ALL),), **ACT)
    found = triage(waiting, NEW, Match.MOST)
    assert (found.advice, found.reason, found.cases) == (Advice.SETTLE, None, (CASE.case,))


@pytest.mark.parametrize("kind", [Kind.DONGLE, Kind.CLOUD])
def test_only_a_container_that_is_bound_to_a_machine_can_be_tried(kind: Kind) -> None:
    with pytest.raises(RefusalError) as refused:
        triage(known(licence("3-1", 1), kind=kind), MACHINE, Match.MOST)
    assert refused.value.code == Code.KIND_MISMATCH
    assert str(refused.value) == f"container 3-1 is of kind {kind}; only one of kind act is bound to a machine"
    assert refused.value.parameters == {"serial": "3-1", "kind": kind}


MACHINES = st.dictionaries(st.sampled_from(["board", "disk", "nic"]), st.sampled_from(["1", "2"]), min_size=1)


@given(bound=MACHINES, before=MACHINES, shown=MACHINES, returned=st.integers(0, 2), match=st.sampled_from(Match))
def test_whoever_is_advised_to_activate_is_served(
    bound: dict[str, str], before: dict[str, str], shown: dict[str, str], returned: int, match: Match
) -> None:
    bindings = {1: Activation(before, None), 2: Activation(bound, CASE)}
    more = {"kind": Kind.ACT, "generation": 2, "fingerprint": bound, "activations": bindings, "returned": returned}
    here = known(licence("3-1", 2), **more)
    served = judge(here, activation(shown)).refused is None
    assert (triage(here, shown, match).advice is Advice.ACTIVATE) == served


def test_the_match_is_that_of_the_rule_for_the_products_in_the_container() -> None:
    rules = [{"products": ["cad"], "match": "two"}, {"match": "all"}, {"products": ["other"], "match": "any"}]
    here = known(licence("3-1", 1), licence("3-2", 1, "L-2", product="other"), **ACT)
    assert match_of({"rules": rules}, here) is Match.TWO
    assert match_of({"rules": [{"mode": "unheard of"}]}, here) is Match.ALL


@pytest.mark.parametrize(
    "more",
    [
        {"measures": (BLOCKED,)},
        {"stolen": ((CASE, 1),)},
        {"awaiting": (Awaiting(CASE, 1, activation=ActivationBy.CODE),)},
        {"awaiting": (Awaiting(CASE, 1, Match.ALL),)},
        {},
    ],
)
def test_whatever_is_advised_the_factors_are_named_that_are_the_same_and_that_are_not(more: dict[str, Any]) -> None:
    found = triage(known(licence("3-1", 1), **more, **ACT), ONE_LEFT | {"more": "m1"}, Match.ANY)

    assert (found.same, found.changed) == (("board",), ("disk", "nic"))


def test_a_machine_of_a_container_that_knows_none_has_no_factor_in_common_with_it() -> None:
    found = triage(known(licence("3-1", 1), kind=Kind.ACT), MACHINE, Match.MOST)

    assert (found.same, found.changed) == ((), ())


def test_what_is_asked_is_an_activation_that_has_no_number_and_no_time_of_its_own() -> None:
    asked = asking(Serial("3-1"), MACHINE)

    assert asked == ContactStatement(
        contact=ContactId("triage"),
        serial=Serial("3-1"),
        occurred=FIRST_INSTANT,
        how=Contact.ACTIVATION,
        fingerprint=MACHINE,
    )


@pytest.mark.parametrize(
    ("subject", "role", "theirs"),
    [
        ("h-1", PrincipalRole.HOLDER, True),
        ("h-2", PrincipalRole.HOLDER, False),
        ("h-1", PrincipalRole.SUPERVISOR, False),
        ("crm", PrincipalRole.BACK_OFFICE, True),
    ],
)
def test_a_container_is_known_to_its_holder_and_to_the_back_office_and_to_nobody_else(
    subject: str, role: PrincipalRole, theirs: bool
) -> None:
    container = known(licence("3-1", 1), **ACT).container
    asker = principal(VendorId("acme"), subject, role)
    assert container.holder == "h-1"

    if theirs:
        must_be_theirs(container, asker)
    else:
        with pytest.raises(NotYetKnownError, match="no container 3-1 is known here"):
            must_be_theirs(container, asker)


def test_an_activation_whose_licences_have_ended_is_for_the_vendor_to_renew() -> None:
    found = triage(known(licence("3-1", 1, ended=NOW), **ACT), ONE_LEFT | {"nic": "n1"}, Match.MOST)

    assert found == Triage(advice=Advice.RENEW, code=Code.ENDED, same=("board", "nic"), changed=("disk",))
