"""The command line as a door: asking after cases, licences, containers and the blacklist, and deciding.

Every command takes `--json`. What is refused or not known is told in one sentence on standard error, with exit code 1;
services that do not answer give exit code 3.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from events.errors import Code, RefusalError
from events.principal import PrincipalRole
from events.roles import MAY
from events.roles import document as roles_page
from events.terms import CaseId, LicenceId, Serial, Status
from portal.cli import (
    access_data,
    activation,
    dead_letter_commands,
    decisions,
    delegations,
    evidence_files,
    policies,
    reports,
    triage,
)
from portal.cli.answer_tables import case_table, licence_table, measure_table, print_case, print_container
from portal.cli.sheet import Sheet
from portal.cli.terminal import (
    AsJson,
    OfVendor,
    Opened,
    _plain,
    ask,
    json_of,
    minute,
    principal_of,
    print_json,
    refusals,
    run,
    shortened,
    show,
    tell,
    text_of,
    vendor_name,
    vendor_named,
)
from portal.codes import CODES, document
from projections.read.views import LicenceView

if TYPE_CHECKING:
    from portal.application import Application


NO_POLICY = (
    "Every loss is replaced at once, and nobody is asked. There are no supervisors, so nobody can rule on a container"
    " that turns up; `lostfound policy adopt FILE --vendor {vendor}` puts a policy in force that names some."
)


def register(app: typer.Typer, opened: Opened) -> None:
    """Add the commands to the program's."""
    for name, commands in (
        ("case", _cases(opened)),
        ("licence", _licences(opened)),
        ("container", _containers(opened)),
        ("blacklist", _blacklist(opened)),
        ("vendor", _vendors(opened)),
        ("policy", policies.commands(opened)),
        ("access", access_data.commands(opened)),
        ("activation", activation.commands(opened)),
        ("delegation", delegations.commands(opened)),
        ("file", evidence_files.commands(opened)),
        ("inbox", dead_letter_commands.commands(opened)),
    ):
        app.add_typer(commands, name=name)
    reports.register(app, opened)
    triage.register(app, opened)
    _codes(app)
    _roles(app)
    _asyncapi(app)


def _cases(opened: Opened) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="Loss cases.")

    @app.command("list")
    def list_cases(
        vendor: OfVendor = None,
        status: Annotated[Status | None, typer.Option(help="Only cases that stand there.")] = None,
        is_open: Annotated[bool, typer.Option("--open", help="Only cases that are not closed.")] = False,
        serial: Annotated[str | None, typer.Option(help="Only cases of this container, lost or a replacement.")] = None,
        holder: Annotated[str | None, typer.Option(help="Only cases of this holder.")] = None,
        ticket: Annotated[str | None, typer.Option(help="Only cases about a licence of this ticket.")] = None,
        report: Annotated[str | None, typer.Option(help="Only the case of this report.")] = None,
        limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
        as_json: AsJson = False,
    ) -> None:
        """List the cases, the latest received first."""
        with refusals():
            sought = {"serial": serial, "holder": holder, "ticket": ticket, "report": report}
            named = vendor_named(opened, vendor)
            found = ask(opened, lambda views: views.cases(named, status, limit, None, is_open, **sought))
            if as_json:
                print_json(found)
                return
            show(case_table(found))
            if len(found) == limit:
                count = ask(opened, lambda views: views.count_cases(named, status, is_open, **sought))
                if count > limit:
                    show(f"These are {limit} of {count} cases, the latest received; `--limit` shows more.")

    @app.command("show")
    def show_case(case: str, vendor: OfVendor = None, as_json: AsJson = False) -> None:
        """Show a case: what is known, who decided, what was done, in which order."""
        with refusals():
            named = vendor_named(opened, vendor)
            found = ask(opened, lambda views: views.case(named, CaseId(case)))
            if found is None:
                raise RefusalError(Code.UNKNOWN_CASE, f"no case {shortened(case)} is known", case=case)
            print_json(found) if as_json else print_case(found)

    decisions.register(app, opened)
    return app


