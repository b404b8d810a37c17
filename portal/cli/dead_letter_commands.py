"""The commands about the inbox's dead letters. What one holds may be hostile: it is shown escaped, or as bytes."""

import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from events.errors import Code, RefusalError
from events.statements import PREFIX
from portal.cli.sheet import Sheet
from portal.cli.terminal import (
    AsJson,
    OfVendor,
    Opened,
    for_typed_vendor,
    minute,
    principal_of,
    print_json,
    refusals,
    run,
    show,
    vendor_named,
)
from portal.codes import REFUSED
from portal.wording import COMMAND_LINE

if TYPE_CHECKING:
    from portal.application import Application
    from portal.inbox.dead_letter_reader import DeadLetterReader, StoredDeadLetter

Answer = TypeVar("Answer")
ABOUT_CHARACTERS = 60
"""Of a type or serial in a list."""
Place = Annotated[str, typer.Argument(help="Where the record stood, as `list` and `lostfound status` name it.")]
Places = Annotated[list[str], typer.Argument(help="Where the records stood, as `list` and `lostfound status` name it.")]


def commands(opened: Opened) -> typer.Typer:
    """The group `inbox`."""
    app = typer.Typer(no_args_is_help=True, help="The inbox.")
    dead_letters = typer.Typer(no_args_is_help=True, help="Records of the inbox that could not be handled.")
    app.add_typer(dead_letters, name="dead-letters")

    def of(vendor: str | None, question: "Callable[[DeadLetterReader], Awaitable[Answer]]") -> Answer:
        principal = principal_of(vendor_named(opened, vendor))

        async def asked(application: "Application") -> Answer:
            async with application.dead_letters(principal) as found:
                return await question(found)

        return run(opened, asked)

    @dead_letters.command("list")
    def list_dead_letters(
        vendor: OfVendor = None,
        code: Annotated[str | None, typer.Option(help="Only those with this code.")] = None,
        settled: Annotated[bool, typer.Option("--all", help="Also those that were retried or dismissed.")] = False,
        limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 50,
        as_json: AsJson = False,
    ) -> None:
        """List the open dead letters, the latest first: place, code, when, and what to do."""
        with refusals():
            if code is not None and code not in set(Code):
                raise RefusalError(
                    Code.INVALID_DATA, f"there is no code {code!r}; docs/inbox.md lists them", typed=code
                )
            found = of(vendor, lambda dead_letters: dead_letters.newest(limit, code, settled))
            if as_json:
                print_json([_brief(one) for one in found])
                return
            table = Sheet("place", "about", "code", "written (UTC)", *(("state",) if settled else ()), "what is wrong")
            for one in found:
                state = (_state(one),) if settled else ()
                cells = (one.place, _about(one), one.code, minute(one.at), *state, one.sentence)
                table.add_row(*(_safe(cell) for cell in cells))
            show(table)

    @dead_letters.command("show")
    def show_dead_letter(
        place: Place,
        vendor: OfVendor = None,
        raw: Annotated[
            bool, typer.Option("--raw", help="Print the record's value as it is, and nothing else.")
        ] = False,
        as_json: AsJson = False,
    ) -> None:
        """Show a dead letter with its bytes; the latest, and those before it where several records stood there."""
        with refusals():
            *earlier, found = of(vendor, lambda dead_letters: dead_letters.find(place))
            if raw:
                typer.get_binary_stream("stdout").write(found.value or b"")
            elif as_json:
                before = [_brief(one) | _bytes(one) for one in earlier]
                print_json(_brief(found) | _bytes(found) | {"earlier": before})
            else:
                for one in (found, *reversed(earlier)):
                    _print(one)

    @dead_letters.command("retry")
    def retry(places: Places, vendor: OfVendor = None, as_json: AsJson = False) -> None:
        """Put records through the inbox again, each by itself; may be repeated. Exit code 1 when one cannot be."""
        _each(places, as_json, "retried as", lambda place: of(vendor, lambda dead_letters: dead_letters.retry(place)))

    @dead_letters.command("dismiss")
    def dismiss(places: Places, vendor: OfVendor = None, as_json: AsJson = False) -> None:
        """Say that nothing more is to be done about these; `list` and `lostfound status` name them no longer."""
        _each(places, as_json, "dismissed", lambda place: of(vendor, lambda dead_letters: dead_letters.dismiss(place)))

    return app


def _each(places: list[str], as_json: bool, done: str, do: Callable[[str], Sequence[str] | None]) -> None:
    results: list[dict[str, Any]] = []
    for place in dict.fromkeys(places):
        with refusals():
            try:
                results.append({"place": place, "done": True, "as": ", ".join(do(place) or ()) or None})
            except RefusalError as refusal:
                sentence = for_typed_vendor(COMMAND_LINE.sentence(refusal))
                results.append({"place": place, "done": False, "code": refusal.code, "sentence": sentence})
    if as_json:
        print_json(results)
    for one in () if as_json else results:
        if one["done"]:
            typer.echo(f"{_safe(one['place'])} is {done} {one['as'] or ''}".rstrip() + ".")
        else:
            typer.echo(f"{_safe(one['sentence'])} [{one['code']}]", err=True)
    if not all(one["done"] for one in results):
        raise typer.Exit(REFUSED)


def _brief(one: "StoredDeadLetter") -> dict[str, Any]:
    return {
        "place": one.place,
        "code": one.code,
        "sentence": one.sentence,
        "written": one.at.isoformat(),
        "length": one.length,
        "state": one.state,
        "retried_as": one.retried_as,
        "whole": one.is_whole,
        "sha256": one.sha256,
    }


def _state(one: "StoredDeadLetter") -> str:
    return f"{one.state} (sent again as {one.retried_as})" if one.retried_as else one.state


def _bytes(one: "StoredDeadLetter") -> dict[str, Any]:
    def encoded(several: bytes | None) -> str | None:
        return None if several is None else base64.b64encode(several).decode()

    headers = [{"name": name, "value_base64": encoded(content)} for name, content in one.headers]
    return {"key_base64": encoded(one.key), "value_base64": encoded(one.value), "headers": headers}


def _print(one: "StoredDeadLetter") -> None:
    typer.echo(f"place     {_safe(one.place)}")
    typer.echo(f"code      {_safe(one.code)}")
    typer.echo(f"sentence  {_safe(one.sentence)}")
    typer.echo(f"written   {one.at:%Y-%m-%d %H:%M:%S} UTC")
    typer.echo(f"state     {_safe(_state(one))}")
    typer.echo(f"length    {one.length} bytes" + (f", SHA-256 {_safe(one.sha256)}" if one.sha256 else ""))
    typer.echo(f"key       {_text(one.key)}")
    for name, content in one.headers:
        typer.echo(f"header    {_safe(name)}: {_text(content)}")
    typer.echo(_text(one.value) if one.is_whole else "It has no bytes, for they did not fit or cannot be read.")


def _about(one: "StoredDeadLetter") -> str:
    """The type and the serial of what was sent, as far as it can be read, or else its key."""
    try:
        sent = json.loads(one.value or b"")
        parts = [str(sent["type"]).removeprefix(PREFIX), str(sent["data"]["serial"])]
    except (ValueError, KeyError, TypeError):
        parts = [_text(one.key)]
    return " ".join(part[:ABOUT_CHARACTERS] for part in parts)


def _text(several: bytes | None) -> str:
    return "none" if several is None else _safe(several.decode(errors="backslashreplace"))


def _safe(text: str) -> str:
    """Text that a terminal shows and does not obey."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
