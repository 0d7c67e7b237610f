"""The limiter: takes a token from memory, and keeps memory filled from PostgreSQL ahead of need (ADR-0008).

    desk = LeaseDesk(database)                      # database: as `_intake`; run() beside the requests, close() after
    limiter = Limiter("key", Limit(200, 2_000), desk)
    taken = await limiter.take(key_id)

In any stretch of t seconds all processes together let a caller through at most burst + rate * t times. When PostgreSQL
does not answer within ANSWER_SECONDS each process goes on with its part of the rate, until all are back.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID, uuid4

from shared.kernel.token_bucket import Limit, Taken
from shared.runtime.backoff import Outage, pause
from shared.runtime.database import Database
from shared.runtime.logging import get_logger
from shared.runtime.metrics import counter, gauge, histogram
from shared.runtime.problem import Headers, rate_limited
from shared.runtime.rate_limit.share import LEASE_SECONDS, Share
from shared.runtime.rate_limit.store import Ask, count_holders, lease_tokens

ANSWER_SECONDS: Final = 1.0
"""How long a request waits for its tokens before it is served from this process's own part."""

CALL_ASKS_MAX: Final = 500
"""Buckets in one call; more wait for the next. One call is under way at a time."""

TICK_SECONDS: Final = 0.25
COUNT_EVERY_SECONDS: Final = 1.0
PROCESSES_UNKNOWN: Final = 4
"""How many processes to assume before PostgreSQL has ever said: a guess that errs to the strict side."""

PROBE_SECONDS: Final = 0.5
RETURN_SECONDS: Final = 1.5
"""How long a process keeps to its own part after PostgreSQL is back: longer than the others need to notice it."""

SHARES_MAX: Final = 50_000
CLOSE_SECONDS: Final = 2.0

_log = get_logger(__name__)
_calls = counter(
    "limit_postgres", unit="calls", meaning="Calls for tokens to PostgreSQL, by outcome", labels=("outcome",)
)
_call_seconds = histogram("limit_call_duration", unit="seconds", meaning="One call for tokens to PostgreSQL")
_alone = gauge("limit_alone", unit="flag", meaning="1 while limits are kept without PostgreSQL, by each process alone")
_processes = gauge("limit_sharing", unit="processes", meaning="Processes that share the limits, as last counted")
_shares = gauge("limit_remembered", unit="callers", meaning="Callers whose share of a limit this process remembers")


