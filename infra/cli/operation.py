"""The commands that start, stop and show what runs on this machine."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from infra.embedded.process import end, last_words, rotate, size
from infra.problem import DEGRADED, NOT_READY, NOT_RUNNING, Problem
from infra.progress import CaseProgress, StartProgress, welcome
from infra.roles import COMMANDS
from infra.run_state import RunState, held, make_private, read_state, unusable
from infra.settings import Settings, read_settings
from infra.supervisor import Plan, Supervisor, embedded, end_leftovers

if TYPE_CHECKING:
    from events.ports.register import SetAside
    from infra.sample import Result

DETACHED_SECONDS = 300.0
DOWN_SECONDS = 90.0
POLL_SECONDS = 0.1
FOLLOW_SECONDS = 0.3
REGISTER_SECONDS = 3.0
PROBLEM_FILE = "LOSTFOUND_PROBLEM_FILE"


def product() -> Plan:
    """What is run beside the embedded services."""
    from infra.wiring import prepare  # here, because the other commands need none of what it imports

    return Plan(prepare, COMMANDS)


def register(app: typer.Typer, plan: Callable[[], Plan] = product) -> None:
    """Add the commands to the program's."""

    @app.command()
    def up(
        detach: Annotated[bool, typer.Option("--detach", help="Return once everything is ready.")] = False,
        sample: Annotated[bool, typer.Option("--sample", help="Feed the sample vendor, and serve on.")] = False,
        once: Annotated[bool, typer.Option("--once", help="Feed the sample vendor, and stop when it settled.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="With --once: the last line is one JSON object.")] = False,
    ) -> None:
        """Start everything on this machine and serve until Ctrl-C. Exit code 1 if the sample's cases end otherwise."""
        with problems_reported():
            if detach:
                _up_detached(read_settings(), plan())
            elif sample or once:
                _up_with_sample(read_settings(), plan(), once, as_json)
            else:
                _up(read_settings(), plan())

    @app.command()
    def fetch() -> None:
        """Download what the embedded services need and rehearse their start, as `make` does when it installs."""
        settings = read_settings()
        with problems_reported():
            progress = StartProgress(Console())
            with progress:
                for service in embedded(settings):
                    service.fetch(progress.fetched)
                    service.rehearse()

    @app.command()
    def down() -> None:
        """Stop what `up` started, also what a killed one left behind."""
        with problems_reported():
            typer.echo(_down(read_settings()))

    @app.command()
    def status(as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False) -> None:
        """Show what runs. Exit code 0: all ready, 3: not running, 4: not all ready, 8: ready, but something is set
        aside."""
        with problems_reported():
            raise typer.Exit(_status(read_settings(), as_json))

    @app.command()
    def logs(
        service: Annotated[str, typer.Argument(help="A name that `status` shows, or supervisor.")],
        follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as it grows.")] = False,
        lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")] = 50,
    ) -> None:
        """Show what a service or role wrote."""
        with problems_reported():
            _logs(read_settings(), service, lines, follow)


@contextmanager
def problems_reported() -> Iterator[None]:
    """Tell a problem as one sentence and end with its exit code, instead of a traceback."""
    try:
        yield
    except Problem as problem:
        typer.echo(problem.sentence, err=True)
        if (path := os.environ.get(PROBLEM_FILE)) is not None:
            Path(path).write_text(json.dumps({"code": problem.code, "sentence": problem.sentence}))
        raise typer.Exit(problem.exit_code) from None


def _up(settings: Settings, plan: Plan) -> None:
    progress = StartProgress(Console())
    supervisor = Supervisor(settings, plan, progress)
    with held(settings.data_dir):
        try:
            with progress:
                supervisor.fetch(progress.fetched)
                asyncio.run(supervisor.run(ready=lambda: progress.finish(welcome(settings, plan.roles))))
        except KeyboardInterrupt:
            raise typer.Exit(130) from None  # during a download: nothing was started yet
        except Problem:
            raise
        except Exception as error:
            _unexpected(settings, error)


def _up_with_sample(settings: Settings, plan: Plan, once: bool, as_json: bool) -> None:
    """Serve, and feed the sample vendor once everything is ready; people are told on standard error."""
    from infra.sample import Result, feed, make

    console = Console(stderr=True)
    progress = StartProgress(console)
    supervisor = Supervisor(settings, plan, progress)

    async def served() -> Result | None:
        ready = asyncio.Event()

        def is_ready() -> None:
            progress.finish(welcome(settings, plan.roles))
            ready.set()

        making = asyncio.create_task(make(settings.data_dir / "sample"))
        serving = asyncio.create_task(supervisor.run(ready=is_ready))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if serving.done():
            making.cancel()
            await serving
            return None
        cases = CaseProgress(console)

        async def fed() -> Result:
            return await feed(settings, await making, cases.moved)

        feeding = asyncio.create_task(fed())
        await asyncio.wait({serving, feeding}, return_when=asyncio.FIRST_COMPLETED)
        cases.stop()
        if feeding.done() and not serving.done():
            if not once or feeding.exception():
                _tell_result(feeding.result() if not feeding.exception() else None, console)
            if once:
                supervisor.stop()
        else:
            feeding.cancel()
        await serving
        return feeding.result() if feeding.done() and not feeding.cancelled() else None

    with held(settings.data_dir), progress:
        supervisor.fetch(progress.fetched)
        result = asyncio.run(served())
    if not once:
        return
    if result is None:
        raise typer.Exit(130)
    _tell_result(result, console)
    if as_json:
        typer.echo(result.model_dump_json(exclude=None if result.unmet else {"unmet"}))
    raise typer.Exit(0 if result.expected_met else 1)


def _tell_result(result: "Result | None", console: Console) -> None:
    if result is None:
        console.print("The sample vendor could not be fed; `lostfound logs supervisor` says more.")
        return
    table = Table("cases", "stand at", title=f"What became of {result.reports} reports")
    for stands, count in result.outcomes.items():
        table.add_row(str(count), stands)
    console.print(table)
    if rest := result.reports - sum(result.outcomes.values()):
        console.print(
            f"The other {rest} reports opened no case: each repeats a report, joins its case, or is a dead letter."
        )
    for line in result.unmet:
        console.print(f"NOT as it must be: {line}", markup=False)
    first = f"first replacement after {result.first_replacement_seconds} s, all after {result.total_seconds} s"
    console.print(f"{'All as it must be' if result.expected_met else 'NOT all as it must be'}; {first}.")


def _unexpected(settings: Settings, error: Exception) -> NoReturn:
    log = settings.data_dir / "logs" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as file:
        traceback.print_exception(error, file=file)
    sentence = (
        f"The supervisor stopped unexpectedly ({type(error).__name__}): read {log}, then try `lostfound up` again."
    )
    raise Problem("internal", sentence) from error


def _up_detached(settings: Settings, plan: Plan) -> None:
    state = _live(settings)
    if state is not None:
        typer.echo(f"lostfound runs already on {settings.data_dir}.")
        return
    progress = StartProgress(Console())
    with progress:  # here, where someone sees it
        Supervisor(settings, plan, progress).fetch(progress.fetched)
    log, problem = settings.data_dir / "logs" / "supervisor.log", settings.data_dir / "run" / "problem.json"
    try:
        make_private(settings.data_dir)
        for path in (log, problem):
            path.parent.mkdir(parents=True, exist_ok=True)
        problem.unlink(missing_ok=True)
        rotate(log)
        begun = size(log)
        output = log.open("ab")
    except OSError as error:
        raise unusable(settings.data_dir, error) from error
    with output:
        child = subprocess.Popen(
            [*plan.program, "up"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | settings.environment() | {PROBLEM_FILE: str(problem)},
            cwd=problem.parent,
            start_new_session=True,
        )
    _wait_until_ready(settings, child, problem, log, begun)
    typer.echo(welcome(settings, plan.roles).plain())


def _wait_until_ready(
    settings: Settings, child: "subprocess.Popen[bytes]", problem: Path, log: Path, begun: int
) -> None:
    deadline = time.monotonic() + DETACHED_SECONDS
    while child.poll() is None:
        state = read_state(settings.data_dir)
        if state is not None and state.supervisor.pid == child.pid and state.state == "ready":
            child.returncode = 0  # it goes on without us, and is nobody's zombie
            return
        if time.monotonic() > deadline:
            child.terminate()
            raise Problem("not-ready", f"Not ready within {DETACHED_SECONDS:.0f} s: read the logs in {log.parent}.")
        time.sleep(POLL_SECONDS)
    if problem.exists():
        raise Problem(**json.loads(problem.read_text()))
    said = last_words(log, begun)
    how = f"with exit code {child.returncode}{f' ({said})' if said else ''}"
    raise Problem("failed", f"The start ended {how}: read {log}.")


def _live(settings: Settings) -> RunState | None:
    state = read_state(settings.data_dir)
    return state if state is not None and state.supervisor.identity.alive else None


def _down(settings: Settings) -> str:
    state = _live(settings)
    if state is not None:
        asyncio.run(end(state.supervisor.identity, signal.SIGTERM, DOWN_SECONDS))
    elif not settings.data_dir.exists():
        return "Nothing runs."
    with held(settings.data_dir):
        left = asyncio.run(end_leftovers(settings))
    if state is not None:
        return "Stopped."
    return f"Ended what a killed start had left: {', '.join(left)}." if left else "Nothing runs."


def _status(settings: Settings, as_json: bool) -> int:
    state = _live(settings)
    if state is None:
        left = read_state(settings.data_dir)
        shown: dict[str, object] = {"state": "stopped", "data_dir": str(settings.data_dir), "services": {}}
        sentence = "Not running; start with `lostfound up`."
        if left is not None:
            sentence = "Not running: the last start was killed; `lostfound up` recovers, `lostfound down` cleans up."
        typer.echo(json.dumps(shown) if as_json else sentence)
        return NOT_RUNNING
    alive = {name: record.identity.alive for name, record in state.services.items()}
    ready = state.state == "ready" and all(alive.values())
    silent: list[str] = []
    aside = asyncio.run(set_aside(settings, silent)) if ready else None
    stands = "degraded" if aside else "starting" if state.state == "ready" and not ready else state.state
    if as_json:
        document = state.model_dump() | {"state": stands, "data_dir": str(settings.data_dir)}
        for name, record in document["services"].items():
            record["alive"] = alive[name]
        document["unanswered"] = silent
        document["set_aside"] = None if aside is None else [_plain(entry) for entry in aside]
        typer.echo(json.dumps(document))
    else:
        console = Console()
        console.print(_table(state, alive, stands))
        for name, endpoint in state.endpoints.items():
            console.print(f"{name}: {endpoint}", highlight=False, markup=False, soft_wrap=True)
        if ready and aside is None:
            console.print("What is set aside cannot be told: PostgreSQL does not answer.")
        for service in silent:
            sentence = f"{service} does not answer, so what of it needs somebody cannot be told: see the settings."
            console.print(sentence, highlight=False, markup=False, soft_wrap=True)
        for entry in aside or ():
            whose = f"vendor {entry.vendor}" if entry.vendor else "the installation"
            sentence = f"set aside for {whose}: {entry.place} since {entry.since:%Y-%m-%d %H:%M} ({entry.code}): "
            console.print(sentence + entry.sentence, highlight=False, markup=False, soft_wrap=True)
    return NOT_READY if not ready else DEGRADED if aside else 0


async def set_aside(settings: Settings, silent: list[str]) -> "Sequence[SetAside] | None":
    """The oldest entries of the register, topics that are not as they must be, and cases that fail; None where
    PostgreSQL does not answer within seconds. Into `silent` come the others that do not, each with its address."""
    from psycopg import OperationalError  # here, because the other commands need none of what it imports
    from psycopg.errors import UndefinedTable

    from activities.register import PostgresRegister

    for client in ("aiokafka", "asyncio"):  # whose own lines about a service that does not answer say no more
        logging.getLogger(client).addHandler(logging.NullHandler())
    topics, cases = asyncio.create_task(_misfits(settings)), asyncio.create_task(_failing(settings))
    try:
        async with asyncio.timeout(REGISTER_SECONDS):
            entries = await PostgresRegister(settings.dsn).entries()
    except UndefinedTable:
        entries = []  # the schema was not made yet
    except (OperationalError, TimeoutError):
        await asyncio.gather(topics, cases)
        return None
    found = {f"Kafka at {settings.bootstrap}": await topics, f"Temporal at {settings.temporal}": await cases}
    silent += [service for service, answer in found.items() if answer is None]
    return [*entries, *(entry for answer in found.values() for entry in answer or ())]


async def _misfits(settings: Settings) -> "list[SetAside] | None":
    """Topics that are not what they must be, as entries; None where Kafka does not answer within seconds."""
    from aiokafka.errors import KafkaError

    from events.ports.register import SetAside
    from infra.topic_provisioning import compare

    try:
        async with asyncio.timeout(REGISTER_SECONDS):
            found = await compare(settings)
    except (KafkaError, OSError, TimeoutError):
        return None
    now = datetime.now(UTC)
    return [SetAside("", f"topic/{one.topic}/{one.setting}", "topic_misfit", one.sentence, now) for one in found]


async def _failing(settings: Settings) -> "list[SetAside] | None":
    """Cases whose workflow tasks fail; None where Temporal does not answer within seconds, or cannot tell."""
    from temporalio.client import Client
    from temporalio.service import RPCError

    from infra.failing_cases import failing_cases

    try:
        async with asyncio.timeout(REGISTER_SECONDS):
            return await failing_cases(await Client.connect(settings.temporal, namespace=settings.temporal_namespace))
    except (RPCError, RuntimeError, TimeoutError):
        return None


def _plain(entry: "SetAside") -> dict[str, str]:
    return {**entry._asdict(), "since": entry.since.isoformat()}


def _table(state: RunState, alive: dict[str, bool], stands: str) -> Table:
    table = Table("service", "state", "for", "restarts", "process", title=f"lostfound: {stands}")
    for name, record in state.services.items():
        condition = record.state if alive[name] or record.state != "ready" else "ended"
        seconds = f"{time.time() - record.since:.0f} s"
        table.add_row(name, condition, seconds, str(record.restarts), str(record.pid))
    return table


def _logs(settings: Settings, service: str, lines: int, follow: bool) -> None:
    folder = settings.data_dir / "logs"
    log = folder / f"{service}.log"
    known = sorted(path.stem for path in folder.glob("*.log"))
    if service not in known:
        names = ", ".join(known) or "none yet: start with `lostfound up`"
        raise Problem("unknown-service", f"There is no log of {service!r}; there are: {names}.")
    try:
        _show(log, lines, follow)
    except (KeyboardInterrupt, BrokenPipeError):
        raise typer.Exit(0) from None


def _show(log: Path, lines: int, follow: bool) -> None:
    file = log.open("rb")
    tail = file.read().decode(errors="replace").splitlines()
    typer.echo("\n".join(tail[len(tail) - min(lines, len(tail)) :]))
    while follow:
        if more := file.read():
            typer.echo(more.decode(errors="replace"), nl=False)
            continue
        if log.exists() and log.stat().st_ino != os.fstat(file.fileno()).st_ino:  # it was rotated
            file.close()
            file = log.open("rb")
        time.sleep(FOLLOW_SECONDS)
    file.close()


def main() -> None:
    """These commands alone."""
    app = typer.Typer(add_completion=False)
    register(app)
    app()


if __name__ == "__main__":
    main()
