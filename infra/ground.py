"""What the command line stands on: this machine's settings, and the rooms that they lead to."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from activities import signing
from events.errors import Code, RefusalError
from events.ports import DecisionOrder, DecisionTaken
from events.terms import CaseId, VendorId
from infra.settings import Settings
from infra.wiring import add_vendor, keys, open_backend, open_temporal
from portal.cases import TemporalCases
from portal.commands import Doors
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

    async def add_vendor(self, vendor: VendorId, policy: str | None) -> bool:
        """A vendor's topics, signing key and first policy."""
        try:
            first = Policy() if policy is None else Policy.model_validate_json(policy)
        except ValidationError as error:
            told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:5])
            raise RefusalError(Code.UNREADABLE_POLICY, f"this is no policy: {told}") from None
        return await add_vendor(self._settings, vendor, first)

    async def decide(self, vendor: VendorId, case: CaseId, order: DecisionOrder) -> DecisionTaken:
        """Bring a decision to a case."""
        client = await open_temporal(self._settings)
        async with open_backend(self._settings) as backend:
            doors = Doors(backend, TemporalCases(client, self._settings.task_queue))
            return await doors.decide(vendor, case, order)

    def jwks(self, vendor: VendorId) -> dict[str, Any]:
        """The public keys of a vendor."""
        return keys(self._settings).jwks(vendor)

    def verify(self, file: str, jwks: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """The claims of a licence file."""
        return signing.verify(file, jwks, now)
