"""When the events that wait in a partition came in, as far as the batches fetched so far tell."""

import time
from collections import deque
from typing import Final

REMEMBERED_MAX: Final = 64
"""Fetched batches of one partition that are not committed yet; there are a few at most."""


class Arrivals:
    """The first event of each fetched batch, by partition, until the position has passed it."""

    def __init__(self) -> None:
        self._seen: dict[int, deque[tuple[int, float]]] = {}
        self._stood_since: dict[int, tuple[int, float]] = {}

    def fetched(self, partition: int, offset: int, at_seconds: float) -> None:
        """A batch that begins with the event at `offset`, which came in at `at_seconds` since 1970."""
        seen = self._seen.setdefault(partition, deque(maxlen=REMEMBERED_MAX))
        if not seen or offset > seen[-1][0]:
            seen.append((offset, at_seconds))
        elif offset < seen[0][0]:  # the position was set back
            seen.clear()
            seen.append((offset, at_seconds))

    def forget(self) -> None:
        """Other partitions are read from now on."""
        self._seen.clear()
        self._stood_since.clear()

    def age_seconds(self, partition: int, next_offset: int, *, is_behind: bool) -> float:
        """How old the event at `next_offset` is, 0 when nothing waits there.

        Of an event that was not fetched yet: how long the position has stood before it.
        """
        if not is_behind:
            self._stood_since.pop(partition, None)
            return 0.0
        now = time.time()
        stood_at, since = self._stood_since.get(partition, (next_offset, now))
        if stood_at != next_offset:
            since = now
        self._stood_since[partition] = next_offset, since
        seen = self._seen.get(partition, deque())
        while len(seen) > 1 and seen[1][0] <= next_offset:
            seen.popleft()
        if seen and seen[0][0] <= next_offset:
            since = seen[0][1]
        return max(0.0, now - since)
