"""Says in plain words what does not fit a model: one sentence for the inbox, for what is typed and for a policy file.

What a field must be is read from the model's JSON Schema, so that the words are those of the model as it is.
"""

import json
import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from events.errors import Code, RefusalError
from events.terms import NAME_PATTERN, PERSON_PATTERN, VENDOR_PATTERN

Schema = dict[str, Any]
Path = tuple[str | int, ...]
Named = Callable[[Path], str]

NAMES: Final = {
    NAME_PATTERN: "a name of up to 80 letters, digits and ._:@+-, the first of them a letter or digit",
    PERSON_PATTERN: "a name of up to 255 letters, digits and ._:@+|/=~-, the first of them a letter or digit",
    VENDOR_PATTERN: "a name of 2 to 32 small letters, digits and hyphens, the first of them a letter",
}
OF_MODELS: Final = ("value_error", "assertion_error")
"""What a model says of its fields together, in a sentence of its own."""
KEY: Final = "[key]"
"""How the validator names the name of a field, where that is what does not fit."""
PLAIN: Final = re.compile(r"[A-Za-z0-9_.:@+-]{1,80}")
"""What may stand in a sentence as it is; whatever else somebody calls a field is quoted."""
SHOWN_CHARACTERS: Final = 40
MISFITS_TOLD: Final = 5


@cache
def schema_of(model: type[BaseModel]) -> Schema:
    """The JSON Schema of a model."""
    return model.model_json_schema()


def invalid(error: ValidationError, model: type[BaseModel], typed: dict[str, str] | None = None) -> RefusalError:
    """What is wrong with data, at most five misfits in one line. `typed` says how fields are called where they are
    typed, such as `--by`."""

    def named(path: Path) -> str:
        plain = name_of(path)
        return (typed or {}).get(plain, plain) or "this"

    found = misfits_in(error)
    loss = next((one["msg"] for one in found if "is no loss" in one["msg"]), None)
    if loss:
        text = loss.removeprefix("Value error, ")
        return RefusalError(Code.INVALID_LOSS, text, misfits=text)
    sentences = dict.fromkeys(misfit(schema_of(model), one, named) for one in found)
    more = f"; and {len(sentences) - MISFITS_TOLD} more" if len(sentences) > MISFITS_TOLD else ""
    text = "; ".join([*sentences][:MISFITS_TOLD]) + more
    return RefusalError(Code.INVALID_DATA, text, misfits=text)


def misfits_in(error: ValidationError) -> list[ErrorDetails]:
    """The misfits; not that a list is too short because the items in it do not fit."""

    def is_of_items(one: ErrorDetails) -> bool:
        return one["type"] == "too_short" and len(one["input"]) >= one["ctx"]["min_length"]

    return [one for one in error.errors(include_url=False) if not is_of_items(one)]


def name_of(path: Path) -> str:
    """A field as people say it, such as `reporter.name` or `item 2 of evidence`."""
    if path and path[-1] == KEY:
        return f"the name {short_of(path[-2])} in {name_of(path[:-2])}"
    for at, part in enumerate(path):
        if isinstance(part, int):
            within = name_of(path[at + 1 :])
            item = f"item {part + 1} of {name_of(path[:at])}"
            return f"{within} of {item}" if within else item
    return ".".join(part if PLAIN.fullmatch(str(part)) else short_of(part) for part in map(str, path))


def misfit(root: Schema, error: ErrorDetails, named: Named) -> str:
    """What one error of the validator says, and what to write instead."""
    path, kind = error["loc"], error["type"]
    if kind in OF_MODELS:
        said = error["msg"].partition(", ")[2]
        return f"{named(path)} {said}" if said.startswith("must ") else said
    if kind == "missing":
        within = f"{named(path[:-1])} lacks" if path[:-1] else "there is no"
        return f"{within} {path[-1]}; it must be {described(schema_at(root, path))}"
    if kind == "extra_forbidden":
        return unknown(root, path)
    if kind == "json_invalid":
        return "this is not JSON"
    return unfit(root, path, error["input"], named)


def unknown(root: Schema, path: Path, called: str = "field") -> str:
    """There is no such field, or whatever it is called."""
    known = list(schema_at(root, path[:-1]).get("properties", ()))
    close = get_close_matches(str(path[-1]), known, n=1)
    remedy = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    return f"there is no {called} {short_of(path[-1])} here; {remedy}"


