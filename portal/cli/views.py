"""The command that folds the views anew."""

import asyncio
import json
import logging
from dataclasses import asdict
from functools import partial

import typer
from rich.console import Console

from portal.cli import terminal
from portal.codes import REFUSED


def register(app: typer.Typer, operator: terminal.Operated) -> None:
    """Add `views` to the program's commands."""
    views = typer.Typer(no_args_is_help=True, help="The views that commands ask.")
    app.add_typer(views, name="views")

    @views.command("rebuild")
    def rebuild(as_json: terminal.AsJson = False) -> None:
        """Fold the whole log anew beside the views in use, compare them, and switch. Exit code 1 when they differ."""
        import structlog
        from rich.progress import Progress
        from rich.table import Table

        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
        installation = operator()
        with terminal.refusals(), Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("folding the log", total=None)
            folded = partial(bar.update, task)
            who = terminal.operator_of()
            report = asyncio.run(installation.rebuild_views(who, lambda done, of: folded(completed=done, total=of)))
        if as_json:
            tables = {name: asdict(table) | {"equal": table.equal} for name, table in report.tables.items()}
            document = {"equal": report.equal, "records": report.records, "schema": report.schema, "tables": tables}
            typer.echo(json.dumps(document, indent=2))
        else:
            table = Table("table", "rows", "digest", "equal")
            for name, one in report.tables.items():
                table.add_row(name, str(one.rebuilt.rows), one.rebuilt.sha256[:16], "yes" if one.equal else "NO")
            Console().print(table)
            typer.echo(f"{report.records} records folded; the views are {'equal' if report.equal else 'NOT equal'}.")
        raise typer.Exit(0 if report.equal else REFUSED)
