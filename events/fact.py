"""What every fact has: a name in the past tense, a version, and the CloudEvents type made of both."""

from typing import ClassVar

from events.terms import Value

PREFIX = "lostfound."


class Fact(Value):
    """Something that has happened."""

    name: ClassVar[str]
    version: ClassVar[int] = 1

    @classmethod
    def type(cls) -> str:
        """The CloudEvents type."""
        return f"{PREFIX}{cls.name}.v{cls.version}"

    def in_version(self, version: int) -> "Fact":
        """The fact as that version of it states it. A class whose version is raised makes the older ones here, by which
        what was appended in them is still compared with what a case believes; where it does not, they differ."""
        return self

    @property
    def trigger(self) -> str:
        """What the transition table knows this fact by."""
        return self.name
