"""One breach of each invariant, planted into a world: what the product itself would never state."""

from collections.abc import Callable
from datetime import timedelta

from events.backend_facts import ContactRefused, ContainerRegistered, RecoveryReserved
from events.case_facts import CaseApproved, CaseClosed
from events.envelope import case_stream, container_stream, record_key
from events.ports.licensing_backend import Reservation
from events.terms import Action, CaseId, HolderId, Kind, Measure, Outcome, ProductId, Serial, VendorId
from tests.worlds import CODEC, MANUAL, PLAIN, QUOTA, Life, World

LOST, SPARE, OTHER = Serial("3-1"), Serial("3-2"), Serial("3-3")


def started(world: World, vendor: VendorId, product: ProductId = PLAIN) -> Life:
    """A vendor, a holder with a licence in a container, an empty one beside it, and a report of its loss."""
    world.add_vendor(vendor)
    life = Life(world, vendor, CaseId(f"{vendor}-1"), LOST, HolderId("h-1"), product)
    life.registers(LOST, SPARE)
    life.backend(LOST, life.licence("L-1", 1, LOST))
    life.reports("R-1")
    return life


def replaced(world: World, vendor: VendorId) -> Life:
    """The same, replaced by policy and watched for."""
    life = started(world, vendor)
    life.assessed("L-1")
    life.orders(Measure.BLACKLISTING)
    life.blocked()
    life.replaces(SPARE, "L-1")
    return life


def two_effective(world: World, vendor: VendorId) -> None:
    """A generation is issued into two containers."""
    life = replaced(world, vendor)
    life.registers(OTHER)
    life.backend(OTHER, life.licence("L-1", 2, OTHER, case=life.case))


def not_blocked(world: World, vendor: VendorId) -> None:
    """A replacement is issued, and the measures are ordered after it."""
    life = started(world, vendor)
    life.assessed("L-1")
    life.blocked()
    life.replaces(SPARE, "L-1")
    life.orders(Measure.BLACKLISTING)


def two_cases(world: World, vendor: VendorId) -> None:
    """One report is in two cases."""
    replaced(world, vendor)
    Life(world, vendor, CaseId(f"{vendor}-2"), LOST, HolderId("h-1")).reports("R-1")


def reported_after_a_rejection(world: World, vendor: VendorId, former: CaseId | None) -> None:
    """What a rejected case was about is of a new case, which names this former one."""
    life = started(world, vendor, MANUAL)
    life.assessed("L-1")
    life.decides("D-1", Action.REJECT)
    world.at += timedelta(minutes=1)
    again = Life(world, vendor, CaseId(f"{vendor}-2"), LOST, HolderId("h-1"), MANUAL)
    again.reports("R-2", former)
    again.assessed("L-1")


def to_another(world: World, vendor: VendorId) -> None:
    """The replacement goes to another holder."""
    life = started(world, vendor)
    life.backend(OTHER, ContainerRegistered(serial=OTHER, kind=Kind.DONGLE, holder="h-9"))
    life.assessed("L-1")
    life.orders(Measure.BLACKLISTING)
    life.blocked()
    life.replaces(OTHER, "L-1")


def not_listed(world: World, vendor: VendorId) -> None:
    """Somebody approves whom the policy does not list."""
    life = started(world, vendor, MANUAL)
    life.assessed("L-1")
    life.case_says([CaseApproved(decision="D-1", by="mallory", why="mine")])


def beyond_quota(world: World, vendor: VendorId) -> None:
    """More is set aside than the quota has."""
    life = started(world, vendor, QUOTA)
    fact = RecoveryReserved(case=life.case, serial=LOST, subjects=("holder/h-1",), ordinal=2, limit=1)
    life.backend(LOST, fact)
    life.assessed("L-1", reservation=Reservation(at=world.at, ordinal=1, limit=1))


def never_ends(world: World, vendor: VendorId) -> None:
    """The case is closed, and its measure has not ended."""
    replaced(world, vendor).case_says([CaseClosed(outcome=Outcome.LOST_FOR_EVER)])


def deleted(world: World, vendor: VendorId) -> None:
    """A fact is gone from the middle of a case's stream."""
    life = replaced(world, vendor)
    del world.streams[vendor, case_stream(life.case)][3]


def foreign(world: World, vendor: VendorId) -> None:
    """A contact stands under another vendor's key."""
    replaced(world, vendor)
    stream = world.streams[vendor, container_stream(LOST)]
    contact = ContactRefused(contact="C-1", serial=LOST, occurred=world.at, cases=())
    key = record_key(VendorId("other"), LOST)
    stream.append(CODEC.seal(vendor, container_stream(LOST), key, stream[-1].head, world.at, contact))


PLANTED: dict[int, Callable[[World, VendorId], None]] = {
    1: two_effective,
    2: not_blocked,
    3: two_cases,
    4: to_another,
    5: not_listed,
    6: beyond_quota,
    7: never_ends,
    8: deleted,
    9: foreign,
}
"""By the number of the invariant; each is planted with a vendor of its own."""
