"""The command `lostfound`: everything that can be typed, from starting it all to asking after one case."""

import json
import logging
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console

from events.errors import Code, RefusalError
from infra import auditing, operate, repairs
from infra.ending import leave
from infra.errors import FAILED, Problem
from infra.settings import read_settings
from portal import cli, kinds, terminal
from portal.arguments import PlainGroup
from portal.codes import REFUSED

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from portal.application import Application

app = typer.Typer(
    cls=PlainGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Replaces lost licence containers, and keeps watch for the originals.",
)
operate.register(app)
cli.register(app, lambda: _application())
kinds.register(app)
auditing.register(app)
repairs.register(app)
views = typer.Typer(no_args_is_help=True, help="The views that commands ask.")
app.add_typer(views, name="views")


@app.command()
def serve(role: Annotated[str, typer.Argument(help="worker, projector or inbox")]) -> None:
    """Run one process of the product, as `up` does for each; for an installation with services of its own."""
    from infra import roles  # here, as what is imported in other commands, because the rest need none of it

    if role not in roles.ROLES:
        raise typer.BadParameter(f"there is no role {role}; valid: {', '.join(roles.ROLES)}")
    roles.serve(role)


@app.command()
def asyncapi() -> None:
    """Print the AsyncAPI document of the inboxes: all that another system needs to state something."""
    from portal.asyncapi import document

    typer.echo(json.dumps(document(), indent=2))


@app.command()
def simulate(
    seed: Annotated[int, typer.Option(help="The same seed gives the same journeys.")] = 1,
    cases: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many.")] = 1_000,
    as_json: terminal.AsJson = False,
) -> None:
    """Run whole journeys of random cases in memory, without any service. Exit code 1 when an invariant is breached."""
    from rich.progress import Progress

    from simulation.journeys import simulate

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("simulating", total=cases)
        result = simulate(seed, cases, lambda done: bar.update(task, completed=done))
    if as_json:
        typer.echo(result.model_dump_json())
    else:
        for outcome, count in result.outcomes.items():
            typer.echo(f"{count:>8}  {outcome}")
        typer.echo(f"{result.cases} cases, {result.events} events, {len(result.violations)} violations.")
        for violation in result.violations:
            typer.echo(f"invariant {violation['invariant']}, {violation['about']}: {violation['sentence']}")
    raise typer.Exit(REFUSED if result.violations else 0)


@app.command()
def setup() -> None:
    """Make topics, schema and the first vendor, as `up` does; for an installation with services of its own."""
    import asyncio

    from infra.wiring import prepare

    with operate.told(), terminal.refusals():
        asyncio.run(prepare(read_settings(), lambda step: typer.echo(step)))


@views.command("rebuild")
def rebuild(as_json: terminal.AsJson = False) -> None:
    """Fold the whole log anew beside the views in use, compare the two, and switch. Exit code 1 when they differ."""
    import asyncio
    from dataclasses import asdict

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


def _application() -> "AbstractAsyncContextManager[Application]":
    from infra.parts import open_application

    return open_application(read_settings())


def main() -> NoReturn:
    """Run the command."""
    try:
        app()
        leave(0)
    except Problem as problem:  # a setting that cannot be, in a command that expects no other
        typer.echo(problem.sentence, err=True)
        leave(problem.exit_code)
    except OSError as error:
        if error.filename is None:
            raise
        cause = error.strerror or type(error).__name__
        typer.echo(f"{error.filename} cannot be used ({cause}): see that it can be read and written.", err=True)
        leave(FAILED)
    except SystemExit as end:
        leave(end.code if isinstance(end.code, int) else int(end.code is not None))


if __name__ == "__main__":
    main()
