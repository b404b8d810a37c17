"""The one layer under all doors: what can be asked for, by whom, whatever the door.

An application lives for as long as its process serves. Commands are made true by the licensing backend and, for a
decision, by its case; queries read the views, which lag and grant nothing.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from pydantic import JsonValue

from events.errors import Code, RefusalError
from events.evidence import EvidenceFile, Sha256
from events.ports.evidence_files import EvidenceFiles
from events.ports.licensing_backend import (
    AccessLink,
    ActivationCode,
    Adopted,
    Claim,
    LicensingBackend,
    SignInAnswer,
    Triage,
)
from events.ports.loss_cases import Cases, DecisionContent, DecisionDenied, DecisionOrder, DecisionTaken
from events.principal import Principal, PrincipalRole
from events.roles import Act, must_be_allowed
from events.statements import (
    ContactStatement,
    ContainerStatement,
    DeactivationStatement,
    DelegationStatement,
    EvidenceStatement,
    FoundStatement,
    InventoryChange,
    LicenceChangeStatement,
    LicenceEndStatement,
    LicenceStatement,
    LossStatement,
    ReturnStatement,
    RevocationStatement,
    Statement,
)
from events.stream_position import StreamPosition
from events.terms import CaseId, ContactId, Reporter, Role, Serial, VendorId
from portal.denials import denied
from workflows.policy import Policy, canonical

WAIT_SECONDS = 5.0
LOOK_SECONDS = 0.05
ASKED_BY: Final[Mapping[type[Statement], Act]] = {
    ContainerStatement: Act.STATE_INVENTORY,
    LicenceStatement: Act.STATE_INVENTORY,
    LicenceChangeStatement: Act.STATE_INVENTORY,
    LicenceEndStatement: Act.STATE_INVENTORY,
    ContactStatement: Act.STATE_INVENTORY,
    DeactivationStatement: Act.STATE_INVENTORY,
    ReturnStatement: Act.STATE_INVENTORY,
    LossStatement: Act.REPORT_LOSS,
    FoundStatement: Act.DECLARE_FOUND,
    EvidenceStatement: Act.GIVE_EVIDENCE,
    DelegationStatement: Act.DELEGATE,
    RevocationStatement: Act.DELEGATE,
}
"""What somebody asks for who makes this statement."""

if TYPE_CHECKING:
    from portal.inbox.dead_letter_reader import DeadLetterReader
    from projections.read.queries import Queries


class Backend(LicensingBackend, Protocol):
    """The licensing backend, with the policies that it keeps for each vendor."""

    async def adopt_policy(self, vendor: VendorId, policy: dict[str, JsonValue], at: datetime) -> Adopted:
        """Adopt a policy and answer with its version; the one that is in force already stays so."""

    async def policy_in_force(self, vendor: VendorId) -> tuple[int, JsonValue]:
        """The version of the vendor's policy that decides now, and the policy."""


