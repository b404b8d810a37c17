"""The commands by which an operator lets go on what was set aside."""

import asyncio
from typing import Annotated

import typer

from infra.settings import read_settings
from portal import terminal


def register(app: typer.Typer) -> None:
    """Add `outbox` to the program's commands."""
    outbox = typer.Typer(no_args_is_help=True, help="Facts that wait to be recorded.")
    app.add_typer(outbox, name="outbox")

    @outbox.callback()
    def group() -> None:
        """Facts that wait to be recorded."""

    @outbox.command("retry")
    def retry(
        key: Annotated[str | None, typer.Argument(help="A key, as `status` shows it; all without one.")] = None,
        as_json: terminal.AsJson = False,
    ) -> None:
        """Try facts again that the log did not take. The relay, which a worker runs, does so within seconds."""
        from activities.register import PostgresRegister  # here, because the other commands need none of it

        async def taken_out() -> list[str]:
            entries = PostgresRegister(read_settings().dsn)
            places = [one.place for one in await entries.entries(10_000) if one.place.startswith("outbox/")]
            places = [place for place in places if key is None or place == f"outbox/{key}"]
            await entries.remove(*places)
            return [place.removeprefix("outbox/") for place in places]

        with terminal.refusals():
            keys = asyncio.run(taken_out())
            if as_json:
                terminal.print_json({"tried_again": keys})
            else:
                told = ", ".join(keys) or "nothing: no such key is set aside"
                typer.echo(f"Tried again: {told}. `lostfound status` shows what is still refused.")
