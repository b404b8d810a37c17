"""The one layer under all doors: an authenticated, validated statement becomes what it asks for."""

from datetime import UTC, datetime

from events.cases import Cases, DecisionDenied, DecisionOrder, DecisionTaken
from events.errors import Code, RefusalError
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
from events.licensing import AccessLink, Claim, LicensingBackend, SignInAnswer
from events.terms import CaseId, ContactId, Role, Serial, VendorId
from portal.denials import denied


class Doors:
    """Takes statements of one vendor at a time. Everything may be said again; it is done once.

    What a statement means for a case the backend writes down as a message, in the same transaction; the worker brings
    it to the case. So no door needs the case to be there, and only whoever decides waits for its answer.

    Raises `events.errors.RefusalError` for what cannot be done and `NotYetKnownError` for what may be possible once a
    fact under way has arrived. A connection's errors mean that a service is away: say it again.
    """

    def __init__(self, backend: LicensingBackend, cases: Cases | None = None) -> None:
        self._backend = backend
        self._cases = cases

    async def take(self, vendor: VendorId, stated: Statement, door: str, received: datetime) -> None:
        """Do what a statement asks. `door` names the way it came in, `received` is the clock at that door."""
        match stated:
            case ContainerStatement():
                await self._backend.register_container(vendor, stated, received)
            case LicenceStatement():
                await self._backend.register_licence(vendor, stated, received)
            case ContactStatement():
                await self._backend.contact(vendor, stated, received)
            case FoundStatement():
                await self._backend.turn_up(vendor, stated, door, received)
            case ReturnStatement():
                if stated.reporter.role is not Role.BACK_OFFICE:
                    raise RefusalError(Code.INVALID_DATA, "only a back-office system can say that a container is back")
                await self._backend.turn_up(vendor, stated, door, received)
            case DeactivationStatement():
                await self._backend.return_activation(vendor, stated, received)
            case EvidenceStatement():
                await self._backend.give_evidence(vendor, stated, door, received)
            case LossStatement():
                await self.report(vendor, stated, door, received)
            case _:
                raise AssertionError(f"no door takes {stated.type()}")

    async def report(self, vendor: VendorId, stated: LossStatement, door: str, received: datetime) -> Claim:
        """The case that a report opens or joins; of a repeated report the case it already belongs to."""
        return await self._backend.claim(vendor, stated, door, received)

    async def decide(self, vendor: VendorId, case: CaseId, order: DecisionOrder, door: str) -> DecisionTaken:
        """Bring a supervisor's decision to a case of this vendor, and wait for what the case makes of it."""
        assert self._cases is not None, "decisions come by a door that can wait for a case's answer"
        accepted = await self._backend.accept_decision(vendor, case, order, door, datetime.now(UTC))
        if accepted.refused:
            raise denied(accepted.refused, case, order)
        answer = await self._cases.answer(accepted, order)
        if isinstance(answer, DecisionDenied):
            raise denied(answer.code, case, order)
        return answer

    async def access_link(self, vendor: VendorId, serial: Serial) -> AccessLink:
        """The link by which the holder of a cloud container sets the access data that are owed."""
        return await self._backend.access_link(vendor, serial)

    async def set_access(self, vendor: VendorId, serial: Serial, token: str, password: str) -> None:
        """Set access data by a link."""
        await self._backend.set_access(vendor, serial, token, password, datetime.now(UTC))

    async def sign_in(
        self, vendor: VendorId, contact: ContactId, serial: Serial, password: str, origin: str | None = None
    ) -> SignInAnswer:
        """Sign in to a cloud container from an origin."""
        return await self._backend.sign_in(vendor, contact, serial, password, datetime.now(UTC), origin)
