"""The commands of the auditor."""

import asyncio
import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from events.principal import PrincipalRole
from portal.cli import terminal
from portal.cli.sheet import Sheet
from portal.codes import REFUSED


def register(app: typer.Typer, operator: terminal.Operated) -> None:
    """Add `audit` to the program's commands."""
    audits = typer.Typer(no_args_is_help=True, help="What the log alone shows.")
    app.add_typer(audits, name="audit")

    @audits.callback()
    def group() -> None:
        """What the log alone shows."""

    @audits.command("invariants")
    def invariants(
        under_way: Annotated[
            float,
            typer.Option(
                min=0, help="Seconds: what shows so lately may be under way in another stream, and is not judged yet."
            ),
        ] = 10.0,
        as_json: terminal.AsJson = False,
    ) -> None:
        """Check the nine invariants from the log alone. Exit code 1 when one is breached."""
        until = datetime.now(UTC) - timedelta(seconds=under_way) if under_way else None
        installation = operator()
        with terminal.refusals(), Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("reading the log", total=None)
            done = partial(bar.update, task)
            auditor = terminal.operator_of(role=PrincipalRole.AUDITOR)
            found = asyncio.run(installation.audit(auditor, until, lambda read, of: done(completed=read, total=of)))
        if as_json:
            breaches = [{name: one for name, one in asdict(b).items() if name != "since"} for b in found.breaches]
            judged = found.until.isoformat() if found.until else None
            aside = [asdict(one) | {"recorded": one.recorded.isoformat()} for one in found.set_aside]
            document = {"facts": found.facts, "until": judged, "breaches": breaches, "set_aside": aside}
            typer.echo(json.dumps(document, indent=2))
        else:
            if found.breaches:
                table = Sheet("invariant", "vendor", "about", "stream", "fact number", "breach")
                for b in found.breaches:
                    table.add_row(str(b.invariant), b.vendor, b.about, b.stream, str(b.sequence), b.sentence)
                terminal.show(table)
            if found.set_aside:
                table = Sheet("set aside", "code", "by", "recorded", "why")
                for one in found.set_aside:
                    place = f"partition {one.partition}, offset {one.offset}"
                    table.add_row(place, one.code, one.by, terminal.minute(one.recorded), one.why)
                terminal.show(table)
            outcome = f"{len(found.breaches)} breaches" if found.breaches else "no breach"
            typer.echo(f"{found.facts} facts show {outcome} of the nine invariants.")
        raise typer.Exit(REFUSED if found.breaches else 0)
