"""The tables of the views: each row is a tuple that is written by the facts of one stream only.

A stream lives in one partition, so no two partitions ever write the same row, and every interleaving of them gives the
same rows. The first columns are the key, and every key of a fact's row starts with the vendor. `recorded` and the like
are the log's own times: no column holds the time of folding.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Generic, NamedTuple, NewType, TypeVar, get_args, get_type_hints

VERSION = 10
"""The version of the views: raised whenever the same log would give other tables or rows."""

Json = NewType("Json", str)

Key = tuple[Any, ...]
R = TypeVar("R", bound=tuple[Any, ...])


class VendorRow(NamedTuple):
    """A vendor, from its own stream."""

    vendor: str
    issuer: str
    added: datetime


class PolicyRow(NamedTuple):
    """A version of a vendor's policy, from the vendor's stream."""

    vendor: str
    policy_version: int
    policy: Json
    adopted: datetime


class DelegationRow(NamedTuple):
    """A delegation, from the vendor's stream; one that was only revoked has no more than that."""

    vendor: str
    delegation: str
    delegate: str | None
    holders: Json
    until: datetime | None
    given: datetime | None
    given_by: str | None
    revoked: datetime | None
    revoked_by: str | None


class ContainerRow(NamedTuple):
    """A container, from its own stream; `generation` is that of its activation. Whether it is blocked is asked of the
    measures, at an instant: a measure has a time of effect."""

    vendor: str
    serial: str
    kind: str
    holder: str
    registered: datetime
    last_contact: datetime | None
    refused_contacts: int
    generation: int
    sessions_ended: int


class LicenceRow(NamedTuple):
    """A generation of a licence, from the stream of the container that it was issued into.

    The serial is in the key, so two containers that claimed one generation would be two rows and not a race. `issued`,
    `expires` and `file` are the latest file's; `lease` says how it is to be renewed, `lease_stage` how it runs out. Its
    contract `ended` then, if it has.
    """

    vendor: str
    licence: str
    generation: int
    serial: str
    holder: str
    product: str
    ticket: str
    value_cents: int
    lease: Json
    issued: datetime
    expires: datetime | None
    case_id: str | None
    file: str | None
    superseded_by: str | None
    stop_gap: bool
    borrowed_until: datetime | None
    lease_stage: str | None
    ended: datetime | None


class MeasureRow(NamedTuple):
    """A measure of a case, from the stream of the case's container; `ended` is when it was confirmed, lifted or found
    unconfirmable, as `state` says."""

    vendor: str
    serial: str
    case_id: str
    measure: str
    subject: str
    ordered: datetime
    effective: datetime
    state: str
    delivered: datetime | None
    ended: datetime | None
    confirmed_by: str | None


class ActivationRow(NamedTuple):
    """An activation of a container that was bound to a machine here, or given back, from the container's stream."""

    vendor: str
    serial: str
    generation: int
    case_id: str | None
    activated: datetime | None
    returned: datetime | None
    receipt: str | None


class AccessRow(NamedTuple):
    """A generation of a cloud container's access data, from the container's stream; no secret is in it."""

    vendor: str
    serial: str
    generation: int
    case_id: str | None
    offered: datetime | None
    until: datetime | None
    set_at: datetime | None


class RecoveryRow(NamedTuple):
    """What quotas set aside for a case, from the container's stream. `quotas` has of each its `pot` and `term_days`,
    the `ordinal` of `limit`, and the `subjects`."""

    vendor: str
    serial: str
    case_id: str
    quotas: Json
    freed: bool


class FlagRow(NamedTuple):
    """A verdict that speaks against a holder, from the stream of the case's container."""

    vendor: str
    serial: str
    case_id: str
    holder: str
    verdict: str
    flagged: datetime


class ReinstatementRow(NamedTuple):
    """A container that a case made good again, as one of this generation, from the container's stream: what the case
    had against an earlier one is over."""

    vendor: str
    serial: str
    case_id: str
    generation: int
    reinstated: datetime


class CaseRow(NamedTuple):
    """A case, from its own stream; `state` is the whole of it. `material` is the number of its last material fact, and
    `due` the time by which somebody must decide."""

    vendor: str
    case_id: str
    status: str
    outcome: str | None
    serial: str
    kind: str
    reason: str
    holder: str | None
    received: datetime
    target: str | None
    watch_until: datetime | None
    material: int
    due: datetime | None
    state: Json


class CaseReportRow(NamedTuple):
    """A report that opened or joined a case, from the case's stream."""

    vendor: str
    report: str
    case_id: str


class CaseTicketRow(NamedTuple):
    """A ticket of a licence that a case is about, from the case's stream."""

    vendor: str
    ticket: str
    case_id: str


