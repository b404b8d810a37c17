"""The command `lostfound`: everything that can be typed, from starting it all to asking after one case."""

import os
import sys
from errno import ENOSPC
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from infra.cli import operation, simulation
from infra.problem import FAILED, Problem
from infra.process_end import leave
from infra.settings import read_settings
from portal.cli import audit, kinds, repairs, root, terminal, views
from portal.cli.arguments import PlainGroup

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from portal.application import Application
    from portal.operator import Operator

app = typer.Typer(
    cls=PlainGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Replaces lost licence containers, and keeps watch for the originals.",
)
operation.register(app)
root.register(app, lambda: _application())
kinds.register(app)
audit.register(app, lambda: _operator())
repairs.register(app, lambda: _operator())
simulation.register(app)
views.register(app, lambda: _operator())


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"lostfound {version('lostfound')}")
        raise typer.Exit


@app.callback()
def lostfound(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version, and nothing else.")
    ] = False,
) -> None:
    """Replaces lost licence containers, and keeps watch for the originals."""


@app.command()
def serve(role: Annotated[str, typer.Argument(help="worker, projector or inbox")]) -> None:
    """Run one process of the product, as `up` does for each; for an installation with services of its own."""
    from infra import roles  # here, as what is imported in other commands, because the rest need none of it

    if role not in roles.ROLES:
        raise typer.BadParameter(f"there is no role {role}; valid: {', '.join(roles.ROLES)}")
    roles.serve(role)


@app.command()
def setup() -> None:
    """Make topics, schema and the first vendor, as `up` does; for an installation with services of its own."""
    import asyncio

    from infra.wiring import prepare

    with operation.problems_reported(), terminal.refusals():
        asyncio.run(prepare(read_settings(), lambda step: typer.echo(step)))


def _application() -> "AbstractAsyncContextManager[Application]":
    from infra.parts import open_application

    return open_application(read_settings())


def _operator() -> "Operator":
    from infra.parts import LocalInstallation
    from portal.operator import Operator

    return Operator(LocalInstallation(read_settings()))


def main() -> NoReturn:
    """Run the command."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # here, where it is told in words that it cannot be
        leave(0)
    except Problem as problem:  # a setting that cannot be, in a command that expects no other
        typer.echo(problem.sentence, err=True)
        leave(problem.exit_code)
    except OSError as error:
        if error.errno == ENOSPC and error.filename is None:
            typer.echo("The answer could not be written where it was sent: no space is left there.", err=True)
            os._exit(FAILED)  # what is left of the answer cannot be written at the end either
        if error.filename is None:
            raise
        cause = error.strerror or type(error).__name__
        typer.echo(f"{error.filename} cannot be used ({cause}): see that it can be read and written.", err=True)
        leave(FAILED)
    except SystemExit as end:
        leave(end.code if isinstance(end.code, int) else int(end.code is not None))


if __name__ == "__main__":
    main()
