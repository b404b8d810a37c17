"""Policies as vendors write them: YAML files, with every mistake explained where it stands."""

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from events.adoption import ADOPTING
from events.errors import Code, RefusalError
from portal.misfits import Schema, described, misfits_in, schema_at, unfit, unknown
from portal.policy_file.yaml_document import BadYaml, Document, Flaw, FlawedError, Path, Place, read
from workflows.contradictions import Contradiction, Contradicts, contradictions
from workflows.policy import Policy


class Misfit(StrEnum):
    """The stable codes of settings that are not as the model has them."""

    UNKNOWN_SETTING = "unknown_setting"
    MISSING_SETTING = "missing_setting"
    WRONG_TYPE = "wrong_type"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_VALUE = "unknown_value"
    BAD_NAME = "bad_name"
    LIMIT_WITHOUT_HYBRID = "limit_without_hybrid"
    HYBRID_WITHOUT_LIMIT = "hybrid_without_limit"


MISFITS: Final = {
    "extra_forbidden": Misfit.UNKNOWN_SETTING,
    "missing": Misfit.MISSING_SETTING,
    "enum": Misfit.UNKNOWN_VALUE,
    "literal_error": Misfit.UNKNOWN_VALUE,
    "string_pattern_mismatch": Misfit.BAD_NAME,
    "greater_than_equal": Misfit.OUT_OF_RANGE,
    "less_than_equal": Misfit.OUT_OF_RANGE,
    "less_than": Misfit.OUT_OF_RANGE,
    "too_short": Misfit.OUT_OF_RANGE,
    "too_long": Misfit.OUT_OF_RANGE,
    "limit_without_hybrid": Misfit.LIMIT_WITHOUT_HYBRID,
    "hybrid_without_limit": Misfit.HYBRID_WITHOUT_LIMIT,
}
"""By the validator's own words; whatever else it says is of a wrong type."""
CHOOSING: Final = ("products", "kinds", "reasons")
"""The settings that say for which losses a rule is chosen."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: its stable code, a sentence with what to write instead, and the settings with their places, that to
    change first."""

    code: BadYaml | Misfit | Contradicts
    sentence: str
    settings: tuple[tuple[Path, Place], ...]

    @property
    def place(self) -> Place:
        """Where to look."""
        return self.settings[0][1]

    def line(self, file: str) -> str:
        """One line, as compilers write it."""
        return f"{file}:{self.place.line}:{self.place.column}: {self.sentence} [{self.code}]"

    def plain(self) -> dict[str, Any]:
        """The same as JSON; a setting is a JSON Pointer."""
        return {
            "line": self.place.line,
            "column": self.place.column,
            "code": self.code,
            "sentence": self.sentence,
            "settings": [
                {"setting": "".join(f"/{part}" for part in path), "line": at.line, "column": at.column}
                for path, at in self.settings
            ],
        }


class MistakenError(RefusalError):
    """A policy is not taken for its mistakes."""

    def __init__(self, file: str, mistakes: list[Mistake]) -> None:
        lines = [one.line(file) for one in mistakes]
        super().__init__(Code.UNREADABLE_POLICY, "\n".join([*lines, f"{file} is no policy: {_count(mistakes)}"]))


def _count(mistakes: list[Mistake]) -> str:
    return "1 mistake" if len(mistakes) == 1 else f"{len(mistakes)} mistakes"


@cache
def schema() -> Schema:
    """The JSON Schema of a policy, draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Policy of a vendor",
        **{name: part for name, part in Policy.model_json_schema().items() if name != "title"},
    }


def policy_in(text: str, file: str) -> Policy:
    """The policy in a text. Raises `MistakenError`, which explains every mistake."""
    policy, mistakes = check(text)
    if policy is None:
        raise MistakenError(file, mistakes)
    return policy


def rule_lines(text: str) -> dict[int, int]:
    """At which line of a good policy's text each rule stands, by its number from 1; no line where no rule is given."""
    document = read(text)
    rules = len(document.value.get("rules", ()))
    return {number + 1: document.key(("rules", number)).line for number in range(rules)}


def check(text: str) -> tuple[Policy | None, list[Mistake]]:
    """The policy in a text, or None with all its mistakes in the order of their places."""
    try:
        document = read(text)
    except FlawedError as error:
        return None, [_flaw(error.flaw)]
    policy, misfits, idle = _validated(document.value)
    mistakes = [*map(_flaw, document.flaws), *(_misfit(error, document) for error in misfits)]
    for one in contradictions(policy) if policy else ():
        if not any(path[: len(area)] == area for path in one.paths for area in idle):
            mistakes.append(_contradiction(one, document))
    unique = sorted(dict.fromkeys(mistakes), key=lambda one: (one.place.line, one.place.column))
    return (None if unique else policy), unique