class Keys(Protocol):
    """The vendors' signing keys. Needs nothing that runs."""

    def jwks(self, vendor: VendorId) -> dict[str, Any]:
        """The public keys of a vendor."""

    def verify(self, file: str, jwks: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """The claims of a licence file, or `RefusalError`."""


class Parts(Protocol):
    """What an application stands on. A part is opened when it is first used, and stays open."""

    @property
    def first_vendor(self) -> VendorId:
        """The vendor that is meant where none is named."""

    @property
    def keys(self) -> Keys:
        """The signing keys."""

    async def backend(self) -> Backend:
        """The licensing backend."""

    async def cases(self) -> Cases:
        """The way to the running cases."""

    @property
    def files(self) -> EvidenceFiles:
        """The evidence files."""

    def views(self) -> "AbstractAsyncContextManager[Queries]":
        """The views, as they are now."""

    def dead_letters(self, vendor: VendorId) -> "AbstractAsyncContextManager[DeadLetterReader]":
        """A vendor's dead letters."""

    async def knows(self, vendor: VendorId) -> bool:
        """Whether there is such a vendor; the views may not show one yet that was just added."""

    async def add_vendor(self, vendor: VendorId, policy: Policy) -> bool:
        """A vendor's topics, signing key and first policy; False when it was there already."""

    async def send(self, vendor: VendorId, key: str, event: Mapping[str, Any]) -> None:
        """Put a CloudEvent into the vendor's inbox."""


class Application:
    """Everything that a door can ask for. Every command may be repeated; it is done once.

    What a statement means for a case the backend writes down as a message, in the same transaction; the worker brings
    it to the case. So no door needs the case to be there, and only whoever decides waits for its answer.

    Raises `events.errors.RefusalError` for what cannot be done and `NotYetKnownError` for what may be possible once a
    fact under way has arrived. A connection's errors mean that a service is away: ask again.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def take(self, principal: Principal, statement: Statement, received: datetime) -> StreamPosition | None:
        """Do what a statement asks, and answer where that stands; `received` is the clock at the door. None for what is
        a message to a case: it stands where the case takes it."""
        must_be_allowed(principal.roles, ASKED_BY[type(statement)])
        if isinstance(statement, LossStatement | FoundStatement | EvidenceStatement):
            _must_speak_for_itself(principal, statement.reporter)
        vendor, backend = principal.vendor, await self._parts.backend()
        match statement:
            case ContainerStatement():
                return await backend.register_container(vendor, statement, received)
            case LicenceStatement():
                return await backend.register_licence(vendor, statement, received)
            case InventoryChange():
                return await backend.change_inventory(vendor, statement, received)
            case ContactStatement():
                return (await backend.contact(vendor, statement, received)).position
            case FoundStatement() | ReturnStatement():
                await self.turn_up(principal, statement, received)
            case DeactivationStatement():
                return (await backend.return_activation(vendor, statement, received)).position
            case EvidenceStatement():
                files = [await self._parts.files.known(vendor, name) for name in dict.fromkeys(statement.files)]
                await backend.give_evidence(principal, statement, received, files)
            case DelegationStatement() | RevocationStatement():
                return await backend.take_delegation(principal, statement, received)
            case LossStatement():
                return (await self.report(principal, statement, received)).position
            case _:
                raise AssertionError(f"no door takes {statement.type()}")
        return None

    async def report(self, principal: Principal, statement: LossStatement, received: datetime) -> Claim:
        """The case that a report opens or joins; of a repeated report the case it already belongs to."""
        must_be_allowed(principal.roles, Act.REPORT_LOSS)
        _must_speak_for_itself(principal, statement.reporter)
        backend = await self._parts.backend()
        return await backend.claim(principal, statement, received)

    async def turn_up(
        self, principal: Principal, statement: FoundStatement | ReturnStatement, received: datetime
    ) -> Sequence[CaseId]:
        """The open cases of a container that are told that it turned up."""
        must_be_allowed(principal.roles, ASKED_BY[type(statement)])
        if isinstance(statement, FoundStatement):
            _must_speak_for_itself(principal, statement.reporter)
        backend = await self._parts.backend()
        return [key.case for key in await backend.turn_up(principal, statement, received)]

    async def wait_for(self, vendor: VendorId, position: StreamPosition, seconds: float = WAIT_SECONDS) -> bool:
        """Whether the views have what stands at a position; waits for it no longer than that."""
        deadline = time.monotonic() + seconds
        while True:
            async with self._parts.views() as views:
                if await views.reached(vendor, position):
                    return True
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(LOOK_SECONDS)

    async def decide(self, principal: Principal, case: CaseId, content: DecisionContent) -> DecisionTaken:
        """Bring the principal's decision to a case of the vendor, and wait for what the case makes of it."""
        must_be_allowed(principal.roles, Act.DECIDE)
        order = DecisionOrder.of(principal, content)
        cases, backend = await self._parts.cases(), await self._parts.backend()
        accepted = await backend.accept_decision(principal, case, content, datetime.now(UTC))
        if accepted.refused:
            raise denied(accepted.refused, case, order)
        answer = await cases.answer(accepted, order)
        if isinstance(answer, DecisionDenied):
            async with self._parts.views() as views:
                known = await views.line(principal.vendor, case)
            raise denied(answer.code, case, order, known)
        return answer

    async def activation_code(self, principal: Principal, serial: Serial) -> ActivationCode:
        """The code for the cases of a container that wait for a machine."""
        must_be_allowed(principal.roles, Act.FETCH_CODE)
        return await (await self._parts.backend()).activation_code(principal, serial)

    async def keep_file(self, principal: Principal, content: bytes) -> EvidenceFile:
        """Keep a file that evidence is to name. Kept again, it is the same; without evidence it is nobody's."""
        must_be_allowed(principal.roles, Act.GIVE_EVIDENCE)
        return await self._parts.files.put(principal.vendor, content)

    async def file(self, principal: Principal, name: Sha256) -> bytes:
        """The bytes of an evidence file, as they were sent."""
        must_be_allowed(principal.roles, Act.SEE_ALL)
        return await self._parts.files.get(principal.vendor, name)

    async def triage(self, principal: Principal, serial: Serial, shown: Mapping[str, str]) -> Triage:
        """What can be done on a machine that shows this fingerprint, before a loss is reported. Changes nothing."""
        must_be_allowed(principal.roles, Act.TRY_MACHINE)
        return await (await self._parts.backend()).triage(principal, serial, shown)

    async def access_link(self, principal: Principal, serial: Serial) -> AccessLink:
        """The link by which the holder of a cloud container sets the access data that are owed."""
        must_be_allowed(principal.roles, Act.FETCH_CODE)
        return await (await self._parts.backend()).access_link(principal, serial)

    async def set_access(self, vendor: VendorId, serial: Serial, token: str, password: str) -> None:
        """Set access data by a link; whoever has the link may."""
        await (await self._parts.backend()).set_access(vendor, serial, token, password, datetime.now(UTC))

    async def sign_in(
        self, vendor: VendorId, contact: ContactId, serial: Serial, password: str, origin: str | None = None
    ) -> SignInAnswer:
        """Sign in to a cloud container from an origin, with its access data; whoever has the password may."""
        backend = await self._parts.backend()
        return await backend.sign_in(vendor, contact, serial, password, datetime.now(UTC), origin)

    async def send(self, principal: Principal, key: str, event: Mapping[str, Any]) -> None:
        """Put a CloudEvent into the vendor's inbox, which speaks for the back office."""
        must_be_allowed(principal.roles, Act.STATE_INVENTORY)
        await self._parts.send(principal.vendor, key, event)

    async def add_vendor(self, principal: Principal, policy: Policy | None) -> bool:
        """Add the principal's vendor: its topics, signing key and first policy. False when it was there already;
        `RefusalError` when it was with another policy than this one."""
        must_be_allowed(principal.roles, Act.RUN_VENDOR)
        vendor = principal.vendor
        if await self._parts.add_vendor(vendor, policy or Policy()):
            return True
        if policy is not None:
            number, known = await (await self._parts.backend()).policy_in_force(vendor)
            if known != {**canonical(policy), "policy_version": number}:
                there = f"vendor {vendor} is there already, and version {number} of its policy is in force, another one"
                raise RefusalError(Code.VENDOR_EXISTS, there, vendor=vendor, policy_version=number)
        return False

    async def adopt_policy(self, principal: Principal, policy: Policy) -> Adopted:
        """Have a policy decide from now on, and answer with its version; one that is in force already stays so."""
        must_be_allowed(principal.roles, Act.WRITE_POLICY)
        backend = await self._parts.backend()
        return await backend.adopt_policy(principal.vendor, canonical(policy), datetime.now(UTC))

    @property
    def first_vendor(self) -> VendorId:
        """The vendor that is meant where none is named."""
        return self._parts.first_vendor

    @property
    def keys(self) -> Keys:
        """The vendors' public keys, and what they signed."""
        return self._parts.keys

    def views(self, principal: Principal) -> "AbstractAsyncContextManager[Queries]":
        """The views, as they are now. Each query is told of which vendor: a door must name the principal's."""
        must_be_allowed(principal.roles, Act.SEE_ALL)
        return self._parts.views()

    def dead_letters(self, principal: Principal) -> "AbstractAsyncContextManager[DeadLetterReader]":
        """The dead letters of the principal's vendor."""
        must_be_allowed(principal.roles, Act.RUN_VENDOR)
        return self._parts.dead_letters(principal.vendor)

    async def knows(self, vendor: VendorId) -> bool:
        """Whether there is such a vendor."""
        return await self._parts.knows(vendor)


def _must_speak_for_itself(principal: Principal, reporter: Reporter) -> None:
    """Refuse whoever is no back-office system and makes a statement in another name or role than its own."""
    if PrincipalRole.BACK_OFFICE in principal.roles:
        return
    own = (principal.subject, principal.on_behalf_of if reporter.role is Role.HOLDER else None)
    if PrincipalRole(reporter.role) not in principal.roles or reporter.name not in own:
        raise RefusalError(
            Code.ROLE_MISSING,
            f"{principal.subject} may not speak as {reporter.name} in the role {reporter.role}; only a back-office"
            " system says what others report",
            by=principal.subject,
            reporter=reporter.name,
            role=reporter.role,
        )
