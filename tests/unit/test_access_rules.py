"""Access data of a cloud container: which are owed, what a link sets, what a loss renews, and what a sign-in is."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from activities.licensing.access_rules import (
    FORMER,
    PASSWORD_LENGTH,
    RECOGNISED,
    Access,
    Renewal,
    SignIn,
    SignInJudgement,
    SignInKnown,
    can_be,
    compared,
    contact_of,
    former,
    handed_out,
    judge_sign_in,
    lapsing,
    link_name,
    must_be_a_password,
    must_be_another,
    must_be_cloud,
    offer,
    owed,
    refused_sign_in,
    renewal,
    signed_in,
    superseded_by,
    taken,
)
from activities.licensing.containers import Container
from activities.licensing.guess_rules import TRIES, Guesses
from activities.licensing.judgement import Refused
from events.backend_facts import ContactRefused
from events.errors import Code, RefusalError
from events.ports.licensing_backend import CaseKey, ContactAnswer, Issued, IssueOrder, NoTargetFound, SignInAnswer
from events.statements import ContactStatement
from events.terms import CaseId, Contact, ContactId, HolderId, Kind, Recovery, Serial, VendorId
from tests.unit.facts import NOW

ACME, CLOUD = VendorId("acme"), Serial("cloud-1")
RESET, THEFT = CaseId("reset"), CaseId("theft")
DAY = timedelta(days=1)
GOOD_FOR = timedelta(days=14)
FILES = ("a file",)


def container(generation: int = 1, kind: Kind = Kind.CLOUD) -> Container:
    return Container(CLOUD, kind, HolderId("h-1"), 0, None, generation, None, 0)


def access(generation: int, case: CaseId | None = RESET, offered: datetime = NOW, **changes: Any) -> Access:
    """Access data that are offered, and not set if nothing else is said."""
    return replace(Access(generation, case, offered, offered + GOOD_FOR), **changes)


def known_by(generation: int, case: CaseId | None = RESET) -> Access:
    """Access data that their holder has set."""
    return access(generation, case, password=f"hash {generation}", set_at=NOW + DAY)


def key(case: CaseId) -> CaseKey:
    return CaseKey(vendor=ACME, case=case, serial=CLOUD)


def test_only_a_cloud_container_has_access_data() -> None:
    assert must_be_cloud(container()) == container()
    with pytest.raises(RefusalError, match="container cloud-1 is of kind dongle; only a cloud container") as refusal:
        must_be_cloud(container(kind=Kind.DONGLE))
    assert refusal.value.code is Code.KIND_MISMATCH
    assert refusal.value.parameters == {"serial": CLOUD, "kind": Kind.DONGLE}


@pytest.mark.parametrize("length", [0, 11, 12, 1024, 1025])
def test_a_password_has_12_to_1024_characters_and_no_half_of_one(length: int) -> None:
    assert can_be("ä" * length) is (12 <= length <= 1024)
    assert not can_be("\ud800" + "a" * length)
    assert not can_be("a" * length + "\udfff")
    assert can_be("\ud7ff\ue000" + "a" * 10)


def test_what_is_no_password_is_refused_with_the_bounds() -> None:
    must_be_a_password("a" * PASSWORD_LENGTH[0])
    with pytest.raises(RefusalError, match="12 to 1024 characters") as refusal:
        must_be_a_password("short")
    assert refusal.value.code is Code.INVALID_DATA
    assert refusal.value.parameters == {"least": 12, "most": 1024}


def test_access_data_before_those_that_are_owed_are_not_set_again_the_latest_of_them() -> None:
    many = [known_by(generation) for generation in range(1, FORMER + 3)]
    found = access(FORMER + 3)

    assert [one.generation for one in former(found, [*many, found])] == list(range(FORMER + 2, 2, -1))
    assert former(access(2), [known_by(1), access(2), known_by(3)]) == [known_by(1)]
    assert former(access(3), [known_by(1), access(2), access(3)]) == [known_by(1)]  # nobody ever set the second


def test_a_password_that_was_good_before_is_refused() -> None:
    must_be_another(False)
    with pytest.raises(RefusalError, match=r"was good for the container before, .* choose another") as refused:
        must_be_another(True)

    assert refused.value.code is Code.INVALID_DATA


def test_a_link_is_good_for_14_days_and_made_anew_it_does_not_change_since_when_the_data_are_offered() -> None:
    first = offer(2, RESET, NOW)

    assert first == Access(2, RESET, NOW, NOW + GOOD_FOR)
    assert offer(2, RESET, NOW + DAY, first) == Access(2, RESET, NOW, NOW + DAY + GOOD_FOR)
    assert offer(2, THEFT, NOW + DAY, first) == Access(2, THEFT, NOW + DAY, NOW + DAY + GOOD_FOR)


def test_the_newest_access_data_are_owed_that_are_not_set_and_not_ended() -> None:
    assert owed(container(), [access(1), access(3), access(2)]) == access(3)
    assert owed(container(), [access(1), access(3, ended=True), known_by(2)]) == access(1)
    assert owed(container(3), [access(2)]) is None
    assert owed(container(), []) is None


def test_a_link_is_handed_out_as_it_is_while_it_is_good_and_then_anew() -> None:
    reset = access(2)

    assert handed_out(container(), [known_by(1), reset], NOW + GOOD_FOR - DAY) == (reset, False)
    for late in (GOOD_FOR, GOOD_FOR + DAY):
        anew = (Access(2, RESET, NOW, NOW + late + GOOD_FOR), True)
        assert handed_out(container(), [known_by(1), reset], NOW + late) == anew


def test_the_first_access_data_are_offered_for_no_case() -> None:
    first = (Access(1, None, NOW, NOW + GOOD_FOR), True)

    assert handed_out(container(), [], NOW) == first
    assert handed_out(container(), [access(2, ended=True)], NOW) == first


@pytest.mark.parametrize("current", [known_by(1, None), access(1, ended=True)])
def test_no_link_is_handed_out_where_nothing_is_owed(current: Access) -> None:
    with pytest.raises(RefusalError, match=r"no access data of cloud-1 are owed: .* to have new ones") as refusal:
        handed_out(container(), [current], NOW)
    assert refusal.value.code is Code.BAD_LINK
    assert refusal.value.parameters == {"serial": CLOUD}


def test_another_end_another_generation_or_another_container_is_another_link() -> None:
    one = access(2)
    others = [(CLOUD, replace(one, until=one.until + DAY)), (CLOUD, access(3)), (Serial("cloud-2"), one)]

    assert link_name(CLOUD, one) == link_name(CLOUD, access(2, THEFT))
    assert len({link_name(*other) for other in [(CLOUD, one), *others]}) == 4


def test_a_link_sets_what_is_owed_with_its_token_and_in_time() -> None:
    found = access(2)

    assert taken(found, "token", "token", found.until - DAY) is found
    for which, token, at in (
        (None, "token", NOW),
        (found, "guessed", NOW),
        (found, "tok\ud800en", NOW),
        (found, "token", found.until),
    ):
        with pytest.raises(RefusalError, match="wrong, used or too old") as refusal:
            taken(which, "token", token, at)
        assert refusal.value.code is Code.BAD_LINK


def issue(recovery: Recovery, case: CaseId = RESET) -> IssueOrder:
    return IssueOrder(key=key(case), measures=(), recovery=recovery)


def test_a_reset_waits_for_the_holder_and_is_done_when_the_new_data_are_set() -> None:
    order = issue(Recovery.RESET)
    offered = access(2)

    assert renewal(order, 1, container(), [known_by(1)], NOW) == Renewal(NoTargetFound(at=NOW, tickets=()), offered)
    assert renewal(order, 1, container(), [known_by(1), offered], NOW + DAY) == Renewal(
        NoTargetFound(at=NOW, tickets=())
    )
    done = Issued(at=NOW + DAY, target=CLOUD, licences=())
    assert renewal(order, 1, container(2), [known_by(2)], NOW + 2 * DAY) == Renewal(done)


def test_a_rotation_is_done_at_once_and_once() -> None:
    order = issue(Recovery.ROTATION, THEFT)
    offered = access(2, THEFT)
    done = Issued(at=NOW, target=CLOUD, licences=())

    assert renewal(order, 1, container(), [known_by(1)], NOW) == Renewal(done, offered, rotated=True)
    assert renewal(order, 1, container(2), [known_by(1), offered], NOW + DAY) == Renewal(done)


def test_access_data_that_lapsed_with_another_case_are_offered_anew_and_such_as_are_set_are_not() -> None:
    order = issue(Recovery.ROTATION, THEFT)
    later = NOW + DAY

    anew = renewal(order, 1, container(), [access(2, RESET)], later)
    as_set = renewal(order, 1, container(2), [known_by(2, RESET)], later)

    assert anew == Renewal(Issued(at=later, target=CLOUD, licences=()), access(2, THEFT, later), rotated=True)
    assert as_set == Renewal(Issued(at=NOW, target=CLOUD, licences=()))


def test_with_its_case_a_link_ends_that_nobody_used() -> None:
    at = NOW + DAY
    good, over = access(2), access(3, until=NOW)
    others = [known_by(2), access(2, THEFT), access(4, until=NOW, ended=True), access(5, until=at, ended=True)]

    assert lapsing([good, over, *others], RESET, at) == [replace(good, until=at), over]
    assert lapsing([access(2, ended=True)], RESET, at) == [access(2, until=at, ended=True)]


def attempt(generation: int | None = None, **changes: Any) -> SignIn:
    known = {"contact": ContactId("c-1"), "origin": None, "compared": True, "generation": generation}
    return SignIn(vendor=ACME, serial=CLOUD, at=NOW, **{**known, **changes})


def test_a_contact_whose_number_is_no_name_is_refused_and_shown_in_ascii() -> None:
    with pytest.raises(RefusalError, match=r"not 'c\\xe4 1'") as refusal:
        attempt(contact="cä 1")
    assert refusal.value.code is Code.INVALID_DATA
    assert refusal.value.parameters == {"contact": "cä 1"}
    with pytest.raises(RefusalError, match=f"not '{'ä' * 100}'".replace("ä", r"\\xe4")):
        attempt(contact="ä" * 101)


def test_a_password_is_compared_with_the_latest_that_were_set_and_none_that_is_only_offered() -> None:
    many = [known_by(generation) for generation in (1, 3, 2, 5, 4)]

    assert compared(container(4), [*many, access(4)]) == [known_by(4), known_by(3), known_by(2)]
    assert len(compared(container(5), many)) == RECOGNISED
    assert compared(container(2), [access(2), known_by(1)]) == [known_by(1)]


def test_access_data_are_superseded_by_the_case_of_the_next_ones() -> None:
    known = [known_by(1, None), known_by(2, RESET), known_by(3, THEFT), known_by(4, None)]

    assert superseded_by(attempt(1), container(4), known) == (key(RESET),)
    assert superseded_by(attempt(2), container(4), known) == (key(THEFT),)
    assert superseded_by(attempt(3), container(4), known) == ()
    assert superseded_by(attempt(4), container(4), known) is None
    assert superseded_by(attempt(None), container(4), known) is None


HOME = "home"
SERVED = ContactAnswer(refused=False, files=FILES)
EXHAUSTED = Guesses()
for _ in range(TRIES):
    EXHAUSTED = EXHAUSTED.after_wrong(None, NOW)


def judged(attempt_: SignIn, **known: Any) -> SignInJudgement:
    return judge_sign_in(attempt_, SignInKnown("session", NOW, **{"guesses": Guesses(), **known}))


def none_opened(code: Code, *cases: CaseKey) -> SignInAnswer:
    return SignInAnswer(session=None, code=code, cases=cases)


def test_a_right_password_makes_a_contact_and_its_origin_known() -> None:
    assert judged(attempt(1, origin=HOME)) == SignInJudgement(Guesses().after_right(HOME))
    assert judged(attempt(1), blocked_by=(key(THEFT),)) == SignInJudgement(Guesses())


def test_a_wrong_password_is_a_guess_and_is_stated_under_a_number_that_is_new() -> None:
    counted = Guesses().after_wrong(None, NOW)

    assert judged(attempt()) == SignInJudgement(
        counted, none_opened(Code.BAD_ACCESS_DATA), refused=Code.BAD_ACCESS_DATA
    )
    assert judged(attempt(), before=SERVED, opened=1) == SignInJudgement(counted, none_opened(Code.BAD_ACCESS_DATA))


def test_a_password_is_not_compared_while_too_many_were_guessed_or_where_nobody_could_compare_it() -> None:
    locked_out = SignInJudgement(EXHAUSTED, none_opened(Code.LOCKED_OUT), refused=Code.LOCKED_OUT)

    assert judged(attempt(1), guesses=EXHAUSTED) == locked_out
    assert judged(attempt(), guesses=EXHAUSTED) == locked_out
    assert judged(attempt(1), guesses=EXHAUSTED, before=SERVED) == replace(locked_out, refused=None)
    assert judged(attempt(compared=False)) == replace(locked_out, guesses=Guesses())


def test_an_origin_that_signed_in_before_gets_in_though_strangers_guessed_and_is_counted_for_itself() -> None:
    known = EXHAUSTED.after_right(HOME)

    assert judged(attempt(1, origin=HOME), guesses=known) == SignInJudgement(known)
    assert judged(attempt(origin=HOME), guesses=known).guesses == known.after_wrong(HOME, NOW)


def test_guesses_of_a_clock_far_ahead_are_kept_bounded_to_what_can_be_guessed_now() -> None:
    ahead = Guesses().after_wrong(None, NOW + 365 * DAY)

    assert judged(attempt(1), guesses=ahead).guesses == ahead.bounded(NOW)


def test_a_sign_in_that_is_sent_again_gets_its_answer_and_session_again_whoever_guesses_meanwhile() -> None:
    refused = ContactAnswer(refused=True, code=Code.BLOCKED, cases=(key(THEFT),), files=FILES)

    again = judged(attempt(1), before=SERVED, opened=1, guesses=EXHAUSTED)
    refused_again = judged(attempt(1), before=refused, guesses=EXHAUSTED)

    assert again == SignInJudgement(EXHAUSTED, SignInAnswer(session="session", files=FILES))
    assert refused_again == SignInJudgement(EXHAUSTED, none_opened(Code.BLOCKED, key(THEFT)))


@pytest.mark.parametrize("opened", [None, 2])
def test_a_number_that_served_other_access_data_is_a_guess(opened: int | None) -> None:
    counted = Guesses().after_wrong(None, NOW)

    assert judged(attempt(1), before=SERVED, opened=opened) == SignInJudgement(
        counted, none_opened(Code.BAD_ACCESS_DATA)
    )
    assert judged(attempt(), before=SERVED) == SignInJudgement(counted, none_opened(Code.BAD_ACCESS_DATA))


def test_a_number_that_was_served_and_shows_blocked_or_superseded_access_data_is_a_sighting_of_each_case_once() -> None:
    both = judged(attempt(1), before=SERVED, blocked_by=(key(THEFT),), superseded_by=(key(RESET), key(THEFT)))
    superseded = judged(attempt(1), before=SERVED, superseded_by=())

    cases = (key(THEFT), key(RESET))
    assert both == SignInJudgement(Guesses(), none_opened(Code.BLOCKED, *cases), replayed=Refused(Code.BLOCKED, cases))
    assert superseded == SignInJudgement(Guesses(), none_opened(Code.SUPERSEDED), replayed=Refused(Code.SUPERSEDED))


def test_a_sign_in_that_was_judged_as_a_contact_opens_a_session_unless_it_was_refused() -> None:
    refused = ContactAnswer(refused=True, code=Code.SUPERSEDED, cases=(key(RESET),), files=FILES)

    assert signed_in(SERVED, "session") == SignInAnswer(session="session", files=FILES)
    assert signed_in(refused, "session") == none_opened(Code.SUPERSEDED, key(RESET))


def test_a_guess_is_refused_as_a_sign_in_and_a_sighting_of_nothing() -> None:
    answer, fact = refused_sign_in(attempt(), Code.LOCKED_OUT)

    assert answer == ContactAnswer(refused=True, code=Code.LOCKED_OUT)
    assert fact == ContactRefused(
        contact=ContactId("c-1"), serial=CLOUD, occurred=NOW, how=Contact.SIGN_IN, cases=(), code=Code.LOCKED_OUT
    )


def test_a_sign_in_is_a_contact_that_shows_its_access_data() -> None:
    assert contact_of(attempt(2)) == ContactStatement(
        contact="c-1", serial=CLOUD, occurred=NOW, how=Contact.SIGN_IN, generation=2
    )
