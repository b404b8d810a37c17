"""The AsyncAPI 3 document of the inboxes: all that a foreign client needs, made from the statements' models."""

from typing import Any

from events.errors import Code
from events.statements import STATEMENTS, Statement
from events.terms import VENDOR_PATTERN
from portal.inbox.cloudevent_reader import LIMIT_BYTES

VERSION = "3.0.0"
INTRODUCTION = (
    "Back-office systems state inventory, contacts and losses as CloudEvents 1.0, in structured or in binary mode. "
    "Whoever may write to a vendor's inbox speaks for that vendor; no payload names it. Anything may be sent again. "
    f"A record is at most {LIMIT_BYTES} bytes; one that cannot be handled goes to the dead letters."
)
STRUCTURED = "application/cloudevents+json"


def document() -> dict[str, Any]:
    """The whole document, as JSON."""
    return {
        "asyncapi": VERSION,
        "info": {"title": "lostfound inbox", "version": "1.0.0", "description": INTRODUCTION},
        "defaultContentType": STRUCTURED,
        "servers": {
            "kafka": {"host": "127.0.0.1:9092", "protocol": "kafka", "description": "Or the brokers of your own."}
        },
        "channels": {
            "inbox": _channel("lostfound.{vendor}.inbox", "Statements of one vendor.", _names()),
            "deadLetters": _channel(
                "lostfound.{vendor}.dead-letters",
                "Records of the inbox that could not be handled: their bytes, key and headers as they came.",
                ["deadLetter"],
            ),
        },
        "operations": {
            "state": {
                "action": "receive",
                "summary": "Takes what a back-office system states.",
                "channel": {"$ref": "#/channels/inbox"},
                "messages": [{"$ref": f"#/channels/inbox/messages/{name}"} for name in _names()],
            },
            "refuse": {
                "action": "send",
                "summary": "Sends back what could not be handled.",
                "channel": {"$ref": "#/channels/deadLetters"},
                "messages": [{"$ref": "#/channels/deadLetters/messages/deadLetter"}],
            },
        },
        "components": {
            "messages": {
                **{
                    f"{name}{mode}": make(statement)
                    for name, statement in _statements()
                    for mode, make in MODES.items()
                },
                "deadLetter": _dead_letter(),
            },
            "schemas": {name: _schema(statement) for name, statement in _statements()},
        },
    }


def cloudevent(statement: type[Statement], data: dict[str, Any], identity: str, source: str = "/crm") -> dict[str, Any]:
    """A statement as a CloudEvent in structured mode."""
    return {
        "specversion": "1.0",
        "id": identity,
        "source": source,
        "type": statement.type(),
        "datacontenttype": "application/json",
        "data": data,
    }


def _statements() -> list[tuple[str, type[Statement]]]:
    return [(_name(statement), statement) for statement in STATEMENTS.values()]


def _name(statement: type[Statement]) -> str:
    """The message's name, such as `lossReportedV1`."""
    first, *rest = statement.name.split(".")
    return first + "".join(part.capitalize() for part in rest) + f"V{statement.version}"


def _names() -> list[str]:
    return [f"{name}{mode}" for name, _ in _statements() for mode in MODES]


def _channel(address: str, description: str, messages: list[str]) -> dict[str, Any]:
    return {
        "address": address,
        "description": description,
        "parameters": {"vendor": {"description": f"The vendor's name: {VENDOR_PATTERN}", "examples": ["acme"]}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
    }


def _schema(statement: type[Statement]) -> dict[str, Any]:
    name = _name(statement)
    schema = statement.model_json_schema(ref_template=f"#/components/schemas/{name}/$defs/{{model}}")
    return {"description": statement.__doc__, **schema}


def _message(statement: type[Statement], more: dict[str, Any]) -> dict[str, Any]:
    return {
        "title": statement.type(),
        "summary": " ".join((statement.__doc__ or "").split()),
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": "The container's serial: it keeps its facts in order."},
                "bindingVersion": "0.5.0",
            }
        },
        **more,
    }


def _structured(statement: type[Statement]) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"const": statement.type()},
        "datacontenttype": {"const": "application/json"},
        "data": {"$ref": f"#/components/schemas/{_name(statement)}"},
    }
    required = ["specversion", "id", "source", "type", "data"]
    event = cloudevent(statement, statement.example, "a3f5f7a4-0001")
    return _message(
        statement,
        {
            "name": f"{_name(statement)}Structured",
            "contentType": STRUCTURED,
            "headers": _headers({"content-type": STRUCTURED}),
            "payload": {"type": "object", "properties": attributes, "required": required},
            "examples": [{"headers": {"content-type": STRUCTURED}, "payload": event}],
        },
    )


def _binary(statement: type[Statement]) -> dict[str, Any]:
    fixed = {"ce_specversion": "1.0", "ce_type": statement.type(), "content-type": "application/json"}
    headers = _headers(fixed, free=("ce_id", "ce_source"))
    example = {**fixed, "ce_id": "a3f5f7a4-0001", "ce_source": "/crm"}
    return _message(
        statement,
        {
            "name": f"{_name(statement)}Binary",
            "contentType": "application/json",
            "headers": headers,
            "payload": {"$ref": f"#/components/schemas/{_name(statement)}"},
            "examples": [{"headers": example, "payload": statement.example}],
        },
    )


MODES = {"Structured": _structured, "Binary": _binary}
"""The modes of CloudEvents' Kafka binding."""


def _headers(fixed: dict[str, str], free: tuple[str, ...] = ()) -> dict[str, Any]:
    properties: dict[str, Any] = {name: {"const": value} for name, value in fixed.items()}
    properties |= {name: {"type": "string", "minLength": 1} for name in free}
    return {"type": "object", "properties": properties, "required": [*fixed, *free]}


def _dead_letter() -> dict[str, Any]:
    properties = {
        "lostfound-code": {"type": "string", "enum": [*Code], "description": "A stable code."},
        "lostfound-sentence": {"type": "string", "description": "What is wrong, and what to do."},
        "lostfound-place": {"type": "string", "description": "Where it stood: topic/partition/offset."},
    }
    digest = "Which record it was, in hexadecimal: an inbox that is made anew has another one at the same place."
    more = {"lostfound-digest": {"type": "string", "description": digest}}
    return {
        "name": "deadLetter",
        "title": "A record that could not be handled",
        "contentType": "application/octet-stream",
        "headers": {"type": "object", "properties": properties | more, "required": [*properties]},
        "payload": {},
    }
