"""The commands by which an operator lets go on what was set aside."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer

from portal.cli import terminal


def register(app: typer.Typer, operator: terminal.Operated) -> None:
    """Add `outbox` and `log` to the program's commands."""
    _outbox(app, operator)
    _log(app, operator)


def _outbox(app: typer.Typer, operator: terminal.Operated) -> None:
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
        with terminal.refusals():
            keys = asyncio.run(operator().retry_outbox(terminal.operator_of(), key))
            if as_json:
                terminal.print_json([{"key": one} for one in keys])
            elif keys:
                typer.echo(f"Will be tried again: {', '.join(keys)}. `lostfound status` shows what is still refused.")
            else:
                typer.echo("No fact is set aside, so there is nothing to try again.")


def _log(app: typer.Typer, operator: terminal.Operated) -> None:
    log = typer.Typer(no_args_is_help=True, help="The record of all facts.")
    app.add_typer(log, name="log")

    @log.callback()
    def group() -> None:
        """The record of all facts."""

    @log.command("set-aside")
    def set_aside(
        partition: Annotated[int, typer.Argument(min=0)],
        offset: Annotated[int, typer.Argument(min=0)],
        why: Annotated[str, typer.Option(help="How it came there, as far as known.")],
        by: Annotated[str, typer.Option(help="Who says so.")],
        as_json: terminal.AsJson = False,
    ) -> None:
        """Set a record aside that cannot be read or does not fit its stream, so that its partition goes on after it.

        This is itself recorded, for ever. A record that is sound is refused.
        """
        from events.log_records import Position

        with terminal.refusals():
            who, position = terminal.operator_of(by=by), Position(partition, offset)
            fact = asyncio.run(operator().set_record_aside(who, position, why, datetime.now(UTC)))
            if as_json:
                terminal.print_json(fact)
            else:
                typer.echo(f"Set aside ({fact.code}): the projector goes on after it within seconds.")
