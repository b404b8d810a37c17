"""The AsyncAPI document: valid, current, and every example is what the inbox takes."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from events.statements import STATEMENTS
from portal.inbox.asyncapi import document
from portal.inbox.cloudevent_reader import read_statement

ROOT = Path(__file__).parents[2]
MESSAGES = document()["components"]["messages"]
TAKEN = [name for name in MESSAGES if name != "deadLetter"]


def test_the_document_is_valid_by_the_official_schema() -> None:
    schema = json.loads((ROOT / "tests/schemas/asyncapi-3.0.0.json").read_text())

    Draft7Validator(schema).validate(document())


def test_the_committed_document_is_the_generated_one() -> None:
    assert json.loads((ROOT / "docs/asyncapi.json").read_text()) == document()


def test_every_statement_is_there_in_both_modes() -> None:
    assert len(TAKEN) == 2 * len(STATEMENTS)


@pytest.mark.parametrize("name", TAKEN)
def test_every_example_is_as_its_schema_says_and_is_taken_by_the_inbox(name: str) -> None:
    message = MESSAGES[name]
    (example,) = message["examples"]

    _check(name, "headers", example["headers"])
    _check(name, "payload", example["payload"])

    headers = {header: value.encode() for header, value in example["headers"].items()}
    statement = read_statement(b"3-1001", orjson.dumps(example["payload"]), headers)
    assert statement.type() in message["title"]


def _check(name: str, part: str, value: Any) -> None:
    whole: Resource[Any] = Resource(contents=document(), specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:document", whole)
    schema = {"$ref": f"urn:document#/components/messages/{name}/{part}"}
    Draft202012Validator(schema, registry=registry).validate(value)
