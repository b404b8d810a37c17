"""Whose case a report is: a pure function of what it says, what is in the container, and what is claimed there.

A case claims what was lost, at its current generation: `licence/LICENCE` for each licence in scope, and
`container/SERIAL` where the whole container is lost, or `access_data/SERIAL` of a cloud container, whose licences stay.
A loss whose measures block also claims the blocking: `blacklisting/` and what it aims at. Blocking the container blocks
what is in it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from activities.rows import Container
from events.errors import Code, NotYetKnownError, RefusalError
from events.inbox import LicenceStatement, LossStatement
from events.terms import Aim, CaseId, Kind, LicenceId, Loss, Measure, Outcome, Reason, Recovery, Scope

Claimable = tuple[str, int]
"""What a case can claim, and its generation."""

FREED_BY = (Outcome.REFUSED, Outcome.REJECTED, Outcome.CANCELLED, Outcome.GIVEN_UP, Outcome.LAPSED)
"""The ends of a case that recovered nothing: a new report of the same opens a case that names it."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a case claims, or claimed until it was `freed`; `outcome` is that of a case that is over."""

    subject: str
    generation: int
    case: CaseId
    received: datetime
    recovery: Recovery | None = None
    freed: bool = False
    closed: bool = False
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Joins:
    """The report is of this case."""

    case: CaseId


@dataclass(frozen=True, slots=True)
class Opens:
    """The report opens a case that claims this.

    `former` is the last case that claimed any of it and recovered nothing. `beside` are the cases that hold the rest of
    what was reported: those of them that are open are to learn of it, and an open reset of access data among them
    (`ends`) is over, for what it would recover is stolen.
    """

    claims: tuple[Claimable, ...]
    former: CaseId | None = None
    beside: tuple[CaseId, ...] = ()
    ends: tuple[CaseId, ...] = ()


def whose(
    stated: LossStatement, container: Container, here: Mapping[LicenceId, int], claimed: Sequence[Claimed]
) -> Joins | Opens:
    """Whose case a report is. `here` are the licences in the container and their generations, `claimed` all that cases
    of this container claim or claimed. Raises `NotYetKnownError` where nothing that it names is, or was, here."""
    wanted = _wanted(stated, container, here)
    standing = {(one.subject, one.generation): one for one in claimed if not one.freed}
    met = {thing: one for thing in wanted if (one := _holder(thing, container, standing))}
    recovered = _recovered(stated, container, here, claimed)
    left = tuple(thing for thing in wanted if thing not in met)
    if not left:
        return Joins(next(iter((*met.values(), *recovered))).case)
    if not here and container.kind is not Kind.CLOUD and not met and not recovered:
        raise NotYetKnownError(
            Code.NO_LICENCE,
            f"container {stated.serial} holds no licence; state {LicenceStatement.type()} for it first",
        )
    if not met and not here and recovered:  # what was lost was recovered from here, and nothing else is left
        return Joins(recovered[0].case)
    beside = tuple(dict.fromkeys(one.case for one in (*met.values(), *recovered)))
    resets = {one.case for one in met.values() if one.recovery is Recovery.RESET and not one.closed}
    taken_over = tuple(thing for thing, one in met.items() if one.case in resets)
    former = [
        one for one in claimed if one.freed and (one.subject, one.generation) in wanted and _recovers_nothing(one)
    ]
    return Opens(
        claims=(*taken_over, *left),
        former=max(former, key=lambda one: (one.received, one.case)).case if former else None,
        beside=beside,
        ends=tuple(case for case in beside if case in resets),
    )


def recovery_of(kind: Kind, reason: Reason | None) -> Recovery | None:
    """What the holder gets for a loss; None for a case from before its reason was kept."""
    loss = Loss.of(kind, reason) if reason else None
    return loss.recovery if loss else None


def _recovers_nothing(claim: Claimed) -> bool:
    return claim.closed and (claim.outcome is None or claim.outcome in FREED_BY)


def _wanted(stated: LossStatement, container: Container, here: Mapping[LicenceId, int]) -> list[Claimable]:
    """What a loss claims, the weightiest first."""
    loss = Loss.of(stated.kind, stated.reason)
    assert loss is not None, "an accepted report is of a loss in the table"
    aim = loss.aim(stated.scope)
    names = [
        name for name in (here if stated.scope is Scope.CONTAINER else sorted(set(stated.licences))) if name in here
    ]
    licences = [(f"{Aim.LICENCE}/{name}", here[name]) for name in names]
    whole = (
        f"{Aim.ACCESS_DATA if container.kind is Kind.CLOUD else Aim.CONTAINER}/{container.serial}",
        container.generation,
    )
    things = (
        licences if stated.scope is Scope.LICENCES else [whole] if container.kind is Kind.CLOUD else [whole, *licences]
    )
    aimed = licences if aim is Aim.LICENCE else [whole]
    blocks = Measure.BLACKLISTING in loss.measures
    return [*((_blocking(name), generation) for name, generation in aimed if blocks), *things]


def licences_blocked(claims: Iterable[Claimable]) -> list[tuple[LicenceId, int]]:
    """The licences at which the measures of a case aim that is about single ones: those that it claims, and those of
    which another case claims the loss and this one the blocking."""
    parts = ((subject.removeprefix(_blocking("")).partition("/"), generation) for subject, generation in claims)
    return sorted({(LicenceId(name), generation) for (aim, _, name), generation in parts if aim == Aim.LICENCE})


def _blocking(subject: str) -> str:
    return f"{Measure.BLACKLISTING}/{subject}"


def _holder(thing: Claimable, container: Container, standing: Mapping[Claimable, Claimed]) -> Claimed | None:
    """Whose this is: what blocks the container blocks every licence in it."""
    name, _ = thing
    if thing not in standing and name.startswith(_blocking(Aim.LICENCE)):
        return standing.get((_blocking(f"{Aim.CONTAINER}/{container.serial}"), container.generation))
    return standing.get(thing)


def _recovered(
    stated: LossStatement, container: Container, here: Mapping[LicenceId, int], claimed: Iterable[Claimed]
) -> list[Claimed]:
    """Claims on what was recovered from here: on licences that the report names and that are gone, or on all of them
    where nothing else is here. The latest generation first."""
    gone = {f"{Aim.LICENCE}/{name}" for name in stated.licences if name not in here}
    whole = stated.scope is Scope.CONTAINER and not here and container.kind is not Kind.CLOUD
    licences = [one for one in claimed if not one.freed and one.subject.startswith(f"{Aim.LICENCE}/")]
    found = sorted(
        (one for one in licences if one.subject in gone or whole), key=lambda one: (-one.generation, one.subject)
    )
    if missing := gone - {one.subject for one in found}:
        names = sorted(name.partition("/")[2] for name in missing)
        raise NotYetKnownError(
            Code.UNKNOWN_LICENCE,
            f"container {stated.serial} does not hold the licence{'s' if len(names) > 1 else ''} {', '.join(names)};"
            f" state {LicenceStatement.type()} for it first",
        )
    return found


def said_otherwise(report: str) -> RefusalError:
    """Why a report is refused whose number its reporter has used for another statement."""
    return RefusalError(
        Code.REPORT_ID_TAKEN,
        f"report {report} was made before and said something else; give a new statement a new number",
    )
