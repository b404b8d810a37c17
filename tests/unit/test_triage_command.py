"""What the triage command says at a machine."""

import pytest

from events.errors import Code, RefusalError
from events.ports.licensing_backend import Advice, Triage
from events.terms import Reason
from portal.cli.triage import _fingerprint, in_words, must_name_what_is_known

KNOWN = {"same": ("board",), "changed": ("disk", "nic")}

CHANGED = {"same": (), "changed": ("board", "disk")}


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (Triage(advice=Advice.ACTIVATE, same=("board",)), "Activate A-1 again on this machine; nothing needs"),
        (
            Triage(advice=Advice.ACTIVATE, code="activation_code_missing", cases=("case-1",)),
            "with the one-time code: case case-1 waits for it",
        ),
        (
            Triage(advice=Advice.REPORT, reason=Reason.HARDWARE_REPLACED, code="fingerprint_mismatch", **KNOWN),
            "--kind act --reason hardware_replaced` does.\nAs on the known machine: board; other than on",
        ),
        (
            Triage(advice=Advice.REPORT, reason=Reason.SAME_HARDWARE, code="returned"),
            "of A-1 was given back",
        ),
        (Triage(advice=Advice.REPORT, reason=Reason.HARDWARE_REPLACED, code="superseded"), "another machine since"),
        (Triage(advice=Advice.SETTLE, code="blocked", cases=("case-1",)), "A-1 is blocked for case case-1"),
        (Triage(advice=Advice.SETTLE, code="machine_stolen", cases=("case-1",)), "case-1 calls this machine stolen"),
        (Triage(advice=Advice.SETTLE, code="fingerprint_mismatch", cases=("case-1",)), "waits for the known machine"),
    ],
)
def test_the_advice_is_a_sentence_that_says_what_to_do(found: Triage, says: str) -> None:
    assert says in in_words("A-1", found)


def test_factors_are_typed_as_name_and_value() -> None:
    assert _fingerprint(["board=b-1", "disk=d=1"]) == {"board": "b-1", "disk": "d=1"}


@pytest.mark.parametrize("typed", [["board"], ["=b"], ["board=b", "board=c"], ["bo ard=b"], ["board=" + "x" * 129]])
def test_what_is_no_fingerprint_is_refused(typed: list[str]) -> None:
    with pytest.raises(RefusalError) as refused:
        _fingerprint(typed)
    assert refused.value.code == Code.INVALID_DATA


def test_factors_of_which_none_is_known_are_taken_for_mistyped_and_the_known_names_are_given() -> None:
    found = Triage(advice=Advice.REPORT, reason=Reason.HARDWARE_REPLACED, code="fingerprint_mismatch", **CHANGED)

    with pytest.raises(
        RefusalError, match=r"none of the factors .* of A-2 was shown; they are called board, disk"
    ) as no:
        must_name_what_is_known("A-2", {"unknown": "1"}, found)
    assert no.value.code is Code.INVALID_DATA
    must_name_what_is_known("A-2", {"unknown": "1", "disk": "2"}, found)
    must_name_what_is_known("A-2", {"unknown": "1"}, Triage(advice=Advice.SETTLE, code="blocked", **CHANGED))


def test_a_machine_of_which_nothing_is_as_it_was_is_told_in_one_sentence() -> None:
    found = Triage(advice=Advice.REPORT, reason=Reason.HARDWARE_REPLACED, code="fingerprint_mismatch", **CHANGED)
    assert in_words("A-2", found).splitlines()[1] == "Other than on the known machine, or not shown: board, disk."
