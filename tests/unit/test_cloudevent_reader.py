"""The inbox's reading: every bad record gets a stable code and a sentence, every good one its statement."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import Code, RefusalError
from events.statements import (
    ContactStatement,
    ContainerStatement,
    DeactivationStatement,
    EvidenceStatement,
    LicenceStatement,
    LossStatement,
    Statement,
)
from portal.inbox.cloudevent_reader import LIMIT_BYTES, read_statement

STRUCTURED = {"content-type": b"application/cloudevents+json"}

LOSS: dict[str, Any] = {
    "report": "R-1",
    "serial": "3-1",
    "kind": "dongle",
    "reason": "lost",
    "reporter": {"role": "back_office", "name": "crm"},
    "occurred": "2026-03-01T10:00:00Z",
}


def event(data: object = LOSS, **changes: object) -> bytes:
    whole = {
        "specversion": "1.0",
        "id": "1",
        "source": "/crm",
        "type": LossStatement.type(),
        "datacontenttype": "application/json",
        "data": data,
        **changes,
    }
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


def refused(value: bytes | None, key: bytes | None = b"3-1", headers: dict[str, bytes] = STRUCTURED) -> RefusalError:
    with pytest.raises(RefusalError) as refusal:
        read_statement(key, value, headers)
    assert refusal.value.sentence
    return refusal.value


def test_a_structured_cloudevent_is_read() -> None:
    assert read_statement(b"3-1", event(), STRUCTURED) == LossStatement.model_validate(LOSS)


def test_a_binary_cloudevent_is_read() -> None:
    headers = {
        "ce_specversion": b"1.0",
        "ce_id": b"1",
        "ce_source": b"/crm",
        "ce_type": LossStatement.type().encode(),
        "content-type": b"application/json",
    }

    assert read_statement(b"3-1", json.dumps(LOSS).encode(), headers) == LossStatement.model_validate(LOSS)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, Code.TOMBSTONE),
        (b"", Code.NOT_JSON),
        (b"\xff\xfe", Code.NOT_JSON),
        (b"[" * 5000, Code.NOT_JSON),
        (b"[1]", Code.NOT_CLOUDEVENT),
        (b"{}", Code.NOT_CLOUDEVENT),
        (event(specversion="0.3"), Code.NOT_CLOUDEVENT),
        (event(id=None), Code.NOT_CLOUDEVENT),
        (event(time="yesterday"), Code.NOT_CLOUDEVENT),
        (event(type="lostfound.inbox.loss.reported.v9"), Code.UNKNOWN_TYPE),
        (event(type="com.example.order"), Code.UNKNOWN_TYPE),
        (event(data=None), Code.INVALID_DATA),
        (event(data="text"), Code.INVALID_DATA),
        (event({**LOSS, "serial": ""}), Code.INVALID_DATA),
        (event({**LOSS, "serial": "x'; drop table--"}), Code.INVALID_DATA),
        (event({**LOSS, "vendor": "zeta"}), Code.INVALID_DATA),
        (event({**LOSS, "occurred": "2026-03-01T10:00:00"}), Code.INVALID_DATA),
        (event({**LOSS, "kind": "cloud"}), Code.INVALID_LOSS),
        (b" " * (LIMIT_BYTES + 1), Code.TOO_LARGE),
    ],
)
def test_a_bad_record_has_its_code(value: bytes | None, code: Code) -> None:
    assert refused(value).code is code


def test_a_record_without_a_key_is_refused() -> None:
    assert refused(event(), key=None).code is Code.NO_KEY


MACHINE = {"serial": "A-1", "kind": "act", "holder": "H-1", "fingerprint": {"board": "b-1"}}


@pytest.mark.parametrize(
    ("statement", "changed"),
    [
        (LicenceStatement, {"generation": 2**31}),
        (LicenceStatement, {"generation": 1_000_000_001}),
        (LicenceStatement, {"generation": 0}),
        (LicenceStatement, {"issued": "0001-01-01T00:00:00+14:00"}),
        (LicenceStatement, {"issued": "9999-12-31T23:59:59-12:00"}),
        (LicenceStatement, {"borrowed_until": "9999-12-31T23:59:59-12:00"}),
        (LicenceStatement, {"issued": "9000-12-01T00:00:00Z"}),
        (LicenceStatement, {"issued": "8995-01-01T00:00:00Z", "lease": {"check_in": {"unit": "year", "count": 10}}}),
        (LicenceStatement, {"value_cents": 10**13}),
        (ContainerStatement, {"fingerprint": {"board": "a\x00b"}}),
        (ContainerStatement, {"fingerprint": {"board": "a\x1b[2Jb"}}),
        (ContainerStatement, {"fingerprint": {"bo\x00ard": "b"}}),
        (ContactStatement, {"generation": 2**31}),
        (ContactStatement, {"licences": [{"licence": "L-1", "generation": 2**31}]}),
        (ContactStatement, {"occurred": "0001-01-01T00:00:00+14:00"}),
        (DeactivationStatement, {"generation": 2**31}),
        (EvidenceStatement, {"occurred": "1950-01-01T00:00:00Z"}),
    ],
)
def test_what_postgresql_or_the_calendar_cannot_hold_is_refused_at_the_door(
    statement: type[Statement], changed: dict[str, Any]
) -> None:
    example = MACHINE if statement is ContainerStatement else statement.example

    assert isinstance(read_statement(b"k", event(example, type=statement.type()), STRUCTURED), statement)
    assert refused(event({**example, **changed}, type=statement.type())).code is Code.INVALID_DATA


def test_half_a_character_is_no_text() -> None:
    value = event({**MACHINE, "fingerprint": {"board": "\ud800"}}, type=ContainerStatement.type())

    assert refused(value).code is Code.NOT_JSON


def test_an_impossible_loss_is_refused_with_all_that_are_possible() -> None:
    sentence = refused(event({**LOSS, "kind": "act"})).sentence

    assert "act/lost/container is no loss" in sentence
    assert "dongle/lost/container" in sentence


@given(
    value=st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    ).map(lambda data: event(data))
    | st.dictionaries(st.sampled_from(["specversion", "id", "source", "type", "time", "data", "x"]), st.text()).map(
        lambda attributes: json.dumps(attributes).encode()
    ),
    headers=st.dictionaries(st.sampled_from(["ce_type", "ce_id", "content-type", "x"]), st.binary(max_size=20)),
)
def test_whatever_comes_is_a_statement_or_a_refusal(value: bytes, headers: dict[str, bytes]) -> None:
    with contextlib.suppress(RefusalError):
        assert isinstance(read_statement(b"k", value, headers), Statement)
