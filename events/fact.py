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

    @property
    def trigger(self) -> str:
        """What the transition table knows this fact by."""
        return self.name