class LeaseDesk:
    """The one place of a process that asks PostgreSQL for tokens. Lives in one event loop."""

    def __init__(self, database: Database, *, shares_max: int = SHARES_MAX) -> None:
        self._database = database
        self._shares_max = shares_max
        self._holder: UUID = uuid4()
        self._shares: OrderedDict[tuple[str, str], Share] = OrderedDict()
        self._wanted: dict[Share, int] = {}
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()
        self._outage = Outage("limits")
        self._next_tick = self._next_count = 0.0
        self._back_at = 0.0
        self._own_parts: dict[Share, None] = {}
        self.processes = PROCESSES_UNKNOWN
        self.is_alone = False

    def share_of(self, policy: str, caller: str, limit: Limit, now: float) -> Share:
        """The share of a caller, which is remembered while it is in use."""
        share = self._shares.get((policy, caller))
        if share is None:
            share = Share(policy, caller, limit, now)
            self._shares[policy, caller] = share
            if len(self._shares) > self._shares_max:
                # Its tokens are stranded until their lease ends; the bucket itself is in PostgreSQL.
                self._shares.popitem(last=False)
        else:
            self._shares.move_to_end((policy, caller))
        return share

    def want(self, share: Share, at_least: int) -> "asyncio.Future[None]":
        """Ask for more of this bucket with the next call; done when the answer has been taken in, or failed."""
        self._wanted[share] = max(at_least, self._wanted.get(share, 0))
        if share.answer is None:
            share.answer = asyncio.get_running_loop().create_future()
        self._wake.set()
        return share.answer

    async def run(self) -> None:
        """Ask whenever somebody wants tokens, and give back what lies idle, until `stop`."""
        while not self._stopping.is_set():
            try:
                async with asyncio.timeout(TICK_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass  # a tick: tokens may lie idle
            self._wake.clear()
            try:
                await self._work()
            except Exception as error:
                self.go_alone()
                self._outage.note(error)
                await pause(PROBE_SECONDS, self._stopping)

    def stop(self) -> None:
        """Leave `run`."""
        self._stopping.set()
        self._wake.set()

    async def close(self) -> None:
        """Give back every token in hand and leave. What cannot be given back ends by itself within LEASE_SECONDS."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                while returning := [share for share in self._shares.values() if share.held]:
                    await self._call(
                        [(share, share.give_back(time.monotonic())) for share in returning[:CALL_ASKS_MAX]]
                    )
                await count_holders(self._database, self._holder, leaving=True)
        except Exception as error:
            _log.warning("tokens_not_given_back", reason=type(error).__name__)

    async def _work(self) -> None:
        now = time.monotonic()
        lines: list[tuple[Share, Ask]] = []
        while self._wanted and len(lines) < CALL_ASKS_MAX:
            share = next(iter(self._wanted))
            lines.append((share, share.ask(now, at_least=self._wanted.pop(share))))
        if self._wanted:
            self._wake.set()
        if now >= self._next_tick:
            self._next_tick = now + TICK_SECONDS
            lines += self._returns(now, CALL_ASKS_MAX)
        if self._own_parts and not self.is_alone and now - self._back_at > RETURN_SECONDS:
            room = CALL_ASKS_MAX - len(lines)
            lines += [(share, share.restart()) for share in list(self._own_parts)[: max(0, room)]]
        if lines:
            await self._call(lines)
        if now >= self._next_count or self.is_alone:
            self._next_count = now + COUNT_EVERY_SECONDS
            async with asyncio.timeout(ANSWER_SECONDS):
                self.processes = max(1, await count_holders(self._database, self._holder))
            _processes.set(self.processes)
            self._come_back()

    def _returns(self, now: float, most: int) -> list[tuple[Share, Ask]]:
        """What idle shares give back; those with nothing in hand are forgotten."""
        lines: list[tuple[Share, Ask]] = []
        for key, share in list(self._shares.items()):
            if len(lines) == most:
                break
            if share.answer is not None or not share.is_idle(now):
                continue
            if share.held:
                lines.append((share, share.give_back(now)))
            elif now >= share.asks_after and share.own is None:
                del self._shares[key]
        _shares.set(len(self._shares))
        return lines

    async def _call(self, lines: Sequence[tuple[Share, Ask]]) -> None:
        ordered = sorted(lines, key=lambda line: (line[1].policy, line[1].caller))
        asked_at = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                grants = await lease_tokens(
                    self._database,
                    self._holder,
                    [ask for _, ask in ordered],
                    life_seconds=LEASE_SECONDS,
                )
        except BaseException:
            _calls.labels("failed").inc()
            raise
        else:
            now = time.monotonic()
            for (share, ask), grant in zip(ordered, grants, strict=True):
                share.granted(ask, grant, asked_at, now)
                if ask.restarts:
                    self._own_parts.pop(share, None)
            _calls.labels("answered").inc()
            _call_seconds.observe(now - asked_at)
            self._come_back()
        finally:
            for share, _ in ordered:
                self._resolve(share)

    def _resolve(self, share: Share) -> None:
        answer = share.answer
        if answer is not None and share not in self._wanted:
            share.answer = None
            if not answer.done():
                answer.set_result(None)

    def go_alone(self) -> None:
        """PostgreSQL did not answer: keep the limits without it until it does."""
        self.is_alone = True
        _alone.set(1)
        waiting, self._wanted = list(self._wanted), {}
        for share in waiting:
            self._resolve(share)

    def take_alone(self, share: Share, count: int, now: float) -> Taken:
        """Serve from this process's own part of the bucket, and remember to bring that back."""
        self._own_parts[share] = None
        return share.take_alone(count, self.processes, now)

    def _come_back(self) -> None:
        self._outage.recovered()
        if self.is_alone:
            self._back_at = time.monotonic()
        self.is_alone = False
        _alone.set(0)


class Limiter:
    """One limit, counted over every process that shares the database.

    policy: its name in the buckets and in the RateLimit headers. name_of: what a caller is called in PostgreSQL;
    give a keyed hash where callers are people's addresses.
    """

    def __init__(self, policy: str, limit: Limit, desk: LeaseDesk, *, name_of: Callable[[str], str] = str) -> None:
        self.policy = policy
        self.limit = limit
        self._desk = desk
        self._name_of = name_of
        self._policy_header = f'"{policy}";q={limit.burst};w={limit.window_seconds}'.encode()
        self._name_in_header = f'"{policy}";r='

    async def take(self, caller: str, count: int = 1) -> Taken:
        """Take `count` tokens of `caller`, waiting for PostgreSQL only where none is in hand. Never raises."""
        now = time.monotonic()
        share = self._desk.share_of(self.policy, self._name_of(caller), self.limit, now)
        if self._desk.is_alone or share.own is not None:
            return self._desk.take_alone(share, count, now)
        taken = share.take(count, now)
        if taken is None:
            taken = await self._ask_and_take(share, count, now + ANSWER_SECONDS)
        if taken.is_allowed and share.answer is None and share.is_short(now):
            self._desk.want(share, 0)
        return taken

    def put_back(self, caller: str, count: int = 1) -> None:
        """Undo a take. What it was for did not count against the limit."""
        self._desk.share_of(self.policy, self._name_of(caller), self.limit, time.monotonic()).put_back(count)

    async def require(self, caller: str, count: int = 1) -> Headers:
        """Take, and give the answer's RateLimit headers. Raises Problem 429 with the same headers and Retry-After."""
        taken = await self.take(caller, count)
        headers = self.headers(taken)
        if not taken.is_allowed:
            raise rate_limited(taken.retry_after_seconds, {name.decode(): value.decode() for name, value in headers})
        return headers

    def headers(self, taken: Taken) -> Headers:
        """RateLimit-Policy: the bucket's size and how long it takes to fill. RateLimit: r left, full (or back) in t s.

        Source: draft-ietf-httpapi-ratelimit-headers; t is Retry-After where the request was refused.
        """
        left = f"{self._name_in_header}{taken.remaining};t={taken.reset_seconds}"
        return [(b"ratelimit-policy", self._policy_header), (b"ratelimit", left.encode())]

    async def _ask_and_take(self, share: Share, count: int, deadline: float) -> Taken:
        while not self._desk.is_alone:
            answer = self._desk.want(share, count)
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await asyncio.shield(answer)
            except TimeoutError:
                self._desk.go_alone()
                break
            now = time.monotonic()
            if (taken := share.take(count, now)) is not None:
                return taken
        return self._desk.take_alone(share, count, time.monotonic())
