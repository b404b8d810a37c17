"""How each fact changes the rows. Pure: nothing here reads a clock or a store."""

from typing import Any, TypeVar, assert_never, cast

import orjson

from events.catalogue import (
    CaseFact,
    ContactRefused,
    ContainerContacted,
    ContainerRegistered,
    Fact,
    LicenceIssued,
    LicenceSuperseded,
    MeasureOrdered,
    PolicyAdopted,
    RecoveryFreed,
    RecoveryReserved,
    VendorAdded,
)
from events.envelope import Recorded, UnreadableRecordError, case_of, container_stream, record_key, unseal
from events.log import LogRecord, Position
from events.terms import VendorId
from projections.chain import follow
from projections.damage import Damage, LogDamagedError
from projections.rows import Rows
from projections.tables import (
    BLACKLIST,
    CASES,
    CONTAINERS,
    HISTORY,
    LICENCES,
    POLICIES,
    RECOVERIES,
    STREAMS,
    VENDORS,
    BlacklistRow,
    ContainerRow,
    HistoryRow,
    Json,
    Key,
    LicenceRow,
    PolicyRow,
    RecoveryRow,
    Table,
    VendorRow,
)
from workflows.case import UnexpectedFactError, fold

GOOD = "good"
BLOCKED = "blocked"

ContainerFact = (
    ContainerRegistered
    | ContainerContacted
    | ContactRefused
    | LicenceIssued
    | LicenceSuperseded
    | MeasureOrdered
    | RecoveryReserved
    | RecoveryFreed
)
VendorFact = VendorAdded | PolicyAdopted
AnyFact = VendorFact | ContainerFact | CaseFact

Row = TypeVar("Row")


class MissingRowError(Exception):
    """A fact needs a row that no fact before it in its stream has made."""


def read(record: LogRecord) -> Recorded:
    """The fact in a record. Raises `LogDamagedError` where it cannot be read or stands under a wrong key."""
    try:
        fact = unseal(record.value)
        bytes.fromhex(fact.previous_hash)
    except (UnreadableRecordError, ValueError) as error:
        raise LogDamagedError(Damage.UNREADABLE, record.position, "", f"it cannot be read ({error})") from error
    if not _belongs(record.key, fact):
        stream = f"{fact.vendor}/{fact.stream}"
        raise LogDamagedError(Damage.WRONG_KEY, record.position, stream, f"its key is {record.key!r}")
    return fact


def _belongs(key: bytes, fact: Recorded) -> bool:
    match cast(AnyFact, fact.fact):
        case CaseFact():
            return fact.stream.startswith("case/") and key.startswith(record_key(fact.vendor, None))
        case VendorAdded() | PolicyAdopted():
            return fact.stream == "vendor" and key == record_key(fact.vendor, None)
        case (
            ContainerRegistered(serial=serial)
            | ContainerContacted(serial=serial)
            | ContactRefused(serial=serial)
            | RecoveryReserved(serial=serial)
            | RecoveryFreed(serial=serial)
            | LicenceIssued(serial=serial)
            | LicenceSuperseded(serial=serial)
            | MeasureOrdered(serial=serial)
        ):
            return fact.stream == container_stream(serial) and key == record_key(fact.vendor, serial)
        case _ as never:
            assert_never(never)


def needs(fact: Recorded) -> tuple[Table[Any], Key] | None:
    """The row that this fact changes and does not make, if any."""
    match fact.fact:
        case CaseFact():
            return CASES, (fact.vendor, case_of(fact.stream))
        case LicenceSuperseded(licence=licence, generation=generation, serial=serial):
            return LICENCES, (fact.vendor, licence, generation, serial)
        case MeasureOrdered(serial=serial) | ContainerContacted(serial=serial) | ContactRefused(serial=serial):
            return CONTAINERS, (fact.vendor, serial)
        case RecoveryFreed(serial=serial, case=case):
            return RECOVERIES, (fact.vendor, serial, case)
        case _:
            return None


