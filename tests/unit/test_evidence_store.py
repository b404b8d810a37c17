"""Evidence files: kept by their hash, typed by their content, and never exchanged unnoticed."""

import contextlib
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.evidence_store import EvidenceStore, describe
from events.errors import Code, NotYetKnownError, RefusalError
from events.evidence import FILE_BYTES, MediaType
from events.terms import VendorId

ACME, ZETA = VendorId("acme"), VendorId("zeta")
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"
SAMPLES = {
    MediaType.PDF: PDF,
    MediaType.PNG: b"\x89PNG\r\n\x1a\n" + bytes(20),
    MediaType.JPEG: b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(20),
    MediaType.WEBP: b"RIFF\x10\x00\x00\x00WEBPVP8 " + bytes(20),
    MediaType.TIFF: b"II*\x00\x08\x00\x00\x00" + bytes(20),
}


@pytest.mark.parametrize("media_type", SAMPLES)
async def test_a_file_is_kept_and_given_back_with_its_type_and_hash(media_type: MediaType, tmp_path: Path) -> None:
    store, content = EvidenceStore(tmp_path / "evidence"), SAMPLES[media_type]

    file = await store.put(ACME, content)

    assert (file.sha256, file.media_type, file.size) == (sha256(content).hexdigest(), media_type, len(content))
    assert await store.get(ACME, file.sha256) == content
    assert await store.known(ACME, file.sha256) == file


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", Code.INVALID_DATA),
        (b"%PDF-1.7" + bytes(FILE_BYTES), Code.TOO_LARGE),
        (b"<html><script>alert(1)</script></html>", Code.FILE_TYPE),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', Code.FILE_TYPE),
        (b"MZ" + bytes(100), Code.FILE_TYPE),
        (b"PK\x03\x04" + bytes(100), Code.FILE_TYPE),
        (b"just words", Code.FILE_TYPE),
    ],
)
async def test_what_is_empty_too_long_or_of_another_type_is_refused_and_not_kept(
    content: bytes, code: Code, tmp_path: Path
) -> None:
    with pytest.raises(RefusalError) as refused:
        await EvidenceStore(tmp_path).put(ACME, content)

    assert refused.value.code == code
    assert list(tmp_path.rglob("*")) == []


@given(start=st.sampled_from([b"", *SAMPLES.values()]), kept=st.integers(0, 40), more=st.binary(max_size=100))
def test_whatever_comes_is_described_or_refused(start: bytes, kept: int, more: bytes) -> None:
    content = start[:kept] + more
    with contextlib.suppress(RefusalError):
        assert describe(content).size == len(content)


async def test_a_vendor_never_gets_another_vendors_file(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)
    file = await store.put(ACME, PDF)

    with pytest.raises(NotYetKnownError) as unknown:
        await store.get(ZETA, file.sha256)

    assert unknown.value.code == Code.UNKNOWN_FILE


async def test_the_same_file_again_changes_nothing(tmp_path: Path) -> None:
    store = EvidenceStore(tmp_path)

    assert await store.put(ACME, PDF) == await store.put(ACME, PDF)
    assert len([one for one in tmp_path.rglob("*") if one.is_file()]) == 1


@pytest.mark.parametrize("bytes_kept", [PDF[:-1], PDF + b" ", b"", b"%PDF-1.7 another", bytes(FILE_BYTES + 1)])
async def test_a_file_that_was_damaged_or_exchanged_is_noticed_and_mended_by_its_bytes(
    bytes_kept: bytes, tmp_path: Path
) -> None:
    store = EvidenceStore(tmp_path)
    file = await store.put(ACME, PDF)
    next(one for one in tmp_path.rglob(file.sha256)).write_bytes(bytes_kept)

    with pytest.raises(RefusalError) as damaged:
        await store.get(ACME, file.sha256)
    assert damaged.value.code == Code.FILE_DAMAGED

    await store.put(ACME, PDF)
    assert await store.get(ACME, file.sha256) == PDF
