"""The messages that a case has not taken: each once, in order, whatever comes twice, late or too early."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.ports.loss_cases import Content, Evidence, Joined, Message, Offer, Settled
from events.sizes import MESSAGE_TOKENS
from events.terms import Action, Scope
from tests.unit.facts import report
from tests.unit.journey import decision
from workflows.pending import Pending, tokens


def message(number: int) -> Message:
    return Message(number=number, content=Offer(serial=f"3-{number}"))


@given(st.permutations(range(2, 30)), st.lists(st.integers(2, 29), max_size=30), st.lists(st.booleans(), min_size=60))
def test_messages_are_taken_once_each_in_order_in_whatever_order_they_come(
    order: list[int], again: list[int], takes: list[bool]
) -> None:
    pending, taken = Pending(1), list[int]()
    for number, take in zip([*order, *again, *order], takes, strict=False):
        pending.add(message(number))
        while take and (first := pending.first()):
            taken.append(first.number)
            pending.take()
    while first := pending.first():
        taken.append(first.number)
        pending.take()

    assert taken == list(range(2, 30))
    assert pending.all() == ()


def test_a_message_waits_for_the_one_before_it() -> None:
    pending = Pending(1)
    pending.add(message(3))

    assert pending.first() is None
    pending.add(message(2))
    assert [one.number for one in pending.in_order()] == [2, 3]
    pending.take(2)
    assert pending.taken == 3


def test_what_is_carried_on_is_what_was_not_taken() -> None:
    pending = Pending(4, [message(4), message(7), message(5)])

    assert [one.number for one in pending.all()] == [5, 7]


def test_a_message_that_nobody_accepted_leaves_its_number_to_the_true_one() -> None:
    pending = Pending(1, [Message(number=2, content=Offer(serial="forged"))])

    pending.discard()
    pending.add(message(2))

    assert pending.first() == message(2)


def test_a_message_that_nobody_accepted_does_not_keep_the_true_one_of_its_number_away() -> None:
    """The true one comes while the other one is here, and never again."""
    pending = Pending(1, [Message(number=2, content=Offer(serial="forged"))])

    pending.add(message(2))
    pending.add(message(2))
    carried = Pending(1, pending.all())
    for one in (pending, carried):
        one.discard()
        assert one.first() == message(2)
        one.take()
        assert (one.taken, one.first(), one.all()) == (2, None, ())


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (Joined(report=report()), 15),
        (Joined(report=report(scope=Scope.LICENCES, licences=("L-1", "L-2"), evidence=("photo",))), 18),
        (Evidence(statement="evidence/E-1", by="crm", evidence=("photo", "police_report")), 10),
        (decision(Action.APPROVE).order, 150),
        (Offer(serial="3-1"), 5),
        (Settled(), 5),
    ],
)
def test_a_message_counts_as_many_names_as_it_may_hold(content: Content, names: int) -> None:
    assert tokens(Message(number=2, content=content)) == names


@pytest.mark.parametrize(("more", "travels"), [(0, True), (1, False)])
def test_what_is_here_goes_with_its_case_up_to_a_bound(more: int, travels: bool) -> None:
    """Each of them counts five names."""
    numbers = range(2, MESSAGE_TOKENS // 5 + 2 + more)

    assert Pending(1, map(message, numbers)).travels is travels


def test_of_a_message_that_comes_twice_one_is_kept() -> None:
    pending = Pending(1, [message(2), message(3), message(2)])

    assert pending.all() == (message(2), message(3))
    pending.take()
    assert list(pending.in_order()) == [message(3)]
