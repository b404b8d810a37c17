"""Contacts: a container that reports in is served or refused.

An ordinary contact, of a container that shows nothing but itself and for which nothing is ordered, is the most frequent
operation of all. It takes two statements: one looks, the other takes the container's lock and writes, if the head of
its stream is still the one that was seen. For whatever changes how a contact is judged is a fact in that stream, stated
by the transaction that changes it, under that lock; only of a theft that is reported between the two the contact came
before. Any other contact is judged in a transaction that has the lock first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

import orjson
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from activities.licensing.activation_code import code_of
from activities.licensing.activation_code_rules import Fetched
from activities.licensing.containers import Container, Licence, must_be_theirs, unknown_container
from activities.licensing.delegations import acts_for
from activities.licensing.issuance import Signer, status_indices
from activities.licensing.judgement import (
    Activation,
    Awaiting,
    Judgement,
    Known,
    answer_of,
    code_after,
    facts_of,
    filed_again,
    given_back,
    judge,
    must_be_returnable,
    number_taken,
    renewals,
    return_facts,
    said_to_cases,
)
from activities.licensing.lease_rules import first_notice
from activities.licensing.measure_rules import Standing
from activities.licensing.measures import STANDING, advance, settled_by, texts
from activities.licensing.messages import post, post_to_each
from activities.licensing.outbox import append_clause, append_parameters, state
from activities.licensing.records import CONTAINER, CONTAINER_COLUMNS, LICENCE_COLUMNS, lock_container
from activities.licensing.signing import Receipt
from activities.licensing.triage import asking, match_of, triage
from activities.licensing.vendors import in_force
from events.envelope import Head, container_stream
from events.fact import Fact
from events.measure_life import sql_in_effect
from events.measure_subject import Subject
from events.ports.licensing_backend import CaseKey, ContactAnswer, ReceiptAnswer, Triage
from events.ports.loss_cases import Settled
from events.principal import Principal
from events.statements import ContactStatement, DeactivationStatement
from events.stream_position import StreamPosition
from events.terms import ActivationBy, Aim, Contact, LicenceId, Match, MeasureState, Serial, VendorId


def _reading(licences: str, measures: str, more: str = "") -> str:
    """The statement that looks at what is known of a container: these licences, the measures on these, and more."""
    return f"""
select {CONTAINER_COLUMNS},
    (select issuer from backend.vendors where vendor = %(vendor)s) as issuer,
    (
        select answer from backend.contacts where vendor = %(vendor)s and serial = %(serial)s
        and contact = %(contact)s and by_password = %(by_password)s
    ) as before,
    (
        select json_build_array(sequence, hash) from backend.streams
        where vendor = %(vendor)s and stream = %(stream)s
    ) as head,
    (
        select json_agg(found) from (
            select {LICENCE_COLUMNS} from backend.licences where vendor = %(vendor)s and ({licences}) order by licence
        ) found
    ) as found_licences,
    (
        select json_agg(found) from (
            {STANDING}
            where vendor = %(vendor)s and ({measures})
            and {sql_in_effect("%(processed)s")}
            order by ordered, case_id, measure, subject
        ) found
    ) as found_measures{more}