def _licences(opened: Opened) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="Licences and their files.")

    @app.command("show")
    def show_licence(
        licence: str,
        vendor: OfVendor = None,
        file: Annotated[bool, typer.Option("--file", help="Print the licence file of the effective one.")] = False,
        as_json: AsJson = False,
    ) -> None:
        """Show all generations of a licence, and which is effective."""
        with refusals():
            named = vendor_named(opened, vendor)
            found = ask(opened, lambda views: views.licence(named, LicenceId(licence)))
            if not found:
                raise RefusalError(Code.UNKNOWN_LICENCE, f"no licence {shortened(licence)} is known", licences=licence)
            if file:
                typer.echo(_file_of(found))
            elif as_json:
                print_json({"licence": licence, "generations": _plain(found)})
            else:
                show(licence_table(found))

    @app.command("verify")
    def verify(
        file: Annotated[Path, typer.Argument(help="The licence file; - reads standard input.", allow_dash=True)],
        vendor: OfVendor = None,
        jwks: Annotated[
            Path | None, typer.Option(help="The vendor's keys; without it, those of this installation.")
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        """Verify a licence file's signature and expiry, without any network."""
        with refusals():
            signed = text_of(file).strip()
            keys = json_of(jwks) if jwks else _jwks(opened, vendor)
            claims = run(opened, lambda application: _verified(application, signed, keys))
            if as_json:
                print_json({"valid": True, "claims": claims})
                return
            what = f"licence {claims['sub']} generation {claims['generation']} for container {claims['container']}"
            typer.echo(f"Good: {what}, signed by {claims['iss']}, and not expired.")
            typer.echo("This says nothing of whether it is blocked: only a contact or the vendor's blacklist does.")

    return app


def _containers(opened: Opened) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="Containers.")

    @app.command("show")
    def show_container(serial: str, vendor: OfVendor = None, as_json: AsJson = False) -> None:
        """Show a container, the licences that were ever in it and the measures against it."""
        with refusals():
            named = vendor_named(opened, vendor)
            found = ask(opened, lambda views: views.container(named, Serial(serial)))
            if found is None:
                raise RefusalError(Code.UNKNOWN_CONTAINER, f"no container {shortened(serial)} is known", serial=serial)
            print_json(found) if as_json else print_container(found)

    return app


def _blacklist(opened: Opened) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="The blacklist.")

    @app.command("show")
    def show_blacklist(vendor: OfVendor = None, as_json: AsJson = False) -> None:
        """Show what is blocked now."""
        with refusals():
            now = datetime.now(UTC)
            named = vendor_named(opened, vendor)
            found = ask(opened, lambda views: views.blacklist(named, now))
            print_json(found) if as_json else show(measure_table(found))

    return app


def _vendors(opened: Opened) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="Vendors of this installation.")

    @app.command("add")
    def add_vendor(
        name: str,
        policy: Annotated[Path | None, typer.Option(help="Its policy, as YAML; without it, all is automatic.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """Add a vendor: its topics, its signing key and its first policy."""
        with refusals():
            vendor = vendor_name(opened, name)
            first = policies.policy_of(policy) if policy else None
            added = run(opened, lambda application: application.add_vendor(principal_of(vendor), first))
            if as_json:
                print_json({"vendor": vendor, "added": added, "inbox": f"lostfound.{vendor}.inbox"})
                return
            what = "is added" if added else "was there already"
            typer.echo(f"Vendor {vendor} {what}; its inbox is the topic lostfound.{vendor}.inbox.")
            if added and first is None:
                tell(NO_POLICY.format(vendor=vendor))

    @app.command("list")
    def list_vendors(as_json: AsJson = False) -> None:
        """List the vendors."""
        with refusals():
            found = ask(opened, lambda views: views.vendors())
            if as_json:
                print_json(found)
                return
            table = Sheet("vendor", "issuer", "added (UTC)", "policy version")
            for vendor in found:
                table.add_row(vendor.vendor, vendor.issuer, minute(vendor.added), str(vendor.policy_version or ""))
            show(table)

    @app.command("jwks")
    def jwks(name: str) -> None:
        """Print the public keys of a vendor, as a JWKS."""
        with refusals():
            print_json(_jwks(opened, name))

    return app


def _codes(app: typer.Typer) -> None:
    @app.command("codes")
    def show_codes(
        as_json: AsJson = False,
        markdown: Annotated[bool, typer.Option("--markdown", help="The page docs/codes.md.")] = False,
    ) -> None:
        """Show the code of every refusal: what it means, and whether trying again helps."""
        if as_json:
            print_json([{"code": code, **row._asdict()} for code, row in CODES.items()])
        elif markdown:
            typer.echo(document(), nl=False)
        else:
            table = Sheet("code", "meaning", "again", "exit code", "HTTP status")
            for code, row in CODES.items():
                table.add_row(code, row.meaning, row.again, str(row.exit_code), str(row.http_status))
            show(table)


def _roles(app: typer.Typer) -> None:
    @app.command("roles")
    def show_roles(
        as_json: AsJson = False,
        markdown: Annotated[bool, typer.Option("--markdown", help="The page docs/roles.md.")] = False,
    ) -> None:
        """Show what each role may do."""
        if as_json:
            print_json([{"act": act.name.lower(), "may": act.value, "roles": roles} for act, roles in MAY.items()])
        elif markdown:
            typer.echo(roles_page(), nl=False)
        else:
            table = Sheet("may", *(role.value for role in PrincipalRole))
            for act, roles in MAY.items():
                table.add_row(act.value, *("yes" if role in roles else "" for role in PrincipalRole))
            show(table)


def _jwks(opened: Opened, named: str | None) -> dict[str, Any]:
    vendor = vendor_name(opened, named)

    async def keys(application: "Application") -> dict[str, Any]:
        return application.keys.jwks(vendor)

    return run(opened, keys)


async def _verified(application: "Application", signed: str, keys: dict[str, Any]) -> dict[str, Any]:
    return application.keys.verify(signed, keys, datetime.now(UTC))


def _file_of(generations: Sequence[LicenceView]) -> str:
    effective = next((one for one in generations if one.effective), None)
    if effective is None:
        raise RefusalError(
            Code.BLOCKED, "the current generation is blocked or given back, so none is effective; see its container"
        )
    if effective.file is None:
        raise RefusalError(Code.NO_FILE, "the effective generation was not issued here and has no file")
    return effective.file


def _asyncapi(app: typer.Typer) -> None:
    @app.command()
    def asyncapi() -> None:
        """Print the AsyncAPI document of the inboxes: all that another system needs to state something."""
        from portal.inbox.asyncapi import document

        typer.echo(json.dumps(document(), indent=2))
