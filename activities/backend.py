"""The embedded licensing backend: inventory, claims, measures and generations in PostgreSQL.

Every change happens in one transaction under the lock on its container, which also writes the facts to the outbox. A
second lock, on (vendor, holder), orders the registering of an empty container and the search for one. Locks are taken
in this order: holder, container of the loss, target, vendor.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, TypeVar, cast
from uuid import uuid5

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool
from pydantic import JsonValue

from activities.outbox import state
from activities.signing import LicenceFile, SigningKeys
from events.catalogue import (
    BackendFacts,
    ContactRefused,
    ContainerContacted,
    ContainerRegistered,
    LicenceInScope,
    LicenceIssued,
    LicenceSuperseded,
    MeasureOrdered,
    PolicyAdopted,
    RecoveryFreed,
    RecoveryReserved,
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
    IssuedLicence,
    IssueOrder,
    NoTargetFound,
    Reservation,
    ReserveOrder,
    Supervisors,
)
from events.terms import CaseId, HolderId, Kind, Lease, LicenceId, ProductId, Role, Serial, Ticket, VendorId

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the inventory has it; `licences` is how many it holds."""

    serial: Serial
    kind: Kind
    holder: HolderId
    licences: int
    last_contact: datetime | None


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence as the inventory has it: its current generation and where that is."""

    licence: LicenceId
    generation: int
    serial: Serial
    product: ProductId
    ticket: Ticket
    value_cents: int
    lease: dict[str, Any]

    def in_scope(self) -> LicenceInScope:
        """What a decision needs of it."""
        return LicenceInScope(
            licence=self.licence,
            generation=self.generation,
            product=self.product,
            ticket=self.ticket,
            value_cents=self.value_cents,
        )


CONTAINER = "select serial, kind, holder, licences, last_contact from backend.containers"
LICENCE = "select licence, generation, serial, product, ticket, value_cents, lease from backend.licences"


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
            await self._lock_holder(tx, vendor, stated.holder)
            await self._known_vendor(tx, vendor)
            added = await tx.execute(
                "insert into backend.containers (vendor, serial, kind, holder) values (%s, %s, %s, %s)"
                " on conflict do nothing",
                (vendor, stated.serial, stated.kind, stated.holder),
            )
            if added.rowcount == 0:
                known = await self._lock_container(tx, vendor, stated.serial)
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
            container = await self._lock_container(tx, vendor, stated.serial)
            added = await tx.execute(
                "insert into backend.licences values (%s, %s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
                (
                    *(vendor, stated.licence, stated.generation, stated.serial, stated.product, stated.ticket),
                    *(stated.value_cents, Jsonb(stated.lease.model_dump(mode="json")), stated.issued),
                ),
            )
            if added.rowcount == 0:
                known = await _one(tx, Licence, f"{LICENCE} where vendor = %s and licence = %s", vendor, stated.licence)
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
            container = await self._lock_container(tx, vendor, stated.serial)
            if stated.reporter.role is Role.HOLDER and str(stated.reporter.name) != container.holder:
                raise _unknown_container(stated.serial)
            if container.kind != stated.kind:
                raise RefusalError(
                    Code.KIND_MISMATCH, f"container {stated.serial} is of kind {container.kind}, not {stated.kind}"
                )
            case = CaseId(str(uuid5(NAMESPACE, f"{vendor}/report/{stated.report}")))
            claimed = await self._claimed_by(tx, vendor, stated.serial)
            inserted = await tx.execute(
                "insert into backend.reports values (%s, %s, %s, %s, %s) on conflict do nothing",
                (vendor, stated.report, digest, claimed or case, received),
            )
            if inserted.rowcount == 0:
                return await self._repeated(tx, vendor, stated, digest)
            key = CaseKey(vendor=vendor, case=claimed or case, serial=stated.serial)
            if claimed:
                return Claim(key=key, received=received, closed=await self._is_closed(tx, key), answer="joined")
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
            await self._lock_container(tx, vendor, stated.serial)
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
            await self._lock_container(tx, key.vendor, key.serial)
            for subject in sorted(order.subjects):
                await self._lock_name(tx, key.vendor, f"quota/{subject}")
            cursor = await tx.execute(
                "select reserved, ordinal, per_term from backend.reservations"
                " where vendor = %s and case_id = %s order by subject limit 1",
                (key.vendor, key.case),
            )
            if row := await cursor.fetchone():
                return Reservation(at=row[0], ordinal=row[1], limit=row[2])
            ordinals = [await self._free_ordinal(tx, order, subject) for subject in order.subjects]
            taken = [ordinal for ordinal in ordinals if ordinal is not None]
            if len(taken) < len(ordinals):
                return Reservation(at=at, ordinal=None, limit=order.limit)
            for subject in order.subjects:
                await tx.execute(
                    "insert into backend.reservations values (%s, %s, %s, %s, %s, %s, %s)",
                    (key.vendor, subject, key.case, max(taken), order.limit, order.received, at),
                )
            fact = RecoveryReserved(
                case=key.case, serial=key.serial, subjects=order.subjects, ordinal=max(taken), limit=order.limit
            )
            await state(tx, key.vendor, key.serial, at, [fact])
            return Reservation(at=at, ordinal=max(taken), limit=order.limit)

    async def assess(self, key: CaseKey) -> Assessment:
        """The facts that policy decides on, and the policy."""
        async with self._transaction() as tx:
            container = await self._lock_container(tx, key.vendor, key.serial)
            licences = await _all(
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
            await self._lock_container(tx, key.vendor, key.serial)
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
            holder = await self._holder_of(tx, key)
            await self._lock_holder(tx, key.vendor, holder)
            lost = await self._lock_container(tx, key.vendor, key.serial)
            if issued := await self._issued(tx, key):
                return issued
            await self._must_be_blocked(tx, order)
            target = await _one(
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
            await self._supersede(tx, order, target, at)
            return cast(Issued, await self._issued(tx, key))

    async def close(self, order: CloseOrder) -> Done:
        """Know that a case is over. One that recovered nothing frees its claims and what its quota had set aside: a new
        report then opens a new case."""
        key, at = order.key, datetime.now(UTC)
        async with self._transaction() as tx:
            await self._lock_container(tx, key.vendor, key.serial)
            cursor = await tx.execute(
                "update backend.cases set closed = coalesce(closed, %s), awaits_target = false"
                " where vendor = %s and case_id = %s returning closed",
                (at, key.vendor, key.case),
            )
            (closed,) = cast(tuple[datetime], await cursor.fetchone())
            if not order.recovered:
                await self._free(tx, key, at)
            return Done(at=closed)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection[Any]]:
        async with self._pool.connection() as connection, connection.transaction():
            yield connection

    @staticmethod
    async def _free(tx: AsyncConnection[Any], key: CaseKey, at: datetime) -> None:
        case = (key.vendor, key.case)
        await tx.execute("update backend.claims set freed = true where vendor = %s and case_id = %s", case)
        freed = await tx.execute(
            "update backend.reservations set freed = true where vendor = %s and case_id = %s and not freed", case
        )
        if freed.rowcount:
            await state(tx, key.vendor, key.serial, at, [RecoveryFreed(case=key.case, serial=key.serial)])

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
    async def _lock_name(tx: AsyncConnection[Any], vendor: VendorId, name: str) -> None:
        await tx.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", (f"{vendor}/{name}",))

    async def _lock_holder(self, tx: AsyncConnection[Any], vendor: VendorId, holder: HolderId) -> None:
        await self._lock_name(tx, vendor, f"holder/{holder}")

    @staticmethod
    async def _free_ordinal(tx: AsyncConnection[Any], order: ReserveOrder, subject: str) -> int | None:
        """The lowest ordinal that no recovery of the rolling term holds, or None when all are held."""
        cursor = await tx.execute(
            "select ordinal from backend.reservations where vendor = %s and subject = %s and not freed"
            " and received > %s and received <= %s",
            (
                *(order.key.vendor, subject),
                *(order.received - timedelta(days=order.term_days), order.received + timedelta(days=order.term_days)),
            ),
        )
        held = {ordinal for (ordinal,) in await cursor.fetchall()}
        if len(held) >= order.limit:
            return None
        return next(ordinal for ordinal in range(1, order.limit + 1) if ordinal not in held)

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

    @staticmethod
    async def _lock_container(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> Container:
        found = await _one(tx, Container, f"{CONTAINER} where vendor = %s and serial = %s for update", vendor, serial)
        if found is None:
            raise _unknown_container(serial)
        return found

    @staticmethod
    async def _holder_of(tx: AsyncConnection[Any], key: CaseKey) -> HolderId:
        cursor = await tx.execute(
            "select holder from backend.cases where vendor = %s and case_id = %s", (key.vendor, key.case)
        )
        row = await cursor.fetchone()
        if row is None:
            raise RefusalError(Code.UNKNOWN_CASE, f"no report has claimed anything for case {key.case}")
        return HolderId(row[0])

    @staticmethod
    async def _claimed_by(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> CaseId | None:
        """The case whose claim a report on this container overlaps: on a licence in it or, when it is empty now, on one
        that was recovered from it."""
        cursor = await tx.execute(
            "select c.case_id from backend.claims c"
            " left join backend.licences l on (l.vendor, l.licence, l.generation) = (c.vendor, c.licence, c.generation)"
            " and l.serial = c.serial"
            " where c.vendor = %(vendor)s and c.serial = %(serial)s and not c.freed and (l.licence is not null or not"
            " exists (select from backend.licences i where i.vendor = %(vendor)s and i.serial = %(serial)s))"
            " order by c.generation desc, c.licence limit 1",
            {"vendor": vendor, "serial": serial},
        )
        row = await cursor.fetchone()
        return CaseId(row[0]) if row else None

    @staticmethod
    async def _is_closed(tx: AsyncConnection[Any], key: CaseKey) -> bool:
        cursor = await tx.execute(
            "select closed is not null from backend.cases where vendor = %s and case_id = %s", (key.vendor, key.case)
        )
        (closed,) = cast(tuple[bool], await cursor.fetchone())
        return closed

    @staticmethod
    async def _repeated(tx: AsyncConnection[Any], vendor: VendorId, stated: LossStatement, digest: str) -> Claim:
        cursor = await tx.execute(
            "select r.digest, r.case_id, c.serial, r.received, c.closed is not null"
            " from backend.reports r join backend.cases c on (c.vendor, c.case_id) = (r.vendor, r.case_id)"
            " where r.vendor = %s and r.report = %s",
            (vendor, stated.report),
        )
        known, case, serial, received, closed = cast(
            tuple[str, CaseId, Serial, datetime, bool], await cursor.fetchone()
        )
        if known != digest:
            raise RefusalError(
                Code.REPORT_ID_TAKEN,
                f"report {stated.report} was made before and said something else; give a new statement a new number",
            )
        key = CaseKey(vendor=vendor, case=case, serial=serial)
        return Claim(key=key, received=received, closed=closed, answer="repeated")

    @staticmethod
    async def _must_be_blocked(tx: AsyncConnection[Any], order: IssueOrder) -> None:
        cursor = await tx.execute(
            "select measure from backend.measures where vendor = %s and case_id = %s",
            (order.key.vendor, order.key.case),
        )
        missing = set(order.measures) - {measure for (measure,) in await cursor.fetchall()}
        if missing:
            raise RefusalError(
                Code.NOT_BLOCKED, f"case {order.key.case} may not be replaced before {', '.join(missing)} is ordered"
            )

    @staticmethod
    async def _issued(tx: AsyncConnection[Any], key: CaseKey) -> Issued | None:
        cursor = await tx.execute(
            "select licence, generation, serial, issued from backend.issues where vendor = %s and case_id = %s"
            " order by licence",
            (key.vendor, key.case),
        )
        rows = await cursor.fetchall()
        if not rows:
            return None
        licences = tuple(IssuedLicence(licence=row[0], generation=row[1]) for row in rows)
        return Issued(at=rows[0][3], target=rows[0][2], licences=licences)

    async def _supersede(self, tx: AsyncConnection[Any], order: IssueOrder, target: Container, at: datetime) -> None:
        key = order.key
        superseded: list[LicenceSuperseded] = []
        issued: list[LicenceIssued] = []
        status = await self._status_indices(tx, key.vendor, len(order.licences))
        for item in order.licences:
            licence = await self._next_generation(tx, key, item, target.serial, at)
            lease = Lease.model_validate(licence.lease)
            file = LicenceFile(
                issuer=status.issuer,
                container=target.serial,
                licence=licence.licence,
                generation=licence.generation,
                product=licence.product,
                ticket=licence.ticket,
                issued=at,
                expires=lease.expiry(at),
                status_uri=f"{self._status_base}/{key.vendor}/1",
                status_index=status.first + len(issued),
            )
            issued.append(
                LicenceIssued(
                    licence=licence.licence,
                    generation=licence.generation,
                    serial=target.serial,
                    holder=target.holder,
                    product=licence.product,
                    ticket=licence.ticket,
                    value_cents=licence.value_cents,
                    lease=lease,
                    issued=at,
                    expires=file.expires,
                    case=key.case,
                    file=self._keys.sign(key.vendor, file),
                )
            )
            superseded.append(
                LicenceSuperseded(licence=item.licence, generation=item.generation, serial=key.serial, case=key.case)
            )
        for serial, change in ((key.serial, -len(issued)), (target.serial, len(issued))):
            await tx.execute(
                "update backend.containers set licences = licences + %s where vendor = %s and serial = %s",
                (change, key.vendor, serial),
            )
        await state(tx, key.vendor, key.serial, at, superseded)
        await state(tx, key.vendor, target.serial, at, issued)

    @staticmethod
    async def _next_generation(
        tx: AsyncConnection[Any], key: CaseKey, item: LicenceInScope, target: Serial, at: datetime
    ) -> Licence:
        """Compare-and-set on the generation: a generation is superseded once, by one case."""
        cursor = tx.cursor(row_factory=class_row(Licence))
        await cursor.execute(
            "update backend.licences set generation = generation + 1, serial = %s, issued = %s"
            " where vendor = %s and licence = %s and generation = %s and serial = %s"
            " returning licence, generation, serial, product, ticket, value_cents, lease",
            (target, at, key.vendor, item.licence, item.generation, key.serial),
        )
        licence = await cursor.fetchone()
        if licence is None:
            raise RefusalError(
                Code.GENERATION_CONFLICT,
                f"licence {item.licence} is no longer at generation {item.generation} in {key.serial}",
            )
        await tx.execute(
            "insert into backend.issues values (%s, %s, %s, %s, %s, %s, %s)",
            (key.vendor, key.case, item.licence, item.generation, licence.generation, target, at),
        )
        return licence

    @staticmethod
    async def _status_indices(tx: AsyncConnection[Any], vendor: VendorId, count: int) -> "_StatusRange":
        cursor = tx.cursor(row_factory=class_row(_StatusRange))
        await cursor.execute(
            "update backend.vendors set next_status_index = next_status_index + %s where vendor = %s"
            " returning issuer, next_status_index - %s as first",
            (count, vendor, count),
        )
        return cast(_StatusRange, await cursor.fetchone())


@dataclass(frozen=True, slots=True)
class _StatusRange:
    issuer: str
    first: int


def _unknown_container(serial: Serial) -> NotYetKnownError:
    """The answer for a serial that is unknown and for one that the asker has no right to: they must not differ."""
    return NotYetKnownError(
        Code.UNKNOWN_CONTAINER,
        f"no container {serial} is known here; state {ContainerStatement.type()} for it first",
    )


async def _one(tx: AsyncConnection[Any], row: type[Row], query: str, *values: object) -> Row | None:
    cursor: AsyncCursor[Row] = tx.cursor(row_factory=class_row(row))
    await cursor.execute(query, values)
    return await cursor.fetchone()


async def _all(tx: AsyncConnection[Any], row: type[Row], query: str, *values: object) -> list[Row]:
    cursor: AsyncCursor[Row] = tx.cursor(row_factory=class_row(row))
    await cursor.execute(query, values)
    return await cursor.fetchall()
