"""Accounting periods: UTC calendar months, half-open."""

import calendar
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.kernel.clock import require_utc
from shared.kernel.errors import InvalidValue

_SPELLING = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """One UTC month, `[start, end)`. Spelt `YYYY-MM`."""

    year: int
    month: int

    @property
    def start(self) -> datetime:
        """First instant inside."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """First instant after."""
        return self.following().start

    def following(self) -> "Period":
        """The month after."""
        return Period(self.year + self.month // 12, self.month % 12 + 1)

    def preceding(self) -> "Period":
        """The month before."""
        return Period(self.year - (self.month == 1), 12 if self.month == 1 else self.month - 1)

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"


def months_after(instant: datetime, months: int) -> datetime:
    """The same time of the same day in UTC that many calendar months later, or on that month's last day if it is short.

    31 January and one month is 28 (29) February; counted from the first instant each time, so that two months are
    31 March. Beyond the year 9999 it stays at its end.
    """
    utc = require_utc(instant)
    year, month = divmod(utc.year * 12 + utc.month - 1 + months, 12)
    if year > 9999:
        return datetime.max.replace(tzinfo=UTC)
    day = min(utc.day, calendar.monthrange(year, month + 1)[1])
    return utc.replace(year=year, month=month + 1, day=day)


def period_of(instant: datetime) -> Period:
    """The period that holds `instant` (aware)."""
    utc = require_utc(instant)
    return Period(utc.year, utc.month)


def parse_period(text: str) -> Period:
    """The period spelt `YYYY-MM`, from 2000-01 to 9998-12. Raises InvalidValue(field="period")."""
    if not _SPELLING.fullmatch(text) or not 2000 <= int(text[:4]) <= 9998:
        raise InvalidValue("period", "period_invalid", "must be a UTC month such as 2026-11")
    return Period(int(text[:4]), int(text[5:]))
