"""What an exception means that is no refusal: a service is away, somebody was in the way, or nobody foresaw it.

It is one table for every process: what the inbox waits for, the worker and the projector wait for too.
"""

from enum import Enum, auto

from aiokafka.errors import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    OutOfOrderSequenceNumber,
    ProducerClosed,
    ProducerFenced,
    TopicAuthorizationFailedError,
)
from psycopg import Error, InterfaceError, OperationalError
from psycopg.errors import PipelineAborted

PASSING_STATES = frozenset({"40001", "40P01", "55P03", "57014", "25P03", "25P04", "53200"})
"""Serialization failure, deadlock, lock not available, statement, idle and transaction timeout, out of memory."""
READ_ONLY = "25006"
"""The database takes no writing: it is a standby, or is being switched over."""
AWAY_CLASSES = ("08", "53", "57", "58")
"""The connection, insufficient resources, an operator's intervention, an error of the system."""
UNCAUSED = (READ_ONLY, "53", "57P03", "57P04")
"""Of these, states and classes that no statement brings about: read-only, short of resources, starting, dropped."""

KAFKA_AWAY = (
    KafkaConnectionError,
    KafkaTimeoutError,
    ProducerClosed,
    ProducerFenced,
    OutOfOrderSequenceNumber,
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    TopicAuthorizationFailedError,
)
"""Errors that concern the connection, the producer or the whole topic; as those that Kafka calls retriable."""


class Failure(Enum):
    """What to do about it."""

    AWAY = auto()
    """A service itself is away: wait for it, without end."""
    PASSING = auto()
    """Somebody else was in the way: try again later. Where others wait for it, a bounded number of times."""
    UNFORESEEN = auto()
    """Nobody foresaw it: a few tries, and then it is an error."""


def failure_of(error: Exception) -> Failure:
    """What an exception means that is no refusal."""
    if isinstance(error, TimeoutError):
        return Failure.PASSING
    if isinstance(error, OSError):
        return Failure.AWAY
    if isinstance(error, KafkaError):
        return Failure.AWAY if error.retriable or isinstance(error, KAFKA_AWAY) else Failure.UNFORESEEN
    if isinstance(error, PipelineAborted) or not isinstance(error, Error):
        return Failure.UNFORESEEN
    state = error.sqlstate
    if state in PASSING_STATES:
        return Failure.PASSING
    if state == READ_ONLY or (state or "").startswith(AWAY_CLASSES):
        return Failure.AWAY
    if state is None and isinstance(error, OperationalError | InterfaceError):
        return Failure.AWAY
    return Failure.UNFORESEEN


def is_unforeseen(error: Exception) -> bool:
    """Whether no service is away and nobody was in the way."""
    return failure_of(error) is Failure.UNFORESEEN


def may_be_caused(error: Exception) -> bool:
    """Whether what was asked may be why the service is away: a session was lost with it, or a disk fails there."""
    return not (getattr(error, "sqlstate", None) or "").startswith(UNCAUSED)
