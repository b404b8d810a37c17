"""The command that prints the code by which a machine is activated."""

import typer

from events.principal import PrincipalRole
from events.terms import Serial
from portal.cli.terminal import AsJson, OfVendor, Opened, principal_of, print_json, refusals, run, vendor_named


def commands(opened: Opened) -> typer.Typer:
    """The group `activation`."""
    app = typer.Typer(no_args_is_help=True, help="Activations of act containers.")

    @app.callback()
    def _group() -> None:
        """A group, though it has one command."""

    @app.command("code")
    def code(serial: str, vendor: OfVendor = None, as_json: AsJson = False) -> None:
        """Print the one-time code by which a machine is activated for the case that waits for one."""
        with refusals():
            principal = principal_of(vendor_named(opened, vendor), PrincipalRole.BACK_OFFICE)
            found = run(opened, lambda application: application.activation_code(principal, Serial(serial)))
            if as_json:
                print_json(found)
                return
            typer.echo(found.code)
            left = "1 wrong try" if found.tries_left == 1 else f"{found.tries_left} wrong tries"
            typer.echo(f"Good once, and until {left}; give it to the holder of {serial} alone.", err=True)

    return app
