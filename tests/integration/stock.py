"""A vendor's stock in the backend on PostgreSQL, for tests of what no backend in memory has: races, locks and rows."""

from dataclasses import dataclass

from activities.licensing.backend import EmbeddedBackend
from infra.settings import Settings
from tests.contract.stock import NEW, NOW, OLD, WEEKLY
from tests.contract.stock import Stock as AnyStock

__all__ = ["NEW", "NOW", "OLD", "WEEKLY", "Stock"]


@dataclass(kw_only=True)
class Stock(AnyStock):
    """One vendor's containers in PostgreSQL."""

    backend: EmbeddedBackend
    settings: Settings
