"""Named places where a test may kill this very process, to prove that nothing is lost there."""

import os
import signal
from typing import Final

_COUNTS: dict[str, int] = {}


def _armed() -> tuple[str, int] | None:
    wanted = os.environ.get("FAILPOINT", "")
    if not wanted or os.environ.get("TRIBUTARY_ENV") != "test":
        return None
    name, _, nth = wanted.partition(":")
    return name, int(nth or 1)


_ARMED: Final = _armed()
_SIGNAL: Final = signal.SIGSTOP if os.environ.get("FAILPOINT_SIGNAL") == "STOP" else signal.SIGKILL


def failpoint(name: str) -> None:
    """Kill (or, with FAILPOINT_SIGNAL=STOP, stop) this process the nth time it passes here.

    Armed by `FAILPOINT=name[:nth]` and only with `TRIBUTARY_ENV=test`; the environment is read once, at import.
    """
    if _ARMED is None or _ARMED[0] != name:
        return
    _COUNTS[name] = _COUNTS.get(name, 0) + 1
    if _COUNTS[name] == _ARMED[1]:
        os.kill(os.getpid(), _SIGNAL)
