"""The command that folds the views anew."""

import asyncio
import json
import logging
from dataclasses import asdict

import typer
from rich.console import Console

from events.errors import Code, RefusalError
from infra.settings import read_settings
from portal.cli import terminal
from portal.codes import REFUSED


def register(app: typer.Typer) -> None:
    """Add `views` to the program's commands."""
    views = typer.Typer(no_args_is_help=True, help="The views that commands ask.")
    app.add_typer(views, name="views")

    @views.command("rebuild")
    def rebuild(as_json: terminal.AsJson = False) -> None:
        """Fold the whole log anew beside the views in use, compare them, and switch. Exit code 1 when they differ."""
        import structlog
        from rich.progress import Progress
        from rich.table import Table

        from events.log_errors import LogDamagedError, NewerReleaseError
        from infra.facts import fact_codec
        from projections.rebuild import rebuild

        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
        settings = read_settings()
        with terminal.refusals(), Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("folding the log", total=None)
            try:
                report = asyncio.run(
                    rebuild(
                        *(settings.bootstrap, settings.dsn, fact_codec()),
                        lambda done, of: bar.update(task, completed=done, total=of),
                    )
                )
            except LogDamagedError as damage:
                raise RefusalError(Code.LOG_DAMAGED, str(damage)) from damage
            except NewerReleaseError as newer:
                raise RefusalError(newer.code, str(newer)) from newer
            asyncio.run(_forget_lost_ends(settings.dsn))
        if as_json:
            tables = {name: asdict(table) | {"equal": table.equal} for name, table in report.tables.items()}
            told = {"equal": report.equal, "records": report.records, "schema": report.schema, "tables": tables}
            typer.echo(json.dumps(told, indent=2))
        else:
            table = Table("table", "rows", "digest", "equal")
            for name, one in report.tables.items():
                table.add_row(name, str(one.rebuilt.rows), one.rebuilt.sha256[:16], "yes" if one.equal else "NO")
            Console().print(table)
            typer.echo(f"{report.records} records folded; the views are {'equal' if report.equal else 'NOT equal'}.")
        raise typer.Exit(0 if report.equal else REFUSED)


async def _forget_lost_ends(dsn: str) -> None:
    """What the log had lost of its end is not in the views any more: the live projectors go on."""
    from activities.register import PostgresRegister
    from events.log_errors import Damage

    register = PostgresRegister(dsn)
    lost = [entry.place for entry in await register.entries(10_000) if entry.code == Damage.SHORTER]
    if lost:
        await register.remove(*lost)
