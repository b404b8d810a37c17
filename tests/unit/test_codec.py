"""The codec: the same fact gives the same bytes, what was sealed is what is read, no later version is passed over."""

import json
import pickle
import tomllib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from events.backend_facts import ContainerRegistered, PolicyAdopted
from events.catalogue import CATALOGUE
from events.codec import FactCodec
from events.envelope import BACKEND, CASES, Head, NewerFactError, UnreadableRecordError, digest, record_key
from events.fact import RELEASE, Fact
from events.terms import VendorId
from events.upcasters import UPCASTERS
from tests.later import LATER, OTHERS, STEPS, CityFounded, LaterRegistered
from tests.unit.facts import NOW, fact_of, report
from tests.worlds import CODEC

ACME = VendorId("acme")

any_fact = st.sampled_from(list(CATALOGUE.values())).flatmap(fact_of)


@given(fact=any_fact, sequence=st.integers(0, 10**6))
def test_what_was_sealed_is_what_is_read(fact: Fact, sequence: int) -> None:
    head = Head(sequence, "ab" * 32)

    sealed = CODEC.seal(ACME, "case/c1", b"acme/3-1", head, NOW, fact)
    read = CODEC.unseal(sealed.value)

    assert read.fact == fact
    assert (read.vendor, read.stream, read.sequence, read.previous_hash.hex()) == (
        ACME,
        "case/c1",
        sequence + 1,
        head.hash,
    )
    assert (read.recorded, read.hash.hex()) == (NOW, sealed.head.hash)
    assert sealed == CODEC.seal(ACME, "case/c1", b"acme/3-1", head, NOW, fact)


@given(fact=any_fact)
def test_every_record_is_a_cloudevent_of_its_writer(fact: Fact) -> None:
    event = json.loads(CODEC.seal(ACME, "case/c1", b"k", Head(), NOW, fact).value)

    required = {"specversion", "id", "source", "type"}
    assert required <= set(event)
    assert event["specversion"] == "1.0"
    assert event["source"] in (CASES, BACKEND)
    assert all(name.isalnum() and name.islower() for name in set(event) - {"data"})


def test_each_record_carries_the_hash_of_the_one_before() -> None:
    first = CODEC.seal(ACME, "case/c1", b"k", Head(), NOW, report())
    second = CODEC.seal(ACME, "case/c1", b"k", first.head, NOW, report(report="R-2"))

    assert CODEC.unseal(second.value).previous_hash.hex() == digest(first.value)
    assert CODEC.unseal(first.value).previous_hash == b""


