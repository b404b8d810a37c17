"""A case is under rules that its worker knows; what it believes and what was appended is compared in `test_digest`."""

import pytest

from events.rules import RULES_VERSION
from events.terms import CaseId
from workflows.divergence import DivergenceError, must_know_rules, must_read

CASE = CaseId("c-1")


def test_a_case_under_newer_rules_waits_for_a_worker_that_knows_them() -> None:
    must_know_rules(CASE, 1)
    must_know_rules(CASE, RULES_VERSION)
    with pytest.raises(DivergenceError) as refused:
        must_know_rules(CASE, RULES_VERSION + 1)

    assert str(refused.value) == (
        f"case c-1 is under version {RULES_VERSION + 1} of the rules, and this release knows {RULES_VERSION}:"
        " run a worker of the newer release"
    )


@pytest.mark.parametrize(
    ("later", "place"),
    [
        ({"number": 3, "content": {"type": "moved", "to": "a-name"}}, "1.content"),
        ({"number": 3, "content": {"type": "settled"}, "urgent": True}, "1.urgent"),
        ({"number": 3, "content": {"type": "settled"}, "urgent": True, "at": "noon"}, "1.at, 1.urgent"),
    ],
    ids=["another kind", "another field", "two other fields"],
)
def test_a_message_of_a_later_release_is_for_a_newer_worker_and_is_never_left_out(
    later: dict[str, object], place: str
) -> None:
    known = {"number": 2, "content": {"type": "settled"}}
    assert [message.number for message in must_read(CASE, [known])] == [2]

    with pytest.raises(DivergenceError) as refused:
        must_read(CASE, [known, later])

    assert str(refused.value) == (
        f"case {CASE} was sent a message that this release cannot read ({place}): run a worker of the release that"
        " sent it"
    )
