"""Reading a record of an inbox: from bytes and headers to a statement, or to a refusal that says what is wrong."""

import json
from collections.abc import Mapping

import orjson
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from pydantic import ValidationError

from events.errors import Code, RefusalError
from events.statements import STATEMENTS, Statement
from portal.misfits import invalid, kind_of

LIMIT_BYTES = 65_536
REQUIRED = {"specversion", "id", "source", "type"}
"""The library fills some of these in where they are missing; CloudEvents 1.0 requires them."""

ATTRIBUTES = {
    **{name: f"the attribute {name} must be text, and not empty" for name in ("id", "source", "type", "subject")},
    "specversion": "the attribute specversion must be 1.0",
    "time": "the attribute time must be an instant with its distance from UTC, such as 2026-01-10T09:00:00Z",
    "datacontenttype": "the attribute datacontenttype must be a media type, such as application/json",
    "dataschema": "the attribute dataschema must be a URI",
}
OTHERS = "is not as CloudEvents has it: its name has 1 to 20 small letters and digits, its value is a text or a number"


def read_statement(key: bytes | None, value: bytes | None, headers: Mapping[str, bytes]) -> Statement:
    """The statement in a record, CloudEvents 1.0 in structured or binary mode; else `RefusalError`."""
    if value is None:
        raise RefusalError(Code.TOMBSTONE, "the record has no value; send a CloudEvent, nothing is deleted here")
    if len(value) > LIMIT_BYTES:
        raise RefusalError(
            Code.TOO_LARGE,
            f"the record has {len(value)} bytes; the limit is {LIMIT_BYTES}",
            size=len(value),
            most=LIMIT_BYTES,
        )
    if not key:
        raise RefusalError(
            Code.NO_KEY, "the record has no key; use the container's serial, which keeps its facts in order"
        )
    event = _cloudevent(value, headers)
    statement = STATEMENTS.get(event.get_type())
    if statement is None:
        known = ", ".join(STATEMENTS)
        raise RefusalError(
            Code.UNKNOWN_TYPE,
            f"type {event.get_type()[:80]} is not taken here; valid: {known}",
            type=event.get_type()[:80],
            valid=known,
        )
    data = event.get_data()  # of any JSON: orjson could not write what exceeds 64 bits
    try:
        return statement.model_validate_json(data if isinstance(data, bytes | str) else json.dumps(data))
    except ValidationError as error:
        raise invalid(error, statement) from None


def _cloudevent(value: bytes, headers: Mapping[str, bytes]) -> BaseCloudEvent:
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        where = f"not JSON from line {error.lineno}, column {error.colno} on" if value.strip() else "empty"
        raise RefusalError(
            Code.NOT_JSON, f"the value is {where}; send a CloudEvent in JSON", line=error.lineno, column=error.colno
        ) from None
    if not isinstance(parsed, dict):
        raise RefusalError(
            Code.NOT_CLOUDEVENT,
            f"the value is {kind_of(parsed)}, and not a CloudEvent, which is a JSON object",
            found=kind_of(parsed),
        )
    binary = {name.lower().removeprefix("ce_") for name in headers if name.lower().startswith("ce_")}
    missing = REQUIRED - (binary or parsed.keys())
    if missing:
        details = ", ".join(sorted(missing))
        raise RefusalError(Code.NOT_CLOUDEVENT, f"this is not a CloudEvent 1.0: it lacks {details}", fields=details)
    try:
        return from_kafka(KafkaMessage(headers=dict(headers), key=None, value=value), JSONFormat(), CloudEvent)
    except CloudEventValidationError as error:
        details = "; ".join(ATTRIBUTES.get(name, f"the attribute {name!a} {OTHERS}") for name in error.errors)
    except Exception:  # the library lets whatever its parsers raise pass through
        details = "an attribute cannot be read; a time is such as 2026-01-10T09:00:00Z, and data_base64 is in Base64"
    raise RefusalError(Code.NOT_CLOUDEVENT, f"this is not a CloudEvent 1.0: {details}", misfit=details)
