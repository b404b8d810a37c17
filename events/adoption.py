"""What holds for a policy while it is adopted, and no longer once it is stored.

Bounds and combinations may change from release to release; a version that was adopted is read and kept to all the same.
They are checked in the context `ADOPTING` only, so that nobody who reads a policy applies them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

ADOPTING: Final = {"adopting": True}
"""The context in which a policy is validated that is to be adopted."""


def is_adopted(info: ValidationInfo) -> bool:
    """Whether what is validated is to be adopted, and not merely read."""
    return info.context == ADOPTING


@dataclass(frozen=True, slots=True)
class Between:
    """A whole number from `least` to `most`, both of them in it, where a policy is adopted."""

    least: int
    most: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _checked(handler(source), self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "minimum": self.least, "maximum": self.most}

    def _check(self, value: Any) -> None:
        if value < self.least:
            raise PydanticKnownError("greater_than_equal", {"ge": self.least})
        if value > self.most:
            raise PydanticKnownError("less_than_equal", {"le": self.most})


@dataclass(frozen=True, slots=True)
class Items:
    """From `least` to `most` items, where a policy is adopted."""

    most: int
    least: int = 0

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _checked(handler(source), self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        least = {"minItems": self.least} if self.least else {}
        return {**handler(schema), "maxItems": self.most, **least}

    def _check(self, value: Any) -> None:
        found = {"field_type": "Tuple", "actual_length": len(value)}
        if len(value) < self.least:
            raise PydanticKnownError("too_short", {**found, "min_length": self.least})
        if len(value) > self.most:
            raise PydanticKnownError("too_long", {**found, "max_length": self.most})


def _checked(schema: CoreSchema, check: Callable[[Any], None]) -> CoreSchema:
    def checked(value: Any, info: ValidationInfo) -> Any:
        if is_adopted(info):
            check(value)
        return value

    return core_schema.with_info_after_validator_function(checked, schema)
