"""The embedded licensing backend: inventory, claims, measures and generations in PostgreSQL.

Every change happens in one transaction under the lock on its container, which also writes the facts to the outbox. A
second lock, on (vendor, holder), orders the registering of an empty container and the search for one. Locks are taken
in this order: holder, container of the loss, target, vendor.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, TypeVar, cast
from uuid import uuid5

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool
from pydantic import JsonValue

from activities.claims import claimed_by, holder_of, is_closed, repeated
from activities.issuing import issued, must_be_blocked, supersede
from activities.outbox import state
from activities.quota import free, reserve
from activities.rows import (
    CONTAINER,
    LICENCE,
    Container,
    Licence,
    every,
    lock_container,
    lock_holder,
    one,
    unknown_container,
)
from activities.signing import SigningKeys
from events.catalogue import (
    BackendFacts,
    ContactRefused,
    ContainerContacted,
    ContainerRegistered,
    LicenceIssued,
    MeasureOrdered,
    PolicyAdopted,
    VendorAdded,
)
from events.envelope import NAMESPACE
from events.errors import Code, NotYetKnownError, RefusalError
from events.inbox import ContactStatement, ContainerStatement, LicenceStatement, LossStatement
from events.ports import (
    Assessment,
    BlockOrder,
    CaseKey,
    Claim,
    CloseOrder,
    ContactAnswer,
    Done,
    Issued,
    IssueOrder,
    NoTargetFound,
    Reservation,
    ReserveOrder,
    Supervisors,
)
from events.terms import CaseId, HolderId, Role, Serial, VendorId

Row = TypeVar("Row")


class EmbeddedBackend:
    """The licensing backend over PostgreSQL; see `events.ports.LicensingBackend` for what each call promises."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[Any]], keys: SigningKeys, status_base: str) -> None:
        self._pool = pool
        self._keys = keys
        self._status_base = status_base.rstrip("/")

    async def add_vendor(self, vendor: VendorId, policy: JsonValue, at: datetime) -> bool:
        """Take in a vendor with its first policy; False when it was there already."""
        issuer = f"urn:lostfound:{vendor}"
        async with self._transaction() as tx:
            added = await tx.execute(
                "insert into backend.vendors (vendor, issuer) values (%s, %s) on conflict do nothing", (vendor, issuer)
            )
            if added.rowcount == 0:
                return False
            await tx.execute("insert into backend.policies values (%s, 1, %s)", (vendor, Jsonb(policy)))
            adopted = PolicyAdopted(policy_version=1, policy=json.dumps(policy, sort_keys=True))
            await state(tx, vendor, None, at, [VendorAdded(issuer=issuer), adopted])
        return True

    async def register_container(self, vendor: VendorId, stated: ContainerStatement, at: datetime) -> None:
        """Take a container into the inventory; a second statement must agree with the first."""
        async with self._transaction() as tx:
            await lock_holder(tx, vendor, stated.holder)
            await self._known_vendor(tx, vendor)
            added = await tx.execute(
                "insert into backend.containers (vendor, serial, kind, holder) values (%s, %s, %s, %s)"
                " on conflict do nothing",
                (vendor, stated.serial, stated.kind, stated.holder),
            )
            if added.rowcount == 0:
                known = await lock_container(tx, vendor, stated.serial)
                if (known.kind, known.holder) != (stated.kind, stated.holder):
                    raise RefusalError(
                        Code.CONTRADICTS_INVENTORY,
                        f"container {stated.serial} is registered already, as another kind or to another holder",
                    )
                return
            fact = ContainerRegistered(serial=stated.serial, kind=stated.kind, holder=stated.holder)
            await state(tx, vendor, stated.serial, at, [fact])

    async def register_licence(self, vendor: VendorId, stated: LicenceStatement, at: datetime) -> None:
        """Take a licence of the vendor's own issue into the inventory; said again it changes nothing."""
        async with self._transaction() as tx:
            container = await lock_container(tx, vendor, stated.serial)
            added = await tx.execute(
                "insert into backend.licences values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
                (
                    *(vendor, stated.licence, stated.generation, stated.serial, stated.product, stated.ticket),
                    *(stated.value_cents, Jsonb(stated.lease.model_dump(mode="json")), stated.issued),
                ),
            )
            if added.rowcount == 0:
                known = await one(tx, Licence, f"{LICENCE} where vendor = %s and licence = %s", vendor, stated.licence)
                if known is None or (known.product, known.ticket) != (stated.product, stated.ticket):
                    raise RefusalError(
                        Code.CONTRADICTS_INVENTORY,
                        f"licence {stated.licence} is known already, with another product or ticket",
                    )
                return
            await tx.execute(
                "update backend.containers set licences = licences + 1 where vendor = %s and serial = %s",
                (vendor, stated.serial),
            )
            fact = LicenceIssued(
                licence=stated.licence,
                generation=stated.generation,
                serial=stated.serial,
                holder=container.holder,
                product=stated.product,
                ticket=stated.ticket,
                value_cents=stated.value_cents,
                lease=stated.lease,
                issued=stated.issued,
                expires=stated.lease.expiry(stated.issued),
            )
            await state(tx, vendor, stated.serial, at, [fact])

    async def claim(self, vendor: VendorId, stated: LossStatement, door: str, received: datetime) -> Claim:
        """One loss is one case: claim the report's id, and every licence generation in its scope."""
        digest = sha256("/".join((stated.serial, stated.kind, stated.reason, stated.scope)).encode()).hexdigest()
        async with self._transaction() as tx:
            container = await lock_container(tx, vendor, stated.serial)
            if stated.reporter.role is Role.HOLDER and str(stated.reporter.name) != container.holder:
                raise unknown_container(stated.serial)
            if container.kind != stated.kind:
                raise RefusalError(
                    Code.KIND_MISMATCH, f"container {stated.serial} is of kind {container.kind}, not {stated.kind}"
                )
            case = CaseId(str(uuid5(NAMESPACE, f"{vendor}/report/{stated.report}")))
            claimed = await claimed_by(tx, vendor, stated.serial)
            inserted = await tx.execute(
                "insert into backend.reports values (%s, %s, %s, %s, %s) on conflict do nothing",
                (vendor, stated.report, digest, claimed or case, received),
            )
            if inserted.rowcount == 0:
                return await repeated(tx, vendor, stated, digest)
            key = CaseKey(vendor=vendor, case=claimed or case, serial=stated.serial)
            if claimed:
                return Claim(key=key, received=received, closed=await is_closed(tx, key), answer="joined")
            await tx.execute(
                "insert into backend.cases (vendor, case_id, serial, holder) values (%s, %s, %s, %s)",
                (vendor, case, stated.serial, container.holder),
            )
            await tx.execute(
                "insert into backend.claims (vendor, licence, generation, serial, case_id)"
                " select vendor, licence, generation, serial, %s from backend.licences"
                " where vendor = %s and serial = %s",
                (case, vendor, stated.serial),
            )
            return Claim(key=key, received=received, answer="opened")

    async def waiting_for_target(self, vendor: VendorId, holder: HolderId) -> Sequence[CaseKey]:
        """The cases that wait for an empty container of this holder."""
        async with self._transaction() as tx:
            cursor = await tx.execute(
                "select case_id, serial from backend.cases where vendor = %s and holder = %s and awaits_target",
                (vendor, holder),
            )
            return [CaseKey(vendor=vendor, case=case, serial=serial) for case, serial in await cursor.fetchall()]

    async def contact(self, vendor: VendorId, stated: ContactStatement, received: datetime) -> ContactAnswer:
        """Serve or refuse a container that reports in; a contact said again is answered as before."""
        async with self._transaction() as tx:
            await lock_container(tx, vendor, stated.serial)
            cursor = await tx.execute(
                "insert into backend.contacts select %(vendor)s, %(contact)s, %(serial)s, array("
                " select distinct case_id from backend.measures where vendor = %(vendor)s and serial = %(serial)s)"
                " on conflict do nothing returning cases",
                {"vendor": vendor, "contact": stated.contact, "serial": stated.serial},
            )
            if row := await cursor.fetchone():
                (cases,) = row
                await self._state_contact(tx, vendor, stated, received, cases)
            else:
                cases = await self._contact_before(tx, vendor, stated)
            keys = tuple(CaseKey(vendor=vendor, case=case, serial=stated.serial) for case in cases)
            return ContactAnswer(refused=bool(keys), cases=keys)

    async def open_cases(self, vendor: VendorId, serial: Serial) -> Sequence[CaseKey]:
        """The cases that claim a container."""
        async with self._transaction() as tx:
            cursor = await tx.execute(
                "select distinct case_id from backend.claims where vendor = %s and serial = %s and not freed",
                (vendor, serial),
            )
            return [CaseKey(vendor=vendor, case=case, serial=serial) for (case,) in await cursor.fetchall()]

    async def find_case(self, vendor: VendorId, case: CaseId) -> CaseKey:
        """The vendor's case of this name; another vendor's is an unknown one."""
        async with self._transaction() as tx:
            cursor = await tx.execute(
                "select serial from backend.cases where vendor = %s and case_id = %s", (vendor, case)
            )
            row = await cursor.fetchone()
        if row is None:
            raise RefusalError(Code.UNKNOWN_CASE, f"no case {case} is known here; `lostfound case list` names them")
        return CaseKey(vendor=vendor, case=case, serial=row[0])

    async def supervisors(self, vendor: VendorId) -> Supervisors:
        """Who may decide on the vendor's cases, by the policy that is in force."""
        async with self._transaction() as tx:
            policy = cast(dict[str, Any], await self._policy(tx, vendor))
        return Supervisors(names=tuple(policy.get("supervisors", ())))

    async def reserve(self, order: ReserveOrder) -> Reservation:
        """Set one recovery aside for a case in each subject, or in none; what was set aside is answered again."""
        key, at = order.key, datetime.now(UTC)
        async with self._transaction() as tx:
            await lock_container(tx, key.vendor, key.serial)
            return await reserve(tx, order, at)

    async def assess(self, key: CaseKey) -> Assessment:
        """The facts that policy decides on, and the policy."""
        async with self._transaction() as tx:
            container = await lock_container(tx, key.vendor, key.serial)
            licences = await every(
                tx,
                Licence,
                f"{LICENCE} where vendor = %s and (licence, generation) in"
                " (select licence, generation from backend.claims where vendor = %s and case_id = %s and not freed)"
                " order by licence",
                *(key.vendor, key.vendor, key.case),
            )
            return Assessment(
                at=datetime.now(UTC),
                policy=await self._policy(tx, key.vendor),
                facts=BackendFacts(
                    serial=container.serial,
                    kind=container.kind,
                    holder=container.holder,
                    last_contact=container.last_contact,
                    licences=tuple(licence.in_scope() for licence in licences),
                ),
            )

    async def block(self, order: BlockOrder) -> Done:
        """Order the measures that are not ordered yet."""
        key, at = order.key, datetime.now(UTC)
        async with self._transaction() as tx:
            await lock_container(tx, key.vendor, key.serial)
            for measure in order.measures:
                added = await tx.execute(
                    "insert into backend.measures values (%s, %s, %s, %s, %s) on conflict do nothing",
                    (key.vendor, key.case, measure, key.serial, at),
                )
                if added.rowcount:
                    fact = MeasureOrdered(case=key.case, measure=measure, serial=key.serial, effective=at)
                    await state(tx, key.vendor, key.serial, at, [fact])
            cursor = await tx.execute(
                "select max(ordered) from backend.measures where vendor = %s and case_id = %s", (key.vendor, key.case)
            )
            (ordered,) = cast(tuple[datetime | None], await cursor.fetchone())
            return Done(at=ordered or at)

    async def issue(self, order: IssueOrder) -> Issued | NoTargetFound:
        """The next generation of every licence in the order, in an empty container of the holder, or none of them."""
        key, at = order.key, datetime.now(UTC)
        async with self._transaction() as tx:
            holder = await holder_of(tx, key)
            await lock_holder(tx, key.vendor, holder)
            lost = await lock_container(tx, key.vendor, key.serial)
            if done := await issued(tx, key):
                return done
            await must_be_blocked(tx, order)
            target = await one(
                tx,
                Container,
                f"{CONTAINER} where vendor = %s and holder = %s and kind = %s and licences = 0 and serial <> %s"
                " and not exists (select from backend.measures m where m.vendor = %s and m.serial = containers.serial)"
                " order by serial limit 1 for update",
                *(key.vendor, holder, lost.kind, key.serial, key.vendor),
            )
            await tx.execute(
                "update backend.cases set awaits_target = %s where vendor = %s and case_id = %s",
                (target is None, key.vendor, key.case),
            )
            if target is None:
                return NoTargetFound(at=at, tickets=tuple(dict.fromkeys(item.ticket for item in order.licences)))
            await supersede(tx, order, target, at, self._keys, self._status_base)
            return cast(Issued, await issued(tx, key))

    async def close(self, order: CloseOrder) -> Done:
        """Know that a case is over. One that recovered nothing frees its claims and what its quota had set aside: a new
        report then opens a new case."""
        key, at = order.key, datetime.now(UTC)
        async with self._transaction() as tx:
            await lock_container(tx, key.vendor, key.serial)
            cursor = await tx.execute(
                "update backend.cases set closed = coalesce(closed, %s), awaits_target = false"
                " where vendor = %s and case_id = %s returning closed",
                (at, key.vendor, key.case),
            )
            (closed,) = cast(tuple[datetime], await cursor.fetchone())
            if not order.recovered:
                await free(tx, key, at)
            return Done(at=closed)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        async with self._pool.connection() as connection, connection.transaction():
            yield connection

    @staticmethod
    async def _known_vendor(tx: AsyncConnection[Any], vendor: VendorId) -> None:
        cursor = await tx.execute("select from backend.vendors where vendor = %s", (vendor,))
        if await cursor.fetchone() is None:
            raise NotYetKnownError(
                Code.UNKNOWN_VENDOR, f"vendor {vendor} is unknown; add it with `lostfound vendor add {vendor}`"
            )

    @staticmethod
    async def _policy(tx: AsyncConnection[Any], vendor: VendorId) -> JsonValue:
        cursor = await tx.execute(
            "select policy from backend.policies where vendor = %s order by policy_version desc limit 1", (vendor,)
        )
        (policy,) = cast(tuple[JsonValue], await cursor.fetchone())
        return policy

    @staticmethod
    async def _state_contact(
        tx: AsyncConnection[Any], vendor: VendorId, stated: ContactStatement, received: datetime, cases: list[CaseId]
    ) -> None:
        await tx.execute(
            "update backend.containers set last_contact = greatest(last_contact, %s) where vendor = %s and serial = %s",
            (received, vendor, stated.serial),
        )
        told = {"contact": stated.contact, "serial": stated.serial, "occurred": stated.occurred}
        fact = ContactRefused(**told, cases=tuple(cases)) if cases else ContainerContacted(**told)
        await state(tx, vendor, stated.serial, received, [fact])

    @staticmethod
    async def _contact_before(tx: AsyncConnection[Any], vendor: VendorId, stated: ContactStatement) -> list[CaseId]:
        cursor = await tx.execute(
            "select serial, cases from backend.contacts where vendor = %s and contact = %s", (vendor, stated.contact)
        )
        serial, cases = cast(tuple[Serial, list[CaseId]], await cursor.fetchone())
        if serial != stated.serial:
            raise RefusalError(
                Code.CONTRADICTS_INVENTORY,
                f"contact {stated.contact} was one of container {serial}; give a new contact a new number",
            )
        return cases
