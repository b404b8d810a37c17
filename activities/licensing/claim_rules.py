"""Whose case a report is: a pure function of what it says, what is in the container, and what is claimed there.

A case claims what was lost, at its current generation: `licence/LICENCE` for each licence in scope, and
`container/SERIAL` where the whole container is lost, or `access_data/SERIAL` of a cloud container, whose licences stay.
It also claims the blocking by each measure that the vendor's rule for the loss orders: `blacklisting/`,
`deactivation/` or `withdrawal/`, and what that aims at. What blocks the container blocks what is in it, and what is
blacklisted is blocked as any other measure would block it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue

from activities.licensing.containers import Container, unknown_container
from events.errors import Code, NotYetKnownError, RefusalError
from events.loss_table import Loss
from events.sizes import PRODUCTS_KNOWN
from events.statements import FoundStatement, LossStatement, ReturnStatement
from events.terms import (
    Aim,
    CaseId,
    Kind,
    LicenceId,
    Measure,
    Outcome,
    ProductId,
    Reason,
    Recovery,
    Reporter,
    Role,
    Scope,
)
from workflows.policy import UnreadablePolicyError, read_policy

Claimable = tuple[str, int]
"""What a case can claim, and its generation."""

FIRMEST_FIRST = (Measure.BLACKLISTING, Measure.DEACTIVATION, Measure.WITHDRAWAL)
"""The measures in the order in which a report is of the case that claims the blocking."""

NONE_ENDED: Mapping[LicenceId, int] = {}

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
    approved: bool = False
    """Whether a person had approved the case when it ended."""


@dataclass(frozen=True, slots=True)
class Joins:
    """The report is of this case; `also` are the other open cases that it meets, which are to learn of it."""

    case: CaseId
    also: tuple[CaseId, ...] = ()


@dataclass(frozen=True, slots=True)
class Opens:
    """The report opens a case that claims this.

    `former` is the last case that claimed any of it and recovered nothing; `rejected` one that was rejected and that
    nobody has approved since, see `rejection`. `beside` are the cases that hold the rest of what was reported: those of
    them that are open are to learn of it, and an open reset of access data among them (`ends`) is over, for what it
    would recover is stolen.
    """

    claims: tuple[Claimable, ...]
    former: CaseId | None = None
    beside: tuple[CaseId, ...] = ()
    ends: tuple[CaseId, ...] = ()
    rejected: CaseId | None = None


@dataclass(frozen=True, slots=True)
class Rest:
    """What a report is about besides its own case, once another case that it met is over: it `claims` what that one
    freed and nobody else claims; `cases` hold the other parts."""

    claims: tuple[Claimable, ...]
    cases: frozenset[CaseId] = frozenset()

    @property
    def recovers(self) -> bool:
        """Whether there is something to recover in it, and not only to block and to watch."""
        return any(subject.startswith((f"{Aim.LICENCE}/", f"{Aim.ACCESS_DATA}/")) for subject, _ in self.claims)


def measures_ordered(
    statement: LossStatement, products: Mapping[LicenceId, ProductId], policy: JsonValue
) -> frozenset[Measure]:
    """The measures that the vendor's rule for a loss orders. `products` are those of the licences in the container, or
    that were in it where nothing is left; `policy` is the one in force, as it is stored."""
    loss = _loss(statement)
    try:
        rules = read_policy(policy)
    except UnreadablePolicyError:  # its case says so; until then it claims what such a loss blocks as a rule
        return frozenset(loss.measures)
    lost = products.values() if statement.scope is Scope.CONTAINER else map(products.get, statement.licences)
    rule = rules.rules_for_products(loss, [product for product in lost if product is not None])[0]
    return frozenset(item.measure for item in rule.measures_for(loss))


def products_blocked(
    statement: LossStatement, products: Mapping[LicenceId, ProductId], policy: JsonValue
) -> tuple[ProductId, ...]:
    """The products of what a case blocks that recovers none of it: one for each rule of the policy that they fall
    under, the strictest rule's first, and then as many others as the facts of a case have room for."""
    names = products if statement.scope is Scope.CONTAINER else statement.licences
    found = sorted({products[name] for name in names if name in products})
    try:
        first = read_policy(policy).one_of_each(_loss(statement), found)
    except UnreadablePolicyError:  # its case says so
        first = []
    return tuple(dict.fromkeys((*first, *found)))[:PRODUCTS_KNOWN]


