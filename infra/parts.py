"""What the application stands on here: this machine's settings, and the services that they lead to.

Most commands only ask the views. What the others need besides takes a second to load, so each part loads its own.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from events.errors import Code, RefusalError
from events.kafka_clients import new_producer
from events.ports.evidence_files import EvidenceFiles
from events.ports.loss_cases import Cases
from events.postgres_sessions import open_session
from events.terms import VendorId
from events.topics import inbox
from infra.problem import Problem
from infra.settings import Settings
from portal.application import Application, Backend
from projections.read.queries import NoViewsError, Queries, open_queries
from workflows.policy import Policy

if TYPE_CHECKING:
    from audit.audit import Audit
    from events.backend_facts import RecordSetAside
    from events.log_errors import LogDamagedError
    from events.log_records import LogRecord, Position
    from events.ports.register import Register
    from portal.inbox.dead_letter_reader import DeadLetterReader
    from portal.operator import Progress
    from projections.rebuild_report import RebuildReport


@asynccontextmanager
async def open_application(settings: Settings, patient: bool = True) -> AsyncIterator[Application]:
    """The application over the services of these settings; `patient` as `infra.wiring.open_backend` has it."""
    async with AsyncExitStack() as opened:
        yield Application(LocalParts(settings, opened, patient))


TEMPORAL_SECONDS = 10.0
"""A door waits so long for a Temporal that does not answer: somebody waits there."""


class LocalParts:
    """Implements `portal.application.Parts`; what was opened is closed with `opened`."""

    def __init__(self, settings: Settings, opened: AsyncExitStack, patient: bool = True) -> None:
        self._settings = settings
        self._opened = opened
        self._patient = patient
        self._backend: Backend | None = None
        self._cases: Cases | None = None
        self._opening = asyncio.Lock()

    @property
    def first_vendor(self) -> VendorId:
        """The first vendor."""
        return VendorId(self._settings.vendor)

    @property
    def keys(self) -> "LocalKeys":
        """The signing keys in the data folder."""
        return LocalKeys(self._settings)

    async def backend(self) -> Backend:
        """The embedded backend, with a pool of connections."""
        from infra.wiring import open_backend

        async with self._opening:
            if self._backend is None:
                self._backend = await self._opened.enter_async_context(open_backend(self._settings, self._patient))
        return self._backend

    async def cases(self) -> Cases:
        """The cases in Temporal."""
        from infra.wiring import open_temporal
        from workflows.client import CaseClient

        async with self._opening:
            if self._cases is None:
                temporal = await open_temporal(self._settings, TEMPORAL_SECONDS)
                self._cases = CaseClient(temporal, self._settings.task_queue)
        return self._cases

    @property
    def files(self) -> EvidenceFiles:
        """The store of evidence files."""
        from activities.evidence_store import EvidenceStore

        return EvidenceStore(self._settings.evidence)

    def views(self) -> AbstractAsyncContextManager[Queries]:
        """The views."""
        return open_queries(self._settings.dsn)

    def dead_letters(self, vendor: VendorId) -> "AbstractAsyncContextManager[DeadLetterReader]":
        """A vendor's dead letters."""
        from activities.register import PostgresRegister
        from portal.inbox.dead_letter_reader import open_dead_letters

        return open_dead_letters(self._settings.bootstrap, vendor, PostgresRegister(self._settings.dsn))

    async def knows(self, vendor: VendorId) -> bool:
        """Whether the backend has this vendor."""
        async with await open_session(self._settings.dsn) as connection:
            cursor = await connection.execute("select to_regclass('backend.vendors') is not null")
            made = await cursor.fetchone()
            if made is None or not made[0]:
                raise NoViewsError("it holds nothing of this product yet")
            cursor = await connection.execute("select from backend.vendors where vendor = %s", (vendor,))
            return await cursor.fetchone() is not None

    async def add_vendor(self, vendor: VendorId, policy: Policy) -> bool:
        """A vendor's topics, signing key and first policy."""
        from infra.wiring import add_vendor

        try:
            return await add_vendor(self._settings, vendor, policy)
        except Problem as problem:
            raise RefusalError(Code.INSTALLATION, problem.sentence, misfit=problem.sentence) from problem

    async def send(self, vendor: VendorId, key: str, event: Mapping[str, Any]) -> None:
        """Put a CloudEvent into the vendor's inbox."""
        import orjson

        headers = [("content-type", b"application/cloudevents+json")]
        async with new_producer(self._settings.bootstrap) as producer:
            await producer.send_and_wait(inbox(vendor), orjson.dumps(event), key=key.encode(), headers=headers)


class LocalKeys:
    """Implements `portal.application.Keys`."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.data_dir / "keys"

    def jwks(self, vendor: VendorId) -> dict[str, Any]:
        """The public keys of a vendor."""
        from activities.licensing.signing import SigningKeys

        return SigningKeys(self._folder).jwks(vendor)

    def verify(self, file: str, jwks: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """The claims of a licence file."""
        from activities.licensing import signing

        return signing.verify(file, jwks, now)


class LocalInstallation:
    """Implements `portal.operator.InstallationParts`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def register(self) -> "Register":
        """The register in PostgreSQL."""
        from activities.register import PostgresRegister

        return PostgresRegister(self._settings.dsn)

    async def audit(self, until: datetime | None, progress: "Progress") -> "Audit":
        """Judge the log by itself."""
        from audit.audit import audit
        from infra.facts import fact_codec

        return await audit(self._settings.bootstrap, fact_codec(), until, progress)

    async def rebuild_views(self, progress: "Progress") -> "RebuildReport":
        """Fold the views anew and switch to them."""
        from infra.facts import fact_codec
        from projections.rebuild import RebuildRunningError, rebuild

        try:
            return await rebuild(self._settings.bootstrap, self._settings.dsn, fact_codec(), progress)
        except RebuildRunningError as running:
            raise RefusalError(Code.BUSY, str(running), misfit=str(running)) from running

    async def examine(self, position: "Position") -> "tuple[LogRecord, LogDamagedError]":
        """The record at a position, and what is wrong with it."""
        from events.log import LogReader
        from infra.facts import fact_codec
        from projections.log_repair import examine

        return await examine(LogReader(self._settings.bootstrap), fact_codec(), position)

    async def set_record_aside(self, fact: "RecordSetAside", at: datetime) -> None:
        """State that a record is set aside."""
        from activities.licensing.installation import set_record_aside
        from infra.facts import fact_codec

        await set_record_aside(self._settings.dsn, fact_codec(), fact, at)
