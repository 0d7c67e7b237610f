"""What a consumer and a relay see of the log, whichever log it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

if TYPE_CHECKING:
    from shared.runtime.event_log.positions import Positions

RECORD_BYTES_MAX: Final = 900_000
"""Key and payload of one event: under Kafka's default limit of a batch (1,048,588 bytes) with room for headers."""

LAG_WAIT_SECONDS: Final = 2.0
"""A log that does not tell its end within this counts as unreachable."""


@dataclass(frozen=True, slots=True)
class Received:
    """One event as the log gives it. offset: its place in the partition."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    payload: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one partition, in order, never empty.

    expected_offset: the position before them. end_offset: the position after them. Between the two there may be
    offsets without an event (a compacted topic).
    """

    partition: int
    expected_offset: int
    end_offset: int
    records: tuple[Received, ...]


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a position is behind the end of its partition. age_seconds: of the first event not handled, as far as
    this process can know: at least as old as that, 0 where there is none."""

    records: int
    age_seconds: float


class StatedStop(Exception):
    """A task stops on purpose, because going on would lose or invent something; its text says what to do."""


class PositionOutOfRange(StatedStop):
    """The stored position names events that the log no longer has, or does not have yet."""


class LogIdentityMismatch(StatedStop):
    """The stored positions belong to another log than the one this process reads."""


class EventSource(Protocol):
    """The log as one consumer reads it. Used by one task at a time."""

    @property
    def log_id(self) -> str:
        """The identity of the log: the Kafka cluster's id, or `embedded`."""
        ...

    async def start(self, positions: "Positions") -> None:
        """Join; from now on `fetch` works. May be called again after `stop`."""
        ...

    async def fetch(self, limit: int) -> Batch | None:
        """The next events after the stored position of some partition, at most `limit`; None after a short wait.

        Each batch must be answered by `committed` or `abandoned` before the next fetch.
        Raises: PositionOutOfRange, LogIdentityMismatch.
        """
        ...

    async def committed(self, batch: Batch) -> None:
        """The effects and the position of `batch` are in the database."""
        ...

    async def abandoned(self, batch: Batch) -> None:
        """They are not, or not all: the position is to be read again before anything more of this partition."""
        ...

    async def recheck(self) -> None:
        """Between batches: forget every partition whose stored position somebody else has moved, to read it again."""
        ...

    async def measure_lag(self, stored: Mapping[int, int]) -> dict[int, Lag]:
        """The lag of each partition that is this process's to read, from the stored positions, by partition.

        Raises when the log does not answer, within LAG_WAIT_SECONDS.
        """
        ...

    async def stop(self) -> None:
        """Leave. Harmless when not started."""
        ...


@dataclass(frozen=True, slots=True)
class Published:
    """What one pass of a publisher did. failure: why rows were left for the next pass, or None.

    payloads: of the events published, given only where spans are made of them.
    """

    handled: int
    parked: int
    failure: Exception | None = None
    payloads: Sequence[bytes] = ()


class Publisher(Protocol):
    """The log as a relay writes it. Used by one task at a time."""

    async def start(self) -> None:
        """Get ready. May be called again after `stop`."""
        ...

    async def publish(self, session: AsyncSession, limit: int) -> Published:
        """Publish the oldest pending outbox rows, in order per key, and mark them in the session's transaction."""
        ...

    async def prune(self, session: AsyncSession, limit: int) -> int:
        """Delete rows that nothing needs any more, at most `limit` a topic and partition; gives how many."""
        ...

    async def stop(self) -> None:
        """Let go of everything. Harmless when not started."""
        ...
