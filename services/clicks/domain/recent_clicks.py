"""Which clicks came a moment ago: a bounded memory of one process."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

DUPLICATE_WINDOW_MS: Final = 10_000
"""A second click of the same shopper on the same link within this time is a double click, not a second visit."""

RECENT_CLICKS_MAX: Final = 200_000
"""10 s of 20,000 clicks a second; about 40 MB when full."""


class RecentClicks:
    """Remembers when each key was last seen, forgetting the longest unseen first."""

    def __init__(self, *, window_ms: int = DUPLICATE_WINDOW_MS, keys_max: int = RECENT_CLICKS_MAX) -> None:
        self._window_ms = window_ms
        self._keys_max = keys_max
        self._seen_at_ms: OrderedDict[Hashable, int] = OrderedDict()

    def is_repeat(self, key: Hashable, now_ms: int) -> bool:
        """Note that `key` clicks now. True when its click before was at most the window ago."""
        seen = self._seen_at_ms
        before_ms = seen.pop(key, None)
        seen[key] = now_ms
        if before_ms is None:
            self._forget(now_ms)
            return False
        return now_ms - before_ms <= self._window_ms

    def _forget(self, now_ms: int) -> None:
        """Drop up to two old keys for each new one, so that the memory shrinks again after a burst."""
        seen = self._seen_at_ms
        for _ in range(2):
            oldest = next(iter(seen))
            if len(seen) <= self._keys_max and now_ms - seen[oldest] <= self._window_ms:
                return
            del seen[oldest]

    def __len__(self) -> int:
        return len(self._seen_at_ms)
