"""The licensing backend in memory, of all vendors: the protocol over one `VendorBackend` each."""

from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from pydantic import JsonValue

from activities.licensing.containers import Container, Licence
from events.codec import FactCodec
from events.envelope import Head, Recorded, backend_stream, record_key
from events.evidence import EvidenceFile
from events.fact import Fact
from events.ports.licensing_backend import (
    CASE_ORDERS,
    AccessLink,
    ActivationCode,
    Adopted,
    CaseKey,
    Claim,
    Clock,
    ContactAnswer,
    LicensingBackend,
    ReceiptAnswer,
    SignInAnswer,
    Triage,
)
from events.ports.loss_cases import AcceptedDecision, Content, DecisionContent
from events.principal import Principal
from events.statements import (
    ContactStatement,
    ContainerStatement,
    DeactivationStatement,
    DelegationStatement,
    EvidenceStatement,
    FoundStatement,
    InventoryChange,
    LicenceStatement,
    LossStatement,
    ReturnStatement,
    RevocationStatement,
)
from events.stream_position import StreamPosition
from events.terms import CaseId, ContactId, LicenceId, Serial, VendorId
from simulation.licensing.backend import VendorBackend

Answer = TypeVar("Answer")


def at_once(asked: Coroutine[Any, Any, Answer]) -> Answer:
    """The answer of what waits for nothing."""
    try:
        asked.send(None)
    except StopIteration as end:
        answer: Answer = end.value
        return answer
    raise AssertionError("a backend in memory waits for nothing")


