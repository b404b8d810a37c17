"""What an exception at a door means: a service that is away, something that passes, or an error of ours."""

import asyncio

import pytest
from aiokafka.errors import KafkaConnectionError, NotLeaderForPartitionError, UnknownError
from psycopg import InterfaceError, OperationalError, errors
from psycopg_pool import PoolTimeout

from events.failures import Failure, failure_of, may_be_caused
from portal.failures import PASSING_TRIES, steadily


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(_: float) -> None:
        """Time is not what is tested."""

    monkeypatch.setattr(asyncio, "sleep", at_once)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (OperationalError("connection failed"), Failure.AWAY),
        (InterfaceError("the connection is closed"), Failure.AWAY),
        (PoolTimeout("no connection"), Failure.AWAY),
        (errors.ConnectionFailure(), Failure.AWAY),
        (errors.AdminShutdown(), Failure.AWAY),
        (errors.CannotConnectNow(), Failure.AWAY),
        (errors.TooManyConnections(), Failure.AWAY),
        (errors.DiskFull(), Failure.AWAY),
        (errors.ReadOnlySqlTransaction(), Failure.AWAY),
        (errors.IoError(), Failure.AWAY),
        (errors.DatabaseDropped(), Failure.AWAY),
        (ConnectionRefusedError(), Failure.AWAY),
        (KafkaConnectionError(), Failure.AWAY),
        (NotLeaderForPartitionError(), Failure.AWAY),
        (errors.DeadlockDetected(), Failure.PASSING),
        (errors.SerializationFailure(), Failure.PASSING),
        (errors.LockNotAvailable(), Failure.PASSING),
        (errors.QueryCanceled(), Failure.PASSING),
        (TimeoutError(), Failure.PASSING),
        (errors.NumericValueOutOfRange(), Failure.UNFORESEEN),
        (errors.UniqueViolation(), Failure.UNFORESEEN),
        (errors.UndefinedTable(), Failure.UNFORESEEN),
        (errors.PipelineAborted(), Failure.UNFORESEEN),
        (errors.InFailedSqlTransaction(), Failure.UNFORESEEN),
        (errors.StatementTooComplex(), Failure.UNFORESEEN),
        (UnknownError(), Failure.UNFORESEEN),
        (KeyError("L-9"), Failure.UNFORESEEN),
        (OverflowError(), Failure.UNFORESEEN),
    ],
)
def test_only_a_service_that_is_away_is_waited_for_without_end(error: Exception, failure: Failure) -> None:
    assert failure_of(error) is failure


@pytest.mark.parametrize(
    ("error", "caused"),
    [
        (OperationalError("the connection is lost"), True),
        (errors.CrashShutdown(), True),
        (errors.AdminShutdown(), True),
        (errors.IoError(), True),
        (errors.ReadOnlySqlTransaction(), False),
        (errors.DiskFull(), False),
        (errors.TooManyConnections(), False),
        (errors.CannotConnectNow(), False),
    ],
)
def test_what_postgresql_is_away_for_by_itself_is_no_fault_of_what_it_was_asked(error: Exception, caused: bool) -> None:
    assert failure_of(error) is Failure.AWAY
    assert may_be_caused(error) is caused


class Call:
    """Raises these, one after the other, and then answers."""

    def __init__(self, *raised: Exception) -> None:
        self.raised = list(raised)

    async def __call__(self) -> str:
        if self.raised:
            raise self.raised.pop()
        return "answer"


async def test_a_call_is_repeated_for_as_long_as_postgresql_is_away() -> None:
    assert await steadily(Call(*(OperationalError() for _ in range(100))), "a place") == "answer"


async def test_what_is_in_the_way_is_waited_for_a_bounded_number_of_times() -> None:
    assert await steadily(Call(*(errors.DeadlockDetected() for _ in range(PASSING_TRIES))), "a place") == "answer"
    with pytest.raises(errors.DeadlockDetected):
        await steadily(Call(*(errors.DeadlockDetected() for _ in range(PASSING_TRIES + 1))), "a place")


async def test_what_nobody_foresaw_is_raised_at_once() -> None:
    with pytest.raises(KeyError):
        await steadily(Call(KeyError()), "a place")