def _validated(value: Any) -> tuple[Policy | None, list[ErrorDetails], list[Path]]:
    """The policy that a value comes to without what does not fit; what does not fit; and around which settings it is
    idle to look for contradictions, for something is left out there."""
    left = json.loads(json.dumps(value))
    misfits: list[ErrorDetails] = []
    idle: list[Path] = []
    for take_out in (_take_out_setting, _take_out_rule):
        try:
            return Policy.model_validate_json(json.dumps(left), strict=True, context=ADOPTING), misfits, idle
        except ValidationError as error:
            found = misfits_in(error)
        misfits = misfits or found
        idle += [take_out(left, one) for one in found]
    try:
        return Policy.model_validate_json(json.dumps(left), strict=True, context=ADOPTING), misfits, idle
    except ValidationError:
        return None, misfits, idle


def _take_out_setting(value: Any, error: ErrorDetails) -> Path:
    """Take out the setting that does not fit, or the nearest around it that is there."""
    path, at, holder = error["loc"], value, None
    for depth, part in enumerate(path):
        if isinstance(at, dict) and part in at:
            holder, at = (at, depth), at[part]
        elif isinstance(at, list) and isinstance(part, int) and part < len(at):
            at = at[part]
        else:
            break
    unknown = error["type"] == "extra_forbidden"  # it may have been meant for any setting beside it
    if holder is None or (
        path[0] == "rules" and (holder[1] == 0 or path[2] in CHOOSING or (unknown and len(path) == 3))
    ):
        return _take_out_rule(value, error)
    mapping, depth = holder
    mapping.pop(path[depth], None)
    return (path[:depth] or ("supervisors",)) if unknown else path[: depth + 1]


def _take_out_rule(value: Any, error: ErrorDetails) -> Path:
    """Have a rule that takes nothing from others stand in for one that does not fit, so that they keep their places."""
    path = error["loc"]
    if not isinstance(value, dict) or not path:
        return ()
    rules = value.get("rules")
    if path[0] == "rules" and len(path) > 1 and isinstance(rules, list) and isinstance(path[1], int):
        rules[path[1]] = {"products": [f"stand-in:{path[1]}"]}
        return path[:2]
    value.pop(str(path[0]), None)
    return path[:1]


def _flaw(flaw: Flaw) -> Mistake:
    return Mistake(flaw.code, flaw.sentence, (((), flaw.place),))


def _contradiction(one: Contradiction, document: Document) -> Mistake:
    names = [_named(path, document) for path in one.paths]
    return Mistake(one.code, one.sentence.format(*names), tuple((path, document.key(path)) for path in one.paths))


def _misfit(error: ErrorDetails, document: Document) -> Mistake:
    """What does not fit the model, and what to write instead."""
    path, code = error["loc"], MISFITS.get(error["type"], Misfit.WRONG_TYPE)
    match code:
        case Misfit.LIMIT_WITHOUT_HYBRID:
            given = [(*path, name) for name in ("quota", "limits") if (*path, name) in document.keys]
            line = " and ".join(_named(one, document) for one in given)
            sentence = f"{line} would do nothing: {_named((*path, 'mode'), document)} is not hybrid; write mode: hybrid"
            paths = (*given, (*path, "mode"))
        case Misfit.HYBRID_WITHOUT_LIMIT:
            sentence = f"{_named((*path, 'mode'), document)} is hybrid, but nothing limits it; give a quota or limits"
            paths = ((*path, "mode"),)
        case Misfit.UNKNOWN_SETTING:
            sentence, paths = _unknown(path), (path,)
        case Misfit.MISSING_SETTING:
            sentence = f"{_name(path[:-1])} lacks {path[-1]}; it must be {described(schema_at(schema(), path))}"
            paths = (path,)
        case _:
            return Mistake(code, unfit(schema(), path, error["input"], _name), ((path, document.place(path)),))
    return Mistake(code, sentence, tuple((one, document.key(one)) for one in paths))


def _unknown(path: Path) -> str:
    if path[-1] == "<<":
        return "merges are not read; name a whole group with & and repeat it with *"
    return unknown(schema(), path, "setting")


def _name(path: Path) -> str:
    """A setting as its writer knows it: within its rule, counted from 1."""
    within = path[2:] if path[:1] == ("rules",) and len(path) > 2 else path
    if within[:1] == ("rules",) and len(within) == 2:
        return f"rule {int(within[1]) + 1}"
    return ".".join(str(part + 1) if isinstance(part, int) else part for part in within) or "a policy"


def _named(path: Path, document: Document) -> str:
    absent = "" if path in document.keys else "not given, "
    return f"{_name(path)} ({absent}line {document.key(path).line})"
