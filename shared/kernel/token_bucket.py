"""Limits: a bucket of tokens per caller, refilled steadily, with room for a burst."""

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """tokens_per_second: what may be kept up. burst: how many at once after a rest."""

    tokens_per_second: float
    burst: int

    @property
    def window_seconds(self) -> int:
        """How long an empty bucket takes to fill: the window in which `burst` requests are the quota."""
        return max(1, math.ceil(self.burst / self.tokens_per_second))


@dataclass(frozen=True, slots=True)
class Taken:
    """What one request found. remaining: whole tokens left. retry_after_seconds: 0 where it was allowed."""

    is_allowed: bool
    remaining: int
    reset_seconds: int
    retry_after_seconds: int


class TokenBuckets:
    """Buckets by caller, at most `buckets_max`: the one unused for longest makes room, and would be full by then."""

    def __init__(self, limit: Limit, *, buckets_max: int) -> None:
        self.limit = limit
        self._buckets_max = buckets_max
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, caller: Hashable, now_seconds: float) -> Taken:
        """Take a token at `now_seconds` (monotonic), if there is one."""
        tokens = self._tokens(caller, now_seconds)
        is_allowed = tokens >= 1
        if is_allowed:
            tokens -= 1
        self._buckets[caller] = (tokens, now_seconds)
        self._buckets.move_to_end(caller)
        if len(self._buckets) > self._buckets_max:
            self._buckets.popitem(last=False)
        return self._taken(tokens, is_allowed=is_allowed)

    def look(self, caller: Hashable, now_seconds: float) -> Taken:
        """Whether a token is there, without taking it."""
        tokens = self._tokens(caller, now_seconds)
        return self._taken(tokens, is_allowed=tokens >= 1)

    def _tokens(self, caller: Hashable, now_seconds: float) -> float:
        stored = self._buckets.get(caller)
        if stored is None:
            return float(self.limit.burst)
        tokens, at_seconds = stored
        return min(self.limit.burst, tokens + max(0.0, now_seconds - at_seconds) * self.limit.tokens_per_second)

    def _taken(self, tokens: float, *, is_allowed: bool) -> Taken:
        rate = self.limit.tokens_per_second
        return Taken(
            is_allowed=is_allowed,
            remaining=int(tokens),
            reset_seconds=math.ceil((self.limit.burst - tokens) / rate),
            retry_after_seconds=0 if is_allowed else max(1, math.ceil((1 - tokens) / rate)),
        )
