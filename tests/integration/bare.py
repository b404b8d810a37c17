"""The operating commands with roles that do nothing but live, for tests of the supervisor itself.

Run as a program: the commands of `infra.operate`; `role NAME` is a role, which serves until it is told to end.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import typer

from infra.operate import register
from infra.settings import Settings
from infra.supervisor import Plan

PROGRAM = (sys.executable, str(Path(__file__).resolve()))
ROLES = ("worker", "inbox")


async def prepare(settings: Settings, say: Callable[[str], None]) -> None:
    """Leave a trace that the tests can see."""
    say("prepared")
    (settings.data_dir / "prepared").touch()


def role(name: str) -> None:
    """Be ready at once and wait; files in the data folder change that.

    `fail-NAME` makes it end at once, `deaf-NAME` makes it ignore being told to.
    """
    if (Settings().data_dir / f"fail-{name}").exists():
        sys.exit(f"{name} was told to fail")
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Path(os.environ["LOSTFOUND_READY_FILE"]).touch()
    while True:
        signal.sigwait({signal.SIGTERM})
        if not (Settings().data_dir / f"deaf-{name}").exists():
            return


def plan() -> Plan:
    """These roles, started by this very file."""
    return Plan(prepare, {name: (*PROGRAM, "role", name) for name in ROLES}, PROGRAM)


def main() -> None:
    """The program."""
    app = typer.Typer(add_completion=False)
    register(app, plan)
    app.command()(role)
    app()


if __name__ == "__main__":
    main()
