"""The envelope of a fact: a CloudEvents 1.0 event in structured JSON, one per record of `lostfound.log`.

Every stream (a case, a container, a vendor) counts its facts from 1 and chains them: `previoushash` is the SHA-256 of
the bytes of the stream's previous record, empty for the first. Whoever states the fact makes the bytes, once.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid5

import orjson
from pydantic import TypeAdapter, ValidationError

from events.case_facts import CaseStreamFact
from events.catalogue import CATALOGUE, AnyFact
from events.fact import Fact
from events.sizes import READING, SEALED_BYTES
from events.terms import VENDOR_PATTERN, CaseId, Serial, VendorId

NAMESPACE = UUID("6f2b5f0e-3c0b-5d1e-9a55-10575f0d0001")
CASES = "/lostfound/cases"
BACKEND = "/lostfound/backend"
VALIDATE = {name: TypeAdapter(fact).validator.validate_python for name, fact in CATALOGUE.items()}
CONTENT_TYPE = b"application/cloudevents+json; charset=utf-8"


INSTALLATION = VendorId("")
"""Whose facts concern the whole installation, and no vendor."""

SEQUENCE_LIMIT = 2**53
YEARS = range(1970, 9001)
is_vendor = re.compile(VENDOR_PATTERN).fullmatch
is_stream = re.compile("[!-~]{1,200}").fullmatch


class UnreadableRecordError(ValueError):
    """A record of our own log that this version cannot read."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a stream stands: the sequence and the hash (hex, empty before the first) of its last fact."""

    sequence: int = 0
    hash: str = ""


class Recorded(NamedTuple):
    """A fact as it stands in the log: `recorded` is our clock, the hashes are the bytes of SHA-256 (none before the
    first fact), `data` is the fact as plain JSON values."""

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


class OversizedFactError(AssertionError):
    """A fact that no record holds. No input leads here: doors, deciders and the models bound what is stated."""


def seal(vendor: VendorId, stream: str, key: bytes, head: Head, recorded: datetime, fact: Fact) -> Sealed:
    """The bytes of the stream's next record. The same arguments give the same bytes. Raises `OversizedFactError`."""
    sequence = head.sequence + 1
    value = orjson.dumps(
        {
            "specversion": "1.0",
            "id": str(uuid5(NAMESPACE, f"{vendor}/{stream}/{sequence}")),
            "source": CASES if isinstance(fact, CaseStreamFact) else BACKEND,
            "type": fact.type(),
            "subject": stream,
            "time": recorded.astimezone(UTC),
            "datacontenttype": "application/json",
            "vendor": vendor,
            "sequence": sequence,
            "previoushash": head.hash,
            "data": fact.model_dump(mode="json"),
        }
    )
    if len(value) > SEALED_BYTES:
        raise OversizedFactError(
            f"{fact.type()} in {stream} has {len(value)} bytes; a record has at most {SEALED_BYTES}"
        )
    return Sealed(key, value, Head(sequence, digest(value)))


def unseal(value: bytes) -> Recorded:
    """Read a record of the log, or raise `UnreadableRecordError`."""
    try:
        event = orjson.loads(value)
        data = event["data"]
        recorded = datetime.fromisoformat(event["time"])
        if not _fits(event["vendor"], event["subject"], event["sequence"], recorded):
            raise ValueError("its vendor, subject, sequence or time is none that we write")
        return Recorded(
            event["vendor"],
            event["subject"],
            event["sequence"],
            bytes.fromhex(event["previoushash"]),
            hashlib.sha256(value).digest(),
            recorded,
            VALIDATE[event["type"]](data, context=READING),
            data,
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValidationError, ValueError) as error:
        raise UnreadableRecordError(f"{error} in {value[:200]!r}") from error


def _fits(vendor: Any, stream: Any, sequence: Any, recorded: datetime) -> bool:
    """Whether these can be ours: what PostgreSQL or the calendar cannot hold must not come further."""
    return bool(
        (vendor == INSTALLATION or is_vendor(vendor))
        and is_stream(stream)
        and type(sequence) is int
        and 0 < sequence < SEQUENCE_LIMIT
        and recorded.tzinfo is not None
        and recorded.year in YEARS
    )
