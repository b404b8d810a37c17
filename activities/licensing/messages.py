"""Messages: what is said to a case, numbered by the transaction that accepts it; in the caller's transaction.

Rows of cases are locked last, after every container, and several in the order of the cases' names: whoever holds one
waits for no lock but that of a later one. A transaction that changes the row of its own case, and then says something
to others, has all their rows first: `lock_cases`, `lock_waiting`.
"""

from collections.abc import Iterable
from typing import Any, cast

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb
from pydantic import TypeAdapter

from activities.licensing.message_rules import Left, Speaker, addressed, confirmed_decision, decider, unknown_case
from activities.licensing.outbox import state
from activities.licensing.vendors import in_force
from events.errors import Code
from events.ports.loss_cases import (
    AcceptedDecision,
    ConfirmedDecision,
    Content,
    DecisionContent,
    DecisionOrder,
    DecisionQuestion,
)
from events.principal import Principal, PrincipalRole
from events.terms import CaseId, CaseKey, HolderId, Instant, PersonId, Reporter, Role, Serial, VendorId

CONTENT: TypeAdapter[Content] = TypeAdapter(Content)

POST = """
with numbered as (
    update backend.cases set messages = messages + 1
    where vendor = %(vendor)s and case_id = %(case)s and closed is null returning messages
)
insert into backend.messages (vendor, case_id, number, content, decision, role, said_by, door, subject, acted_as,
    accepted, due)
select %(vendor)s, %(case)s, messages, %(content)s, %(decision)s, %(role)s, %(by)s, %(door)s, %(subject)s,
    %(acted_as)s, %(at)s, now()
from numbered returning number"""


