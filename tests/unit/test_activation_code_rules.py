"""Activation codes: how they are written and typed, and how long they are good."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.licensing.activation_code_rules import (
    ALPHABET,
    TRIES,
    Fetched,
    fetch,
    is_same,
    must_be_activated_by_code,
    none_awaits,
    spent,
    tried,
    written,
)
from activities.licensing.containers import Container
from events.errors import Code, RefusalError
from events.terms import CaseId, HolderId, Kind, Serial

CASE, OTHER = CaseId("case-1"), CaseId("case-2")
DIGESTS = st.binary(min_size=32, max_size=32)


@given(digest=DIGESTS)
def test_a_code_is_two_groups_of_five_letters_and_digits_that_are_not_taken_for_each_other(digest: bytes) -> None:
    assert re.fullmatch(f"[{ALPHABET}]{{5}}-[{ALPHABET}]{{5}}", written(digest))
    assert not set(ALPHABET) & set("ILOU")


@given(digest=DIGESTS)
def test_a_code_has_five_random_bits_in_each_of_its_letters(digest: bytes) -> None:
    letters = written(digest).replace("-", "")
    bits = sum(ALPHABET.index(letter) << 5 * place for place, letter in enumerate(letters))

    assert bits == int.from_bytes(digest[:7]) % 2**50


@given(digest=DIGESTS, data=st.data())
def test_a_code_may_be_typed_in_any_case_with_or_without_its_dash(digest: bytes, data: st.DataObject) -> None:
    code = written(digest)
    typed = "".join(data.draw(st.sampled_from([letter.lower(), letter])) for letter in code)

    assert is_same(code, typed)
    assert is_same(code, typed.replace("-", data.draw(st.sampled_from(["", " ", " - "]))))
    assert is_same(code, code.replace("0", "o").replace("1", "l"))


@given(digest=DIGESTS, typed=st.text(max_size=64))
def test_nothing_else_is_taken_for_a_code(digest: bytes, typed: str) -> None:
    code = written(digest)
    plain = typed.upper().replace("O", "0").replace("I", "1").replace("L", "1").replace(" ", "").replace("-", "")

    assert is_same(code, typed) is (plain == code.replace("-", ""))


@pytest.mark.parametrize("typed", ["\ud800", "7K3QF-M02Z\udfff"])
def test_half_a_character_is_taken_for_no_letter(typed: str) -> None:
    assert not is_same("7K3QF-M02ZT", typed)


def test_codes_of_two_numbers_differ() -> None:
    assert written(bytes(31) + b"\0") == "00000-00000"
    assert written(b"\0" * 6 + b"\1" + bytes(25)) == "10000-00000"


@pytest.mark.parametrize("waiting", [[CASE], [OTHER, CASE]])
def test_a_code_stays_the_same_while_its_case_waits(waiting: list[CaseId]) -> None:
    first = fetch(None, [CASE])

    assert first == Fetched(number=1, case_id=CASE, wrong=0)
    assert fetch(first, waiting) is first
    assert fetch(tried(first), waiting) == Fetched(number=1, case_id=CASE, wrong=1)


def test_a_code_that_was_used_or_tried_too_often_or_is_another_cases_is_followed_by_another() -> None:
    first = fetch(None, [CASE])
    exhausted = [Fetched(1, CASE, wrong) for wrong in range(TRIES + 1)]

    assert [tried(before) for before in exhausted] == [*exhausted[1:], exhausted[-1]]
    assert [one.is_good for one in exhausted] == [True] * TRIES + [False]
    assert all(before.number == after.number for before, after in pairwise(exhausted))
    for over in (spent(first), exhausted[-1]):
        assert fetch(over, [CASE]) == Fetched(number=2, case_id=CASE, wrong=0)
    assert fetch(first, [OTHER]) == Fetched(number=2, case_id=OTHER, wrong=0)
    assert not Fetched(1, None, 0).is_good
    assert (tried(None), spent(None), tried(spent(first))) == (None, None, spent(first))


def test_only_a_container_that_is_bound_to_a_machine_is_activated_by_code_and_only_while_a_case_waits() -> None:
    act, cloud = (
        Container(Serial("3-1"), kind, HolderId("h-1"), 0, None, 1, None, 0) for kind in (Kind.ACT, Kind.CLOUD)
    )
    none = none_awaits(Serial("3-1"))

    must_be_activated_by_code(act)
    with pytest.raises(RefusalError, match="container 3-1 is of kind cloud; only one of kind act") as mismatch:
        must_be_activated_by_code(cloud)
    assert mismatch.value.code is Code.KIND_MISMATCH
    assert mismatch.value.parameters == {"serial": "3-1", "kind": Kind.CLOUD}
    assert str(none) == "no open case of container 3-1 waits for an activation by code; report its loss first"
    assert (none.code, none.parameters) == (Code.NO_CASE, {"serial": "3-1"})
