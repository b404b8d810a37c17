"""The commands that keep evidence files and give them back."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from events.errors import Code, RefusalError
from events.evidence import FILE_BYTES, EvidenceFile
from events.principal import Principal, PrincipalRole
from portal.cli.terminal import (
    AsJson,
    OfVendor,
    Opened,
    bytes_of,
    principal_of,
    print_json,
    refusals,
    run,
    vendor_named,
)


def commands(opened: Opened) -> typer.Typer:
    """The group `file`."""
    app = typer.Typer(no_args_is_help=True, help="Files that are evidence.")

    @app.command("keep")
    def keep(
        path: Annotated[list[Path], typer.Argument(help="A PDF or picture, at most 10 MiB; may be given again.")],
        vendor: OfVendor = None,
        as_json: AsJson = False,
    ) -> None:
        """Keep files, for evidence that is to name them by their hash."""
        with refusals():
            principal = principal_of(vendor_named(opened, vendor), PrincipalRole.BACK_OFFICE)
            kept = kept_files(opened, principal, path)
            if as_json:
                print_json(kept)
                return
            for one in kept:
                typer.echo(in_words(one))

    @app.command("save")
    def save(
        name: Annotated[str, typer.Argument(help="The SHA-256 of a file, as the case's history has it.")],
        out: Annotated[Path, typer.Option(help="Where to save it; a file that is there is not overwritten.")],
        vendor: OfVendor = None,
    ) -> None:
        """Save a file that was kept."""
        with refusals():
            principal = principal_of(vendor_named(opened, vendor))
            if not re.fullmatch(r"[0-9a-f]{64}", name):
                raise RefusalError(Code.INVALID_DATA, f"{name} is no SHA-256 in 64 hex digits", misfit=name)
            content = run(opened, lambda application: application.file(principal, name))
            _write(out, content)
            typer.echo(f"Saved {len(content)} bytes as {out}. Open it with care: it is what somebody sent.")

    return app


def kept_files(opened: Opened, principal: Principal, paths: Sequence[Path]) -> list[EvidenceFile]:
    """Keep these files, each as it is; all are read before any is kept."""
    return [_kept(opened, principal, content) for content in [bytes_of(path, FILE_BYTES) for path in paths]]


def in_words(file: EvidenceFile) -> str:
    """What became of a file."""
    return f"{file.media_type} of {file.size} bytes is kept as {file.sha256}."


def _kept(opened: Opened, principal: Principal, content: bytes) -> EvidenceFile:
    return run(opened, lambda application: application.keep_file(principal, content))


def _write(out: Path, content: bytes) -> None:
    try:
        with out.open("xb") as file:
            file.write(content)
    except OSError as error:
        misfit = (error.strerror or type(error).__name__).lower()
        sentence = f"{out} cannot be written: {misfit}"
        raise RefusalError(Code.UNREADABLE_FILE, sentence, path=str(out), misfit=misfit) from None
