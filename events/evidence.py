"""Evidence with files: what is kept of a file besides its bytes."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from events.terms import Value

FILE_BYTES: Final = 10 * 1024 * 1024
"""The longest file that is taken as evidence."""
FILES: Final = 20
"""So many files go with one piece of evidence."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$", max_length=64)]
"""The SHA-256 of a file's bytes, in hex."""


class MediaType(StrEnum):
    """What a file may be, by its content and never by its name. None of it runs anything in a browser by itself."""

    PDF = "application/pdf"
    PNG = "image/png"
    JPEG = "image/jpeg"
    WEBP = "image/webp"
    TIFF = "image/tiff"
    HEIF = "image/heif"
    HEIC = "image/heic"


class EvidenceFile(Value):
    """A file that is evidence: the hash that it is kept under, what it is, and its size in bytes."""

    sha256: Sha256
    media_type: MediaType
    size: Annotated[int, Field(ge=1, le=FILE_BYTES)]
