"""The names of the topics, and how each is made."""

import re
from dataclasses import dataclass, field

from events.terms import VENDOR_PATTERN, VendorId

LOG = "lostfound.log"
INBOXES = r"^lostfound\.[a-z][a-z0-9-]{0,30}[a-z0-9]\.inbox$"
FOR_EVER = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}

LOG_BATCH_BYTES = 131_072
"""What the log's topic takes at once, and its producers send at most: any fact, with its key and headers, and more."""

INBOX_BYTES = 1_048_588
DEAD_LETTER_BYTES = 2_097_164
"""A record of an inbox fits there with the headers that say why it is there."""

INBOX_DAYS = 14
DEAD_LETTER_DAYS = 30
FLUSH_MILLISECONDS = 1_000


@dataclass(frozen=True, eq=False)
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


def log_spec(partitions: int, copies: int = 1, embedded: bool = False) -> TopicSpec:
    """The record: never compacted, kept for ever. The embedded one, of which there is one copy, is written to the disk
    every `FLUSH_MILLISECONDS`."""
    flushed = {"flush.ms": str(FLUSH_MILLISECONDS)} if embedded else {}
    return TopicSpec(
        LOG, partitions, {**FOR_EVER, **_safe(copies), "max.message.bytes": str(LOG_BATCH_BYTES), **flushed}
    )


def vendor_specs(vendor: VendorId, copies: int = 1) -> list[TopicSpec]:
    """A vendor's own topics. They may hold personal data, so they are kept for days."""
    taken = {**_safe(copies), **_kept(INBOX_DAYS), "max.message.bytes": str(INBOX_BYTES)}
    refused = {**_safe(copies), **_kept(DEAD_LETTER_DAYS), "max.message.bytes": str(DEAD_LETTER_BYTES)}
    return [TopicSpec(inbox(vendor), 3, taken), TopicSpec(dead_letters(vendor), 1, refused)]


def _safe(copies: int) -> dict[str, str]:
    """What was acknowledged outlives a broker, where there are copies enough; batches are kept as they were sent."""
    in_sync = "2" if copies > 2 else "1"
    return {
        "min.insync.replicas": in_sync,
        "unclean.leader.election.enable": "false",
        "compression.type": "producer",
    }


def _kept(days: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(days * 86_400_000), "retention.bytes": "-1"}
