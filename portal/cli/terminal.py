"""What all commands of the command line share: how they ask the application, their options, how they tell an answer."""

import asyncio
import json
import logging
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, TypeAdapter, ValidationError
from rich.console import Console

from events.envelope import INSTALLATION
from events.errors import Code, RefusalError
from events.principal import Principal, PrincipalRole
from events.terms import VENDOR_PATTERN, PersonId, VendorId
from portal.cli.sheet import Sheet
from portal.codes import CODES
from portal.misfits import NAMES, PLAIN, SHOWN_CHARACTERS, invalid, short_of
from portal.wording import COMMAND_LINE

if TYPE_CHECKING:
    from portal.application import Application
    from portal.operator import Operator
    from projections.read.queries import Queries

Answer = TypeVar("Answer")

NOT_RUNNING = 3
PIPED_WIDTH = 160
DOOR = "command line"
OWN_SERVICES = {
    "PostgreSQL": "LOSTFOUND_POSTGRES_DSN",
    "Kafka": "LOSTFOUND_KAFKA_BOOTSTRAP",
    "Temporal": "LOSTFOUND_TEMPORAL_ADDRESS",
}
"""The setting that names a service which is not one of ours."""
UNREADABLE = {
    FileNotFoundError: "there is no such file",
    IsADirectoryError: "it is a folder",
    PermissionError: "you may not read it",
}


LONG_WORD = re.compile(r"\S{300,}")
COMMAND = re.compile(r"`lostfound ([^`]+)`")
TAKE_A_VENDOR = frozenset(
    {
        "access",
        "activation",
        "blacklist",
        "case",
        "container",
        "delegation",
        "evidence",
        "file",
        "found",
        "inbox",
        "licence",
    }
    | {"policy", "report", "returned", "triage", "trigger"}
)
"""The commands, by their first word, that a vendor is named to with `--vendor`."""
NEED_NO_VENDOR = frozenset({"policy check", "policy explain", "policy schema", "policy settings"})
"""Those of them that nevertheless take none."""
_typed_vendor: ContextVar[str | None] = ContextVar("_typed_vendor", default=None)
"""The vendor that was typed: a command that is advised must name it too."""


Opened = Callable[[], "AbstractAsyncContextManager[Application]"]
"""Opens the application that the commands ask."""
Operated = Callable[[], "Operator"]
"""Makes what the commands about the installation ask."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OfVendor = Annotated[str | None, typer.Option("--vendor", help="The vendor; the first one where none is named.")]


@contextmanager
def refusals() -> Iterator[None]:
    """Tell a refusal as its sentence, with the exit code of its code;
    services that do not answer give exit code 3, and their clients' own lines about it are not shown."""
    for client in ("aiokafka", "asyncio"):
        if not (logger := logging.getLogger(client)).handlers:
            logger.addHandler(logging.NullHandler())
    _typed_vendor.set(None)
    try:
        yield
    except RefusalError as refusal:
        tell(f"{_without_long_words(COMMAND_LINE.sentence(refusal))} [{refusal.code}]", err=True)
        raise typer.Exit(CODES[refusal.code].exit_code) from None
    except Exception as error:
        service = _unanswered(error)
        if service is None:
            raise
        if service == "PostgreSQL" and not os.environ.get(OWN_SERVICES[service]) and "No such file" in str(error):
            typer.echo("Not running; start with `lostfound up`.", err=True)
        else:
            typer.echo(f"{service} does not answer: {_remedy(service)}. ({_cause(error)})", err=True)
        raise typer.Exit(NOT_RUNNING) from None


def shortened(typed: str) -> str:
    """What was typed as it stands in a sentence: a plain name as it is, everything else in quotes and not all of it."""
    return typed if PLAIN.fullmatch(typed) else short_of(typed)


def _without_long_words(sentence: str) -> str:
    """A sentence without the whole of what is longer than any name or path that a person reads."""
    return LONG_WORD.sub(lambda word: f"{word[0][:SHOWN_CHARACTERS]}… ({len(word[0]):,} characters)", sentence)


def _remedy(service: str) -> str:
    setting = OWN_SERVICES[service]
    if os.environ.get(setting):
        return f"it is your own, at the address in {setting}; see that it runs and the address is right"
    return "`lostfound status` shows what runs, `lostfound up` starts it"


def _cause(error: Exception) -> str:
    """What the service's client says, without its class names."""
    said = " ".join(str(error).split())
    if brokers := re.findall(r"\('([^']+)', (\d+), <AddressFamily", said):
        return f"no broker answers at {', '.join(f'{host}:{port}' for host, port in brokers)}"
    return said or "no answer came in time"


def _unanswered(error: Exception) -> str | None:
    """The service that does not answer, where that is what was raised; asked only then, so that good news need no
    imports."""
    from aiokafka.errors import KafkaError
    from psycopg import OperationalError
    from psycopg.errors import ReadOnlySqlTransaction

    from projections.read.queries import NoViewsError

    temporal = sys.modules.get("temporalio.service")  # whatever asks it has loaded it
    services = {
        "PostgreSQL": (OperationalError, ReadOnlySqlTransaction, NoViewsError),
        "Kafka": (KafkaError,),
        "Temporal": (TimeoutError, *((temporal.RPCError,) if temporal else ())),
    }
    return next((name for name, errors in services.items() if isinstance(error, errors)), None)


def run(opened: Opened, question: "Callable[[Application], Awaitable[Answer]]") -> Answer:
    """What the application answers."""

    async def asked() -> Answer:
        async with opened() as application:
            return await question(application)

    return asyncio.run(asked())


