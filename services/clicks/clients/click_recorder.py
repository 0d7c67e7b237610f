"""No redirect before its click is durable: groups what arrives together, and keeps what no home takes.

When no home takes a group its clicks wait in a bounded buffer, counted and alarmed, and the shoppers still arrive
(I1, I9). Meanwhile the buffer's own clicks find out when a home is back: shoppers do not wait for that.
"""

import asyncio
import enum
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog

from services.clicks.clients.click_home import ClickSink
from services.clicks.clients.click_homes import HOME_REST_SECONDS, HOME_TIMEOUT_SECONDS, ClickHomes
from shared.runtime.fill import Fill
from shared.runtime.metrics import counter, gauge
from shared.runtime.outbox import OutgoingEvent

GATHER_SECONDS: Final = 0.002
"""How long the first click of a group waits for company."""

GROUP_CLICKS_MAX: Final = 500
GROUPS_IN_FLIGHT_MAX: Final = 4
"""More than one only when a home is slow: one at a time makes the largest groups."""

IMPATIENT_SECONDS: Final = 0.05
"""After this wait a group leaves although another is still on its way."""

BUFFER_CLICKS_MAX: Final = 100_000
"""About 100 MB of clicks: minutes of a whole machine's load without any durable home."""

CLOSE_SECONDS: Final = 4.5
"""What a stop may take after the requests in hand; with their 20 s it stays under a supervisor's 25 s."""

_log = structlog.get_logger(__name__)
_BUFFERED = gauge("clicks_buffered", unit="clicks", meaning="Clicks answered and durable nowhere yet; alarm above 0")
_FILL = Fill("click_buffer", limit=BUFFER_CLICKS_MAX)
_LOST = counter("clicks_lost", unit="clicks", meaning="Clicks whose row is lost because the buffer was full; alarm")


class Recorded(enum.Enum):
    """What became of a click."""

    DURABLE = "durable"
    BUFFERED = "buffered"


_Waiting = tuple[OutgoingEvent, "asyncio.Future[Recorded]"]


@dataclass(slots=True)
class ClickRecorder:
    """The one way a click is recorded. Lives in one event loop; `run` beside it writes what had to wait.

    homes: in order of preference. *_seconds and buffer_clicks_max are for tests.
    """

    homes: Sequence[ClickSink]
    home_timeout_seconds: float = HOME_TIMEOUT_SECONDS
    home_rest_seconds: float = HOME_REST_SECONDS
    buffer_clicks_max: int = BUFFER_CLICKS_MAX
    _places: ClickHomes = field(init=False)
    _waiting: list[_Waiting] = field(default_factory=list)
    _buffer: deque[OutgoingEvent] = field(default_factory=deque)
    _groups: set["asyncio.Task[None]"] = field(default_factory=set)
    _timer: asyncio.TimerHandle | None = None
    _alarmed: bool = False

    def __post_init__(self) -> None:
        self._places = ClickHomes(self.homes, self.home_timeout_seconds, self.home_rest_seconds)

    @property
    def buffered(self) -> int:
        """Clicks that are durable nowhere yet."""
        return len(self._buffer)

    async def record(self, click: OutgoingEvent) -> Recorded:
        """Return when `click` is durable, or when no home took it and it waits in the buffer."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Recorded] = loop.create_future()
        self._waiting.append((click, done))
        if self._timer is None:
            self._timer = loop.call_later(GATHER_SECONDS, self._leave)
        return await done

    def _leave(self, impatient: bool = False) -> None:
        """Send off what waits, unless a group is on its way: then its return, or impatience, sends it."""
        self._timer = None
        if not self._waiting:
            return
        if self._groups and (not impatient or len(self._groups) >= GROUPS_IN_FLIGHT_MAX):
            self._timer = asyncio.get_running_loop().call_later(IMPATIENT_SECONDS, self._leave, True)
            return
        group, self._waiting = self._waiting[:GROUP_CLICKS_MAX], self._waiting[GROUP_CLICKS_MAX:]
        task = asyncio.create_task(self._write_group(group))
        self._groups.add(task)
        task.add_done_callback(self._returned)

    def _returned(self, task: "asyncio.Task[None]") -> None:
        self._groups.discard(task)
        if self._waiting and not self._groups:
            if self._timer is not None:
                self._timer.cancel()
            # Not at once: those just answered are about to click again, and one large group costs less than two.
            self._timer = asyncio.get_running_loop().call_later(GATHER_SECONDS, self._leave)

    async def _write_group(self, group: Sequence[_Waiting]) -> None:
        clicks = [click for click, _ in group]
        try:
            recorded = Recorded.DURABLE if await self._places.place(clicks) else Recorded.BUFFERED
        except BaseException:
            self._keep(clicks)
            _tell(group, Recorded.BUFFERED)
            raise
        if recorded is Recorded.BUFFERED:
            self._keep(clicks)
        _tell(group, recorded)

    def _keep(self, clicks: Sequence[OutgoingEvent]) -> None:
        room = max(0, self.buffer_clicks_max - len(self._buffer))
        self._buffer.extend(clicks[:room])
        lost = len(clicks) - min(room, len(clicks))
        _LOST.inc(lost)
        _FILL.refused(lost)
        _FILL.set(len(self._buffer))
        _BUFFERED.set(len(self._buffer))
        if not self._alarmed:
            self._alarmed = True
            _log.critical("clicks_have_no_home", buffered_clicks=len(self._buffer), limit=self.buffer_clicks_max)

    async def run(self) -> None:
        """Write buffered clicks whenever a home takes them again, until cancelled."""
        while True:
            await asyncio.sleep(self.home_rest_seconds)
            await self._drain()

    async def _drain(self, *, even_resting: bool = False) -> None:
        while self._buffer:
            clicks = [self._buffer[place] for place in range(min(GROUP_CLICKS_MAX, len(self._buffer)))]
            if not await self._places.place_patiently(clicks, even_resting=even_resting):
                return
            for _ in clicks:
                self._buffer.popleft()
            _BUFFERED.set(len(self._buffer))
            _FILL.set(len(self._buffer))
        if self._alarmed:
            self._alarmed = False
            _log.warning("clicks_have_a_home_again")

    async def close(self, *, timeout_seconds: float = CLOSE_SECONDS) -> None:
        """Write everything that waits, in flight or in the buffer. Call when no request is being answered any more."""
        deadline = time.monotonic() + timeout_seconds
        while (self._waiting or self._groups) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        while self._buffer and time.monotonic() < deadline:
            await self._drain(even_resting=True)
            if self._buffer:
                await asyncio.sleep(0.2)
        await self._places.close()
        if self._buffer or self._waiting:
            _log.critical("clicks_lost_at_stop", clicks=len(self._buffer) + len(self._waiting))


def _tell(group: Sequence[_Waiting], recorded: Recorded) -> None:
    for _, done in group:
        if not done.done():  # a request that was cancelled listens no more
            done.set_result(recorded)
