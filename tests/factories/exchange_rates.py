"""Days of their own for tests that record exchange rates: far enough apart that no rate reaches another test's."""

from datetime import date, timedelta
from itertools import count

_days = count(0, 40)
_months = count(0)


def fresh_day() -> date:
    """A day that no other test of this run has a rate near."""
    return date(2000, 1, 3) + timedelta(days=next(_days))


def fresh_month() -> str:
    """A month before every booking of a test, after each that was given before."""
    number = next(_months)
    return f"{2000 + number // 12}-{number % 12 + 1:02d}"
