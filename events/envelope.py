"""The envelope of a fact: a CloudEvents 1.0 event in structured JSON, one per record of `lostfound.log`.

Every stream (a case, a container, a vendor) counts its facts from 1 and chains them: `previoushash` is the SHA-256 of
the bytes of the stream's previous record, empty for the first. Whoever states the fact makes the bytes, once, by an
`events.codec.FactCodec`. The version of a fact is the end of its `type`; where not every release knows it, `release`
names the first one that does.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from events.catalogue import AnyFact
from events.terms import CaseId, Serial, VendorId

NAMESPACE = UUID("6f2b5f0e-3c0b-5d1e-9a55-10575f0d0001")
CASES = "/lostfound/cases"
BACKEND = "/lostfound/backend"
CONTENT_TYPE = b"application/cloudevents+json; charset=utf-8"


INSTALLATION = VendorId("")
"""Whose facts concern the whole installation, and no vendor."""


class UnreadableRecordError(ValueError):
    """A record of our own log that no release can read."""


class OversizedFactError(AssertionError):
    """A fact that no record holds. No input leads here: doors, deciders and the models bound what is stated."""


class UnknownRecord(NamedTuple):
    """What can be read of a record whose fact this release does not know; `release` is the first one that does, where
    the record says so."""

    vendor: VendorId
    stream: str
    sequence: int
    previous_hash: bytes
    hash: bytes
    type: str
    release: str | None = None


class NewerFactError(Exception):
    """A record of a fact, or of a version of one, that only a later release knows. It is neither damaged nor
    unreadable: nobody may go on without it."""

    def __init__(self, record: UnknownRecord) -> None:
        super().__init__(record)
        self.record = record

    def __str__(self) -> str:
        return f"{self.record.type} is a fact that only a later release knows"


@dataclass(frozen=True, slots=True)
class Head:
    """Where a stream stands: the sequence and the hash (hex, empty before the first) of its last fact."""

    sequence: int = 0
    hash: str = ""


class Recorded(NamedTuple):
    """A fact as it stands in the log: `recorded` is our clock, the hashes are the bytes of SHA-256 (none before the
    first fact), `data` is the fact as plain JSON values. Fact and data are in the newest version, whatever the record's
    own is."""

    vendor: VendorId
    stream: str
    sequence: int
    previous_hash: bytes
    hash: bytes
    recorded: datetime
    fact: AnyFact
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A fact as bytes, ready for the log, and the head that its stream then has."""

    key: bytes
    value: bytes
    head: Head


def case_stream(case: CaseId) -> str:
    """The stream of a case."""
    return f"case/{case}"


def container_stream(serial: Serial) -> str:
    """The stream of a container."""
    return f"container/{serial}"


def backend_stream(vendor: VendorId, serial: Serial | None) -> str:
    """The stream in which the backend states facts of a container, of the vendor itself, or of the installation."""
    return container_stream(serial) if serial else "vendor" if vendor else "installation"


def case_of(stream: str) -> CaseId:
    """The case that a case's stream is of."""
    return CaseId(stream.removeprefix("case/"))


def record_key(vendor: VendorId, serial: Serial | None) -> bytes:
    """The log's key: facts of one container stay in order; those of a vendor itself have no container."""
    return f"{vendor}/{serial or ''}".encode()


def digest(value: bytes) -> str:
    """The hash that the next record of the stream carries: SHA-256, in hex."""
    return hashlib.sha256(value).hexdigest()
