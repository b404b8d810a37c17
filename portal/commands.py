"""The one layer under all doors: an authenticated, validated statement becomes what it asks for."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest

from events.cases import Cases, DecisionOrder, DecisionTaken, Evidence, Sighting
from events.errors import Code, NotYetKnownError, RefusalError
from events.inbox import (
    ContactStatement,
    ContainerStatement,
    DeactivationStatement,
    EvidenceStatement,
    FoundStatement,
    LicenceStatement,
    LossStatement,
    ReturnStatement,
    Statement,
)
from events.licensing import AccessLink, CaseKey, Claim, LicensingBackend, SignInAnswer
from events.terms import CaseId, Cause, ContactId, Role, Serial, VendorId


class Doors:
    """Takes statements of one vendor at a time. Everything may be said again; it is done once.

    Raises `events.errors.RefusalError` for what cannot be done and `NotYetKnownError` for what may be possible once a
    fact under way has arrived; whatever else is raised means that a service is away: say it again.
    """

    def __init__(self, backend: LicensingBackend, cases: Cases) -> None:
        self._backend = backend
        self._cases = cases

    async def take(self, vendor: VendorId, stated: Statement, door: str, received: datetime) -> None:
        """Do what a statement asks. `door` names the way it came in, `received` is the clock at that door."""
        match stated:
            case ContainerStatement():
                await self._backend.register_container(vendor, stated, received)
                for key in await self._backend.waiting_for_target(vendor, stated.holder):
                    await self._cases.offer(key, stated.serial)
            case LicenceStatement():
                await self._backend.register_licence(vendor, stated, received)
            case ContactStatement():
                await self._contact(vendor, stated, received)
            case FoundStatement():
                await self._found(vendor, stated, Cause.FOUND)
            case ReturnStatement():
                await self._found(vendor, stated, Cause.RETURNED)
            case DeactivationStatement():
                for key in (await self._backend.return_activation(vendor, stated, received)).settled:
                    await self._cases.settle(key)
            case EvidenceStatement():
                await self._evidence(vendor, stated)
            case LossStatement():
                await self.report(vendor, stated, door, received)
            case _:
                raise AssertionError(f"no door takes {stated.type()}")

    async def decide(self, vendor: VendorId, case: CaseId, order: DecisionOrder) -> DecisionTaken:
        """Bring a supervisor's decision to a case of this vendor."""
        return await self._cases.decide(await self._backend.find_case(vendor, case), order)

    async def access_link(self, vendor: VendorId, serial: Serial) -> AccessLink:
        """The link by which the holder of a cloud container sets the access data that are owed."""
        return await self._backend.access_link(vendor, serial)

    async def set_access(self, vendor: VendorId, serial: Serial, token: str, password: str) -> None:
        """Set access data by a link, and tell the cases that waited for it."""
        for key in await self._backend.set_access(vendor, serial, token, password, datetime.now(UTC)):
            await self._cases.offer(key, serial)

    async def sign_in(
        self, vendor: VendorId, contact: ContactId, serial: Serial, password: str, origin: str | None = None
    ) -> SignInAnswer:
        """Sign in to a cloud container from an origin, and tell the cases that it is a sighting for."""
        now = datetime.now(UTC)
        answer = await self._backend.sign_in(vendor, contact, serial, password, now, origin)
        await self._sighted(answer.cases, answer.ordinals, contact, now)
        return answer

    async def _contact(self, vendor: VendorId, stated: ContactStatement, received: datetime) -> None:
        answer = await self._backend.contact(vendor, stated, received)
        await self._sighted(answer.cases, answer.ordinals, stated.contact, stated.occurred)
        for key in answer.awaiting:
            await self._cases.offer(key, stated.serial)
        for key in answer.settled:
            await self._cases.settle(key)

    async def _sighted(
        self, cases: Sequence[CaseKey], ordinals: Sequence[int], contact: ContactId, occurred: datetime
    ) -> None:
        for key, ordinal in zip_longest(cases, ordinals):
            sighting = Sighting(
                statement=f"contact/{contact}", cause=Cause.SIGHTING, occurred=occurred, ordinal=ordinal
            )
            await self._cases.sight(key, sighting)

    async def _evidence(self, vendor: VendorId, stated: EvidenceStatement) -> None:
        key = await self._backend.case_of_report(vendor, stated.report, stated.serial, stated.reporter)
        statement = f"evidence/{stated.statement}"
        await self._cases.give_evidence(
            key, Evidence(statement=statement, by=stated.reporter.name, evidence=stated.evidence)
        )

    async def _found(self, vendor: VendorId, stated: FoundStatement | ReturnStatement, cause: Cause) -> None:
        if cause is Cause.RETURNED and stated.reporter.role is not Role.BACK_OFFICE:
            raise RefusalError(Code.INVALID_DATA, "only a back-office system can say that a container is back")
        cases = await self._backend.open_cases(vendor, stated.serial, stated.reporter)
        if not cases:
            raise NotYetKnownError(Code.NO_CASE, f"no case looks for container {stated.serial}; report its loss first")
        sighting = Sighting(statement=f"{cause}/{stated.report}", cause=cause, occurred=stated.occurred)
        for key in cases:
            await self._cases.sight(key, sighting)

    async def report(self, vendor: VendorId, stated: LossStatement, door: str, received: datetime) -> Claim:
        """Bring a report to the case that it opens or joins, or has belonged to since it was first made."""
        claim = await self._backend.claim(vendor, stated, door, received)
        if claim.closed:  # Temporal forgets closed cases, and would begin this one anew
            return claim
        await self._cases.report(claim.key, stated.reported(door, claim.received))
        for key in claim.tells:
            await self._cases.lose_replacement(key, claim.key.case)
        return claim
