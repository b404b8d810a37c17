"""The files that are evidence, as doors keep and read them."""

from typing import Protocol

from events.evidence import EvidenceFile, Sha256
from events.terms import VendorId


class EvidenceFiles(Protocol):
    """Keeps files by their hash, each vendor's apart."""

    async def put(self, vendor: VendorId, content: bytes) -> EvidenceFile:
        """Keep a file. Raises `RefusalError` for what is none that is taken."""

    async def get(self, vendor: VendorId, name: Sha256) -> bytes:
        """The bytes of a file. Raises `NotYetKnownError` where there is none, `RefusalError` where they are damaged."""

    async def known(self, vendor: VendorId, name: Sha256) -> EvidenceFile:
        """What a file is that was kept. Raises as `get` does."""
