"""Which orders of a case are answered as before: a pure function of the order's number and of how far the case is.

A case gives one order after the other, and numbers them upwards. But an attempt at an order may be frozen, and go on
when the case has long had its answer from another attempt and has given other orders since.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from pydantic import JsonValue, TypeAdapter

from events.errors import Code, RefusalError
from events.ports.licensing_backend import (
    Assessment,
    CaseKey,
    CaseOrders,
    Done,
    NoTargetFound,
    Withdrawal,
    signature_of,
)
from events.sizes import SCOPE_PAGE
from events.terms import Value

Answer = TypeVar("Answer", bound=Value)


class Numbered(Protocol):
    """An order of a case."""

    @property
    def key(self) -> CaseKey: ...

    @property
    def number(self) -> int: ...


@dataclass(frozen=True, slots=True)
class OrderKind(Generic[Answer]):
    """What a case may order, and how a kept answer to it is read."""

    name: str
    read: Callable[[str], Answer]


def kind_of(asked: Callable[[Any, Any], Awaitable[Answer]]) -> OrderKind[Answer]:
    """The kind of order that a case asks by this method of the backend."""
    _, answered = signature_of(asked)
    return OrderKind(asked.__name__, TypeAdapter(answered).validate_json)


ASSESS: Final = kind_of(CaseOrders.assess)
RESERVE: Final = kind_of(CaseOrders.reserve)
BLOCK: Final = kind_of(CaseOrders.block)
ISSUE: Final = kind_of(CaseOrders.issue)
WITHDRAW: Final = kind_of(CaseOrders.withdraw)
KEEP: Final = kind_of(CaseOrders.keep)
REINSTATE: Final = kind_of(CaseOrders.reinstate)
CLOSE: Final = kind_of(CaseOrders.close)


@dataclass(frozen=True, slots=True)
class CaseGone:
    """How far a case has gone on: the highest number of its orders that were answered, and since when it is over."""

    latest: int
    closed: datetime | None = None


def answer_again(kind: OrderKind[Answer], number: int, kept: Answer | None, gone: CaseGone) -> Answer | None:
    """What an order is answered without doing anything: as before. None where it is to be done.

    Raises `RefusalError` for an order that was never answered and that the case has gone on without.
    """
    if gone.closed is not None and kind.name == CLOSE.name:  # a case is closed once, whatever closes it again
        return cast(Answer, Done(at=gone.closed))
    late = kind is not ASSESS and (number < gone.latest or gone.closed is not None)
    if kept is not None and (late or not _is_open(number, kept)):
        return kept
    if late:
        sentence = f"order {number} of the case, {kind.name}, comes late; the case has gone on"
        raise RefusalError(Code.TOO_LATE, sentence, number=number, order=kind.name)
    return None


def _is_open(number: int, kept: Value) -> bool:
    """Whether the case may ask again for another answer, while it has ordered nothing else since: whether what it
    ordered back is removed, and for what it may not have before it has taken a message. An order from before they were
    numbered (0) asks again for a target, too."""
    if isinstance(kept, Withdrawal):
        return not kept.confirmed
    return isinstance(kept, NoTargetFound) and (kept.overtaken or number == 0)


def with_policy(kept: Assessment, policy: JsonValue) -> Assessment:
    """A kept assessment as its case gets it: with the policy itself, and the first page of its licences."""
    licences = kept.facts.licences
    first = kept.facts.model_copy(update={"licences": licences[:SCOPE_PAGE]})
    return kept.model_copy(update={"policy": policy, "facts": first, "licences": len(licences)})
