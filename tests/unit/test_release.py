"""Which cases stand in the way of an un-loss on one container."""

import pytest

from activities.licensing.release import Other, Release, must_be_free, taken_along
from events.errors import Code, RefusalError
from events.terms import CaseId, Serial
from tests.unit.facts import NOW

D1 = Serial("D-1")
STANDS = Other(CaseId("stands"), None)
ASKED = Other(CaseId("asked"), Release.ASKED)
LIFTED = Other(CaseId("lifted"), Release.LIFTED)
OVER = Other(CaseId("over"), None, over=True)


@pytest.mark.parametrize(("others", "begun"), [((), False), ((), True), ((ASKED, LIFTED), False), ((LIFTED,), True)])
def test_nothing_is_in_the_way_that_is_being_lifted_at_first_and_is_lifted_in_the_end(
    others: tuple[Other, ...], begun: bool
) -> None:
    must_be_free(D1, others, NOW, begun=begun)


@pytest.mark.parametrize(
    ("others", "begun", "named", "code"),
    [
        ((ASKED, STANDS), False, "stands", Code.BLOCKED),
        ((STANDS, LIFTED, ASKED), True, "asked, stands", Code.RELEASE_AWAITED),
        ((ASKED, OVER), True, "asked, over", Code.BLOCKED),
    ],
)
def test_what_is_in_the_way_is_named_and_waited_for_while_it_may_go(
    others: tuple[Other, ...], begun: bool, named: str, code: Code
) -> None:
    with pytest.raises(RefusalError, match=f"container D-1 is blocked by case {named} too, .* retire the") as refusal:
        must_be_free(D1, others, NOW, begun=begun)

    assert refusal.value.code is code
    assert refusal.value.parameters == {"serial": D1, "cases": named, "at": NOW.isoformat()}


@pytest.mark.parametrize(
    ("claimed", "issued_at", "along"),
    [
        (1, 2, True),  # on the new machine, and the old one is to be bound again
        (1, 3, False),  # bound to the old one again meanwhile
        (2, 1, False),  # it was there already when the container was lost
        (3, 2, False),
        (4, 5, False),  # of neither a machine is known
        (3, 4, True),
    ],
)
def test_a_replacement_is_taken_along_where_the_container_is_bound_to_an_earlier_and_another_machine(
    claimed: int, issued_at: int, along: bool
) -> None:
    machines = {1: {"board": "b1"}, 2: {"board": "b2"}, 3: {"board": "b1"}}

    assert taken_along(claimed, [(STANDS, issued_at)], machines) == ([STANDS] if along else [])
