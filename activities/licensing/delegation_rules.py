"""What a delegation is, and for whom a delegate acts: pure functions."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from events.backend_facts import DelegationGiven, DelegationRevoked
from events.errors import Code, RefusalError
from events.principal import Principal
from events.statements import DelegationStatement, RevocationStatement
from events.terms import DelegationId, HolderId, PersonId


@dataclass(frozen=True, slots=True)
class Delegation:
    """What is known of a delegation. One that was only revoked has no delegate yet, and holds for nobody. `given` and
    `revoked` are by the door's clock."""

    delegation: DelegationId
    delegate: PersonId | None = None
    holders: tuple[HolderId, ...] = ()
    until: datetime | None = None
    given: datetime | None = None
    revoked: datetime | None = None

    def stands_for(self, holder: HolderId, at: datetime) -> bool:
        """Whether the delegate acts for a holder in what is received at this instant.

        It need not have been given before: statements come in any order. It must not have been revoked before it was
        given.
        """
        if self.given is None or self.until is None or holder not in self.holders or at >= self.until:
            return False
        return self.revoked is None or (self.given < self.revoked and at < self.revoked)


def is_delegated(delegations: Iterable[Delegation], holder: HolderId, at: datetime) -> bool:
    """Whether one of a person's delegations stands for a holder in what is received at this instant."""
    return any(one.stands_for(holder, at) for one in delegations)


def give(
    known: Delegation, statement: DelegationStatement, principal: Principal, received: datetime
) -> tuple[Delegation, list[DelegationGiven]]:
    """The delegation once it is given, and the fact that it is: none where it was given before. Raises
    `RefusalError` where its number was used for another one."""
    holders = tuple(sorted(set(statement.holders)))
    if known.given is not None:
        if (known.delegate, known.holders, known.until) != (statement.delegate, holders, statement.until):
            raise RefusalError(
                Code.REPORT_ID_TAKEN,
                f"delegation {statement.delegation} was given before and said something else;"
                " give a new one a new number",
                number=statement.delegation,
            )
        return known, []
    fact = DelegationGiven(
        delegation=statement.delegation,
        delegate=statement.delegate,
        holders=holders,
        until=statement.until,
        by=principal.subject,
        on_behalf_of=statement.on_behalf_of,
        door=principal.door,
        received=received,
    )
    return replace(known, delegate=statement.delegate, holders=holders, until=statement.until, given=received), [fact]


def revoke(
    known: Delegation, statement: RevocationStatement, principal: Principal, received: datetime
) -> tuple[Delegation, list[DelegationRevoked]]:
    """The delegation once it is revoked, and the fact that it is: none where it was revoked before."""
    if known.revoked is not None:
        return known, []
    fact = DelegationRevoked(
        delegation=statement.delegation,
        by=principal.subject,
        on_behalf_of=statement.on_behalf_of,
        door=principal.door,
        received=received,
    )
    return replace(known, revoked=received), [fact]
