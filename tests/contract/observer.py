"""What can be seen of the licensing backend on PostgreSQL."""

from dataclasses import dataclass
from datetime import datetime

import jwt
from psycopg import AsyncConnection
from psycopg.rows import class_row

from activities.licensing.containers import Container, Licence
from activities.licensing.messages import CONTENT
from activities.licensing.records import CONTAINER, LICENCE
from events.envelope import Recorded
from events.measure_life import sql_in_effect
from events.measure_subject import Subject
from events.ports.licensing_backend import CaseKey
from events.ports.loss_cases import Content
from events.terms import Aim, LicenceId, VendorId
from tests.worlds import CODEC


@dataclass(frozen=True, slots=True)
class DatabaseObserver:
    """Implements `simulation.stage.Observer` over one connection in autocommit mode; no relay runs meanwhile. It sees
    the facts of one vendor."""

    connection: AsyncConnection
    of: VendorId

    async def recorded(self, skip: int) -> list[Recorded]:
        cursor = await self.connection.execute(
            "select value from backend.outbox where key like %s order by id offset %s",
            (f"{self.of}/%".encode(), skip),
        )
        return [CODEC.unseal(row[0]) for row in await cursor.fetchall()]

    async def messages(self, vendor: VendorId) -> list[tuple[CaseKey, list[Content]]]:
        cursor = await self.connection.execute(
            "select c.case_id, c.serial, (select json_agg(m.content order by m.number) from backend.messages m"
            " where (m.vendor, m.case_id) = (c.vendor, c.case_id)) from backend.cases c"
            " where c.vendor = %s order by c.received, c.case_id",
            (vendor,),
        )
        return [
            (CaseKey(vendor=vendor, case=case, serial=serial), [CONTENT.validate_python(one) for one in contents or ()])
            for case, serial, contents in await cursor.fetchall()
        ]

    async def containers(self, vendor: VendorId) -> list[Container]:
        async with self.connection.cursor(row_factory=class_row(Container)) as cursor:
            await cursor.execute(f"{CONTAINER} where vendor = %s order by serial", (vendor,))
            return await cursor.fetchall()

    async def licences(self, vendor: VendorId) -> list[Licence]:
        async with self.connection.cursor(row_factory=class_row(Licence)) as cursor:
            await cursor.execute(f"{LICENCE} where vendor = %s order by licence", (vendor,))
            return await cursor.fetchall()

    def licence_of(self, file: str) -> LicenceId:
        claims = jwt.decode(file, options={"verify_signature": False})
        return LicenceId(claims["sub"])

    async def effective(self, vendor: VendorId, at: datetime) -> dict[LicenceId, list[int]]:
        cursor = await self.connection.execute(
            f"select distinct subject from backend.measures where vendor = %s and {sql_in_effect('%s')}", (vendor, at)
        )
        blocked = {Subject.parse(name) for (name,) in await cursor.fetchall()}
        containers = {one.serial: one for one in await self.containers(vendor)}
        return {
            one.licence: []
            if one.ended
            or containers[one.serial].returned >= containers[one.serial].generation
            or blocked
            & {
                Subject(Aim.LICENCE, one.licence, one.generation),
                Subject.way_in(containers[one.serial].kind, one.serial, containers[one.serial].generation),
            }
            else [one.generation]
            for one in await self.licences(vendor)
        }
