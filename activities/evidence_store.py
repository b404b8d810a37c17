"""The store of evidence files: bytes by their hash, a vendor's apart from every other's.

A folder by default, or whatever S3-compatible store its address names. A file is written once and never changed;
putting the same again changes nothing. What is read is compared with its hash, so a file that was damaged or exchanged
is noticed. A file that nothing refers to, because its sender died between, does no harm.
"""

from hashlib import sha256
from pathlib import Path
from typing import Final

import puremagic
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, ObjectStore, from_url

from events.errors import Code, NotYetKnownError, RefusalError
from events.evidence import FILE_BYTES, EvidenceFile, MediaType, Sha256
from events.terms import VendorId

MEDIA_TYPES: Final = frozenset(MediaType)


def describe(content: bytes) -> EvidenceFile:
    """What a file is. Raises `RefusalError` for one that is empty, too long, or none of the types that are taken."""
    if not content or len(content) > FILE_BYTES:
        raise RefusalError(
            Code.TOO_LARGE if content else Code.INVALID_DATA,
            f"a file has 1 to {FILE_BYTES} bytes, and this one {len(content)}",
            size=len(content),
            limit=FILE_BYTES,
        )
    try:
        found = puremagic.from_string(content, mime=True)
    except puremagic.PureError:
        found = ""
    if found not in MEDIA_TYPES:
        taken = ", ".join(sorted(MEDIA_TYPES))
        raise RefusalError(
            Code.FILE_TYPE,
            f"the file is {found or 'of no known type'}; evidence is one of {taken}",
            found=found,
            taken=taken,
        )
    return EvidenceFile(sha256=sha256(content).hexdigest(), media_type=MediaType(found), size=len(content))


class EvidenceStore:
    """Keeps the files of all vendors. `place` is a folder, or the URL of an S3-compatible bucket (`s3://…`)."""

    def __init__(self, place: Path | str) -> None:
        self._store: ObjectStore = LocalStore(place, mkdir=True) if isinstance(place, Path) else from_url(place)

    async def put(self, vendor: VendorId, content: bytes) -> EvidenceFile:
        """Keep a file. Raises `RefusalError` for what is none that is taken."""
        file = describe(content)
        path = _path(vendor, file.sha256)
        try:
            await self._store.put_async(path, content, mode="create")
        except AlreadyExistsError:
            if await self._read(path) != content:  # damaged meanwhile: these are its bytes
                await self._store.put_async(path, content)
        return file

    async def get(self, vendor: VendorId, name: Sha256) -> bytes:
        """The bytes of a file. Raises `NotYetKnownError` where there is none, `RefusalError` where it is no longer
        what it was."""
        content = await self._read(_path(vendor, name))
        if content is None:
            raise NotYetKnownError(
                Code.UNKNOWN_FILE, f"no file {name} is kept for this vendor; send it first", sha256=name
            )
        if sha256(content).hexdigest() != name:
            raise RefusalError(
                Code.FILE_DAMAGED,
                f"the bytes kept as {name} are no longer those that were sent; send it again",
                sha256=name,
            )
        return content

    async def _read(self, path: str) -> bytes | None:
        try:
            found = await self._store.get_async(path)
        except FileNotFoundError:
            return None
        return bytes(await found.bytes_async()) if found.meta["size"] <= FILE_BYTES else b""

    async def known(self, vendor: VendorId, name: Sha256) -> EvidenceFile:
        """What a file is that was kept. Raises as `get` does."""
        return describe(await self.get(vendor, name))


def _path(vendor: VendorId, name: Sha256) -> str:
    return f"{vendor}/{name[:2]}/{name}"
