"""A quota of N grants at most N to each subject in any rolling term, each with a number of its own there."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.licensing.quota_rules import Recovery, allot
from events.backend_facts import RecoveryReserved
from events.ports.licensing_backend import CaseKey, ReserveOrder
from events.terms import RECOVERIES, SAME_HARDWARE, PotName, Reason
from tests.unit.facts import NOW
from workflows.policy import Quota

KEY = CaseKey(vendor="acme", case="c", serial="D-1")
TERM_DAYS = 10


def order(*subjects: str, limit: int = 2, received: datetime = NOW) -> ReserveOrder:
    return ReserveOrder(key=KEY, subjects=subjects, limit=limit, term_days=TERM_DAYS, received=received)


def test_recoveries_are_counted_for_each_subject_and_not_by_numbers_that_subjects_share() -> None:
    known: list[Recovery] = []
    granted: dict[str, int] = {}
    for subjects in ("A",), ("A", "B"), ("C",), ("B", "C"), ("B",), ("B", "D"), ("C", "A"), ("D",), ("D",), ("D",):
        ordinals = allot(order(*subjects), known)
        for subject, ordinal in (ordinals or {}).items():
            known.append(Recovery(subject, ordinal, NOW))
            granted[subject] = granted.get(subject, 0) + 1

    assert granted == {"A": 2, "B": 2, "C": 2, "D": 2}


def test_nothing_is_set_aside_for_any_subject_where_one_has_none_left() -> None:
    known = [Recovery("A", 1, NOW), Recovery("A", 2, NOW)]

    assert allot(order("A", "B"), known) is None
    assert allot(order("B"), known) == {"B": 1}
    assert allot(order("B", limit=0), known) is None


@pytest.mark.parametrize("sign", [1, -1])
def test_a_recovery_counts_while_less_than_the_term_lies_between_the_receipts(sign: int) -> None:
    known = [Recovery("A", 1, NOW)]
    edge = NOW + sign * timedelta(days=TERM_DAYS)

    assert allot(order("A", limit=1, received=edge), known) == {"A": 1}
    assert allot(order("A", limit=1, received=edge - sign * timedelta(microseconds=1)), known) is None


hours = st.integers(0, 40 * 24)
subjects = st.sets(st.sampled_from("ABCD"), min_size=1, max_size=3)


@given(asked=st.lists(st.tuples(subjects, hours), max_size=40), limit=st.integers(1, 3))
def test_no_term_holds_more_than_the_limit_and_none_two_of_one_number(
    asked: list[tuple[set[str], int]], limit: int
) -> None:
    known: list[Recovery] = []
    for names, hour in asked:
        at = NOW + timedelta(hours=hour)
        ordinals = allot(order(*sorted(names), limit=limit, received=at), known)
        known += [Recovery(subject, ordinal, at) for subject, ordinal in (ordinals or {}).items()]

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
    told = {"case": "c", "serial": "D-1", "subjects": ("holder/h",), "ordinal": 1, "limit": 1}

    fact = RecoveryReserved.model_validate(told)

    assert (fact.pot, fact.term_days) == (RECOVERIES, None)
