"""The commands that keep evidence files, and evidence that names them, at the application."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from activities.evidence_store import EvidenceStore
from events.errors import Code, NotYetKnownError
from events.ports.loss_cases import Evidence
from events.statements import ContainerStatement, EvidenceStatement, LicenceStatement, LossStatement, Statement
from events.terms import VendorId
from portal.application import Application
from portal.cli import evidence_files
from simulation.memory_backend import MemoryBackend
from tests.given import principal
from tests.worlds import CODEC

ACME = VendorId("acme")
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
PDF = b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n%%EOF\n"
NAME = sha256(PDF).hexdigest()


class Parts(SimpleNamespace):
    """A backend in memory, and a real store of files."""

    first_vendor = ACME

    async def backend(self) -> Any:
        return self.memory

    async def knows(self, vendor: VendorId) -> bool:
        return vendor == ACME


@pytest.fixture
async def parts(tmp_path: Path) -> Parts:
    memory = MemoryBackend(lambda: NOW, CODEC)
    await memory.add_vendor(ACME, {}, NOW)
    return Parts(memory=memory, files=EvidenceStore(tmp_path / "evidence"))


def example(of: type[Statement], **more: Any) -> Statement:
    return of.model_validate_json(json.dumps({**of.example, **more}))


async def reported(application: Application) -> None:
    for of in (ContainerStatement, LicenceStatement, LossStatement):
        await application.take(principal(ACME), example(of), NOW)


async def test_evidence_brings_its_files_to_the_case_with_what_the_store_knows_of_them(parts: Parts) -> None:
    application = Application(parts)
    await reported(application)
    kept = await application.keep_file(principal(ACME), PDF)

    await application.take(principal(ACME), example(EvidenceStatement, files=[NAME, NAME]), NOW)

    ((_, messages),) = await parts.memory.messages(ACME)
    assert [one.files for one in messages if isinstance(one, Evidence)] == [(kept,)]


async def test_evidence_waits_for_a_file_that_was_not_sent_yet_and_another_vendors_is_none(parts: Parts) -> None:
    application = Application(parts)
    await reported(application)
    await application.keep_file(principal(VendorId("zeta")), PDF)

    with pytest.raises(NotYetKnownError) as unknown:
        await application.take(principal(ACME), example(EvidenceStatement, files=[NAME]), NOW)

    assert unknown.value.code == Code.UNKNOWN_FILE
    ((_, messages),) = await parts.memory.messages(ACME)
    assert not [one for one in messages if isinstance(one, Evidence)]


def typed(tmp_path: Path, *arguments: str) -> Any:
    """What a command of the group says."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Application]:
        yield Application(Parts(files=EvidenceStore(tmp_path / "evidence")))

    app = typer.Typer()
    app.add_typer(evidence_files.commands(opened), name="file")
    return CliRunner().invoke(app, ["file", *arguments])


def test_a_file_is_kept_and_saved_again_and_never_over_another(tmp_path: Path) -> None:
    report, out = tmp_path / "report.pdf", tmp_path / "out.pdf"
    report.write_bytes(PDF)

    kept = typed(tmp_path, "keep", str(report))
    saved = typed(tmp_path, "save", NAME, "--out", str(out))
    again = typed(tmp_path, "save", NAME, "--out", str(out))

    assert (kept.exit_code, kept.output) == (0, f"application/pdf of {len(PDF)} bytes is kept as {NAME}.\n")
    assert (saved.exit_code, out.read_bytes()) == (0, PDF)
    assert (again.exit_code, "cannot be written: file exists" in again.output) == (1, True)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"words", "of no known type"), (b"", "1 to 10485760 bytes"), (None, "there is no such file")],
)
def test_what_cannot_be_kept_is_refused_in_one_sentence(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "x"
    if content is not None:
        path.write_bytes(content)

    refused = typed(tmp_path, "keep", str(path))

    assert refused.exit_code in (1, 2)
    assert says in refused.output


@pytest.mark.parametrize(
    ("name", "says"), [("5f" * 32, "no file"), ("x", "is no SHA-256"), ("5F" * 32, "is no SHA-256")]
)
def test_a_file_that_nobody_sent_cannot_be_saved(tmp_path: Path, name: str, says: str) -> None:
    refused = typed(tmp_path, "save", name, "--out", str(tmp_path / "out"))

    assert refused.exit_code in (1, 2)
    assert says in refused.output
    assert not (tmp_path / "out").exists()
