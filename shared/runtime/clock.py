"""The two clocks: the machine's, and one that a test sets through a file."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.kernel.clock import Clock


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        """The present instant."""
        return datetime.now(UTC)


class FileClock:
    """A clock for tests, read from a file at each call.

    The file holds an RFC 3339 instant (time stands still there) or an offset such as `+86400` or `-30`: seconds
    from the machine's clock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> datetime:
        """The instant that the file tells. Raises ValueError for text that is neither form."""
        content = self._path.read_text().strip()
        if content.startswith(("+", "-")):
            return datetime.now(UTC) + timedelta(seconds=float(content))
        instant = datetime.fromisoformat(content)
        if instant.tzinfo is None:
            raise ValueError(f"the instant in {self._path.name} needs a time zone")
        return instant.astimezone(UTC)


def clock_from(clock_file: Path | None) -> Clock:
    """The machine's clock, or the one in `clock_file` (which settings allow in tests only)."""
    return SystemClock() if clock_file is None else FileClock(clock_file)
