"""The words of the domain as types: names, numbers, instants, and what can be chosen among."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from math import isfinite
from typing import Annotated, Any, NewType

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from events.errors import Code, RefusalError

VENDOR_PATTERN = r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,79}$"
PERSON_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@+|/=~-]{0,254}$"
"""A name of a vendor's own, or what an OIDC issuer calls somebody: the issuer's short name, a colon, and the `sub`."""
is_name = re.compile(NAME_PATTERN).fullmatch
"""Whether a text is a name."""
LINE_PATTERN = r"^[^\u0000-\u001f\u007f-\u009f]*$"
"""Text without control characters: PostgreSQL takes no NUL, and a terminal obeys some of the others."""
TEXT_PATTERN = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$"
"""The same, but with tabs and several lines."""
TEXT_CHARACTERS = 2_000
FreeText = Annotated[str, StringConstraints(max_length=TEXT_CHARACTERS, pattern=TEXT_PATTERN)]
"""What a person writes."""


def storable(value: Any) -> Any:
    """The text, or other JSON value, where PostgreSQL can hold it: no NUL and no half of a surrogate pair in it, and no
    number that is none. Raises `ValueError`."""
    match value:
        case str() if "\0" in value:
            raise ValueError("has a NUL in it, which PostgreSQL cannot hold")
        case str():
            value.encode()
        case float() if not isfinite(value):
            raise ValueError("has a number in it that is none")
        case list():
            for item in value:
                storable(item)
        case dict():
            for name, item in value.items():
                storable(name)
                storable(item)
    return value


VendorId = NewType("VendorId", Annotated[str, StringConstraints(pattern=VENDOR_PATTERN)])
Serial = NewType("Serial", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
HolderId = NewType("HolderId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
LicenceId = NewType("LicenceId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
ProductId = NewType("ProductId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
Ticket = NewType("Ticket", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
ReportId = NewType("ReportId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
DelegationId = NewType("DelegationId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
DecisionId = NewType("DecisionId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
ContactId = NewType("ContactId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
PersonId = NewType("PersonId", Annotated[str, StringConstraints(pattern=PERSON_PATTERN)])
EvidenceName = NewType("EvidenceName", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
PotName = NewType("PotName", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
CaseId = NewType("CaseId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
Storable = AfterValidator(storable)
"""Of a text or of any JSON: PostgreSQL can hold it."""
Whole = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A whole number that a column of PostgreSQL can hold."""
Count = Annotated[int, Field(ge=0, lt=2**31)]
"""How many of something, or the number of one of them; many of these can be added up in a column of PostgreSQL."""
Generation = Annotated[int, Field(ge=1, lt=2**63)]
"""As the log may have it; what comes in by a door is a `BoundedGeneration`."""

GENERATION_LIMIT = 1_000_000_000
"""The last generation that a licence, container or access data may have: half of what a column of PostgreSQL holds."""
BoundedGeneration = Annotated[int, Field(ge=1, le=GENERATION_LIMIT)]
Revision = Annotated[int, Field(ge=1, le=GENERATION_LIMIT)]
"""The number of a statement among those that its vendor makes of one thing, upwards."""


def next_generation(generation: int) -> int:
    """The generation after this one; `RefusalError` where it would be the one after the last."""
    if generation >= GENERATION_LIMIT:
        raise RefusalError(
            Code.GENERATION_EXHAUSTED,
            f"generation {generation} has none after it (the last is {GENERATION_LIMIT}); issue a new licence instead",
            generation=generation,
            most=GENERATION_LIMIT,
        )
    return generation + 1


Instant = Annotated[AwareDatetime, Field(ge=datetime(1, 1, 2, tzinfo=UTC), le=datetime.max.replace(tzinfo=UTC))]
"""As the log may have it: also in UTC within the calendar. What comes in by a door is a `BoundedInstant`."""

FIRST_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)
END_OF_INSTANTS = datetime(9001, 1, 1, tzinfo=UTC)
LAST_INSTANT = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""The end of the calendar."""


def _in_the_calendar(instant: datetime) -> datetime:
    if not FIRST_INSTANT <= instant < END_OF_INSTANTS:  # compared first: at the edges UTC would be outside the calendar
        raise ValueError("must be an instant of the years 1970 to 9000, in UTC")
    return instant.astimezone(UTC)


BoundedInstant = Annotated[
    AwareDatetime, AfterValidator(_in_the_calendar), Field(description="Of the years 1970 to 9000, in UTC.")
]
"""Far enough from the calendar's ends for every interval and grace."""


class Value(BaseModel):
    """A value of the domain: it never changes, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Kind(StrEnum):
    """What a container is made of."""

    DONGLE = "dongle"
    ACT = "act"
    CLOUD = "cloud"


class Reason(StrEnum):
    """Why a container is gone."""

    LOST = "lost"
    STOLEN = "stolen"
    DAMAGED = "damaged"
    SAME_HARDWARE = "same_hardware"
    HARDWARE_REPLACED = "hardware_replaced"
    COMPUTER_STOLEN = "computer_stolen"
    FORGOTTEN = "forgotten"


class Scope(StrEnum):
    """What of it is gone."""

    CONTAINER = "container"
    LICENCES = "licences"


class Measure(StrEnum):
    """What is done so that the original does not run on."""

    BLACKLISTING = "blacklisting"
    WITHDRAWAL = "withdrawal"
    DEACTIVATION = "deactivation"


class MeasureState(StrEnum):
    """How far a measure has come; all but the first two are its end."""

    ORDERED = "ordered"
    DELIVERED = "delivered"
    CONFIRMED = "confirmed"
    UNCONFIRMABLE = "unconfirmable"
    LIFTED = "lifted"


class Aim(StrEnum):
    """What a measure aims at: a container's activation, one licence's generation, or a generation of access data."""

    CONTAINER = "container"
    LICENCE = "licence"
    ACCESS_DATA = "access_data"


class Recovery(StrEnum):
    """What the holder gets for what is gone."""

    NEXT_GENERATION = "next_generation"
    STOP_GAP = "stop_gap"
    REISSUE = "reissue"
    RESET = "reset"
    ROTATION = "rotation"


class Target(StrEnum):
    """Where a replacement goes."""

    EMPTY_CONTAINER = "empty_container"
    OTHER_CONTAINER = "other_container"
    ACTIVATION = "activation"
    SAME_CONTAINER = "same_container"


class Watch(StrEnum):
    """What a case does once the holder can work again."""

    NONE = "none"
    SHORT = "short"
    LONG = "long"
    UNTIL_RETURNED = "until_returned"


class Contact(StrEnum):
    """How a container reports in."""

    CHECK_IN = "check_in"
    ACTIVATION = "activation"
    SIGN_IN = "sign_in"


class ActivationBy(StrEnum):
    """What a machine must bring to be bound to a container for a case: the code that was fetched for it, or nothing."""

    CODE = "code"
    ANY = "any"


class Match(StrEnum):
    """How many factors of a machine's fingerprint must be as they were."""

    ANY = "any"
    TWO = "two"
    MOST = "most"
    ALL = "all"


class Role(StrEnum):
    """Who speaks at a door."""

    HOLDER = "holder"
    DELEGATE = "delegate"
    BACK_OFFICE = "back_office"


class Status(StrEnum):
    """Where a loss case stands."""

    REPORTED = "reported"
    AWAITING_APPROVAL = "awaiting_approval"
    ESCALATED = "escalated"
    BLOCKING = "blocking"
    WAITING = "waiting"
    REPLACING = "replacing"
    AWAITING_TARGET = "awaiting_target"
    WATCHING = "watching"
    RESURFACED = "resurfaced"
    REINSTATING = "reinstating"
    STUCK = "stuck"
    CLOSED = "closed"


class Outcome(StrEnum):
    """How a loss case ended."""

    REFUSED = "refused"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    GIVEN_UP = "given_up"
    RESTORED = "restored"
    RETURNED = "returned"
    LAPSED = "lapsed"
    LOST_FOR_EVER = "lost_for_ever"
    RETIRED = "retired"
    FOUND = "found"
    DAMAGED = "damaged"
    USED_AFTER_LOSS = "used_after_loss"
    CLONE = "clone"
    FRAUD = "fraud"


class Mode(StrEnum):
    """Who decides on a report: policy, a supervisor, or policy until a limit is reached and then a supervisor."""

    AUTOMATIC = "automatic"
    HYBRID = "hybrid"
    MANUAL = "manual"


class Undecided(StrEnum):
    """What becomes of a case on which nobody has decided in time; it is never approved."""

    KEEP_WAITING = "keep_waiting"
    ESCALATE = "escalate"
    REJECT = "reject"


class Decision(StrEnum):
    """What policy says of a report."""

    AUTOMATIC = "automatic"
    NEEDS_APPROVAL = "needs_approval"
    REFUSED = "refused"


class QuotaSubject(StrEnum):
    """What a recovery quota is counted for."""

    HOLDER = "holder"
    CONTAINER = "container"
    LICENCE = "licence"
    PRODUCT = "product"


RECOVERIES = PotName("recoveries")
"""The pot that quotas count in by default."""
SAME_HARDWARE = PotName("same_hardware")
"""The pot, by default, of what is reissued to the same hardware."""


class Cause(StrEnum):
    """What brought a lost container up again."""

    SIGHTING = "sighting"
    FOUND = "found"
    RETURNED = "returned"


class Action(StrEnum):
    """What a supervisor decides."""

    APPROVE = "approve"
    REJECT = "reject"
    ASK = "ask"
    MEET = "meet"
    CANCEL = "cancel"
    RULE = "rule"
    RESUME = "resume"
    GIVE_UP = "give_up"


class Verdict(StrEnum):
    """What a supervisor rules on a container that resurfaced; each closes the case with the outcome of its name."""

    FOUND = "found"
    DAMAGED = "damaged"
    USED_AFTER_LOSS = "used_after_loss"
    CLONE = "clone"
    FRAUD = "fraud"


class CaseKey(Value):
    """Names a case, and the container that it is about."""

    vendor: VendorId
    case: CaseId
    serial: Serial


class Reporter(Value):
    """Who made a statement, and in which role."""

    role: Role
    name: PersonId
