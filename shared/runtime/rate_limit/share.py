"""One caller's share of its bucket in this process: the tokens in hand, and what it goes on with without PostgreSQL."""

import asyncio
import math
from dataclasses import dataclass
from typing import Final

from shared.kernel.token_bucket import Limit, Taken
from shared.runtime.rate_limit.store import Ask, Grant

LEASE_SECONDS: Final = 3.0
"""How long leased tokens may be used. Longer only strands what a killed process had in hand."""

IDLE_SECONDS: Final = 0.5
"""Tokens of a caller that was silent this long go back, where another process may need them."""

FIRST_LEASE_PARTS: Final = 200
LARGEST_LEASE_PARTS: Final = 16
"""A lease is from a 200th to a 16th of the burst, twice as large each time it lasted less than HASTE_SECONDS."""

HASTE_SECONDS: Final = 0.1
LEISURE_SECONDS: Final = 0.5
AHEAD_TOKENS_MIN: Final = 4
"""Smaller leases are not renewed ahead of need: a token that lies in each process is much of a small limit."""

EMPTY_SECONDS_MAX: Final = 0.05
"""How often an empty bucket is looked at again while its caller goes on asking."""

FAR_EMPTY_SECONDS_MAX: Final = 1.0


@dataclass(slots=True, eq=False)
class Share:
    """What this process holds of one bucket. Times are this process's monotonic seconds.

    caller: the bucket's name in PostgreSQL. left: in the bucket at `looked_at`, when it was last looked at. held: in
    hand, good before `ends_at`. asks_after: the bucket was empty, and is not worth a look before. own: tokens of this
    process's part of the bucket, gone on with since PostgreSQL went away and until the bucket has been restarted.
    """

    policy: str
    caller: str
    limit: Limit
    used_at: float
    held: int = 0
    ends_at: float = 0.0
    left: float = 0.0
    looked_at: float | None = None
    asks_after: float = 0.0
    lease: int = 0
    leased_at: float = 0.0
    own: float | None = None
    own_at: float = 0.0
    answer: "asyncio.Future[None] | None" = None

    def __post_init__(self) -> None:
        self.lease = self._smallest

    @property
    def _smallest(self) -> int:
        return max(1, self.limit.burst // FIRST_LEASE_PARTS)

    @property
    def _largest(self) -> int:
        return max(1, self.limit.burst // LARGEST_LEASE_PARTS)

    def take(self, count: int, now: float) -> Taken | None:
        """Take `count` tokens in hand, or refuse because the bucket was empty a moment ago; None: ask first."""
        self.used_at = now
        if self.ends_at <= now:
            self.held = 0
        if self.held >= count:
            self.held -= count
            return self._allowed()
        return self.refused(count, now) if now < self.asks_after else None

    def put_back(self, count: int) -> None:
        """Undo a take: what it was for did not count."""
        self.held += count

    def is_short(self, now: float) -> bool:
        """True when it is time to ask for more ahead of need."""
        return self.lease >= AHEAD_TOKENS_MIN and self.held * 2 <= self.lease and now >= self.asks_after

    def is_idle(self, now: float) -> bool:
        """True when its tokens should go back."""
        return now - self.used_at > IDLE_SECONDS

    def ask(self, now: float, *, at_least: int) -> Ask:
        """The line of the next call for more tokens."""
        if self.ends_at <= now:
            self.held = 0
        lasted = now - self.leased_at
        if lasted < HASTE_SECONDS:
            self.lease = min(self.lease * 2, self._largest)
        elif lasted > LEISURE_SECONDS:
            self.lease = max(self.lease // 2, self._smallest)
        wanted = max(self.lease - self.held, at_least)
        return Ask(policy=self.policy, caller=self.caller, limit=self.limit, kept=self.held, wanted=wanted)

    def give_back(self, now: float) -> Ask:
        """The line that returns everything in hand. If the call fails they are lost, and nobody has them twice."""
        returned = self.held if self.ends_at > now else 0
        self.held = 0
        return Ask(policy=self.policy, caller=self.caller, limit=self.limit, returned=returned)

    def restart(self) -> Ask:
        """The line that brings this process's part back into a bucket that nobody has counted for a while."""
        own = 0 if self.own is None else max(0, int(self.own))
        return Ask(policy=self.policy, caller=self.caller, limit=self.limit, returned=own, restarts=True)

    def granted(self, ask: Ask, grant: Grant, asked_at: float, now: float) -> None:
        """Take in the answer to `ask`. The lease counts from before it was sent, so it ends here first."""
        if ask.restarts:
            self.own, self.held = None, 0
        self.left, self.looked_at = grant.tokens_left, asked_at
        if ask.wanted == 0:
            return
        self.held += grant.granted
        self.ends_at = asked_at + LEASE_SECONDS
        self.leased_at = now
        if grant.granted < ask.wanted:
            self.asks_after = now + self._seconds_until_worthwhile(grant.tokens_left)

    def _seconds_until_worthwhile(self, left: float) -> float:
        rate = self.limit.tokens_per_second
        often = min(EMPTY_SECONDS_MAX, 0.1 * self.limit.burst / rate)
        return max(often, min((1 - left) / rate, FAR_EMPTY_SECONDS_MAX))

    # --- while PostgreSQL is away

    def take_alone(self, count: int, processes: int, now: float) -> Taken:
        """Go on with this process's part: what was last seen in the bucket, and the rate, over `processes`."""
        self.used_at = now
        if self.ends_at > now and self.held >= count:
            self.held -= count
            return self._allowed()
        rate, burst = self.limit.tokens_per_second / processes, max(1.0, self.limit.burst / processes)
        if self.own is None:
            seen = self.limit.burst if self.looked_at is None else self._estimate(now)
            self.own, self.own_at = min(burst, seen / processes), now
        self.own = min(burst, self.own + (now - self.own_at) * rate)
        self.own_at = now
        if self.own < count:
            wait = max(1, math.ceil((min(count, burst) - self.own) / rate))
            return Taken(is_allowed=False, remaining=0, reset_seconds=wait, retry_after_seconds=wait)
        self.own -= count
        reset = math.ceil((burst - self.own) / rate)
        return Taken(is_allowed=True, remaining=int(self.own), reset_seconds=reset, retry_after_seconds=0)

    # --- what is told

    def _estimate(self, now: float) -> float:
        """What is in the bucket by now, if nobody else took any."""
        since = now - (self.looked_at if self.looked_at is not None else now)
        return min(self.limit.burst, self.left + since * self.limit.tokens_per_second)

    def _allowed(self) -> Taken:
        remaining = max(0, min(self.limit.burst, int(self.left) + self.held))
        reset = math.ceil((self.limit.burst - remaining) / self.limit.tokens_per_second)
        return Taken(is_allowed=True, remaining=remaining, reset_seconds=reset, retry_after_seconds=0)

    def refused(self, count: int, now: float) -> Taken:
        """The refusal: come back when `count` tokens will be there, if nobody else takes them."""
        missing = min(count, self.limit.burst) - self.held - self._estimate(now)
        wait = max(1, math.ceil(missing / self.limit.tokens_per_second))
        return Taken(is_allowed=False, remaining=0, reset_seconds=wait, retry_after_seconds=wait)
