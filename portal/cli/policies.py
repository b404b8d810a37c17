"""The commands about policies."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from events.errors import Code, RefusalError
from events.loss_table import Loss
from events.terms import Kind, Reason, Role
from portal.cli.explanations import explanation_lines
from portal.cli.terminal import (
    AsJson,
    OfVendor,
    Opened,
    ask,
    principal_of,
    print_json,
    refusals,
    run,
    text_of,
    vendor_named,
)
from portal.codes import REFUSED
from portal.misfits import invalid
from portal.policy_file.reader import check, policy_in, rule_lines, schema
from portal.policy_file.settings_table import table
from portal.policy_file.yaml_document import CHARACTERS_LIMIT
from workflows.explanation import Supposed, explain
from workflows.policy import Policy

PolicyFile = Annotated[Path, typer.Argument(help="The policy, as YAML; - reads standard input.", allow_dash=True)]


def policy_of(file: Path) -> Policy:
    """The policy in a file, or `RefusalError` with every mistake in it."""
    return policy_in(text_of(file, CHARACTERS_LIMIT + 1), str(file))


NO_SUPERVISORS = (
    "Warning: it names no supervisors, so nobody can rule on a container that turns up, or help a case that is stuck."
)
TYPED = {
    "kind": "--kind",
    "reason": "--reason",
    "value_cents": "--value",
    **{f"{name}_days": f"--{name}-days" for name in ("age", "exposure")},
    **{name: f"--{name}" for name in ("losses", "used")},
    "products": "--product",
    "evidence": "--evidence",
}


def _supposed(**said: object) -> Supposed:
    try:
        supposed = Supposed.model_validate(said)
    except ValidationError as error:
        raise invalid(error, Supposed, TYPED) from None
    if Loss.of(supposed.kind, supposed.reason) is None:
        sentence = f"{supposed.kind}/{supposed.reason} is no loss; `lostfound kinds` lists what goes"
        raise RefusalError(Code.INVALID_LOSS, sentence, kind=supposed.kind, reason=supposed.reason)
    return supposed


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def commands(opened: Opened) -> typer.Typer:
    """The group `policy`."""
    app = typer.Typer(no_args_is_help=True, help="Policies.")

    @app.command("check")
    def check_file(file: PolicyFile, as_json: AsJson = False) -> None:
        """Explain every mistake in a policy, with line and column; needs no service. Exit code 1 when there are any."""
        with refusals():
            policy, mistakes = check(text_of(file, CHARACTERS_LIMIT + 1))
        warnings = [] if policy is None or policy.supervisors else [NO_SUPERVISORS]
        if as_json:
            plain = [one.plain() for one in mistakes]
            print_json({"file": str(file), "good": policy is not None, "mistakes": plain, "warnings": warnings})
        elif policy is None:
            typer.echo("\n".join(one.line(str(file)) for one in mistakes))
        else:
            counts = _counted(len(policy.rules), "rule"), _counted(len(policy.supervisors), "supervisor")
            typer.echo("\n".join([f"{file} is good: {', '.join(counts)}.", *warnings]))
        raise typer.Exit(0 if policy else REFUSED)

    @app.command("explain")
    def explain_file(
        file: PolicyFile,
        kind: Annotated[Kind, typer.Option(help="What the container is made of.")],
        reason: Annotated[Reason, typer.Option(help="Why it is gone; `lostfound kinds` lists what goes.")],
        product: Annotated[
            list[str] | None, typer.Option(help="A product that is licensed in it; may be given again.")
        ] = None,
        value: Annotated[int, typer.Option(help="What its licences are worth together, in cents.")] = 0,
        age_days: Annotated[int | None, typer.Option(help="How long ago they were first issued.")] = None,
        exposure_days: Annotated[
            int | None, typer.Option(help="How long they can still run; for ever, if not given.")
        ] = None,
        reporter_role: Annotated[Role, typer.Option(help="Who reports it.")] = Role.HOLDER,
        evidence: Annotated[list[str] | None, typer.Option(help="What was shown for it; may be given again.")] = None,
        contact_after_loss: Annotated[
            bool, typer.Option("--contact-after-loss", help="It reported in after its loss.")
        ] = False,
        flagged: Annotated[
            bool, typer.Option("--flagged", help="An earlier verdict speaks against the holder.")
        ] = False,
        losses: Annotated[int, typer.Option(help="How many other losses the holder reported just before.")] = 0,
        used: Annotated[int, typer.Option(help="How many recoveries of the quota are used.")] = 0,
        as_json: AsJson = False,
    ) -> None:
        """Say what a policy would decide on a report, and why; needs no service."""
        with refusals():
            text = text_of(file, CHARACTERS_LIMIT + 1)
            policy = policy_in(text, str(file))
            supposed = _supposed(
                kind=kind,
                reason=reason,
                products=product or (),
                value_cents=value,
                age_days=age_days,
                exposure_days=exposure_days,
                reporter_role=reporter_role,
                evidence=evidence or (),
                contact_after_loss=contact_after_loss,
                flagged=flagged,
                losses=losses,
                used=used,
            )
            found = explain(policy, supposed, datetime.now(UTC))
        if as_json:
            print_json(found)
            return
        lines = rule_lines(text)
        typer.echo("\n".join(explanation_lines(supposed, found, lines)))

    @app.command("schema")
    def print_schema() -> None:
        """Print the JSON Schema of policies, for editors and other programs."""
        typer.echo(json.dumps(schema(), indent=2))

    @app.command("settings")
    def print_settings() -> None:
        """Print every setting with its values, default and meaning, as a Markdown table."""
        typer.echo(table(), nl=False)

    @app.command("adopt")
    def adopt(
        file: PolicyFile,
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """Have a policy decide from now on. Cases decided before keep theirs."""
        with refusals():
            policy = policy_of(file)
            named = vendor_named(opened, vendor)
            version = run(opened, lambda application: application.adopt_policy(principal_of(named), policy)).version
            if as_json:
                print_json({"vendor": named, "policy_version": version})
                return
            typer.echo(f"Policy version {version} of vendor {named} is in force.")

    @app.command("show")
    def show(
        version: Annotated[int | None, typer.Option(help="A version; without it, the one in force.")] = None,
        vendor: OfVendor = None,
        as_json: AsJson = True,
    ) -> None:
        """Print a policy as JSON, with `--json` and without."""
        with refusals():
            named = vendor_named(opened, vendor)
            found = ask(opened, lambda views: views.policy(named, version))
            if found is None:
                missing = "no policy" if version is None else f"no policy version {version}"
                raise RefusalError(
                    Code.UNREADABLE_POLICY,
                    f"vendor {named} has {missing}",
                    vendor=named,
                    policy_version="in force" if version is None else version,
                )
            typer.echo(json.dumps(found, indent=2, ensure_ascii=False, sort_keys=True))

    return app