def recovered_from(claimed: Iterable[Claimed]) -> list[LicenceId]:
    """The licences of a container that cases recover, or have recovered."""
    lost = f"{Aim.LICENCE}/"
    names = {one.subject.removeprefix(lost) for one in claimed if not one.freed and one.subject.startswith(lost)}
    return [LicenceId(name) for name in sorted(names)]


def whose(
    statement: LossStatement,
    container: Container,
    here: Mapping[LicenceId, int],
    claimed: Sequence[Claimed],
    measures: Collection[Measure],
    ended: Mapping[LicenceId, int] = NONE_ENDED,
) -> Joins | Opens:
    """Whose case a report is. `here` are the licences in the container and their generations, `claimed` all that cases
    of this container claim or claimed, `measures` what the vendor's rule for the loss orders. The contracts of those in
    `ended` are over: they are here too, and nothing of them is claimed that no case claims. Raises `NotYetKnownError`
    where nothing that it names is, or was, here, and `RefusalError` where nothing else than ended licences is."""
    wanted = _wanted(
        statement, container, {name: {**here, **ended}[name] for name in sorted({*here, *ended})}, measures
    )
    standing = {(one.subject, one.generation): one for one in claimed if not one.freed}
    holders = {thing: found for thing in wanted if (found := _holders(thing, container, standing))}
    met = [one for found in holders.values() for one in found]
    recovered = _recovered(statement, container, here, claimed, ended)
    left = tuple(thing for thing in wanted if thing not in holders and _licence_in(thing[0]) not in ended)
    beside = tuple(dict.fromkeys(one.case for one in (*met, *recovered)))
    open_ = tuple(dict.fromkeys(one.case for one in (*met, *recovered) if not one.closed))
    if ended and not met and not recovered and _finds_only_ended(statement, container, here):
        raise RefusalError(
            Code.LICENCE_ENDED,
            f"the contracts of all licences that the report of {statement.serial} is about have ended; there is nothing"
            " to replace, and no case is opened",
            serial=statement.serial,
        )
    if not left:
        first, *also = open_ or beside
        return Joins(first, tuple(also) if open_ else ())
    if not here and container.kind is not Kind.CLOUD and not met and not recovered:
        raise NotYetKnownError(
            Code.NO_LICENCE, f"container {statement.serial} holds no licence", serial=statement.serial
        )
    if not met and not here and recovered:  # what was lost was recovered from here, and nothing else is left
        return Joins(recovered[0].case, open_[1:] if recovered[0].case in open_ else open_)
    resets = {one.case for one in met if one.recovery is Recovery.RESET and not one.closed}
    taken_over = tuple(thing for thing, found in holders.items() if found[0].case in resets)
    former = _former(wanted, claimed)
    return Opens(
        claims=(*taken_over, *left),
        former=former[0].case if former else None,
        beside=beside,
        ends=tuple(case for case in beside if case in resets),
        rejected=rejection(wanted, claimed),
    )


def rejection(wanted: Iterable[Claimable], claimed: Sequence[Claimed]) -> CaseId | None:
    """The last case of any of this that was rejected. Cases that were refused or cancelled since hide it no more than
    one that lapsed or was given up, unless a person had approved that: then the loss was believed."""
    found: list[Claimed] = []
    for thing in wanted:
        for one in _former([thing], claimed):
            if one.outcome is Outcome.REJECTED:
                found.append(one)
            if one.outcome is Outcome.REJECTED or one.approved:
                break
    return _latest_first(found)[0].case if found else None


def resets_taken_over(by: CaseId, claimed: Iterable[Claimed]) -> set[CaseId]:
    """The resets of which a case has taken over what they claimed, and that are not closed yet. Only a reset that a
    theft ends frees its claims before it is closed."""
    everything = list(claimed)
    own = {(one.subject, one.generation) for one in everything if one.case == by}
    ended = (one for one in everything if one.freed and not one.closed and one.case != by)
    return {one.case for one in ended if (one.subject, one.generation) in own}


