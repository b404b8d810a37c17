"""No word is cut in a table: a cell wraps between its words, and where that does not fit each row is a paragraph."""

import io
import re

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from portal.cli.kinds import _tables, rows
from portal.cli.sheet import Sheet, widths_of

WORDS = st.lists(st.text("abcdefghij", min_size=1, max_size=12), max_size=6).map(" ".join)


def printed(sheet: Sheet | str, width: int) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(sheet.rendered(width) if isinstance(sheet, Sheet) else sheet)
    return [line.rstrip() for line in out.getvalue().splitlines()]


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), max_size=5), st.integers(20, 120))
def test_no_word_is_cut_at_any_width(rows: list[tuple[str, str, str]], width: int) -> None:
    sheet = Sheet("one", "two", "three")
    for cells in rows:
        sheet.add_row(*cells)

    lines = printed(sheet, width)

    words = set(re.findall(r"\w+", " ".join(lines)))
    assert {word for cells in rows for cell in cells for word in cell.split()} <= words
    assert max(map(len, lines), default=0) <= width


def test_a_column_is_as_wide_as_its_words_where_others_need_the_room() -> None:
    fact, words = ("fact", "1", "2"), ("details", "a " * 100, "b")

    assert widths_of([fact, words], 80) == [4, 76]


def test_what_fits_no_table_is_told_row_by_row_without_its_empty_cells() -> None:
    sheet = Sheet("case", "status", "due", "fact")
    sheet.add_row("x" * 35, "watching", "", "5")

    assert printed(sheet, 40) == [f"case {'x' * 35}", "  status watching, fact 5"]


def test_what_stands_in_a_cell_is_shown_as_it_is() -> None:
    sheet = Sheet("place", "code")
    sheet.add_row("[bold]x[/bold]", "[red]")

    assert "[bold]x[/bold]  [red]" in printed(sheet, 40)[-2]


def test_what_can_be_lost_is_shown_whole_on_80_columns() -> None:
    lines = [line for one in _tables() for line in printed(one, 80)]

    words = set(re.findall(r"\w+", " ".join(lines)))
    for row in rows():
        assert {row["kind"], row["reason"], row["scope"], *row["measures"], str(row["watch_days"])} <= words
        assert {*row["recovery"].split("_"), *row["target"].split("_")} <= words
    assert max(map(len, lines)) <= 80
