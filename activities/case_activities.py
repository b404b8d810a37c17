"""What the workflow has done, as Temporal activities over the backend and the log."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError

from events.codec import FactCodec
from events.digest import Dated, as_in, digest
from events.envelope import Head, case_stream, record_key
from events.errors import Code, RefusalError
from events.failures import is_unforeseen
from events.log import LogWriter
from events.ports import case_activities
from events.ports.case_activities import Appended, AppendOrder, SweepOrder, Swept
from events.ports.licensing_backend import (
    CASE_ORDERS,
    Assessment,
    CaseKey,
    CaseOrders,
    CloseOrder,
    Issued,
    LicensingBackend,
    signature_of,
)
from events.ports.loss_cases import DecisionQuestion
from events.ports.register import Register, SetAside
from workflows.policy import UnreadablePolicyError, read_policy

Answer = TypeVar("Answer")
BEAT_SECONDS = 4.0
UNFORESEEN_TRIES = 8
"""Attempts at an activity that fail as nobody foresaw: about ten seconds. Not among them are those while a service is
away, or others are in the way."""

log = structlog.get_logger()


class CaseActivities(case_activities.CaseActivities):
    """Each activity may run any number of times: the backend knows what it did, and the log takes copies."""

    def __init__(
        self, backend: LicensingBackend, writer: LogWriter, codec: FactCodec, register: Register | None = None
    ) -> None:
        self._backend = backend
        self._writer = writer
        self._codec = codec
        self._register = register

    def registered(self) -> list[Callable[..., Any]]:
        """All activities, as a worker registers them."""
        return [self._order(name) for name in CASE_ORDERS] + [self.sweep_leases, self.append]

    def _order(self, name: str) -> Callable[..., Any]:
        """The activity that asks the backend something for a case."""
        sent, answered = signature_of(getattr(CaseOrders, name))

        async def asked(order: Any) -> Any:
            return await self._ask(name, order)

        asked.__annotations__ = {"order": sent, "return": answered}
        return activity.defn(name=name)(asked)

    async def _ask(self, name: str, order: Any) -> Any:
        asked: Awaitable[Any] = getattr(self._backend, name)(order)
        if isinstance(order, CloseOrder | DecisionQuestion):  # an error of ours denies no decision: the case waits
            return await self._surely(order.key, asked)
        return _as_case_learns(await _attempt(asked))

    @activity.defn(name="sweep_leases")
    async def sweep_leases(self, order: SweepOrder) -> Swept:
        return Swept(leases=await _attempt(self._backend.sweep_leases(datetime.now(UTC), order.limit)))

    @activity.defn(name="append")
    async def append(self, order: AppendOrder) -> Appended:
        return await self._surely(order.key, self._append(order))

    async def _surely(self, key: CaseKey, done: Awaitable[Answer]) -> Answer:
        """Do what a case cannot go on without, not even to say that it is stuck: it is tried without end, and stands in
        the register from some tries on until it works."""
        place = f"case/{key.vendor}/{key.case}"
        try:
            async with _heartbeats():
                answer = await done
        except Exception as error:
            if is_unforeseen(error) and _count_unforeseen() >= UNFORESEEN_TRIES:
                await self._enter(key, place, error)
            raise
        if activity.info().attempt > UNFORESEEN_TRIES and self._register is not None:
            await self._register.remove(place)
        return answer

    async def _enter(self, key: CaseKey, place: str, error: Exception) -> None:
        """Enter a case that cannot go on in the register; where that fails, the next try does it."""
        what = activity.info().activity_type
        log.error("a case cannot go on", case=key.case, activity=what, exc_info=error)
        if self._register is None:
            return
        code = error.code if isinstance(error, RefusalError) else Code.INTERNAL_ERROR
        sentence = f"{what} fails ({type(error).__name__}); it is tried again, and the worker's log says more"
        try:
            await self._register.add(SetAside(key.vendor, place, code, sentence, datetime.now(UTC)))
        except Exception as unreached:
            log.warning("a case is not in the register yet", case=key.case, error=str(unreached).strip())

    async def _append(self, order: AppendOrder) -> Appended:
        key = order.key
        head = Head(order.sequence, order.hash)
        records, facts = [], list[Dated]()
        for type_, data, recorded in order.facts:
            fact = as_in(self._codec.read(type_, data), type_)
            place = key.vendor, case_stream(key.case), record_key(key.vendor, key.serial)
            sealed = self._codec.seal_again(*place, head, recorded, type_, data)
            records.append(sealed)
            facts.append((fact, recorded))
            head = sealed.head
        if not records:
            raise ApplicationError("an append needs at least one fact", type="empty_append", non_retryable=True)
        position = await self._writer.append(*records)
        return Appended(
            sequence=head.sequence,
            hash=head.hash,
            partition=position.partition,
            offset=position.offset,
            digest=digest(order.sequence + 1, facts),
        )


def _as_case_learns(answer: Any) -> Any:
    """The answer as a case needs it. The backend and the log know which licences were issued, maybe thousands. A policy
    that this release cannot read is refused here, and the refusal stands in the case's history: a release that can read
    it then replays what this one did."""
    if isinstance(answer, Issued):
        return answer.model_copy(update={"licences": ()})
    if isinstance(answer, Assessment):
        try:
            read_policy(answer.policy)
        except UnreadablePolicyError as error:
            raise ApplicationError(str(error), type=Code.UNREADABLE_POLICY, non_retryable=True) from error
    return answer


async def _attempt(done: Awaitable[Answer]) -> Answer:
    """Do it under heartbeats. A refusal is final, and has the time in its details where it says it. While a service
    is away Temporal tries again without end; what nobody foresaw is final after some tries, for it may well be the same
    every time."""
    try:
        async with _heartbeats():
            return await done
    except RefusalError as refusal:
        at = refusal.parameters.get("at")
        details = () if at is None else (at,)
        raise ApplicationError(refusal.sentence, *details, type=refusal.code, non_retryable=True) from refusal
    except ApplicationError:
        raise
    except Exception as error:
        if not is_unforeseen(error) or _count_unforeseen() < UNFORESEEN_TRIES:
            raise
        log.exception("an activity fails for good", activity=activity.info().activity_type)
        sentence = f"{type(error).__name__} in {activity.info().activity_type}; the worker's log says more"
        raise ApplicationError(sentence, type=Code.INTERNAL_ERROR, non_retryable=True) from error


def _unforeseen() -> int:
    """How many attempts at this activity failed as nobody foresaw. Each heartbeat says it, and Temporal keeps what the
    last one said for the next attempt, whichever worker makes it."""
    details = activity.info().heartbeat_details
    return int(details[0]) if details else 0


def _count_unforeseen() -> int:
    """Count this attempt among those; how many there are now. A local activity has one attempt only."""
    count = _unforeseen() + 1
    if not activity.info().is_local:
        activity.heartbeat(count)
    return count


@asynccontextmanager
async def _heartbeats() -> AsyncIterator[None]:
    count = _unforeseen()

    async def beat() -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            activity.heartbeat(count)

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
