"""The commands about policies."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from events.errors import Code, RefusalError
from portal.policy_file import check, policy_in, schema
from portal.terminal import REFUSED, AsJson, Ground, OfVendor, ask, print_json, refusals, text_of, vendor_named
from portal.yaml_document import CHARACTERS_LIMIT
from workflows.policy import Policy

PolicyFile = Annotated[Path, typer.Argument(help="The policy, as YAML; - reads standard input.", allow_dash=True)]


def policy_of(file: Path) -> Policy:
    """The policy in a file, or `RefusalError` with every mistake in it."""
    return policy_in(text_of(file, CHARACTERS_LIMIT + 1), str(file))


def commands(ground: Callable[[], Ground]) -> typer.Typer:
    """The group `policy`."""
    app = typer.Typer(no_args_is_help=True, help="Policies.")

    @app.command("check")
    def check_file(file: PolicyFile, as_json: AsJson = False) -> None:
        """Explain every mistake in a policy, with line and column; nothing need run. Exit code 1: there are some."""
        with refusals():
            policy, mistakes = check(text_of(file, CHARACTERS_LIMIT + 1))
        if as_json:
            print_json({"file": str(file), "good": policy is not None, "mistakes": [one.plain() for one in mistakes]})
        elif policy is None:
            typer.echo("\n".join(one.told(str(file)) for one in mistakes))
        else:
            typer.echo(f"{file} is good: {len(policy.rules)} rules, {len(policy.supervisors)} supervisors.")
        raise typer.Exit(0 if policy else REFUSED)

    @app.command("schema")
    def print_schema() -> None:
        """Print the JSON Schema of policies, for editors and other programs."""
        typer.echo(json.dumps(schema(), indent=2))

    @app.command("adopt")
    def adopt(
        file: PolicyFile,
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """Have a policy decide from now on. Cases decided before keep theirs."""
        with refusals():
            policy = policy_of(file)
            named = vendor_named(ground(), vendor)
            version = asyncio.run(ground().adopt_policy(named, policy))
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