async def post(
    tx: AsyncConnection[Any], key: CaseKey, content: Content, at: Instant, speaker: Speaker | None = None
) -> int | None:
    """Accept a message to a case and answer with its number; None, and nothing is accepted, once the case is over."""
    cursor = await tx.execute(
        POST,
        {
            **{"vendor": key.vendor, "case": key.case, "at": at, "content": Jsonb(content.model_dump(mode="json"))},
            "decision": content.decision if isinstance(content, DecisionOrder) else None,
            "role": speaker.reporter_role if speaker else None,
            "by": speaker.by if speaker else None,
            "door": speaker.door if speaker else None,
            "subject": speaker.subject if speaker else None,
            "acted_as": speaker.role if speaker else None,
        },
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def post_to_each(tx: AsyncConnection[Any], keys: Iterable[CaseKey], content: Content, at: Instant) -> None:
    """Accept a message to each of these cases that is open, in an order that all transactions share."""
    for key in sorted(set(keys), key=lambda key: key.case):
        await post(tx, key, content, at)


async def open_cases(tx: AsyncConnection[Any], vendor: VendorId, serial: Serial) -> list[CaseKey]:
    """The open cases of a container, the oldest first."""
    cursor = await tx.execute(
        "select case_id from backend.cases where vendor = %s and serial = %s and closed is null"
        " order by received, case_id",
        (vendor, serial),
    )
    return [CaseKey(vendor=vendor, case=case, serial=serial) for (case,) in await cursor.fetchall()]


async def accept_decision(
    tx: AsyncConnection[Any], key: CaseKey, principal: Principal, content: DecisionContent, at: Instant
) -> AcceptedDecision:
    """A decision as a message to its case, under the lock of the case's container. What is refused is a fact."""
    order, speaker = DecisionOrder.of(principal, content), decider(principal)
    cursor = await tx.execute(
        "select number, content from backend.messages where vendor = %s and case_id = %s and decision = %s",
        (key.vendor, key.case, order.decision),
    )
    if row := await cursor.fetchone():
        number, before = row
        known = DecisionOrder.model_validate(before)
        if known.model_copy(update={"on": order.on}) == order:
            return AcceptedDecision(key=key, number=number, on=known.on)
        refused = Code.DECISION_ID_TAKEN
    else:
        taken = await post(tx, key, order, at, speaker)
        if taken is not None:
            return AcceptedDecision(key=key, number=taken, on=order.on)
        refused = Code.NOTHING_TO_DECIDE
    await state(tx, key.vendor, key.serial, at, [addressed(key, order, speaker, at, refused)])
    return AcceptedDecision(key=key, number=None, on=order.on, refused=refused)


async def confirm_decision(tx: AsyncConnection[Any], question: DecisionQuestion) -> ConfirmedDecision:
    """What a door brought under a number, whom the policy in force lists as supervisors, and who of them reported the
    loss: a case counts no more of its reporters than it takes reports."""
    key = question.key
    cursor = await tx.execute(
        "select content from backend.messages"
        " where vendor = %s and case_id = %s and number = %s and decision is not null",
        (key.vendor, key.case, question.number),
    )
    row = await cursor.fetchone()
    _, policy = cast(tuple[int, dict[str, Any]], await in_force(tx, key.vendor))
    cursor = await tx.execute(
        "select said_by from backend.reports where vendor = %(vendor)s and case_id = %(case)s"
        " and said_by = any(%(people)s) union select said_by from backend.messages where vendor = %(vendor)s"
        " and case_id = %(case)s and said_by = any(%(people)s) and content ->> 'type' = 'report'",
        {"vendor": key.vendor, "case": key.case, "people": list(policy.get("supervisors", ()))},
    )
    reported = {by for (by,) in await cursor.fetchall()}
    return confirmed_decision(DecisionOrder.model_validate(row[0]) if row else None, policy, reported)


async def left(tx: AsyncConnection[Any], key: CaseKey, after: int, at: Instant) -> list[Left]:
    """The messages that a case which is over never took; nobody delivers them any more."""
    await tx.execute(
        "update backend.messages set delivered = %s where vendor = %s and case_id = %s and delivered is null",
        (at, key.vendor, key.case),
    )
    cursor = await tx.execute(
        "select content, said_by, role, door, subject, acted_as, accepted from backend.messages"
        " where vendor = %s and case_id = %s and number > %s order by number",
        (key.vendor, key.case, after),
    )
    return [
        Left(
            CONTENT.validate_python(content),
            kept_speaker(by, role, door, subject, acted_as) if by else None,
            accepted,
        )
        for content, by, role, door, subject, acted_as, accepted in await cursor.fetchall()
    ]


def kept_speaker(by: str, role: str | None, door: str, subject: str | None, acted_as: str | None) -> Speaker:
    """Who said a message; of one that was accepted before principals were kept the reporter, or who decided."""
    if subject is None:
        return Speaker(PersonId(by), PrincipalRole(role) if role else None, door)
    reporter = None
    if role is not None and (by, role) != (subject, acted_as):
        reporter = Reporter(role=Role(role), name=PersonId(by))
    return Speaker(PersonId(subject), PrincipalRole(acted_as) if acted_as else None, door, reporter)


async def lock_cases(tx: AsyncConnection[Any], key: CaseKey, holder: HolderId) -> None:
    """Lock the row of a case together with those of all cases that may be told what becomes of it: the others on its
    container, those of the holder that wait for one, and those that issued what is in it. The caller holds the locks on
    the holder and on the container, so that no others come to be."""
    await tx.execute(
        "select from backend.cases where vendor = %(vendor)s and case_id in ("
        "select %(case)s union all"
        " select case_id from backend.cases where vendor = %(vendor)s and serial = %(serial)s and closed is null"
        " union all"
        " select case_id from backend.cases where vendor = %(vendor)s and holder = %(holder)s and awaits is not null"
        " union all"
        " select i.case_id from backend.licences l join backend.issues i"
        " on (i.vendor, i.licence, i.generation) = (l.vendor, l.licence, l.generation)"
        " where l.vendor = %(vendor)s and l.serial = %(serial)s"
        ") order by case_id for no key update",
        {"vendor": key.vendor, "case": key.case, "serial": key.serial, "holder": holder},
    )


async def lock_waiting(tx: AsyncConnection[Any], key: CaseKey, holder: HolderId) -> None:
    """Lock the row of a case together with those of the holder's cases that wait for a container; the caller holds the
    lock on the holder."""
    await tx.execute(
        "select from backend.cases where vendor = %(vendor)s and case_id in ("
        "select %(case)s union all"
        " select case_id from backend.cases where vendor = %(vendor)s and holder = %(holder)s and awaits is not null"
        ") order by case_id for no key update",
        {"vendor": key.vendor, "case": key.case, "holder": holder},
    )


async def find_case(tx: AsyncConnection[Any], vendor: VendorId, case: CaseId) -> CaseKey:
    """The vendor's case of this name; another vendor's is an unknown one."""
    cursor = await tx.execute("select serial from backend.cases where vendor = %s and case_id = %s", (vendor, case))
    row = await cursor.fetchone()
    if row is None:
        raise unknown_case(case)
    return CaseKey(vendor=vendor, case=case, serial=row[0])
