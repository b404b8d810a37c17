"""Every code has a row in the one table that all doors go by, and its documentation is made from it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from events.errors import Code, RefusalError
from infra.main import app
from portal.cli.terminal import refusals
from portal.codes import CODES, Again, document

ROOT = Path(__file__).parents[2]
ROOMS = ("events", "workflows", "activities", "projections", "portal", "infra")


def raised(name: str) -> Iterator[Code]:
    """The codes with which an exception of that name is made anywhere in the product."""
    for room in ROOMS:
        for file in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
                    match node.args:
                        case [ast.Attribute(value=ast.Name(id="Code"), attr=code), *_]:
                            yield Code[code]


def test_every_code_has_a_row_and_no_row_is_of_another() -> None:
    assert CODES.keys() == set(Code)


@pytest.mark.parametrize("code", Code)
def test_a_row_says_something_that_fits_itself(code: Code) -> None:
    row = CODES[code]

    assert row.exit_code in (1, 2)
    assert 400 <= row.http_status < 600
    assert row.meaning
    if row.http_status in (429, 503):  # which a client may try again
        assert row.again is not Again.NO
    if row.exit_code == 2:
        assert (row.again, row.http_status // 100) == (Again.NO, 4)


def test_what_a_fact_under_way_may_turn_around_may_be_tried_again() -> None:
    codes = set(raised("NotYetKnownError"))

    assert codes
    assert {code for code in codes if CODES[code].again is Again.NO} == set()


@pytest.mark.parametrize("code", [Code.STALE, Code.INVALID_DATA])
def test_a_command_ends_with_the_exit_code_of_the_table(code: Code, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as end, refusals():
        raise RefusalError(code, "it cannot be")

    assert end.value.exit_code == CODES[code].exit_code
    assert capsys.readouterr().err.endswith(f" [{code}]\n")


def test_the_codes_are_documented_from_the_table() -> None:
    assert (ROOT / "docs" / "codes.md").read_text() == document()
    assert CliRunner().invoke(app, ["codes", "--markdown"]).stdout == document()
