"""What the command line stands on: this machine's settings, and the rooms that they lead to."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from activities import signing
from events.terms import VendorId
from infra.settings import Settings
from infra.wiring import add_vendor, keys
from projections.queries import Queries, open_queries
from workflows.policy import Policy


class LocalGround:
    """Implements `portal.cli.Ground`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def vendor(self) -> VendorId:
        """The first vendor."""
        return VendorId(self._settings.vendor)

    def queries(self) -> AbstractAsyncContextManager[Queries]:
        """The views."""
        return open_queries(self._settings.dsn)

    async def add_vendor(self, vendor: VendorId) -> bool:
        """A vendor's topics, signing key and first policy."""
        return await add_vendor(self._settings, vendor, Policy())

    def jwks(self, vendor: VendorId) -> dict[str, Any]:
        """The public keys of a vendor."""
        return keys(self._settings).jwks(vendor)

    def verify(self, file: str, jwks: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """The claims of a licence file."""
        return signing.verify(file, jwks, now)
