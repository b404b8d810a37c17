"""The commands by which an operator lets go on what was set aside."""

import asyncio
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated

import typer
from pydantic import ValidationError

from events.errors import Code, RefusalError
from infra.settings import read_settings
from portal.cli import terminal
from portal.misfits import invalid


def register(app: typer.Typer) -> None:
    """Add `outbox` and `log` to the program's commands."""
    _outbox(app)
    _log(app)


def _outbox(app: typer.Typer) -> None:
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
            if key is not None and not keys:
                raise RefusalError(Code.NOT_SET_ASIDE, f"no fact of the key {key} is set aside", key=key)
            if as_json:
                terminal.print_json([{"key": one} for one in keys])
            elif keys:
                typer.echo(f"Will be tried again: {', '.join(keys)}. `lostfound status` shows what is still refused.")
            else:
                typer.echo("No fact is set aside, so there is nothing to try again.")


def _log(app: typer.Typer) -> None:
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
        from activities.licensing.installation import (
            set_record_aside,  # here, because the other commands need none of it
        )
        from events.backend_facts import RecordSetAside
        from events.log import LogReader, Position
        from infra.facts import fact_codec
        from projections.log_repair import examine

        async def set_it_aside() -> RecordSetAside:
            if not why.strip():
                raise RefusalError(Code.INVALID_DATA, "--why must say how the record came there, as far as known")
            settings = read_settings()
            codec = fact_codec()
            record, damage = await examine(LogReader(settings.bootstrap), codec, Position(partition, offset))
            digest = sha256(record.value or b"").hexdigest()
            place = {"partition": partition, "offset": offset, "digest": digest}
            try:
                fact = RecordSetAside.model_validate({**place, "code": damage.code, "why": why, "by": by})
            except ValidationError as error:
                raise invalid(error, RecordSetAside, {"why": "--why", "by": "--by"}) from None
            await set_record_aside(settings.dsn, codec, fact, datetime.now(UTC))
            return fact

        with terminal.refusals():
            fact = asyncio.run(set_it_aside())
            if as_json:
                terminal.print_json(fact)
            else:
                typer.echo(f"Set aside ({fact.code}): the projector goes on after it within seconds.")
