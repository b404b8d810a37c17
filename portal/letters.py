"""The commands about the inbox's dead letters. What a letter holds may be hostile: it is shown escaped, or as bytes."""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.markup import escape

from events.errors import Code, RefusalError
from portal.terminal import (
    REFUSED,
    AsJson,
    Ground,
    OfVendor,
    minute,
    print_json,
    refusals,
    show,
    table_of,
    vendor_named,
)

if TYPE_CHECKING:
    from portal.letter_box import KeptLetter, LetterBox

Answer = TypeVar("Answer")
Place = Annotated[str, typer.Argument(help="Where the record stood, as `list` and `lostfound status` name it.")]
Places = Annotated[list[str], typer.Argument(help="Where the records stood, as `list` and `lostfound status` name it.")]


def commands(ground: Callable[[], Ground]) -> typer.Typer:
    """The group `inbox`."""
    app = typer.Typer(no_args_is_help=True, help="The inbox.")
    letters = typer.Typer(no_args_is_help=True, help="Records of the inbox that could not be handled.")
    app.add_typer(letters, name="dead-letters")

    def of(vendor: str | None, question: "Callable[[LetterBox], Awaitable[Answer]]") -> Answer:
        async def asked() -> Answer:
            async with ground().letter_box(vendor_named(ground(), vendor)) as box:
                return await question(box)

        return asyncio.run(asked())

    @letters.command("list")
    def list_letters(
        vendor: OfVendor = None,
        code: Annotated[str | None, typer.Option(help="Only letters with this code.")] = None,
        limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
        as_json: AsJson = False,
    ) -> None:
        """List the dead letters, the latest first: place, code, when, and what to do."""
        with refusals():
            if code is not None and code not in set(Code):
                raise RefusalError(Code.UNKNOWN_LETTER, f"there is no code {code!r}; docs/inbox.md lists them")
            found = of(vendor, lambda box: box.newest(limit, code))
            if as_json:
                print_json({"letters": [_brief(letter) for letter in found]})
                return
            table = table_of("place", "code", "written", "sentence")
            for letter in found:
                table.add_row(
                    escape(_safe(letter.place)),
                    escape(_safe(letter.code)),
                    minute(letter.at),
                    escape(_safe(letter.sentence)),
                )
            show(table)

    @letters.command("show")
    def show_letter(
        place: Place,
        vendor: OfVendor = None,
        raw: Annotated[
            bool, typer.Option("--raw", help="Print the record's value as it is, and nothing else.")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        """Show a dead letter with its bytes; the latest, and those before it where several records stood there."""
        with refusals():
            *earlier, letter = of(vendor, lambda box: box.find(place))
            if raw:
                typer.get_binary_stream("stdout").write(letter.value or b"")
            elif as_json:
                before = [_brief(one) | _bytes(one) for one in earlier]
                print_json(_brief(letter) | _bytes(letter) | {"earlier": before})
            else:
                for one in (letter, *reversed(earlier)):
                    _print(one)

    @letters.command("retry")
    def retry(places: Places, vendor: OfVendor = None, as_json: AsJson = False) -> None:
        """Put records through the inbox again, each by itself; may be repeated. Exit code 1 when one cannot be."""
        _each(places, as_json, "retried as", lambda place: of(vendor, lambda box: box.retry(place)))

    @letters.command("dismiss")
    def dismiss(places: Places, vendor: OfVendor = None, as_json: AsJson = False) -> None:
        """Have `lostfound status` no longer name these places, for nothing more is to be done about them."""
        _each(places, as_json, "dismissed", lambda place: of(vendor, lambda box: box.dismiss(place)))

    return app


def _each(places: list[str], as_json: bool, done: str, do: Callable[[str], Sequence[str] | None]) -> None:
    told: list[dict[str, Any]] = []
    for place in dict.fromkeys(places):
        with refusals():
            try:
                told.append({"place": place, "done": True, "as": ", ".join(do(place) or ()) or None})
            except RefusalError as refusal:
                told.append({"place": place, "done": False, "code": refusal.code, "sentence": refusal.sentence})
    if as_json:
        print_json({"letters": told})
    for one in () if as_json else told:
        if one["done"]:
            typer.echo(f"{_safe(one['place'])} is {done} {one['as'] or ''}".rstrip() + ".")
        else:
            typer.echo(f"{_safe(one['sentence'])} [{one['code']}]", err=True)
    if not all(one["done"] for one in told):
        raise typer.Exit(REFUSED)


def _brief(letter: "KeptLetter") -> dict[str, Any]:
    return {
        "place": letter.place,
        "code": letter.code,
        "sentence": letter.sentence,
        "written": letter.at.isoformat(),
        "length": letter.length,
        "whole": letter.is_whole,
        "sha256": letter.sha256,
    }


def _bytes(letter: "KeptLetter") -> dict[str, Any]:
    def encoded(several: bytes | None) -> str | None:
        return None if several is None else base64.b64encode(several).decode()

    headers = [{"name": name, "value_base64": encoded(content)} for name, content in letter.headers]
    return {"key_base64": encoded(letter.key), "value_base64": encoded(letter.value), "headers": headers}


def _print(letter: "KeptLetter") -> None:
    typer.echo(f"place     {_safe(letter.place)}")
    typer.echo(f"code      {_safe(letter.code)}")
    typer.echo(f"sentence  {_safe(letter.sentence)}")
    typer.echo(f"written   {letter.at:%Y-%m-%d %H:%M:%S} UTC")
    typer.echo(f"length    {letter.length} bytes" + (f", SHA-256 {_safe(letter.sha256)}" if letter.sha256 else ""))
    typer.echo(f"key       {_text(letter.key)}")
    for name, content in letter.headers:
        typer.echo(f"header    {_safe(name)}: {_text(content)}")
    typer.echo(
        _text(letter.value) if letter.is_whole else "The letter has no bytes, for they did not fit or cannot be read."
    )


def _text(several: bytes | None) -> str:
    return "none" if several is None else _safe(several.decode(errors="backslashreplace"))


def _safe(text: str) -> str:
    """Text that a terminal shows and does not obey."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
