"""The table of all settings of a policy, told from the model."""

from collections.abc import Iterator
from typing import Any

from portal.misfits import Schema, choices, maximum, resolved
from portal.policy_file.reader import schema

UNITS = {"days": "days", "hours": "hours", "cents": "cents"}


def table() -> str:
    """The settings as a Markdown table, in the order of the model. Raises KeyError for one without a meaning."""
    lines = ["| setting | value | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*lines, *_rows(schema(), "")]) + "\n"


def _rows(group: Schema, within: str) -> Iterator[str]:
    for name, part in group["properties"].items():
        found = resolved(schema(), part)
        inner = resolved(schema(), found.get("items", found))
        default = "" if "properties" in inner else _default(part)
        if name in group.get("required", ()):
            default = "must be given"
        yield f"| `{within}{name}` | {_value(name, found)} | {default} | {' '.join(part['description'].split())} |"
        if "properties" in inner:
            yield from _rows(inner, f"{within}{name}.")


def _value(name: str, part: Schema) -> str:
    """What it may be, in few words."""
    if "properties" in part:
        return "a group"
    if part["type"] == "array":
        inner = resolved(schema(), part["items"])
        of = "groups" if "properties" in inner else ", ".join(f"`{one}`" for one in choices(inner)) or "names"
        return f"list of {of}"
    if part["type"] == "integer":
        unit = UNITS.get(name.rsplit("_", 1)[-1], "whole number")
        return f"{unit}, {part['minimum']:,} to {maximum(part):,}"
    if part["type"] == "string" and not choices(part):
        return "a name"
    return ", ".join(f"`{one}`" for one in choices(part)) or "`true` or `false`"


def _default(part: Schema) -> str:
    given: Any = part.get("default")
    if given is None or given == []:
        return "none"
    return f"`{str(given).lower() if isinstance(given, bool) else given}`"
