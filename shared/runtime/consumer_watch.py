"""What an operator sees of a consumer: how far behind it is, whether it reaches the log, how many dead letters wait."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from shared.runtime import dead_letter
from shared.runtime.database import Database
from shared.runtime.event_log.interface import EventSource
from shared.runtime.event_log.positions import Positions
from shared.runtime.logging import get_logger
from shared.runtime.metrics import gauge

LOOK_SECONDS: Final = 5.0
"""How often: three small statements, and one request to the log."""

_log = get_logger(__name__)

_PLACE: Final = ("consumer", "topic", "partition")
_lag_records = gauge("consumer_lag", unit="records", meaning="Events in the log and not handled yet", labels=_PLACE)
_lag_seconds = gauge(
    "consumer_lag", unit="seconds", meaning="Age of the oldest event that is not handled yet", labels=_PLACE
)
_dead_letters = gauge(
    "dead_letters_open", unit="records", meaning="Dead letters that wait to be replayed", labels=["consumer"]
)
_reachable = gauge(
    "event_log_reachable", unit="flag", meaning="1 while the event log answers this task, 0 while not", labels=["task"]
)


@contextmanager
def reaching_the_log(task: str) -> Iterator[None]:
    """Say that the log answers `task` when the block ends well, and that it does not when the block raises."""
    try:
        yield
    except Exception:
        _reachable.labels(task).set(0)
        raise
    _reachable.labels(task).set(1)


def no_word_of_the_log(task: str) -> None:
    """Say nothing of the log for `task`: it has nothing to ask of it now, and its last word would grow old."""
    _reachable.remove(task)


class ConsumerWatch:
    """The gauges of one consumer of one topic. Measuring never stops it: what cannot be measured keeps its value."""

    def __init__(self, *, database: Database, source: EventSource, positions: Positions) -> None:
        self._database = database
        self._source = source
        self._positions = positions
        self._next_look = 0.0
        self._shown: set[int] = set()

    async def look(self) -> None:
        """Measure, if LOOK_SECONDS have passed."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        async with self._database.transaction() as session:
            _dead_letters.labels(self._positions.consumer).set(
                await dead_letter.count_open(session, self._positions.consumer)
            )
        stored = await self._positions.find_all()
        try:
            with reaching_the_log(self._positions.consumer):
                lags = await self._source.measure_lag(stored)
        except Exception as fault:
            _log.warning("lag_not_measured", consumer=self._positions.consumer, reason=type(fault).__name__)
            return
        for partition, lag in lags.items():
            place = (self._positions.consumer, self._positions.topic, str(partition))
            _lag_records.labels(*place).set(lag.records)
            _lag_seconds.labels(*place).set(lag.age_seconds)
        self._hide(self._shown - lags.keys())
        self._shown = set(lags)

    def _hide(self, partitions: set[int]) -> None:
        """Another worker has these now, and shows them."""
        for partition in partitions:
            place = (self._positions.consumer, self._positions.topic, str(partition))
            _lag_records.remove(*place)
            _lag_seconds.remove(*place)
