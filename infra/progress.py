"""What a person sees of a start: each service's state and seconds, a bar for downloads, and what to do next."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.table import Table

from infra.run_state import Condition
from infra.settings import Settings
from infra.supervisor import endpoints


@dataclass(frozen=True)
class Welcome:
    """What is told once everything is ready."""

    rows: dict[str, str]
    next: str

    def plain(self) -> str:
        """As lines."""
        width = max(len(name) for name in self.rows)
        return "\n".join([*(f"{name:<{width}}  {value}" for name, value in self.rows.items()), self.next])


def welcome(settings: Settings, roles: Iterable[str]) -> Welcome:
    """Where everything is, and what to type next."""
    places = endpoints(settings)
    titles = {"temporal_ui": "cases (web)", "temporal": "Temporal", "kafka": "Kafka", "postgres": "PostgreSQL"}
    rows = {title: places[name] for name, title in titles.items() if name in places}
    rows |= {"roles": ", ".join(roles), "data": str(settings.data_dir)}
    return Welcome(
        rows, "Next: `lostfound --help`, `lostfound status`, `lostfound logs worker`; `lostfound down` stops."
    )


class StartProgress:
    """On a terminal a live display, elsewhere a line for each change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal
        self._progress = Progress(
            SpinnerColumn(finished_text="[green]✓"),
            TextColumn("{task.description:<11}"),
            TextColumn("{task.fields[note]}"),
            BarColumn(bar_width=30),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._began: dict[str, float] = {}
        self._showing = False

    def __enter__(self) -> "StartProgress":
        if self._live:
            self._progress.start()
            self._showing = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end()

    def fetched(self, done: int, total: int, received: int) -> None:
        """A download went on."""
        note = f"{done}/{total} files, {received / 1e6:.1f} MB"
        if self._showing:
            self._progress.update(self._task("download"), completed=done, total=total, note=note)
        elif done == total:
            self._console.print(f"download: {note}", highlight=False)

    def changed(self, name: str, state: Condition) -> None:
        """A service came into a state."""
        began = self._began.setdefault(name, time.monotonic())
        note = f"{state}, {time.monotonic() - began:.1f} s" if state == "ready" else state
        if state in ("restarting", "stopped"):
            self._began.pop(name)
        if self._showing:
            done = 1 if state == "ready" else 0
            self._progress.update(self._task(name), completed=done, total=1, note=note)
        elif state != "restarting":  # which is said with its cause
            self._console.print(f"{name}: {note}", highlight=False)

    def said(self, sentence: str) -> None:
        """Something worth a line."""
        self._console.print(sentence, highlight=False, markup=False)

    def finish(self, text: Welcome) -> None:
        """Everything is ready."""
        self._end()
        if self._live:
            lines = "\n".join([*text.plain().splitlines(), "Ctrl-C stops everything."])
            self._console.print(Panel(lines, title="lostfound is ready", expand=False), highlight=False)
        else:
            self._console.print("ready", highlight=False)

    def _end(self) -> None:
        if self._showing:
            self._progress.stop()
            self._showing = False

    def _task(self, name: str) -> TaskID:
        if name not in self._tasks:
            self._tasks[name] = self._progress.add_task(name, total=1, note="")
        return self._tasks[name]


class CaseProgress:
    """How many cases stand where: on a terminal a live table, elsewhere a line for each change."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, transient=True) if console.is_terminal else None

    def moved(self, wave: str, cases: dict[str, int]) -> None:
        """Cases moved."""
        if self._live is None:
            counts = ", ".join(f"{count} {stands}" for stands, count in cases.items()) or "no case yet"
            self._console.print(f"{wave}: {counts}", highlight=False, soft_wrap=True)
            return
        table = Table("cases", "stand at", title=f"Sample vendor, {wave}")
        for stands, count in cases.items():
            table.add_row(str(count), stands)
        if not self._live.is_started:
            self._live.start()
        self._live.update(table)

    def stop(self) -> None:
        """End the live table."""
        if self._live is not None:
            self._live.stop()
