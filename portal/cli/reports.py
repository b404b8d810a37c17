"""The commands that state something: a loss at the command line's own door, or any example into an inbox."""

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer
from pydantic import ValidationError

from events.errors import Code, RefusalError
from events.loss_table import LOSSES, Loss
from events.ports.licensing_backend import Claim
from events.principal import PrincipalRole
from events.statements import (
    PREFIX,
    STATEMENTS,
    EvidenceStatement,
    FoundStatement,
    LossStatement,
    ReturnStatement,
    Statement,
)
from events.terms import CaseId, Kind, Reason, ReportId, Role, Scope, Serial, VendorId
from events.topics import inbox
from portal.cli.evidence_files import in_words, kept_files
from portal.cli.terminal import (
    AsJson,
    OfVendor,
    Opened,
    ask,
    principal_of,
    print_json,
    refusals,
    run,
    shortened,
    tell,
    vendor_name,
    vendor_named,
)
from portal.inbox.asyncapi import cloudevent
from portal.misfits import invalid
from projections.read.views import CaseLine, CaseView, ReportOf
from workflows.case_life import UNDER_WAY

if TYPE_CHECKING:
    from projections.read.queries import Queries

WAIT_SECONDS = 30.0
LOOK_SECONDS = 0.2
TYPED = {
    "report": "the number of the report",
    "serial": "the serial",
    "reporter.name": "--by",
    "occurred": "--occurred",
    "statement": "--statement",
    **{f"item {number} of licences": f"licence number {number}" for number in range(1, 10)},
}


