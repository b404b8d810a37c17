"""What an exception at a door means: a service that is away, something that passes, or an error of ours."""

import asyncio

import pytest
from psycopg import InterfaceError, OperationalError, errors
from psycopg_pool import PoolTimeout

from portal.failures import PASSING_TRIES, Failure, failure_of, steadily


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
        (errors.DeadlockDetected(), Failure.PASSING),
        (errors.SerializationFailure(), Failure.PASSING),
        (errors.LockNotAvailable(), Failure.PASSING),
        (errors.QueryCanceled(), Failure.PASSING),
        (TimeoutError(), Failure.PASSING),
        (errors.NumericValueOutOfRange(), Failure.UNFORESEEN),
        (errors.UniqueViolation(), Failure.UNFORESEEN),
        (errors.UndefinedTable(), Failure.UNFORESEEN),
        (errors.PipelineAborted(), Failure.UNFORESEEN),
        (KeyError("L-9"), Failure.UNFORESEEN),
        (OverflowError(), Failure.UNFORESEEN),
    ],
)
def test_only_a_service_that_is_away_is_waited_for_without_end(error: Exception, failure: Failure) -> None:
    assert failure_of(error) is failure


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
