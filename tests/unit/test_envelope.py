"""The envelope: the same fact gives the same bytes, and what was sealed is what is read."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.backend_facts import PolicyAdopted
from events.catalogue import CATALOGUE
from events.envelope import BACKEND, CASES, Head, UnreadableRecordError, digest, record_key, seal, unseal
from events.fact import Fact
from events.terms import VendorId
from tests.unit.facts import NOW, fact_of, report

ACME = VendorId("acme")

any_fact = st.sampled_from(list(CATALOGUE.values())).flatmap(fact_of)


@given(fact=any_fact, sequence=st.integers(0, 10**6))
def test_what_was_sealed_is_what_is_read(fact: Fact, sequence: int) -> None:
    head = Head(sequence, "ab" * 32)

    sealed = seal(ACME, "case/c1", b"acme/3-1", head, NOW, fact)
    read = unseal(sealed.value)

    assert read.fact == fact
    assert (read.vendor, read.stream, read.sequence, read.previous_hash.hex()) == (
        ACME,
        "case/c1",
        sequence + 1,
        head.hash,
    )
    assert (read.recorded, read.hash.hex()) == (NOW, sealed.head.hash)
    assert sealed == seal(ACME, "case/c1", b"acme/3-1", head, NOW, fact)


@given(fact=any_fact)
def test_every_record_is_a_cloudevent_of_its_writer(fact: Fact) -> None:
    event = json.loads(seal(ACME, "case/c1", b"k", Head(), NOW, fact).value)

    required = {"specversion", "id", "source", "type"}
    assert required <= set(event)
    assert event["specversion"] == "1.0"
    assert event["source"] in (CASES, BACKEND)
    assert all(name.isalnum() and name.islower() for name in set(event) - {"data"})


def test_each_record_carries_the_hash_of_the_one_before() -> None:
    first = seal(ACME, "case/c1", b"k", Head(), NOW, report())
    second = seal(ACME, "case/c1", b"k", first.head, NOW, report(report="R-2"))

    assert unseal(second.value).previous_hash.hex() == digest(first.value)
    assert unseal(first.value).previous_hash == b""


def test_ids_differ_by_vendor_stream_and_sequence() -> None:
    ids = {
        json.loads(seal(vendor, stream, b"k", head, NOW, report()).value)["id"]
        for vendor in (ACME, VendorId("zeta"))
        for stream in ("case/c1", "case/c2")
        for head in (Head(), Head(1, "x"))
    }

    assert len(ids) == 8


UNHELD = ["a\0b", 2**63, 2**64 - 1, -(2**63) - 1, 1e19, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"]
"""What no column of PostgreSQL holds, be it at once or when it is read again."""


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all that is no list and no object."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path
    for name, item in items or ():
        yield from leaves(item, (*path, name))


def holds(value: Any) -> bool:
    """Whether PostgreSQL holds it. Fingerprints are in no view, and a policy is JSON."""
    match value:
        case dict():
            return all(name in ("fingerprint", "policy") or holds(item) for name, item in value.items())
        case list() | tuple():
            return all(map(holds, value))
        case datetime():
            return value - value.utcoffset() > datetime.min.replace(tzinfo=value.tzinfo)  # type: ignore[operator]
        case int():
            return -(2**63) <= value < 2**63
        case _:
            return not isinstance(value, str) or "\0" not in value


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=lambda kind: kind.name)
@settings(max_examples=4)
@given(data=st.data())
def test_what_postgresql_cannot_hold_is_unreadable(kind: type[Fact], data: st.DataObject) -> None:
    event = json.loads(seal(ACME, "case/c1", b"k", Head(), NOW, data.draw(fact_of(kind))).value)
    for *path, last in leaves(event["data"]):
        around = event["data"]
        for name in path:
            around = around[name]
        for unheld in UNHELD:
            sound, around[last] = around[last], unheld
            value = json.dumps(event).encode()
            around[last] = sound
            try:
                read = unseal(value).fact.model_dump()
            except UnreadableRecordError:
                continue
            assert holds(read), f"{kind.name} takes {unheld!r} at {(*path, last)}"


@pytest.mark.parametrize(
    "policy",
    ["no JSON", "NaN", '{"a": Infinity}', '"\\u0000"', '["\\ud800"]', "[" * 100_000, ["a\0b"], {"a\0b": 1}],
    ids=lambda policy: str(policy)[:16].encode("unicode_escape").decode(),
)
def test_a_policy_that_postgresql_cannot_hold_is_unreadable(policy: Any) -> None:
    key, fact = record_key(ACME, None), PolicyAdopted(policy_version=1, policy={})
    event = json.loads(seal(ACME, "vendor", key, Head(), NOW, fact).value)
    event["data"]["policy"] = policy

    with pytest.raises(UnreadableRecordError):
        unseal(json.dumps(event).encode())


@given(value=st.binary(max_size=200))
def test_rubbish_is_unreadable_and_says_so(value: bytes) -> None:
    with pytest.raises(UnreadableRecordError):
        unseal(value)


def test_a_type_of_another_version_is_unreadable() -> None:
    sealed = seal(ACME, "case/c1", b"k", Head(), NOW, report())

    with pytest.raises(UnreadableRecordError, match=r"loss\.reported\.v9"):
        unseal(sealed.value.replace(b"loss.reported.v1", b"loss.reported.v9"))
