"""What the command line stands on: this machine's settings, and the rooms that they lead to.

Most commands only ask the views. What the others need besides takes a second to load, so each loads its own.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from events.cases import DecisionOrder, DecisionTaken
from events.errors import Code, RefusalError
from events.inbox import LossStatement, Statement
from events.licensing import AccessLink, ActivationCode, Claim, SignInAnswer
from events.terms import CaseId, ContactId, Serial, VendorId
from events.topics import inbox
from infra.errors import Problem
from infra.settings import Settings
from projections.queries import NoViewsError, Queries, open_queries
from workflows.policy import Policy, canonical

if TYPE_CHECKING:
    from portal.commands import Doors
    from portal.dead_letter_reader import DeadLetterReader

DOOR = "command line"


class LocalGround:
    """Implements `portal.terminal.Ground`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def vendor(self) -> VendorId:
        """The first vendor."""
        return VendorId(self._settings.vendor)

    def queries(self) -> AbstractAsyncContextManager[Queries]:
        """The views."""
        return open_queries(self._settings.dsn)

    def knows(self, vendor: VendorId) -> bool:
        """Whether the backend has this vendor; the views may not show one yet that was just added."""
        from psycopg import connect

        with connect(self._settings.dsn, autocommit=True) as connection:
            made = connection.execute("select to_regclass('backend.vendors') is not null").fetchone()
            if made is None or not made[0]:
                raise NoViewsError("it holds nothing of this product yet")
            found = connection.execute("select from backend.vendors where vendor = %s", (vendor,))
            return found.fetchone() is not None

    async def add_vendor(self, vendor: VendorId, policy: Policy | None) -> bool:
        """A vendor's topics, signing key and first policy."""
        from infra.wiring import add_vendor, open_backend

        try:
            if await add_vendor(self._settings, vendor, policy or Policy()):
                return True
        except Problem as problem:
            raise RefusalError(Code.INSTALLATION, problem.sentence) from problem
        if policy is not None:
            async with open_backend(self._settings) as backend:
                number, known = await backend.policy_in_force(vendor)
            if known != {**canonical(policy), "policy_version": number}:
                there = f"vendor {vendor} is there already, and version {number} of its policy is in force, another one"
                raise RefusalError(Code.VENDOR_EXISTS, there, vendor=vendor, policy_version=number)
        return False

    def dead_letters(self, vendor: VendorId) -> "AbstractAsyncContextManager[DeadLetterReader]":
        """A vendor's dead letters."""
        from activities.register import PostgresRegister
        from portal.dead_letter_reader import open_dead_letters

        return open_dead_letters(self._settings.bootstrap, vendor, PostgresRegister(self._settings.dsn))

    async def adopt_policy(self, vendor: VendorId, policy: Policy) -> int:
        """Adopt a policy."""
        from infra.wiring import open_backend

        async with open_backend(self._settings) as backend:
            return await backend.adopt_policy(vendor, canonical(policy), datetime.now(UTC))

    async def report(self, vendor: VendorId, stated: LossStatement) -> Claim:
        """Report a loss."""
        async with self._doors() as doors:
            return await doors.report(vendor, stated, DOOR, datetime.now(UTC))

    async def state(self, vendor: VendorId, stated: Statement) -> None:
        """State something else."""
        async with self._doors() as doors:
            await doors.take(vendor, stated, DOOR, datetime.now(UTC))

    async def send(self, vendor: VendorId, key: str, event: Mapping[str, Any]) -> None:
        """Put a CloudEvent into the vendor's inbox."""
        import orjson

        from events.kafka_clients import new_producer

        headers = [("content-type", b"application/cloudevents+json")]
        async with new_producer(self._settings.bootstrap) as producer:
            await producer.send_and_wait(inbox(vendor), orjson.dumps(event), key=key.encode(), headers=headers)

    async def decide(self, vendor: VendorId, case: CaseId, order: DecisionOrder) -> DecisionTaken:
        """Bring a decision to a case."""
        from infra.wiring import open_backend, open_temporal
        from portal.commands import Doors
        from workflows.client import CaseClient

        client = await open_temporal(self._settings)
        async with open_backend(self._settings) as backend:
            doors = Doors(backend, CaseClient(client, self._settings.task_queue))
            return await doors.decide(vendor, case, order, DOOR)

    async def activation_code(self, vendor: VendorId, serial: Serial) -> ActivationCode:
        """The code for the cases that wait for a machine."""
        from infra.wiring import open_backend

        async with open_backend(self._settings) as backend:
            return await backend.activation_code(vendor, serial)

    async def access_link(self, vendor: VendorId, serial: Serial) -> AccessLink:
        """The link for access data that are owed."""
        async with self._doors() as doors:
            return await doors.access_link(vendor, serial)

    async def set_access(self, vendor: VendorId, serial: Serial, token: str, password: str) -> None:
        """Set access data by a link."""
        async with self._doors() as doors:
            await doors.set_access(vendor, serial, token, password)

    async def sign_in(
        self, vendor: VendorId, contact: ContactId, serial: Serial, password: str, origin: str | None
    ) -> SignInAnswer:
        """Sign in to a cloud container."""
        async with self._doors() as doors:
            return await doors.sign_in(vendor, contact, serial, password, origin)

    @asynccontextmanager
    async def _doors(self) -> "AsyncIterator[Doors]":
        from infra.wiring import open_backend
        from portal.commands import Doors

        async with open_backend(self._settings) as backend:
            yield Doors(backend)

    def jwks(self, vendor: VendorId) -> dict[str, Any]:
        """The public keys of a vendor."""
        from activities.signing import SigningKeys

        return SigningKeys(self._settings.data_dir / "keys").jwks(vendor)  # which needs nothing that runs

    def verify(self, file: str, jwks: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """The claims of a licence file."""
        from activities import signing

        return signing.verify(file, jwks, now)
