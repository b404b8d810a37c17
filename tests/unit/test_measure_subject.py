"""A measure's subject is written as one word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from events.measure_subject import Subject
from events.terms import NAME_PATTERN, Aim

SUBJECTS = st.builds(
    Subject, st.sampled_from(Aim), st.from_regex(NAME_PATTERN, fullmatch=True), st.integers(0, 2**63 - 1)
)


@given(SUBJECTS)
def test_a_subject_is_written_as_one_word_and_read_again(subject: Subject) -> None:
    wire = TypeAdapter(Subject)

    assert Subject.parse(str(subject)) == subject
    assert wire.dump_json(subject) == f'"{subject}"'.encode()
    assert wire.validate_json(wire.dump_json(subject)) == wire.validate_python(subject) == subject


@pytest.mark.parametrize(
    "text", ["", "licence/L-1", "licence//1", "licence/L-1/", "licence/L-1/x", "ticket/L-1/1", "licence/L-1/1/2", "L/1"]
)
def test_what_names_no_subject_is_refused(text: str) -> None:
    with pytest.raises(ValidationError, match="is no subject of a measure, such as licence/L-1/2"):
        TypeAdapter(Subject).validate_python(text)
