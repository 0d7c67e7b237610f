"""One line on a terminal's standard error that says how far a long command is; nothing where there is no terminal."""

import sys
import time
from types import TracebackType
from typing import Final

EVERY_SECONDS: Final = 0.2


class Progress:
    """`with Progress("resealed") as progress: progress.show(12)`. The line is wiped at the end."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._shown_at = 0.0
        self._is_shown = sys.stderr.isatty()

    def __enter__(self) -> "Progress":
        return self

    def show(self, done: int, total: int | None = None) -> None:
        """Say how far; a few times a second at most."""
        now = time.monotonic()
        if self._is_shown and now - self._shown_at >= EVERY_SECONDS:
            self._shown_at = now
            of = f" of {total:,}" if total else ""
            sys.stderr.write(f"\r\033[K{self._what} {done:,}{of}")
            sys.stderr.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_shown and self._shown_at:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