def taken_over_by(reset: CaseId, claimed: Iterable[Claimed]) -> list[CaseId]:
    """The open cases that have taken over what a case claims, or claimed, by name."""
    everything = list(claimed)
    own = {(one.subject, one.generation) for one in everything if one.case == reset}
    others = (one for one in everything if not one.freed and not one.closed and one.case != reset)
    return sorted({one.case for one in others if (one.subject, one.generation) in own})


def rest_of(
    statement: LossStatement,
    container: Container,
    here: Mapping[LicenceId, int],
    claimed: Sequence[Claimed],
    own: CaseId,
    over: CaseId,
    measures: Collection[Measure],
) -> Rest:
    """What a report is about that the case `over` has just freed. It came when that case was decided and still claimed
    this, so that its `own` case is about something else."""
    wanted = _wanted(statement, container, here, measures)
    standing = {(one.subject, one.generation): one for one in claimed if not one.freed}
    holders = {thing: found for thing in wanted if (found := _holders(thing, container, standing))}
    known = {(one.subject, one.generation) for one in claimed if one.case == own}
    freed = {(one.subject, one.generation) for one in claimed if one.freed and one.case == over} - known
    cases = frozenset(one.case for found in holders.values() for one in found)
    return Rest(tuple(thing for thing in wanted if thing not in holders and thing in freed), cases)


def recovery_of(kind: Kind, reason: Reason | None) -> Recovery | None:
    """What the holder gets for a loss; None for a case from before its reason was kept."""
    loss = Loss.of(kind, reason) if reason else None
    return loss.recovery if loss else None


def _former(wanted: Iterable[Claimable], claimed: Sequence[Claimed]) -> list[Claimed]:
    """The claims on this of cases that recovered nothing, the latest first; who recovered something keeps that."""
    things = set(wanted)
    keeping = {one.case for one in claimed if not one.freed}
    return _latest_first(
        one
        for one in claimed
        if (one.subject, one.generation) in things and one.case not in keeping and _recovers_nothing(one)
    )


def _latest_first(claims: Iterable[Claimed]) -> list[Claimed]:
    return sorted(claims, key=lambda one: (one.received, one.case), reverse=True)


def _recovers_nothing(claim: Claimed) -> bool:
    return claim.closed and (claim.outcome is None or claim.outcome in FREED_BY)


def _loss(statement: LossStatement) -> Loss:
    loss = Loss.of(statement.kind, statement.reason)
    assert loss is not None, "an accepted report is of a loss in the table"
    return loss


def _wanted(
    statement: LossStatement, container: Container, here: Mapping[LicenceId, int], measures: Collection[Measure]
) -> list[Claimable]:
    """What a loss claims, the weightiest first."""
    loss = _loss(statement)
    aim = loss.aim(statement.scope)
    names = [
        name
        for name in (here if statement.scope is Scope.CONTAINER else sorted(set(statement.licences)))
        if name in here
    ]
    licences = [(f"{Aim.LICENCE}/{name}", here[name]) for name in names]
    whole = (
        f"{Aim.ACCESS_DATA if container.kind is Kind.CLOUD else Aim.CONTAINER}/{container.serial}",
        container.generation,
    )
    things = (
        licences
        if statement.scope is Scope.LICENCES
        else [whole]
        if container.kind is Kind.CLOUD
        else [whole, *licences]
    )
    aimed = licences if aim is Aim.LICENCE else [whole]
    blocks = [one for one in FIRMEST_FIRST if one in measures]
    return [*((f"{one}/{name}", generation) for one in blocks for name, generation in aimed), *things]


def licences_blocked(claims: Iterable[Claimable]) -> list[tuple[LicenceId, int]]:
    """The licences at which the measures of a case aim that is about single ones: those that it claims, and those of
    which another case claims the loss and this one the blocking."""
    aims = ((_blocking(subject)[1].partition("/"), generation) for subject, generation in claims)
    return sorted({(LicenceId(name), generation) for (aim, _, name), generation in aims if aim == Aim.LICENCE})


def is_blocking(subject: str) -> bool:
    """Whether this is claimed to be blocked, and not to be recovered."""
    return _blocking(subject)[0] is not None


def _blocking(subject: str) -> tuple[Measure | None, str]:
    """By which measure this is claimed to be blocked, if it is, and what is claimed."""
    measure, _, aim = subject.partition("/")
    return (Measure(measure), aim) if measure in FIRMEST_FIRST else (None, subject)


