"""Waiting after a failure: exponential, with full jitter, bounded; and saying so once an outage, not once a try."""

import asyncio
import random
from typing import Final

from shared.runtime.logging import get_logger
from shared.runtime.metrics import counter

FIRST_DELAY_SECONDS: Final = 0.1
LAST_DELAY_SECONDS: Final = 5.0

_log = get_logger(__name__)
_failures = counter("task_failed", unit="tries", meaning="Failures of a task that is tried again", labels=["task"])


class Outage:
    """One dependency's failures as seen by one task. `failed` waits longer each time; `recovered` starts afresh."""

    def __init__(self, task: str) -> None:
        self._task = task
        _failures.labels(task)  # 0 from the start: a rate sees the first failure too
        self._failures = 0
        self.reason: str | None = None

    async def failed(self, error: BaseException, stopping: asyncio.Event) -> None:
        """Remember the failure, log it if it is the first of its kind in this outage, and wait, or until `stopping`."""
        ceiling = min(LAST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2**self._failures)
        self.note(error)
        await pause(random.uniform(0, ceiling), stopping)  # noqa: S311 (jitter, no secret)

    def note(self, error: BaseException) -> None:
        """Remember and log the failure in the same way, for a task that chooses its own pauses."""
        reason = type(error).__name__
        if reason != self.reason:
            _log.warning("task_failing", task=self._task, error=reason, detail=_first_line(error))
        self.reason = reason
        _failures.labels(self._task).inc()
        self._failures = min(self._failures + 1, 16)

    def recovered(self) -> None:
        """Say that the outage is over, if there was one."""
        if self.reason is not None:
            _log.info("task_recovered", task=self._task, failures=self._failures)
        self.reason = None
        self._failures = 0


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]


async def pause(seconds: float, stopping: asyncio.Event) -> None:
    """Sleep, but no longer than until `stopping` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stopping.wait()
    except TimeoutError:
        return
