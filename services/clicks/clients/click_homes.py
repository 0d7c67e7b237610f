"""Which home takes a group of clicks, so that no shopper waits for a sick one.

Homes are tried in order. One that takes much longer than it usually does is not waited for: the next one gets the same
clicks beside it, and whichever answers first has them (written twice is one click each, by click ID). A home that was
slow or failed gets no shopper's clicks alone until it has taken a group again; now and then one group goes to it
beside a healthy home, to see.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from services.clicks.clients.click_home import ClickSink
from shared.runtime.metrics import counter
from shared.runtime.outbox import OutgoingEvent

HOME_TIMEOUT_SECONDS: Final = 2.0
HOME_REST_SECONDS: Final = 1.0
"""Between two tries of a home that failed."""

PATIENCE_FACTOR: Final = 4.0
"""A home is slow when it takes this many times as long as it usually does: a broker that is gone shows within tens of
milliseconds, and one that is merely loaded sets its own measure."""

PATIENCE_SECONDS_MIN: Final = 0.05
PATIENCE_SECONDS_MAX: Final = 0.5
_NEWEST_SHARE: Final = 0.1
"""Weight of the newest answer in what is usual."""

_log = structlog.get_logger(__name__)
_RECORDED = counter("clicks_recorded", unit="clicks", meaning="Clicks made durable, by home", labels=("home",))
_FAILED = counter("click_home_failures", unit="groups", meaning="Groups a home did not take", labels=("home",))


@dataclass(slots=True)
class _Home:
    sink: ClickSink
    is_trusted: bool = True
    try_again_at: float = 0.0
    usual_seconds: float = 0.0

    @property
    def patience_seconds(self) -> float:
        return min(max(PATIENCE_FACTOR * self.usual_seconds, PATIENCE_SECONDS_MIN), PATIENCE_SECONDS_MAX)


_Writing = dict["asyncio.Task[bool]", _Home]


@dataclass(slots=True)
class ClickHomes:
    """The homes of one process, in order of preference. *_seconds are for tests."""

    sinks: Sequence[ClickSink]
    timeout_seconds: float = HOME_TIMEOUT_SECONDS
    rest_seconds: float = HOME_REST_SECONDS
    _homes: list[_Home] = field(init=False)
    _under_way: set["asyncio.Task[bool]"] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._homes = [_Home(sink) for sink in self.sinks]

    async def place(self, clicks: Sequence[OutgoingEvent]) -> bool:
        """True as soon as one home has them all; False when none took them, at once when none is trusted."""
        trusted = [home for home in self._homes if home.is_trusted]
        if trusted:
            self._try_the_others_beside(clicks)
        writing: _Writing = {}
        for place, home in enumerate(trusted):
            writing[self._start(home, clicks)] = home
            is_last = place == len(trusted) - 1
            if await self._first_to_take(writing, clicks, None if is_last else home.patience_seconds):
                return True
            if not is_last and home in writing.values():
                self._distrust(home, "slow")
        return False

    async def place_patiently(self, clicks: Sequence[OutgoingEvent], *, even_resting: bool = False) -> bool:
        """True when a home took them: each one in turn with its whole time, for clicks that nobody waits for."""
        for home in self._homes:
            may_try = home.is_trusted or even_resting or time.monotonic() >= home.try_again_at
            if may_try and await self._write(home, clicks):
                _RECORDED.labels(home.sink.name).inc(len(clicks))
                return True
        return False

    async def close(self) -> None:
        """Let go of what is still being written beside a home that has answered."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _try_the_others_beside(self, clicks: Sequence[OutgoingEvent]) -> None:
        now = time.monotonic()
        for home in self._homes:
            if not home.is_trusted and now >= home.try_again_at:
                home.try_again_at = now + self.timeout_seconds + self.rest_seconds
                self._start(home, clicks)

    async def _first_to_take(
        self, writing: _Writing, clicks: Sequence[OutgoingEvent], patience_seconds: float | None
    ) -> bool:
        """True when one of them took the clicks; False when all have failed, or patience has run out."""
        deadline = None if patience_seconds is None else time.monotonic() + patience_seconds
        while writing:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            done, _ = await asyncio.wait(writing, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                return False
            for task in done:
                home = writing.pop(task)
                if task.result():
                    _RECORDED.labels(home.sink.name).inc(len(clicks))
                    return True
        return False

    def _start(self, home: _Home, clicks: Sequence[OutgoingEvent]) -> "asyncio.Task[bool]":
        task = asyncio.create_task(self._write(home, clicks))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return task

    async def _write(self, home: _Home, clicks: Sequence[OutgoingEvent]) -> bool:
        began_at = time.monotonic()
        try:
            async with asyncio.timeout(self.timeout_seconds):
                await home.sink.write(clicks)
        except Exception as fault:
            _FAILED.labels(home.sink.name).inc()
            self._distrust(home, type(fault).__name__)
            return False
        home.usual_seconds += _NEWEST_SHARE * (time.monotonic() - began_at - home.usual_seconds)
        if not home.is_trusted:
            home.is_trusted = True
            _log.warning("click_home_back", home=home.sink.name)
        return True

    def _distrust(self, home: _Home, reason: str) -> None:
        if home.is_trusted:
            _log.error("click_home_failed", home=home.sink.name, reason=reason)
        home.is_trusted = False
        home.try_again_at = time.monotonic() + self.rest_seconds
