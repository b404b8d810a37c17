"""The command line as a door: asking after cases, licences, containers and the blacklist.

Every command takes `--json`. What is refused or not known is told in one sentence on standard error, with exit code 1;
services that do not answer give exit code 3.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar
from uuid import uuid4

import typer
from aiokafka.errors import KafkaError
from psycopg import OperationalError
from pydantic import BaseModel, TypeAdapter, ValidationError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from events.errors import Code, RefusalError
from events.ports import DecisionOrder, DecisionTaken
from events.terms import Action, CaseId, LicenceId, Serial, Status, VendorId, Verdict
from projections.queries import CaseView, ContainerView, LicenceView, MeasureView, Queries

Answer = TypeVar("Answer")

REFUSED = 1
NOT_RUNNING = 3
PIPED_WIDTH = 160


class Ground(Protocol):
    """What the commands stand on."""

    @property
    def vendor(self) -> VendorId:
        """The vendor that commands mean where none is named."""

    def queries(self) -> AbstractAsyncContextManager[Queries]:
        """The views."""

    async def add_vendor(self, vendor: VendorId, policy: str | None) -> bool:
        """A vendor's topics, signing key and first policy (JSON); False when it was there already."""

    async def decide(self, vendor: VendorId, case: CaseId, order: DecisionOrder) -> DecisionTaken:
        """Bring a decision to a case, or `RefusalError`."""

    def jwks(self, vendor: VendorId) -> dict[str, Any]:
        """The public keys of a vendor."""

    def verify(self, file: str, jwks: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """The claims of a licence file, or `RefusalError`."""


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
By = Annotated[str, typer.Option("--by", help="The supervisor who decides.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the history.")]
DecisionName = Annotated[
    str | None, typer.Option("--decision", help="A number of your own: the same number is the same decision.")
]
OfVendor = Annotated[str | None, typer.Option("--vendor", help="The vendor; the first one where none is named.")]


def register(app: typer.Typer, ground: Callable[[], Ground]) -> None:
    """Add the commands to the program's."""
    for name, commands in (
        ("case", _cases(ground)),
        ("licence", _licences(ground)),
        ("container", _containers(ground)),
        ("blacklist", _blacklist(ground)),
        ("vendor", _vendors(ground)),
    ):
        app.add_typer(commands, name=name)


def _cases(ground: Callable[[], Ground]) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="Loss cases.")

    @app.command("list")
    def list_cases(
        vendor: OfVendor = None,
        status: Annotated[Status | None, typer.Option(help="Only cases that stand there.")] = None,
        limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
        as_json: AsJson = False,
    ) -> None:
        """List the cases, the latest received first."""
        with refusals():
            found = _ask(ground(), lambda views: views.cases(_vendor(ground(), vendor), status, limit))
            if as_json:
                _print_json(found)
                return
            table = _table("case", "received", "container", "status", "target")
            for case in found:
                stands = f"{case.status}: {case.outcome}" if case.outcome else case.status
                table.add_row(case.case_id, _time(case.received), case.serial, stands, case.target or "")
            _show(table)

    @app.command("show")
    def show_case(case: str, vendor: OfVendor = None, as_json: AsJson = False) -> None:
        """Show a case: what is known, who decided, what was done, in which order."""
        with refusals():
            found = _ask(ground(), lambda views: views.case(_vendor(ground(), vendor), CaseId(case)))
            if found is None:
                raise RefusalError(Code.UNKNOWN_CASE, f"no case {case} is known; `lostfound case list` names them")
            _print_json(found) if as_json else _show_case(found)

    def decide(case: str, order: DecisionOrder, vendor: str | None, as_json: bool) -> None:
        with refusals():
            taken = asyncio.run(ground().decide(_vendor(ground(), vendor), CaseId(case), order))
            if as_json:
                _print_json(taken)
                return
            typer.echo(f"Decision {taken.decision} is taken; the case is {taken.status}.")

    @app.command("approve")
    def approve(
        case: str,
        by: By,
        why: Why = "",
        decision: DecisionName = None,
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """Approve a case that waits for a supervisor."""
        decide(case, _order(Action.APPROVE, by, why, decision), vendor, as_json)

    @app.command("reject")
    def reject(
        case: str,
        by: By,
        why: Why = "",
        decision: DecisionName = None,
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """Reject a case that waits for a supervisor."""
        decide(case, _order(Action.REJECT, by, why, decision), vendor, as_json)

    @app.command("verdict")
    def verdict(
        case: str,
        verdict: Verdict,
        by: By,
        why: Why = "",
        decision: DecisionName = None,
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """Rule on a container that resurfaced; this closes the case."""
        decide(case, _order(Action.RULE, by, why, decision, verdict), vendor, as_json)

    return app


def _order(action: Action, by: str, why: str, decision: str | None, verdict: Verdict | None = None) -> DecisionOrder:
    with refusals():
        try:
            return DecisionOrder(decision=decision or str(uuid4()), action=action, by=by, why=why, verdict=verdict)
        except ValidationError as error:
            told = "; ".join(f"{problem['loc'][0]}: {problem['msg']}" for problem in error.errors())
            raise RefusalError(Code.INVALID_DATA, told) from None


def _licences(ground: Callable[[], Ground]) -> typer.Typer:
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
            found = _ask(ground(), lambda views: views.licence(_vendor(ground(), vendor), LicenceId(licence)))
            if not found:
                raise RefusalError(Code.UNKNOWN_LICENCE, f"no licence {licence} is known; check its name")
            if file:
                typer.echo(_file_of(found))
            elif as_json:
                _print_json({"licence": licence, "generations": _plain(found)})
            else:
                _show(_licence_table(found))

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
            signed = _text(file).strip()
            keys = json.loads(_text(jwks)) if jwks else ground().jwks(_vendor(ground(), vendor))
            claims = ground().verify(signed, keys, datetime.now(UTC))
            if as_json:
                _print_json({"valid": True, "claims": claims})
                return
            told = f"licence {claims['sub']} generation {claims['generation']} for container {claims['container']}"
            typer.echo(f"Good: {told}, signed by {claims['iss']}.")

    return app


def _containers(ground: Callable[[], Ground]) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="Containers.")

    @app.command("show")
    def show_container(serial: str, vendor: OfVendor = None, as_json: AsJson = False) -> None:
        """Show a container, the licences that were ever in it and the measures against it."""
        with refusals():
            found = _ask(ground(), lambda views: views.container(_vendor(ground(), vendor), Serial(serial)))
            if found is None:
                raise RefusalError(Code.UNKNOWN_CONTAINER, f"no container {serial} is known; check its serial")
            _print_json(found) if as_json else _show_container(found)

    return app


def _blacklist(ground: Callable[[], Ground]) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="The blacklist.")

    @app.command("show")
    def show_blacklist(vendor: OfVendor = None, as_json: AsJson = False) -> None:
        """Show what is blocked now."""
        with refusals():
            now = datetime.now(UTC)
            found = _ask(ground(), lambda views: views.blacklist(_vendor(ground(), vendor), now))
            _print_json(found) if as_json else _show(_measure_table(found))

    return app


def _vendors(ground: Callable[[], Ground]) -> typer.Typer:
    app = typer.Typer(no_args_is_help=True, help="Vendors of this installation.")

    @app.command("add")
    def add_vendor(
        name: str,
        policy: Annotated[Path | None, typer.Option(help="Its policy, as JSON; without it, all is automatic.")] = None,
        as_json: AsJson = False,
    ) -> None:
        """Add a vendor: its topics, its signing key and its first policy."""
        with refusals():
            vendor = _vendor(ground(), name)
            added = asyncio.run(ground().add_vendor(vendor, _text(policy) if policy else None))
            if as_json:
                _print_json({"vendor": vendor, "added": added, "inbox": f"lostfound.{vendor}.inbox"})
                return
            told = "is added" if added else "was there already"
            typer.echo(f"Vendor {vendor} {told}; its inbox is the topic lostfound.{vendor}.inbox.")

    @app.command("list")
    def list_vendors(as_json: AsJson = False) -> None:
        """List the vendors."""
        with refusals():
            found = _ask(ground(), lambda views: views.vendors())
            if as_json:
                _print_json(found)
                return
            table = _table("vendor", "issuer", "added", "policy version")
            for vendor in found:
                table.add_row(vendor.vendor, vendor.issuer, _time(vendor.added), str(vendor.policy_version or ""))
            _show(table)

    @app.command("jwks")
    def jwks(name: str) -> None:
        """Print the public keys of a vendor, as a JWKS."""
        with refusals():
            _print_json(ground().jwks(_vendor(ground(), name)))

    return app


@contextmanager
def refusals() -> Iterator[None]:
    """Tell a refusal as its sentence, with exit code 1;
    services that do not answer give exit code 3."""
    try:
        yield
    except RefusalError as refusal:
        typer.echo(f"{refusal.sentence} [{refusal.code}]", err=True)
        raise typer.Exit(REFUSED) from None
    except (OperationalError, KafkaError, LookupError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        typer.echo(
            f"The services do not answer ({said}); `lostfound status` shows what runs, `lostfound up` starts it.",
            err=True,
        )
        raise typer.Exit(NOT_RUNNING) from None


def _ask(ground: Ground, question: Callable[[Queries], Awaitable[Answer]]) -> Answer:
    async def asked() -> Answer:
        async with ground.queries() as views:
            return await question(views)

    return asyncio.run(asked())


def _vendor(ground: Ground, named: str | None) -> VendorId:
    if named is None:
        return ground.vendor
    try:
        return TypeAdapter(VendorId).validate_python(named)
    except ValidationError:
        raise RefusalError(
            Code.UNKNOWN_VENDOR, f"{named!r} cannot name a vendor; use 2 to 32 small letters, digits and hyphens"
        ) from None


def _file_of(generations: Sequence[LicenceView]) -> str:
    effective = next((one for one in generations if one.effective), None)
    if effective is None or effective.file is None:
        raise RefusalError(Code.UNKNOWN_LICENCE, "the effective generation was not issued here and has no file")
    return effective.file


def _text(path: Path) -> str:
    try:
        return typer.get_text_stream("stdin").read() if str(path) == "-" else path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise RefusalError(Code.UNREADABLE_FILE, f"{path} cannot be read as text: {error}") from None


def _plain(found: BaseModel | Sequence[BaseModel]) -> Any:
    return (
        found.model_dump(mode="json")
        if isinstance(found, BaseModel)
        else [one.model_dump(mode="json") for one in found]
    )


def _print_json(found: Any) -> None:
    plain = found if isinstance(found, dict) else _plain(found)
    typer.echo(json.dumps(plain, indent=2, ensure_ascii=False))


def _time(instant: datetime | None) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M}" if instant else ""


def _day(instant: datetime | None) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d}" if instant else ""


