"""The names of the topics, and how each is made."""

import re
from dataclasses import dataclass, field

from events.terms import VENDOR_PATTERN, VendorId

LOG = "lostfound.log"
INBOXES = r"^lostfound\.[a-z][a-z0-9-]{0,30}[a-z0-9]\.inbox$"
FOR_EVER = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}

LOG_BATCH_BYTES = 131_072
"""What the log's topic takes at once, and its producers send at most: any fact, with its key and headers, and more."""


@dataclass(frozen=True)
class TopicSpec:
    """A topic as it should be."""

    name: str
    partitions: int
    config: dict[str, str] = field(default_factory=dict)


def inbox(vendor: VendorId) -> str:
    """Where a vendor's back-office systems put their statements."""
    return f"lostfound.{vendor}.inbox"


def dead_letters(vendor: VendorId) -> str:
    """Where a vendor's statements go that cannot be handled."""
    return f"lostfound.{vendor}.dead-letters"


def vendor_of(topic: str) -> VendorId:
    """The vendor whose inbox this is: the topic is the authenticated door, the payload is not."""
    vendor = topic.removeprefix("lostfound.").removesuffix(".inbox")
    if not re.match(VENDOR_PATTERN, vendor):
        raise ValueError(f"{topic} is nobody's inbox")
    return VendorId(vendor)


def log_spec(partitions: int) -> TopicSpec:
    """The record: never compacted, kept for ever."""
    return TopicSpec(LOG, partitions, FOR_EVER)


def vendor_specs(vendor: VendorId) -> list[TopicSpec]:
    """A vendor's own topics."""
    return [TopicSpec(inbox(vendor), 3), TopicSpec(dead_letters(vendor), 1, FOR_EVER)]
