"""Containers and licences as the inventory has them, whichever backend keeps it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from events.backend_facts import LicenceIssued
from events.case_facts import LicenceInScope
from events.errors import Code, NotYetKnownError, RefusalError
from events.lease import Lease
from events.principal import Principal, PrincipalRole
from events.sizes import CONTAINER_LICENCES
from events.terms import CaseId, HolderId, Kind, LicenceId, ProductId, Serial, Ticket, is_name


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the inventory has it; `licences` is how many it holds, `generation` that of its activation or
    access data, `fingerprint` that of the machine it is bound to. Activations up to `returned` were given back."""

    serial: Serial
    kind: Kind
    holder: HolderId
    licences: int
    last_contact: datetime | None
    generation: int
    fingerprint: dict[str, str] | None
    returned: int

    def __post_init__(self) -> None:  # the driver gives the bare word
        object.__setattr__(self, "kind", Kind(self.kind))


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence as the inventory has it: its current generation, where that is, and until when its file runs.

    `first_issued` is when its first generation that is known here was issued, `issued` the current one. `ends` is the
    end of a stop-gap, which no renewal goes beyond; `ended` is when its contract ended, if it is over. `status_index`
    is this generation's place in the vendor's status list, once it has one.
    """

    licence: LicenceId
    generation: int
    serial: Serial
    product: ProductId
    ticket: Ticket
    value_cents: int
    lease: dict[str, Any]
    issued: datetime
    expires: datetime | None
    borrowed_until: datetime | None
    ends: datetime | None
    status_index: int | None
    lease_stage: str | None
    first_issued: datetime
    ended: datetime | None = None

    @property
    def terms(self) -> Lease:
        """Its lease."""
        return Lease.model_validate(self.lease)

    def in_scope(self) -> LicenceInScope:
        """What a decision needs of it."""
        return LicenceInScope(
            licence=self.licence,
            generation=self.generation,
            product=self.product,
            ticket=self.ticket,
            value_cents=self.value_cents,
            expires=self.expires,
            borrowed_until=self.borrowed_until,
            first_issued=self.first_issued,
        )

    def issued_fact(self, holder: HolderId, case: CaseId | None = None, file: str | None = None) -> LicenceIssued:
        """That its generation was issued, to whom, and for which case with which file."""
        return LicenceIssued(
            licence=self.licence,
            generation=self.generation,
            serial=self.serial,
            holder=holder,
            product=self.product,
            ticket=self.ticket,
            value_cents=self.value_cents,
            lease=self.terms,
            issued=self.issued,
            expires=self.expires,
            case=case,
            file=file,
            stop_gap=self.ends is not None,
            borrowed_until=self.borrowed_until,
        )


@dataclass(frozen=True, slots=True)
class LostLicence:
    """A licence that a case claims, at the generation that it claims; `ended`: its contract is over by now."""

    licence: LicenceId
    generation: int
    ticket: Ticket
    ended: bool = False


def has_room(container: Container, licences: int) -> bool:
    """Whether so many more licences go into a container."""
    return container.licences + licences <= CONTAINER_LICENCES


def must_have_room(container: Container, licences: int) -> None:
    """Refuse to put so many more licences into a container that has no room for them."""
    if not has_room(container, licences):
        raise RefusalError(
            Code.CONTAINER_FULL,
            f"container {container.serial} holds {container.licences} licences and takes at most {CONTAINER_LICENCES};"
            f" put {'this one' if licences == 1 else f'these {licences}'} into another container",
            serial=container.serial,
            held=container.licences,
            licences=licences,
            most=CONTAINER_LICENCES,
        )


def unknown_container(serial: Serial) -> NotYetKnownError:
    """The answer for a serial that is unknown and for one that the asker has no right to: they must not differ."""
    serial = serial if is_name(serial) else Serial(ascii(serial))
    return NotYetKnownError(Code.UNKNOWN_CONTAINER, f"no container {serial} is known here", serial=serial)


def must_be_theirs(container: Container, principal: Principal, delegated: bool = False) -> Container:
    """The container, for its holder, a delegate to whom it is `delegated`, or a back-office system; to everybody else
    it is unknown."""
    own = {str(one) for one in (principal.subject, principal.on_behalf_of) if one is not None}
    holds = PrincipalRole.HOLDER in principal.roles and container.holder in own
    holds |= PrincipalRole.DELEGATE in principal.roles and delegated
    if not holds and PrincipalRole.BACK_OFFICE not in principal.roles:
        raise unknown_container(container.serial)
    return container