def _table(first: str, *others: str) -> Table:
    """A table whose first column, which names the row, is never cut."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column(first, no_wrap=True, overflow="fold")
    for name in others:
        table.add_column(name, overflow="fold")
    return table


def _show(*tables: Table | str) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    for table in tables:
        console.print(table)


def _licence_table(licences: Sequence[LicenceView]) -> Table:
    table = _table("licence", "no.", "effective", "container", "product", "issued", "runs until")
    for one in licences:
        told = (one.licence, str(one.generation), "yes" if one.effective else "no", one.serial, one.product)
        table.add_row(*told, _day(one.issued), _day(one.expires) or "for ever")
    return table


def _measure_table(measures: Sequence[MeasureView]) -> Table:
    table = _table("container", "measure", "effective", "case")
    for measure in measures:
        table.add_row(measure.serial, measure.measure, _time(measure.effective), measure.case_id)
    return table


def _show_container(found: ContainerView) -> None:
    _show(f"{found.kind} {found.serial} of {found.holder}: {found.status}", _licence_table(found.licences))
    if found.measures:
        _show(_measure_table(found.measures))


def _show_case(found: CaseView) -> None:
    stands = f"{found.status}: {found.outcome}" if found.outcome else found.status
    _show(f"case {found.case_id}: {found.reason} {found.kind} {found.serial} of {found.holder or '?'}, {stands}")
    history = _table("", "recorded", "fact", "what it says")
    for fact in found.history:
        told = ", ".join(f"{name} {_word(value)}" for name, value in fact.data.items() if not isinstance(value, dict))
        name = fact.type.removeprefix("lostfound.").rpartition(".")[0]
        history.add_row(str(fact.sequence), _time(fact.recorded), name, told)
    _show(history)
    if found.measures:
        _show(_measure_table(found.measures))
    if found.replacements:
        _show(_licence_table(found.replacements))


def _word(value: object) -> str:
    return "; ".join(map(str, value)) if isinstance(value, list) else str(value)