class MemoryBackend(LicensingBackend):
    """Keeps all in memory; nothing happens at the same time as anything else. `facts` are what it stated, in order."""

    def __init__(self, clock: Clock, codec: FactCodec) -> None:
        self.facts: list[Recorded] = []
        self._codec = codec
        self._clock = clock
        self._vendors: dict[VendorId, VendorBackend] = {}
        self._heads: dict[tuple[VendorId, str], Head] = defaultdict(Head)

    def vendor(self, vendor: VendorId) -> VendorBackend:
        """All that is kept of a vendor."""
        if vendor not in self._vendors:

            def state(serial: Serial | None, at: datetime, facts: Iterable[Fact]) -> None:
                self._state(vendor, serial, at, facts)

            self._vendors[vendor] = VendorBackend(vendor, state)
        return self._vendors[vendor]

    def _state(self, vendor: VendorId, serial: Serial | None, at: datetime, facts: Iterable[Fact]) -> None:
        stream, key = backend_stream(vendor, serial), record_key(vendor, serial)
        for fact in facts:
            sealed = self._codec.seal(vendor, stream, key, self._heads[vendor, stream], at, fact)
            self._heads[vendor, stream] = sealed.head
            self.facts.append(self._codec.unseal(sealed.value))

    def _position(self, vendor: VendorId, serial: Serial | None = None) -> StreamPosition:
        """Where the last fact about a container, or the vendor itself, stands; nobody has written another since."""
        stream = backend_stream(vendor, serial)
        return StreamPosition(stream, self._heads[vendor, stream].sequence)

    # What can be seen of it.

    async def recorded(self, skip: int) -> list[Recorded]:
        """What it stated, in order, without the first so many."""
        return self.facts[skip:]

    async def messages(self, vendor: VendorId) -> list[tuple[CaseKey, list[Content]]]:
        """What was said to each case, in order."""
        return [(case.key, [content for content, _ in case.messages]) for case in self.vendor(vendor).cases.values()]

    async def containers(self, vendor: VendorId) -> list[Container]:
        """The vendor's containers."""
        return list(self.vendor(vendor).containers.values())

    async def licences(self, vendor: VendorId) -> list[Licence]:
        """The vendor's licences."""
        return list(self.vendor(vendor).licences.values())

    def licence_of(self, file: str) -> LicenceId:
        """The licence that a file is of."""
        return LicenceId(file)

    async def effective(self, vendor: VendorId, at: datetime) -> dict[LicenceId, list[int]]:
        """The generations of each licence that would be renewed at this instant."""
        of = self.vendor(vendor)
        return {name: of.effective(name, at) for name in of.licences}

    # What is asked of it.

    async def add_vendor(self, vendor: VendorId, policy: dict[str, JsonValue], at: datetime) -> bool:
        return self.vendor(vendor).add(policy, at)

    async def adopt_policy(self, vendor: VendorId, policy: dict[str, JsonValue], at: datetime) -> Adopted:
        return Adopted(self.vendor(vendor).adopt(policy, at), self._position(vendor))

    async def policy_in_force(self, vendor: VendorId) -> tuple[int, JsonValue]:
        return self.vendor(vendor).in_force()

    async def register_container(self, vendor: VendorId, statement: ContainerStatement, at: datetime) -> StreamPosition:
        self.vendor(vendor).register(statement, at)
        return self._position(vendor, statement.serial)

    async def register_licence(self, vendor: VendorId, statement: LicenceStatement, at: datetime) -> StreamPosition:
        self.vendor(vendor).issue_own(statement, at)
        return self._position(vendor, statement.serial)

    async def change_inventory(self, vendor: VendorId, statement: InventoryChange, at: datetime) -> StreamPosition:
        return self._position(vendor, self.vendor(vendor).change(statement, at, self._clock()))

    async def claim(self, principal: Principal, statement: LossStatement, received: datetime) -> Claim:
        return self.vendor(principal.vendor).claim(principal, statement, received)

    async def contact(self, vendor: VendorId, statement: ContactStatement, received: datetime) -> ContactAnswer:
        answer = self.vendor(vendor).contact(statement, received, self._clock())
        return answer.model_copy(update={"position": self._position(vendor, statement.serial)})

    async def return_activation(
        self, vendor: VendorId, statement: DeactivationStatement, received: datetime
    ) -> ReceiptAnswer:
        answer = self.vendor(vendor).return_activation(statement, received)
        return answer.model_copy(update={"position": self._position(vendor, statement.serial)})

    async def activation_code(self, principal: Principal, serial: Serial) -> ActivationCode:
        return self.vendor(principal.vendor).activation_code(principal, serial)

    async def triage(self, principal: Principal, serial: Serial, shown: Mapping[str, str]) -> Triage:
        return self.vendor(principal.vendor).triage(principal, serial, shown, self._clock())

    async def access_link(self, principal: Principal, serial: Serial) -> AccessLink:
        return self.vendor(principal.vendor).access_link(principal, serial, self._clock())

    async def set_access(self, vendor: VendorId, serial: Serial, token: str, password: str, at: datetime) -> None:
        self.vendor(vendor).set_access(serial, token, password, at)

    async def sign_in(
        self,
        vendor: VendorId,
        contact: ContactId,
        serial: Serial,
        password: str,
        at: datetime,
        origin: str | None = None,
    ) -> SignInAnswer:
        return self.vendor(vendor).sign_in(contact, serial, password, at, origin, self._clock())

    async def sweep_leases(self, now: datetime, limit: int) -> int:
        left = limit
        for of in list(self._vendors.values()):
            left -= of.sweep_leases(now, left, self._clock())
        return limit - left

    async def take_delegation(
        self, principal: Principal, statement: DelegationStatement | RevocationStatement, received: datetime
    ) -> StreamPosition:
        self.vendor(principal.vendor).take_delegation(principal, statement, received)
        return self._position(principal.vendor)

    async def turn_up(
        self, principal: Principal, statement: FoundStatement | ReturnStatement, received: datetime
    ) -> list[CaseKey]:
        return self.vendor(principal.vendor).turn_up(principal, statement, received)

    async def give_evidence(
        self,
        principal: Principal,
        statement: EvidenceStatement,
        received: datetime,
        files: Sequence[EvidenceFile] = (),
    ) -> CaseKey:
        return self.vendor(principal.vendor).give_evidence(principal, statement, received, files)

    async def accept_decision(
        self, principal: Principal, case: CaseId, content: DecisionContent, at: datetime
    ) -> AcceptedDecision:
        return self.vendor(principal.vendor).accept_decision(principal, case, content, at)


def _asked_of_its_vendor(name: str) -> Callable[[MemoryBackend, Any], Coroutine[Any, Any, Any]]:
    """What a case asks, as the backend of its vendor answers it."""

    async def asked(self: MemoryBackend, order: Any) -> Any:
        key = order if isinstance(order, CaseKey) else order.key
        return getattr(self.vendor(key.vendor), name)(order, self._clock())

    return asked


for _name in CASE_ORDERS:
    setattr(MemoryBackend, _name, _asked_of_its_vendor(_name))
