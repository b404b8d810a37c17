"""Lengths of time that rules are stated in."""

from datetime import timedelta

ENROLMENT = timedelta(days=14)
"""How long a holder has to set access data that were reset."""


def days(count: int) -> timedelta:
    """So many days."""
    return timedelta(days=count)


def hours(count: int) -> timedelta:
    """So many hours."""
    return timedelta(hours=count)
