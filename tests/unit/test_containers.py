"""What goes into a container, and the answer for one that is unknown."""

import pytest

from activities.licensing.containers import Container, has_room, must_have_room, unknown_container
from events.errors import Code, NotYetKnownError, RefusalError
from events.sizes import CONTAINER_LICENCES
from events.terms import HolderId, Kind, Serial


def container(licences: int) -> Container:
    return Container(Serial("3-1"), Kind.DONGLE, HolderId("h-1"), licences, None, 1, None, 0)


@pytest.mark.parametrize(("more", "words"), [(1, "put this one into"), (3, "put these 3 into")])
def test_a_container_takes_so_many_licences_and_no_more(more: int, words: str) -> None:
    room, full = container(CONTAINER_LICENCES - more), container(CONTAINER_LICENCES - more + 1)

    must_have_room(room, more)
    assert (has_room(room, more), has_room(full, more)) == (True, False)
    with pytest.raises(RefusalError, match=f"container 3-1 holds {full.licences} licences and .*; {words}") as refusal:
        must_have_room(full, more)
    assert refusal.value.code is Code.CONTAINER_FULL
    assert refusal.value.parameters == {
        "serial": "3-1",
        "held": full.licences,
        "licences": more,
        "most": CONTAINER_LICENCES,
    }


@pytest.mark.parametrize(("typed", "shown"), [("3-1", "3-1"), ("3 ä", r"'3 \xe4'")])
def test_a_container_that_is_unknown_may_be_stated_later_and_what_was_typed_is_shown_in_ascii(
    typed: str, shown: str
) -> None:
    refusal = unknown_container(Serial(typed))

    assert isinstance(refusal, NotYetKnownError)
    assert str(refusal) == f"no container {shown} is known here"
    assert (refusal.code, refusal.parameters) == (Code.UNKNOWN_CONTAINER, {"serial": shown})
