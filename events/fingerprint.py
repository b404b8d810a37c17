"""The machine that a container is bound to, by its hardware."""

from typing import Annotated

from pydantic import Field, StringConstraints

from events.terms import LINE_PATTERN, NAME_PATTERN, Match

Fingerprint = Annotated[
    dict[Annotated[str, StringConstraints(pattern=NAME_PATTERN)], Annotated[str, StringConstraints(max_length=128)]],
    Field(min_length=1, max_length=16),
]
"""The factors of a machine's hardware by name, such as `board` or `disk`; the values are compared and never shown. As
the log may have them; what comes in by a door is a `BoundedFingerprint`."""
BoundedFingerprint = Annotated[
    dict[
        Annotated[str, StringConstraints(pattern=NAME_PATTERN)],
        Annotated[str, StringConstraints(max_length=128, pattern=LINE_PATTERN)],
    ],
    Field(min_length=1, max_length=16),
]


def matches(match: Match, known: dict[str, str], shown: dict[str, str]) -> bool:
    """Whether a fingerprint is that of the machine that is known; of one that is known by less than two factors, two
    need not be the same."""
    same = sum(shown.get(factor) == value for factor, value in known.items())
    needed = {Match.ANY: 1, Match.TWO: min(2, len(known)), Match.MOST: len(known) // 2 + 1, Match.ALL: len(known)}[
        match
    ]
    return same >= max(1, needed)
