"""The words of the domain as types, and the table of losses that code, documentation and tests read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import isfinite
from typing import Annotated, Any, NewType, Self

from dateutil.relativedelta import relativedelta
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    StringConstraints,
)
from pydantic_core import CoreSchema, core_schema

from events.errors import Code, RefusalError

VENDOR_PATTERN = r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$"
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:@+-]{0,79}$"
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
DecisionId = NewType("DecisionId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
ContactId = NewType("ContactId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
PersonId = NewType("PersonId", Annotated[str, StringConstraints(pattern=NAME_PATTERN)])
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


SUBJECT_PATTERN = rf"^({'|'.join(Aim)})/({NAME_PATTERN[1:-1]})/([0-9]{{1,19}})$"
SUBJECT = re.compile(SUBJECT_PATTERN)


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
        """The instant that lies this interval after `start`, and none after the end of the calendar."""
        try:
            return self._after(start)
        except (OverflowError, ValueError):
            return LAST_INSTANT

    def _after(self, start: datetime) -> datetime:
        match self.unit:
            case Unit.DAY:
                return start + timedelta(days=self.count)
            case Unit.WEEK:
                return start + timedelta(weeks=self.count)
            case Unit.MONTH:
                return start + relativedelta(months=self.count)
            case Unit.YEAR:
                return start + relativedelta(years=self.count)


class CaseKey(Value):
    """Names a case, and the container that it is about."""

    vendor: VendorId
    case: CaseId
    serial: Serial


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
        due, grace = self.check_in.after(issued), timedelta(days=self.grace_days)
        return due + grace if due < LAST_INSTANT - grace else LAST_INSTANT


Fingerprint = Annotated[
    dict[Annotated[str, StringConstraints(pattern=NAME_PATTERN)], Annotated[str, StringConstraints(max_length=128)]],
    Field(min_length=1, max_length=16),
]
"""The factors of a machine's hardware by name, such as `board` or `disk`; the values are compared and never shown. As
the log may have them; what comes in by a door is a `BoundedFingerprint`."""
BoundedFingerprint = Annotated[
    dict[
        Annotated[str, StringConstraints(pattern=NAME_PATTERN)],
        Annotated[str, StringConstraints(max_length=128, pattern=LINE_PATTERN)],
    ],
    Field(min_length=1, max_length=16),
]


def matches(match: Match, known: dict[str, str], shown: dict[str, str]) -> bool:
    """Whether a fingerprint is that of the machine that is known; of one that is known by less than two factors, two
    need not be the same."""
    same = sum(shown.get(factor) == value for factor, value in known.items())
    needed = {Match.ANY: 1, Match.TWO: min(2, len(known)), Match.MOST: len(known) // 2 + 1, Match.ALL: len(known)}[
        match
    ]
    return same >= max(1, needed)


@dataclass(frozen=True, slots=True)
class Subject:
    """What a measure aims at: a generation of a licence, of a container's activation, or of access data. The name is a
    licence's, or else a serial. It is written as one word, such as `licence/L-1/2`."""

    aim: Aim
    name: str
    generation: int

    @classmethod
    def way_in(cls, kind: Kind, serial: str, generation: int) -> Self:
        """What stands for all of a container, and is refused whatever it holds: its activation, or its access data."""
        return cls(Aim.ACCESS_DATA if kind is Kind.CLOUD else Aim.CONTAINER, serial, generation)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The subject that is written so. Raises `ValueError`."""
        if not (found := SUBJECT.fullmatch(text)):
            raise ValueError(f"{text!r} is no subject of a measure, such as licence/L-1/2")
        aim, name, generation = found.groups()
        return cls(Aim(aim), name, int(generation))

    def __str__(self) -> str:
        return f"{self.aim}/{self.name}/{self.generation}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._read,
            json_schema_input_schema=core_schema.str_schema(pattern=SUBJECT_PATTERN),
            serialization=core_schema.to_string_ser_schema(),
        )

    @classmethod
    def _read(cls, found: object) -> Self:
        return found if isinstance(found, cls) else cls.parse(str(found))


@dataclass(frozen=True)
class Loss:
    """One row of the table of losses: what can be lost how, and what the product does about it by default."""

    kind: Kind
    reason: Reason
    scopes: tuple[Scope, ...]
    recovery: Recovery
    measures: tuple[Measure, ...]
    watch: Watch
    meaning: str

    @classmethod
    def of(cls, kind: Kind, reason: Reason) -> "Loss | None":
        """The row for this pair, or None where the pair makes no sense."""
        return ROWS.get((kind, reason))

    @staticmethod
    def valid() -> Iterator[str]:
        """All that can be reported, as `kind/reason/scope`."""
        return (f"{row.kind}/{row.reason}/{scope}" for row in LOSSES for scope in row.scopes)

    def target(self, scope: Scope) -> Target:
        """Where the replacement goes."""
        match self.kind:
            case Kind.DONGLE:
                return Target.EMPTY_CONTAINER if scope is Scope.CONTAINER else Target.OTHER_CONTAINER
            case Kind.ACT:
                return Target.ACTIVATION
            case Kind.CLOUD:
                return Target.SAME_CONTAINER

    def aim(self, scope: Scope) -> Aim:
        """What the measures aim at."""
        if self.kind is Kind.CLOUD:
            return Aim.ACCESS_DATA
        return Aim.CONTAINER if scope is Scope.CONTAINER else Aim.LICENCE


_WHOLE = (Scope.CONTAINER,)
_ANY = (Scope.CONTAINER, Scope.LICENCES)
_DEACTIVATE_THEN_BLOCK = (Measure.DEACTIVATION, Measure.BLACKLISTING)

LOSSES: tuple[Loss, ...] = (
    Loss(
        *(Kind.DONGLE, Reason.LOST, _ANY, Recovery.NEXT_GENERATION, (Measure.BLACKLISTING,), Watch.LONG),
        meaning="the holder cannot find it",
    ),
    Loss(
        *(Kind.DONGLE, Reason.STOLEN, _WHOLE, Recovery.NEXT_GENERATION, (Measure.BLACKLISTING,), Watch.LONG),
        meaning="somebody took it",
    ),
    Loss(
        *(Kind.DONGLE, Reason.DAMAGED, _ANY, Recovery.STOP_GAP, (Measure.WITHDRAWAL,), Watch.UNTIL_RETURNED),
        meaning="it no longer works and will be sent back",
    ),
    Loss(
        *(Kind.ACT, Reason.SAME_HARDWARE, _ANY, Recovery.REISSUE, (Measure.DEACTIVATION,), Watch.SHORT),
        meaning="it was destroyed, and the machine is the same",
    ),
    Loss(
        *(Kind.ACT, Reason.HARDWARE_REPLACED, _ANY, Recovery.NEXT_GENERATION, _DEACTIVATE_THEN_BLOCK, Watch.LONG),
        meaning="the machine was replaced",
    ),
    Loss(
        *(Kind.ACT, Reason.COMPUTER_STOLEN, _ANY, Recovery.NEXT_GENERATION, _DEACTIVATE_THEN_BLOCK, Watch.LONG),
        meaning="somebody took the machine",
    ),
    Loss(
        *(Kind.CLOUD, Reason.FORGOTTEN, _WHOLE, Recovery.RESET, (), Watch.NONE),
        meaning="the holder forgot the access data",
    ),
    Loss(
        *(Kind.CLOUD, Reason.STOLEN, _WHOLE, Recovery.ROTATION, (Measure.BLACKLISTING,), Watch.LONG),
        meaning="somebody else has the access data",
    ),
)

ROWS = {(row.kind, row.reason): row for row in LOSSES}
