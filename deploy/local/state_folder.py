"""The folder that holds everything a local network is: databases, event log, keys, logs. One supervisor at a time."""

import fcntl
import os
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from deploy.local.problem import PlainProblem, explain_os_error

DEFAULT_NAME = ".tributary"
STOP_TIMEOUT_SECONDS = 40.0
POLL_SECONDS = 0.1
START_FREE_BYTES_MIN = 100 << 20
"""What a network writes before its first request, and then some."""


class AlreadyRunning(PlainProblem):
    """Another supervisor holds this folder."""


@dataclass(frozen=True, slots=True)
class StateFolder:
    """TRIBUTARY_HOME, by default `.tributary` in the checkout. Made with 0711: PostgreSQL's account passes."""

    path: Path

    @classmethod
    def from_environment(cls, checkout: Path) -> "StateFolder":
        """The folder that TRIBUTARY_HOME names, else the checkout's own."""
        return cls(Path(os.environ.get("TRIBUTARY_HOME") or checkout / DEFAULT_NAME).absolute())

    def create(self) -> None:
        """Make the folder and its parts. Raises: PlainProblem when it cannot be written."""
        try:
            if not self.path.exists():
                self.path.mkdir(parents=True)
                self.path.chmod(0o711)
            for part, mode in ((self.keys, 0o700), (self.logs, 0o700)):
                part.mkdir(exist_ok=True)
                part.chmod(mode)
        except OSError as error:
            raise PlainProblem(
                f"Cannot use the folder {self.path}: {error.strerror}.", "Set TRIBUTARY_HOME."
            ) from error

    @property
    def keys(self) -> Path:
        """Keyrings and the first admin key."""
        return self.path / "keys"

    @property
    def logs(self) -> Path:
        """One log file per process."""
        return self.path / "logs"

    @property
    def kafka(self) -> Path:
        """Kafka's configuration and data."""
        return self.path / "kafka"

    @property
    def broker_identity(self) -> Path:
        """Which event log this network lives on."""
        return self.path / "broker"

    @property
    def demo(self) -> Path:
        """What the demo network was seeded with."""
        return self.path / "demo.json"

    @property
    def address(self) -> Path:
        """The public URL of the supervisor that runs now."""
        return self.path / "public_url"

    @property
    def addresses(self) -> Path:
        """Where each process of the supervisor that runs now listens: a JSON object, URL by role name."""
        return self.path / "addresses.json"

    def is_ours(self) -> bool:
        """Was this folder made by us? Asked before anything is deleted."""
        return self.path.name == DEFAULT_NAME or (self.path / "supervisor.pid").exists()

    def running_url(self) -> str:
        """The public URL of the network that runs here. Raises: PlainProblem while it is still starting."""
        url = self._read(self.address)
        if not url:
            raise PlainProblem("Tributary is still starting here.", "Try again in a moment.")
        return url

    def announce(self, file: Path, content: str) -> None:
        """Write `address` or `addresses` in one step: who polls for it sees no file, or all of it."""
        unfinished = file.with_suffix(".unfinished")
        unfinished.write_text(content)
        unfinished.replace(file)

    def lock(self) -> IO[str]:
        """Hold the folder until the returned file is closed or we die. Raises: AlreadyRunning."""
        try:
            file = (self.path / "supervisor.pid").open("a+")
        except OSError as error:
            raise explain_os_error(error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            pid, url = self.holder(), self._read(self.address)
            raise AlreadyRunning(
                f"Tributary already runs here (process {pid}{f', {url}' if url else ''}).",
                "Stop it with `make stop`, or run a second network with TRIBUTARY_HOME=<folder> PORT=<port>.",
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self.address.unlink(missing_ok=True)
        self.addresses.unlink(missing_ok=True)
        return file

    def holder(self) -> int | None:
        """The process that holds the folder; None when nobody does. A pid alone proves nothing, the lock does."""
        path = self.path / "supervisor.pid"
        if not path.exists():
            return None
        with path.open("r+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read().strip()
                return int(text) if text.isdigit() else None
        return None

    def stop_holder(self) -> bool:
        """Ask the running supervisor to stop and wait for it. False when none runs."""
        pid = self.holder()
        if pid is None:
            return False
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while self.holder() is not None:
            if time.monotonic() > deadline:
                raise PlainProblem(f"Process {pid} did not stop within {STOP_TIMEOUT_SECONDS:.0f} s.", f"kill -9 {pid}")
            time.sleep(POLL_SECONDS)
        return True

    def _read(self, path: Path) -> str:
        return path.read_text().strip() if path.exists() else ""


def check_room(folder: Path) -> None:
    """Is there room to start? Raises: PlainProblem. A disk that fills up later is for the doctor and the alerts."""
    free = shutil.disk_usage(folder).free
    if free < START_FREE_BYTES_MIN:
        raise PlainProblem(
            f"The disk is full: {free >> 20} MB free at {folder}, a network needs {START_FREE_BYTES_MIN >> 20} MB"
            " to start.",
            "Make room, or set TRIBUTARY_HOME to a folder with more.",
        )
