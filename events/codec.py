"""Facts as records of the log: sealed in the newest version, and read in whatever version they were written."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast
from uuid import uuid5

import orjson
from pydantic import ValidationError

from events.backend_facts import RecordSetAside
from events.case_facts import CaseStreamFact
from events.catalogue import FACTS, AnyFact
from events.envelope import (
    BACKEND,
    CASES,
    INSTALLATION,
    NAMESPACE,
    Head,
    NewerFactError,
    OversizedFactError,
    Recorded,
    Sealed,
    UnknownRecord,
    UnreadableRecordError,
    backend_stream,
    digest,
    record_key,
)
from events.fact import FIRST_RELEASE, PREFIX, RELEASE, Fact, type_of
from events.sizes import READING, SEALED_BYTES
from events.terms import VENDOR_PATTERN, VendorId
from events.upcasters import UPCASTERS, Data, Upcaster

SEQUENCE_LIMIT = 2**53
YEARS = range(1970, 9001)
is_vendor = re.compile(VENDOR_PATTERN).fullmatch
is_stream = re.compile("[!-~]{1,200}").fullmatch
is_type = re.compile(rf"{re.escape(PREFIX)}([a-z_]+(?:\.[a-z_]+)*)\.v([1-9][0-9]{{0,5}})").fullmatch
is_release = re.compile(r"[0-9]+(\.[0-9]+){1,3}").fullmatch


class _Version(NamedTuple):
    """A version of a fact that can be read; `upcast` makes of its JSON that of the newest version."""

    fact: type[Fact]
    since: str
    upcast: Callable[[Data], Data] | None
    validate: Callable[..., Fact]


class FactCodec:
    """Seals facts into records of the log and reads them again. Whoever writes or reads records is given one."""

    def __init__(self, facts: Sequence[type[Fact]] = FACTS, upcasters: Mapping[str, Upcaster] = UPCASTERS) -> None:
        """`facts` in their newest versions, and a step from each older version of them to the next."""
        self._arguments = facts, upcasters
        self._versions: dict[str, _Version] = {}
        self._newest: dict[str, int] = {}
        for fact in facts:
            self._newest[fact.name] = fact.version
            validate = fact.__pydantic_validator__.validate_python
            newer = self._versions[fact.type()] = _Version(fact, fact.since, None, validate)
            for version in range(fact.version - 1, 0, -1):
                step = upcasters.get(type_of(fact.name, version))
                if step is None:
                    raise ValueError(f"nothing makes version {version + 1} of {fact.name} from version {version}")
                newer = _Version(fact, step.since, _composed(step.upcast, newer.upcast), validate)
                self._versions[type_of(fact.name, version)] = newer
        if unused := upcasters.keys() - (self._versions.keys() - {fact.type() for fact in facts}):
            raise ValueError(f"upcasters of no older version: {', '.join(sorted(unused))}")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._arguments  # what validates cannot be sent to another process

    def seal(self, vendor: VendorId, stream: str, key: bytes, head: Head, recorded: datetime, fact: Fact) -> Sealed:
        """The bytes of the stream's next record; the same arguments give the same. Raises `OversizedFactError`."""
        type_ = fact.type()
        data = fact.model_dump(mode="json")
        return _sealed(vendor, stream, key, head, recorded, type_, self._versions[type_], data)

    def seal_again(
        self, vendor: VendorId, stream: str, key: bytes, head: Head, recorded: datetime, type_: str, data: Data
    ) -> Sealed:
        """As `seal`, for a fact that was stated as these JSON values in this version, maybe by an older release: the
        bytes are those that it made of them. What it cannot `read` must not be sealed."""
        return _sealed(vendor, stream, key, head, recorded, type_, self._versions[type_], data)

    def read(self, type_: str, data: Data) -> Fact:
        """A fact that was stated as these JSON values, in the newest version. Raises `pydantic.ValidationError`, and
        `ValueError` for a type that is not known here."""
        version = self._versions.get(type_)
        if version is None:
            raise ValueError(f"release {RELEASE} does not know {type_!r}: run a worker of a release that does")
        return version.validate(data if version.upcast is None else version.upcast(data))

    def unseal(self, value: bytes) -> Recorded:
        """Read a record of the log. Raises `UnreadableRecordError`, and `NewerFactError` where it is a fact that only a
        later release knows."""
        try:
            event = orjson.loads(value)
            data = event["data"]
            recorded = datetime.fromisoformat(event["time"])
            if not _fits(event["vendor"], event["subject"], event["sequence"], recorded):
                raise ValueError("its vendor, subject, sequence or time is none that we write")
            previous, own = bytes.fromhex(event["previoushash"]), hashlib.sha256(value).digest()
            version = self._versions.get(event["type"])
            if version is None:
                place = event["vendor"], event["subject"], event["sequence"], previous, own
                raise self._unknown(UnknownRecord(*place, event["type"], _release(event.get("release"))))
            if version.upcast is not None:
                data = version.upcast(data)
            return Recorded(
                event["vendor"],
                event["subject"],
                event["sequence"],
                previous,
                own,
                recorded,
                cast(AnyFact, version.validate(data, context=READING)),
                data,
            )
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError, ValidationError, ValueError) as error:
            raise UnreadableRecordError(f"{error} in {value[:200]!r}") from error

    def _unknown(self, record: UnknownRecord) -> Exception:
        """What to raise for a type that nothing is known of."""
        found = is_type(record.type)
        if found is None or int(found[2]) < self._newest.get(found[1], 1):
            return ValueError(f"no fact has the type {record.type!r}")
        return NewerFactError(record)


def _composed(first: Callable[[Data], Data], then: Callable[[Data], Data] | None) -> Callable[[Data], Data]:
    return first if then is None else lambda data: then(first(data))


def _release(release: Any) -> str | None:
    """The release that a record says it needs, where it says so in a form that can be shown."""
    return release if isinstance(release, str) and len(release) <= 40 and is_release(release) else None


def _sealed(
    vendor: VendorId,
    stream: str,
    key: bytes,
    head: Head,
    recorded: datetime,
    type_: str,
    version: _Version,
    data: Data,
) -> Sealed:
    sequence = head.sequence + 1
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(uuid5(NAMESPACE, f"{vendor}/{stream}/{sequence}")),
        "source": CASES if issubclass(version.fact, CaseStreamFact) else BACKEND,
        "type": type_,
        "subject": stream,
        "time": recorded.astimezone(UTC),
        "datacontenttype": "application/json",
        "vendor": vendor,
        "sequence": sequence,
        "previoushash": head.hash,
    }
    if version.since != FIRST_RELEASE:
        event["release"] = version.since  # every release knows the others
    event["data"] = data
    value = orjson.dumps(event)
    if len(value) > SEALED_BYTES:
        raise OversizedFactError(f"{type_} in {stream} has {len(value)} bytes; a record has at most {SEALED_BYTES}")
    return Sealed(key, value, Head(sequence, digest(value)))


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


def belongs(key: bytes, fact: Recorded) -> bool:
    """Whether a fact stands in the stream and under the key that are its own."""
    if isinstance(fact.fact, RecordSetAside) != (fact.vendor == INSTALLATION):
        return False
    if isinstance(fact.fact, CaseStreamFact):
        return fact.stream.startswith("case/") and key.startswith(record_key(fact.vendor, None))
    serial = getattr(fact.fact, "serial", None)  # a vendor's fact has none
    return fact.stream == backend_stream(fact.vendor, serial) and key == record_key(fact.vendor, serial)
