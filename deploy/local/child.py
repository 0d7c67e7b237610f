"""Start a program as a child that cannot outlive us, and end it politely, then firmly."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

LEASH = Path(__file__).with_name("leash.py")


@dataclass(frozen=True, slots=True)
class OsUser:
    """An operating-system account a child runs as."""

    name: str
    user_id: int
    group_id: int


@dataclass(frozen=True, slots=True)
class ChildCommand:
    """What to run and how to end it.

    user: account to change to (only root can), None for our own.
    stop_signal: asks the program to stop; death_signal: what the kernel sends it when we die.
    cwd: `/` for programs that may not be allowed into our folder.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: OsUser | None = None
    cwd: Path = Path("/")
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL


def launch(command: ChildCommand, *, output: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Start the program in a session of its own, which a Ctrl-C at the terminal does not reach.

    Only for the main thread: the kernel ties the child to the life of the *thread* that starts it.
    """
    user = command.user
    identity = (str(user.user_id), str(user.group_id)) if user else ("-", "-")
    leash = (sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), str(int(command.death_signal)), *identity, "--")
    return subprocess.Popen(
        [*leash, *command.argv],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        cwd=command.cwd,
        env=dict(command.environment) or None,
        start_new_session=True,
    )


def run_to_end(command: ChildCommand, *, timeout_seconds: float) -> subprocess.CompletedProcess[bytes]:
    """Run a short program to its end with its output captured; the caller judges the return code."""
    process = launch(command, output=subprocess.PIPE)
    try:
        output, _ = process.communicate(timeout=timeout_seconds)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return subprocess.CompletedProcess(command.argv, process.returncode, output)


def end(process: subprocess.Popen[bytes], *, stop_signal: signal.Signals, grace_seconds: float) -> bool:
    """Ask the child to stop, wait, then kill it. True if it stopped by itself. Harmless when it is already gone."""
    if process.poll() is not None:
        return True
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(stop_signal)
    try:
        process.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return False
    return True
