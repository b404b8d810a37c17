"""How big things may be: what the product states, holds and sends has a bound, and the bounds fit together.

A sealed fact has at most `SEALED_BYTES`, so that a record of the log fits wherever records go. Facts that list come in
parts. Doors refuse what would not fit; the models of the facts say it once more, for what is stated from now on.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, JsonValue, StringConstraints, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

SEALED_BYTES: Final = 65_535
"""The longest record of `lostfound.log`, envelope and all."""
LIST_PART: Final = 200
"""So many names are listed in one fact; more come in several, one after the other."""
SCOPE_PART: Final = 120
"""So many licences with all that is known of them."""
CONTAINER_LICENCES: Final = 6_000
"""So many licences a container holds at most."""
SCOPE_PAGE: Final = 1_000
"""So many licences with all that is known of them travel in one answer to a case: Temporal takes 2 MB."""
MESSAGE_TOKENS: Final = 12_000
"""So much that was said to a case, counted in names of 80 characters, goes with it into a new history: about 1 MB."""
POLICY_BYTES: Final = 60_000
"""The longest canonical policy, as JSON in UTF-8; the fact that states it must fit too."""
REASONS: Final = 16
REASON_CHARACTERS: Final = 500
"""So many reasons of a decision are stated, each with so many characters."""
CAUSE_CHARACTERS: Final = 1_000
CODE_CHARACTERS: Final = 200
"""So much is stated of what failed, and of its code."""
PRODUCTS_KNOWN: Final = 20
"""So many products of what a case only blocks are known to policy."""
ESCALATED_TO: Final = 200
"""A case is escalated to so many people at most."""

Item = TypeVar("Item")
READING: Final = {"reading": True}
"""The context in which a record of the log is validated: what was stated before there were bounds stays readable."""


@dataclass(frozen=True, slots=True)
class AtMost:
    """At most so many items or characters in what is stated from now on; a record of the log may have more."""

    count: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        found = handler(schema)
        found["maxLength" if found.get("type") == "string" else "maxItems"] = self.count
        return found

    def _checked(self, value: Any, info: ValidationInfo) -> Any:
        if len(value) > self.count and info.context != READING:
            raise PydanticCustomError(
                "too_long", "at most {most} are stated in one fact, not {found}", self._parameters(value)
            )
        return value

    def _parameters(self, value: Any) -> dict[str, Any]:
        return {"most": self.count, "found": len(value)}


LABEL_PATTERN: Final = r"^[A-Za-z0-9._:@+/ -]{0,200}$"
Label = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]
"""A short text that the product makes of names, such as `contact/C-1`."""
Jws = Annotated[str, StringConstraints(max_length=8_000, pattern=r"^[^\x00]*$")]
"""A compact JWS: a licence file or a receipt."""
Part = Annotated[int, Field(ge=1, le=1_000_000)]


def policy_bytes(policy: Mapping[str, JsonValue]) -> int:
    """How long a canonical policy is, in bytes of JSON, without its version."""
    plain = {name: value for name, value in policy.items() if name != "policy_version"}
    return len(json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode())


def in_parts(items: Sequence[Item], most: int) -> Iterator[tuple[int, int, tuple[Item, ...]]]:
    """The items in parts of at most so many: each with its number from 1, and how many there are. Of no items there is
    one part, without any."""
    parts = max(1, -(-len(items) // most))
    for part in range(parts):
        yield part + 1, parts, tuple(items[part * most : (part + 1) * most])
