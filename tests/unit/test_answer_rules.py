"""An order that comes again is answered as before; a late one changes nothing."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.licensing.answer_rules import (
    ASSESS,
    BLOCK,
    CLOSE,
    ISSUE,
    KEEP,
    REINSTATE,
    RESERVE,
    WITHDRAW,
    CaseGone,
    answer_again,
    kind_of,
    with_policy,
)
from events.errors import Code, RefusalError
from events.ports.licensing_backend import Assessment, CaseOrders, Done, Issued, NoTargetFound, Withdrawal
from events.sizes import SCOPE_PAGE
from tests.unit.facts import NOW, facts, licence

ORDERS = (RESERVE, BLOCK, ISSUE, WITHDRAW, KEEP, REINSTATE, CLOSE)
NONE_FOUND = NoTargetFound(at=NOW, tickets=())
OPEN = Withdrawal(at=NOW, confirmed=False)
GONE = Withdrawal(at=NOW, confirmed=True)


def test_a_kept_answer_is_read_as_what_the_method_of_that_name_answers() -> None:
    issue, withdraw = kind_of(CaseOrders.issue), kind_of(CaseOrders.withdraw)
    issued = Issued(at=NOW, target="3-2", licences=())

    assert (issue.name, withdraw.name) == ("issue", "withdraw")
    assert withdraw.read(OPEN.model_dump_json()) == OPEN
    assert [issue.read(one.model_dump_json()) for one in (issued, NONE_FOUND)] == [issued, NONE_FOUND]
    assert [one.name for one in ORDERS] == ["reserve", "block", "issue", "withdraw", "keep", "reinstate", "close"]


@given(number=st.integers(1, 9), latest=st.integers(0, 9), closed=st.sampled_from([None, NOW]))
@pytest.mark.parametrize("kept", [Done(at=NOW), NONE_FOUND, GONE])
def test_an_answered_order_is_answered_as_before_whatever_came_since(
    kept: Done | NoTargetFound | Withdrawal, number: int, latest: int, closed: datetime | None
) -> None:
    assert answer_again(ISSUE, number, kept, CaseGone(latest, closed)) is kept  # type: ignore[type-var]


@pytest.mark.parametrize("kind", ORDERS)
def test_an_order_that_the_case_has_gone_on_without_is_refused_for_good(kind: object) -> None:
    with pytest.raises(RefusalError) as refusal:
        answer_again(kind, 4, None, CaseGone(5, None))  # type: ignore[type-var, arg-type]

    name = kind.name  # type: ignore[attr-defined]
    assert refusal.value.code is Code.TOO_LATE
    assert str(refusal.value) == f"order 4 of the case, {name}, comes late; the case has gone on"
    assert refusal.value.parameters == {"number": 4, "order": name}
    assert answer_again(kind, 5, None, CaseGone(5, None)) is None  # type: ignore[type-var, arg-type]


@pytest.mark.parametrize("kind", ORDERS)
def test_nothing_is_done_for_a_case_that_is_over(kind: object) -> None:
    if kind is CLOSE:
        return
    with pytest.raises(RefusalError):
        answer_again(kind, 6, None, CaseGone(5, NOW))  # type: ignore[type-var, arg-type]


def test_a_case_is_closed_once_and_answers_whatever_closes_it_again_with_that_instant() -> None:
    assert answer_again(CLOSE, 6, None, CaseGone(6, None)) is None
    for number in (4, 6, 8):
        assert answer_again(CLOSE, number, None, CaseGone(6, NOW)) == Done(at=NOW)


def test_a_case_asks_whether_what_it_ordered_back_is_removed_until_it_orders_something_else() -> None:
    assert answer_again(WITHDRAW, 5, OPEN, CaseGone(5, None)) is None
    assert answer_again(WITHDRAW, 5, OPEN, CaseGone(6, None)) is OPEN
    assert answer_again(WITHDRAW, 5, OPEN, CaseGone(5, NOW)) is OPEN
    assert answer_again(WITHDRAW, 5, GONE, CaseGone(5, None)) is GONE


def test_an_order_from_before_they_were_numbered_asks_for_a_target_again() -> None:
    assert answer_again(ISSUE, 0, NONE_FOUND, CaseGone(0, None)) is None
    assert answer_again(ISSUE, 0, NONE_FOUND, CaseGone(1, None)) is NONE_FOUND


def test_what_was_assessed_is_asked_at_any_time() -> None:
    assert answer_again(ASSESS, 0, None, CaseGone(7, NOW)) is None


@pytest.mark.parametrize("licences", [0, 1, SCOPE_PAGE, SCOPE_PAGE + 1])
def test_a_kept_assessment_comes_with_the_policy_the_first_page_of_the_licences_and_how_many_there_are(
    licences: int,
) -> None:
    several = tuple(licence(number) for number in range(1, licences + 1))
    kept = Assessment(at=NOW, facts=facts(*several), policy=None)

    assert with_policy(kept, {"rules": []}) == Assessment(
        at=NOW, facts=facts(*several[:SCOPE_PAGE]), policy={"rules": []}, licences=licences
    )
