"""A quota of N grants at most N to each subject in any rolling term, each with a number of its own there."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.licensing.quota_rules import Recovery, allot, allotted_before
from events.backend_facts import RecoveryReserved
from events.ports.licensing_backend import CaseKey, QuotaOrder, Reservation, ReserveOrder
from events.sizes import LIST_PART
from events.terms import RECOVERIES, SAME_HARDWARE, CaseId, PotName, Reason
from tests.unit.facts import NOW
from workflows.policy import Quota

KEY = CaseKey(vendor="acme", case="c", serial="D-1")
TERM_DAYS = 10


def quota(*subjects: str, limit: int = 2, pot: PotName = RECOVERIES, term_days: int = TERM_DAYS) -> QuotaOrder:
    return QuotaOrder(pot=pot, subjects=subjects, limit=limit, term_days=term_days)


def granted(known: list[Recovery], *quotas: QuotaOrder, received: datetime = NOW) -> Reservation:
    """What the next case is answered; what it gets is known from then on."""
    key = KEY.model_copy(update={"case": CaseId(f"c-{len(known)}")})
    allotment = allot(ReserveOrder(key=key, quotas=quotas, received=received), known, NOW)
    known += allotment.recoveries
    return allotment.answer


def held(subject: str, ordinal: int, received: datetime = NOW, term_days: int = TERM_DAYS) -> Recovery:
    return Recovery(CaseId(f"h-{subject}-{ordinal}"), RECOVERIES, subject, term_days, ordinal, received)


def test_recoveries_are_counted_for_each_subject_and_not_by_numbers_that_subjects_share() -> None:
    known: list[Recovery] = []
    for subjects in ("A",), ("A", "B"), ("C",), ("B", "C"), ("B",), ("B", "D"), ("C", "A"), ("D",), ("D",), ("D",):
        granted(known, quota(*subjects))

    assert {name: len([one for one in known if one.subject == name]) for name in "ABCD"} == dict.fromkeys("ABCD", 2)


def test_nothing_is_set_aside_for_any_subject_where_one_has_none_left() -> None:
    known = [held("A", 1), held("A", 2)]

    assert granted(known, quota("A", "B")).ordinal is None
    assert granted(known, quota("B", limit=0)).ordinal is None
    assert len(known) == 2
    assert granted(known, quota("B")).ordinal == 1


def test_nothing_is_set_aside_in_any_quota_where_one_has_none_left_and_the_answer_says_which() -> None:
    known = [held("A", 1)]

    answer = granted(known, quota("A", limit=2), quota("A", "B", limit=1), quota("C", pot=PotName("own"), limit=5))

    assert (answer.ordinal, answer.limit, len(known)) == (None, 1, 1)
    assert [(one.ordinal, one.limit, one.used_up) for one in answer.quotas] == [
        (None, 2, False),
        (None, 1, True),
        (None, 5, False),
    ]


def test_each_quota_sets_one_aside_in_its_own_pot_and_term() -> None:
    order = ReserveOrder(
        key=KEY,
        quotas=(quota("A", limit=2), quota("A", limit=3, pot=PotName("own")), quota("A", limit=4, term_days=30)),
        received=NOW,
    )
    earlier = held("A", 1, NOW - timedelta(days=20), term_days=30)

    allotment = allot(order, [earlier], NOW)

    assert [(one.pot, one.term_days, one.ordinal) for one in allotment.recoveries] == [
        (RECOVERIES, TERM_DAYS, 1),
        ("own", TERM_DAYS, 1),
        (RECOVERIES, 30, 2),
    ]
    assert [(fact.pot, fact.term_days, fact.ordinal, fact.limit) for fact in allotment.facts] == [
        (RECOVERIES, TERM_DAYS, 1, 2),
        ("own", TERM_DAYS, 1, 3),
        (RECOVERIES, 30, 2, 4),
    ]
    assert [(one.ordinal, one.limit) for one in allotment.answer.quotas] == [(1, 2), (1, 3), (2, 4)]
    assert allotted_before(order, allotment.recoveries, NOW) == allotment.answer
    assert allotted_before(order, [], NOW) is None


def test_a_case_counts_once_in_a_pot_though_several_quotas_have_set_its_recovery_aside() -> None:
    known: list[Recovery] = []
    long, short = quota("A", limit=3, term_days=30), quota("A", limit=2)

    answers = [granted(known, long, short, received=NOW + timedelta(hours=hour)) for hour in range(3)]

    assert [answer.ordinal for answer in answers] == [1, 2, None]
    assert granted(known, long).ordinal == 3


def test_quotas_that_are_the_same_set_aside_and_state_one_recovery() -> None:
    order = ReserveOrder(key=KEY, quotas=(quota("A", limit=1), quota("A", limit=1), quota("A", limit=2)), received=NOW)

    allotment = allot(order, [], NOW)

    assert len(allotment.recoveries) == 1
    assert [fact.limit for fact in allotment.facts] == [1, 2]
    assert len(allotment.answer.quotas) == 3


def test_what_was_set_aside_before_terms_were_kept_or_several_quotas_asked_is_answered_again() -> None:
    order = ReserveOrder(key=KEY, quotas=(quota("A", limit=2), quota("B", limit=3)), received=NOW)
    old = Recovery(KEY.case, RECOVERIES, "A", 0, 2, NOW)

    answer = allotted_before(order, [old], NOW)

    assert answer
    assert [(one.ordinal, one.limit) for one in answer.quotas] == [(2, 2), (2, 3)]


def test_a_case_is_answered_again_for_each_quota_by_what_it_has_in_that_pot_and_term() -> None:
    own = PotName("own")
    order = ReserveOrder(key=KEY, quotas=(quota("A", limit=9), quota("A", limit=9, pot=own)), received=NOW)
    several = [
        Recovery(KEY.case, RECOVERIES, "A", TERM_DAYS, 2, NOW),
        Recovery(KEY.case, RECOVERIES, "A", 30, 6, NOW),
        Recovery(KEY.case, RECOVERIES, "B", TERM_DAYS, 7, NOW),
        Recovery(KEY.case, own, "A", TERM_DAYS, 5, NOW),
    ]

    answer = allotted_before(order, several, NOW)

    assert answer
    assert [one.ordinal for one in answer.quotas] == [2, 5]


@pytest.mark.parametrize("turn", [1, -1])
def test_of_the_ordinals_that_a_case_has_in_a_pot_the_one_of_the_quotas_own_term_is_taken(turn: int) -> None:
    """Only that one is a number of this quota's; the other term's may be higher than its limit."""
    case = CaseId("other")
    several = [Recovery(case, RECOVERIES, "A", 30, 1, NOW), Recovery(case, RECOVERIES, "A", TERM_DAYS, 2, NOW)][::turn]

    assert allot(ReserveOrder(key=KEY, quotas=(quota("A"),), received=NOW), several, NOW).answer.ordinal == 1


def test_a_quota_of_many_subjects_is_stated_in_parts_and_one_that_has_none_left_not_at_all() -> None:
    names = tuple(f"licence/L-{number}" for number in range(LIST_PART + 1))
    order = ReserveOrder(key=KEY, quotas=(quota(*names),), received=NOW)
    facts = allot(order, [], NOW).facts

    assert [(fact.part, fact.parts) for fact in facts] == [(1, 2), (2, 2)]
    assert tuple(name for fact in facts for name in fact.subjects) == names
    assert allot(order, [held(names[0], 1), held(names[0], 2)], NOW).facts == ()


def test_an_order_from_before_several_quotas_were_asked_at_once_is_of_one() -> None:
    old = {"key": KEY.model_dump(), "pot": "own", "subjects": ["A"], "limit": 2, "term_days": 9, "received": NOW}

    order = ReserveOrder.model_validate(old)

    assert order.quotas == (QuotaOrder(pot=PotName("own"), subjects=("A",), limit=2, term_days=9),)
    assert ReserveOrder.model_validate_json(order.model_dump_json()) == order


@pytest.mark.parametrize("sign", [1, -1])
def test_a_recovery_counts_while_less_than_the_term_lies_between_the_receipts(sign: int) -> None:
    known = [held("A", 1)]
    edge = NOW + sign * timedelta(days=TERM_DAYS)

    within = edge - sign * timedelta(microseconds=1)
    assert granted(known, quota("A", limit=1), received=within).ordinal is None
    assert granted(known, quota("A", limit=1), received=edge).ordinal == 1


hours = st.integers(0, 40 * 24)
subjects = st.sets(st.sampled_from("ABCD"), min_size=1, max_size=3)
pots = st.sampled_from([RECOVERIES, SAME_HARDWARE])
quotas = st.builds(
    QuotaOrder,
    pot=pots,
    subjects=subjects.map(lambda names: tuple(sorted(names))),
    limit=st.integers(1, 3),
    term_days=st.sampled_from([TERM_DAYS, 3 * TERM_DAYS]),
)


@given(asked=st.lists(st.tuples(st.lists(quotas, min_size=1, max_size=3), hours), max_size=40))
def test_no_quota_grants_more_than_its_limit_in_any_term_that_one_of_its_own_lies_in(
    asked: list[tuple[list[QuotaOrder], int]],
) -> None:
    known: list[Recovery] = []
    for orders, hour in asked:
        at = NOW + timedelta(hours=hour)
        before = list(known)
        answer = granted(known, *orders, received=at)
        for one, told in zip(orders, answer.answers, strict=True):
            near = [
                {
                    other.case
                    for other in before
                    if (other.pot, other.subject) == (one.pot, name)
                    and abs(other.received - at) < timedelta(days=one.term_days)
                }
                for name in one.subjects
            ]
            assert told.used_up == any(len(cases) >= one.limit for cases in near)
            assert answer.ordinal is None or 1 <= (told.ordinal or 0) <= one.limit
        assert (len(known) > len(before)) == (answer.ordinal is not None)


@given(asked=st.lists(st.tuples(subjects, hours), max_size=40), limit=st.integers(1, 3))
def test_no_term_holds_more_than_the_limit_and_none_two_of_one_number(
    asked: list[tuple[set[str], int]], limit: int
) -> None:
    known: list[Recovery] = []
    for names, hour in asked:
        granted(known, quota(*sorted(names), limit=limit), received=NOW + timedelta(hours=hour))

    for first in known:
        end = first.received + timedelta(days=TERM_DAYS)
        term = [one for one in known if one.subject == first.subject and first.received <= one.received < end]
        assert len({one.ordinal for one in term}) == len(term) <= limit
        assert all(1 <= one.ordinal <= limit for one in term)


def test_the_same_hardware_has_a_pot_of_its_own_unless_the_policy_names_one() -> None:
    quota = Quota(recoveries=1)

    assert {reason: quota.pot_for(reason) for reason in Reason} == {
        reason: SAME_HARDWARE if reason is Reason.SAME_HARDWARE else RECOVERIES for reason in Reason
    }
    assert Quota(recoveries=1, pot=PotName("all")).pot_for(Reason.SAME_HARDWARE) == "all"


def test_a_fact_that_is_older_than_pots_is_of_the_pot_that_most_recoveries_count_in() -> None:
    fields = {"case": "c", "serial": "D-1", "subjects": ("holder/h",), "ordinal": 1, "limit": 1}

    fact = RecoveryReserved.model_validate(fields)

    assert (fact.pot, fact.term_days) == (RECOVERIES, None)