from backend.containers where vendor = %(vendor)s and serial = %(serial)s
"""


HERE = "serial = %(serial)s"
STOLEN = """,
    (
        select json_agg(json_build_array(case_id, generation) order by received, case_id) from backend.cases
        where vendor = %(vendor)s and serial = %(serial)s and reason = 'computer_stolen' and closed is null
    ) as stolen"""
READ_HERE = _reading(HERE, HERE, STOLEN)
"""All there is to know where a container shows nothing but itself."""
READ = _reading(
    f"{HERE} or licence = any(%(presented)s::text[])",
    f"{HERE} or subject = any(%(subjects)s::text[])",
    """,
    (
        select json_agg(json_build_array(i.licence, i.from_generation, c.case_id, c.serial))
        from backend.issues i join backend.cases c using (vendor, case_id)
        where i.vendor = %(vendor)s and i.licence = any(%(presented)s::text[])
    ) as superseded,
    (
        select json_agg(json_build_array(generation, fingerprint, case_id)) from (
            select generation, fingerprint, case_id from backend.activations
            where vendor = %(vendor)s and serial = %(serial)s
            union all select generation, '{}', case_id from backend.access
            where vendor = %(vendor)s and serial = %(serial)s
        ) found
    ) as activations,
    (
        select json_agg(json_build_array(c.case_id, c.generation, c.awaits_match, c.activation, p.fingerprint)
            order by c.received, c.case_id)
        from backend.cases c left join backend.pending_activations p using (vendor, serial, case_id)
        where c.vendor = %(vendor)s and c.serial = %(serial)s and c.awaits = 'activation'
    ) as awaiting,
    (
        select json_build_array(number, case_id, wrong) from backend.activation_codes
        where vendor = %(vendor)s and serial = %(serial)s
    ) as code"""
    + STOLEN,
)

RECORD = f"""
with held as materialized (
    select from backend.containers where vendor = %(vendor)s and serial = %(serial)s for update
), unchanged as materialized (
    select s.* from held, backend.streams s
    where s.vendor = %(vendor)s and s.stream = %(stream)s and s.sequence = %(seen)s for update of s
), contacted as (
    update backend.containers c set last_contact = greatest(last_contact, %(received)s)
    from unchanged where c.vendor = %(vendor)s and c.serial = %(serial)s
), kept as (
    insert into backend.contacts (vendor, contact, serial, answer, by_password)
    select %(vendor)s, %(contact)s, %(serial)s, %(answer)s::jsonb, %(by_password)s from unchanged
), renewed as (
    update backend.licences l
    set issued = r.issued, expires = r.expires, lease_next = r.next, lease_stage = null, status_index = r.place
    from unchanged, json_to_recordset(%(renewed)s::json)
        as r(licence text, issued timestamptz, expires timestamptz, next timestamptz, place bigint)
    where l.vendor = %(vendor)s and l.licence = any(%(licences)s::text[]) and l.licence = r.licence
), {append_clause(only_if="unchanged")}
update backend.streams s set sequence = %(sequence)s, hash = %(hash)s
from unchanged where s.vendor = unchanged.vendor and s.stream = unchanged.stream returning true
"""
"""Takes the container's lock and, if its stream is as it was seen, writes all that a contact changes. The stream's row
is locked once the container's is: its sequence is then the newest, however long the lock was waited for. The licences
are named a second time because nobody can foresee how many a recordset has: all of the vendor's would be looked at."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What one look into the tables found."""

    issuer: str
    before: dict[str, Any] | None
    head: Head
    known: Known
    code: Fetched | None


async def ordinary(
    connection: AsyncConnection[Any],
    vendor: VendorId,
    statement: ContactStatement,
    received: datetime,
    processed: datetime,
    signer: Signer,
) -> ContactAnswer | None:
    """Serve a container by an ordinary contact. None where it is no such one, or something came in between: nothing is
    changed then."""
    if _shows_more(statement):
        return None
    read = await _look(connection, vendor, statement, processed, signer)
    judgement = judge(read.known, statement)
    renewed = renewals(judgement, received)
    without_place = any(item.status_index is None for item in renewed)
    if read.before or judgement.refused or judgement.announced or without_place:
        return None
    files = _files(signer, vendor, read, renewed)
    answer = answer_of(judgement, _in_order(files), ())
    facts = facts_of(statement, judgement, renewed, files)
    return await _record(connection, vendor, statement, received, read, renewed, facts, answer)


async def contact(
    tx: AsyncConnection[Any],
    vendor: VendorId,
    statement: ContactStatement,
    received: datetime,
    processed: datetime,
    signer: Signer,
    by_password: bool = False,
) -> ContactAnswer:
    """Serve or refuse a container, in the caller's transaction; a contact said again is answered as before. Whoever
    signs in `by_password` may be anybody: their numbers are none of the container's."""
    # Two statements, so that what others did before the lock was had is seen.
    await tx.execute(f"{CONTAINER} where vendor = %s and serial = %s for update", (vendor, statement.serial))
    read = await _look(tx, vendor, statement, processed, signer, by_password)
    if read.before:
        return ContactAnswer.model_validate(_said_before(read.before, statement, "refused"))
    judgement = judge(read.known, statement)
    renewed = await _with_places(tx, vendor, renewals(judgement, received))
    files = _files(signer, vendor, read, renewed)
    again_files = _files(signer, vendor, read, await _with_places(tx, vendor, filed_again(judgement, renewed)))
    await _advance(tx, vendor, judgement)
    settled = await settled_by(tx, vendor, judgement.confirmed)
    answer = answer_of(judgement, _in_order(files | again_files), settled)
    for key in judgement.awaiting:
        await _keep_activation(tx, key, statement)
    if (fetched := code_after(read.code, judgement)) != read.code:
        await _keep_code(tx, vendor, statement.serial, fetched)
    facts = facts_of(statement, judgement, renewed, files)
    recorded = await _record(tx, vendor, statement, received, read, renewed, facts, answer, by_password)
    assert recorded, f"the stream of container {statement.serial} was moved by somebody without its lock"
    answer = recorded
    for key, content in said_to_cases(statement, answer):
        await post(tx, key, content, received)
    return answer


