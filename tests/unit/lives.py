"""Lives of cases as logs, for the tests of the audit, and the breaches that it finds in them."""

from datetime import timedelta
from typing import Any

from audit.breach import Breach
from audit.invariants import check
from events.backend_facts import LicenceSuperseded
from events.case_facts import CaseApproved, CaseDecided
from events.terms import Action, CaseId, Decision, HolderId, Measure, ProductId, Serial, VendorId
from tests.worlds import CODEC, MANUAL, PLAIN, Life, World

ACME, ZETA = VendorId("acme"), VendorId("zeta")
LOST, SPARE, OTHER = Serial("3-1"), Serial("3-2"), Serial("3-3")
DAY = timedelta(days=1)


def breaches_of(world: World) -> list[Breach]:
    return check(CODEC.unseal(record.value) for stream in world.streams.values() for record in stream)


def named(breaches: list[Breach]) -> list[tuple[int, str]]:
    return [(one.invariant, one.about) for one in breaches]


def started(product: ProductId = PLAIN) -> Life:
    """A vendor, a holder with a licence in a container, an empty one beside it, and a loss that policy decided on."""
    world = World()
    world.add_vendor(ACME)
    life = Life(world, ACME, CaseId("c-1"), LOST, HolderId("h-1"), product)
    life.registers(LOST, SPARE)
    life.backend(LOST, life.licence("L-1", 1, LOST))
    life.reports("R-1")
    return life


def replaced(product: ProductId = PLAIN) -> Life:
    """The same, replaced and watched for."""
    life = started(product)
    life.assessed("L-1")
    if product == MANUAL:
        life.decides("D-1", Action.APPROVE)
    life.orders(Measure.BLACKLISTING)
    life.blocked()
    life.replaces(SPARE, "L-1")
    return life


def superseded(life: Life, generation: int, serial: Serial, case: CaseId | None = None) -> Any:
    return LicenceSuperseded(licence="L-1", generation=generation, serial=serial, case=case or life.case)


def approves(life: Life, by: str, name: str = "D-1", **more: Any) -> None:
    """State an approval that the case itself would not have taken."""
    life.case_says([CaseApproved(decision=name, by=by, why="as I see it", **more)])


def decided(**more: Any) -> CaseDecided:
    return CaseDecided.model_validate(
        {"decision": Decision.AUTOMATIC, "reasons": ("so it is",), "policy_version": 1} | more
    )
