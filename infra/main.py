"""The command `lostfound`: everything that can be typed, from starting it all to asking after one case."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import structlog
import typer

from infra import operate
from infra.settings import Settings
from portal import cli

if TYPE_CHECKING:
    from infra.ground import LocalGround

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Replaces lost licence containers, and keeps watch for the originals.",
)
operate.register(app)
cli.register(app, lambda: _ground())


@app.command()
def serve(role: Annotated[str, typer.Argument(help="worker, projector or inbox")]) -> None:
    """Run one process of the product, as `up` does for each; for an installation with services of its own."""
    from infra import roles  # here, because the other commands need none of what it imports

    if role not in roles.ROLES:
        raise typer.BadParameter(f"there is no role {role}; valid: {', '.join(roles.ROLES)}")
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], structlog.processors.JSONRenderer()])
    ready_file = os.environ.get("LOSTFOUND_READY_FILE")
    roles.serve(role, Settings(), lambda: Path(ready_file).touch() if ready_file else None)


@app.command()
def setup() -> None:
    """Make topics, schema and the first vendor, as `up` does; for an installation with services of its own."""
    import asyncio

    from infra.wiring import prepare

    with operate.told():
        asyncio.run(prepare(Settings(), lambda step: typer.echo(step)))


def _ground() -> "LocalGround":
    from infra.ground import LocalGround

    return LocalGround(Settings())


def main() -> None:
    """Run the command."""
    app()


if __name__ == "__main__":
    main()
