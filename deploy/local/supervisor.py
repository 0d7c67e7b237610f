"""Keeps a set of programs running: starts them, restarts what dies, stops all. Knows nothing of what they are.

Everything is started from the thread that calls `watch` and `add`, because the kernel ties a child to that thread.
"""

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

from deploy.local.child import ChildCommand, launch
from deploy.local.merged_log import MergedLog
from deploy.local.problem import PlainProblem

OWN_NAME: Final = "supervisor"
POLL_SECONDS: Final = 0.05
BACKOFF_FIRST_SECONDS: Final = 0.1
BACKOFF_MAX_SECONDS: Final = 5.0
SETTLED_SECONDS: Final = 10.0
"""One that ran this long starts again at once, without the back-off of earlier deaths."""

EARLY_DEATHS_MAX: Final = 4
"""One that dies this often before it was ever ready cannot work here: starting is given up with its last words."""

Result = TypeVar("Result")


def _nothing() -> None:
    """Most programs need no preparation."""


@dataclass(frozen=True, slots=True)
class Member:
    """One program to keep running.

    is_ready: does it serve now? Asked often, must be quick. before_start: clears the way before every start.
    stop_stage: members with a lower number are stopped, and gone, before those with a higher one are asked to stop.
    """

    name: str
    command: ChildCommand
    is_ready: Callable[[], bool]
    before_start: Callable[[], None] = _nothing
    stop_stage: int = 0
    stop_seconds_max: float = 8.0


class StopRequested(Exception):
    """Someone asked us to stop while we were still starting."""


@dataclass(slots=True)
class _Watched:
    member: Member
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_again_at: float = 0.0
    backoff_seconds: float = BACKOFF_FIRST_SECONDS
    early_deaths: int = 0
    was_ready: bool = False
    starts: int = field(default=0)


class Supervisor:
    """Members in the order they were added. `request_stop` may be called from a signal handler."""

    def __init__(self, log: MergedLog) -> None:
        self._log = log
        self._watched: list[_Watched] = []
        self._stop = threading.Event()

    def request_stop(self) -> None:
        """Make every wait end with StopRequested, and `watch_until_stopped` return."""
        self._stop.set()

    def say(self, line: str) -> None:
        """A line of our own in the merged log."""
        self._log.say(OWN_NAME, line)

    def add(self, member: Member) -> None:
        """Start a member and keep it running from now on."""
        watched = _Watched(member)
        self._watched.append(watched)
        self._start(watched)

    def wait_until_ready(self, names: Sequence[str], *, timeout_seconds: float) -> None:
        """Return when all the named members serve. Raises: PlainProblem with the last words of one that does not."""
        waiting = [watched for watched in self._watched if watched.member.name in names]
        deadline = time.monotonic() + timeout_seconds
        while waiting := [watched for watched in waiting if not self._is_ready(watched)]:
            self._check_stop()
            self._watch_once()
            for watched in waiting:
                if watched.early_deaths >= EARLY_DEATHS_MAX:
                    raise self._explained(watched, "keeps dying at its start")
            if time.monotonic() > deadline:
                raise self._explained(waiting[0], f"was not ready within {timeout_seconds:.0f} s")
            time.sleep(POLL_SECONDS)

    def run_while_watching(self, act: Callable[[], Result]) -> Result:
        """Do something slow in another thread, keeping the members running meanwhile."""
        outcome: list[Result] = []
        failure: list[BaseException] = []

        def work() -> None:
            try:
                outcome.append(act())
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=work, name="setup", daemon=True)
        thread.start()
        while thread.is_alive():
            self._check_stop()
            self._watch_once()
            thread.join(POLL_SECONDS)
        if failure:
            raise failure[0]
        return outcome[0]

    def watch_until_stopped(self) -> None:
        """Keep everything running until `request_stop`."""
        while not self._stop.is_set():
            self._watch_once()
            self._stop.wait(POLL_SECONDS)

    def stop_all(self) -> None:
        """Stop stage after stage; each member gets its own time, then is killed. Nothing is left running."""
        stages = sorted({watched.member.stop_stage for watched in self._watched})
        for stage in stages:
            here = [watched for watched in self._watched if watched.member.stop_stage == stage]
            for watched in here:
                if watched.process is not None and watched.process.poll() is None:
                    with contextlib.suppress(ProcessLookupError):
                        watched.process.send_signal(watched.member.command.stop_signal)
            asked_at = time.monotonic()
            for watched in here:
                self._reap(watched, deadline=asked_at + watched.member.stop_seconds_max)

    def pids(self) -> dict[str, int]:
        """The process of every member that runs now."""
        return {
            watched.member.name: watched.process.pid
            for watched in self._watched
            if watched.process is not None and watched.process.poll() is None
        }

    def _start(self, watched: _Watched) -> None:
        watched.member.before_start()
        watched.process = launch(watched.member.command, output=subprocess.PIPE)
        watched.started_at = time.monotonic()
        watched.starts += 1
        assert watched.process.stdout is not None
        self._log.follow(watched.member.name, watched.process.stdout)

    def _watch_once(self) -> None:
        now = time.monotonic()
        for watched in self._watched:
            if watched.process is not None and watched.process.poll() is not None:
                self._note_death(watched, now)
            elif watched.process is None and now >= watched.start_again_at:
                self._start(watched)

    def _note_death(self, watched: _Watched, now: float) -> None:
        assert watched.process is not None
        if now - watched.started_at >= SETTLED_SECONDS:
            watched.backoff_seconds = BACKOFF_FIRST_SECONDS
        if not watched.was_ready:
            watched.early_deaths += 1
        wait = watched.backoff_seconds
        self.say(
            f"{watched.member.name} ended ({_describe(watched.process.returncode)}); starting it again in {wait} s"
        )
        watched.process = None
        watched.start_again_at = now + wait
        watched.backoff_seconds = min(wait * 2, BACKOFF_MAX_SECONDS)

    def _is_ready(self, watched: _Watched) -> bool:
        if watched.process is None or watched.process.poll() is not None or not watched.member.is_ready():
            return False
        watched.was_ready = True
        return True

    def _reap(self, watched: _Watched, *, deadline: float) -> None:
        if watched.process is None:
            return
        try:
            watched.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.say(f"{watched.member.name} did not stop in {watched.member.stop_seconds_max:.0f} s; killed")
            watched.process.kill()
            watched.process.wait()
        watched.process = None

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise StopRequested

    def _explained(self, watched: _Watched, what: str) -> PlainProblem:
        words = "\n".join(f"  {line}" for line in self._log.last_lines(watched.member.name, count=12))
        return PlainProblem(f"{watched.member.name} {what}.", f"Its last words:\n{words}")


def _describe(return_code: int) -> str:
    return f"signal {-return_code}" if return_code < 0 else f"exit {return_code}"
