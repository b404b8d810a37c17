"""Whether a container is blocked at an instant, which the views say beyond the rows."""

from datetime import timedelta
from typing import Any

import pytest

from events.measure_subject import Subject
from projections.read.views import MeasureView, container_status
from tests.worlds import NOW

LATER = NOW + timedelta(hours=1)
WHOLE, ACCESS = Subject.parse("container/3-1/1"), Subject.parse("access_data/3-1/2")


def against(subject: Subject | str, **more: Any) -> MeasureView:
    return MeasureView.model_validate(
        {
            "serial": "3-1",
            "case_id": "c-1",
            "measure": "blacklisting",
            "subject": subject,
            "ordered": NOW,
            "effective": NOW,
            "state": "ordered",
            "delivered": None,
            "ended": None,
            "confirmed_by": None,
        }
        | more
    )


@pytest.mark.parametrize(
    ("measure", "status"),
    [
        (against(WHOLE), "blocked"),
        (against(WHOLE, state="confirmed"), "blocked"),
        (against(WHOLE, state="lifted"), "good"),
        (against(WHOLE, effective=LATER), "good"),
        (against("container/3-1/0"), "good"),
        (against("licence/L-1/1"), "good"),
        (against(ACCESS), "access data blocked"),
        (against("access_data/3-1/1"), "good"),
    ],
)
def test_a_container_is_blocked_from_the_time_of_effect_of_a_measure_on_it(measure: MeasureView, status: str) -> None:
    assert container_status([measure], WHOLE, ACCESS, NOW) == status


def test_a_delayed_measure_blocks_once_its_time_has_come() -> None:
    assert container_status([against(WHOLE, effective=LATER)], WHOLE, ACCESS, LATER) == "blocked"
