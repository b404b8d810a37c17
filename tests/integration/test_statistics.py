"""What PostgreSQL reads for a case does not depend on how many there are: on a fresh installation that it has no
statistics of, and where a vendor is new to it."""

from collections.abc import AsyncIterator

import pytest
from psycopg import AsyncConnection

from activities.backend_schema import migrate
from events.statements import ContainerStatement, LicenceStatement
from events.terms import Kind, VendorId
from infra.settings import Settings
from infra.statistics import analyse_grown
from infra.wiring import keys, open_backend
from projections import store
from projections.tables import FOLDED
from projections.view_schemas import current, prepare_views, use
from tests.contract.observer import DatabaseObserver
from tests.contract.stock import NOW, WEEKLY, SetClock, Stock
from tests.services import Services
from workflows.policy import Policy

pytestmark = pytest.mark.integration

MANY = 400
LOSSES = 20


@pytest.fixture(scope="module")
async def fresh(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    """A PostgreSQL of its own, in which nobody analyses anything by himself."""
    async with Services(tmp_path_factory.mktemp("fresh"), "postgres") as services:
        settings = services.settings
        async with await AsyncConnection.connect(settings.dsn, autocommit=True) as connection:
            await connection.execute("alter system set autovacuum = off")
            await connection.execute("select pg_reload_conf()")
        migrate(settings.dsn)
        await prepare_views(settings.dsn)
        yield settings


async def test_a_table_is_analysed_again_when_it_holds_twice_as_much(fresh: Settings) -> None:
    async with await AsyncConnection.connect(fresh.dsn, autocommit=True) as connection:
        await connection.execute("create schema if not exists views_0_1")
        await connection.execute("create table views_0_1.grows (n int)")

        async def analysed_after(rows: int) -> list[str]:
            await connection.execute("insert into views_0_1.grows select generate_series(1, %s)", (rows,))
            await connection.execute("select pg_stat_force_next_flush()")
            return [name for name in await analyse_grown(connection) if name == "views_0_1.grows"]

        assert await analysed_after(49) == []
        assert await analysed_after(1) == ["views_0_1.grows"]
        assert await analysed_after(49) == []
        assert await analysed_after(1) == ["views_0_1.grows"]
        assert await analysed_after(0) == []
        await connection.execute("drop schema views_0_1 cascade")


async def test_a_fold_looks_its_rows_up_in_tables_without_statistics(fresh: Settings) -> None:
    async with await AsyncConnection.connect(fresh.dsn) as connection:
        schema = await current(connection)
        assert schema is not None
        await use(connection, schema)
        await connection.execute(
            "insert into streams select 'acme', 'container/' || n, 0, 1, '' from generate_series(1, 3000) n"
        )
        for table in FOLDED:
            statement = store._select(table)
            for number in range(statement.count("%s")):
                statement = statement.replace("%s", f"${number + 1}", 1)
            lines = await (await connection.execute(f"explain (generic_plan) {statement}")).fetchall()
            plan = "\n".join(line for (line,) in lines)
            assert "Seq Scan" not in plan, f"{table.name}:\n{plan}"
        await connection.rollback()


async def test_a_case_among_many_costs_no_more_than_one_among_few(fresh: Settings) -> None:
    """A vendor's first cases, then more among a thousand others, then the first of a vendor who comes after them."""
    first, second = VendorId("first"), VendorId("second")
    blocks = []
    for vendor, serials in ((first, range(MANY)), (first, range(MANY, 4 * MANY)), (second, range(MANY))):
        await _stock(fresh, vendor, serials)
        await _lose(fresh, vendor, serials[:LOSSES])  # what comes into the tables of cases
        await _analyse(fresh)
        before = await _blocks(fresh)
        await _lose(fresh, vendor, serials[LOSSES : 2 * LOSSES])
        blocks.append((await _blocks(fresh) - before) / LOSSES)
    assert max(blocks[1:]) < 1.5 * blocks[0], blocks


async def _stock(settings: Settings, vendor: VendorId, serials: range) -> None:
    keys(settings).create(vendor)
    async with open_backend(settings) as backend:
        await backend.add_vendor(vendor, Policy().model_dump(mode="json"), NOW)
        for number in serials:
            for serial in (f"3-{number}", f"3-{number}-s"):
                statement = ContainerStatement(serial=serial, kind=Kind.DONGLE, holder=f"h-{number}")
                await backend.register_container(vendor, statement, NOW)
            licence = LicenceStatement(
                **{"licence": f"L-{number}", "serial": f"3-{number}", "product": "cad", "ticket": f"T-{number}"},
                **{"issued": NOW, "lease": WEEKLY},
            )
            await backend.register_licence(vendor, licence, NOW)


async def _lose(settings: Settings, vendor: VendorId, serials: range) -> None:
    clock = SetClock(NOW)
    async with (
        open_backend(settings, clock=clock) as backend,
        await AsyncConnection.connect(settings.dsn, autocommit=True) as connection,
    ):
        stock = Stock(backend, DatabaseObserver(connection, vendor), vendor, clock)
        for number in serials:
            loss = stock.loss(f"3-{number}").model_copy(update={"report": f"R-{number}"})
            order = await stock.ordered(loss)
            await backend.issue(order)


async def _analyse(settings: Settings) -> None:
    async with await AsyncConnection.connect(settings.dsn, autocommit=True) as connection:
        await analyse_grown(connection)


async def _blocks(settings: Settings) -> float:
    """How many blocks of tables and indexes were read so far, by sessions that have ended."""
    async with await AsyncConnection.connect(settings.dsn) as connection:
        cursor = await connection.execute(
            "select sum(coalesce(heap_blks_hit, 0) + coalesce(heap_blks_read, 0)"
            " + coalesce(idx_blks_hit, 0) + coalesce(idx_blks_read, 0))"
            " from pg_statio_user_tables where schemaname = 'backend'"
        )
        row = await cursor.fetchone()
        assert row is not None
        return float(row[0])
