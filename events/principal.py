"""Who acts at a door."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, WrapValidator

from events.envelope import INSTALLATION
from events.terms import PersonId, Value, VendorId

DoorName = Annotated[str, StringConstraints(min_length=1, max_length=80)]


class PrincipalRole(StrEnum):
    """What a principal is to the vendor."""

    HOLDER = "holder"
    DELEGATE = "delegate"
    BACK_OFFICE = "back_office"
    SUPERVISOR = "supervisor"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Principal(Value):
    """Who acts, as the door knows it, and never as what was sent says: whose vendor it is, the `subject` in which
    `roles`, by which `door`, and for whom where that is somebody else.

    The vendor of an operator is `events.envelope.INSTALLATION`, for what an operator does concerns no vendor.
    """

    vendor: Annotated[VendorId, WrapValidator(lambda value, valid: value if value == INSTALLATION else valid(value))]
    subject: PersonId
    roles: Annotated[tuple[PrincipalRole, ...], Field(min_length=1)]
    door: DoorName
    on_behalf_of: PersonId | None = None
