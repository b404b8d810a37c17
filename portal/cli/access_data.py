"""The commands about access data of cloud containers; a password comes from a prompt or standard input only."""

import sys
from typing import Annotated
from uuid import uuid4

import typer

from events.errors import Code, RefusalError
from events.principal import PrincipalRole
from events.terms import ContactId, Serial
from portal.cli.terminal import AsJson, OfVendor, Opened, principal_of, print_json, refusals, run, vendor_named


def commands(opened: Opened) -> typer.Typer:
    """The group `access`."""
    app = typer.Typer(no_args_is_help=True, help="Access data of cloud containers.")

    @app.command("link")
    def link(serial: str, vendor: OfVendor = None, as_json: AsJson = False) -> None:
        """Print the one-time link by which the holder sets the access data that are owed."""
        with refusals():
            principal = principal_of(vendor_named(opened, vendor), PrincipalRole.BACK_OFFICE)
            found = run(opened, lambda application: application.access_link(principal, Serial(serial)))
            if as_json:
                print_json(found)
                return
            typer.echo(found.token)
            typer.echo(f"Good once, until {found.until:%Y-%m-%d %H:%M} UTC; give it to the holder alone.", err=True)

    @app.command("set")
    def set_access(
        serial: str, token: Annotated[str, typer.Option(help="The link's token.")], vendor: OfVendor = None
    ) -> None:
        """Set access data by a link; the password comes from standard input."""
        with refusals():
            named = vendor_named(opened, vendor)
            password = _password()
            run(opened, lambda application: application.set_access(named, Serial(serial), token, password))
            typer.echo(f"The access data of {serial} are set.")

    @app.command("sign-in")
    def sign_in(
        serial: str,
        contact: Annotated[str | None, typer.Option(help="A number of your own for this contact.")] = None,
        origin: Annotated[
            str | None,
            typer.Option(help="Where it comes from, such as an address; one that signed in before is known."),
        ] = None,
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """Sign in with access data, as an application does; exit code 1 when refused."""
        with refusals():
            number = ContactId(contact or str(uuid4()))
            named = vendor_named(opened, vendor)
            password = _password()
            answer = run(
                opened, lambda application: application.sign_in(named, number, Serial(serial), password, origin)
            )
            if as_json:
                print_json(answer)
            if answer.session is None:
                sentence = "these access data are not good; report them forgotten to have new ones"
                cases = ", ".join(one.case for one in answer.cases)
                if cases:
                    sentence = (
                        f"these access data are no longer good, by case {cases}; `lostfound access link {serial}`"
                        " prints the link that sets new ones, for the holder"
                    )
                if answer.code == Code.LOCKED_OUT:
                    sentence = "too many wrong passwords; wait, and try again with a new contact number"
                raise RefusalError(Code(answer.code or Code.BAD_ACCESS_DATA), sentence, serial=serial, cases=cases)
            if not as_json:
                typer.echo(answer.session)

    return app


def _password() -> str:
    if sys.stdin.isatty():
        said: str = typer.prompt("Password", hide_input=True)
        return said
    return sys.stdin.readline().rstrip("\n")
