"""The clock, as an argument: rules never read the time themselves."""

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Gives the present instant. Two implementations: the machine's, and a settable one for tests."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...


def require_utc(instant: datetime) -> datetime:
    """`instant` in UTC. Raises ValueError for a naive one: a time without zone is a bug, never a guess."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return instant.astimezone(UTC)
