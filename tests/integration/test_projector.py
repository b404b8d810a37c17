"""The projector and the rebuild on a real PostgreSQL and Kafka: exact rows, all or nothing."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from events.backend_facts import (
    ActivationReturned,
    CaseAddressed,
    ContainerActivated,
    DelegationGiven,
    MeasureOrdered,
)
from events.envelope import Head, Sealed, container_stream, record_key
from events.log_errors import Damage, LogDamagedError, NewerReleaseError, PositionGapError
from events.log_records import LogRecord, Position
from events.postgres_sessions import open_session
from events.terms import CaseId, HolderId, Kind, LicenceId, Reason, Serial, VendorId
from projections.digests import digest
from projections.drivers import resilient_projector
from projections.drivers.common import batches_of
from projections.drivers.resilient_projector import SteadyProjector
from projections.projector import Batch, fold_batch
from projections.read.queries import open_queries
from projections.rebuild import LOCK, RebuildRunningError, rebuild
from tests.integration.logs import PARTITIONS, Log
from tests.later import LATER, LaterRegistered
from tests.stories import delegate, find, open_access, ponder, spend
from tests.view_oracle import expected
from tests.worlds import CODEC, NOW, STEPS, Life, World, as_log, interleaved

pytestmark = pytest.mark.integration

ACME, ZETA, NOBODY = VendorId("acme"), VendorId("zeta"), VendorId("nobody")


def written(seed: int = 0, losses: int = 12) -> list[Sealed]:
    """A world's records, interleaved, with some copies."""
    dice = random.Random(seed)
    world = World()
    for vendor in (ACME, ZETA):
        world.add_vendor(vendor)
    for number in range(losses):
        steps = STEPS if number < losses // 2 else dice.randint(1, STEPS)
        world.lose(dice.choice([ACME, ZETA]), number, steps, dice.random() < 0.3, dice.random() < 0.3)
    streams = list(world.streams.values())
    records = interleaved(streams, [dice.randrange(1000) for _ in range(sum(map(len, streams)))])
    for _ in range(10):
        at = dice.randrange(len(records))
        records.insert(dice.randint(at + 1, len(records)), records[at])
    return records


@pytest.fixture
async def connection(log: Log) -> AsyncIterator[AsyncConnection]:
    async with await AsyncConnection.connect(log.dsn, autocommit=True) as connection:
        yield connection


class Watched(AsyncConnection[Any]):
    """Looks after each exchange with the server what that is waiting for; `watcher` asks."""

    watcher: AsyncConnection[Any]
    seen: list[Any]

    async def wait(self, *args: Any, **kwargs: Any) -> Any:
        answer = await super().wait(*args, **kwargs)
        query = "select state, wait_event from pg_stat_activity where pid = %s"
        self.seen.append(await (await self.watcher.execute(query, (self.info.backend_pid,))).fetchone())
        return answer


def by_partition(records: list[LogRecord]) -> dict[int, list[LogRecord]]:
    return {p: [r for r in records if r.position.partition == p] for p in range(PARTITIONS)}


@pytest.mark.parametrize("seed", range(4))
async def test_batches_of_any_size_in_any_order_of_partitions_give_the_rows_that_the_facts_say(
    log: Log, connection: AsyncConnection, seed: int
) -> None:
    dice = random.Random(seed)
    records = as_log(written(seed), PARTITIONS)
    left = by_partition(records)
    while any(left.values()):
        partition = dice.choice([p for p, waiting in left.items() if waiting])
        size = dice.randint(1, 30)
        batch = Batch(partition, left[partition][0].position.offset, left[partition][:size])

        after = await fold_batch(connection, CODEC, batch)

        assert after >= batch.records[-1].position.offset + 1
        left[partition] = left[partition][dice.randint(1, size) :]  # what is not cut off is offered again

    assert await log.rows() == expected(records)
    assert await log.positions() == {p: len(waiting) for p, waiting in by_partition(records).items()}


async def test_the_same_batch_folded_by_two_at_once_counts_once(log: Log, connection: AsyncConnection) -> None:
    records = as_log(written(), PARTITIONS)
    async with await AsyncConnection.connect(log.dsn, autocommit=True) as other:
        for batch in batches_of(records):
            await asyncio.gather(fold_batch(connection, CODEC, batch), fold_batch(other, CODEC, batch))

    assert await log.rows() == expected(records)


