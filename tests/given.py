"""An application over parts that a test has opened itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from events.principal import Principal, PrincipalRole
from events.terms import CaseId, PersonId, VendorId

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@dataclass
class Given:
    """Stands for `portal.application.Parts`, as far as statements and decisions need them."""

    opened_backend: Any
    opened_cases: Any = None
    files: Any = None

    async def backend(self) -> Any:
        return self.opened_backend

    async def cases(self) -> Any:
        return self.opened_cases

    @asynccontextmanager
    async def views(self) -> AsyncIterator["Unshown"]:
        """Views that show no case yet."""
        yield Unshown()


class Unshown:
    """Views in which nothing stands yet."""

    async def line(self, vendor: VendorId, case: CaseId) -> None:
        """No case is shown."""


def principal(
    vendor: VendorId, by: str = "crm", role: PrincipalRole = PrincipalRole.BACK_OFFICE, door: str = "a test"
) -> Principal:
    """Somebody who acts at a test's door."""
    return Principal(vendor=vendor, subject=PersonId(by), roles=(role,), door=door)


def supervisor(vendor: VendorId, by: str, door: str = "a test") -> Principal:
    """A supervisor at a test's door."""
    return principal(vendor, by, PrincipalRole.SUPERVISOR, door)
