"""The commands by which somebody is entrusted to act for holders."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

import typer
from pydantic import ValidationError

from events.principal import PrincipalRole
from events.statements import DelegationStatement, RevocationStatement
from portal.cli.reports import instant
from portal.cli.sheet import Sheet
from portal.cli.terminal import (
    AsJson,
    OfVendor,
    Opened,
    ask,
    minute,
    principal_of,
    print_json,
    refusals,
    run,
    show,
    vendor_named,
)
from portal.misfits import invalid

By = Annotated[str, typer.Option(help="Who says so, of the back office.")]
OnBehalfOf = Annotated[
    str | None, typer.Option(help="Who of the holders' organisation asked for it, if not the back office itself.")
]
TYPED = {"delegate": "the delegate", "delegation": "the delegation", "on_behalf_of": "--on-behalf-of"}


def commands(opened: Opened) -> typer.Typer:
    """The group `delegation`."""
    app = typer.Typer(no_args_is_help=True, help="Delegations: who acts for which holders.")

    @app.command("give")
    def give(
        delegate: Annotated[str, typer.Argument(help="Who is to act for the holders.")],
        holders: Annotated[list[str], typer.Argument(metavar="HOLDER...", help="The holders, at most 200.")],
        until: Annotated[datetime, typer.Option(parser=instant, metavar="TIME", help="When it ends.")],
        delegation: Annotated[
            str | None, typer.Option(help="A number of your own: the same number is the same delegation.")
        ] = None,
        on_behalf_of: OnBehalfOf = None,
        by: By = "command-line",
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """Have a person report losses, give evidence and say what is found for these holders, until a time."""
        with refusals():
            principal = principal_of(vendor_named(opened, vendor), PrincipalRole.BACK_OFFICE, by)
            said = {
                "delegation": delegation or f"cli-{uuid4()}",
                "delegate": delegate,
                "holders": holders,
                "until": until,
                "on_behalf_of": on_behalf_of,
            }
            try:
                statement = DelegationStatement.model_validate(said)
            except ValidationError as error:
                raise invalid(error, DelegationStatement, TYPED) from None
            run(opened, lambda application: application.take(principal, statement, datetime.now(UTC)))
            if as_json:
                print_json(statement)
                return
            typer.echo(f"Delegation {statement.delegation}: {delegate} acts for {', '.join(holders)}.")

    @app.command("revoke")
    def revoke(
        delegation: Annotated[str, typer.Argument(help="The number of the delegation.")],
        on_behalf_of: OnBehalfOf = None,
        by: By = "command-line",
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """End a delegation, now and for good."""
        with refusals():
            principal = principal_of(vendor_named(opened, vendor), PrincipalRole.BACK_OFFICE, by)
            try:
                statement = RevocationStatement.model_validate({"delegation": delegation, "on_behalf_of": on_behalf_of})
            except ValidationError as error:
                raise invalid(error, RevocationStatement, TYPED) from None
            run(opened, lambda application: application.take(principal, statement, datetime.now(UTC)))
            print_json(statement) if as_json else typer.echo(f"Delegation {delegation} is revoked.")

    @app.command("list")
    def list_delegations(
        delegate: Annotated[str | None, typer.Option(help="Only this person's.")] = None,
        holder: Annotated[str | None, typer.Option(help="Only those for this holder.")] = None,
        limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """List the delegations, the latest given first."""
        with refusals():
            named, now = vendor_named(opened, vendor), datetime.now(UTC)
            found = ask(opened, lambda views: views.delegations(named, now, delegate, holder, limit))
            if as_json:
                print_json(found)
                return
            table = Sheet("delegation", "delegate", "holders", "until", "given", "revoked", "stands")
            for one in found:
                times = (minute(one.until), minute(one.given), minute(one.revoked))
                stands = "yes" if one.stands else "no"
                table.add_row(one.delegation, one.delegate or "", ", ".join(one.holders), *times, stands)
            show(table)

    return app
