"""The command that plays random journeys in memory."""

from typing import Annotated

import typer
from rich.console import Console

from portal.cli import terminal
from portal.codes import REFUSED


def register(app: typer.Typer) -> None:
    """Add `simulate` to the program's commands."""

    @app.command()
    def simulate(
        seed: Annotated[int, typer.Option(help="The same seed gives the same journeys.")] = 1,
        cases: Annotated[int, typer.Option(min=1, max=1_000_000, help="How many.")] = 1_000,
        as_json: terminal.AsJson = False,
    ) -> None:
        """Run whole journeys of random cases in memory, without any service. Exit code 1 when they breach an
        invariant."""
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