async def test_a_projector_frozen_in_the_midst_of_a_batch_is_between_two_statements(
    log: Log, connection: AsyncConnection
) -> None:
    """Then a timeout of PostgreSQL's ends it. It ends no statement whose rest does not come, as that of a COPY."""
    records = by_partition(as_log(written(), PARTITIONS))
    async with await Watched.connect(log.dsn, autocommit=True) as frozen:
        frozen.watcher, frozen.seen = connection, []
        for partition, some in records.items():
            await fold_batch(frozen, CODEC, Batch(partition, 0, some))

    assert len(frozen.seen) > 10 * len(records)
    assert ("active", "ClientRead") not in frozen.seen


async def test_a_projector_that_thaws_after_its_transaction_was_ended_begins_it_again(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resilient_projector, "OPTIONS", "-c idle_in_transaction_session_timeout=200ms")
    ended: list[int] = []

    async def operation(connection: AsyncConnection[Any]) -> str:
        async with connection.transaction():
            await connection.execute("select 1")
            if not ended:
                ended.append(connection.info.backend_pid)
                await _is_gone(log, ended[0])
            await connection.execute("select 2")
            return "done"

    projector = SteadyProjector(log.bootstrap, log.dsn, CODEC, log.register)
    try:
        assert await projector._outlasting_outages(operation) == "done"
    finally:
        await projector.close()


