"""How each fact changes the rows. Pure: nothing here reads a clock or a store."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar, assert_never

import orjson

from events.backend_facts import (
    AccessLapsed,
    AccessOffered,
    AccessSet,
    ActivationReturned,
    CaseAddressed,
    ContactRefused,
    ContainerActivated,
    ContainerContacted,
    ContainerRegistered,
    ContainerReinstated,
    DelegationGiven,
    DelegationRevoked,
    HolderFlagged,
    LeaseDueSoon,
    LeaseLapsed,
    LeaseOverdue,
    LicenceChanged,
    LicenceEnded,
    LicenceIssued,
    LicenceRenewed,
    LicenceSuperseded,
    MeasureConfirmed,
    MeasureDelivered,
    MeasureFact,
    MeasureLifted,
    MeasureOrdered,
    MeasureUnconfirmable,
    PolicyAdopted,
    RecordSetAside,
    RecoveryFreed,
    RecoveryReserved,
    SessionsEnded,
    VendorAdded,
)
from events.case_facts import CaseDecided, CaseFact, CaseStreamFact, LossReported, ScopeKnown
from events.catalogue import AnyFact
from events.codec import FactCodec, belongs
from events.envelope import (
    NewerFactError,
    Recorded,
    UnreadableRecordError,
    case_of,
    record_key,
)
from events.fact import Fact
from events.log_errors import Damage, LogDamagedError, LogStoppedError, NewerReleaseError
from events.log_records import Aside, LogRecord, Position, RecordId
from events.measure_life import UnexpectedStepError, step
from events.terms import MeasureState, VendorId
from projections.batch_rows import Rows
from projections.chain import follow
from projections.tables import (
    ACCESS,
    ACTIVATIONS,
    ADDRESSED,
    CASE_REPORTS,
    CASE_TICKETS,
    CASES,
    CONTAINERS,
    DELEGATIONS,
    FLAGS,
    HISTORY,
    LICENCES,
    MEASURES,
    POLICIES,
    RECOVERIES,
    REINSTATEMENTS,
    STREAMS,
    VENDORS,
    AccessRow,
    ActivationRow,
    AddressedRow,
    CaseReportRow,
    CaseTicketRow,
    ContainerRow,
    DelegationRow,
    FlagRow,
    HistoryRow,
    Json,
    Key,
    LicenceRow,
    MeasureRow,
    PolicyRow,
    RecoveryRow,
    ReinstatementRow,
    Table,
    VendorRow,
)
from workflows.case import UnexpectedFactError

Lease = LeaseDueSoon | LeaseOverdue | LeaseLapsed
AMeasure = MeasureOrdered | MeasureDelivered | MeasureConfirmed | MeasureUnconfirmable | MeasureLifted

Row = TypeVar("Row")


class MissingRowError(Exception):
    """A fact needs a row that no fact before it in its stream has made."""


def read(codec: FactCodec, record: LogRecord) -> Recorded:
    """The fact in a record. Raises `LogDamagedError` where it cannot be read or stands under a wrong key, and
    `NewerReleaseError` where only a later release knows it."""
    try:
        fact = codec.unseal(record.value or b"")
    except UnreadableRecordError as error:
        sentence = f"it cannot be read ({error})"
        raise LogDamagedError(Damage.UNREADABLE, record.position, "", sentence, record.id.digest) from error
    except NewerFactError as error:
        if (record.key or b"").startswith(record_key(error.record.vendor, None)):
            raise NewerReleaseError(record.position, error.record) from error
        raise _wrong_key(record, error.record.vendor, error.record.stream) from error
    if not belongs(record.key or b"", fact):
        raise _wrong_key(record, fact.vendor, fact.stream)
    return fact


def _wrong_key(record: LogRecord, vendor: VendorId, stream: str) -> LogDamagedError:
    sentence = f"its key is {record.key!r}"
    return LogDamagedError(Damage.WRONG_KEY, record.position, f"{vendor}/{stream}", sentence, record.id.digest)


def read_all(codec: FactCodec, records: Iterable[LogRecord], aside: Aside) -> list[tuple[Position, Recorded]]:
    """The facts of these records with their places; a record that cannot be read is left out where it is set aside.
    Raises `LogStoppedError`."""
    facts = []
    for record in records:
        try:
            facts.append((record.position, read(codec, record)))
        except LogStoppedError:
            if record.id not in aside:
                raise
    return facts


def fold_all(rows: Rows, facts: Iterable[tuple[Position, Recorded]], aside: Aside) -> None:
    """Take facts of the log into the rows; one that cannot be folded is left out where it is set aside.

    One that can be is folded all the same, so that whoever folds gets the same rows, whenever it was set aside.
    What was set aside because its stream stands in another partition is left out: whether it can be folded depends on
    which one is read first.
    """
    for position, fact in facts:
        if aside and aside.get(RecordId(position, fact.hash.hex())) == Damage.STREAM_MOVED:
            continue
        try:
            fold_fact(rows, position, fact)
        except LogDamagedError:
            if RecordId(position, fact.hash.hex()) not in aside:
                raise


def needs(fact: Recorded) -> Iterable[tuple[Table[Any], Key]]:
    """The rows that this fact changes and may not make."""
    vendor = fact.vendor
    match fact.fact:
        case CaseStreamFact():
            yield CASES, (vendor, case_of(fact.stream))
        case (
            LicenceSuperseded()
            | LicenceChanged()
            | LicenceEnded()
            | LicenceRenewed()
            | LeaseDueSoon()
            | LeaseOverdue()
            | LeaseLapsed() as one
        ):
            yield LICENCES, (vendor, one.licence, one.generation, one.serial)
        case MeasureFact() as one:
            yield MEASURES, (vendor, one.serial, one.case, one.measure, str(one.subject))
        case ContainerContacted() | ContactRefused() | SessionsEnded() | ContainerReinstated() as one:
            yield CONTAINERS, (vendor, one.serial)
        case ContainerActivated() | ActivationReturned() as one:
            yield CONTAINERS, (vendor, one.serial)
            yield ACTIVATIONS, (vendor, one.serial, one.generation)
        case AccessOffered() | AccessSet() | AccessLapsed() as one:
            yield ACCESS, (vendor, one.serial, one.generation)
        case RecoveryFreed(serial=serial, case=case) | RecoveryReserved(serial=serial, case=case):
            yield RECOVERIES, (vendor, serial, case)
        case ContainerRegistered() | LicenceIssued() | HolderFlagged() | CaseAddressed():
            pass
        case DelegationGiven(delegation=delegation) | DelegationRevoked(delegation=delegation):
            yield DELEGATIONS, (vendor, delegation)
        case VendorAdded() | PolicyAdopted() | RecordSetAside():
            pass
        case _ as never:
            assert_never(never)


def fold_fact(rows: Rows, position: Position, recorded: Recorded) -> None:
    """Take one fact of the log into the rows; a copy changes nothing. Raises `LogDamagedError`."""
    key = (recorded.vendor, recorded.stream)
    known = key in rows.loaded[STREAMS]
    stream = follow(rows.get(STREAMS, key), position, recorded)
    if stream is None:
        return
    (rows.changed if known else rows.fresh)[STREAMS][key] = stream
    try:
        _fold(rows, recorded, recorded.fact, fresh=not known)
    except (UnexpectedFactError, UnexpectedStepError, MissingRowError) as error:
        where = f"{recorded.vendor}/{recorded.stream}"
        sentence = f"fact {recorded.sequence} cannot follow what came before it ({error})"
        digest = recorded.hash.hex()
        raise LogDamagedError(Damage.UNEXPECTED_FACT, position, where, sentence, digest) from error


def _fold(rows: Rows, recorded: Recorded, fact: AnyFact, fresh: bool) -> None:
    vendor, at = recorded.vendor, recorded.recorded
    match fact:
        case CaseStreamFact():
            _fold_case(rows, recorded, fact, fresh)
        case LicenceIssued():
            rows.put(LICENCES, _licence_row(recorded, fact), fresh)
        case ContainerRegistered():
            new = ContainerRow(vendor, fact.serial, fact.kind, fact.holder, at, None, 0, 1, 0)
            rows.put(CONTAINERS, new, fresh)
        case LicenceSuperseded():
            rows.put(LICENCES, _licence(rows, vendor, fact)._replace(superseded_by=fact.case), fresh)
        case LicenceChanged():
            changed = _licence(rows, vendor, fact)._replace(
                product=fact.product,
                value_cents=fact.value_cents,
                lease=_json(recorded.data["lease"]),
                borrowed_until=fact.borrowed_until,
            )
            rows.put(LICENCES, changed, fresh)
        case LicenceEnded():
            rows.put(LICENCES, _licence(rows, vendor, fact)._replace(ended=fact.ended), fresh)
        case MeasureOrdered() | MeasureDelivered() | MeasureConfirmed() | MeasureUnconfirmable() | MeasureLifted():
            _fold_measure(rows, recorded, fact, fresh)
        case ContainerContacted():
            container = _container(rows, vendor, fact)
            rows.put(CONTAINERS, container._replace(last_contact=_later(container.last_contact, at)), fresh)
        case ContactRefused():
            container = _container(rows, vendor, fact)
            count = container.refused_contacts + (fact.part == 1)
            refused = container._replace(last_contact=_later(container.last_contact, at), refused_contacts=count)
            rows.put(CONTAINERS, refused, fresh)
        case RecoveryReserved():
            earlier = rows.get(RECOVERIES, (vendor, fact.serial, fact.case))
            quotas = _quotas(orjson.loads(_found(earlier, fact).quotas) if earlier or fact.part > 1 else [], fact)
            rows.put(RECOVERIES, RecoveryRow(vendor, fact.serial, fact.case, _json(quotas), False), fresh)
        case RecoveryFreed():
            freed = _found(rows.get(RECOVERIES, (vendor, fact.serial, fact.case)), fact)
            rows.put(RECOVERIES, freed._replace(freed=True), fresh)
        case VendorAdded():
            rows.put(VENDORS, VendorRow(vendor, fact.issuer, at), fresh)
        case PolicyAdopted():
            policy = fact.policy if isinstance(fact.policy, str) else _json(fact.policy)  # a text is JSON already
            rows.put(POLICIES, PolicyRow(vendor, fact.policy_version, Json(policy), at), fresh)
        case DelegationGiven():
            given = _delegation(rows, vendor, fact)._replace(
                delegate=fact.delegate,
                holders=_json(fact.holders),
                until=fact.until,
                given=fact.received,
                given_by=fact.by,
            )
            rows.put(DELEGATIONS, given, fresh)
        case DelegationRevoked():
            revoked = _delegation(rows, vendor, fact)._replace(revoked=fact.received, revoked_by=fact.by)
            rows.put(DELEGATIONS, revoked, fresh)
        case ContainerActivated():
            container = _container(rows, vendor, fact)
            rows.put(CONTAINERS, container._replace(generation=fact.generation), fresh)
            rows.put(ACTIVATIONS, _activation(rows, vendor, fact)._replace(case_id=fact.case, activated=at), fresh)
        case ContainerReinstated():
            container = _container(rows, vendor, fact)
            rows.put(CONTAINERS, container._replace(generation=fact.generation), fresh)
            rows.put(REINSTATEMENTS, ReinstatementRow(vendor, fact.serial, fact.case, fact.generation, at), fresh)
        case CaseAddressed():
            said = (fact.case, fact.statement, fact.by, fact.role, fact.door, fact.received, fact.code)
            rows.put(ADDRESSED, AddressedRow(vendor, fact.serial, recorded.sequence, *said), fresh=True)
        case HolderFlagged():
            rows.put(FLAGS, FlagRow(vendor, fact.serial, fact.case, fact.holder, fact.verdict, at), fresh)
        case ActivationReturned():
            returned = _activation(rows, vendor, fact)._replace(returned=at, receipt=fact.receipt)
            rows.put(ACTIVATIONS, returned, fresh)
        case AccessOffered():
            offered = AccessRow(vendor, fact.serial, fact.generation, fact.case, at, fact.until, None)
            rows.put(ACCESS, offered, fresh)
        case AccessSet():
            offered = _found(rows.get(ACCESS, (vendor, fact.serial, fact.generation)), fact)
            rows.put(ACCESS, offered._replace(set_at=at), fresh)
        case AccessLapsed():
            offered = _found(rows.get(ACCESS, (vendor, fact.serial, fact.generation)), fact)
            rows.put(ACCESS, offered._replace(until=at), fresh)
        case SessionsEnded():
            container = _container(rows, vendor, fact)
            ended = container.sessions_ended + fact.sessions
            rows.put(CONTAINERS, container._replace(sessions_ended=ended), fresh)
        case LicenceRenewed():
            renewed = _licence(rows, vendor, fact)._replace(
                issued=fact.issued, expires=fact.expires, file=fact.file, lease_stage=None
            )
            rows.put(LICENCES, renewed, fresh)
        case LeaseDueSoon() | LeaseOverdue() | LeaseLapsed():
            stage = fact.name.removeprefix("lease.")
            rows.put(LICENCES, _licence(rows, vendor, fact)._replace(lease_stage=stage), fresh)
        case RecordSetAside():
            pass  # who folds has looked ahead for it
        case _:
            assert_never(fact)


def _delegation(rows: Rows, vendor: VendorId, fact: DelegationGiven | DelegationRevoked) -> DelegationRow:
    """What is known of a delegation before this fact: it may be revoked before it is given."""
    nothing = DelegationRow(vendor, fact.delegation, None, Json("[]"), *[None] * 5)
    return rows.get(DELEGATIONS, (vendor, fact.delegation)) or nothing


def _quotas(quotas: list[dict[str, Any]], fact: RecoveryReserved) -> list[dict[str, Any]]:
    """What quotas set aside for a case, with this fact: another quota's, or a further part of the last one's."""
    if fact.part > 1:
        *others, last = quotas
        return [*others, {**last, "subjects": [*last["subjects"], *fact.subjects]}]
    quota = {"pot": fact.pot, "term_days": fact.term_days, "ordinal": fact.ordinal, "limit": fact.limit}
    return [*quotas, {**quota, "subjects": fact.subjects}]


def _fold_measure(rows: Rows, recorded: Recorded, fact: AMeasure, fresh: bool) -> None:
    at = recorded.recorded
    key = (recorded.vendor, fact.serial, fact.case, fact.measure, str(fact.subject))
    before, after = rows.get(MEASURES, key), MeasureState(fact.name.removeprefix("measure."))
    if isinstance(fact, MeasureOrdered):
        state = step(before and MeasureState(before.state), after)
        row = MeasureRow(*key, at, fact.effective, state, None, None, None)
    else:
        row = _found(before, fact)
        row = row._replace(state=step(MeasureState(row.state), after))
    match fact:
        case MeasureOrdered():
            pass
        case MeasureDelivered():
            row = row._replace(delivered=at)
        case MeasureConfirmed():
            row = row._replace(ended=at, confirmed_by=fact.by)
        case MeasureUnconfirmable() | MeasureLifted():
            row = row._replace(ended=at)
        case _:
            assert_never(fact)
    rows.put(MEASURES, row, fresh)


def _fold_case(rows: Rows, recorded: Recorded, fact: CaseFact, fresh: bool) -> None:
    key = (recorded.vendor, case_of(recorded.stream))
    vendor, case = key
    rows.fold_case(key, fact, fresh)
    if isinstance(fact, LossReported) and (recorded.sequence == 1 or fact.beside is None):  # else another case has it
        rows.put(CASE_REPORTS, CaseReportRow(vendor, fact.report, case), fresh)
    if isinstance(fact, ScopeKnown | CaseDecided):  # older decisions list the licences themselves
        for licence in fact.licences if isinstance(fact, ScopeKnown) else fact.facts.licences:
            rows.put(CASE_TICKETS, CaseTicketRow(vendor, licence.ticket, case), fresh)
    history = HistoryRow(*key, recorded.sequence, fact.type(), recorded.recorded, recorded.hash, _json(recorded.data))
    rows.put(HISTORY, history, fresh=True)  # a fact is no copy, so its row is new whatever the stream


def _json(value: Any) -> Json:
    return Json(orjson.dumps(value).decode())


def _licence_row(recorded: Recorded, fact: LicenceIssued) -> LicenceRow:
    return LicenceRow(
        *(recorded.vendor, fact.licence, fact.generation, fact.serial, fact.holder, fact.product, fact.ticket),
        *(fact.value_cents, _json(recorded.data["lease"]), fact.issued, fact.expires, fact.case, fact.file),
        *(None, fact.stop_gap, fact.borrowed_until, None, None),
    )


def _later(known: datetime | None, at: datetime) -> datetime:
    """The later of two contacts: one may be worked off before another that was received earlier."""
    return at if known is None else max(known, at)


def _container(rows: Rows, vendor: VendorId, fact: Any) -> ContainerRow:
    return _found(rows.get(CONTAINERS, (vendor, fact.serial)), fact)


def _activation(rows: Rows, vendor: VendorId, fact: ContainerActivated | ActivationReturned) -> ActivationRow:
    key = (vendor, fact.serial, fact.generation)
    return rows.get(ACTIVATIONS, key) or ActivationRow(*key, None, None, None, None)


def _licence(
    rows: Rows, vendor: VendorId, fact: LicenceSuperseded | LicenceChanged | LicenceEnded | LicenceRenewed | Lease
) -> LicenceRow:
    return _found(rows.get(LICENCES, (vendor, fact.licence, fact.generation, fact.serial)), fact)


def _found(row: Row | None, fact: Fact) -> Row:
    if row is None:
        raise MissingRowError(f"{fact.name} of something that was never stated")
    return row
