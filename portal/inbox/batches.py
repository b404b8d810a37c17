"""Kafka's record batches, read so that none of them stops a consumer: what cannot be read is a record that says so.

aiokafka raises out of `getmany` what a batch makes its parser raise, and inflates before it looks at any limit. Here a
batch is inflated up to a bound, and then read record by record. The format: KIP-98, magic 2,
https://kafka.apache.org/documentation/#recordbatch.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import cramjam
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import calc_crc32c, decode_varint

from events.errors import Code

INFLATED_BYTES_LIMIT = 16_777_216
"""Of one batch. The broker bounds what travels (1 MiB by default), not what becomes of it."""
RECORDS_LIMIT = 100_000
"""In one batch."""

HEADER = struct.Struct(">qiibIhiqqqhii")
LENGTH = struct.Struct(">qi")
ATTRIBUTES_AT, COUNT_AT, CRC_AT = 21, 57, 17
CODEC, TRANSACTIONAL, CONTROL = 0x07, 0x10, 0x20
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
XERIAL, XERIAL_HEADER_BYTES = b"\x82SNAPPY\x00", 16
GZIP_MEMBERS_LIMIT = 100
"""In one batch, of which producers make one member: each copies what is behind it."""
BUFFER_BYTES, BUFFER_FACTOR = 1_024, 16
"""How large a buffer is that a codec writes into, at first and after each time that it was too small."""
GZIP_WINDOW = 31
"""The largest window, and gzip's own header around it (zlib's `wbits`)."""


class UnreadableError(Exception):
    """A batch or record cannot be read; `str()` says why."""

    def __init__(self, code: Code, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What stands at these offsets, the last included, cannot be read: so many bytes with this hash, and why."""

    first: int
    last: int
    length: int
    sha256: str
    code: Code
    why: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Stands for records that cannot be read, in the shape of an aiokafka record; its one header says what they are."""

    offset: int
    headers: tuple[Unreadable]
    timestamp: int = 0
    timestamp_type: int = 0
    key: None = None
    value: None = None
    checksum: None = None


class Batch:
    """One batch, in the shape that aiokafka's consumer asks of it."""

    def __init__(self, buffer: memoryview) -> None:
        self._buffer = bytes(buffer)
        self._known = len(self._buffer) >= HEADER.size and self._buffer[16] == 2
        fields = HEADER.unpack_from(self._buffer.ljust(HEADER.size, b"\0"))
        self.base_offset: int = fields[0]
        attributes = fields[5] if self._known else 0
        self._codec = attributes & CODEC
        self.is_transactional = bool(attributes & TRANSACTIONAL)
        self.is_control_batch = bool(attributes & CONTROL)
        self._last = self.base_offset + (max(0, fields[6]) if self._known else 0)
        self.producer_id: int | None = fields[9] if self._known else None
        self._crc, self._count = fields[4], fields[12]

    @property
    def next_offset(self) -> int:
        """The offset behind it."""
        following: int = self._last + 1
        return following

    def validate_crc(self) -> bool:
        """Looked at when the records are read: a wrong one makes them unreadable and does not stop the reader."""
        return True

    def __next__(self) -> Any:
        """The first record, which is asked for in this way of a control batch."""
        return next(iter(DefaultRecordBatch(self._buffer)))

    def __iter__(self) -> Iterator[Any]:
        """Its records; what cannot be read of it is a `Gap`."""
        try:
            header, records = self._opened()
        except UnreadableError as error:
            yield self._gap(self.base_offset, self._last, self._buffer, error)
            return
        following = self.base_offset
        try:
            for record in DefaultRecordBatch(header + records):
                yield record
                following = record.offset + 1
        except Exception as error:  # whatever bytes make of a parser
            yield from self._one_by_one(header, records, following, error)

    def _one_by_one(self, header: bytes, records: bytes, following: int, error: Exception) -> Iterator[Any]:
        """The records from that offset on, each read by itself; `error` is why they cannot be read together."""
        alone = bytearray(header)
        struct.pack_into(">i", alone, COUNT_AT, 1)
        place, left = 0, self._count
        try:
            while left:
                offset, end = self._framed(records, place)
                if offset >= following:
                    yield self._alone(bytes(alone), records[place:end], offset)
                place, following, left = end, max(following, offset + 1), left - 1
        except UnreadableError as broken:
            error = broken
        if following <= self._last and (left or place < len(records)):
            why = UnreadableError(Code.UNREADABLE, f"the batch cannot be read ({error})")
            yield self._gap(following, self._last, records[place:], why)

    def _alone(self, header: bytes, record: bytes, offset: int) -> Any:
        try:
            return next(iter(DefaultRecordBatch(header + record)))
        except Exception as error:  # whatever bytes make of a parser
            sentence = f"the record cannot be read ({type(error).__name__}: {error})"
            return self._gap(offset, offset, record, UnreadableError(Code.UNREADABLE, sentence))

    def _framed(self, records: bytes, place: int) -> tuple[int, int]:
        """The offset of the record at that place, and where it ends."""
        try:
            length, start = decode_varint(records, place)
            _, at = decode_varint(records, start + 1)
            delta, _ = decode_varint(records, at)
        except (IndexError, ValueError) as error:
            raise UnreadableError(Code.UNREADABLE, "it ends within a record") from error
        if length <= 0 or start + length > len(records):
            raise UnreadableError(Code.UNREADABLE, f"a record has a length of {length}")
        return self.base_offset + delta, start + length

    def _opened(self) -> tuple[bytes, bytes]:
        """The header as it is without a codec, and the inflated records."""
        if not self._known:
            raise UnreadableError(Code.UNREADABLE, "the batch is of a format before Kafka 0.11")
        if calc_crc32c(self._buffer[ATTRIBUTES_AT:]) != self._crc:
            raise UnreadableError(Code.UNREADABLE, "the batch's checksum is wrong")
        if not 0 <= self._count <= RECORDS_LIMIT:
            raise UnreadableError(
                Code.INFLATES_TOO_FAR, f"the batch says it has {self._count} records; the limit is {RECORDS_LIMIT}"
            )
        header = bytearray(self._buffer[: HEADER.size])
        (attributes,) = struct.unpack_from(">h", header, ATTRIBUTES_AT)
        struct.pack_into(">h", header, ATTRIBUTES_AT, attributes & ~CODEC)
        return bytes(header), inflate(self._codec, self._buffer[HEADER.size :])

    def _gap(self, first: int, last: int, what: bytes, why: UnreadableError) -> Gap:
        place = Unreadable(first, last, len(what), sha256(what).hexdigest(), why.code, str(why))
        return Gap(last, (place,))


