"""Facts of later releases: what this one must stop at, and what its own records are read as there."""

from typing import ClassVar

from events import upcasters
from events.backend_facts import ContainerRegistered
from events.catalogue import FACTS
from events.codec import FactCodec
from events.fact import Fact
from events.sizes import Label
from events.upcasters import Data, Upcaster

SECOND, THIRD = "0.3.0", "0.4.0"


class LaterRegistered(ContainerRegistered):
    """Version 2 says where the container is, version 3 in how many words."""

    version: ClassVar[int] = 3
    since: ClassVar[str] = THIRD
    site: Label
    words: int


class CityFounded(Fact):
    """What no release before the third has heard of."""

    name = "city.founded"
    since: ClassVar[str] = THIRD


def somewhere(data: Data) -> Data:
    """Version 2 of version 1."""
    return {**data, "site": "not known"}


def counted(data: Data) -> Data:
    """Version 3 of version 2."""
    return {**data, "words": len(data["site"].split())}


STEPS = {
    "lostfound.container.registered.v1": Upcaster("0.1.0", somewhere),
    "lostfound.container.registered.v2": Upcaster(SECOND, counted),
}
OTHERS = tuple(fact for fact in FACTS if fact is not ContainerRegistered)
LATER = FactCodec((*OTHERS, LaterRegistered, CityFounded), {**upcasters.UPCASTERS, **STEPS})
"""The codec of the third release."""