class HistoryRow(NamedTuple):
    """A fact of a case, as the log has it."""

    vendor: str
    case_id: str
    sequence: int
    type: str
    recorded: datetime
    hash: bytes
    data: Json


class AddressedRow(NamedTuple):
    """Something said to a case that did not answer it itself, from the stream of the case's container."""

    vendor: str
    serial: str
    sequence: int
    case_id: str
    statement: str
    said_by: str
    role: str | None
    door: str
    received: datetime
    code: str | None


class StreamRow(NamedTuple):
    """Where a stream stands; `hashes` are the SHA-256 of its last facts, 32 bytes each, the newest last."""

    vendor: str
    stream: str
    partition: int
    sequence: int
    hashes: bytes


class PositionRow(NamedTuple):
    """How far a partition is folded: the offset of the next record."""

    partition: int
    next_offset: int


@dataclass(frozen=True, eq=False)
class Table(Generic[R]):
    """A table: its rows' type and how many of the first columns are the key.

    `key_last`: no fact looks for its rows, so a long fold is quicker when the key is declared with the indexes.
    """

    name: str
    row: type[R]
    keys: int
    indexes: tuple[str, ...] = ()
    key_last: bool = False

    def key_of(self, row: R) -> Key:
        """The key of a row."""
        return row[: self.keys]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return tuple(get_type_hints(self.row))

    @cached_property
    def types(self) -> tuple[str, ...]:
        """PostgreSQL's types of the columns."""
        return tuple(_type(hint)[0] for hint in get_type_hints(self.row).values())

    def ddl(self) -> str:
        """The statement that makes the table, in the schema that comes first on the search path."""
        hints = [_type(hint) for hint in get_type_hints(self.row).values()]
        columns = [
            name + " " + type_ + (' collate "C"' if type_ == "text" else "") + ("" if nullable else " not null")
            for name, (type_, nullable) in zip(self.columns, hints, strict=True)
        ]
        if not self.key_last:
            columns.append(self._key())
        return f"create table {self.name} ({', '.join(columns)})"

    def index_ddl(self) -> list[str]:
        """The statements that make the further indexes."""
        key = [f"alter table {self.name} add {self._key()}"] if self.key_last else []
        return [*key, *(f"create index on {self.name} ({columns})" for columns in self.indexes)]

    def _key(self) -> str:
        return f"primary key ({', '.join(self.columns[: self.keys])})"


TYPES: dict[Any, str] = {
    str: "text",
    int: "bigint",
    bool: "boolean",
    datetime: "timestamptz",
    bytes: "bytea",
    Json: "jsonb",
}


def _type(hint: Any) -> tuple[str, bool]:
    nullable = type(None) in get_args(hint)
    plain = next(arg for arg in get_args(hint) if arg is not type(None)) if nullable else hint
    return TYPES[plain], nullable


VENDORS = Table("vendors", VendorRow, 1)
POLICIES = Table("policies", PolicyRow, 2)
DELEGATIONS = Table("delegations", DelegationRow, 2)
CONTAINERS = Table("containers", ContainerRow, 2)
LICENCES = Table("licences", LicenceRow, 4, ("vendor, serial", "vendor, case_id"))
MEASURES = Table("measures", MeasureRow, 5, ("vendor, case_id",))
ACTIVATIONS = Table("activations", ActivationRow, 3)
ACCESS = Table("access", AccessRow, 3)
RECOVERIES = Table("recoveries", RecoveryRow, 3, ("vendor, case_id",))
FLAGS = Table("flags", FlagRow, 3, ("vendor, holder",))
REINSTATEMENTS = Table("reinstatements", ReinstatementRow, 3)
CASES = Table(
    "cases", CaseRow, 2, ("vendor, received desc, case_id desc", "vendor, serial", "vendor, holder", "vendor, target")
)
CASE_REPORTS = Table("case_reports", CaseReportRow, 3)
CASE_TICKETS = Table("case_tickets", CaseTicketRow, 3)
HISTORY = Table("history", HistoryRow, 3, key_last=True)
ADDRESSED = Table("addressed", AddressedRow, 3, ("vendor, case_id", "vendor, statement"))
STREAMS = Table("streams", StreamRow, 2)
POSITIONS = Table("positions", PositionRow, 1)

FOLDED: tuple[Table[Any], ...] = (
    VENDORS,
    POLICIES,
    DELEGATIONS,
    CONTAINERS,
    LICENCES,
    MEASURES,
    ACTIVATIONS,
    ACCESS,
    RECOVERIES,
    FLAGS,
    REINSTATEMENTS,
    CASES,
    CASE_REPORTS,
    CASE_TICKETS,
    HISTORY,
    ADDRESSED,
    STREAMS,
)
TABLES: tuple[Table[Any], ...] = (*FOLDED, POSITIONS)
