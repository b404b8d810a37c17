"""Guesses of access data on a real PostgreSQL, whose clock counts them."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from activities.licensing.guess_rules import INTERVAL, TRIES
from events.errors import Code
from events.terms import ContactId
from infra.wiring import open_backend
from tests.contract.test_access import CLOUD, set_up
from tests.integration.stock import Stock

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("apart", [timedelta(minutes=10), timedelta(minutes=5), timedelta(days=365)])
async def test_doors_whose_clocks_differ_give_no_guesses_back(stock: Stock, apart: timedelta) -> None:
    await set_up(stock)
    doors = (datetime.now(UTC), datetime.now(UTC) + apart)

    async with open_backend(stock.settings) as backend:  # which counts by PostgreSQL's clock
        began = time.monotonic()
        answers = [
            await backend.sign_in(stock.vendor, ContactId(f"C-{number}"), CLOUD, f"guess {number}", doors[number % 2])
            for number in range(30)
        ]
        minutes = (time.monotonic() - began) / INTERVAL.total_seconds()

    compared = [answer for answer in answers if answer.code == Code.BAD_ACCESS_DATA]
    assert len(compared) <= TRIES + minutes
    assert {answer.code for answer in answers} == {Code.BAD_ACCESS_DATA, Code.LOCKED_OUT}