async def test_a_projector_waits_for_a_database_that_is_being_switched_over_and_stops_no_partition(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    await log.write(written())
    records = await log.read()
    read_only = ["-c default_transaction_read_only=on"] * 2

    async def opened(dsn: str, options: str) -> AsyncConnection[Any]:
        return await open_session(dsn, f"{options} {read_only.pop() if read_only else ''}")

    monkeypatch.setattr(resilient_projector, "open_session", opened)
    projector = SteadyProjector(log.bootstrap, log.dsn, CODEC, log.register)
    try:
        for batch in batches_of(records):
            await projector.fold(batch)
        assert not projector.stopped
    finally:
        await projector.close()

    assert not read_only
    assert await log.rows() == expected(records)


async def _is_gone(log: Log, session: int) -> None:
    query = "select from pg_stat_activity where pid = %s"
    async with asyncio.timeout(20), await AsyncConnection.connect(log.dsn, autocommit=True) as connection:
        while await (await connection.execute(query, (session,))).fetchone():  # noqa: ASYNC110 - another process ends it
            await asyncio.sleep(0.05)


async def test_a_batch_that_begins_beyond_the_position_changes_nothing(log: Log, connection: AsyncConnection) -> None:
    records = by_partition(as_log(written(), PARTITIONS))[0]
    await fold_batch(connection, CODEC, Batch(0, 0, records[:5]))
    before = await log.rows()

    with pytest.raises(PositionGapError) as caught:
        await fold_batch(connection, CODEC, Batch(0, 6, records[6:]))

    assert caught.value.position == Position(0, 5)
    assert (await log.rows(), await log.positions()) == (before, {0: 5})


async def test_of_a_batch_with_a_damaged_record_nothing_is_written(log: Log, connection: AsyncConnection) -> None:
    records = by_partition(as_log(written(), PARTITIONS))[0]
    await fold_batch(connection, CODEC, Batch(0, 0, records[:5]))
    before = await log.rows()
    rubbish = LogRecord(Position(0, 9), b"acme/3-1", b"rubbish")

    with pytest.raises(LogDamagedError) as caught:
        await fold_batch(connection, CODEC, Batch(0, 5, [*records[5:9], rubbish]))

    assert (caught.value.code, caught.value.position) == (Damage.UNREADABLE, Position(0, 9))
    assert (await log.rows(), await log.positions()) == (before, {0: 5})


async def test_what_was_left_out_is_read_again_from_the_log(log: Log) -> None:
    await log.write(written())
    records = await log.read()
    projector = SteadyProjector(log.bootstrap, log.dsn, CODEC, log.register)
    try:
        for partition, waiting in by_partition(records).items():
            await projector.fold(Batch(partition, waiting[-1].position.offset, waiting[-1:]))
    finally:
        await projector.close()

    assert await log.rows() == expected(records)


async def fold_all(log: Log, records: list[LogRecord]) -> None:
    async with await AsyncConnection.connect(log.dsn, autocommit=True) as connection:
        for batch in batches_of(records):
            await fold_batch(connection, CODEC, batch)


async def test_a_rebuild_finds_what_was_folded_equal_and_the_views_go_on_from_there(log: Log) -> None:
    records = written()
    half = len(records) // 2
    await log.write(records[:half])
    await fold_all(log, await log.read())
    before = await digest(log.dsn)

    report = await rebuild(log.bootstrap, log.dsn, CODEC)

    assert report.equal
    assert {name: table.rebuilt for name, table in report.tables.items()} == await digest(log.dsn) == before
    await log.write(records[half:])
    await fold_all(log, await log.read())
    assert await log.rows() == expected(await log.read())


async def test_a_rebuild_beside_views_that_lag_compares_at_their_positions_and_then_goes_on(log: Log) -> None:
    await log.write(written())
    records = await log.read()
    await fold_all(log, records[:20])
    lagging = await log.positions()

    report = await rebuild(log.bootstrap, log.dsn, CODEC)

    assert (report.equal, report.compared_at) == (True, lagging)
    assert await log.rows() == expected(records)


async def test_a_rebuild_names_the_table_that_was_wrong_and_mends_it(log: Log) -> None:
    await log.write(written())
    records = await log.read()
    await fold_all(log, records)
    async with log.views() as connection:
        await connection.execute("update containers set holder = 'mallory' where serial = '3-1'")

    report = await rebuild(log.bootstrap, log.dsn, CODEC)

    assert [name for name, table in report.tables.items() if not table.equal] == ["containers"]
    assert await log.rows() == expected(records)


async def test_a_damaged_log_is_not_rebuilt_and_the_views_stay_as_they_were(log: Log) -> None:
    records = written()
    await log.write(records)
    await fold_all(log, await log.read())
    before = await digest(log.dsn)
    await log.write([Sealed(b"acme/3-1", b"rubbish", records[0].head)])

    with pytest.raises(LogDamagedError):
        await rebuild(log.bootstrap, log.dsn, CODEC)

    assert await digest(log.dsn) == before


async def test_a_rebuild_in_several_processes_gives_the_same_rows_and_tells_how_far_it_is(log: Log) -> None:
    await log.write(written())
    records = await log.read()
    await fold_all(log, records)
    calls: list[tuple[int, int]] = []

    report = await rebuild(log.bootstrap, log.dsn, CODEC, lambda done, of: calls.append((done, of)), share_records=10)

    assert report.equal
    assert await log.rows() == expected(records)
    assert calls[-1] == (len(records), len(records))
    assert calls == sorted(calls)


@pytest.mark.parametrize("key", [b"acme/3-1", b"zeta/3-1", b"acme/", b"x", b"y"])
async def test_damage_stops_a_rebuild_in_whichever_process_it_is_found(log: Log, key: bytes) -> None:
    records = written()
    await log.write([*records, Sealed(key, b"rubbish", records[0].head)])
    before = await digest(log.dsn)

    with pytest.raises(LogDamagedError) as caught:
        await rebuild(log.bootstrap, log.dsn, CODEC, share_records=10)

    assert caught.value.code is Damage.UNREADABLE
    assert "it cannot be read" in str(caught.value)
    assert await digest(log.dsn) == before


@pytest.mark.parametrize("serial", ["3-1", "3-2", "3-3", "3-4"])
async def test_a_fact_of_a_later_release_stops_a_rebuild_of_this_one_in_whichever_process_and_none_of_that(
    log: Log, serial: str
) -> None:
    key = record_key(NOBODY, Serial(serial))
    registered = LaterRegistered(serial=serial, kind=Kind.DONGLE, holder="h-1", site="a car", words=2)
    await log.write([*written(), LATER.seal(NOBODY, container_stream(Serial(serial)), key, Head(), NOW, registered)])
    before = await digest(log.dsn)

    with pytest.raises(NewerReleaseError, match=r"install release 0\.4\.0 or a later one"):
        await rebuild(log.bootstrap, log.dsn, CODEC, share_records=10)
    assert await digest(log.dsn) == before

    report = await rebuild(log.bootstrap, log.dsn, LATER, share_records=10)
    assert report.records == len(await log.read())
    assert (NOBODY, serial) in {row[:2] for row in (await log.rows())["containers"]}


async def test_one_rebuild_at_a_time(log: Log) -> None:
    async with await AsyncConnection.connect(log.dsn, autocommit=True) as other:
        await other.execute("select pg_advisory_lock(%s)", (LOCK,))

        with pytest.raises(RebuildRunningError):
            await rebuild(log.bootstrap, log.dsn, CODEC)


async def test_doors_read_a_case_with_its_measures_replacements_and_history(log: Log) -> None:
    world = World()
    world.lose(ACME, 1)
    world.lose(ZETA, 1, steps=2)
    await fold_all(log, as_log([r for stream in world.streams.values() for r in stream], PARTITIONS))

    async with open_queries(log.dsn) as queries:
        case = await queries.case(ACME, CaseId("c-1"))
        generations = await queries.licence(ACME, LicenceId("L-1a"))
        foreign = await queries.case(ZETA, CaseId("c-1"))

    assert case is not None
    assert (case.status, case.outcome, case.target) == ("closed", "clone", "4-1")
    assert [fact.sequence for fact in case.history] == list(range(1, 12))
    assert (case.material, case.awaited) == (11, None)
    assert [(flag.holder, flag.verdict) for flag in case.flags] == [("h-1", "clone")]
    assert [(licence.licence, licence.generation) for licence in case.replacements] == [("L-1a", 2), ("L-1b", 2)]
    assert [(g.generation, g.effective, g.serial) for g in generations] == [(1, False, "3-1"), (2, True, "4-1")]
    assert foreign is None


@pytest.mark.parametrize("aim", ["licence/L-1a/1", "container/3-1/1"])
async def test_a_licence_that_is_blocked_or_whose_container_is_is_not_effective(log: Log, aim: str) -> None:
    world = World()
    for vendor in (ACME, ZETA):
        world.lose(vendor, 1, steps=2)
    ordered = {"case": "c-9", "measure": "blacklisting", "subject": aim, "serial": "3-1"}
    later = NOW + timedelta(hours=4)
    fact = MeasureOrdered.model_validate({**ordered, "effective": later})
    world.say(ACME, "container/3-1", Serial("3-1"), fact)
    await fold_all(log, as_log([r for stream in world.streams.values() for r in stream], PARTITIONS))

    async def effective(vendor: VendorId, at: datetime) -> dict[str, bool]:
        async with open_queries(log.dsn) as queries:
            container = await queries.container(vendor, Serial("3-1"), at)
            (licence,) = await queries.licence(vendor, LicenceId("L-1a"), at)
        assert container is not None
        shown = {one.licence: one.effective for one in container.licences}
        assert shown["L-1a"] == licence.effective
        return shown

    assert await effective(ACME, later - timedelta(seconds=1)) == {"L-1a": True, "L-1b": True}
    assert await effective(ACME, later) == {"L-1a": False, "L-1b": aim.startswith("licence")}
    assert await effective(ZETA, later) == {"L-1a": True, "L-1b": True}


@pytest.mark.parametrize("bound_anew", [False, True])
async def test_a_licence_is_not_effective_once_its_activation_was_given_back_and_is_once_it_is_bound_anew(
    log: Log, bound_anew: bool
) -> None:
    world, serial = World(), Serial("3-1")
    world.lose(ACME, 1, steps=2)
    returned = ActivationReturned(contact="C-9", serial=serial, generation=1, receipt="a receipt")
    anew = ContainerActivated(serial=serial, generation=2, fingerprint={"board": "b2"}, case=CaseId("c-9"))
    for fact in (returned, anew) if bound_anew else (returned,):
        world.say(ACME, "container/3-1", serial, fact)
    await fold_all(log, as_log([r for stream in world.streams.values() for r in stream], PARTITIONS))

    async with open_queries(log.dsn) as queries:
        (licence,) = await queries.licence(ACME, LicenceId("L-1a"), NOW + timedelta(days=1))

    assert licence.effective is bound_anew


@pytest.mark.parametrize(
    ("steps", "blocked", "effective"),
    [
        (3, None, True),  # reported
        (4, None, False),  # blocked
        (5, None, True),  # rotated, and yet to be set
        (6, None, True),
        (5, 2, False),  # stolen again
        (8, 2, False),  # a reset is under way
        (8, 3, True),
    ],
)
async def test_a_licence_in_the_cloud_is_effective_unless_the_current_access_data_are_blocked(
    log: Log, steps: int, blocked: int | None, effective: bool
) -> None:
    world, serial = World(), Serial("7-1")
    world.add_vendor(ACME)
    open_access(world, ACME, 1, steps=steps)
    life = Life(world, ACME, CaseId("c-9"), serial, HolderId("h-c1"), kind=Kind.CLOUD, reason=Reason.STOLEN)
    life.backend(serial, life.licence("L-1", 1, serial))
    if blocked is not None:
        aim = {"case": "c-9", "measure": "blacklisting", "subject": f"access_data/7-1/{blocked}", "serial": "7-1"}
        life.backend(serial, MeasureOrdered.model_validate({**aim, "effective": NOW}))
    await fold_all(log, as_log([r for stream in world.streams.values() for r in stream], PARTITIONS))

    async with open_queries(log.dsn) as queries:
        (licence,) = await queries.licence(ACME, LicenceId("L-1"), NOW + timedelta(days=3650))

    assert licence.effective is effective


async def test_who_decides_sees_goodwill_conditions_and_whom_the_case_waits_for(log: Log) -> None:
    world = World()
    world.add_vendor(ACME)
    spend(world, ACME, 1)
    ponder(world, ACME, 1, steps=7)
    open_access(world, ACME, 1, steps=4)
    await fold_all(log, as_log([r for stream in world.streams.values() for r in stream], PARTITIONS))

    async with open_queries(log.dsn) as queries:
        granted = await queries.case(ACME, CaseId("u-1"))
        bridged = await queries.case(ACME, CaseId("e-1"))
        cloud = await queries.container(ACME, Serial("7-1"))

    assert granted is not None
    assert bridged is not None
    assert cloud is not None
    assert granted.goodwill == "bob"
    assert bridged.condition == "the police report"
    assert bridged.condition_until == bridged.watch_until
    assert bridged.awaited is not None
    assert bridged.awaited.by == ("ann", "bob", "eve")
    assert cloud.status == "access data blocked"


async def views_of(log: Log, *stories: Callable[[World], None]) -> None:
    """The views of a log with these stories of acme."""
    world = World()
    world.add_vendor(ACME)
    for story in stories:
        story(world)
    await fold_all(log, as_log([r for stream in world.streams.values() for r in stream], PARTITIONS))


async def test_a_case_whose_loss_is_not_known_yet_says_nothing_of_its_exposure(log: Log) -> None:
    await views_of(log, lambda world: world.lose(ACME, 1, steps=3), lambda world: world.lose(ACME, 2))

    async with open_queries(log.dsn) as queries:
        reported = await queries.case(ACME, CaseId("c-1"))
        decided = await queries.case(ACME, CaseId("c-2"))

    assert reported is not None
    assert decided is not None
    assert (reported.status, reported.exposure) == ("reported", None)
    assert decided.exposure is not None
    assert {one.licence for one in decided.exposure.licences} == {"L-2a", "L-2b"}


async def test_the_blacklist_leaves_out_what_was_confirmed_of_a_container_that_its_case_made_good_again(
    log: Log,
) -> None:
    def found(world: World) -> None:
        find(world, ACME, 1, confirmed=True)

    def one_stays_lost(world: World) -> None:
        world.lose(ACME, 2)

    await views_of(log, found, one_stays_lost)

    async with open_queries(log.dsn) as queries:
        blacklist = await queries.blacklist(ACME, NOW + timedelta(days=1))
        container = await queries.container(ACME, Serial("16-1"), NOW + timedelta(days=1))

    assert [(one.case_id, str(one.subject)) for one in blacklist] == [("c-2", "container/3-2/1")]
    assert container is not None
    assert (container.status, container.generation) == ("good", 2)
    assert [(str(one.subject), one.state) for one in container.measures] == [("container/16-1/1", "confirmed")]


@pytest.mark.parametrize(
    ("steps", "access"),
    [
        (1, []),
        (2, [(1, "set")]),
        (5, [(2, "offered"), (1, "set")]),
        (6, [(2, "set")]),
    ],
)
async def test_a_cloud_container_shows_the_access_data_that_are_set_and_those_that_are_owed(
    log: Log, steps: int, access: list[tuple[int, str]]
) -> None:
    await views_of(log, lambda world: open_access(world, ACME, 1, steps=steps))

    async with open_queries(log.dsn) as queries:
        cloud = await queries.container(ACME, Serial("7-1"), NOW)
        later = await queries.container(ACME, Serial("7-1"), NOW + timedelta(days=1))

    assert cloud is not None
    assert later is not None
    assert [(one.generation, one.state) for one in cloud.access] == access
    too_old = [(number, "too_old" if state == "offered" else state) for number, state in access]
    assert [(one.generation, one.state) for one in later.access] == too_old


@pytest.mark.parametrize(
    ("sought", "at", "found"),
    [
        ({}, NOW, [("G-1", False), ("G-2", False), ("G-3", True)]),
        ({}, NOW + timedelta(days=9), [("G-1", False), ("G-2", False), ("G-3", False)]),
        ({"delegate": "corp:seller|8"}, NOW, [("G-3", True)]),
        ({"holder": "h-3"}, NOW, [("G-2", False), ("G-3", True)]),
        ({"holder": "h-9"}, NOW, []),
    ],
)
async def test_delegations_are_found_by_delegate_and_holder_and_say_whether_they_stand(
    log: Log, sought: dict[str, str], at: datetime, found: list[tuple[str, bool]]
) -> None:
    said: dict[str, Any] = {"by": "crm", "on_behalf_of": None, "door": "inbox", "received": NOW}
    other = DelegationGiven(
        delegation="G-3", delegate="corp:seller|8", holders=("h-3", "h-4"), until=NOW + timedelta(days=9), **said
    )
    await views_of(log, lambda world: delegate(world, ACME), lambda world: world.say(ACME, "vendor", None, other))

    async with open_queries(log.dsn) as queries:
        delegations = await queries.delegations(ACME, at, sought.get("delegate"), sought.get("holder"), 100)

    assert sorted((one.delegation, one.stands) for one in delegations) == found
    assert {one.holders for one in delegations if one.delegation == "G-3"} <= {("h-3", "h-4")}


def joins_late(world: World) -> None:
    """A report joins a case that is over: the backend states it."""
    said = {"statement": "report/R-late", "by": "crm", "role": "back_office", "door": "a test", "received": NOW}
    late = CaseAddressed.model_validate({"case": "c-2", "serial": "3-2"} | said)
    world.say(ACME, "container/3-2", Serial("3-2"), late)


@pytest.mark.parametrize(
    ("sought", "cases"),
    [
        ({}, ["c-3", "c-2", "c-1"]),
        ({"serial": "3-2"}, ["c-2"]),
        ({"serial": "4-2"}, ["c-2"]),
        ({"holder": "h-3"}, ["c-3"]),
        ({"ticket": "T-L-1b"}, ["c-1"]),
        ({"report": "R-2"}, ["c-2"]),
        ({"report": "R-3-2"}, ["c-3"]),
        ({"report": "R-3", "holder": "h-1"}, []),
        ({"report": "R-late"}, ["c-2"]),
        ({"status": "watching"}, ["c-3", "c-1"]),
        ({"status": "closed", "ticket": "T-L-2a"}, ["c-2"]),
        ({"ticket": "T-nobody"}, []),
        ({"is_open": True}, ["c-3", "c-1"]),
        ({"is_open": True, "status": "closed"}, []),
    ],
)
async def test_cases_are_found_by_serial_holder_ticket_and_report(
    log: Log, sought: dict[str, Any], cases: list[str]
) -> None:
    await views_of(
        log,
        lambda world: world.lose(ACME, 1, steps=8),
        lambda world: world.lose(ACME, 2),
        lambda world: world.lose(ACME, 3, steps=8, again=True),
        lambda world: joins_late(world),
    )

    async with open_queries(log.dsn) as queries:
        found = await queries.cases(ACME, **sought)
        count = await queries.count_cases(ACME, **sought)
        first = await queries.case(ACME, CaseId(found[0].case_id)) if found else None

    assert count == len(found)
    assert first is None or (first.reasons, first.value_cents) == (found[0].reasons, found[0].value_cents)
    assert all(case.due is None for case in found if case.status == "closed")
    assert [case.case_id for case in found] == cases


async def test_the_blacklist_holds_a_measure_without_delay_from_its_order_on_whatever_a_clock_says(log: Log) -> None:
    await views_of(log, lambda world: world.lose(ACME, 1))

    async with open_queries(log.dsn) as queries:
        behind = await queries.blacklist(ACME, NOW - timedelta(hours=1))
        container = await queries.container(ACME, Serial("3-1"), NOW - timedelta(hours=1))

    assert [str(one.subject) for one in behind] == ["container/3-1/1"]
    assert container is not None
    assert container.status == "blocked"