def instant(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{shortened(text)} is no time; write it such as 2026-11-20T18:00 or 2026-11-20"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


By = Annotated[str, typer.Option(help="Who says it.")]
InRole = Annotated[Role, typer.Option(help="In which role.")]
Occurred = Annotated[
    datetime | None,
    typer.Option(parser=instant, metavar="TIME", help="When it happened (UTC, if it does not say); now, if not given."),
]


def register(app: typer.Typer, opened: Opened) -> None:
    """Add `report`, `found`, `returned`, `evidence` and `trigger` to the program's commands."""

    @app.command("report")
    def report(
        serial: str,
        reason: Annotated[Reason, typer.Option(help="Why it is gone; `lostfound kinds` lists what goes.")],
        kind: Annotated[
            Kind | None, typer.Option(help="What it is made of; what the inventory says, if not given.")
        ] = None,
        licence: Annotated[
            list[str] | None, typer.Option(help="Only this licence in it is gone; may be given again.")
        ] = None,
        report: Annotated[
            str | None, typer.Option(help="A number of your own: the same number is the same report.")
        ] = None,
        by: By = "command-line",
        role: InRole = Role.BACK_OFFICE,
        occurred: Occurred = None,
        evidence: Annotated[
            list[str] | None, typer.Option(help="What was shown for it, such as police_report; may be given again.")
        ] = None,
        wait: Annotated[bool, typer.Option(help="Wait until it is replaced, or waits for somebody.")] = True,
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """Report a loss."""
        with refusals():
            named = vendor_named(opened, vendor)
            number = report or f"cli-{uuid4()}"
            known = kind or ask(opened, lambda views: _kind_of(views, named, serial, role, by))
            _must_be_a_loss(serial, known, reason)
            said = {
                "report": number,
                "serial": serial,
                "kind": known,
                "reason": reason,
                "scope": Scope.LICENCES if licence else Scope.CONTAINER,
                "licences": licence or [],
                "reporter": {"role": role, "name": by},
                "evidence": evidence or [],
                "occurred": (occurred or datetime.now(UTC)).isoformat(),
            }
            statement = _valid(LossStatement, said, TYPED)
            principal = principal_of(named, PrincipalRole(role), by)
            claim = run(opened, lambda application: application.report(principal, statement, datetime.now(UTC)))
            found = _settled(opened, named, claim.key.case) if wait else None
            _tell(claim, number, found, wait, as_json)

    for statement, word, help_text in (
        (FoundStatement, "found", "Say that a lost container was found: somebody has it in hand."),
        (ReturnStatement, "returned", "Say that a lost container came back to the vendor, broken or not."),
    ):
        app.command(word, help=help_text)(_turned_up(opened, statement, word))

    @app.command("evidence")
    def evidence(
        report: Annotated[str, typer.Argument(help="The number of the loss report that it is for.")],
        evidence: Annotated[list[str], typer.Argument(help="What is shown, such as police_report.")],
        by: Annotated[str, typer.Option(help="Who brings it.")] = "command-line",
        role: Annotated[Role, typer.Option(help="In which role.")] = Role.BACK_OFFICE,
        statement: Annotated[
            str | None, typer.Option(help="A number of your own: the same number is the same statement.")
        ] = None,
        report_by: Annotated[str | None, typer.Option(help="Who made the report, where that is somebody else.")] = None,
        report_role: Annotated[Role, typer.Option(help="In which role that was.")] = Role.BACK_OFFICE,
        file: Annotated[
            list[Path] | None, typer.Option("--file", help="A file that shows it: PDF or picture, at most 10 MiB.")
        ] = None,
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """Give evidence for a loss that was reported."""
        with refusals():
            named = vendor_named(opened, vendor)
            author = (report_role, report_by) if report_by else (role, by)
            case = ask(opened, lambda views: _case_of(views, named, ReportId(report), *author))
            if case is None:
                raise RefusalError(
                    Code.NO_CASE,
                    f"no case of report {shortened(report)} is known; report the loss first",
                    report=report,
                )
            principal = principal_of(named, PrincipalRole(role), by)
            files = kept_files(opened, principal, file or ())
            said = {
                "statement": statement or f"cli-{uuid4()}",
                "report": report,
                "serial": case.serial,
                "reporter": {"role": role, "name": by},
                "evidence": evidence,
                "files": [one.sha256 for one in files],
                "report_by": {"role": report_role, "name": report_by} if report_by else None,
                "occurred": datetime.now(UTC).isoformat(),
            }
            given = _valid(EvidenceStatement, said, TYPED)
            run(opened, lambda application: application.take(principal, given, datetime.now(UTC)))
            if as_json:
                answer = {"statement": said["statement"], "report": report, "case": case.case_id}
                print_json({**answer, "files": [one.model_dump(mode="json") for one in files]})
                return
            typer.echo(f"Statement {said['statement']} brings {', '.join(evidence)} to case {case.case_id}.")
            for one in files:
                typer.echo(in_words(one))

    @app.command("trigger")
    def trigger(
        type_: Annotated[str, typer.Argument(metavar="TYPE", help="Such as loss.reported.")],
        change: Annotated[
            list[str] | None,
            typer.Option("--set", help="FIELD=VALUE, as JSON or a word; may be given again."),
        ] = None,
        send: Annotated[bool, typer.Option("--send", help="Put it into the vendor's inbox.")] = False,
        vendor: OfVendor = None,
    ) -> None:
        """Print a valid example of an inbox event, as a CloudEvent; `--send` states it."""
        with refusals():
            statement = _statement(type_)
            to = vendor_named(opened, vendor) if send else vendor_name(opened, vendor)
            data = statement.example | dict(_assignment(one) for one in change or ())
            key = _valid(statement, data).subject
            event = cloudevent(statement, data, str(uuid4()), source="/command-line")
            if send:
                desk = principal_of(to, PrincipalRole.BACK_OFFICE)
                run(opened, lambda application: application.send(desk, key, event))
                typer.echo(f"Sent {statement.name} to {inbox(to)}, with the key {key}.", err=True)
            print_json(event)


def _turned_up(
    opened: Opened, statement: type[FoundStatement] | type[ReturnStatement], word: str
) -> Callable[..., None]:
    """The command that says that a container was found, or returned."""

    def command(
        serial: str,
        report: Annotated[
            str | None, typer.Option(help="A number of your own: the same number is the same statement.")
        ] = None,
        by: By = "command-line",
        role: InRole = Role.BACK_OFFICE,
        occurred: Occurred = None,
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        with refusals():
            named = vendor_named(opened, vendor)
            number = report or f"cli-{uuid4()}"
            said = {
                "report": number,
                "serial": serial,
                "reporter": {"role": role, "name": by},
                "occurred": (occurred or datetime.now(UTC)).isoformat(),
            }
            said_so = _valid(statement, said, TYPED)
            principal = principal_of(named, PrincipalRole(role), by)
            cases = run(opened, lambda application: application.turn_up(principal, said_so, datetime.now(UTC)))
            if as_json:
                print_json({"report": number, "serial": serial, "statement": word, "cases": list(cases)})
                return
            tell(turned_up(number, serial, word, cases))

    return command


def turned_up(number: str, serial: str, word: str, cases: Sequence[CaseId]) -> str:
    """What became of a statement that a container was found, or returned."""
    if not cases:
        return (
            f"Statement {number} was made before, or every case of {serial} is closed;"
            f" `lostfound case list --serial {serial}` shows them."
        )
    whose = f"case {cases[0]} takes it in" if len(cases) == 1 else f"cases {', '.join(cases)} take it in"
    shown = [f"`lostfound case show {case}` says what it waits for now." for case in cases]
    return "\n".join([f"Statement {number} says that {serial} was {word}; {whose}.", *shown])


async def _kind_of(views: "Queries", vendor: VendorId, serial: str, role: Role, by: str) -> Kind:
    """What a container is made of, by the inventory; to a holder the container of somebody else is unknown."""
    found = await views.container(vendor, Serial(serial))
    if found is None or (role is Role.HOLDER and found.holder != by):
        raise RefusalError(Code.UNKNOWN_CONTAINER, f"no container {shortened(serial)} is known", serial=serial)
    return Kind(found.kind)


def _must_be_a_loss(serial: str, kind: Kind, reason: Reason) -> None:
    """Refuse a reason for which no container of this kind is lost, and name those that there are."""
    if Loss.of(kind, reason) is None:
        valid = ", ".join(row.reason for row in LOSSES if row.kind is kind)
        sentence = (
            f"{shortened(serial)} is of kind {kind}, and the reason {reason} is not for that kind; valid: {valid}"
        )
        raise RefusalError(Code.INVALID_LOSS, sentence, serial=serial, kind=kind, reason=reason, valid=valid)


async def _case_of(views: "Queries", vendor: VendorId, report: ReportId, role: Role, by: str) -> CaseLine | None:
    case = case_of(report, await views.reports_of(vendor, report), role, by)
    return None if case is None else await views.line(vendor, case)


def case_of(report: str, known: Sequence[ReportOf], role: Role, by: str) -> CaseId | None:
    """The case of a report by its number: the speaker's own report, or else the one reporter's who used that number;
    None where nobody did. Raises `RefusalError` where several others did."""
    own = [one for one in known if (one.role, one.name) == (role, by)]
    if not own and len({(one.role, one.name) for one in known}) > 1:
        raise RefusalError(
            Code.NO_CASE,
            f"several reporters have a report {report}, and none of them is {by} ({role}); say with --report-by"
            " and --report-role whose it is",
            report=report,
            by=by,
            role=role,
        )
    return next((CaseId(one.case_id) for one in own or known), None)


def _statement(named: str) -> type[Statement]:
    known = {statement.name: statement for statement in STATEMENTS.values()}
    found = STATEMENTS.get(named) or known.get(named.removeprefix(PREFIX))
    if found is None:
        raise RefusalError(
            Code.UNKNOWN_TYPE,
            f"there is no inbox event {shortened(named)}; valid: {', '.join(known)}",
            typed=named,
            valid=", ".join(known),
        )
    return found


def _assignment(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign:
        raise RefusalError(Code.INVALID_DATA, f"--set takes FIELD=VALUE, and not {shortened(text)}", typed=text)
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def _valid(statement: type[Statement], data: dict[str, Any], typed: dict[str, str] | None = None) -> Any:
    try:
        return statement.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise invalid(error, statement, typed) from None


def _settled(opened: Opened, vendor: VendorId, case: CaseId) -> CaseView | None:
    """The case once it no longer moves by itself, or as far as it came in time."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = ask(opened, lambda views: views.case(vendor, case))
        if (found and found.status not in UNDER_WAY) or time.monotonic() > deadline:
            return found
        time.sleep(LOOK_SECONDS)


def _tell(claim: Claim, report: str, found: CaseView | None, waited: bool, as_json: bool) -> None:
    case = claim.key.case
    if as_json:
        status = found.status if found else None
        print_json({"report": report, "case": case, "answer": claim.answer, "status": status})
        return
    typer.echo(f"Report {report} {ANSWERS[claim.answer]} case {case}.")
    if found:
        stands = f"{found.status}: {found.outcome}" if found.outcome else found.status
        tell(f"Its status is {stands}; `lostfound case show {case}` tells more.")
    elif waited:
        tell("It does not show in the views yet; `lostfound status` says whether all processes run.")


ANSWERS = {"opened": "opened", "joined": "joined", "repeated": "was made before and is of"}