def test_ids_differ_by_vendor_stream_and_sequence() -> None:
    ids = {
        json.loads(CODEC.seal(vendor, stream, b"k", head, NOW, report()).value)["id"]
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
    event = json.loads(CODEC.seal(ACME, "case/c1", b"k", Head(), NOW, data.draw(fact_of(kind))).value)
    for *path, last in leaves(event["data"]):
        around = event["data"]
        for name in path:
            around = around[name]
        for unheld in UNHELD:
            sound, around[last] = around[last], unheld
            value = json.dumps(event).encode()
            around[last] = sound
            try:
                read = CODEC.unseal(value).fact.model_dump()
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
    event = json.loads(CODEC.seal(ACME, "vendor", key, Head(), NOW, fact).value)
    event["data"]["policy"] = policy

    with pytest.raises(UnreadableRecordError):
        CODEC.unseal(json.dumps(event).encode())


@given(value=st.binary(max_size=200))
def test_rubbish_is_unreadable_and_says_so(value: bytes) -> None:
    with pytest.raises(UnreadableRecordError):
        CODEC.unseal(value)


def registered(**changes: Any) -> ContainerRegistered:
    return ContainerRegistered(**{"serial": "3-1", "kind": "dongle", "holder": "h-1", **changes})


PLACE = ACME, "container/3-1", b"acme/3-1", Head(), NOW
FOUNDED = LaterRegistered(**registered().model_dump(), site="the back yard", words=3)


def test_a_version_that_only_a_later_release_knows_is_no_rubbish_and_names_that_release() -> None:
    sealed = LATER.seal(*PLACE, FOUNDED)

    with pytest.raises(NewerFactError, match=r"lostfound\.container\.registered\.v3") as caught:
        CODEC.unseal(sealed.value)

    read = LATER.unseal(sealed.value)
    assert caught.value.record == (*read[:5], "lostfound.container.registered.v3", "0.4.0")
    assert read.fact == FOUNDED


def test_a_fact_that_only_a_later_release_knows_is_no_rubbish_and_names_that_release() -> None:
    with pytest.raises(NewerFactError) as caught:
        CODEC.unseal(LATER.seal(*PLACE, CityFounded()).value)

    assert caught.value.record[5:] == ("lostfound.city.founded.v1", "0.4.0")


@pytest.mark.parametrize("release", [None, 3, "", "soon", "0.2\n", "1." * 40 + "0"])
def test_a_later_version_that_names_no_release_is_of_a_later_one_all_the_same(release: Any) -> None:
    event = json.loads(CODEC.seal(*PLACE, registered()).value)
    event |= {"type": "lostfound.container.registered.v2", "release": release}

    with pytest.raises(NewerFactError) as caught:
        CODEC.unseal(json.dumps(event).encode())

    assert caught.value.record.release is None


@pytest.mark.parametrize(
    "type_",
    [
        *("lostfound.container.registered.v0", "lostfound.container.registered.v1x", "lostfound.container.registered"),
        *("container.registered.v2", "lostfound.Container.v2", "lostfound..v2", "", 17, None, ["v2"], {"v": 2}),
        "lostfound.container.registered.v1000000",
    ],
)
def test_a_type_that_no_release_writes_is_unreadable(type_: Any) -> None:
    event = {**json.loads(CODEC.seal(*PLACE, registered()).value), "type": type_}

    with pytest.raises(UnreadableRecordError):
        CODEC.unseal(json.dumps(event).encode())


@pytest.mark.parametrize(
    "changes", [{"vendor": "A B"}, {"sequence": 0}, {"time": "0001-01-01T00:00:00Z"}, {"previoushash": "zz"}]
)
def test_a_later_version_in_an_envelope_that_is_none_of_ours_is_unreadable(changes: dict[str, Any]) -> None:
    event = json.loads(LATER.seal(*PLACE, FOUNDED).value)

    with pytest.raises(UnreadableRecordError):
        CODEC.unseal(json.dumps({**event, **changes}).encode())


def test_a_record_of_any_older_version_is_read_as_the_newest() -> None:
    first = json.loads(CODEC.seal(*PLACE, registered()).value)
    second = {**first, "type": "lostfound.container.registered.v2", "data": {**first["data"], "site": "a car"}}

    of_first, of_second = (LATER.unseal(json.dumps(event).encode()) for event in (first, second))

    assert of_first.fact == LaterRegistered(**registered().model_dump(), site="not known", words=2)
    assert of_second.fact == LaterRegistered(**registered().model_dump(), site="a car", words=2)
    assert of_second.data == of_second.fact.model_dump(mode="json")


@pytest.mark.parametrize("data", [None, [], "a", 17, {}, {"site": 17}, {"site": None}])
def test_an_older_version_with_other_data_than_its_release_wrote_is_unreadable(data: Any) -> None:
    event = json.loads(CODEC.seal(*PLACE, registered()).value)
    event |= {"type": "lostfound.container.registered.v2", "data": data}

    with pytest.raises(UnreadableRecordError):
        LATER.unseal(json.dumps(event).encode())


def test_a_fact_that_an_older_release_stated_is_sealed_with_the_bytes_that_it_made() -> None:
    of_older = CODEC.seal(*PLACE, registered())
    written = "lostfound.container.registered.v1", registered().model_dump(mode="json")

    assert CODEC.seal_again(*PLACE, *written) == LATER.seal_again(*PLACE, *written) == of_older
    newest = LATER.seal_again(*PLACE, FOUNDED.type(), FOUNDED.model_dump(mode="json"))
    assert newest == LATER.seal(*PLACE, FOUNDED)


@given(fact=any_fact)
def test_what_is_stated_as_json_is_read_and_sealed_as_the_fact_is(fact: Fact) -> None:
    written = fact.type(), fact.model_dump(mode="json")

    assert CODEC.read(*written) == fact
    assert CODEC.seal_again(*PLACE, *written) == CODEC.seal(*PLACE, fact)


def test_what_is_stated_as_json_is_validated_upcast_and_refused_in_a_later_version() -> None:
    written = "lostfound.container.registered.v1", registered().model_dump(mode="json")

    assert LATER.read(*written) == LaterRegistered(**registered().model_dump(), site="not known", words=2)
    with pytest.raises(ValidationError):
        CODEC.read("lostfound.container.registered.v1", {"serial": "3-1"})
    with pytest.raises(ValueError, match=r"does not know 'lostfound\.container\.registered\.v3': run a worker of"):
        CODEC.read(FOUNDED.type(), FOUNDED.model_dump(mode="json"))


def test_a_record_names_a_release_only_where_the_first_one_cannot_read_it() -> None:
    assert "release" not in json.loads(CODEC.seal(*PLACE, registered()).value)
    assert json.loads(LATER.seal(*PLACE, FOUNDED).value)["release"] == "0.4.0"


def test_every_step_from_an_older_version_must_be_there_and_no_other() -> None:
    facts = (*OTHERS, LaterRegistered)
    (first, step), (second, other) = STEPS.items()

    with pytest.raises(ValueError, match=r"nothing makes version 2 of container\.registered from version 1"):
        FactCodec(facts, {**UPCASTERS, second: other})
    with pytest.raises(ValueError, match=r"upcasters of no older version: lostfound\.container\.registered\.v3"):
        FactCodec(facts, {**UPCASTERS, **STEPS, "lostfound.container.registered.v3": step})
    with pytest.raises(ValueError, match=r"upcasters of no older version: lostfound\.container\.registered\.v1"):
        FactCodec(upcasters={**UPCASTERS, first: step})


def test_a_codec_travels_to_another_process() -> None:
    sealed = CODEC.seal(*PLACE, registered())

    assert pickle.loads(pickle.dumps(LATER)).unseal(sealed.value) == LATER.unseal(sealed.value)


def test_this_release_is_the_one_that_is_installed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

    assert project["version"] == RELEASE
