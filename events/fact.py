"""What every fact has: a name in the past tense, a version, and the CloudEvents type made of both."""

from functools import cache
from types import new_class
from typing import ClassVar, Final, cast

from events.terms import Value

PREFIX = "lostfound."
FIRST_RELEASE: Final = "0.1.0"
"""The release that wrote the first records."""
RELEASE: Final = "0.2.0"
"""This release."""


class Fact(Value):
    """Something that has happened. `since` is the first release that knows this version of it."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    since: ClassVar[str] = FIRST_RELEASE

    @classmethod
    def type(cls) -> str:
        """The CloudEvents type."""
        return type_of(cls.name, cls.version)

    def in_version(self, version: int) -> "Fact":
        """The fact as that version of it states it. A class whose version is raised makes the older ones here, by which
        what was appended in them is still compared with what a case believes; where it does not, they differ."""
        return self

    @property
    def trigger(self) -> str:
        """What the transition table knows this fact by."""
        return self.name


class WiderFact(Fact):
    """A fact whose version 1 has the same data, but that a person's name in them is shorter, of fewer characters, that
    no delegate is in them, or that a list is missing, which was empty then."""

    version = 2
    since = "0.2.0"

    def in_version(self, version: int) -> Fact:
        return _first_version(type(self)).model_construct(**dict(self)) if version == 1 else self


@cache
def _first_version(fact: type[Fact]) -> type[Fact]:
    """The class of the first version of a fact which has the same data since; it is in no catalogue."""
    return cast(
        type[Fact],
        new_class(
            fact.__name__,
            (fact,),
            exec_body=lambda body: body.update({"version": 1, "since": FIRST_RELEASE, "__module__": fact.__module__}),
        ),
    )


def type_of(name: str, version: int) -> str:
    """The CloudEvents type of a version of a fact."""
    return f"{PREFIX}{name}.v{version}"
