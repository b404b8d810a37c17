"""When all is removed that a case has ordered back: what was lost and what replaced it, each by itself."""

import pytest

from activities.licensing.measure_rules import Standing, is_settled
from events.measure_subject import Subject
from events.terms import CaseId, Measure, MeasureState, Serial

LOST, REPLACED = Subject.parse("container/D-1/1"), Subject.parse("licence/L-1/2")
ISSUED = {REPLACED}


def standing(subject: Subject, state: MeasureState, measure: Measure = Measure.WITHDRAWAL) -> Standing:
    return Standing(CaseId("c"), measure, subject, Serial("D-1"), state)


@pytest.mark.parametrize("other", MeasureState)
@pytest.mark.parametrize(("confirmed", "open_"), [(REPLACED, LOST), (LOST, REPLACED)], ids=str)
def test_what_was_lost_and_what_replaced_it_are_settled_each_by_itself(
    confirmed: Subject, open_: Subject, other: MeasureState
) -> None:
    gone = standing(confirmed, MeasureState.CONFIRMED)

    assert is_settled([gone], [gone, standing(open_, other)], ISSUED)


@pytest.mark.parametrize("state", [MeasureState.ORDERED, MeasureState.DELIVERED])
def test_nothing_is_settled_while_one_of_the_same_is_still_to_be_confirmed(state: MeasureState) -> None:
    gone = standing(REPLACED, MeasureState.CONFIRMED)

    other = Subject.parse("licence/L-2/2")

    assert not is_settled([gone], [gone, standing(other, state)], {*ISSUED, other})
    assert is_settled([gone], [gone, standing(REPLACED, state, Measure.DEACTIVATION)], ISSUED)


def test_a_blacklisting_that_a_container_met_settles_nothing() -> None:
    met = standing(LOST, MeasureState.CONFIRMED, Measure.BLACKLISTING)

    assert not is_settled([met], [met], ISSUED)
    assert not is_settled([], [], ISSUED)


def test_a_measure_is_the_same_in_the_words_of_the_driver() -> None:
    plain = Standing(CaseId("c"), "withdrawal", "container/D-1/1", Serial("D-1"), "ordered")  # type: ignore[arg-type]

    assert plain == standing(LOST, MeasureState.ORDERED)
    assert plain.about() == {"case": "c", "measure": Measure.WITHDRAWAL, "subject": LOST, "serial": "D-1"}
