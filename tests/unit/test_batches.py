"""Kafka's batches: what can be read of one is read, what cannot is a gap with its place, and no bomb goes off."""

import contextlib
import gzip
import struct
import tracemalloc
from collections.abc import Callable
from typing import Any

import cramjam
import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from hypothesis import given
from hypothesis import strategies as st

from events.errors import Code
from portal.inbox.batches import (
    GZIP,
    GZIP_MEMBERS_LIMIT,
    INFLATED_BYTES_LIMIT,
    LZ4,
    RECORDS_LIMIT,
    SNAPPY,
    ZSTD,
    Batches,
    Gap,
    Unreadable,
    UnreadableError,
    inflate,
)

PACK: dict[int, Callable[[bytes], bytes]] = {
    GZIP: gzip.compress,
    SNAPPY: lambda data: bytes(cramjam.snappy.compress_raw(data)),
    LZ4: lambda data: bytes(cramjam.lz4.compress(data)),
    ZSTD: lambda data: bytes(cramjam.zstd.compress(data)),
}
BASE = 40


def batch(*values: bytes, codec: int = 0, names: tuple[str, ...] = (), count: int | None = None) -> bytearray:
    """A batch as a broker keeps it; `names`: of each record's header; `count`: what its header says of itself."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1 << 28,
    )
    for offset, value in enumerate(values):
        headers = [(names[offset], b"1")] if names else []
        builder.append(offset=offset, timestamp=1, key=b"k", value=value, headers=headers)
    built = bytearray(builder.build())
    struct.pack_into(">q", built, 0, BASE)
    if count is not None:
        struct.pack_into(">i", built, 57, count)
    return signed(built)


def signed(built: bytearray) -> bytearray:
    """With the checksum that goes with its bytes."""
    struct.pack_into(">I", built, 17, calc_crc32c(bytes(built[21:])))
    return built


def read(*batches: bytearray) -> list[Any]:
    """All records."""
    found, answer = [], Batches(b"".join(map(bytes, batches)))
    while answer.has_next():
        one = answer.next_batch()
        assert one is not None
        found += list(one)
    return found


def gaps(records: list[Any]) -> list[Unreadable]:
    return [record.headers[0] for record in records if isinstance(record, Gap)]


@pytest.mark.parametrize("codec", [0, GZIP, SNAPPY, LZ4, ZSTD])
def test_a_batch_of_every_codec_is_read(codec: int) -> None:
    records = read(batch(b"one", b"two", codec=codec))

    assert [(record.offset, record.key, record.value) for record in records] == [(40, b"k", b"one"), (41, b"k", b"two")]


def test_snappy_is_read_in_blocks_too() -> None:
    block = bytes(cramjam.snappy.compress_raw(b"x" * 100))
    blocks = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1) + 2 * (struct.pack(">i", len(block)) + block)

    assert inflate(SNAPPY, blocks) == b"x" * 200


@pytest.mark.parametrize("codec", PACK)
def test_a_bomb_stops_at_the_bound(codec: int) -> None:
    bomb = PACK[codec](b" " * (INFLATED_BYTES_LIMIT * 4))
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableError) as error:
            inflate(codec, bomb)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert error.value.code is Code.INFLATES_TOO_FAR
    assert most < INFLATED_BYTES_LIMIT * 2.5


@pytest.mark.parametrize("codec", PACK)
def test_a_small_batch_takes_little_memory_and_so_little_time(codec: int) -> None:
    packed = PACK[codec](b"a record")
    tracemalloc.start()
    try:
        assert inflate(codec, packed) == b"a record"
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert most < INFLATED_BYTES_LIMIT / 100


@pytest.mark.parametrize("codec", PACK)
def test_what_inflates_a_thousandfold_is_read_up_to_the_bound(codec: int) -> None:
    for size in (100_000, INFLATED_BYTES_LIMIT):
        assert inflate(codec, PACK[codec](b" " * size)) == b" " * size


def test_gzip_of_very_many_members_is_not_read() -> None:
    """To read them takes a time that grows with the square of their number: for 1 MiB a second, in which nobody else's
    records are read."""
    assert inflate(GZIP, gzip.compress(b"x") * GZIP_MEMBERS_LIMIT) == b"x" * GZIP_MEMBERS_LIMIT

    with pytest.raises(UnreadableError) as error:
        inflate(GZIP, gzip.compress(b"x") * (GZIP_MEMBERS_LIMIT + 1))

    assert error.value.code is Code.UNREADABLE


def test_a_bomb_in_snappy_blocks_stops_at_the_bound() -> None:
    block = bytes(cramjam.snappy.compress_raw(b" " * (INFLATED_BYTES_LIMIT // 2)))
    blocks = b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1) + 3 * (struct.pack(">i", len(block)) + block)

    with pytest.raises(UnreadableError) as error:
        inflate(SNAPPY, blocks)

    assert error.value.code is Code.INFLATES_TOO_FAR


@pytest.mark.parametrize("codec", PACK)
@given(limit=st.integers(0, 300), data=st.binary(max_size=300))
def test_what_fits_the_bound_is_inflated_and_nothing_more(codec: int, limit: int, data: bytes) -> None:
    packed = PACK[codec](data)
    if len(data) <= limit:
        assert inflate(codec, packed, max(limit, 1)) == data
    else:
        with pytest.raises(UnreadableError) as error:
            inflate(codec, packed, limit)
        assert error.value.code is Code.INFLATES_TOO_FAR


@pytest.mark.parametrize("codec", [*PACK, 5, 7])
@given(garbage=st.binary(max_size=200))
def test_garbage_is_unreadable_whatever_codec_it_names(codec: int, garbage: bytes) -> None:
    with contextlib.suppress(UnreadableError):
        inflate(codec, garbage, 1_000)


def test_a_batch_that_cannot_be_inflated_is_one_gap_and_what_follows_is_read() -> None:
    broken = batch(b"one", b"two", codec=GZIP)
    broken[70:] = b"\xff" * (len(broken) - 70)
    whole = batch(b"three")
    struct.pack_into(">q", whole, 0, 42)

    records = read(signed(broken), whole)

    (gap,) = gaps(records)
    assert (gap.first, gap.last, gap.code) == (40, 41, Code.UNREADABLE)
    assert gap.length == len(broken)
    assert (records[0].offset, records[1].offset, records[1].value) == (41, 42, b"three")


def test_a_header_name_that_is_not_utf8_costs_its_record_only() -> None:
    bad = batch(b"one", b"two", b"three", names=("aa", "bb", "cc"))
    place = bad.index(b"bb", 61)
    bad[place] = 0xFF

    records = read(signed(bad))

    assert [record.offset for record in records] == [40, 41, 42]
    assert [record.value for record in records] == [b"one", None, b"three"]
    (gap,) = gaps(records)
    assert (gap.first, gap.last, gap.code) == (41, 41, Code.UNREADABLE)
    assert "utf-8" in gap.why


def test_a_batch_that_breaks_off_is_read_as_far_as_it_goes() -> None:
    cut = batch(b"one", b"two", b"three")
    del cut[-4:]
    struct.pack_into(">i", cut, 8, len(cut) - 12)

    records = read(signed(cut))

    assert [record.value for record in records] == [b"one", b"two", None]
    assert [(gap.first, gap.last) for gap in gaps(records)] == [(42, 42)]


@pytest.mark.parametrize("count", [-1, RECORDS_LIMIT + 1])
def test_a_batch_of_too_many_records_is_a_gap(count: int) -> None:
    (gap,) = gaps(read(batch(b"one", count=count)))

    assert (gap.first, gap.last, gap.code) == (40, 40, Code.INFLATES_TOO_FAR)


def test_a_batch_with_a_wrong_checksum_is_a_gap() -> None:
    damaged = batch(b"one")
    damaged[-3] ^= 1

    (gap,) = gaps(read(damaged))

    assert (gap.first, gap.last, gap.code) == (40, 40, Code.UNREADABLE)


@given(changes=st.lists(st.tuples(st.integers(21, 120), st.integers(0, 255)), min_size=1, max_size=6))
def test_whatever_is_in_a_batch_it_is_read_to_its_end(changes: list[tuple[int, int]]) -> None:
    bad = batch(b"one" * 5, b"two" * 5, b"three" * 5, names=("aa", "bb", "cc"))
    for place, byte in changes:
        bad[place] = byte

    records = read(signed(bad))

    assert len(records) <= RECORDS_LIMIT
