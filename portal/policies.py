"""The commands about policies."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from events.errors import Code, RefusalError
from portal.terminal import AsJson, Ground, OfVendor, ask, print_json, refusals, text_of, vendor_named


def commands(ground: Callable[[], Ground]) -> typer.Typer:
    """The group `policy`."""
    app = typer.Typer(no_args_is_help=True, help="Policies.")

    @app.command("adopt")
    def adopt(
        file: Annotated[Path, typer.Argument(help="The policy, as JSON; - reads standard input.", allow_dash=True)],
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """Have a policy decide from now on. Cases decided before keep theirs."""
        with refusals():
            named = vendor_named(ground(), vendor)
            version = asyncio.run(ground().adopt_policy(named, text_of(file)))
            if as_json:
                print_json({"vendor": named, "policy_version": version})
                return
            typer.echo(f"Policy version {version} of vendor {named} is in force.")

    @app.command("show")
    def show(
        version: Annotated[int | None, typer.Option(help="A version; without it, the one in force.")] = None,
        vendor: OfVendor = None,
    ) -> None:
        """Print a policy as JSON."""
        with refusals():
            named = vendor_named(ground(), vendor)
            found = ask(ground(), lambda views: views.policy(named, version))
            if found is None:
                told = "that version" if version else "a policy"
                raise RefusalError(Code.UNREADABLE_POLICY, f"vendor {named} has not {told}; `lostfound vendor list`")
            print_json(found)

    return app