async def try_machine(
    tx: AsyncConnection[Any],
    principal: Principal,
    serial: Serial,
    shown: Mapping[str, str],
    processed: datetime,
    signer: Signer,
) -> Triage:
    """What can be done on a machine, before a loss is reported: an activation is judged, and nothing is written."""
    vendor = principal.vendor
    known = (await _look(tx, vendor, asking(serial, shown), processed, signer)).known
    holder = known.container.holder
    must_be_theirs(known.container, principal, await acts_for(tx, vendor, principal.subject, holder, processed))
    _, policy = await in_force(tx, vendor)
    return triage(known, shown, match_of(policy, known))


async def _record(
    connection: AsyncConnection[Any],
    vendor: VendorId,
    statement: ContactStatement,
    received: datetime,
    read: _Read,
    renewed: list[Licence],
    facts: list[Fact],
    answer: ContactAnswer,
    by_password: bool = False,
) -> ContactAnswer | None:
    """Write what a contact changes, and answer where that stands; None, and nothing is written, where the stream is no
    longer as it was read."""
    outbox = append_parameters(connection, vendor, statement.serial, read.head, received, facts)
    answer = answer.model_copy(update={"position": StreamPosition(outbox["stream"], outbox["sequence"])})
    parameters = {
        "received": received,
        "serial": statement.serial,
        "contact": statement.contact,
        "by_password": by_password,
        "answer": answer.model_dump_json(),
        "renewed": orjson.dumps([_lease(item) for item in renewed]).decode(),
        "licences": [item.licence for item in renewed],
        "seen": read.head.sequence,
    }
    cursor = await connection.execute(RECORD, {**parameters, **outbox})
    return answer if await cursor.fetchone() is not None else None


def _files(signer: Signer, vendor: VendorId, read: _Read, licences: list[Licence]) -> dict[LicenceId, str]:
    return {item.licence: signer.file(vendor, read.issuer, item, item.status_index or 0) for item in licences}


def _in_order(files: dict[LicenceId, str]) -> tuple[str, ...]:
    return tuple(file for _, file in sorted(files.items()))


def _shows_more(statement: ContactStatement) -> bool:
    """Whether a container shows more than itself."""
    return (
        bool(statement.licences or statement.generation or statement.fingerprint) or statement.how is Contact.ACTIVATION
    )


async def _look(
    connection: AsyncConnection[Any],
    vendor: VendorId,
    statement: ContactStatement,
    processed: datetime,
    signer: Signer,
    by_password: bool = False,
) -> _Read:
    """All that a contact is judged by, as one statement finds it."""
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(
        READ if _shows_more(statement) else READ_HERE,
        {
            "vendor": vendor,
            "serial": statement.serial,
            "stream": container_stream(statement.serial),
            "contact": statement.contact,
            "by_password": by_password,
            "presented": [item.licence for item in statement.licences],
            "subjects": texts(Subject(Aim.LICENCE, item.licence, item.generation) for item in statement.licences),
            "processed": processed,
        },
    )
    found = await cursor.fetchone()
    if found is None:
        raise unknown_container(statement.serial)

    def case(name: str, serial: Serial) -> CaseKey:
        return CaseKey(vendor=vendor, case=name, serial=serial)

    code = Fetched(*found["code"]) if found.get("code") else None
    known = Known(
        vendor=vendor,
        container=Container(*(found[field.name] for field in fields(Container))),
        licences={row["licence"]: _licence(row) for row in found["found_licences"] or ()},
        measures=tuple(Standing(**row) for row in found["found_measures"] or ()),
        superseded={(name, generation): case(*of) for name, generation, *of in found.get("superseded") or ()},
        activations={
            generation: Activation(fingerprint, case(name, statement.serial) if name else None)
            for generation, fingerprint, name in found.get("activations") or ()
        },
        stolen=tuple((case(name, statement.serial), generation) for name, generation in found.get("stolen") or ()),
        awaiting=tuple(
            Awaiting(case(name, statement.serial), generation, match and Match(match), ActivationBy(activation), shown)
            for name, generation, match, activation, shown in found.get("awaiting") or ()
        ),
        code=code_of(signer.keys, vendor, statement.serial, code) if code and code.is_good else None,
    )
    return _Read(found["issuer"], found["before"], Head(*(found["head"] or (0, ""))), known, code)


def _licence(row: dict[str, Any]) -> Licence:
    times = ("issued", "first_issued", "expires", "borrowed_until", "ends", "ended")
    return Licence(**{**row, **{name: datetime.fromisoformat(row[name]) for name in times if row[name]}})


