"""Where a fact stands among those of its stream: what a door knows of what it wrote, before any view has it."""

from typing import NamedTuple


class StreamPosition(NamedTuple):
    """The `sequence`-th fact of a stream of one vendor. Views that have it have all before it in that stream."""

    stream: str
    sequence: int