def _holders(thing: Claimable, container: Container, standing: Mapping[Claimable, Claimed]) -> list[Claimed]:
    """Whose this is, the very same first. What blocks the container blocks every licence in it, and a blacklisting does
    what any measure does."""
    measure, aim = _blocking(thing[0])
    if measure is None:
        return [standing[thing]] if thing in standing else []
    aims = [(aim, thing[1])]
    if aim.startswith(f"{Aim.LICENCE}/"):
        aims.append((f"{Aim.CONTAINER}/{container.serial}", container.generation))
    measures = dict.fromkeys((measure, Measure.BLACKLISTING))
    blocking = ((f"{one}/{name}", number) for one in measures for name, number in aims)
    return [standing[one] for one in blocking if one in standing]


def _licence_in(subject: str) -> LicenceId | None:
    """The licence of which this is the loss or the blocking, if it is one's."""
    aim, _, name = _blocking(subject)[1].partition("/")
    return LicenceId(name) if aim == Aim.LICENCE else None


def _finds_only_ended(statement: LossStatement, container: Container, here: Mapping[LicenceId, int]) -> bool:
    """Whether of what a report is about nothing else is here than licences whose contracts have ended. The access data
    of a cloud container go on whatever ends."""
    if statement.scope is Scope.LICENCES:
        return not set(statement.licences) & set(here)
    return not here and container.kind is not Kind.CLOUD


def _recovered(
    statement: LossStatement,
    container: Container,
    here: Mapping[LicenceId, int],
    claimed: Iterable[Claimed],
    ended: Mapping[LicenceId, int],
) -> list[Claimed]:
    """Claims on what was recovered from here: on licences that the report names and that are gone, or on all of them
    where nothing else is here. The latest generation first."""
    gone = {f"{Aim.LICENCE}/{name}" for name in statement.licences if name not in here and name not in ended}
    whole = statement.scope is Scope.CONTAINER and not here and container.kind is not Kind.CLOUD
    licences = [one for one in claimed if not one.freed and one.subject.startswith(f"{Aim.LICENCE}/")]
    found = sorted(
        (one for one in licences if one.subject in gone or whole), key=lambda one: (-one.generation, one.subject)
    )
    if missing := gone - {one.subject for one in found}:
        names = sorted(name.partition("/")[2] for name in missing)
        raise NotYetKnownError(
            Code.UNKNOWN_LICENCE,
            f"container {statement.serial} does not hold the licence{'s' if len(names) > 1 else ''} {', '.join(names)}",
            serial=statement.serial,
            licences=", ".join(names),
        )
    return found


def must_be_of_kind(container: Container, statement: LossStatement) -> None:
    """Refuse the loss of a container that is of another kind than the report says."""
    if container.kind != statement.kind:
        raise RefusalError(
            Code.KIND_MISMATCH,
            f"container {statement.serial} is of kind {container.kind}, not {statement.kind}",
            serial=statement.serial,
            kind=container.kind,
            reported=statement.kind,
        )


def said_otherwise(report: str) -> RefusalError:
    """Why a report is refused whose number its reporter has used for another statement."""
    return RefusalError(
        Code.REPORT_ID_TAKEN,
        f"report {report} was made before and said something else; give a new statement a new number",
        number=report,
    )


def must_be_rightful(container: Container, reporter: Reporter, delegated: bool = False) -> Container:
    """The container, for its holder, a back-office system, or a delegate where it is `delegated` to that person; to
    everybody else it is unknown."""
    match reporter.role:
        case Role.HOLDER if str(reporter.name) != container.holder:
            raise unknown_container(container.serial)
        case Role.DELEGATE if not delegated:
            raise unknown_container(container.serial)
    return container


def may_turn_up(container: Container, statement: FoundStatement | ReturnStatement, delegated: bool = False) -> None:
    """Refuse a find by whom the container is none of, and a return by anybody but the back office: only the vendor has
    a container back."""
    must_be_rightful(container, statement.reporter, delegated)
    if isinstance(statement, ReturnStatement) and statement.reporter.role is not Role.BACK_OFFICE:
        raise RefusalError(Code.INVALID_DATA, "only a back-office system can say that a container is back")
