"""The words of the domain: names, numbers, instants and texts within their bounds."""

from datetime import UTC
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from events.errors import Code, RefusalError
from events.terms import (
    GENERATION_LIMIT,
    NAME_PATTERN,
    TEXT_CHARACTERS,
    BoundedInstant,
    FreeText,
    PersonId,
    Serial,
    VendorId,
    next_generation,
    storable,
)


@pytest.mark.parametrize("bad", ["", " ", "a b", "é", "x" * 81, "-x", "a\n", "../x"])
def test_a_serial_is_a_plain_name(bad: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(Serial).validate_python(bad)


@pytest.mark.parametrize(
    "person",
    [
        "acme:auth0|5f7c8ec7c33c6c004bbafe82",
        "g:google-oauth2|103547991597142817347",
        "azure:AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ",
        "corp:q83vEjRWeJCrze8SNFZ4kA==",
        "corp:a/b~c.d_e-f+g",
        "o:" + "s" * 253,
    ],
)
def test_a_person_is_whoever_an_oidc_issuer_knows(person: str) -> None:
    assert TypeAdapter(PersonId).validate_python(person) == person


@given(st.from_regex(NAME_PATTERN, fullmatch=True))
def test_a_person_who_was_known_before_is_known_as_before(name: str) -> None:
    assert TypeAdapter(PersonId).validate_python(name) == name


@pytest.mark.parametrize("bad", ["", "|a", "/a", "a b", "é", "a\n", "a\\b", "x" * 256])
def test_a_person_has_no_other_characters_and_no_more_than_255(bad: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(PersonId).validate_python(bad)


@pytest.mark.parametrize("bad", ["", "A", "a", "1a", "a_b", "a.b", "a-", "x" * 33])
def test_a_vendor_is_a_name_that_a_topic_can_carry(bad: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(VendorId).validate_python(bad)


@pytest.mark.parametrize(
    "edge",
    [
        "0001-01-01T00:00:00+14:00",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+14:00",
        "9001-01-01T00:00:00Z",
        "9000-12-31T23:59:59-12:00",
        "9999-12-31T23:59:59-12:00",
        "2026-01-01T00:00:00",
    ],
)
def test_an_instant_that_comes_in_is_of_the_years_1970_to_9000_in_utc(edge: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(BoundedInstant).validate_json(f'"{edge}"')


def test_an_instant_that_is_outside_the_calendar_is_refused_with_what_is_taken() -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(BoundedInstant).validate_json('"1969-12-31T23:59:59Z"')

    assert "Value error, must be an instant of the years 1970 to 9000, in UTC [" in str(refused.value)


def test_an_instant_that_comes_in_is_kept_in_utc() -> None:
    taken = TypeAdapter(BoundedInstant).validate_json('"2026-11-20T18:00:00+02:00"')

    assert taken.isoformat() == "2026-11-20T16:00:00+00:00"
    assert taken.tzinfo is UTC


def test_no_generation_follows_the_last() -> None:
    assert next_generation(GENERATION_LIMIT - 1) == GENERATION_LIMIT
    with pytest.raises(RefusalError) as refusal:
        next_generation(GENERATION_LIMIT)
    assert refusal.value.code is Code.GENERATION_EXHAUSTED
    assert "1000000000" in refusal.value.sentence
    assert refusal.value.parameters == {"generation": GENERATION_LIMIT, "most": GENERATION_LIMIT}


@pytest.mark.parametrize("control", ["\x00", "\x1b", "\x7f", "\x9b"])
def test_what_a_person_writes_has_several_lines_and_no_control_characters(control: str) -> None:
    text = TypeAdapter(FreeText)

    assert text.validate_python("first\r\n\tsecond, é, 東京 🙂") == "first\r\n\tsecond, é, 東京 🙂"
    with pytest.raises(ValidationError):
        text.validate_python(f"a{control}b")


def test_what_a_person_writes_is_bounded() -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(FreeText).validate_python("x" * (TEXT_CHARACTERS + 1))


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ("a\0b", "has a NUL in it, which PostgreSQL cannot hold"),
        (float("nan"), "has a number in it that is none"),
        (float("inf"), "has a number in it that is none"),
    ],
    ids=["NUL", "no number", "no end"],
)
@pytest.mark.parametrize("within", ["it", "a list", "a value", "a deep value"])
def test_what_postgresql_cannot_hold_is_refused_wherever_it_stands(bad: Any, sentence: str, within: str) -> None:
    value = {"it": bad, "a list": [1, bad], "a value": {"a": 1, "b": bad}, "a deep value": [{"a": [{"b": [bad]}]}]}

    with pytest.raises(ValueError, match=f"^{sentence}$"):
        storable(value[within])


def test_a_name_or_a_text_that_postgresql_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        storable({"a": {"b\0": 1}})
    with pytest.raises(UnicodeEncodeError):
        storable(["\ud800"])


@pytest.mark.parametrize("value", ["", "XX", "é 東京", 1, 1.5, True, None, [], {}, {"a": [1, {"b": None}]}])
def test_what_postgresql_can_hold_is_taken_as_it_is(value: Any) -> None:
    assert storable(value) is value
