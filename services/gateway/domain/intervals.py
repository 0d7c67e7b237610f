"""Dated intervals that never overlap and of which only the last may be open."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Interval:
    """Half-open `[start_at, end_at)`; end_at None: still open."""

    start_at: datetime
    end_at: datetime | None = None


def opened(intervals: tuple[Interval, ...], now: datetime) -> tuple[Interval, ...]:
    """With one more, open. It never begins before the last one ended, whatever the clock says."""
    last_end = intervals[-1].end_at if intervals else None
    return (*intervals, Interval(now if last_end is None else max(now, last_end)))


def closed(intervals: tuple[Interval, ...], now: datetime) -> tuple[Interval, ...]:
    """With the last one ended, never before it began."""
    last = intervals[-1]
    return (*intervals[:-1], Interval(last.start_at, max(now, last.start_at)))
