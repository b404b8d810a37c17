"""What a rebuild of the views found, as values."""

from dataclasses import dataclass

from projections.digests import TableDigest


@dataclass(frozen=True, slots=True)
class TableReport:
    """What a rebuild found for one table; `live` is None where there were no views to compare with."""

    rebuilt: TableDigest
    live: TableDigest | None

    @property
    def equal(self) -> bool:
        """Whether the views in use held exactly what the log says."""
        return self.live is None or self.live == self.rebuilt


@dataclass(frozen=True, slots=True)
class RebuildReport:
    """A finished rebuild: `schema` is in use now, `compared_at` are the positions at which the tables were compared."""

    schema: str
    records: int
    compared_at: dict[int, int]
    tables: dict[str, TableReport]

    @property
    def equal(self) -> bool:
        """Whether all tables were equal."""
        return all(table.equal for table in self.tables.values())
