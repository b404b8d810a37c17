"""What a measure aims at."""

import re
from dataclasses import dataclass
from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from events.terms import NAME_PATTERN, Aim, Kind

SUBJECT_PATTERN = rf"^({'|'.join(Aim)})/({NAME_PATTERN[1:-1]})/([0-9]{{1,19}})$"
SUBJECT = re.compile(SUBJECT_PATTERN)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a measure aims at: a generation of a licence, of a container's activation, or of access data. The name is a
    licence's, or else a serial. It is written as one word, such as `licence/L-1/2`."""

    aim: Aim
    name: str
    generation: int

    @classmethod
    def way_in(cls, kind: Kind, serial: str, generation: int) -> Self:
        """What stands for all of a container, and is refused whatever it holds: its activation, or its access data."""
        return cls(Aim.ACCESS_DATA if kind is Kind.CLOUD else Aim.CONTAINER, serial, generation)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The subject that is written so. Raises `ValueError`."""
        if not (found := SUBJECT.fullmatch(text)):
            raise ValueError(f"{text!r} is no subject of a measure, such as licence/L-1/2")
        aim, name, generation = found.groups()
        return cls(Aim(aim), name, int(generation))

    def __str__(self) -> str:
        return f"{self.aim}/{self.name}/{self.generation}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._read,
            json_schema_input_schema=core_schema.str_schema(pattern=SUBJECT_PATTERN),
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def _read(cls, found: object) -> Self:
        return found if isinstance(found, cls) else cls.parse(str(found))
