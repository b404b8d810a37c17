"""The operating commands with roles that do nothing but live, for tests of the supervisor itself.

Run as a program: the commands of `infra.cli.operation`.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import typer

from infra.cli.operation import register
from infra.settings import Settings
from infra.supervisor import Plan

PROGRAM = (sys.executable, str(Path(__file__).resolve()))
ROLE = (sys.executable, "-I", str(Path(__file__).with_name("bare_role.py")))
ROLES = ("worker", "inbox")


async def prepare(settings: Settings, say: Callable[[str], None]) -> None:
    """Leave a trace that the tests can see."""
    say("prepared")
    (settings.data_dir / "prepared").touch()


def plan() -> Plan:
    """These roles."""
    return Plan(prepare, {name: (*ROLE, name) for name in ROLES}, PROGRAM)


def main() -> None:
    """The program."""
    app = typer.Typer(add_completion=False)
    register(app, plan)
    app()


if __name__ == "__main__":
    main()
