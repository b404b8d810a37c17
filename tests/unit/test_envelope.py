"""The envelope: the same fact gives the same bytes, and what was sealed is what is read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.catalogue import CATALOGUE
from events.envelope import BACKEND, CASES, Head, UnreadableRecordError, digest, seal, unseal
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


@given(value=st.binary(max_size=200))
def test_rubbish_is_unreadable_and_says_so(value: bytes) -> None:
    with pytest.raises(UnreadableRecordError):
        unseal(value)


def test_a_type_of_another_version_is_unreadable() -> None:
    sealed = seal(ACME, "case/c1", b"k", Head(), NOW, report())

    with pytest.raises(UnreadableRecordError, match=r"loss\.reported\.v9"):
        unseal(sealed.value.replace(b"loss.reported.v1", b"loss.reported.v9"))
