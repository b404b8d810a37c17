"""What does not fit a model is told in words that a person understands, and nothing secret with it."""

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from events.errors import Code
from events.ports.loss_cases import DecisionContent, DecisionOrder
from events.statements import STATEMENTS, ContactStatement, ContainerStatement, EvidenceStatement, LicenceStatement
from events.terms import Kind
from portal.cli.decisions import TYPED
from portal.misfits import MISFITS_TOLD, invalid, name_of
from workflows.explanation import Supposed

INSIDES = re.compile(
    r"[Ii]nput|should|[Vv]alidat|pydantic|Value error|Assertion|\^|\\|\(\?|Field required|Extra|None|tuple|\bdict|"
    r"str_|_type|NoneType|Enum|model"
)
NAME = "a name of up to 80 letters, digits and ._:@+-, the first of them a letter or digit"
INSTANT = "an instant of the years 1970 to 9000 with its distance from UTC, such as 2026-01-10T09:00:00Z"
EVIDENCE, LICENCE, CONTACT = (one.example for one in (EvidenceStatement, LicenceStatement, ContactStatement))
UNTITLED = {name: value for name, value in EVIDENCE.items() if name != "serial"}
WHOLE = "a whole number from 1 to"
ORDER: dict[str, Any] = {"decision": "D-1", "action": "approve", "by": "ann", "on": 3}


def sentence_of(model: type[BaseModel], data: object, typed: dict[str, str] | None = None) -> str:
    with pytest.raises(ValidationError) as error:
        model.model_validate(data)
    refusal = invalid(error.value, model, typed)
    assert refusal.code in (Code.INVALID_DATA, Code.INVALID_LOSS)
    return refusal.sentence


@pytest.mark.parametrize(
    ("model", "data", "sentence"),
    [
        (EvidenceStatement, EVIDENCE | {"evidence": ["a b"]}, f'item 1 of evidence must be {NAME}, and not "a b"'),
        (EvidenceStatement, EVIDENCE | {"serial": 31001}, f"serial must be {NAME}, and not 31001; put it in quotes"),
        (EvidenceStatement, EVIDENCE | {"vendor": "x"}, 'there is no field "vendor" here; there are statement,'),
        (EvidenceStatement, EVIDENCE | {"serail": "3-1"}, 'there is no field "serail" here; did you mean serial?'),
        (EvidenceStatement, EVIDENCE | {"occurred": "now"}, f'occurred must be {INSTANT}, and not "now"'),
        (
            EvidenceStatement,
            EVIDENCE | {"occurred": "1960-01-01T00:00:00Z"},
            "occurred must be an instant of the years",
        ),
        (EvidenceStatement, EVIDENCE | {"evidence": []}, "evidence must be a list, at least 1 and at most 20 of them"),
        (
            EvidenceStatement,
            {k: v for k, v in EVIDENCE.items() if k != "serial"},
            f"there is no serial; it must be {NAME}",
        ),
        (
            EvidenceStatement,
            EVIDENCE | {"reporter": {"role": "boss", "name": "x"}},
            'reporter.role must be one of holder, delegate, back_office, and not "boss"',
        ),
        (EvidenceStatement, EVIDENCE | {"reporter": {"role": "holder"}}, "reporter lacks name; it must be a name"),
        (EvidenceStatement, EVIDENCE | {"reporter": None}, "reporter must be a group of role, name, and not null"),
        (EvidenceStatement, "text", "this must be a group of statement, report, serial, reporter, evidence, occurred"),
        (
            LicenceStatement,
            LICENCE | {"generation": 0},
            f"generation must be {WHOLE} 1,000,000,000, and not 0",
        ),
        (
            LicenceStatement,
            LICENCE | {"lease": {"check_in": {"unit": "fortnight"}}},
            'lease.check_in.unit must be one of day, week, month, year, and not "fortnight"',
        ),
        (ContactStatement, CONTACT | {"confirms": "perhaps"}, 'confirms must be true or false, and not "perhaps"'),
        (
            ContactStatement,
            CONTACT | {"licences": [{"licence": "L-1", "generation": 1}, {"licence": "", "generation": 1}]},
            f'licence of item 2 of licences must be {NAME}, and not ""',
        ),
        (ContactStatement, CONTACT | {"how": "activation"}, "an activation needs the fingerprint of its machine"),
        (
            ContainerStatement,
            {"serial": "A-1", "kind": Kind.ACT, "holder": "H-1"},
            "a container of kind act needs the fingerprint of its machine, and no other has one",
        ),
        (
            DecisionOrder,
            ORDER | {"condition": "x"},
            "a condition and the days to meet it go together: give both, or neither",
        ),
        (
            DecisionOrder,
            ORDER | {"condition_days": 400},
            f"condition_days must be {WHOLE} 366, and not 400",
        ),
    ],
)
def test_a_misfit_is_told_with_what_was_given_and_what_must_be(
    model: type[BaseModel], data: object, sentence: str
) -> None:
    assert sentence_of(model, data).startswith(sentence)


def test_what_is_typed_is_called_as_it_is_typed() -> None:
    content = {name: value for name, value in ORDER.items() if name != "by"}
    content |= {"decision": "D 1", "condition": "x", "condition_days": 0}

    assert sentence_of(DecisionContent, content, TYPED) == (
        f'--decision must be {NAME}, and not "D 1"; --days must be a whole number from 1 to 366, and not 0'
    )


@pytest.mark.parametrize(
    "data",
    [
        CONTACT | {"activation_code": "secret" * 20},
        CONTACT | {"fingerprint": {"board": "secret\0"}},
        CONTACT | {"fingerprint": {"board": "secret" * 50}},
        CONTACT | {"fingerprint": "secret"},
    ],
)
def test_no_secret_and_nothing_of_a_machine_is_told(data: dict[str, Any]) -> None:
    assert "secret" not in sentence_of(ContactStatement, data)


def test_no_more_misfits_are_told_than_are_read() -> None:
    sentence = sentence_of(EvidenceStatement, EVIDENCE | {"evidence": [f"no {n}" for n in range(12)]})

    assert sentence.count("must be") == MISFITS_TOLD
    assert sentence.endswith("; and 7 more")


MODELS: dict[type[BaseModel], dict[str, Any]] = {
    **{statement: dict(statement.example) for statement in STATEMENTS.values()},
    DecisionOrder: ORDER,
    Supposed: {"kind": "dongle", "reason": "lost"},
}
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5) | st.just("2026"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def test_what_is_no_plain_name_is_quoted_where_a_field_is_named() -> None:
    assert name_of(("fingerprint", '"')) == 'fingerprint."\\""'
    assert name_of(("fingerprint", "\x1f")) == 'fingerprint."\\u001f"'


@given(st.sampled_from(list(MODELS)), st.data())
def test_whatever_does_not_fit_no_insides_are_told(model: type[BaseModel], data: st.DataObject) -> None:
    given_ = copy.deepcopy(MODELS[model])
    for name in data.draw(st.sets(st.sampled_from(sorted(model.model_fields)), min_size=1, max_size=3)):
        inner = given_.get(name)
        if isinstance(inner, dict) and inner and data.draw(st.booleans()):
            inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(values)
        else:
            given_[name] = data.draw(values)
    try:
        model.model_validate(given_)
    except ValidationError as error:
        sentence = invalid(error, model).sentence
        quoted = re.sub(r'"(\\.|[^"\\])*"?…?', "", sentence)
        assert not INSIDES.search(quoted), sentence
        assert "\n" not in sentence
