"""How long a licence file runs."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from dateutil.relativedelta import relativedelta
from pydantic import Field

from events.terms import LAST_INSTANT, Value


class Unit(StrEnum):
    """The unit of a check-in interval."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Interval(Value):
    """A span of the calendar, such as two weeks; months and years are as long as the calendar makes them."""

    unit: Unit
    count: Annotated[int, Field(ge=1, le=1000)] = 1

    def after(self, start: datetime) -> datetime:
        """The instant that lies this interval after `start`, and none after the end of the calendar."""
        try:
            return self._after(start)
        except (OverflowError, ValueError):
            return LAST_INSTANT

    def _after(self, start: datetime) -> datetime:
        match self.unit:
            case Unit.DAY:
                return start + timedelta(days=self.count)
            case Unit.WEEK:
                return start + timedelta(weeks=self.count)
            case Unit.MONTH:
                return start + relativedelta(months=self.count)
            case Unit.YEAR:
                return start + relativedelta(years=self.count)


class Lease(Value):
    """How long a licence file runs: to the next check-in and the grace after it; without a check-in, for ever."""

    check_in: Interval | None = None
    grace_days: Annotated[int, Field(ge=0, le=3650)] = 0

    def expiry(self, issued: datetime) -> datetime | None:
        """The end of a file issued at `issued`, or None where nothing limits it."""
        if self.check_in is None:
            return None
        due, grace = self.check_in.after(issued), timedelta(days=self.grace_days)
        return due + grace if due < LAST_INSTANT - grace else LAST_INSTANT
