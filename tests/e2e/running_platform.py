"""The real thing under test: the supervisor of `make run`, in a folder of its own, with every process it starts."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.local.postgres import PostgresServer
from deploy.local.roles import ROLES

CHECKOUT: Final = Path(__file__).parents[2]
READY_SECONDS: Final = 240.0
STOP_SECONDS: Final = 40.0
POLL_SECONDS: Final = 0.05


@dataclass(slots=True)
class RunningPlatform:
    """One platform. broker: `embedded` or `kafka`. extra: environment beyond the usual."""

    home: Path
    broker: str
    extra: Mapping[str, str] = field(default_factory=dict)
    _supervisor: subprocess.Popen[bytes] | None = None

    @property
    def public_url(self) -> str:
        """Where everyone comes in."""
        return (self.home / "public_url").read_text().strip()

    @property
    def admin_key(self) -> str:
        """The first admin's key."""
        return (self.home / "keys" / "bootstrap_admin_key").read_text().strip()

    def database_url(self, service: str) -> str:
        """The superuser's way into a service's database, for looking and for sabotage."""
        return PostgresServer.at(self.home).admin_url(f"tributary_{service}")

    def start(self) -> None:
        """Start and return when every process is ready. Raises AssertionError with the last words otherwise."""
        (self.home / "public_url").unlink(missing_ok=True)  # one that was killed left its own
        log_file = (self.home / "supervisor-output.log").open("ab")
        with log_file:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "deploy.local.main", "up"],
                cwd=CHECKOUT,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._is_up, READY_SECONDS, "the platform is up", last_words=self.last_words)

    def stop(self) -> None:
        """Stop everything; harmless when it is already down."""
        if self._supervisor is None:
            return
        if self._supervisor.poll() is None:
            self._supervisor.send_signal(signal.SIGTERM)
        try:
            self._supervisor.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
        self._supervisor = None

    @property
    def process_names(self) -> list[str]:
        """Every process that can die: the services', PostgreSQL's and Kafka's."""
        return [role.name for role in ROLES] + ["postgres"] + (["kafka"] if self.broker == "kafka" else [])

    def pid(self, name: str) -> int | None:
        """The process of that name that runs now, a direct child of the supervisor."""
        assert self._supervisor is not None
        marks = {role.name: role.module for role in ROLES} | {"postgres": "postgres", "kafka": "kafka.Kafka"}
        for pid in _children(self._supervisor.pid):
            words = _command_line(pid)
            if "leash.py" not in " ".join(words) and any(_means(word, marks[name]) for word in words):
                return pid
        return None

    def kill9(self, name: str) -> None:
        """kill -9 that process, whatever it is doing; the supervisor starts it again."""
        found: list[int] = []

        def is_found() -> bool:
            pid = self.pid(name)
            found[:] = [pid] if pid else []
            return bool(found)

        wait_until(is_found, 30.0, f"{name} runs", last_words=self.last_words)
        os.kill(found[0], signal.SIGKILL)
        wait_until(lambda: self.pid(name) not in (None, found[0]), 60.0, f"{name} was started again")

    def last_words(self) -> str:
        """The end of the supervisor's output."""
        return "\n".join((self.home / "supervisor-output.log").read_text(errors="replace").splitlines()[-40:])

    def _is_up(self) -> bool:
        assert self._supervisor is not None
        if self._supervisor.poll() is not None:
            raise AssertionError(f"the supervisor ended with {self._supervisor.returncode}\n{self.last_words()}")
        return (self.home / "public_url").exists() and (self.home / "demo.json").exists()

    def _environment(self) -> dict[str, str]:
        kept = {
            name: os.environ[name] for name in ("PATH", "HOME", "LANG", "JAVA_HOME", "TMPDIR") if name in os.environ
        }
        return kept | {
            "TRIBUTARY_HOME": str(self.home),
            "TRIBUTARY_ENV": "test",
            "BROKER": self.broker,
            "PORT": "0",
            **self.extra,
        }


def wait_until(
    condition: Callable[[], bool], seconds_max: float, what: str, *, last_words: Callable[[], str] | None = None
) -> None:
    """Return as soon as `condition` holds. The limit only ends a test that would hang. Raises AssertionError."""
    deadline = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds_max:.0f} s: {what}\n{last_words() if last_words else ''}")
        time.sleep(POLL_SECONDS)


def _means(word: str, mark: str) -> bool:
    return word == mark or word.endswith(f"/{mark}")


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found.append(int(stat.parent.name))
    return found


def _command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []
