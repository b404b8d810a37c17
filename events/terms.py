"""The words of the domain as types, and the table of losses that code, documentation and tests read."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, NewType

from dateutil.relativedelta import relativedelta
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

VENDOR_PATTERN = r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,79}$"

VendorId = NewType("VendorId", Annotated[str, StringConstraints(pattern=VENDOR_PATTERN)])
Serial = NewType("Serial", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
HolderId = NewType("HolderId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
LicenceId = NewType("LicenceId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
ProductId = NewType("ProductId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
Ticket = NewType("Ticket", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
ReportId = NewType("ReportId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
DecisionId = NewType("DecisionId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
ContactId = NewType("ContactId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
PersonId = NewType("PersonId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
CaseId = NewType("CaseId", str)
Generation = Annotated[int, Field(ge=1)]


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


class Scope(StrEnum):
    """What of it is gone."""

    CONTAINER = "container"


class Measure(StrEnum):
    """What is done so that the original does not run on."""

    BLACKLISTING = "blacklisting"


class Role(StrEnum):
    """Who speaks at a door."""

    HOLDER = "holder"
    BACK_OFFICE = "back_office"


class Status(StrEnum):
    """Where a loss case stands."""

    REPORTED = "reported"
    AWAITING_APPROVAL = "awaiting_approval"
    BLOCKING = "blocking"
    REPLACING = "replacing"
    AWAITING_TARGET = "awaiting_target"
    WATCHING = "watching"
    RESURFACED = "resurfaced"
    CLOSED = "closed"


class Outcome(StrEnum):
    """How a loss case ended."""

    REFUSED = "refused"
    REJECTED = "rejected"
    LOST_FOR_EVER = "lost_for_ever"
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


class Cause(StrEnum):
    """What brought a lost container up again."""

    SIGHTING = "sighting"
    FOUND = "found"


class Action(StrEnum):
    """What a supervisor decides."""

    APPROVE = "approve"
    REJECT = "reject"
    RULE = "rule"


class Verdict(StrEnum):
    """What a supervisor rules on a container that resurfaced; each closes the case with the outcome of its name."""

    FOUND = "found"
    DAMAGED = "damaged"
    USED_AFTER_LOSS = "used_after_loss"
    CLONE = "clone"
    FRAUD = "fraud"


class Unit(StrEnum):
    """The unit of a check-in interval."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Interval(Value):
    """A span of the calendar, such as two weeks; months and years are as long as the calendar makes them."""

    unit: Unit
    count: Annotated[int, Field(ge=1, le=1000)] = 1

    def after(self, start: datetime) -> datetime:
        """The instant that lies this interval after `start`."""
        match self.unit:
            case Unit.DAY:
                return start + relativedelta(days=self.count)
            case Unit.WEEK:
                return start + relativedelta(weeks=self.count)
            case Unit.MONTH:
                return start + relativedelta(months=self.count)
            case Unit.YEAR:
                return start + relativedelta(years=self.count)


class Reporter(Value):
    """Who made a statement, and in which role."""

    role: Role
    name: PersonId


class Lease(Value):
    """How long a licence file runs: to the next check-in and the grace after it; without a check-in, for ever."""

    check_in: Interval | None = None
    grace_days: Annotated[int, Field(ge=0, le=3650)] = 0

    def expiry(self, issued: datetime) -> datetime | None:
        """The end of a file issued at `issued`, or None where nothing limits it."""
        if self.check_in is None:
            return None
        return self.check_in.after(issued) + relativedelta(days=self.grace_days)


@dataclass(frozen=True)
class Loss:
    """One row of the table of losses: what can be lost how, and what the product does about it by default."""

    kind: Kind
    reason: Reason
    scopes: tuple[Scope, ...]
    recovery: str
    measures: tuple[Measure, ...]
    watch: bool

    @classmethod
    def of(cls, kind: Kind, reason: Reason) -> "Loss | None":
        """The row for this pair, or None where the pair makes no sense."""
        return next((row for row in LOSSES if (row.kind, row.reason) == (kind, reason)), None)

    @staticmethod
    def valid() -> Iterator[str]:
        """All that can be reported, as `kind/reason/scope`."""
        return (f"{row.kind}/{row.reason}/{scope}" for row in LOSSES for scope in row.scopes)


LOSSES: tuple[Loss, ...] = (
    Loss(Kind.DONGLE, Reason.LOST, (Scope.CONTAINER,), "next generation", (Measure.BLACKLISTING,), True),
    Loss(Kind.DONGLE, Reason.STOLEN, (Scope.CONTAINER,), "next generation", (Measure.BLACKLISTING,), True),
)

Instant = AwareDatetime