def ask(opened: Opened, question: "Callable[[Queries], Awaitable[Answer]]") -> Answer:
    """What the views answer whoever types at this installation."""

    async def asked(application: "Application") -> Answer:
        async with application.views(operator_of()) as views:
            return await question(views)

    return run(opened, asked)


def vendor_name(opened: Opened, named: str | None) -> VendorId:
    """A vendor's name, the first one's where none is given; whether there is such a vendor is not asked."""
    if named is None:

        async def first(application: "Application") -> VendorId:
            return application.first_vendor

        return run(opened, first)
    try:
        vendor = TypeAdapter(VendorId).validate_python(named)
        _typed_vendor.set(vendor)
        return vendor
    except ValidationError:
        raise RefusalError(
            Code.INVALID_DATA,
            f"{shortened(named)} cannot name a vendor; use {NAMES[VENDOR_PATTERN]}",
            vendor=named,
            allowed=NAMES[VENDOR_PATTERN],
        ) from None


def vendor_named(opened: Opened, named: str | None) -> VendorId:
    """A vendor that there is, the first one where none is named; else `RefusalError`."""
    vendor = vendor_name(opened, named)
    if not run(opened, lambda application: application.knows(vendor)):
        raise RefusalError(Code.UNKNOWN_VENDOR, f"vendor {vendor} is unknown here", vendor=vendor)
    return vendor


def principal_of(
    vendor: VendorId, role: PrincipalRole = PrincipalRole.ADMINISTRATOR, by: str = "command-line"
) -> Principal:
    """Who types: a person of this machine, whom the command line takes at their word."""
    try:
        return Principal(vendor=vendor, subject=PersonId(by), roles=(role,), door=DOOR)
    except ValidationError as error:
        raise invalid(error, Principal, {"subject": "--by"}) from None


def operator_of(role: PrincipalRole = PrincipalRole.ADMINISTRATOR, by: str = "command-line") -> Principal:
    """Who types a command about the installation; it is of no vendor."""
    return principal_of(INSTALLATION, role, by)


def text_of(path: Path, limit: int = -1) -> str:
    """The text in a file, or in standard input for `-`; not more than so many characters of it."""
    try:
        if str(path) == "-":
            return typer.get_text_stream("stdin").read(limit)
        with path.open(encoding="utf-8") as file:
            return file.read(limit)
    except UnicodeDecodeError:
        why = "it is not text in UTF-8"
    except OSError as error:
        why = UNREADABLE.get(type(error), (error.strerror or type(error).__name__).lower())
    raise RefusalError(Code.UNREADABLE_FILE, f"{path} cannot be read: {why}", path=str(path), misfit=why)


def bytes_of(path: Path, limit: int) -> bytes:
    """The bytes of a file; one more than the limit of a longer one."""
    try:
        with path.open("rb") as file:
            return file.read(limit + 1)
    except OSError as error:
        misfit = UNREADABLE.get(type(error), (error.strerror or type(error).__name__).lower())
    raise RefusalError(Code.UNREADABLE_FILE, f"{path} cannot be read: {misfit}", path=str(path), misfit=misfit)


def json_of(path: Path) -> dict[str, Any]:
    """The JSON object in a file."""
    try:
        found = json.loads(text_of(path))
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise RefusalError(Code.UNREADABLE_FILE, f"{path} cannot be read: it is not a JSON object", path=str(path))
    return found


def _plain(found: "BaseModel | Mapping[str, Any] | Sequence[BaseModel | Mapping[str, Any]]") -> Any:
    match found:
        case BaseModel():
            return found.model_dump(mode="json")
        case Mapping():
            return found
        case _:
            return [_plain(one) for one in found]


def print_json(found: "BaseModel | Mapping[str, Any] | Sequence[BaseModel | Mapping[str, Any]]") -> None:
    """Print one object, or a list of them as an array."""
    plain = _plain(found)
    typer.echo(json.dumps(plain, indent=2, ensure_ascii=False))


def minute(instant: datetime | None) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M}" if instant else ""


def day(instant: datetime | None) -> str:
    return f"{instant.astimezone(UTC):%Y-%m-%d}" if instant else ""


def tell(sentence: str, err: bool = False) -> None:
    """Print a sentence; the commands in it name the vendor, where one was typed."""
    typer.echo(for_typed_vendor(sentence), err=err)


def for_typed_vendor(sentence: str) -> str:
    """A sentence in which each command names the vendor that was typed, if any."""
    return for_vendor(sentence, _typed_vendor.get())


def for_vendor(sentence: str, vendor: str | None) -> str:
    """A sentence in which each command between backticks that takes a vendor names this one. None: the first vendor."""

    def named(found: re.Match[str]) -> str:
        words = found[1].split()
        takes = words[0] in TAKE_A_VENDOR and " ".join(words[:2]) not in NEED_NO_VENDOR
        return f"`lostfound {found[1]} --vendor {vendor}`" if takes and "--vendor" not in words else found[0]

    return sentence if vendor is None else COMMAND.sub(named, sentence)


def show(*shown: Sheet | str) -> None:
    """Print tables and lines for people."""
    console = Console()
    if not console.is_terminal:
        console.width = PIPED_WIDTH
    for one in shown:
        if isinstance(one, Sheet):
            console.print(one.rendered(console.width))
        else:
            console.print(for_typed_vendor(one), highlight=False, markup=False)
