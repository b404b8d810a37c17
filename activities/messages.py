"""Messages: what is said to a case, numbered by the transaction that accepts it; in the caller's transaction.

A case's row is locked last, after every container: whoever holds it waits for no other lock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from activities.outbox import state
from activities.vendors import in_force
from events.backend_facts import CaseAddressed
from events.cases import (
    AcceptedDecision,
    ConfirmedDecision,
    Content,
    DecisionOrder,
    DecisionQuestion,
    Evidence,
    Joined,
    Sighting,
)
from events.errors import Code, RefusalError
from events.terms import CaseId, CaseKey, Cause, Instant, PersonId, Role, Serial, VendorId

CONTENT: TypeAdapter[Content] = TypeAdapter(Content)

POST = """
with numbered as (
    update backend.cases set messages = messages + 1
    where vendor = %(vendor)s and case_id = %(case)s and closed is null returning messages
)
insert into backend.messages (vendor, case_id, number, content, decision, role, said_by, door, accepted, due)
select %(vendor)s, %(case)s, messages, %(content)s, %(decision)s, %(role)s, %(by)s, %(door)s, %(at)s, now()
from numbered returning number"""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who said something, in which role (None where that is not known yet) and by which door."""

    by: PersonId
    role: Role | None
    door: str


async def post(
    tx: AsyncConnection[Any], key: CaseKey, content: Content, at: Instant, speaker: Speaker | None = None
) -> int | None:
    """Accept a message to a case and answer with its number; None, and nothing is accepted, once the case is over."""
    cursor = await tx.execute(
        POST,
        {
            **{"vendor": key.vendor, "case": key.case, "at": at, "content": Jsonb(content.model_dump(mode="json"))},
            "decision": content.decision if isinstance(content, DecisionOrder) else None,
            "role": speaker.role if speaker else None,
            "by": speaker.by if speaker else None,
            "door": speaker.door if speaker else None,
        },
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def post_to_each(tx: AsyncConnection[Any], keys: Iterable[CaseKey], content: Content, at: Instant) -> None:
    """Accept a message to each of these cases that is open, in an order that all transactions share."""
    for key in sorted(set(keys), key=lambda key: key.case):
        await post(tx, key, content, at)


def sighting(contact: str, occurred: datetime) -> Sighting:
    """What a contact that is refused says to a case."""
    return Sighting(statement=f"contact/{contact}", cause=Cause.SIGHTING, occurred=occurred)


async def open_cases(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> list[CaseKey]:
    """The open cases of a container, the oldest first."""
    cursor = await tx.execute(
        "select case_id from backend.cases where vendor = %s and serial = %s and closed is null"
        " order by received, case_id",
        (vendor, serial),
    )
    return [CaseKey(vendor=vendor, case=case, serial=serial) for (case,) in await cursor.fetchall()]


async def accept_decision(
    tx: AsyncConnection[Any], key: CaseKey, order: DecisionOrder, door: str, at: Instant
) -> AcceptedDecision:
    """A decision as a message to its case, under the lock of the case's container. What is refused is a fact."""
    cursor = await tx.execute(
        "select number, content from backend.messages where vendor = %s and case_id = %s and decision = %s",
        (key.vendor, key.case, order.decision),
    )
    if row := await cursor.fetchone():
        number, content = row
        known = DecisionOrder.model_validate(content)
        if known.model_copy(update={"on": order.on}) == order:
            return AcceptedDecision(key=key, number=number, on=known.on)
        refused = Code.DECISION_ID_TAKEN
    else:
        taken = await post(tx, key, order, at, Speaker(order.by, None, door))
        if taken is not None:
            return AcceptedDecision(key=key, number=taken, on=order.on)
        refused = Code.NOTHING_TO_DECIDE
    await state(tx, key.vendor, key.serial, at, [addressed(key, order, Speaker(order.by, None, door), at, refused)])
    return AcceptedDecision(key=key, number=None, on=order.on, refused=refused)


async def confirm_decision(tx: AsyncConnection[Any], question: DecisionQuestion) -> ConfirmedDecision:
    """What a door brought under a number, and whom the policy in force lists as supervisors."""
    key = question.key
    cursor = await tx.execute(
        "select content from backend.messages"
        " where vendor = %s and case_id = %s and number = %s and decision is not null",
        (key.vendor, key.case, question.number),
    )
    row = await cursor.fetchone()
    _, policy = cast(tuple[int, dict[str, Any]], await in_force(tx, key.vendor))
    return confirmed_decision(DecisionOrder.model_validate(row[0]) if row else None, policy)


def confirmed_decision(order: DecisionOrder | None, policy: Mapping[str, Any]) -> ConfirmedDecision:
    """A decision as a door brought it, and whom the policy in force lists as supervisors."""
    return ConfirmedDecision(order=order, supervisors=tuple(policy.get("supervisors", ())))


async def left(tx: AsyncConnection[Any], key: CaseKey, after: int, at: Instant) -> list[tuple[Content, Speaker | None]]:
    """The messages that a case which is over never took; nobody delivers them any more."""
    await tx.execute(
        "update backend.messages set delivered = %s where vendor = %s and case_id = %s and delivered is null",
        (at, key.vendor, key.case),
    )
    cursor = await tx.execute(
        "select content, said_by, role, door from backend.messages"
        " where vendor = %s and case_id = %s and number > %s order by number",
        (key.vendor, key.case, after),
    )
    return [
        (
            CONTENT.validate_python(content),
            Speaker(by, Role(role) if role else None, door) if by else None,
        )
        for content, by, role, door in await cursor.fetchall()
    ]


def addressed(key: CaseKey, content: Content, speaker: Speaker, at: Instant, code: Code | None = None) -> CaseAddressed:
    """The fact that something was said to a case that does not answer it itself."""
    return CaseAddressed(
        case=key.case,
        serial=key.serial,
        statement=name_of(content),
        by=speaker.by,
        role=speaker.role,
        door=speaker.door,
        received=at,
        code=code,
    )


def name_of(content: Content) -> str:
    """What a message is known by, such as `report/R-1`."""
    match content:
        case Joined(report=report):
            return f"report/{report.report}"
        case DecisionOrder(decision=decision):
            return f"decision/{decision}"
        case Sighting(statement=statement) | Evidence(statement=statement):
            return statement
        case _:
            return content.type


async def find_case(tx: AsyncConnection[Any], vendor: VendorId, case: CaseId) -> CaseKey:
    """The vendor's case of this name; another vendor's is an unknown one."""
    cursor = await tx.execute("select serial from backend.cases where vendor = %s and case_id = %s", (vendor, case))
    row = await cursor.fetchone()
    if row is None:
        raise unknown_case(case)
    return CaseKey(vendor=vendor, case=case, serial=row[0])


def unknown_case(case: CaseId) -> RefusalError:
    """The answer for a case that there is none of, and for another vendor's: they must not differ."""
    return RefusalError(Code.UNKNOWN_CASE, f"no case {case} is known here; `lostfound case list` names them")