def unfit(root: Schema, path: Path, given: Any, named: Named) -> str:
    """A field is not what it must be."""
    if path and path[-1] == KEY:
        return f"{named(path)} must be {NAMES[NAME_PATTERN]}"
    wanted = schema_at(root, path)
    if _is_secret(root, path):
        return f"{named(path)} must be {described(wanted)}"
    return misfit_of_value(named(path), wanted, given)


def misfit_of_value(name: str, wanted: Schema, given: Any) -> str:
    """What is called so is not what it must be."""
    sentence = f"{name} must be {described(wanted)}, and not {short_of(given)}"
    close = get_close_matches(str(given), choices(wanted), n=1)
    if close:
        return f"{sentence}; did you mean {close[0]}?"
    quoted = isinstance(given, str) and wanted.get("type") in ("integer", "boolean")
    if wanted.get("type") == "string" and "enum" not in wanted and _is_number(given):
        return f"{sentence}; put it in quotes"
    return f"{sentence}; leave out the quotes" if quoted and _looks_plain(given) else sentence


def _is_secret(root: Schema, path: Path) -> bool:
    """Whether a value must not be shown: a secret, or what a machine's fingerprint has."""
    around = [schema_at(root, path[:depth]) for depth in range(len(path) + 1)]
    return any("writeOnly" in one or "patternProperties" in one for one in around)


def _is_number(given: Any) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool)


def _looks_plain(given: str) -> bool:
    return given.isdecimal() or given in ("true", "false")


def choices(wanted: Schema) -> list[str]:
    """The words that a field may have, or none where it may have others."""
    return [str(one) for one in wanted.get("enum", ())]


def schema_at(root: Schema, path: Path) -> Schema:
    """The JSON Schema of a field; an empty one where there is none."""
    found = resolved(root, root)
    for part in path:
        inner = found.get("items", {}) if isinstance(part, int) else found.get("properties", {}).get(part, {})
        found = resolved(root, inner)
    return found


def resolved(root: Schema, part: Schema) -> Schema:
    """A schema without references; of alternatives the one with fields, else the first that is not null."""
    if "$ref" in part:
        return resolved(root, root["$defs"][part["$ref"].rsplit("/", 1)[-1]])
    alternatives = [resolved(root, one) for one in part.get("anyOf", ()) if one.get("type") != "null"]
    if "properties" in part or not alternatives:
        return part
    return next((one for one in alternatives if "properties" in one), alternatives[0])


def described(wanted: Schema) -> str:
    """What a field must be, in words."""
    match wanted.get("type"):
        case _ if "enum" in wanted:
            return f"one of {', '.join(choices(wanted))}"
        case "integer":
            return f"a whole number{_bounds(wanted)}"
        case "number":
            return f"a number{_bounds(wanted)}"
        case "boolean":
            return "true or false"
        case "string":
            return _text(wanted)
        case "array":
            least = f"at least {wanted['minItems']} and " if "minItems" in wanted else ""
            most = f", {least}at most {wanted['maxItems']:,} of them" if "maxItems" in wanted else ""
            return f"a list{most}"
        case "object" if "patternProperties" in wanted:
            (text,) = wanted["patternProperties"].values()
            return f"1 to {wanted['maxProperties']} names with {_text(text)} each"
        case "object":
            return f"a group of {', '.join(wanted.get('properties', ()))}"
        case _:
            return "of another form"


def _text(wanted: Schema) -> str:
    if wanted.get("format") == "date-time":
        return "an instant of the years 1970 to 9000 with its distance from UTC, such as 2026-01-10T09:00:00Z"
    if wanted.get("pattern") in NAMES:
        return NAMES[wanted["pattern"]]
    most = f" of at most {wanted['maxLength']:,} characters" if "maxLength" in wanted else ""
    return f"text{most}{' without control characters' if 'pattern' in wanted else ''}"


def _bounds(wanted: Schema) -> str:
    least = wanted.get("minimum")
    if "maximum" in wanted or "exclusiveMaximum" in wanted:
        return f" from {least or 0:,} to {maximum(wanted):,}"
    return "" if least is None else f" from {least:,} on"


def maximum(wanted: Schema) -> int:
    """The greatest whole number that a field may have."""
    return int(wanted["maximum"] if "maximum" in wanted else wanted["exclusiveMaximum"] - 1)


def kind_of(given: Any) -> str:
    """What sort of JSON value something is, in words."""
    match given:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return f"a list of {len(given)}"
        case _:
            return "an object"


def short_of(given: Any) -> str:
    """A value as it stands in a sentence, quoted, and not all of a long one."""
    if isinstance(given, dict | list | tuple):
        return kind_of(given)
    text = json.dumps(given, ensure_ascii=False, default=str)
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
