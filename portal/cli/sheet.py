"""Tables for a terminal, in which no word is cut: where they do not fit its width, each row becomes a paragraph."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

BETWEEN = 2
"""Characters between two columns, and one at either edge."""


class Sheet:
    """Rows of cells under headings. The first cell names its row. What stands in a cell is shown as it is."""

    def __init__(self, *headings: str) -> None:
        self.headings = headings
        self.rows: list[tuple[str, ...]] = []

    def add_row(self, *cells: str) -> None:
        """Add a row: a cell for each heading."""
        assert len(cells) == len(self.headings)
        self.rows.append(cells)

    def rendered(self, width: int) -> RenderableType:
        """As it fits into so many columns of a terminal."""
        columns = [*zip(self.headings, *self.rows, strict=True)]
        widths = widths_of(columns, width - BETWEEN * len(columns))
        if widths is None:
            return Group(*(self._paragraph(cells) for cells in self.rows))
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        for heading, wide in zip(self.headings, widths, strict=True):
            table.add_column(Text(heading), width=wide)
        for cells in self.rows:
            table.add_row(*map(Text, cells))
        return table

    def _paragraph(self, cells: tuple[str, ...]) -> RenderableType:
        parts = [f"{heading} {cell}" for heading, cell in zip(self.headings[1:], cells[1:], strict=True) if cell]
        return Group(Text(f"{self.headings[0]} {cells[0]}"), Padding(Text(", ".join(parts)), (0, 0, 0, 2)))


def widths_of(columns: Sequence[Sequence[str]], room: int) -> list[int] | None:
    """The width of each column; None where they do not fit, however their cells wrap between words."""
    whole = [max(map(cell_len, cells)) for cells in columns]
    found = [max((cell_len(word) for cell in cells for word in cell.split()), default=0) for cells in columns]
    if sum(found) > room:
        return None
    for _ in range(min(room, sum(whole)) - sum(found)):
        narrowest = max(range(len(found)), key=lambda at: whole[at] / max(found[at], 1))
        found[narrowest] += 1
    return found