class Batches:
    """The batches that a broker answered with, in the shape of aiokafka's `MemoryRecords`."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._place = 0

    def size_in_bytes(self) -> int:
        """Of the whole answer."""
        return len(self._answer)

    def has_next(self) -> bool:
        """Whether another batch came whole; the last one of an answer may not."""
        return self._end() is not None

    def next_batch(self) -> Batch | None:
        """The next batch, or None."""
        end = self._end()
        if end is None:
            return None
        start, self._place = self._place, end
        return Batch(memoryview(self._answer)[start:end])

    def _end(self) -> int | None:
        if len(self._answer) - self._place < LENGTH.size:
            return None
        _, length = LENGTH.unpack_from(self._answer, self._place)
        end: int = self._place + LENGTH.size + length
        return end if length >= 0 and end <= len(self._answer) else None


def read_unstoppably() -> None:
    """Have the consumers of this process read batches by this module. aiokafka has no other way in: it looks this name
    up each time that a broker answers."""
    import aiokafka.consumer.fetcher

    aiokafka.consumer.fetcher.MemoryRecords = Batches


def inflate(codec: int, data: bytes, limit: int = INFLATED_BYTES_LIMIT) -> bytes:
    """The records in a batch of this codec, at most `limit` bytes; else `UnreadableError`. It takes no more memory."""
    if codec == 0:
        return data
    if codec not in CODECS:
        raise UnreadableError(Code.UNREADABLE, f"the batch is compressed with the unknown codec {codec}")
    name, inflated = CODECS[codec]
    try:
        return inflated(data, limit)
    except UnreadableError:
        raise
    except Exception as error:  # whatever bytes make of a codec
        if "failed to write whole buffer" in str(error) or "buffer is too small" in str(error):
            raise _too_far(limit) from None
        raise UnreadableError(
            Code.UNREADABLE, f"the batch says it is compressed with {name} and cannot be inflated ({error})"
        ) from None


def _too_far(limit: int) -> UnreadableError:
    return UnreadableError(
        Code.INFLATES_TOO_FAR, f"the batch inflates to more than {limit} bytes; send smaller batches"
    )


def _gunzip(data: bytes, limit: int) -> bytes:
    found, members = bytearray(), 0
    while data:
        members += 1
        if members > GZIP_MEMBERS_LIMIT:
            raise ValueError(f"it has more than {GZIP_MEMBERS_LIMIT} members")
        member = zlib.decompressobj(GZIP_WINDOW)
        found += member.decompress(data, limit + 1 - len(found))
        if len(found) > limit:
            raise _too_far(limit)
        if not member.eof:
            raise ValueError("it ends too early")
        data = member.unused_data.lstrip(b"\0")
    return bytes(found)


def _unsnap(data: bytes, limit: int) -> bytes:
    """Raw snappy, or the blocks that Java's clients and librdkafka make of it (xerial)."""
    if not data.startswith(XERIAL):
        return _unsnap_block(data, limit)
    found, place = bytearray(), XERIAL_HEADER_BYTES
    while place < len(data):
        (size,) = struct.unpack_from(">i", data, place)
        place += 4
        if not 0 <= size <= len(data) - place:
            raise ValueError(f"a block has {size} bytes")
        found += _unsnap_block(data[place : place + size], limit - len(found))
        place += size
    return bytes(found)


def _unsnap_block(data: bytes, limit: int) -> bytes:
    if cramjam.snappy.decompress_raw_len(data) > limit:
        raise _too_far(limit)
    return bytes(cramjam.snappy.decompress_raw(data))


def _lz4(data: bytes, limit: int) -> bytes:
    return _inflated_into(cramjam.lz4.decompress_into, data, limit)


def _zstd(data: bytes, limit: int) -> bytes:
    return _inflated_into(cramjam.zstd.decompress_into, data, limit)


def _inflated_into(into: Callable[[bytes, bytearray], int], data: bytes, limit: int) -> bytes:
    """Inflate into a buffer that is made larger until the records fit: to make one of `limit` bytes takes milliseconds,
    and a producer that does not wait sends a batch for each record."""
    size = min(limit, BUFFER_FACTOR * (len(data) + BUFFER_BYTES))
    while True:
        buffer = bytearray(size)
        try:
            return bytes(memoryview(buffer)[: into(data, buffer)])
        except Exception:  # that it is too small, or whatever bytes make of a codec
            if size == limit:
                raise
        size = min(limit, BUFFER_FACTOR * size)


CODECS = {GZIP: ("gzip", _gunzip), SNAPPY: ("snappy", _unsnap), LZ4: ("lz4", _lz4), ZSTD: ("zstd", _zstd)}