def _said_before(before: dict[str, Any], statement: ContactStatement | DeactivationStatement, mark: str) -> Any:
    """The answer that this number of the container had, or `RefusalError` when it was that of something else."""
    if mark not in before:
        raise number_taken(statement.contact, statement.serial)
    return before


def _lease(licence: Licence) -> dict[str, object]:
    """What is kept of a licence that was renewed."""
    return {
        "licence": licence.licence,
        "issued": licence.issued,
        "expires": licence.expires,
        "next": first_notice(licence.terms, licence.issued, licence.expires),
        "place": licence.status_index,
    }


async def _with_places(tx: AsyncConnection[Any], vendor: VendorId, licences: list[Licence]) -> list[Licence]:
    """The licences, each with its place in the status list."""
    without = [item for item in licences if item.status_index is None]
    if not without:
        return licences
    first = (await status_indices(tx, vendor, len(without))).first
    places = {item.licence: first + number for number, item in enumerate(without)}
    await tx.execute(
        "update backend.licences l set status_index = p.place"
        " from unnest(%s::text[], %s::bigint[]) as p(licence, place) where l.vendor = %s and l.licence = p.licence",
        (list(places), list(places.values()), vendor),
    )
    return [replace(item, status_index=places.get(item.licence, item.status_index)) for item in licences]


async def _advance(tx: AsyncConnection[Any], vendor: VendorId, judgement: Judgement) -> None:
    """Keep which measures were delivered by this contact, and which confirmed."""
    states = dict.fromkeys(judgement.delivered, MeasureState.DELIVERED)
    states |= dict.fromkeys(judgement.confirmed, MeasureState.CONFIRMED)
    await advance(tx, vendor, states)


async def _keep_activation(tx: AsyncConnection[Any], key: CaseKey, statement: ContactStatement) -> None:
    """Keep the machine that asked until the case is issued to it; of several the last one counts."""
    await tx.execute(
        "insert into backend.pending_activations values (%s, %s, %s, %s)"
        " on conflict (vendor, serial, case_id) do update set fingerprint = excluded.fingerprint",
        (key.vendor, key.serial, key.case, Jsonb(statement.fingerprint)),
    )


async def _keep_code(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial, fetched: Fetched | None) -> None:
    """Keep whether the activation code was used, and how many wrong ones were tried."""
    if fetched is not None:
        await tx.execute(
            "update backend.activation_codes set case_id = %s, wrong = %s where vendor = %s and serial = %s",
            (fetched.case_id, fetched.wrong, vendor, serial),
        )


async def return_activation(
    tx: AsyncConnection[Any], vendor: VendorId, statement: DeactivationStatement, received: datetime, signer: Signer
) -> ReceiptAnswer:
    """Take an activation back; said again, the same receipt."""
    container = await lock_container(tx, vendor, statement.serial)
    cursor = await tx.execute(
        "select (select issuer from backend.vendors where vendor = %(vendor)s),"
        " (select answer from backend.contacts"
        " where vendor = %(vendor)s and serial = %(serial)s and contact = %(contact)s and not by_password)",
        {"vendor": vendor, "serial": statement.serial, "contact": statement.contact},
    )
    issuer, before = await cursor.fetchone() or ("", None)
    if before:
        return ReceiptAnswer.model_validate(_said_before(before, statement, "receipt"))
    must_be_returnable(container, statement.generation)
    receipt = signer.keys.sign_receipt(
        vendor, Receipt(issuer, statement.serial, statement.generation, statement.contact, received)
    )
    await tx.execute(
        "update backend.containers set returned = greatest(returned, %s) where vendor = %s and serial = %s",
        (statement.generation, vendor, statement.serial),
    )
    cursor = await tx.execute(
        "select c.generation, m.case_id, m.measure, m.subject, m.serial, m.state from backend.measures m"
        " join backend.cases c using (vendor, case_id) where m.vendor = %s and m.serial = %s"
        " order by m.ordered, m.case_id, m.subject",
        (vendor, statement.serial),
    )
    known = [(Standing(*measure), generation) for generation, *measure in await cursor.fetchall()]
    confirmed = given_back(statement, known)
    await advance(tx, vendor, dict.fromkeys(confirmed, MeasureState.CONFIRMED))
    stands = await state(tx, vendor, statement.serial, received, return_facts(statement, confirmed, receipt))
    answer = ReceiptAnswer(receipt=receipt, settled=await settled_by(tx, vendor, confirmed), position=stands)
    await tx.execute(
        "insert into backend.contacts (vendor, contact, serial, answer) values (%s, %s, %s, %s)",
        (vendor, statement.contact, statement.serial, Jsonb(answer.model_dump(mode="json"))),
    )
    await post_to_each(tx, answer.settled, Settled(), received)
    return answer
