"""Leases: when a file ends, when its check-in is due, and which facts follow when none comes: pure functions."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from activities.licensing.containers import Container, Licence
from events.backend_facts import LeaseDueSoon, LeaseFact, LeaseLapsed, LeaseOverdue
from events.lease import Lease
from events.measure_subject import Subject
from events.terms import Aim, LicenceId

MOST_NOTICE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Stage:
    """How far a lease has come, and what is then stated."""

    name: str
    begins: datetime
    fact: type[LeaseFact]


def expiry(lease: Lease, issued: datetime, ends: datetime | None) -> datetime | None:
    """When a file issued at `issued` ends: with its lease, and no later than the stop-gap that it is."""
    return min((end for end in (lease.expiry(issued), ends) if end is not None), default=None)


def stages(lease: Lease, issued: datetime, expires: datetime | None) -> tuple[Stage, ...]:
    """What a file's lease comes to, in order; nothing where no check-in is asked for. Soon due is the last quarter of
    the interval, and at most 7 days; a file that ends before its check-in is due at its end."""
    if lease.check_in is None or expires is None:
        return ()
    due = min(lease.check_in.after(issued), expires)
    soon = due - min((due - issued) / 4, MOST_NOTICE)
    return (
        Stage("due_soon", soon, LeaseDueSoon),
        Stage("overdue", due, LeaseOverdue),
        Stage("lapsed", expires, LeaseLapsed),
    )


def first_notice(lease: Lease, issued: datetime, expires: datetime | None) -> datetime | None:
    """When something is first to be stated of a file's lease."""
    return next((stage.begins for stage in stages(lease, issued, expires)), None)


def to_come(licence: Licence, stage: str | None) -> tuple[Stage, ...]:
    """The stages of a licence's lease after this one."""
    every_stage = stages(licence.terms, licence.issued, licence.expires)
    names = [None, *(each.name for each in every_stage)]
    return every_stage[names.index(stage) :] if stage in names else ()


@dataclass(frozen=True, slots=True)
class Swept:
    """What a licence's lease has come to: what is stated of it, the last stage that was, and when it comes to more."""

    facts: tuple[LeaseFact, ...]
    stage: str | None
    following: datetime | None


def swept(licence: Licence, now: datetime, most: int) -> Swept:
    """What a licence's lease has come to by `now`, in at most so many facts."""
    coming = to_come(licence, licence.lease_stage)
    reached = [stage for stage in coming if stage.begins <= now][:most]
    left = coming[len(reached) :]
    steps = stages(licence.terms, licence.issued, licence.expires)
    facts = tuple(
        stage.fact(
            licence=licence.licence,
            generation=licence.generation,
            serial=licence.serial,
            due=steps[1].begins,
            expires=steps[2].begins,
        )
        for stage in reached
    )
    stage = reached[-1].name if reached else licence.lease_stage
    return Swept(facts, stage, left[0].begins if left else None)


def subjects_of(container: Container, licences: Iterable[Licence]) -> list[Subject]:
    """What a measure must aim at for leases in a container to be put off: what stands for all of it, and each of the
    licences."""
    names = (Subject(Aim.LICENCE, licence.licence, licence.generation) for licence in licences)
    return [Subject.way_in(container.kind, container.serial, container.generation), *names]


def put_off(container: Container, licences: Iterable[Licence], blocked: Collection[Subject]) -> set[LicenceId]:
    """The licences of which no lease is looked at, for the backend would not renew them: what is given back or blocked,
    or what has ended."""
    whole = Subject.way_in(container.kind, container.serial, container.generation)
    gone = container.returned >= container.generation or whole in blocked
    return {
        one.licence
        for one in licences
        if gone or one.ended or Subject(Aim.LICENCE, one.licence, one.generation) in blocked
    }
