"""Health: is this process alive, may it get traffic, and if not, why."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

CHECK_TIMEOUT_SECONDS: Final = 2.0

Check = Callable[[], Awaitable[str | None]]
"""Gives None when all is well, else the reason in words fit for an operator; raising counts as a reason too."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The answer of /readyz. problems: reason by name of check; empty when ready."""

    ready: bool
    problems: dict[str, str]


class Health:
    """The checks of one process. A draining process is alive but not ready."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._draining = False

    def add_check(self, name: str, check: Check) -> None:
        """Ask `check` whenever readiness is asked for. Raises ValueError for a name in use."""
        if name in self._checks:
            raise ValueError(f"health check {name} exists already")
        self._checks[name] = check

    def start_draining(self) -> None:
        """Say "not ready" from now on: the process is about to stop."""
        self._draining = True

    async def report(self) -> HealthReport:
        """Ask every check at once; one that takes longer than CHECK_TIMEOUT_SECONDS is a problem."""
        if self._draining:
            return HealthReport(ready=False, problems={"process": "stopping"})
        answers = await asyncio.gather(*(_ask(check) for check in self._checks.values()))
        problems = {name: answer for name, answer in zip(self._checks, answers, strict=True) if answer is not None}
        return HealthReport(ready=not problems, problems=problems)


async def _ask(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            return await check()
    except TimeoutError:
        return "no answer in time"
    except Exception as error:
        return f"failed: {type(error).__name__}"
