"""The embedded licensing backend: inventory, claims, measures and generations in PostgreSQL.

Every change happens in one transaction under the lock on its container, which also writes the facts to the outbox. A
second lock, on (vendor, holder), orders the registering of an empty container and the search for one. Locks are taken
in this order: holder, container of the loss, target, vendor.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool
from pydantic import JsonValue

from activities.licensing import (
    access_data,
    claims,
    delegations,
    inventory,
    inventory_changes,
    messages,
    reinstatement,
)
from activities.licensing.access_rules import SignIn, must_be_a_password
from activities.licensing.activation_code import activation_code
from activities.licensing.answer_rules import ASSESS, BLOCK, CLOSE, ISSUE, KEEP, REINSTATE, RESERVE, WITHDRAW
from activities.licensing.answers import answered, answered_before
from activities.licensing.assessment import as_case_learns, assess, scope
from activities.licensing.claims import holder_of
from activities.licensing.closure import close
from activities.licensing.contacts import contact, ordinary, return_activation, try_machine
from activities.licensing.guesses import named
from activities.licensing.issuance import Signer, issue
from activities.licensing.leases import sweep
from activities.licensing.measures import order_measures
from activities.licensing.quota import reserve
from activities.licensing.records import lock_container, lock_holder
from activities.licensing.sign_in import candidates, recognise, sign_in
from activities.licensing.signing import SigningKeys
from activities.licensing.vendors import add, adopt, in_force
from events.evidence import EvidenceFile
from events.ports.licensing_backend import (
    AccessLink,
    ActivationCode,
    Adopted,
    Assessment,
    BlockOrder,
    CaseKey,
    CaseOrder,
    Claim,
    Clock,
    CloseOrder,
    ContactAnswer,
    Done,
    Issued,
    IssueOrder,
    LicensingBackend,
    NoTargetFound,
    ReceiptAnswer,
    ReinstateOrder,
    Reservation,
    ReserveOrder,
    ScopeOrder,
    ScopePage,
    SignInAnswer,
    Triage,
    Withdrawal,
)
from events.ports.loss_cases import AcceptedDecision, ConfirmedDecision, DecisionContent, DecisionQuestion
from events.principal import Principal
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
)
from events.stream_position import StreamPosition
from events.terms import Aim, CaseId, ContactId, Serial, VendorId

LOOKS = 10
"""How often it is looked where a licence is that moves each time before its container is locked."""


class EmbeddedBackend(LicensingBackend):
    """The licensing backend over PostgreSQL; see `LicensingBackend` for what each call promises.

    The sessions of its pool are in autocommit mode; transactions are begun by name. Wrong passwords are counted by
    `guess_clock`, or by PostgreSQL's own where there is none.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool[AsyncConnection[Any]],
        keys: SigningKeys,
        status_base: str,
        clock: Clock,
        guess_clock: Clock | None = None,
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._guess_clock = guess_clock
        self._signer = Signer(keys, status_base.rstrip("/"))

    async def add_vendor(self, vendor: VendorId, policy: dict[str, JsonValue], at: datetime) -> bool:
        """Take in a vendor with its first policy; False when it was there already."""
        async with self._transaction() as tx:
            return await add(tx, vendor, policy, at)

    async def register_container(self, vendor: VendorId, statement: ContainerStatement, at: datetime) -> StreamPosition:
        """Take a container into the inventory; a second statement must agree with the first."""
        async with self._transaction() as tx:
            return await inventory.register_container(tx, vendor, statement, at)

    async def register_licence(self, vendor: VendorId, statement: LicenceStatement, at: datetime) -> StreamPosition:
        """Take a licence of the vendor's own issue into the inventory; a second statement must agree with the first."""
        async with self._transaction() as tx:
            return await inventory.register_licence(tx, vendor, statement, at)

    async def change_inventory(self, vendor: VendorId, statement: InventoryChange, at: datetime) -> StreamPosition:
        """Take in what became of a container or a licence."""
        for _ in range(LOOKS):
            with suppress(inventory_changes.MovedMeanwhileError):
                async with self._transaction() as tx:
                    match statement:
                        case LicenceChangeStatement():
                            return await inventory_changes.change_licence(tx, vendor, statement, at)
                        case LicenceEndStatement():
                            return await inventory_changes.end_licence(tx, vendor, statement, at, self._clock())
                        case _:
                            raise AssertionError(f"nothing becomes of {statement.thing} by {statement.name}")
        raise inventory_changes.MovedMeanwhileError(f"{statement.thing} was somewhere else each time")

    async def claim(self, principal: Principal, statement: LossStatement, received: datetime) -> Claim:
        """One loss is one case: claim the report's id, and every generation in its scope."""
        async with self._transaction() as tx:
            return await claims.claim(tx, principal, statement, received)

    async def contact(self, vendor: VendorId, statement: ContactStatement, received: datetime) -> ContactAnswer:
        """Serve or refuse a container that reports in; a contact said again is answered as before."""
        async with self._pool.connection() as connection:
            answer = await ordinary(connection, vendor, statement, received, self._clock(), self._signer)
        if answer is not None:
            return answer
        async with self._transaction() as tx:
            return await contact(tx, vendor, statement, received, self._clock(), self._signer)

    async def return_activation(
        self, vendor: VendorId, statement: DeactivationStatement, received: datetime
    ) -> ReceiptAnswer:
        """Take an activation back: confirm the deactivations that aim at it, and answer with a signed receipt."""
        async with self._transaction() as tx:
            return await return_activation(tx, vendor, statement, received, self._signer)

    async def activation_code(self, principal: Principal, serial: Serial) -> ActivationCode:
        """The code by which a machine is bound for the cases that wait for one."""
        async with self._transaction() as tx:
            return await activation_code(tx, principal, serial, self._signer.keys)

    async def triage(self, principal: Principal, serial: Serial, shown: Mapping[str, str]) -> Triage:
        """What can be done on a machine, before a loss is reported."""
        async with self._transaction() as tx:
            return await try_machine(tx, principal, serial, shown, self._clock(), self._signer)

    async def access_link(self, principal: Principal, serial: Serial) -> AccessLink:
        """The link by which the holder sets the access data that are owed."""
        async with self._transaction() as tx:
            return await access_data.access_link(tx, principal, serial, self._clock(), self._signer.keys)

    async def set_access(self, vendor: VendorId, serial: Serial, token: str, password: str, at: datetime) -> None:
        """Set access data by a link, once."""
        must_be_a_password(password)
        async with self._transaction() as tx:
            former = await access_data.former_passwords(tx, vendor, serial, token, at, self._signer.keys)
        kept = await access_data.hashed(password, former)
        async with self._transaction() as tx:
            await access_data.set_access(tx, vendor, serial, token, kept, at, self._signer.keys)

    async def sign_in(
        self,
        vendor: VendorId,
        contact: ContactId,
        serial: Serial,
        password: str,
        at: datetime,
        origin: str | None = None,
    ) -> SignInAnswer:
        """Sign in to a cloud container. The password is compared outside the lock, and judged in it."""
        attempt = SignIn(vendor, contact, serial, named(self._signer.keys, vendor, origin), at)
        async with self._transaction() as tx:
            known = await candidates(tx, attempt, self._guess_clock)
        if known is not None:
            attempt = replace(attempt, compared=True, generation=await recognise(known, password))
        async with self._transaction() as tx:
            return await sign_in(tx, attempt, self._clock(), self._signer, self._guess_clock)

    async def adopt_policy(self, vendor: VendorId, policy: dict[str, JsonValue], at: datetime) -> Adopted:
        """Adopt a policy and answer with its version; the one that is in force already stays so."""
        async with self._transaction() as tx:
            return await adopt(tx, vendor, policy, at)

    async def policy_in_force(self, vendor: VendorId) -> tuple[int, JsonValue]:
        """The version of the vendor's policy that decides now, and the policy."""
        async with self._transaction() as tx:
            return await in_force(tx, vendor)

    async def sweep_leases(self, now: datetime, limit: int) -> int:
        """State what leases have come to, at most `limit` times; how often it was."""
        async with self._transaction() as tx:
            return await sweep(tx, now, limit, self._clock())

    async def take_delegation(
        self, principal: Principal, statement: DelegationStatement | RevocationStatement, received: datetime
    ) -> StreamPosition:
        """Give or revoke a delegation, once."""
        async with self._transaction() as tx:
            return await delegations.take_delegation(tx, principal, statement, received)

    async def turn_up(
        self, principal: Principal, statement: FoundStatement | ReturnStatement, received: datetime
    ) -> Sequence[CaseKey]:
        """Say to every open case of a container that it turned up."""
        async with self._transaction() as tx:
            return await claims.turn_up(tx, principal, statement, received)

    async def give_evidence(
        self,
        principal: Principal,
        statement: EvidenceStatement,
        received: datetime,
        files: Sequence[EvidenceFile] = (),
    ) -> CaseKey:
        """Bring evidence to the case of a report."""
        async with self._transaction() as tx:
            return await claims.give_evidence(tx, principal, statement, received, files)

    async def accept_decision(
        self, principal: Principal, case: CaseId, content: DecisionContent, at: datetime
    ) -> AcceptedDecision:
        """Take a decision in as a message to its case; another vendor's case is an unknown one."""
        async with self._transaction() as tx:
            key = await messages.find_case(tx, principal.vendor, case)
            await lock_container(tx, principal.vendor, key.serial)
            return await messages.accept_decision(tx, key, principal, content, at)

    async def confirm_decision(self, question: DecisionQuestion) -> ConfirmedDecision:
        """What a door brought under a number, and who may decide by the policy that is in force."""
        async with self._transaction() as tx:
            return await messages.confirm_decision(tx, question)

    async def scope(self, order: ScopeOrder) -> ScopePage:
        """More of the licences that a case was assessed with."""
        async with self._transaction() as tx:
            return await scope(tx, order)

    async def assess(self, key: CaseKey) -> Assessment:
        """The facts that policy decides on, and the policy; asked again, what was answered first."""
        at = self._clock()
        async with self._transaction() as tx:
            container = await lock_container(tx, key.vendor, key.serial)
            kept = await answered(tx, ASSESS, CaseOrder(key=key), lambda: assess(tx, key, container, at))
            return await as_case_learns(tx, key, kept)

    async def reserve(self, order: ReserveOrder) -> Reservation:
        """Set one recovery aside for a case in each subject, or in none."""
        at = self._clock()
        async with self._transaction() as tx:
            await lock_container(tx, order.key.vendor, order.key.serial)
            return await answered(tx, RESERVE, order, lambda: reserve(tx, order, at))

    async def block(self, order: BlockOrder) -> Done:
        """Order the measures that are not ordered yet."""
        key, at = order.key, self._clock()

        async def block() -> Done:
            if order.aim is Aim.ACCESS_DATA:
                await access_data.end_sessions(tx, key, at)
            return await order_measures(tx, order, at)

        async with self._transaction() as tx:
            await lock_container(tx, key.vendor, key.serial)
            return await answered(tx, BLOCK, order, block)

    async def issue(self, order: IssueOrder) -> Issued | NoTargetFound:
        """The next generation of every licence in the order, where the order says, or none of them."""
        key, at = order.key, self._clock()
        async with self._transaction() as tx:
            holder = await holder_of(tx, key)
            await lock_holder(tx, key.vendor, holder)
            lost = await lock_container(tx, key.vendor, key.serial)
            return await answered(tx, ISSUE, order, lambda: issue(tx, order, holder, lost, at, self._signer))

    async def withdraw(self, order: CaseOrder) -> Withdrawal:
        """Order the replacement to be withdrawn, or answer that it is."""
        key, at = order.key, self._clock()
        async with self._transaction() as tx:
            await lock_container(tx, key.vendor, key.serial)
            if await answered_before(tx, WITHDRAW, order) is None:
                await reinstatement.ask(tx, key)  # kept though it is refused: others then know of it
        async with self._transaction() as tx:
            await lock_holder(tx, key.vendor, await holder_of(tx, key))
            original = await lock_container(tx, key.vendor, key.serial)
            return await answered(tx, WITHDRAW, order, lambda: reinstatement.withdraw(tx, key, original, at))

    async def keep(self, order: CaseOrder) -> Done:
        """Lift the order to withdraw the replacement."""
        key, at = order.key, self._clock()
        async with self._transaction() as tx:
            await lock_holder(tx, key.vendor, await holder_of(tx, key))
            await lock_container(tx, key.vendor, key.serial)
            return await answered(tx, KEEP, order, lambda: reinstatement.keep(tx, key, at))

    async def reinstate(self, order: ReinstateOrder) -> Issued:
        """Put the licences back into the original."""
        key, at = order.key, self._clock()
        async with self._transaction() as tx:
            await lock_holder(tx, key.vendor, await holder_of(tx, key))
            original = await lock_container(tx, key.vendor, key.serial)
            if await answered_before(tx, REINSTATE, order) is None:
                await reinstatement.ask(tx, key)
        async with self._transaction() as tx:
            original = await lock_container(tx, key.vendor, key.serial)
            if await answered_before(tx, REINSTATE, order) is None:
                await reinstatement.release(tx, key, original, at)  # kept though others are still in the way
        async with self._transaction() as tx:
            await lock_holder(tx, key.vendor, await holder_of(tx, key))
            original = await lock_container(tx, key.vendor, key.serial)
            return await answered(
                tx, REINSTATE, order, lambda: reinstatement.reinstate(tx, order, original, at, self._signer)
            )

    async def close(self, order: CloseOrder) -> Done:
        """Know that a case is over and end its measures."""
        key, at = order.key, self._clock()
        async with self._transaction() as tx:
            await lock_holder(tx, key.vendor, await holder_of(tx, key))
            lost = await lock_container(tx, key.vendor, key.serial)
            return await answered(tx, CLOSE, order, lambda: close(tx, order, lost, at))

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        """A statement is sent at once, and waited for where its rows are asked for. Begin and commit so travel with
        others; `connection.transaction()` would wait for each. What a failure leaves open is rolled back by the pool.
        """
        async with self._pool.connection() as connection, connection.pipeline():
            await connection.execute("begin")
            yield connection
            await connection.execute("commit")
