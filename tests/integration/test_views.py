"""What the views on PostgreSQL say of a story that was played in memory, as the backend there knows it."""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from events.envelope import Head, record_key
from events.statements import ContactStatement
from events.terms import Kind, Reason, Reporter, ReportId, Role
from portal.cli.reports import case_of
from projections.read.queries import open_queries
from simulation.world import BEGIN, World
from tests.integration.logs import PARTITIONS, Log, own_log
from tests.integration.test_projector import fold_all
from tests.services import Services
from tests.worlds import CODEC, as_log
from workflows.policy import Policy

pytestmark = pytest.mark.integration
CRM = Reporter(role=Role.BACK_OFFICE, name="crm")
H2 = Reporter(role=Role.HOLDER, name="h-2")


@pytest.fixture
async def log(shared: Services, tmp_path: Path) -> AsyncIterator[Log]:
    async with own_log(shared.settings, tmp_path) as log:
        yield log


async def viewed(log: Log, story: Callable[[World], None]) -> World:
    """The story, played in memory and folded into the views."""
    world = World(Policy(supervisors=("ann",)))
    story(world)
    heads: dict[str, Head] = defaultdict(Head)
    records = []
    for one in world.facts:
        serial = "D-1" if one.stream.startswith("case/") else getattr(one.fact, "serial", None)
        key = record_key(one.vendor, serial)
        sealed = CODEC.seal(one.vendor, one.stream, key, heads[one.stream], one.recorded, one.fact)
        heads[one.stream] = sealed.head
        records.append(sealed)
    await fold_all(log, as_log(records, PARTITIONS))
    return world


async def test_the_last_contact_is_the_one_that_was_received_last(log: Log) -> None:
    def story(world: World) -> None:
        world.register("D-1", Kind.DONGLE, "h-1")
        for name, hours in (("c-1", 5), ("c-2", 1)):  # the second one waited behind another record
            received = BEGIN + timedelta(hours=hours)
            statement = ContactStatement(contact=name, serial="D-1", occurred=received)
            world._ask(world.stage.backend.contact(world.vendor, statement, received))

    world = await viewed(log, story)

    (known,) = world.containers
    async with open_queries(log.dsn) as views:
        shown = await views.container(world.vendor, "D-1")
    assert shown is not None
    assert shown.last_contact == known.last_contact == BEGIN + timedelta(hours=5)


async def test_a_licence_has_its_changed_terms_and_is_not_effective_once_its_contract_has_ended(log: Log) -> None:
    def story(world: World) -> None:
        world.register("D-1", Kind.DONGLE, "h-1")
        for name in ("L-1", "L-2"):
            world.licence(name, "D-1", value_cents=5)
        world.change_licence(licence="L-1", revision=1, product="cam", value_cents=7)
        world.end_licence("L-1", 1, BEGIN)

    world = await viewed(log, story)

    async with open_queries(log.dsn) as views:
        shown = await views.container(world.vendor, "D-1", world.now)
    assert shown is not None
    known = {
        one.licence: (one.product, one.value_cents, one.ended, [one.generation] * one.effective)
        for one in shown.licences
    }
    assert known == {"L-1": ("cam", 7, BEGIN, []), "L-2": ("cad", 5, None, [1])}
    assert {name: found[3] for name, found in known.items()} == world.effective()


async def test_the_blacklist_forgets_a_container_that_several_cases_made_good_again(log: Log) -> None:
    def story(world: World) -> None:
        world.register("D-1", Kind.DONGLE, "h-1")
        world.licence("L-1", "D-1")
        first = world.report("R-1", "D-1", Kind.DONGLE, Reason.LOST, CRM)
        world.licence("L-2", "D-1")
        second = world.report("R-2", "D-1", Kind.DONGLE, Reason.LOST, CRM)
        world.decide(first, "approve", "ann", "d-0")
        world.contact("c-1", "D-1")  # refused: both blacklistings are confirmed
        world.found("F-1", "D-1", CRM)
        world.decide(first, "rule", "ann", "d-1", verdict="found")
        world.decide(second, "rule", "ann", "d-2", verdict="found")
        world.decide(first, "resume", "ann", "d-4")

    world = await viewed(log, story)

    assert all(world.effective().values())
    async with open_queries(log.dsn) as views:
        shown = await views.container(world.vendor, "D-1")
        listed = await views.blacklist(world.vendor, world.now)
    assert shown is not None
    assert (shown.status, listed) == ("good", [])


async def test_evidence_is_for_the_report_of_whoever_brings_it(log: Log) -> None:
    cases = []

    def story(world: World) -> None:
        for number in (1, 2):
            world.register(f"D-{number}", Kind.DONGLE, f"h-{number}")
            world.licence(f"L-{number}", f"D-{number}")
        cases.append(world.report("R-4", "D-1", Kind.DONGLE, Reason.LOST, CRM))
        cases.append(world.report("R-4", "D-2", Kind.DONGLE, Reason.LOST, H2))

    world = await viewed(log, story)

    async with open_queries(log.dsn) as views:
        known = await views.reports_of(world.vendor, ReportId("R-4"))
    assert [case_of("R-4", known, role, by) for role, by in ((Role.BACK_OFFICE, "crm"), (Role.HOLDER, "h-2"))] == cases