def fold_fact(rows: Rows, position: Position, recorded: Recorded) -> None:
    """Take one fact of the log into the rows; a copy changes nothing. Raises `LogDamagedError`."""
    key = (recorded.vendor, recorded.stream)
    known = key in rows.loaded[STREAMS]
    stream = follow(rows.get(STREAMS, key), position, recorded)
    if stream is None:
        return
    rows.put(STREAMS, stream, fresh=not known)
    try:
        _fold(rows, recorded, cast(AnyFact, recorded.fact), fresh=not known)
    except (UnexpectedFactError, MissingRowError) as error:
        where = f"{recorded.vendor}/{recorded.stream}"
        sentence = f"fact {recorded.sequence} cannot follow what came before it ({error})"
        raise LogDamagedError(Damage.UNEXPECTED_FACT, position, where, sentence) from error


def _fold(rows: Rows, recorded: Recorded, fact: AnyFact, fresh: bool) -> None:
    vendor, at = recorded.vendor, recorded.recorded
    match fact:
        case CaseFact():
            _fold_case(rows, recorded, fact, fresh)
        case VendorAdded():
            rows.put(VENDORS, VendorRow(vendor, fact.issuer, at), fresh)
        case PolicyAdopted():
            rows.put(POLICIES, PolicyRow(vendor, fact.policy_version, Json(fact.policy), at), fresh)
        case ContainerRegistered():
            rows.put(CONTAINERS, ContainerRow(vendor, fact.serial, fact.kind, fact.holder, GOOD, at, None, 0), fresh)
        case ContainerContacted():
            container = _found(rows.get(CONTAINERS, (vendor, fact.serial)), fact)
            rows.put(CONTAINERS, container._replace(last_contact=at), fresh)
        case ContactRefused():
            container = _found(rows.get(CONTAINERS, (vendor, fact.serial)), fact)
            refused = container._replace(last_contact=at, refused_contacts=container.refused_contacts + 1)
            rows.put(CONTAINERS, refused, fresh)
        case RecoveryReserved():
            subjects = Json(orjson.dumps(fact.subjects).decode())
            recovery = RecoveryRow(vendor, fact.serial, fact.case, subjects, fact.ordinal, fact.limit, False)
            rows.put(RECOVERIES, recovery, fresh)
        case RecoveryFreed():
            freed = _found(rows.get(RECOVERIES, (vendor, fact.serial, fact.case)), fact)
            rows.put(RECOVERIES, freed._replace(freed=True), fresh)
        case LicenceIssued():
            rows.put(LICENCES, _licence_row(vendor, fact), fresh)
        case LicenceSuperseded():
            licence = rows.get(LICENCES, (vendor, fact.licence, fact.generation, fact.serial))
            rows.put(LICENCES, _found(licence, fact)._replace(superseded_by=fact.case), fresh)
        case MeasureOrdered():
            container = _found(rows.get(CONTAINERS, (vendor, fact.serial)), fact)
            rows.put(CONTAINERS, container._replace(status=BLOCKED), fresh)
            rows.put(BLACKLIST, BlacklistRow(vendor, fact.serial, fact.case, fact.measure, at, fact.effective), fresh)
        case _:
            assert_never(fact)


def _fold_case(rows: Rows, recorded: Recorded, fact: CaseFact, fresh: bool) -> None:
    key = (recorded.vendor, case_of(recorded.stream))
    rows.put_case(key, fold(rows.case(key), fact), fresh)
    history = HistoryRow(
        *key,
        sequence=recorded.sequence,
        type=fact.type(),
        recorded=recorded.recorded,
        hash=bytes.fromhex(recorded.hash),
        data=Json(fact.model_dump_json()),
    )
    rows.put(HISTORY, history, fresh=True)  # a fact is no copy, so its row is new whatever the stream


def _licence_row(vendor: VendorId, fact: LicenceIssued) -> LicenceRow:
    return LicenceRow(
        vendor=vendor,
        licence=fact.licence,
        generation=fact.generation,
        serial=fact.serial,
        holder=fact.holder,
        product=fact.product,
        ticket=fact.ticket,
        value_cents=fact.value_cents,
        lease=Json(fact.lease.model_dump_json()),
        issued=fact.issued,
        expires=fact.expires,
        case_id=fact.case,
        file=fact.file,
        superseded_by=None,
    )


def _found(row: Row | None, fact: Fact) -> Row:
    if row is None:
        raise MissingRowError(f"{fact.name} of something that was never stated")
    return row
